"""Penalty notices of both regions."""

from __future__ import annotations

from exchange.domain.kinds import normalise_document_no
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied, NotFound
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.exchanged.records import check_enum, record_page
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading, record_id_of
from exchange.flows.queries.ground.views import record_views
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordFilter, RecordRow
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.penalty_notice_pb2 import NoticeKind, PenaltyState
from exchange.v1.penalty_service_pb2 import (
    GetNoticeRequest,
    GetNoticeResponse,
    ListNoticesRequest,
    ListNoticesResponse,
)

MAX_SAME_NUMBER = 100
"""Notices of one decision number: authorities number by themselves, and one decision may concern several firms."""

MAX_DECISION_NO = 200
"""Characters of a decision number."""


class PenaltyQueries:
    """Queries of PenaltyService."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def get(self, asked: Asked, request: GetNoticeRequest) -> GetNoticeResponse:
        """The notices of a record or of a decision number.

        Raises:
            Refused: Neither is given, or it is ill-formed.
            NotFound: There is none.
            AccessDenied: None of them may be read.
        """
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        with self._reading.node.database.read() as connection:
            rows = self._find(connection, request)
            book, agency = self._reading.book, asked.caller.name
            denied = [book.may_read(agency, row.kind, row.area, row.tombstone) for row in rows]
            first = next((problem for problem in denied if problem), None)
            if first is not None and all(denied):
                raise AccessDenied(first)
            visible = [row for row, problem in zip(rows, denied, strict=True) if problem is None]
            views = record_views(connection, self._reading, visible, asked.words)
        self._reading.readers.shown(asked.caller.name, views)
        return GetNoticeResponse(notices=views, freshness=fresh)

    def page(self, asked: Asked, request: ListNoticesRequest) -> ListNoticesResponse:
        """A page of notices, newest change first."""
        limit = page_size(request.page_size)
        check_enum(PenaltyState, request.state, "state")
        check_enum(NoticeKind, request.notice_kind, "notice_kind")
        wanted = RecordFilter(
            readable=self._reading.book.readable(asked.caller.name, (Kind.KIND_PENALTY_NOTICE,)),
            kind=Kind.KIND_PENALTY_NOTICE,
            origin=request.origin,
            subject=request.uscc,
            area=self._reading.area_limit(request.area),
            state=request.state,
            level=request.notice_kind,
        )
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        views, token = record_page(self._reading, asked, "notices", wanted, token=request.page_token, limit=limit)
        return ListNoticesResponse(notices=views, next_page_token=token, freshness=fresh)

    def _find(self, connection: Connection, request: GetNoticeRequest) -> list[RecordRow]:
        if request.WhichOneof("key") == "ref":
            raw = record_id_of(request.ref, "ref")
            origin = request.ref.origin or self._reading.node.name
            row = records.of_record(connection, origin, raw, request.ref.revision)
            if row is None or row.kind != Kind.KIND_PENALTY_NOTICE:
                raise NotFound(format_id(raw))
            return [row]
        number = normalise_document_no(request.decision_no)
        if not number:
            raise Refused([Problem("FIELD_MISSING", "decision_no")])
        if len(number) > MAX_DECISION_NO:
            raise Refused([Problem("TEXT_TOO_LONG", "decision_no", str(len(number)))])
        # As one part of a natural key, where the sign between parts is written differently.
        part = number.replace("%", "%25").replace("|", "%7C")
        rows = records.with_natural_part(connection, part, Kind.KIND_PENALTY_NOTICE, MAX_SAME_NUMBER)
        if not rows:
            raise NotFound(number)
        return rows
