"""Registers that the journal itself makes, not apply: agencies, rules, actions, rotations, due feedback, readers."""

from __future__ import annotations

from typing import Final, Literal, get_args

from exchange.domain.agency_form import read_agency
from exchange.storage.engine.database import Connection
from exchange.storage.queries import actions, checks, rotations, rules
from exchange.storage.registers import readers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import GrantChanged, JournalEntry, TrustDecided

_Name = Literal[
    "grant_changed",
    "rotation_stepped",
    "trust_decided",
    "action_changed",
    "redecision_ordered",
    "notices_shown",
]
_NAMES: Final[tuple[_Name, ...]] = get_args(_Name)


def is_register_event(event: JournalEntry) -> bool:
    """Whether a line of the journal changes a register by itself. None of them depends on a log's entries."""
    by_itself = any(event.HasField(name) for name in _NAMES)
    return by_itself or bool(event.check_traced.due) or _brings_rules(event)


def changes_of(state: Connection, event: JournalEntry, log_id: int, index: int) -> list[Change]:
    """The row changes that a line of the journal made; none for lines that change no register.

    Args:
        state: Where the registers are read, as they stand before it.
        event: The line.
        log_id: The journal's epoch that it stands in.
        index: Its index there.
    """
    if event.HasField("grant_changed"):
        return [_agency(event.grant_changed)]
    if event.HasField("action_changed"):
        return [actions.change_of(event)]
    if event.HasField("redecision_ordered"):
        return [rules.order_change(event)]
    if event.HasField("rotation_stepped"):
        return rotations.changes_of(state, event, log_id, index)
    if event.HasField("trust_decided"):
        return [decision_row(event.trust_decided)]
    if event.HasField("notices_shown"):
        return readers.changes_of(state, event)
    if event.check_traced.due:
        return checks.due_changes(state, [event])
    return [rules.change_of(event)] if _brings_rules(event) else []


def _brings_rules(event: JournalEntry) -> bool:
    return event.HasField("activated") and event.activated.edition.what == rules.RULES


def decision_row(decided: TrustDecided) -> Change:
    """What an officer decided on announced keys."""
    key = (decided.peer, decided.fingerprint)
    row = {"origin": decided.peer, "fingerprint": decided.fingerprint, "accepted": decided.accepted}
    return Change("key_decisions", key, row)


def _agency(changed: GrantChanged) -> Change:
    if not changed.grant:
        return Change("agencies", (changed.agency,), None)
    agency = read_agency(changed.agency, changed.grant.encode())
    row = {"name": changed.agency, "agency": agency.SerializeToString(deterministic=True)}
    return Change("agencies", (changed.agency,), row)
