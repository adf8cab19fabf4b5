"""Which record a submission states, and as which revision: new, the next one of a known record, or unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from exchange.domain import lifecycles
from exchange.domain.problems import Problem
from exchange.domain.record_index import raw_id
from exchange.flows.intake.ids import format_id, new_raw_id
from exchange.flows.intake.item import Item
from exchange.storage.engine.database import Connection
from exchange.storage.intake.submissions import SubmissionRow
from exchange.storage.logs import log_store
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import SubmitResult


def complete(
    item: Item,
    natural: Mapping[bytes, SubmissionRow],
    newest: Mapping[bytes, SubmissionRow],
    now: datetime,
) -> SubmissionRow | None:
    """1: which record and revision this is.

    Its header gets id and revision; why it may not be that is among its problems.

    Args:
        item: The record.
        natural: Newest submission by tag of a natural key.
        newest: Newest submission by record id.
        now: When it came.

    Returns:
        The existing record when a row, or a record that the agency sealed under a new id, says the same again.
    """
    header, line = item.record.header, item.line
    assert line is not None
    kind, state = line.kind, line.state(item.record)
    given = raw_id(item.given_id)
    holder = natural.get(item.natural_tag) if item.natural_tag else None
    by_row = item.row is not None
    if by_row and holder is not None:
        previous: SubmissionRow | None = newest[holder.record_id]
    else:
        previous = newest.get(given) if given else None
    if previous is None:
        # A form goes on with what was stated before: it begins no record under an id of its own.
        unknown = [item.given_id] if by_row and item.given_id else []
        item.problems += [Problem("NOT_FOUND", "header.record_id", each) for each in unknown]
    elif by_row and previous.content_tag == item.content_tag:
        return previous
    elif previous.authority != header.authority.uscc:
        item.problems.append(Problem("NOT_YOURS", "header.authority", format_id(previous.record_id)))
    if not by_row and holder is not None and holder.record_id != given:
        item.taken_by = newest[holder.record_id]
        if item.sealed is not None and previous is None and item.taken_by.content_tag == item.content_tag:
            return item.taken_by
        item.problems.append(Problem("NATURAL_KEY_TAKEN", "header.record_id", format_id(holder.record_id)))
    if previous is None:
        revision = 1
        item.raw_id = given
        if not item.given_id:
            item.raw_id = new_raw_id(now)
            header.record_id = format_id(item.raw_id)
        if not lifecycles.may_enter(kind, state):
            item.problems.append(Problem("STATE_NOT_ENTRY", "state"))
    else:
        header.record_id, item.raw_id = format_id(previous.record_id), previous.record_id
        revision = previous.revision + 1
        item.result = SubmitResult.SUBMIT_RESULT_REVISED
        item.problems += _about_revision(previous, kind, state)
    before = natural.get(item.before_tag) if item.before_tag else None
    if item.before_tag and before is None:
        item.problems.append(Problem("EARLIER_REPORT_MISSING", "record"))
    elif not lifecycles.may_succeed(kind, before.state if before is not None else None, state):
        item.problems.append(Problem("STATE_NOT_ALLOWED", "state"))
    if item.given_revision not in (0, revision):
        item.problems.append(Problem("REVISION_NOT_NEXT", "header.revision", str(revision)))
    header.revision = revision
    return None


def report_before(connection: Connection, item: Item, natural: Mapping[bytes, SubmissionRow]) -> Record | None:
    """The report before one of a succession, or of the first its own earlier revision; None without a text."""
    row = natural.get(item.before_tag or item.natural_tag)
    for address in row.addresses[:1] if row is not None else ():
        found = log_store.entries_at(connection, address.log_id, [address.index]).get(address.index)
        return Record.FromString(found.body) if found is not None and found.body is not None else None
    return None


def _about_revision(previous: SubmissionRow, kind: Kind.ValueType, state: int) -> list[Problem]:
    """Why a record may not be revised to a state, if it may not."""
    if previous.content_tag == b"":
        return [Problem("ERASED", "header.record_id")]
    if previous.kind != kind:
        return [Problem("KIND_CHANGED", "record")]
    return [] if lifecycles.may_follow(kind, previous.state, state) else [Problem("STATE_NOT_ALLOWED", "state")]
