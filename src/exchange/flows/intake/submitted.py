"""What is kept of a submission to find it again: keyed tags, at the door and, after a restore, from its entry alone."""

from __future__ import annotations

from exchange.crypto.mac import mac_by
from exchange.domain import kinds
from exchange.flows.apply.entry import read_entry
from exchange.flows.instants import micros_of
from exchange.storage.engine.transaction import NewEntry
from exchange.storage.intake.submissions import NewSubmission
from exchange.storage.logs.log_store import StoredEntry
from exchange.v1.kind_pb2 import KIND_ANSWER, KIND_ERASURE
from exchange.v1.statement_pb2 import LogEntry
from exchange.v1.submission_service_pb2 import SubmitResult

TAG_SIZE = 16
"""Bytes of natural and content tags: 128 bits, keyed."""

SUBMISSION_TAG_SIZE = 64
"""Bytes of the tag in a log entry: agency and key, then the request."""


def natural_tag(key: bytes, kind: int, natural_key: str | None) -> bytes:
    """Finds the record that states a natural key; empty for kinds that are not found by one."""
    if not natural_key or kind in (KIND_ANSWER, KIND_ERASURE):
        return b""
    return mac_by(key).of(f"natural|{kind}|{natural_key}".encode())[:TAG_SIZE]


def content_tag(key: bytes, content: bytes) -> bytes:
    """Tells whether a record says the same again."""
    return mac_by(key).of(b"content|" + content)[:TAG_SIZE]


def submission_of(key: bytes, raw: StoredEntry) -> NewSubmission | None:
    """A submission from its entry: the tag is all that tells of agency and key. None for the node's own records.

    Args:
        key: The node's submission key.
        raw: An entry of a log of its own.
    """
    read = read_entry(raw, 0)
    if read.statement is None:
        return None
    entry = LogEntry.FromString(raw.entry)
    if len(entry.submission_tag) != SUBMISSION_TAG_SIZE:
        return None
    record, statement = read.record, read.statement
    return NewSubmission(
        key_tag=entry.submission_tag[:32],
        request_tag=entry.submission_tag[32:],
        agency="",
        idempotency_key="",
        record_id=read.record_id,
        revision=statement.revision,
        kind=statement.kind,
        natural_tag=natural_tag(key, statement.kind, read.natural_key),
        content_tag=content_tag(key, kinds.content_bytes(record)) if record is not None else b"",
        authority=record.header.authority.uscc if record is not None else "",
        state=kinds.state_of(record) if record is not None else 0,
        result=SubmitResult.SUBMIT_RESULT_ACCEPTED if statement.revision == 1 else SubmitResult.SUBMIT_RESULT_REVISED,
        accepted_at=micros_of(entry.logged_at),
        logs=(),
        entry=NewEntry(b"", b""),
    )
