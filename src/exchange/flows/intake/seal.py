"""Sealing: from a record to the bytes that are signed, logged and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.crypto.dsse import make_envelope
from exchange.crypto.keys import generate_salt
from exchange.crypto.sealing import commit
from exchange.domain import kinds
from exchange.flows.context import Node
from exchange.flows.instants import micros, timestamp
from exchange.storage.engine.transaction import NewEntry
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

ENTRY_VERSION = 1
MAX_BODY_BYTES = 1 << 20
"""Protocol constant: a body has at most 1 MiB."""

MAX_ENTRY_BYTES = 65_535
"""Protocol constant: an entry's length fits the two bytes of C2SP tlog-tiles."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed record: its envelope's bytes and the entry to append."""

    envelope: bytes
    salt: bytes
    entry: NewEntry


def seal(
    node: Node,
    record: Record,
    addressees: Sequence[str],
    now: datetime,
    *,
    salt: bytes = b"",
    tag: bytes = b"",
) -> Sealed:
    """Seal a record that has its record id and revision.

    Args:
        node: Whose region states it.
        record: Serialized here, once; nobody serializes it again to verify.
        addressees: Nodes it is for; none for a local record.
        now: Stated and logged time.
        salt: Proposed by the caller; drawn when empty.
        tag: Submission tag, or empty for records that the node makes itself.
    """
    body = record.SerializeToString(deterministic=True)
    salt = salt or generate_salt()
    kind = kinds.kind_of(record)
    statement = Statement(
        federation=node.federation,
        origin=node.name,
        addressees=sorted(addressees),
        record_id=record.header.record_id,
        revision=record.header.revision,
        kind=kind,
        stated_at=timestamp(micros(now)),
        body_size=len(body),
        commitments=[commit(salt, body, algorithm) for algorithm in node.commitments],
        erasure_class=kinds.spec(kind).erasure_class_of(record),
    )
    envelope = make_envelope(statement.SerializeToString(), node.keys.signers)
    return seal_statement(envelope, body, salt, now, tag)


def seal_statement(envelope: Envelope, body: bytes, salt: bytes, now: datetime, tag: bytes) -> Sealed:
    """Make the log entry of a signed envelope."""
    envelope_bytes = envelope.SerializeToString()
    entry = LogEntry(
        version=ENTRY_VERSION, envelope=envelope_bytes, logged_at=timestamp(micros(now)), submission_tag=tag
    )
    return Sealed(envelope_bytes, salt, NewEntry.of(entry.SerializeToString(), salt, body))
