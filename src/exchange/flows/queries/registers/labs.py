"""Monitoring laboratories of both regions, as they stood on any day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from exchange.domain.codes import cma_no_holds
from exchange.domain.labs import Slice, SliceKind, method_key, slices_of, standing_on
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied, NotFound
from exchange.flows.apply.deciding.labs import known_lab
from exchange.flows.context import LOCAL_TIME
from exchange.flows.queries.exchanged.records import check_enum, record_page
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import record_views
from exchange.flows.queries.registers.credit import checked_uscc
from exchange.storage.queries import labs, records
from exchange.storage.queries.records import RecordFilter
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.lab_qualification_pb2 import LabQualification, LabScope, LabStanding, LabState
from exchange.v1.laboratory_service_pb2 import (
    GetLaboratoryRequest,
    GetLaboratoryResponse,
    LaboratoryView,
    ListLaboratoriesRequest,
    ListLaboratoriesResponse,
)
from exchange.v1.record_service_pb2 import RecordView

MAX_METHOD = 64
"""Characters of a method standard."""

_KIND = Kind.KIND_LAB_QUALIFICATION


class LabQueries:
    """Queries of LaboratoryService."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def get(self, asked: Asked, request: GetLaboratoryRequest) -> GetLaboratoryResponse:
        """One laboratory: every record that states it now, and its standing by all of them.

        Raises:
            Refused: The number is not given, or an argument is wrong.
            NotFound: No record states it.
            AccessDenied: None of its records may be read.
        """
        reading = self._reading
        if not cma_no_holds(request.cma_no):
            raise Refused([Problem("CMA_NO_FORMAT" if request.cma_no else "FIELD_MISSING", "cma_no")])
        uscc = checked_uscc(request.uscc, reading.node) if request.uscc else ""
        question = _question(asked, request)
        fresh = reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        with reading.node.database.read() as connection:
            found = labs.slices(connection, [(request.cma_no, uscc)]).get((request.cma_no, uscc), [])
            places = dict.fromkeys((row.origin, row.record_id, row.revision) for row in found)
            rows = [row for place in places if (row := records.of_record(connection, *place)) is not None]
            if not rows:
                raise NotFound(request.cma_no)
            denied = [reading.book.may_read(asked.caller.name, _KIND, row.area, row.tombstone) for row in rows]
            first = next((problem for problem in denied if problem), None)
            if first is not None and all(denied):
                raise AccessDenied(first)
            visible = [row for row, problem in zip(rows, denied, strict=True) if problem is None]
            views = record_views(connection, reading, visible, asked.words)
        return GetLaboratoryResponse(
            laboratories=[question.view(view) for view in views],
            standing=known_lab(found).standing_on(question.on, question.factor, question.method),
            freshness=fresh,
        )

    def page(self, asked: Asked, request: ListLaboratoriesRequest) -> ListLaboratoriesResponse:
        """A page of laboratories, newest change first.

        Raises:
            Refused: An argument is wrong.
        """
        reading = self._reading
        limit = page_size(request.page_size)
        check_enum(LabState, request.state, "state")
        check_enum(LabStanding, request.standing, "standing")
        question = _question(asked, request)
        wanted = RecordFilter(
            readable=reading.book.readable(asked.caller.name, (_KIND,)),
            kind=_KIND,
            origin=request.origin,
            subject=checked_uscc(request.uscc, reading.node) if request.uscc else "",
            area=reading.area_limit(request.area),
            state=request.state,
        )
        fresh = reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        name = f"laboratories|{question.on}|{question.factor}|{question.method}|{request.standing}"
        views, token = record_page(reading, asked, name, wanted, token=request.page_token, limit=limit)
        found = [question.view(view) for view in views if question.concerns(view)]
        shown = [view for view in found if request.standing in (0, view.standing)]
        return ListLaboratoriesResponse(laboratories=shown, next_page_token=token, freshness=fresh)


class _Question:
    """The day, factor and method that laboratories are asked for."""

    def __init__(self, on: str, factor: str, method: str) -> None:
        self.on = on
        self.factor = factor
        self.method = method_key(method)

    def concerns(self, view: RecordView) -> bool:
        """Whether a laboratory has a line of scope for the factor, whenever it holds."""
        if not self.factor:
            return True
        return view.HasField("record") and any(True for _ in self._lines(view.record.lab_qualification))

    def view(self, view: RecordView) -> LaboratoryView:
        """One record as it stood on the day; of a tombstone nothing is told."""
        made = LaboratoryView(record=view, on=self.on)
        if view.HasField("record"):
            body = view.record.lab_qualification
            made.standing = standing_on(slices_of(body), self.on, self.factor, self.method)
            made.scope.extend(line for line in self._lines(body) if _scope_slice(line).holds_on(self.on))
        return made

    def _lines(self, body: LabQualification) -> Iterator[LabScope]:
        for line in body.scope:
            fits = self.method in ("", method_key(line.method_standard))
            if not self.factor or (line.factor_code == self.factor and fits):
                yield line


def _scope_slice(line: LabScope) -> Slice:
    return Slice(kind=SliceKind.SCOPE, first=line.valid_from, last=line.valid_until)


def _question(asked: Asked, request: GetLaboratoryRequest | ListLaboratoriesRequest) -> _Question:
    """What a request asks of laboratories.

    Raises:
        Refused: The day is none, or a code is too long.
    """
    problems: list[Problem] = []
    on = request.on or asked.now.astimezone(LOCAL_TIME).date().isoformat()
    if not _is_day(on):
        problems.append(Problem("DATE_FORMAT", "on", request.on[:10]))
    for name in ("factor_code", "method_standard"):
        text: str = getattr(request, name)
        if len(text) > MAX_METHOD:
            problems.append(Problem("TEXT_TOO_LONG", name, str(len(text))))
    if request.method_standard and not request.factor_code:
        problems.append(Problem("FIELD_MISSING", "factor_code"))
    if problems:
        raise Refused(problems)
    return _Question(on, request.factor_code, request.method_standard)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
