"""Records and calls that several tests of the port make."""

from __future__ import annotations

from typing import Any

from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_pb2 import Submission, SubmissionState
from tests.domain.records import YEAR, credit, make_uscc, monitoring, penalty
from tests.rpc.doors import AgencyDoor, Stubs
from tests.world import AUTHORITIES


def credit_of(firm: str, *, area: str = "500107", year: int = YEAR) -> Record:
    """A final credit result of cq about a firm."""
    record = credit()
    record.header.area_code = area
    record.credit_result.subject.uscc = firm
    record.credit_result.subject.permit_code = f"{firm}001P"
    record.credit_result.subject.area_code = area
    record.credit_result.evaluation_year = year
    record.credit_result.window_start, record.credit_result.window_end = f"{year}-01-01", f"{year}-12-31"
    record.credit_result.published_on = f"{year + 1}-11-20"
    return record


def penalty_of(firm: str, number: str, *, area: str = "500107") -> Record:
    """A penalty of cq about a firm."""
    record = penalty()
    record.header.area_code = area
    record.penalty_notice.subject.uscc = firm
    record.penalty_notice.subject.area_code = area
    record.penalty_notice.decision_no = number
    return record


def batch_of(station: str, *, area: str = "500107", start: int = 0, value: str = "1.5") -> Record:
    """Two hours of two factors of a station of cq, beginning some hours after the usual begin."""
    record = monitoring()
    record.header.area_code = area
    record.monitoring_batch.station.station_id = station
    record.monitoring_batch.station.area_code = area
    for series in record.monitoring_batch.series:
        for point in series.points:
            point.data_time.seconds += 3600 * start
            point.value = value
    return record


def of_sichuan(record: Record) -> Record:
    """The same fact, stated in Sichuan."""
    record.header.authority.uscc = AUTHORITIES["sc"]
    record.header.area_code = "510100"
    return record


def submit(stubs: Stubs, record: Record, key: str, **options: Any) -> pb.SubmittedRecord:
    """Submit one record that must be accepted."""
    item = pb.RecordSubmission(idempotency_key=key, record=record, **options)
    answer: pb.SubmitRecordResponse = stubs.call(stubs.submission.SubmitRecord, pb.SubmitRecordRequest(submission=item))
    return answer.submitted


def submission(stubs: Stubs, **key: str) -> Submission:
    """One submission as the node shows it."""
    found: Submission = stubs.call(stubs.submission.GetSubmission, pb.GetSubmissionRequest(**key)).submission
    return found


def wait_decided(door: AgencyDoor, stubs: Stubs, record_id: str) -> None:
    """Wait until every addressee decided."""

    def decided() -> bool:
        states = [each.state for each in submission(stubs, record_id=record_id).addressees]
        return min(states) >= SubmissionState.SUBMISSION_STATE_RECOGNISED

    door.world.wait(decided, what="a decision")


def wait_settled(door: AgencyDoor) -> None:
    """Wait until everything is delivered, applied and answered, and say so anew."""
    door.world.wait(door.world.settled, what="settled")
    door.freshness.forget()


def firm(number: int) -> str:
    """A firm of this file's own range."""
    return make_uscc(5_000 + number)
