"""What agencies are asked to confirm: effects of repairs and revocations of notices that they were shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import DecodeError

from exchange.domain.catalogues.calendars import CalendarMissing
from exchange.domain.catalogues.tables import Tables
from exchange.domain.kinds.acts import REPAIR_EFFECTS
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.instants import instant
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.storage.logs import log_store
from exchange.storage.queries import Connection
from exchange.storage.registers import readers
from exchange.storage.registers.readers import ReadAct
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.penalty_service_pb2 import (
    ListUnconfirmedEffectsRequest,
    ListUnconfirmedEffectsResponse,
    UnconfirmedEffects,
)
from exchange.v1.record_pb2 import Record

ROWS_AT_ONCE = 500
"""Acts looked at together; those that were confirmed are passed over."""

STRETCHES = 20
"""How often a page looks further before it says how far it came."""

COUNTED = 10_000
"""Most acts, the newest, that status counts."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """How many acts one agency has not confirmed in full, and how many of them are overdue."""

    agency: str
    count: int
    overdue: int


class EffectQueries:
    """What is to be confirmed.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def page(self, asked: Asked, request: ListUnconfirmedEffectsRequest) -> ListUnconfirmedEffectsResponse:
        """A page of what the caller has not confirmed, newest first.

        Raises:
            Refused: The page's size or token is wrong.
        """
        limit, agency = page_size(request.page_size), asked.caller.name
        question = f"effects {agency}"
        before: int = self._reading.tokens.read(question, request.page_token) or 0
        answer = ListUnconfirmedEffectsResponse()
        for _stretch in range(STRETCHES):
            with self._reading.node.database.read() as connection:
                acts = readers.acts_shown(connection, agency=agency, before=before, limit=ROWS_AT_ONCE)
                open_acts = list(_open(connection, acts, self._reading.node.name))
                for act, effects in open_acts[: limit - len(answer.effects)]:
                    answer.effects.append(_shown(connection, self._reading.node.tables, act, effects, asked.now))
            if len(answer.effects) == limit and len(open_acts) >= limit:
                last = answer.effects[-1].act.record_id
                before = next(act.seq for act, _ in open_acts if format_id(act.act) == last)
                answer.next_page_token = self._reading.tokens.make(question, before)
                return answer
            if len(acts) < ROWS_AT_ONCE:
                return answer
            before = acts[-1].seq
        answer.next_page_token = self._reading.tokens.make(question, before)
        return answer


def unconfirmed_by_agency(connection: Connection, node: Node, now: datetime) -> list[Unconfirmed]:
    """How many of the newest acts each agency has not confirmed in full."""
    counts: dict[str, list[bool]] = {}
    for act, _ in _open(connection, readers.acts_shown(connection, limit=COUNTED), node.name):
        by_rule = due_by_rule(node.tables, act)
        due = by_rule or _stated(connection, act)
        counts.setdefault(act.agency, []).append(_is_over(due, now))
    return [Unconfirmed(agency, len(late), sum(late)) for agency, late in sorted(counts.items())]


def due_by_rule(tables: Tables, act: ReadAct) -> str:
    """The day by which an act has reached every door, counted from its arrival; empty where no calendar tells."""
    arrived_on = instant(act.arrived_at).astimezone(LOCAL_TIME).date()
    try:
        return tables.publicity.repair_due_by(arrived_on, tables.calendars).isoformat()
    except CalendarMissing:
        return ""


def _is_over(due: str, now: datetime) -> bool:
    return bool(due) and due < now.astimezone(LOCAL_TIME).date().isoformat()


def _open(connection: Connection, acts: Sequence[ReadAct], node: str) -> Iterable[tuple[ReadAct, tuple[str, ...]]]:
    """Acts with the effects that their reader has not confirmed, in order."""
    answers = readers.confirmed(connection, [act.act for act in acts], node)
    # origin | record | revision | verb | effect | by whom
    said = {(act, agency, key.split("|")[4]) for act, agency, key in answers if key.count("|") >= 4}
    for act in acts:
        missing = tuple(effect for effect in REPAIR_EFFECTS if (act.act, act.agency, effect) not in said)
        if missing:
            yield act, missing


def _stated(connection: Connection, act: ReadAct) -> str:
    """The day that the act itself names; empty when its text is not here."""
    stored = log_store.entries_at(connection, act.log_id, [act.idx]).get(act.idx)
    try:
        record = Record.FromString(stored.body or b"") if stored is not None else Record()
    except DecodeError:
        record = Record()
    return (record.repair_notice if record.HasField("repair_notice") else record.revocation_notice).due_by


def _shown(
    connection: Connection, tables: Tables, act: ReadAct, effects: Sequence[str], now: datetime
) -> UnconfirmedEffects:
    stated, by_rule = _stated(connection, act), due_by_rule(tables, act)
    return UnconfirmedEffects(
        act=RecordRef(origin=act.origin, record_id=format_id(act.act), revision=act.revision),
        kind=act.kind,  # type: ignore[arg-type]
        notice=RecordRef(origin=act.notice_origin, record_id=format_id(act.notice)),
        effects=effects,
        due_by=stated,
        computed_due_by=by_rule,
        overdue=_is_over(by_rule or stated, now),
    )
