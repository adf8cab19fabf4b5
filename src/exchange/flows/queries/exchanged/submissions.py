"""What became of what an agency handed in: per addressee, set-based for a page."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.crypto.keys import submission_tag
from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import is_recognised_kind, raw_id
from exchange.flows.access import AccessDenied, NotFound
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.instants import timestamp
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.exchanged.records import check_enum
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.wording import Wording
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import Address, SubmissionRow
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import CurrentOrigins
from exchange.storage.queries import Connection, outcomes, records
from exchange.storage.queries.outcomes import EntryFate
from exchange.tlog import proof, tree
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.submission_pb2 import AddresseeStatus, Submission, SubmissionState
from exchange.v1.submission_service_pb2 import (
    GetReceiptRequest,
    GetReceiptResponse,
    GetSubmissionRequest,
    GetSubmissionResponse,
    ListSubmissionsRequest,
    ListSubmissionsResponse,
)

MAX_LOOKED_AT = 2_000
"""Submissions looked at for one page of a state: a page may be shorter than asked, and its token goes on behind."""

KEY_TAG_SIZE = 32
"""Bytes of a submission tag that name agency and key."""

_STATE_OF = {
    Outcome.OUTCOME_FULL: SubmissionState.SUBMISSION_STATE_RECOGNISED,
    Outcome.OUTCOME_CONDITIONAL: SubmissionState.SUBMISSION_STATE_CONDITIONAL,
    Outcome.OUTCOME_DEFERRED: SubmissionState.SUBMISSION_STATE_DEFERRED,
    Outcome.OUTCOME_NOT_RECOGNISED: SubmissionState.SUBMISSION_STATE_NOT_RECOGNISED,
}


class ReceiptPending(NotFound):
    """The addressee has not cosigned the entry yet."""

    reason = "RECEIPT_PENDING"


class SubmissionQueries:
    """Queries of SubmissionService. An agency sees its own submissions and nothing else."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def get(self, asked: Asked, request: GetSubmissionRequest) -> GetSubmissionResponse:
        """One submission.

        Raises:
            Refused: No key, or an ill-formed one.
            NotFound: The caller has no such submission.
        """
        with self._reading.node.database.read() as connection:
            if request.WhichOneof("key") == "idempotency_key":
                row = self._by_key(connection, asked.caller.name, request.idempotency_key)
            else:
                row = submissions.of_record(connection, _record_id(request.record_id), 0)
                if row is not None and row.agency != asked.caller.name:
                    row = None
            if row is None:
                raise NotFound
            found = submission_messages(connection, [row], asked.words)
        return GetSubmissionResponse(submission=found[0])

    def _by_key(self, connection: Connection, agency: str, key: str) -> SubmissionRow | None:
        # The tag proves agency and key, also where a restore took both from the row.
        tag = submission_tag(self._reading.node.keys.submission_key, agency, key, b"")[:KEY_TAG_SIZE]
        return submissions.by_key_tags(connection, [tag]).get(tag)

    def page(self, asked: Asked, request: ListSubmissionsRequest) -> ListSubmissionsResponse:
        """A page of the caller's submissions, newest first."""
        limit = page_size(request.page_size)
        check_enum(SubmissionState, request.state, "state")
        check_enum(Kind, request.kind, "kind")
        document_id = _record_id(request.document_id, "document_id") if request.document_id else None
        question = f"submissions|{asked.caller}|{request.state}|{request.kind}|{request.document_id}"
        before = self._reading.tokens.read(question, request.page_token)
        found: list[Submission] = []
        token = ""
        looked_at = 0
        while True:
            with self._reading.node.database.read() as connection:
                rows = submissions.page(
                    connection,
                    asked.caller.name,
                    before=before,
                    limit=limit + 1,
                    kind=request.kind,
                    document_id=document_id,
                )
                messages = submission_messages(connection, rows[:limit], asked.words)
            more = len(rows) > limit
            for row, message in zip(rows, messages, strict=False):
                before = row.seq
                if request.state and all(each.state != request.state for each in message.addressees):
                    continue
                found.append(message)
                if len(found) == limit:
                    more = more or row.seq != rows[len(messages) - 1].seq
                    break
            looked_at += len(messages)
            if not more or len(found) == limit or looked_at >= MAX_LOOKED_AT:
                if more:
                    token = self._reading.tokens.make(question, before)
                return ListSubmissionsResponse(submissions=found, next_page_token=token)

    def receipt(self, asked: Asked, request: GetReceiptRequest) -> GetReceiptResponse:
        """The receipt of a delivered submission, which can be checked alone.

        Raises:
            Refused: The record id is ill-formed, or several addressees and none is named.
            NotFound: The caller has no such submission.
            ReceiptPending: It was not cosigned yet.
        """
        with self._reading.node.database.read() as connection:
            row = submissions.of_record(connection, _record_id(request.record_id), max(0, request.revision))
            if row is None or (asked.caller.role is Role.AGENCY and row.agency != asked.caller.name):
                raise NotFound
            origins = log_store.current_origins(connection)
            address = _address_of(row, origins, request.addressee)
            receipt, entry = make_receipt(connection, address.log_id, address.index)
        if receipt is None:
            raise ReceiptPending
        return GetReceiptResponse(receipt=receipt.decode(), entry=entry)


