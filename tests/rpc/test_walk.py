"""What an agency sees of the walk: hand in, delivered, decided, read by the other side."""

from __future__ import annotations

from exchange.v1 import credit_service_pb2, record_service_pb2, submission_service_pb2
from exchange.v1.submission_pb2 import SubmissionState
from tests.domain.records import credit, make_uscc
from tests.rpc.doors import AgencyDoor


def test_a_record_goes_over_and_comes_back_recognised(doors: dict[str, AgencyDoor]) -> None:
    """An agency submits, sees its submission recognised, and the other region's agency reads it."""
    cq, sc = doors["cq"].agency("walk"), doors["sc"].agency("walk")
    firm = make_uscc(11)
    record = credit()
    record.credit_result.subject.uscc = firm
    record.credit_result.subject.permit_code = f"{firm}001P"
    item = submission_service_pb2.RecordSubmission(idempotency_key="walk-1", record=record)
    answer = cq.call(cq.submission.SubmitRecord, submission_service_pb2.SubmitRecordRequest(submission=item))
    record_id = answer.submitted.record_id

    def decided() -> bool:
        got = cq.call(
            cq.submission.GetSubmission, submission_service_pb2.GetSubmissionRequest(record_id=record_id)
        ).submission
        return got.addressees[0].state >= SubmissionState.SUBMISSION_STATE_RECOGNISED

    doors["cq"].world.wait(decided)
    got = cq.call(cq.submission.GetSubmission, submission_service_pb2.GetSubmissionRequest(idempotency_key="walk-1"))
    print(got)
    standing = sc.call(sc.credit.GetCreditStanding, credit_service_pb2.GetCreditStandingRequest(uscc=firm))
    print(standing)
    listed = sc.call(sc.record.ListRecords, record_service_pb2.ListRecordsRequest(uscc=firm))
    assert listed.records[0].record.credit_result.subject.uscc == firm
