"""The register of actions that need two officers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select

from exchange.domain.problems import ExchangeError
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.action_pb2 import Action, ActionState
from exchange.v1.journal_pb2 import JournalEntry

OPEN = (ActionState.ACTION_STATE_WAITING, ActionState.ACTION_STATE_CONFIRMED)
"""States in which something is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionChange:
    """An action as it is to be, with the journal entry that says so.

    Attributes:
        event: Its time and an ``action_changed``.
        expected: The row as the change was decided on; None where there was none. Another one makes the change fail.
        most: With a new action, how many may be open.
    """

    event: JournalEntry
    expected: bytes | None
    most: int = 0


class ActionChangedError(ExchangeError):
    """Somebody else decided the action in between."""

    reason = "CONTENDED"


class ActionsFullError(ExchangeError):
    """As many actions are open as may be."""

    reason = "ACTIONS_FULL"


def get(connection: Connection, action_id: bytes) -> bytes | None:
    """One action, serialized."""
    table = schema.actions
    return connection.execute(select(table.c.action).where(table.c.action_id == action_id)).scalar()


def page(connection: Connection, *, before: bytes | None, limit: int, include_closed: bool) -> list[Action]:
    """Actions before an id, newest first."""
    table = schema.actions
    query = select(table.c.action).order_by(table.c.action_id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.action_id < before)
    if not include_closed:
        query = query.where(table.c.state.in_(OPEN))
    return [Action.FromString(row.action) for row in connection.execute(query)]


def open_actions(connection: Connection) -> list[Action]:
    """Actions that wait or are being carried out, oldest first."""
    table = schema.actions
    query = select(table.c.action).where(table.c.state.in_(OPEN)).order_by(table.c.action_id)
    return [Action.FromString(row.action) for row in connection.execute(query)]


def change_of(event: JournalEntry) -> Change:
    """The row change that a journal entry makes."""
    action = event.action_changed.action
    action_id = UUID(action.action_id).bytes
    row = {
        "action_id": action_id,
        "state": int(action.state),
        "action": action.SerializeToString(deterministic=True),
    }
    return Change("actions", (action_id,), row)


def put(tx: Transaction, payloads: Sequence[ActionChange]) -> list[int | Exception]:
    """Put actions, each with its journal entry in the same transaction.

    Returns:
        For each payload, the index of its journal entry.
    """
    return [_put(tx, payload) for payload in payloads]


def _put(tx: Transaction, payload: ActionChange) -> int | Exception:
    # What an earlier payload of this batch wrote is read here.
    tx.write_now(schema.actions)
    change = change_of(payload.event)
    if get(tx.connection, change.key[0]) != payload.expected:
        return ActionChangedError()
    if payload.expected is None:
        table = schema.actions
        open_now = tx.connection.execute(select(func.count()).where(table.c.state.in_(OPEN))).scalar_one()
        if open_now >= payload.most:
            return ActionsFullError()
    index = journal.append(tx, [payload.event])
    registers.write(tx, [change])
    return index
