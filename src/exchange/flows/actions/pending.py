"""Actions that need an operator and a security officer (contract §5): one asks, one of the other role confirms.

The walk of an action:
  1 ask       checked as if it were done at once; the request's bytes and their digest are journaled; nothing happens
  2 confirm   by another person of the other role, within 24 hours, naming the digest of what was shown to him
  3 carry out what these bytes say, and nothing else
Each change is one transaction: journal and register. A crash behind 2 leaves the action CONFIRMED, and the next start
carries it out: performers do the same thing twice without harm. So it is confirmed once, and done once.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied, Caller, NotFound
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros_of
from exchange.flows.intake.ids import new_id, parse_id
from exchange.storage.engine.writer import WorkClass
from exchange.storage.queries import actions
from exchange.storage.queries.actions import ActionChange, ActionChangedError, ActionsFullError
from exchange.v1.action_pb2 import Action, ActionRequest, ActionState
from exchange.v1.journal_pb2 import ActionChanged, JournalEntry

VALID_FOR = timedelta(hours=24)
"""How long an action may be confirmed: the other officer's next shift."""

MAX_OPEN = 100
"""Actions that may wait: more is a mistake, or somebody who floods the other officer."""

MAX_REASON = 500
"""Characters of a reason."""

MAX_PAGE = 500
DEFAULT_PAGE = 100

TICK_S = 30.0
"""Seconds between two looks for what expired or is still to be carried out."""

OTHER_ROLE: Mapping[Role, Role] = {Role.OPERATOR: Role.SECURITY, Role.SECURITY: Role.OPERATOR}
"""Who confirms what an officer asked for."""

VERBS: Mapping[str, str] = {
    "retire_lane": "lanes.retire",
    "discard_quarantine": "quarantine.discard",
    "erase_record": "records.erase",
    "erase_due": "records.erase_due",
    "remove_authority": "authorities.remove",
    "activate_rules": "rules.activate",
    "redecide": "rules.redecide",
    "retire_authority": "authorities.retire",
}
"""Verbs by the field of ``ActionRequest`` that asks for them."""

ALARM = "ACTION_WAITING"

_log = structlog.get_logger("exchange.actions")

Performer = Callable[[ActionRequest, "Confirmed"], str]
"""Carries out a confirmed request, and says in a few words what came of it.

Called again after a crash: what was done before is done. What can not be done is a ``Refused`` or ``NotFound``, with
nothing changed; any other error means later.
"""


