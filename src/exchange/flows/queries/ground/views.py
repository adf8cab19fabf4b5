"""Register rows as callers see them: the record with its standing, or the tombstone that stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.instants import timestamp
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.reading import Reading
from exchange.flows.queries.ground.wording import Wording
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordRow
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Tombstone
from exchange.v1.record_service_pb2 import RecordView, Standing


def ref_of(row: RecordRow) -> RecordRef:
    """Where a row's record is addressed."""
    return RecordRef(origin=row.origin, record_id=format_id(row.record_id), revision=row.revision)


def tombstone_of(row: RecordRow) -> Tombstone:
    """What is shown of a record that was repaired, revoked, withdrawn or erased."""
    return Tombstone(
        record=ref_of(row),
        kind=row.kind,  # type: ignore[arg-type]
        reason=row.tombstone,
        since=row.tombstone_on,
    )


def record_views(
    connection: Connection,
    reading: Reading,
    rows: Sequence[RecordRow],
    words: Wording,
    bodies: Mapping[tuple[int, int], bytes] | None = None,
) -> list[RecordView]:
    """Rows as callers see them, in order. Nothing of a body leaves here when a tombstone stands for it.

    ``bodies`` are those of the rows, by log and index, where they were read already.
    """
    if bodies is None:
        bodies = records.bodies(connection, rows) if rows else {}
    return [
        _view(
            row,
            bodies.get((row.log_id, row.idx)),
            own=row.origin == reading.node.name,
            log=reading.logs.origin(connection, row.log_id),
            words=words,
        )
        for row in rows
    ]


def _view(row: RecordRow, body: bytes | None, *, own: bool, log: str, words: Wording) -> RecordView:
    decision = read_decision(row.decision)
    view = RecordView(
        ref=ref_of(row),
        kind=row.kind,  # type: ignore[arg-type]
        standing=Standing.STANDING_ORIGIN if own else Standing.STANDING_DECIDED,
        outcome=row.outcome,  # type: ignore[arg-type]
        reasons=words.reasons(decision.reasons),
        conditions=decision.conditions,  # type: ignore[arg-type]
        decision_revision=row.decision_revision,
        rule_edition=decision.edition,
        log=log,
        index=row.idx,
        logged_at=timestamp(row.logged_at),
        replaced=row.replaced,
    )
    if row.mirrored_at is not None:
        view.mirrored_at.CopyFrom(timestamp(row.mirrored_at))
    if row.tombstone:
        view.tombstone.CopyFrom(tombstone_of(row))
    elif body is not None:
        try:
            view.record.ParseFromString(body)
        except DecodeError:
            view.ClearField("content")  # answered BODY_UNREADABLE: the reasons say so
    return view
