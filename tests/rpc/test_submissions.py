"""What became of what one handed in: pages, states, receipts, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import log_store
from exchange.tlog.proof import parse
from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.monitoring_batch_pb2 import CrcVerdict
from exchange.v1.submission_pb2 import Submission, SubmissionState
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, credit_of, firm, penalty_of, submission, submit, wait_settled


def _pages(stubs: Stubs, **options: Any) -> list[Submission]:
    found: list[Submission] = []
    token = ""
    while True:
        request = pb.ListSubmissionsRequest(page_token=token, **options)
        answer = stubs.call(stubs.submission.ListSubmissions, request)
        assert len(answer.submissions) <= (options.get("page_size") or 100)
        found += answer.submissions
        token = answer.next_page_token
        if not token:
            return found


def _refused(stubs: Stubs, method: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(CallFailed) as failure:
        stubs.call(method, request)
    return failure.value.status, failure.value.reason


def test_lists_are_the_callers_own_newest_first(doors: dict[str, AgencyDoor]) -> None:
    """Whatever the page size, each submission comes once, in order; by kind only those of the kind."""
    cq, other = doors["cq"].agency("mine"), doors["cq"].agency("others")
    ids = [submit(cq, credit_of(firm(300), year=2010 + n), f"mine-{n}").record_id for n in range(5)]
    ids.append(submit(cq, penalty_of(firm(300), "演环罚〔2025〕3001号"), "mine-9").record_id)
    submit(other, credit_of(firm(301)), "mine-0")
    for size in (1, 2, 3, 500):
        assert [each.record_id for each in _pages(cq, page_size=size)] == list(reversed(ids))
    assert [each.record_id for each in _pages(cq, kind=Kind.KIND_PENALTY_NOTICE)] == ids[-1:]
    request = pb.GetSubmissionRequest(record_id=ids[0])
    assert _refused(other, other.submission.GetSubmission, request) == ("NOT_FOUND", "NOT_FOUND")
    receipt = pb.GetReceiptRequest(record_id=ids[0])
    assert _refused(other, other.submission.GetReceipt, receipt) == ("NOT_FOUND", "NOT_FOUND")


def test_the_same_key_is_the_same_call(doors: dict[str, AgencyDoor]) -> None:
    """Again with the same content: the first answer. With other content: refused. Per agency."""
    cq, other = doors["cq"].agency("keys"), doors["cq"].agency("keys-other")
    first = submit(cq, credit_of(firm(302)), "same-key")
    again = submit(cq, credit_of(firm(302)), "same-key")
    assert again.repeated_call
    assert (again.record_id, again.envelope, again.salt) == (first.record_id, first.envelope, first.salt)
    changed = pb.SubmitRecordRequest(
        submission=pb.RecordSubmission(idempotency_key="same-key", record=credit_of(firm(303)))
    )
    assert _refused(cq, cq.submission.SubmitRecord, changed) == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    assert not submit(other, credit_of(firm(304)), "same-key").repeated_call


def test_validating_stores_nothing(doors: dict[str, AgencyDoor]) -> None:
    """The whole walk up to the seal, and nothing is listed behind it."""
    cq = doors["cq"].agency("dry")
    item = pb.RecordSubmission(idempotency_key="dry-1", record=credit_of(firm(305)))
    answer = cq.call(cq.submission.SubmitRecord, pb.SubmitRecordRequest(submission=item, validate_only=True))
    assert answer.submitted.result == pb.SUBMIT_RESULT_VALID
    assert not _pages(cq)


def test_states_towards_a_peer_that_is_away_and_back(fresh_doors: dict[str, AgencyDoor]) -> None:
    """ACCEPTED without a receipt, then decided with one; the filter by state finds exactly those."""
    door = fresh_doors["cq"]
    cq = door.agency("away")
    done = submit(cq, credit_of(firm(306)), "away-1")
    wait_settled(door)
    door.world.wires["cq"].target, target = None, door.world.wires["cq"].target
    waiting = submit(cq, credit_of(firm(307)), "away-2")
    local = submit(cq, credit_of(firm(308)), "away-3", local_only=True)
    assert submission(cq, record_id=waiting.record_id).addressees[0].state == SubmissionState.SUBMISSION_STATE_ACCEPTED
    request = pb.GetReceiptRequest(record_id=waiting.record_id)
    assert _refused(cq, cq.submission.GetReceipt, request) == ("FAILED_PRECONDITION", "RECEIPT_PENDING")
    accepted = {each.record_id for each in _pages(cq, state=SubmissionState.SUBMISSION_STATE_ACCEPTED, page_size=1)}
    assert accepted == {waiting.record_id, local.record_id}
    decided = _pages(cq, state=SubmissionState.SUBMISSION_STATE_RECOGNISED)
    assert [each.record_id for each in decided] == [done.record_id]
    door.world.wires["cq"].target = target
    wait_settled(door)
    found = submission(cq, record_id=waiting.record_id).addressees[0]
    assert found.state == SubmissionState.SUBMISSION_STATE_RECOGNISED
    receipt = cq.call(cq.submission.GetReceipt, request)
    assert parse(receipt.receipt.encode()).includes(receipt.entry)
    assert submission(cq, record_id=local.record_id).addressees[0].addressee == ""


def test_every_reason_of_a_decision_is_told_in_the_callers_language(doors: dict[str, AgencyDoor]) -> None:
    """A result that is not final comes back DEFERRED or not recognised, with texts in Chinese and in English."""
    english, chinese = doors["cq"].agency("words"), doors["cq"].agency("words", lang="zh-CN")
    record = credit_of(firm(309))
    record.credit_result.state = CreditState.CREDIT_STATE_PUBLICITY
    sent = submit(english, record, "words-1")
    wait_settled(doors["cq"])
    for stubs in (english, chinese):
        status = submission(stubs, record_id=sent.record_id).addressees[0]
        assert status.state > SubmissionState.SUBMISSION_STATE_RECOGNISED
        assert status.reasons
        for reason in status.reasons:
            assert reason.message
            assert reason.remedy
            assert reason.message.isascii() == (stubs is english)


def _lose(tx: Transaction, payloads: Sequence[str]) -> list[None]:
    table = schema.submissions
    lost = table.update().where(table.c.idempotency_key.in_(payloads)).values(agency=None, idempotency_key=None)
    tx.connection.execute(lost)
    return [None] * len(payloads)


def test_a_submission_without_its_agency_is_found_by_its_key(doors: dict[str, AgencyDoor]) -> None:
    """After a restore the row has lost agency and key; the tag proves both, and nobody else finds it."""
    door = doors["cq"]
    cq, other = door.agency("lost"), door.agency("lost-other")
    sent = submit(cq, credit_of(firm(310)), "lost-1")
    door.node.writer.call(_lose, "lost-1")
    assert submission(cq, idempotency_key="lost-1").record_id == sent.record_id
    request = pb.GetSubmissionRequest(idempotency_key="lost-1")
    assert _refused(other, other.submission.GetSubmission, request) == ("NOT_FOUND", "NOT_FOUND")
    by_id = pb.GetSubmissionRequest(record_id=sent.record_id)
    assert _refused(cq, cq.submission.GetSubmission, by_id) == ("NOT_FOUND", "NOT_FOUND")


def test_a_page_of_many_is_as_exact_as_one(doors: dict[str, AgencyDoor]) -> None:
    """A list says of each submission what a single get says, batches with items and defaults among them."""
    cq = doors["cq"].agency("exact")
    items = []
    for number in range(60):
        record = batch_of(f"EX{number:020d}")
        if number % 7 == 0:
            record.monitoring_batch.crc_verdict = CrcVerdict.CRC_VERDICT_MODBUS
        items.append(pb.RecordSubmission(idempotency_key=f"exact-{number}", record=record))
    cq.call(cq.submission.BatchSubmitRecords, pb.BatchSubmitRecordsRequest(submissions=items))
    wait_settled(doors["cq"])
    listed = _pages(cq, page_size=37)
    assert len(listed) == 60
    assert len({each.addressees[0].state for each in listed}) > 1
    for each in listed[::11]:
        assert submission(cq, record_id=each.record_id) == each
    with doors["cq"].node.database.read() as connection:
        log = log_store.current(connection, "outbound", "sc", Lane.LANE_TELEMETRY)
    assert log is not None
    assert log.size > 60


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GetSubmission", pb.GetSubmissionRequest(), "FIELD_MISSING"),
        ("GetSubmission", pb.GetSubmissionRequest(record_id="x"), "RECORD_ID_FORMAT"),
        ("ListSubmissions", pb.ListSubmissionsRequest(state=99), "ENUM_UNKNOWN"),  # type: ignore[arg-type]
        ("ListSubmissions", pb.ListSubmissionsRequest(kind=99), "ENUM_UNKNOWN"),  # type: ignore[arg-type]
        ("ListSubmissions", pb.ListSubmissionsRequest(document_id="x"), "RECORD_ID_FORMAT"),
        ("ListSubmissions", pb.ListSubmissionsRequest(page_token="x"), "PAGE_TOKEN"),
        ("GetReceipt", pb.GetReceiptRequest(), "FIELD_MISSING"),
        ("SubmitDocument", pb.SubmitDocumentRequest(), "IDEMPOTENCY_KEY_MISSING"),
        ("SubmitRecord", pb.SubmitRecordRequest(), "IDEMPOTENCY_KEY_MISSING"),
    ],
)
def test_ill_formed_requests_are_refused(doors: dict[str, AgencyDoor], method: str, request_: Any, reason: str) -> None:
    """Each with its own reason."""
    stubs = doors["cq"].agency("ill")
    status, found = _refused(stubs, getattr(stubs.submission, method), request_)
    assert (status, found) == ("INVALID_ARGUMENT", reason)