def make_receipt(connection: Connection, log_id: int, index: int) -> tuple[bytes | None, bytes]:
    """A tlog-proof under the first cosigned checkpoint that covers an entry, and the entry's bytes.

    The proof is None while no checkpoint covers it.
    """
    stored = log_store.entries_at(connection, log_id, [index])[index]
    note = log_store.first_checkpoint_covering(connection, log_id, index + 1)
    if note is None:
        return None, stored.entry
    hashes = tree.inclusion_proof(index, note.size, log_store.node_reader(connection, log_id))
    return proof.Receipt(index, tuple(hashes), note.note, stored.entry).to_bytes(), stored.entry


def _address_of(row: SubmissionRow, origins: CurrentOrigins, addressee: str) -> Address:
    by_peer = {origins.by_id[address.log_id][0]: address for address in row.addresses}
    if addressee:
        if addressee not in by_peer:
            raise AccessDenied(Problem("NOT_ADDRESSED", "addressee", addressee[:64]))
        return by_peer[addressee]
    if len(by_peer) != 1:
        raise Refused([Problem("FIELD_MISSING", "addressee", ", ".join(sorted(by_peer)))])
    return next(iter(by_peer.values()))


def _record_id(text: str, place: str = "record_id") -> bytes:
    raw = raw_id(text)
    if not raw:
        raise Refused([Problem("RECORD_ID_FORMAT" if text else "FIELD_MISSING", place, text[:36])])
    return raw


def submission_messages(connection: Connection, rows: Sequence[SubmissionRow], words: Wording) -> list[Submission]:
    """Submissions with what became of them, in order; three queries for each log, however many rows."""
    if not rows:
        return []
    places: dict[int, list[int]] = {}
    for row in rows:
        for address in row.addresses:
            places.setdefault(address.log_id, []).append(address.index)
    fates = {log_id: outcomes.fates(connection, log_id, indices) for log_id, indices in places.items()}
    logs = records.origins(connection)
    peers = log_store.current_origins(connection).by_id
    messages = []
    for row in rows:
        message = Submission(
            record_id=format_id(row.record_id),
            revision=row.revision,
            kind=row.kind,  # type: ignore[arg-type]
            agency=row.agency or "",
            idempotency_key=row.idempotency_key or "",
            accepted_at=timestamp(row.accepted_at),
            document_id=format_id(row.document_id) if row.document_id else "",
            row=row.document_row or 0,
        )
        for address in row.addresses:
            fate = fates[address.log_id].get(address.index)
            if fate is not None:
                message.addressees.append(
                    _status(row, address, fate, peer=peers[address.log_id][0], logs=logs, words=words)
                )
        messages.append(message)
    return messages


def _status(
    row: SubmissionRow, address: Address, fate: EntryFate, *, peer: str, logs: dict[int, str], words: Wording
) -> AddresseeStatus:
    status = AddresseeStatus(
        addressee=peer,
        state=SubmissionState.SUBMISSION_STATE_ACCEPTED,
        log=logs[address.log_id],
        index=address.index,
        logged_at=timestamp(row.accepted_at),
    )
    # What nobody is addressed by in the local log is witnessed, and delivered to nobody.
    if fate.delivered_at is None or not peer:
        return status
    status.state = SubmissionState.SUBMISSION_STATE_DELIVERED
    status.delivered_at.CopyFrom(timestamp(fate.delivered_at))
    decision = fate.decision
    # A range speaks of the kinds that are decided about; what is no such kind stands in a decision only when refused.
    if decision is not None and (decision.item or is_recognised_kind(row.kind)):  # type: ignore[arg-type]
        view = read_decision(decision.decision)
        status.state = _STATE_OF.get(decision.outcome, SubmissionState.SUBMISSION_STATE_DELIVERED)  # type: ignore[call-overload]
        status.outcome = decision.outcome  # type: ignore[assignment]
        status.reasons.extend(words.reasons(view.reasons))
        status.conditions.extend(view.conditions)  # type: ignore[arg-type]
        status.waits_for.extend(view.waits_for)
        status.decision_revision = decision.revision
        status.rule_edition = view.edition
        status.decision = f"{logs[decision.source_log]}#{decision.source_idx}"
    return status
