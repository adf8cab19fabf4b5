"""One record on its way through the door, and how it comes there: typed, sealed by its agency, or of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.message import DecodeError

from exchange.crypto.dsse import PAYLOAD_TYPE
from exchange.crypto.sealing import matches
from exchange.domain import kinds
from exchange.domain.problems import Problem
from exchange.domain.record_index import raw_id
from exchange.domain.references import NOTHING_NAMED, Named
from exchange.flows.context import Node
from exchange.flows.instants import is_instant, micros, micros_of
from exchange.flows.intake.seal import Sealed
from exchange.storage.intake.submissions import NewSubmission, SubmissionRow
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, SealedRecord, Statement
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult

MAX_KEY_LENGTH = 64
"""Characters of an idempotency key (contract §5)."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far an agency's clock may run ahead of ours."""

MAX_SIGNATURES = 4
"""Signatures that a finished envelope may bring: the agency's own, of two algorithms, and room for one change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSubmission:
    """One mapped row of a native document."""

    key: str
    record: Record
    addressees: Sequence[str] = ()
    local_only: bool = False
    document_id: bytes = b""
    row: int = 0


@dataclass(slots=True, kw_only=True)
class Item:
    """One record on its way through the door.

    Attributes:
        line: Of the table of kinds; None when the record says nothing, and then that is among its problems.
        raw_id: Its record id as bytes, once it has one.
        named: The records that it names.
    """

    slot: int
    key: str
    record: Record
    line: kinds.KindSpec | None
    request: bytes
    addressees: tuple[str, ...]
    local_only: bool
    given_id: str = ""
    raw_id: bytes = b""
    named: Named = NOTHING_NAMED
    given_revision: int = 0
    salt: bytes = b""
    sealed: Envelope | None = None
    sealed_body: bytes = b""
    document_id: bytes | None = None
    row: int | None = None
    tag: bytes = b""
    natural_tag: bytes = b""
    before_tag: bytes = b""
    agreeing: bool = False
    content_tag: bytes = b""
    problems: list[Problem] = field(default_factory=list)
    taken_by: SubmissionRow | None = None
    result: int = SubmitResult.SUBMIT_RESULT_ACCEPTED
    ready: Sealed | None = None
    new: NewSubmission | None = None


def open_row(slot: int, row: RowSubmission) -> Item:
    """A mapped row of a document."""
    return Item(
        slot=slot,
        key=row.key,
        record=row.record,
        line=kinds.spec_of(row.record),
        request=kinds.content_bytes(row.record),
        given_id=row.record.header.record_id,
        addressees=tuple(row.addressees),
        local_only=row.local_only,
        document_id=row.document_id,
        row=row.row,
    )


def open_typed(node: Node, slot: int, item: RecordSubmission, now: datetime) -> Item:
    """A typed or sealed record as it came; what is wrong with its wrapping is among its problems.

    Args:
        node: The node.
        slot: Its place in the call.
        item: What was sent.
        now: When it came.
    """
    key = item.idempotency_key
    item.idempotency_key = ""  # what is asked, apart from its name
    request = item.SerializeToString(deterministic=True)
    item.idempotency_key = key
    candidate = Item(
        slot=slot,
        key=key,
        record=item.record,
        line=kinds.spec_of(item.record),
        request=request,
        addressees=tuple(item.addressees),
        local_only=item.local_only,
        salt=item.salt,
    )
    if not key:
        candidate.problems.append(Problem("IDEMPOTENCY_KEY_MISSING", "idempotency_key"))
    elif len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        candidate.problems.append(Problem("IDEMPOTENCY_KEY_FORMAT", "idempotency_key"))
    if item.salt and len(item.salt) != 32:
        candidate.problems.append(Problem("SALT_LENGTH", "salt", str(len(item.salt))))
    if item.HasField("sealed"):
        _open_sealed(node, candidate, item.sealed, now)
    elif not item.HasField("record"):
        candidate.problems.append(Problem("FIELD_MISSING", "record"))
    candidate.given_id = candidate.record.header.record_id
    candidate.given_revision = candidate.record.header.revision
    return candidate


def _open_sealed(node: Node, candidate: Item, sealed: SealedRecord, now: datetime) -> None:
    """A finished envelope: what it states must be what its body says, for this node, to these addressees.

    Whose signatures they are is for ``authorise`` to say; the node's own is added by nobody but the node.
    """
    try:
        envelope = Envelope.FromString(sealed.envelope)
        statement = Statement.FromString(envelope.payload)
        candidate.record = Record.FromString(sealed.body.record)
        candidate.line = kinds.spec_of(candidate.record)
    except DecodeError:
        candidate.problems.append(Problem("MALFORMED_MESSAGE", "sealed"))
        candidate.record, candidate.line = Record(), None
        return
    header = candidate.record.header
    latest = micros(now + CLOCK_TOLERANCE)
    own, named = {each.keyid for each in node.keys.signers}, {each.keyid for each in envelope.signatures}
    # With ours the envelope must still be one that peers read.
    room = MAX_SIGNATURES - len(own)
    wrong = [
        name
        for name, holds in (
            ("federation", statement.federation == node.federation),
            ("origin", statement.origin == node.name),
            ("kind", statement.kind == kinds.kind_of(candidate.record)),
            ("record_id", statement.record_id == header.record_id and bool(raw_id(header.record_id))),
            ("revision", statement.revision == header.revision and header.revision >= 1),
            ("commitments", matches(statement, sealed.body.record, sealed.body.salt)),
            ("erasure_class", statement.erasure_class == kinds.erasure_class_of(candidate.record)),
            ("addressees", list(statement.addressees) == sorted(set(statement.addressees))),
            ("stated_at", is_instant(statement.stated_at) and micros_of(statement.stated_at) <= latest),
            ("payload_type", envelope.payload_type == PAYLOAD_TYPE),
            ("signatures", 1 <= len(envelope.signatures) <= room and own.isdisjoint(named)),
        )
        if not holds
    ]
    candidate.problems += [Problem("SEALED_STATEMENT", f"sealed.{name}") for name in wrong]
    candidate.sealed = envelope
    candidate.sealed_body = sealed.body.record
    candidate.salt = sealed.body.salt
    candidate.addressees = tuple(statement.addressees)
    candidate.local_only = not statement.addressees
    # Who signs again after a crash draws another id, salt and time: the same call is the one that says the same.
    said = kinds.content_bytes(candidate.record)
    candidate.request = b"sealed\0%b\0%b" % (",".join(statement.addressees).encode(), said)
