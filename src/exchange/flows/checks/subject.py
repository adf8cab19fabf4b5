"""A subject's full picture: all that both regions state of it, today or as it counted here at an earlier instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.flows.checks.persons import mask
from exchange.flows.checks.question import about_person
from exchange.flows.checks.then import Then
from exchange.flows.instants import is_instant, micros, micros_of
from exchange.flows.queries.exchanged.records import PAGE_BYTES, VIEWS_AT_ONCE
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import record_views
from exchange.flows.queries.registers.credit import (
    MAX_SUBJECT_ROWS,
    checked_uscc,
    decisive_of,
    newest_results,
    regional_standings,
)
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordRow
from exchange.v1.check_service_pb2 import GetSubjectRequest, GetSubjectResponse
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.record_service_pb2 import RecordView
from exchange.v1.security_service_pb2 import Verb

_FIELDS = {
    Kind.KIND_CREDIT_RESULT: "",
    Kind.KIND_PENALTY_NOTICE: "notices",
    Kind.KIND_LIST_ENTRY: "lists",
    Kind.KIND_MEASURE_FEEDBACK: "feedback",
    Kind.KIND_REPAIR_NOTICE: "repairs",
    Kind.KIND_REVOCATION_NOTICE: "repairs",
    Kind.KIND_LAB_QUALIFICATION: "labs",
    Kind.KIND_CASE_REFERRAL: "others",
    Kind.KIND_MONITORING_BATCH: "stations",
}
"""Kinds that name a subject, in the order in which an answer is filled, and where each stands in it.

Credit results stand by region.
"""


class SubjectQueries:
    """Answers GetSubject.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def get(self, asked: Asked, request: GetSubjectRequest) -> GetSubjectResponse:
        """All that may be read of one subject.

        Raises:
            Refused: The USCC is wrong, or ``as_of`` is no instant or lies ahead.
            AccessDenied: Nothing of what is known may be read; or a person stands behind the code, and no grant
                lets the caller look persons up.
        """
        reading = self._reading
        uscc = checked_uscc(request.uscc, reading.node)
        at = _instant_of(asked, request)
        granted = self._granted(asked, person=about_person(uscc))
        answer = GetSubjectResponse(
            uscc=uscc,
            freshness=reading.freshness.read(asked.now, (Lane.LANE_REGISTRY, Lane.LANE_TELEMETRY)),
            not_granted=[kind for kind in _FIELDS if kind not in granted],
        )
        if at is not None:
            answer.as_of.CopyFrom(request.as_of)
        with reading.node.database.read() as connection:
            then = Then(connection, reading.node, at) if at is not None else None
            picture = _Picture(connection, reading, asked, answer, history=request.include_history)
            denied: list[Problem] = []
            for kind in granted:
                found = records.history_of(connection, uscc, kind, MAX_SUBJECT_ROWS + 1)
                if len(found) > MAX_SUBJECT_ROWS:
                    picture.cut(kind)
                problems = [self._problem(asked, row, person=about_person(uscc)) for row in found[:MAX_SUBJECT_ROWS]]
                denied += [problem for problem in problems if problem is not None]
                rows = [row for row, problem in zip(found, problems, strict=False) if problem is None]
                picture.add(kind, *_stations(rows, then) if _FIELDS[kind] == "stations" else _divided(rows, then))
            picture.close()
        if denied and not picture.shown:
            raise AccessDenied(denied[0])
        reading.readers.shown(
            asked.caller.name,
            [view for view in picture.shown if view.kind in (Kind.KIND_PENALTY_NOTICE, Kind.KIND_LIST_ENTRY)],
        )
        return answer

    def _granted(self, asked: Asked, *, person: bool) -> list[Kind.ValueType]:
        book, agency = self._reading.book, asked.caller.name
        readable = book.readable(agency, _FIELDS)
        if not readable:
            raise AccessDenied(Problem("NO_GRANT", "", "READ"))
        if person:
            problem = book.require(agency, Verb.VERB_CHECK_PERSON, 0, "")
            # Where the grant is limited to areas, each record says its own.
            if problem is not None and problem.reason != "GRANT_AREA_MISSING":
                raise AccessDenied(problem)
        return [kind for kind in _FIELDS if kind in readable]

    def _problem(self, asked: Asked, row: RecordRow, *, person: bool) -> Problem | None:
        book, agency = self._reading.book, asked.caller.name
        problem = book.may_read(agency, row.kind, row.area, row.tombstone)
        if problem is None and person:
            problem = book.require(agency, Verb.VERB_CHECK_PERSON, 0, row.area)
        return problem


