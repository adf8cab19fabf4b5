"""Sealing: from a record to the bytes that are signed, logged and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from exchange.crypto.dsse import PAYLOAD_TYPE, sign_all
from exchange.crypto.keys import generate_salt
from exchange.crypto.sealing import commit
from exchange.domain import kinds
from exchange.flows.context import Node
from exchange.flows.instants import micros, timestamp
from exchange.storage.engine.transaction import NewEntry
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Signature, Statement

ENTRY_VERSION = 1
MAX_BODY_BYTES = 1 << 20
"""Protocol constant: a body has at most 1 MiB."""

MAX_ENTRY_BYTES = 65_535
"""Protocol constant: an entry's length fits the two bytes of C2SP tlog-tiles."""


class Draft(NamedTuple):
    """What is to be signed and logged.

    Attributes:
        payload: The statement's bytes.
        salt: Of the body.
        tag: Submission tag, or empty for records that the node makes itself.
        signatures: Those that it brings: they stand behind ours.
    """

    payload: bytes
    body: bytes
    salt: bytes
    tag: bytes
    signatures: Sequence[Signature] = ()


class Sealed(NamedTuple):
    """A sealed record: its envelope's bytes and the entry to append."""

    envelope: bytes
    salt: bytes
    entry: NewEntry


def draft(
    node: Node,
    record: Record,
    addressees: Sequence[str],
    now: datetime,
    *,
    salt: bytes = b"",
    tag: bytes = b"",
) -> Draft:
    """The statement of a record that has its record id and revision.

    Args:
        node: Whose region states it.
        record: Serialized here, once; nobody serializes it again to verify.
        addressees: Nodes it is for; none for a local record.
        now: Stated time.
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
    return Draft(statement.SerializeToString(), body, salt, tag)


def seal_all(node: Node, drafts: Sequence[Draft], now: datetime) -> list[Sealed]:
    """Sign drafts and make their log entries.

    Args:
        node: Whose keys sign.
        drafts: What is signed, all of it together.
        now: Logged time.
    """
    logged_at = timestamp(micros(now))
    sealed = []
    for each, own in zip(drafts, sign_all([each.payload for each in drafts], node.keys.signers), strict=True):
        # The region's signatures stand first: a peer that knows no key of the others waits for one of these.
        envelope = Envelope(payload=each.payload, payload_type=PAYLOAD_TYPE, signatures=[*own, *each.signatures])
        data = envelope.SerializeToString()
        entry = LogEntry(version=ENTRY_VERSION, envelope=data, logged_at=logged_at, submission_tag=each.tag)
        sealed.append(Sealed(data, each.salt, NewEntry.of(entry.SerializeToString(), each.salt, each.body)))
    return sealed


def seal(
    node: Node,
    record: Record,
    addressees: Sequence[str],
    now: datetime,
    *,
    salt: bytes = b"",
    tag: bytes = b"",
) -> Sealed:
    """Seal one record that has its record id and revision; what is given is as for ``draft``."""
    return seal_all(node, [draft(node, record, addressees, now, salt=salt, tag=tag)], now)[0]
