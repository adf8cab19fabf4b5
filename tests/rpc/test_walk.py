"""What an agency sees of the walk: hand in, delivered, decided, read by the other side."""

from __future__ import annotations

from exchange.crypto.receipts import verify_receipt
from exchange.v1 import credit_service_pb2, record_service_pb2
from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.record_service_pb2 import Standing
from exchange.v1.submission_pb2 import SubmissionState
from tests.domain.records import make_uscc
from tests.rpc.doors import AgencyDoor
from tests.rpc.facts import credit_of, submission, submit, wait_decided


def test_a_record_goes_over_and_comes_back_recognised(doors: dict[str, AgencyDoor]) -> None:
    """An agency submits, sees its submission recognised, and the other region's agency reads it."""
    cq, sc = doors["cq"].agency("walk"), doors["sc"].agency("walk")
    firm = make_uscc(11)
    sent = submit(cq, credit_of(firm), "walk-1")
    wait_decided(doors["cq"], cq, sent.record_id)
    found = submission(cq, idempotency_key="walk-1")
    assert found.record_id == sent.record_id
    towards = found.addressees[0]
    assert (towards.addressee, towards.state) == ("sc", SubmissionState.SUBMISSION_STATE_RECOGNISED)
    assert towards.outcome == Outcome.OUTCOME_FULL
    assert towards.decision.startswith("sc.exchange.example/to/cq/registry/1#")
    standing = sc.call(sc.credit.GetCreditStanding, credit_service_pb2.GetCreditStandingRequest(uscc=firm))
    assert [(region.origin, region.knowledge) for region in standing.regions] == [
        ("sc", Knowledge.KNOWLEDGE_NO_RECORD),
        ("cq", Knowledge.KNOWLEDGE_FOUND),
    ]
    assert standing.regions[1].decisive_level == CreditLevel.CREDIT_LEVEL_BLUE
    listed = sc.call(sc.record.ListRecords, record_service_pb2.ListRecordsRequest(uscc=firm)).records
    assert [view.standing for view in listed] == [Standing.STANDING_DECIDED]
    own = cq.call(cq.record.ListRecords, record_service_pb2.ListRecordsRequest(uscc=firm)).records
    assert [view.standing for view in own] == [Standing.STANDING_ORIGIN]
    assert not own[0].HasField("mirrored_at")
    assert listed[0].HasField("mirrored_at")


def test_a_receipt_can_be_checked_alone(doors: dict[str, AgencyDoor]) -> None:
    """The receipt of a delivered submission verifies with the two keys and nothing else."""
    cq = doors["cq"].agency("receipts")
    sent = submit(cq, credit_of(make_uscc(12)), "receipt-1")
    wait_decided(doors["cq"], cq, sent.record_id)
    answer = cq.call(cq.submission.GetReceipt, pb.GetReceiptRequest(record_id=sent.record_id))
    node, peer = doors["cq"].node, doors["cq"].node.peers.get("sc")
    assert peer is not None
    towards = submission(cq, record_id=sent.record_id).addressees[0]
    verified = verify_receipt(
        answer.receipt.encode(), [node.keys.log_signer(towards.log).key], peer.mirror.active, answer.entry
    )
    assert verified.index == towards.index
    assert verified.entry == answer.entry
