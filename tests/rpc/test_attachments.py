"""Attachments over the agencies' port: handed in by who may submit, read by who may read the record, gone with it."""

from __future__ import annotations

import grpc
import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain.record_index import raw_id
from exchange.rpc.client import failure_of
from exchange.storage.intake.attachments import PART_BYTES
from exchange.v1 import record_service_pb2 as pb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import GetStatusRequest
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.security_service_pb2 import Agency, Verb
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest
from tests.flows.files import listed, made_file
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, grant
from tests.rpc.facts import firm, penalty_of, submit, wait_settled


def fetch(stubs: Stubs, record_id: str, offset: int = 0, place: int = 0) -> list[pb.GetAttachmentResponse]:
    """All pieces from an offset on."""
    request = pb.GetAttachmentRequest(ref=RecordRef(origin="cq", record_id=record_id), place=place, offset=offset)
    try:
        return list(stubs.stream(stubs.record.GetAttachment, request))
    except grpc.RpcError as error:
        raise failure_of(error) from None


def refused(stubs: Stubs, record_id: str, **options: int) -> tuple[str, str]:
    """Status and reason of a fetch that is refused."""
    with pytest.raises(CallFailed) as failure:
        fetch(stubs, record_id, **options)
    return failure.value.status, failure.value.reason


def only(door: AgencyDoor, name: str, verb: Verb.ValueType, area: str = "*") -> Stubs:
    """An agency with one right about penalties."""
    kinds = [Kind.KIND_PENALTY_NOTICE]
    door.put(Agency(name=name, display_name="演示单位", grants=[grant(verb, kinds, [area])]))
    return door.stubs(client_issued(door.node.name, Role.AGENCY, name))


def test_an_attachment_from_hand_to_hand(doors: dict[str, AgencyDoor]) -> None:
    """In pieces into one node, out of the other one whole, and from a byte on; status counts it until it is there."""
    cq, sc = doors["cq"].agency("writer"), doors["sc"].agency("reader")
    content = made_file(PART_BYTES + 200_000)
    file = listed(content)
    record = penalty_of(firm(700), "演环罚〔2025〕附700号")
    record.header.attachments.append(file)
    record_id = submit(cq, record, "attached").record_id
    wait_settled(doors["cq"])
    assert refused(cq, record_id) == ("FAILED_PRECONDITION", "ATTACHMENT_MISSING")
    assert refused(sc, record_id) == ("FAILED_PRECONDITION", "ATTACHMENT_MISSING")
    operator = doors["sc"].officer(Role.OPERATOR)
    (lacking,) = operator.call(operator.operation.GetStatus, GetStatusRequest()).missing_attachments
    assert (lacking.origin, lacking.count, lacking.bytes) == ("cq", 1, len(content))
    assert lacking.oldest.ToSeconds() > 0
    offset = 0
    while True:
        piece = UploadAttachmentRequest(attachment=file, offset=offset, content=content[offset : offset + PART_BYTES])
        answer = cq.call(cq.submission.UploadAttachment, piece)
        if answer.complete:
            break
        offset = answer.received
    world = doors["cq"].world
    world.wait(lambda: not operator.call(operator.operation.GetStatus, GetStatusRequest()).missing_attachments)
    pieces = fetch(sc, record_id)
    assert b"".join(each.content for each in pieces) == content
    # Who was given the decision is asked about its repair later on.
    readers = {(row.agency, row.record_id) for row in world.rows("sc", "reg_notice_readers")}
    assert ("reader", raw_id(record_id)) in readers
    assert pieces[0].attachment == file
    assert [each.HasField("attachment") for each in pieces] == [True] + [False] * (len(pieces) - 1)
    rest = fetch(sc, record_id, offset=PART_BYTES)
    assert b"".join(each.content for each in rest) == content[PART_BYTES:]
    assert [each.content for each in fetch(sc, record_id, offset=len(content))] == [b""]
    assert refused(sc, record_id, offset=len(content) + 1) == ("INVALID_ARGUMENT", "RANGE_INVALID")
    assert refused(sc, record_id, place=1) == ("NOT_FOUND", "NOT_FOUND")
    revoked = penalty_of(firm(700), "演环罚〔2025〕附700号")
    revoked.header.record_id = record_id
    revoked.header.attachments.append(file)
    revoked.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
    submit(cq, revoked, "revoked")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert refused(stubs, record_id) == ("FAILED_PRECONDITION", "ATTACHMENT_WITHHELD")


def test_grants_hold_for_attachments(doors: dict[str, AgencyDoor]) -> None:
    """Who may submit nothing hands in nothing; who may not read the record there does not read what is attached."""
    content = made_file(2_000)
    file = listed(content, salt=b"g" * 32)
    request = UploadAttachmentRequest(attachment=file, content=content)
    looker = only(doors["cq"], "looker", Verb.VERB_READ)
    with pytest.raises(CallFailed) as failure:
        looker.call(looker.submission.UploadAttachment, request)
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "NO_GRANT")
    cq = doors["cq"].agency("granted")
    assert cq.call(cq.submission.UploadAttachment, request).complete
    record = penalty_of(firm(701), "演环罚〔2025〕附701号")
    record.header.attachments.append(file)
    record_id = submit(cq, record, "granted").record_id
    wait_settled(doors["cq"])
    elsewhere = only(doors["cq"], "elsewhere", Verb.VERB_READ, "500234")
    assert refused(elsewhere, record_id) == ("PERMISSION_DENIED", "GRANT_AREA")
    assert b"".join(each.content for each in fetch(looker, record_id)) == content