class Bell(Protocol):
    """Where the other officer is told that something waits."""

    def raise_(self, code: str, about: str = "", detail: str = "") -> None:
        """Open an alarm."""
        ...

    def clear(self, code: str, about: str = "") -> None:
        """The condition is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """Who stands behind what is carried out.

    Attributes:
        action_id: The action.
        asked_by: Identity that asked.
        confirmed_by: Identity that confirmed.
        reason: Why it was asked for.
        now: When it is carried out.
    """

    action_id: str
    asked_by: str
    confirmed_by: str
    reason: str
    now: datetime

    @property
    def actors(self) -> str:
        """Both, as a journal line names who did something."""
        return f"{self.asked_by} + {self.confirmed_by}"


@dataclass(frozen=True, slots=True)
class Officer:
    """Who asks or decides: the caller, and its identity as the journal names it."""

    caller: Caller
    identity: str


@dataclass(frozen=True, slots=True)
class ActionPage:
    """Actions, newest first, and the token of the next page; empty on the last one."""

    rows: tuple[Action, ...]
    next_page_token: str


class ActionFlow:
    """Actions that need two officers. Its thread runs between ``start`` and ``close``.

    Args:
        node: The node.
        performers: What carries out a request, by the field of ``ActionRequest``.
        bell: Where the other officer is told.
    """

    def __init__(self, node: Node, performers: Mapping[str, Performer], bell: Bell) -> None:
        self._node = node
        self._performers = dict(performers)
        self._bell = bell
        self._carrying_out = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="actions", daemon=True)

    def start(self) -> None:
        """Carry out what a crash left confirmed, and look for what expires."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    # -- officers --------------------------------------------------------------------------------------------

    def ask(self, request: ActionRequest, officer: Officer, now: datetime) -> Action:
        """Ask for something that needs a second officer; nothing happens before he confirms.

        Whoever has such a thing to do (as removing an authority with force) calls this in the place of doing it, and
        gives a ``Performer`` for the request's field to the constructor: it is called once somebody confirmed, with
        the request as it was asked. The caller has checked that it could be done, and has bound into the request
        whatever must not change until then. The same request of the same officer, while it waits, is not asked for
        twice: it is given again.

        Args:
            request: What exactly; its ``reason`` says why.
            officer: Operator or security officer.
            now: Aware instant.

        Raises:
            Refused: No reason, or too many actions wait.
            AccessDenied: The caller is neither operator nor security officer.
        """
        field = request.WhichOneof("request")
        if field not in self._performers:
            raise Refused([Problem("UNIMPLEMENTED", "request", field or "")])
        request.reason = said_reason(request.reason)
        confirmer = OTHER_ROLE.get(officer.caller.role)
        if confirmer is None:
            raise AccessDenied(Problem("ROLE_NOT_ALLOWED", "", officer.caller.role.value))
        raw = request.SerializeToString(deterministic=True)
        digest = hashlib.sha256(raw).digest()
        for known in self._open():
            same = (known.digest, known.asked_by) == (digest, officer.identity)
            if same and known.state == ActionState.ACTION_STATE_WAITING and now < _expires(known):
                return known
        action = Action(
            action_id=str(new_id(now)),
            verb=VERBS[field],
            request=raw,
            digest=digest,
            asked_by=officer.identity,
            confirmed_by_role=confirmer.value,
            state=ActionState.ACTION_STATE_WAITING,
        )
        action.asked_at.FromDatetime(now)
        action.expires_at.FromDatetime(now + VALID_FOR)
        try:
            self._put(action, None, officer.identity, now)
        except ActionsFullError:
            raise Refused([Problem("ACTIONS_FULL", "", str(MAX_OPEN))]) from None
        self._bell.raise_(ALARM, action.action_id, f"{action.verb} {confirmer.value}")
        return action

    def confirm(self, action_id: str, digest: bytes, reason: str, officer: Officer, now: datetime) -> Action:
        """Confirm an action, and carry it out.

        1. It waits, and its time is not over.
        2. The officer has the other role, and is not the person who asked, by name.
        3. He names the digest of what he was shown, and it is that of the bytes that are kept.
        4. It is confirmed, in the journal; of two that confirm at once, one does.
        5. It is carried out.

        Returns:
            The action: DONE or FAILED, or CONFIRMED when the database did not take it just now: it is tried again.

        Raises:
            NotFound: No such action.
            Refused: It does not wait, another digest, or no reason.
            AccessDenied: Another role, or the same person.
        """
        raw, action = self._waiting(action_id, now)  # 1
        if officer.caller.role.value != action.confirmed_by_role:  # 2
            raise AccessDenied(Problem("ROLE_NOT_ALLOWED", "action_id", action.confirmed_by_role))
        if officer.caller.name == action.asked_by.rpartition("/")[2]:
            raise AccessDenied(Problem("SECOND_PERSON", "action_id", officer.caller.name))
        if digest != action.digest or hashlib.sha256(action.request).digest() != action.digest:  # 3
            raise Refused([Problem("ACTION_DIGEST", "digest", digest.hex()[:16])])
        said = said_reason(reason)
        self._decide(action, raw, ActionState.ACTION_STATE_CONFIRMED, officer.identity, said, now)  # 4
        return self._carry_out(action, now)  # 5

    def refuse(self, action_id: str, reason: str, officer: Officer, now: datetime) -> Action:
        """Refuse an action, or take back one's own.

        Raises:
            NotFound: No such action.
            Refused: It does not wait, or no reason.
            AccessDenied: Neither the other role nor the one who asked.
        """
        raw, action = self._waiting(action_id, now)
        if officer.caller.role.value != action.confirmed_by_role and officer.identity != action.asked_by:
            raise AccessDenied(Problem("ROLE_NOT_ALLOWED", "action_id", action.confirmed_by_role))
        self._decide(action, raw, ActionState.ACTION_STATE_REFUSED, officer.identity, said_reason(reason), now)
        return action

    def page(self, *, include_closed: bool, page_size: int, page_token: str) -> ActionPage:
        """Actions, newest first.

        Raises:
            Refused: ``PAGE_SIZE`` or ``PAGE_TOKEN``.
        """
        if not 0 <= page_size <= MAX_PAGE:
            raise Refused([Problem("PAGE_SIZE", "page_size", str(page_size))])
        before = parse_id(page_token) if page_token else None
        if page_token and before is None:
            raise Refused([Problem("PAGE_TOKEN", "page_token")])
        limit = page_size or DEFAULT_PAGE
        with self._node.database.read() as connection:
            rows = actions.page(connection, before=before, limit=limit + 1, include_closed=include_closed)
        more = len(rows) > limit
        return ActionPage(tuple(rows[:limit]), rows[limit - 1].action_id if more else "")

    # -- time ------------------------------------------------------------------------------------------------

    def tick(self, now: datetime) -> None:
        """End what nobody confirmed in time, and carry out what is confirmed."""
        for action in self._open():
            if action.state == ActionState.ACTION_STATE_CONFIRMED:
                self._carry_out(action, now)
            elif now >= _expires(action):
                self._expire(action, now)

    def _run(self) -> None:
        while True:
            try:
                self.tick(self._node.clock())
            except Exception as error:  # noqa: BLE001 - whatever the database says, it is looked at again
                _log.warning("actions.tick-failed", error=type(error).__name__, detail=str(error)[:200])
            if self._closing.wait(TICK_S):
                return

    def _expire(self, action: Action, now: datetime) -> None:
        raw = action.SerializeToString(deterministic=True)
        action.state = ActionState.ACTION_STATE_EXPIRED
        try:
            self._put(action, raw, self._node.name, now)
        except ActionChangedError:
            return
        self._bell.clear(ALARM, action.action_id)

    # -- changes ---------------------------------------------------------------------------------------------

    def _open(self) -> list[Action]:
        with self._node.database.read() as connection:
            return actions.open_actions(connection)

    def _waiting(self, action_id: str, now: datetime) -> tuple[bytes, Action]:
        key = parse_id(action_id)
        with self._node.database.read() as connection:
            raw = actions.get(connection, key) if key else None
        if raw is None:
            raise NotFound
        action = Action.FromString(raw)
        if action.state == ActionState.ACTION_STATE_WAITING and now >= _expires(action):
            self._expire(action, now)
        if action.state != ActionState.ACTION_STATE_WAITING:
            raise _closed(action)
        return raw, action

    def _decide(
        self, action: Action, raw: bytes, state: ActionState.ValueType, identity: str, reason: str, now: datetime
    ) -> None:
        action.state = state
        action.decided_by, action.decision_reason = identity, reason
        action.decided_at.FromDatetime(now)
        try:
            self._put(action, raw, identity, now)
        except ActionChangedError:
            with self._node.database.read() as connection:
                standing = actions.get(connection, parse_id(action.action_id) or b"")
            raise _closed(Action.FromString(standing or b"")) from None
        self._bell.clear(ALARM, action.action_id)

    def _carry_out(self, action: Action, now: datetime) -> Action:
        request = ActionRequest.FromString(action.request)
        who = Confirmed(
            action_id=action.action_id,
            asked_by=action.asked_by,
            confirmed_by=action.decided_by,
            reason=request.reason,
            now=now,
        )
        raw = action.SerializeToString(deterministic=True)
        with self._carrying_out:
            try:
                action.outcome = self._performers[request.WhichOneof("request") or ""](request, who)
                action.state = ActionState.ACTION_STATE_DONE
            except (Refused, NotFound) as error:
                action.outcome = str(error)[:MAX_REASON] or error.reason
                action.state = ActionState.ACTION_STATE_FAILED
            except ExchangeError as error:
                _log.warning("actions.later", verb=action.verb, reason=error.reason)
                return action
            # Otherwise another thread carried it out and said so.
            with contextlib.suppress(ActionChangedError):
                self._put(action, raw, self._node.name, now)
        return action

    def _put(self, action: Action, expected: bytes | None, actor: str, now: datetime) -> None:
        event = JournalEntry(action_changed=ActionChanged(action=action, actor=actor))
        event.at.FromDatetime(now)
        self._node.writer.call(
            actions.put, ActionChange(event=event, expected=expected, most=MAX_OPEN), WorkClass.INTERACTIVE
        )


def _expires(action: Action) -> datetime:
    return instant(micros_of(action.expires_at))


def _closed(action: Action) -> Refused:
    state = ActionState.Name(action.state).removeprefix("ACTION_STATE_")
    return Refused([Problem("ACTION_CLOSED", "action_id", state)])


def said_reason(reason: str) -> str:
    """A reason as it is kept.

    Raises:
        Refused: ``REASON_MISSING``, ``TEXT_TOO_LONG`` or ``TEXT_CONTROL_CHARACTER``.
    """
    said = reason.strip()
    if not said:
        raise Refused([Problem("REASON_MISSING", "reason")])
    if len(said) > MAX_REASON:
        raise Refused([Problem("TEXT_TOO_LONG", "reason", str(len(said)))])
    if any(not char.isprintable() and char != "\n" for char in said):
        raise Refused([Problem("TEXT_CONTROL_CHARACTER", "reason")])
    return said
