"""Credit standings and results of both regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exchange.domain.codes import normalise, uscc_reasons
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.context import Node
from exchange.flows.queries.exchanged.records import check_enum, record_page
from exchange.flows.queries.ground.freshness import stale_peers
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import record_views
from exchange.storage.queries import records
from exchange.storage.queries.records import RecordFilter, RecordRow
from exchange.v1.check_service_pb2 import RegionalLevel
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.credit_service_pb2 import (
    GetCreditStandingRequest,
    GetCreditStandingResponse,
    Knowledge,
    ListCreditResultsRequest,
    ListCreditResultsResponse,
    RegionalStanding,
)
from exchange.v1.freshness_pb2 import Freshness
from exchange.v1.kind_pb2 import Condition, Kind, Lane, Outcome
from exchange.v1.record_service_pb2 import RecordView

MAX_SUBJECT_ROWS = 1_000
"""Rows of one subject that are looked at: decades of yearly results of a hundred units."""

_NOT_EVALUATED = CreditLevel.CREDIT_LEVEL_NOT_EVALUATED
_COUNTS = (Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL)


class CreditQueries:
    """Queries of CreditService."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def standing(self, asked: Asked, request: GetCreditStandingRequest) -> GetCreditStandingResponse:
        """A firm's standing in both regions.

        Raises:
            Refused: The USCC is wrong.
            AccessDenied: Nothing of what is known may be read.
        """
        reading = self._reading
        uscc = checked_uscc(request.uscc, reading.node)
        fresh = reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        with reading.node.database.read() as connection:
            found, bodies = records.of_subjects(connection, (uscc,), (Kind.KIND_CREDIT_RESULT,), MAX_SUBJECT_ROWS)
            visible = self._visible(asked, found[uscc])
            views = record_views(connection, reading, visible, asked.words, bodies)
        regions = regional_standings(reading.node, visible, views, fresh)
        return GetCreditStandingResponse(regions=regions, freshness=fresh)

    def page(self, asked: Asked, request: ListCreditResultsRequest) -> ListCreditResultsResponse:
        """A page of credit results, newest change first."""
        limit = page_size(request.page_size)
        check_enum(CreditLevel, request.level, "level")
        wanted = RecordFilter(
            readable=self._reading.book.readable(asked.caller.name, (Kind.KIND_CREDIT_RESULT,)),
            kind=Kind.KIND_CREDIT_RESULT,
            origin=request.origin,
            subject=request.uscc,
            area=self._reading.area_limit(request.area),
            level=request.level,
            year=request.evaluation_year,
        )
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        views, token = record_page(self._reading, asked, "credit", wanted, token=request.page_token, limit=limit)
        return ListCreditResultsResponse(results=views, next_page_token=token, freshness=fresh)

    def _visible(self, asked: Asked, rows: Sequence[RecordRow]) -> list[RecordRow]:
        book, agency = self._reading.book, asked.caller.name
        if not book.readable(agency, (Kind.KIND_CREDIT_RESULT,)):
            raise AccessDenied(Problem("NO_GRANT", "", "READ CreditResult"))
        denied = [book.may_read(agency, row.kind, row.area, row.tombstone) for row in rows]
        first = next((problem for problem in denied if problem), None)
        if first is not None and all(denied):
            raise AccessDenied(first)
        return [row for row, problem in zip(rows, denied, strict=True) if problem is None]


def checked_uscc(text: str, node: Node, place: str = "uscc") -> str:
    """A subject's USCC, normalised.

    Raises:
        Refused: Missing or wrong, with every reason.
    """
    code = normalise(text)
    reasons = uscc_reasons(code, node.tables.accepted_codes) if code else ("FIELD_MISSING",)
    if reasons:
        raise Refused([Problem(reason, place, code[:18]) for reason in reasons])
    return code


def regions_of(node: Node, rows: Iterable[RecordRow]) -> list[str]:
    """Regions that an answer speaks of: this node first, then its peers and whoever else stated something."""
    return [node.name, *sorted({*node.peers.names(), *(row.origin for row in rows)} - {node.name})]


def regional_standings(
    node: Node, rows: Sequence[RecordRow], views: Sequence[RecordView], fresh: Sequence[Freshness]
) -> list[RegionalStanding]:
    """Standings by region, this node's first, from live rows and tombstones of credit results and their views."""
    stale = stale_peers(fresh, Lane.LANE_REGISTRY)
    shown = {row.seq: view for row, view in zip(rows, views, strict=True)}
    regions = []
    for origin in regions_of(node, rows):
        chosen = newest_results([row for row in rows if row.origin == origin])
        region = RegionalStanding(
            origin=origin,
            knowledge=knowledge_of_region(chosen, stale=stale.get(origin, False)),
            results=[shown[row.seq] for row in chosen],
        )
        # The enumeration goes from the best level to the worst.
        region.decisive_level = max((row.level for row in counting(node, chosen)), default=0)  # type: ignore[assignment]
        regions.append(region)
    return regions


def decisive_of(regions: Iterable[RegionalStanding | RegionalLevel]) -> int:
    """The lowest level over all regions; 0 where none counts. Never an average."""
    return max((region.decisive_level for region in regions), default=0)


def knowledge_of_region(chosen: Sequence[RecordRow], *, stale: bool) -> Knowledge.ValueType:
    """What is known in one region: that a firm was not evaluated is another thing than that nothing is known of it."""
    if chosen and all(row.level == _NOT_EVALUATED for row in chosen):
        return Knowledge.KNOWLEDGE_NOT_EVALUATED
    return knowledge(found=bool(chosen), stale=stale)


def knowledge(*, found: bool, stale: bool) -> Knowledge.ValueType:
    """What is known: to have found nothing means something only where the answer is complete."""
    if found:
        return Knowledge.KNOWLEDGE_FOUND
    return Knowledge.KNOWLEDGE_PEER_STALE if stale else Knowledge.KNOWLEDGE_NO_RECORD


def newest_results(rows: Sequence[RecordRow]) -> list[RecordRow]:
    """The newest result of each unit and authority, newest first."""
    newest: dict[tuple[str, str], RecordRow] = {}
    for row in rows:
        # uscc | permit | year | authority: the year is what newest is about.
        parts = row.natural_key.split("|")
        unit = (parts[1] if len(parts) == 4 else "", row.authority)
        held = newest.get(unit)
        if held is None or _age(row) > _age(held):
            newest[unit] = row
    return sorted(newest.values(), key=_age, reverse=True)


def _age(row: RecordRow) -> tuple[int, str, int]:
    return (row.year, row.sort_on, row.seq)


def standing_results(node: Node, rows: Sequence[RecordRow]) -> list[RecordRow]:
    """What a firm's standing rests on in all regions: of each unit and authority the newest result, where it counts."""
    by_region = ([row for row in rows if row.origin == origin] for origin in regions_of(node, rows))
    return [row for own in by_region for row in counting(node, newest_results(own))]


def counting(node: Node, rows: Iterable[RecordRow]) -> list[RecordRow]:
    """Results that have effect here: an evaluation, final, not ended, and recognised for more than display."""
    return [row for row in rows if row.level != _NOT_EVALUATED and _counts(node, row)]


def _counts(node: Node, row: RecordRow) -> bool:
    """Whether a result has effect here: final, not ended, and recognised without being for display only."""
    if row.tombstone or row.replaced or row.state != CreditState.CREDIT_STATE_FINAL:
        return False
    if row.origin == node.name:
        return True
    return row.outcome in _COUNTS and (Condition.CONDITION_DISPLAY_ONLY not in read_decision(row.decision).conditions)
