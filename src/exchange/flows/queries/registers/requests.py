"""Alerts and requests of both sides, with what was answered to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from exchange.domain import kinds as kind_table
from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.domain.requests import ENDED, REQUESTS, due_by, settling
from exchange.flows.access import NotFound
from exchange.flows.context import LOCAL_TIME
from exchange.flows.instants import micros_of
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.exchanged.records import check_enum, record_page
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading, record_id_of
from exchange.flows.queries.ground.views import record_views, ref_of
from exchange.flows.queries.registers.open_alerts import WAITING, answer_by
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordFilter, RecordRow, Waits
from exchange.v1.alert_pb2 import AlertKind
from exchange.v1.kind_pb2 import Kind, Lane, Outcome
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import RecordView
from exchange.v1.request_service_pb2 import (
    ExerciseFilter,
    GetRequestRequest,
    GetRequestResponse,
    ListAlertsRequest,
    ListAlertsResponse,
    ListRequestsRequest,
    ListRequestsResponse,
    Reply,
    Request,
)

_WAITING = Waits(
    verbs=tuple(settling(REQUESTS[0])), ended=tuple((kind, tuple(states)) for kind, states in ENDED.items())
)
_DRILLS = {True: ExerciseFilter.EXERCISE_FILTER_ONLY, False: ExerciseFilter.EXERCISE_FILTER_NONE}
_WITHOUT_EFFECT = (Outcome.OUTCOME_DEFERRED, Outcome.OUTCOME_NOT_RECOGNISED)


class RequestQueries:
    """Queries of RequestService.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def alerts(self, asked: Asked, request: ListAlertsRequest) -> ListAlertsResponse:
        """A page of alerts.

        Raises:
            Refused: Page size, token, area, kind or the choice of drills is wrong.
        """
        check_enum(AlertKind, request.alert_kind, "alert_kind")
        check_enum(ExerciseFilter, request.exercise, "exercise")

        def keep(view: RecordView) -> bool:
            alert = view.record.alert
            drills = request.exercise in (0, _DRILLS[alert.is_exercise])
            # What a tombstone stands for is found by neither.
            asked_for = not request.alert_kind or alert.alert_kind == request.alert_kind
            return (drills and asked_for) if view.HasField("record") else not (request.alert_kind or request.exercise)

        waits = None if request.include_answered else WAITING
        wanted = self._wanted(asked, (Kind.KIND_ALERT,), waits, area=request.area, ours=request.ours)
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_URGENT,))
        name = f"alerts {request.alert_kind} {request.exercise}"
        found, token = self._page(asked, name, wanted, request.page_size, request.page_token, keep)
        return ListAlertsResponse(alerts=found, next_page_token=token, freshness=fresh)

    def requests(self, asked: Asked, request: ListRequestsRequest) -> ListRequestsResponse:
        """A page of requests.

        Raises:
            Refused: Kind, page size, token or area is wrong.
        """
        if request.kind not in (0, *REQUESTS):
            raise Refused([Problem("ENUM_UNKNOWN", "kind", str(request.kind))])
        kinds = (request.kind,) if request.kind else REQUESTS
        waits = None if request.include_answered else _WAITING
        wanted = self._wanted(asked, kinds, waits, area=request.area, ours=request.ours)
        fresh = self._reading.freshness.read(asked.now)
        found, token = self._page(asked, "requests", wanted, request.page_size, request.page_token)
        return ListRequestsResponse(requests=found, next_page_token=token, freshness=fresh)

    def get(self, asked: Asked, request: GetRequestRequest) -> GetRequestResponse:
        """One alert or request.

        Raises:
            Refused: The reference is ill-formed.
            NotFound: There is no such alert or request.
            AccessDenied: It may not be read.
        """
        raw = record_id_of(request.ref, "ref")
        fresh = self._reading.freshness.read(asked.now)
        with self._reading.node.database.read() as connection:
            row = self._find(connection, request, raw)
            if row is None or row.kind not in (Kind.KIND_ALERT, *REQUESTS):
                raise NotFound(format_id(raw))
            self._reading.allow(asked, row)
            views = record_views(connection, self._reading, [row], asked.words)
            found = self._shown(connection, views, asked.now)
        return GetRequestResponse(request=found[0], freshness=fresh)

    def _find(self, connection: Connection, request: GetRequestRequest, raw: bytes) -> RecordRow | None:
        """The row; of any origin where none is named, for no two state a record under one id."""
        node, ref = self._reading.node, request.ref
        origins = (ref.origin,) if ref.origin else (node.name, *node.peers.names())
        rows = (records.of_record(connection, origin, raw, ref.revision) for origin in origins)
        return next((row for row in rows if row is not None), None)

    def _wanted(
        self, asked: Asked, kinds: Sequence[Kind.ValueType], waits: Waits | None, *, area: str, ours: bool
    ) -> RecordFilter:
        me = self._reading.node.name
        return RecordFilter(
            readable=self._reading.book.readable(asked.caller.name, tuple(kinds)),
            origin=me if ours else "",
            not_origin="" if ours else me,
            area=self._reading.area_limit(area),
            waits=waits,
        )

    def _page(
        self,
        asked: Asked,
        name: str,
        wanted: RecordFilter,
        size: int,
        token: str,
        keep: Callable[[RecordView], bool] = lambda _view: True,
    ) -> tuple[list[Request], str]:
        limit = page_size(size)
        name = f"{name} {sorted(wanted.readable)}"
        views, following = record_page(self._reading, asked, name, wanted, token=token, limit=limit, keep=keep)
        with self._reading.node.database.read() as connection:
            return self._shown(connection, views, asked.now), following

    def _shown(self, connection: Connection, views: Sequence[RecordView], now: datetime) -> list[Request]:
        about = [(view.ref.origin, raw_id(view.ref.record_id)) for view in views]
        answers = records.answers_about(connection, about)
        bodies = records.bodies(connection, answers) if answers else {}
        replies: dict[tuple[str, bytes | None], list[Reply]] = {}
        for row in answers:
            body = bodies.get((row.log_id, row.idx))
            if body is not None and row.outcome not in _WITHOUT_EFFECT:
                replies.setdefault((row.about_origin, row.about), []).append(_reply(row, body))
        return [self._request(view, replies.get(key, []), now) for view, key in zip(views, about, strict=True)]

    def _request(self, view: RecordView, replies: Sequence[Reply], now: datetime) -> Request:
        record = view.record if view.HasField("record") else None
        shown = Request(record=view, replies=replies)
        arrived = view.mirrored_at if view.HasField("mirrored_at") else view.logged_at
        shown.arrived_at.CopyFrom(arrived)
        if record is None or view.outcome in _WITHOUT_EFFECT or view.replaced:
            return shown
        state = kind_table.state_of(record)
        verbs = settling(view.kind)
        shown.open = state not in ENDED.get(view.kind, ()) and all(reply.verb not in verbs for reply in replies)
        shown.due_by = due_by(record)
        today = now.astimezone(LOCAL_TIME).date().isoformat()
        shown.late = shown.open and bool(shown.due_by) and shown.due_by < today
        if view.kind == Kind.KIND_ALERT and view.ref.origin != self._reading.node.name:
            until = answer_by(self._reading.node, record.alert.level, micros_of(arrived))
            shown.answer_by.FromDatetime(until)
            shown.late = shown.open and now > until
        return shown


def _reply(row: RecordRow, body: bytes) -> Reply:
    answer = Record.FromString(body).answer
    reply = Reply(ref=ref_of(row), verb=answer.verb, reasons=answer.reasons, answered_by=answer.answered_by)
    reply.answered_at.CopyFrom(answer.answered_at)
    return reply
