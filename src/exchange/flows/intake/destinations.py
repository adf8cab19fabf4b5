"""Where a record goes: addressees, lane and logs, by what it touches and what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.domain import kinds, lifecycles
from exchange.domain.problems import Problem
from exchange.domain.record_index import raw_id
from exchange.domain.references import misfit
from exchange.flows.apply.changes.ending import notices_of, outlives
from exchange.flows.apply.deciding.judge import effective, left_in
from exchange.flows.context import Node
from exchange.flows.intake.item import Item
from exchange.storage.engine.database import Connection
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import SubmissionRow
from exchange.storage.logs import log_store
from exchange.storage.registers import registers
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import LANE_REGISTRY
from exchange.v1.record_pb2 import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the node knows of the records that a round's records name.

    Attributes:
        newest: Newest submission of each own record.
        rows: Register rows by origin and record id, all revisions in order.
        lanes: Lane of each log by its id.
    """

    newest: Mapping[bytes, SubmissionRow]
    rows: Mapping[tuple[str, bytes], Sequence[Mapping[str, Any]]]
    lanes: Mapping[int, int]
    logs: log_store.CurrentOrigins

    def revisions(self, origin: str, record_id: bytes) -> Sequence[Mapping[str, Any]]:
        """Register rows of a record, in order of revision."""
        return self.rows.get((origin, record_id), ())


@dataclass(slots=True)
class Destination:
    """Where a record goes, or why it may not go."""

    addressees: tuple[str, ...]
    origins: tuple[str, ...]
    lane: int
    problems: list[Problem]


def read_known(connection: Connection, node: Node, items: Sequence[Item], wanted: set[bytes]) -> Known:
    """Read what some records name.

    Args:
        connection: Where.
        node: The node.
        items: The records.
        wanted: Own records that are looked for beside those.
    """
    pairs: set[tuple[str, bytes]] = set()
    own = set(wanted)
    for item in items:
        touched, _, about = item.named
        own.update([raw_id(ref.record_id) for ref in touched])
        if about is not None:
            raw = raw_id(about.record_id)
            pairs.add((about.origin or node.name, raw))
            if about.origin in ("", node.name):
                own.add(raw)
        if item.given_id:
            pairs.add((node.name, raw_id(item.given_id)))
    pairs |= {(node.name, each) for each in wanted}
    pairs = {pair for pair in pairs if pair[1]}
    rows = registers.records_of(connection, pairs) if pairs else {}
    if any(item.record.HasField("erasure") for item in items):
        rows |= registers.records_of(connection, notices_of(rows) - rows.keys())
    return Known(
        newest=submissions.newest_by_record_ids(connection, own),
        rows=rows,
        lanes={log.id: log.lane for log in log_store.heads(connection)} if pairs else {},
        logs=log_store.current_origins(connection),
    )


def destination_of(node: Node, item: Item, known: Known) -> Destination:
    """Where a record goes: what touches another one goes wherever that went, what speaks of one goes to its origin."""
    record, line = item.record, item.line
    assert line is not None
    touched, spoken, about = item.named
    problems: list[Problem] = []
    rows: list[SubmissionRow] = []
    for reference in touched:
        row = known.newest.get(raw_id(reference.record_id))
        problem = _touching(node, record, reference, row)
        if problem:
            problems.append(Problem(problem, "record", reference.record_id[:36]))
        if row:
            rows.append(row)
    lanes: list[int] = []
    origins_of: set[str] = set()
    if spoken is not None:
        row, lane = _spoken_row(node, spoken, known)
        if row:
            rows.append(row)
        if lane:
            lanes.append(lane)
        if not (row or lane):
            problems.append(Problem("REFERENCE_UNKNOWN", "record", spoken.record_id[:36]))
        if spoken.origin not in ("", node.name):
            origins_of.add(spoken.origin)
    if about is not None:
        problems += _fitting(node, record, about, known)
    problems += _ended(node, item, known)
    previous = known.newest.get(item.raw_id)
    if previous:
        rows.append(previous)
    lanes += [lane for row in rows for lane in known.logs.lanes_of(row)]
    lane = kinds.lane_of(line.kind, next(iter(lanes), LANE_REGISTRY))  # type: ignore[arg-type]
    earlier = {peer for row in rows for peer in known.logs.peers_of(row)} | origins_of
    if item.local_only and not earlier:
        return Destination((), (known.logs.local,), lane, problems)
    peers = sorted({*(item.addressees or (() if item.local_only else node.peers.names())), *earlier})
    origins = []
    for peer in peers:
        origin = known.logs.outbound.get((peer, lane))
        if origin is None:
            problems.append(Problem("ADDRESSEE_UNKNOWN", "addressees", peer))
        else:
            origins.append(origin)
    return Destination(tuple(peers), tuple(origins), lane, problems)


def _touching(node: Node, record: Record, reference: RecordRef, row: SubmissionRow | None) -> str:
    if reference.origin not in ("", node.name):
        return "NOT_YOURS"
    if row is None:
        return "REFERENCE_UNKNOWN"
    return "" if node.tables.superiors.may_touch(record.header.authority.uscc, row.authority) else "NOT_YOURS"


def _spoken_row(node: Node, reference: RecordRef, known: Known) -> tuple[SubmissionRow | None, int]:
    """The own submission that is spoken of, or the lane in which another's record arrived."""
    raw = raw_id(reference.record_id)
    if reference.origin in ("", node.name):
        return known.newest.get(raw), 0
    rows = known.rows.get((reference.origin, raw), ())
    return None, known.lanes.get(rows[-1]["log_id"], 0) if rows else 0


def _ended(node: Node, item: Item, known: Known) -> list[Problem]:
    """What an act ended goes on only as that allows; an act is erased only after its notice."""
    record, line = item.record, item.line
    assert line is not None
    if record.HasField("erasure"):
        early = outlives(known, node.name, raw_id(record.erasure.record.record_id))
        return [Problem("ERASE_NOTICE_FIRST", "erasure.record")] if early else []
    rows = known.revisions(node.name, item.raw_id)
    standing = effective(rows)
    if standing is None or not standing["tombstone"] or standing["tombstone"] == standing["own_end"]:
        return []
    allowed = lifecycles.may_follow(line.kind, left_in(standing), line.state(record))
    return [] if allowed else [Problem("STATE_NOT_ALLOWED", "state", standing["tombstone"])]


def _fitting(node: Node, record: Record, about: RecordRef, known: Known) -> list[Problem]:
    raw = raw_id(about.record_id)
    rows = known.rows.get((about.origin or node.name, raw), ())
    submitted = known.newest.get(raw) if about.origin in ("", node.name) else None
    kind = rows[-1]["kind"] if rows else submitted.kind if submitted is not None else 0
    reason = misfit(record, kind, rows[-1]["subject"] if rows else "")
    return [Problem(reason, "record", about.record_id[:36])] if reason else []