class _Picture:
    """An answer while it is filled, up to the size that callers take."""

    def __init__(
        self, connection: Connection, reading: Reading, asked: Asked, answer: GetSubjectResponse, *, history: bool
    ) -> None:
        self._connection = connection
        self._reading = reading
        self._asked = asked
        self._answer = answer
        self._size = answer.ByteSize()
        self._history: list[RecordRow] | None = [] if history else None
        self.shown: list[RecordView] = []

    def cut(self, kind: int) -> None:
        """Say that older records of a kind are left out."""
        if kind not in self._answer.cut:
            self._answer.cut.append(kind)  # type: ignore[arg-type]

    def add(self, kind: Kind.ValueType, live: Sequence[RecordRow], replaced: Sequence[RecordRow]) -> None:
        """Add records of one kind, newest first; what was replaced is kept for the end."""
        past = list(replaced)
        if kind == Kind.KIND_CREDIT_RESULT:
            past += self._add_credit(live)
        else:
            getattr(self._answer, _FIELDS[kind]).extend(self._views(live))
        if self._history is not None:
            self._history += past

    def close(self) -> None:
        """Add the history, newest first."""
        past = sorted(self._history or (), key=lambda row: (row.sort_on, row.seq), reverse=True)
        self._answer.history.extend(self._views(past))

    def _add_credit(self, live: Sequence[RecordRow]) -> list[RecordRow]:
        """Add the standing of each region; gives the results that a later year of their unit had overtaken."""
        origins = sorted({row.origin for row in live})
        chosen = [row for origin in origins for row in newest_results([r for r in live if r.origin == origin])]
        views = list(self._views(chosen))
        regions = regional_standings(self._reading.node, chosen[: len(views)], views, self._answer.freshness)
        self._answer.credit.extend(regions)
        self._answer.decisive_level = decisive_of(regions)  # type: ignore[assignment]
        newest = {row.seq for row in chosen}
        return [row for row in live if row.seq not in newest]

    def _views(self, rows: Sequence[RecordRow]) -> Iterator[RecordView]:
        """Rows as the caller sees them, until the answer is full."""
        for start in range(0, len(rows), VIEWS_AT_ONCE):
            some = rows[start : start + VIEWS_AT_ONCE]
            views = record_views(self._connection, self._reading, some, self._asked.words)
            for place, (row, view) in enumerate(zip(some, views, strict=True), start):
                mask(view)
                if row.kind == Kind.KIND_MONITORING_BATCH and view.HasField("record"):
                    for series in view.record.monitoring_batch.series:
                        series.ClearField("points")
                self._size += view.ByteSize()
                if self._size > PAGE_BYTES:
                    for left in rows[place:]:
                        self.cut(left.kind)
                    return
                self.shown.append(view)
                yield view


def _instant_of(asked: Asked, request: GetSubjectRequest) -> int | None:
    if not request.HasField("as_of"):
        return None
    if not is_instant(request.as_of):
        raise Refused([Problem("DATE_FORMAT", "as_of")])
    at = micros_of(request.as_of)
    if at > micros(asked.now):
        raise Refused([Problem("DATE_IN_FUTURE", "as_of")])
    return at


def _divided(rows: Sequence[RecordRow], then: Then | None) -> tuple[list[RecordRow], list[RecordRow]]:
    """What counts and what was replaced, now or then."""
    if then is not None:
        return then.standing(rows)
    return (
        [row for row in rows if row.newest and not row.replaced],
        [row for row in rows if row.replaced or not row.newest],
    )


def _stations(rows: Sequence[RecordRow], then: Then | None) -> tuple[list[RecordRow], list[RecordRow]]:
    """The newest batch of each station, and no history: what is read of a batch are its readings."""
    newest: dict[tuple[str, str], RecordRow] = {}
    for row in sorted(rows, key=lambda row: (row.sort_on, row.seq), reverse=True):
        station = (row.origin, row.natural_key.split("|")[0])
        if station not in newest:
            live, _ = _divided([row], then)
            if live:
                newest[station] = live[0]
    return list(newest.values()), []
