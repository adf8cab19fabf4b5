"""What needs two officers, over the wire: lanes retired, quarantine discarded, records erased by the node itself."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.flows.actions.pending import Confirmed
from exchange.v1 import operation_service_pb2 as operation
from exchange.v1 import record_service_pb2 as records
from exchange.v1 import security_service_pb2 as pb
from exchange.v1.action_pb2 import Action, ActionRequest, ActionState, EraseRecordAction
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Lane
from tests import evidence
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import credit_of, firm, submit, wait_settled

OUT = "cq.exchange.example/to/sc/registry/1"


def officers(door: AgencyDoor) -> tuple[Stubs, Stubs]:
    """An operator and a security officer, two people."""
    return door.officer(Role.OPERATOR, name="li"), door.officer(Role.SECURITY, name="wang")


def confirm(stubs: Stubs, action: Action, digest: bytes | None = None) -> Action:
    """Confirm what was shown."""
    seen = action.digest if digest is None else digest
    request = pb.ConfirmActionRequest(action_id=action.action_id, digest=seen, reason="已核对")
    answer: pb.ConfirmActionResponse = stubs.call(stubs.security.ConfirmAction, request)
    return answer.action


def refused(stubs: Stubs, method: Any, request: Any) -> tuple[str, str]:
    """Status and reason of a refused call."""
    with pytest.raises(CallFailed) as failure:
        stubs.call(method, request)
    return failure.value.status, failure.value.reason


def waiting(stubs: Stubs) -> list[Action]:
    """What the officer is shown as waiting."""
    return list(stubs.call(stubs.security.ListActions, pb.ListActionsRequest()).actions)


def test_a_stopped_lane_is_retired_by_two(fresh_doors: dict[str, AgencyDoor]) -> None:
    """The operator asks and nothing happens; the security officer sees it, confirms, and the log goes on in epoch 2."""
    door = fresh_doors["cq"]
    wait_settled(door)
    operator, security = officers(door)
    lanes = door.runtime.core.lanes
    lanes.stop("sc", Lane.LANE_REGISTRY, "FORK", (), door.node.clock())
    request = operation.RetireLaneRequest(peer="sc", lane=Lane.LANE_REGISTRY, reason="双方已核对")
    asked = operator.call(operator.operation.RetireLane, request).action
    assert ActionRequest.FromString(asked.request).retire_lane.log == "cq.exchange.example/to/sc/registry/1"
    assert lanes.lane_status("sc", Lane.LANE_REGISTRY).log.endswith("/registry/1")
    assert door.alarms.is_open("ACTION_WAITING", asked.action_id)
    (seen,) = waiting(security)
    assert seen == asked
    own = pb.ConfirmActionRequest(action_id=asked.action_id, digest=asked.digest, reason="x")
    assert refused(operator, operator.security.ConfirmAction, own) == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
    own.digest = b"else"
    assert refused(security, security.security.ConfirmAction, own) == ("FAILED_PRECONDITION", "ACTION_DIGEST")
    assert confirm(security, seen).state == ActionState.ACTION_STATE_DONE
    assert lanes.lane_status("sc", Lane.LANE_REGISTRY).log.endswith("/registry/2")
    assert not door.alarms.is_open("ACTION_WAITING", asked.action_id)
    acts = [event.administrator_action for event in evidence.journal(door.world, "cq", "administrator_action")]
    both = f"{asked.asked_by} + spiffe://cq.exchange.example/security/wang"
    assert [act.actor for act in acts if act.action == "lanes.retire"] == [both]
    own.digest = asked.digest
    assert refused(security, security.security.ConfirmAction, own) == ("FAILED_PRECONDITION", "ACTION_CLOSED")
    # a request for the epoch that has ended does nothing to the one that runs
    lanes.carry_out(ActionRequest.FromString(asked.request), _nobody(door))
    assert lanes.lane_status("sc", Lane.LANE_REGISTRY).log.endswith("/registry/2")
    evidence.assert_replays(door.world, "cq")


def _nobody(door: AgencyDoor) -> Any:
    return Confirmed(action_id="", asked_by="a", confirmed_by="b", reason="x", now=door.node.clock())


def test_a_lane_that_recovered_meanwhile_is_left_alone(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Confirmed too late: the action fails with the reason, and the log goes on in its epoch."""
    door = fresh_doors["cq"]
    operator, security = officers(door)
    lanes = door.runtime.core.lanes
    lanes.stop("sc", Lane.LANE_URGENT, "FORK", (), door.node.clock())
    request = operation.RetireLaneRequest(peer="sc", lane=Lane.LANE_URGENT, reason="x")
    asked = operator.call(operator.operation.RetireLane, request).action
    lanes.retry("sc", Lane.LANE_URGENT, "operator", "found it")
    after = confirm(security, asked)
    assert after.state == ActionState.ACTION_STATE_FAILED
    assert "LANE_NOT_STOPPED" in after.outcome
    assert lanes.lane_status("sc", Lane.LANE_URGENT).log.endswith("/urgent/1")


def test_the_node_erases_a_record_on_its_own_initiative(doors: dict[str, AgencyDoor]) -> None:
    """Either role asks, the other confirms: the body is gone on both sides, the envelope stays, and replay agrees."""
    door = doors["cq"]
    agency = door.agency("erased-from")
    operator, security = officers(door)
    for number, (asker, other) in enumerate(((operator, security), (security, operator))):
        sent = submit(agency, credit_of(firm(600 + number)), f"erase-{number}")
        wait_settled(door)
        erase = _order(sent.record_id)
        asked = asker.call(asker.security.EraseRecord, pb.EraseRecordRequest(erase=erase, reason="投诉属实")).action
        erasures = [each for each in evidence.records(door.world, "cq", OUT) if each.HasField("erasure")]
        assert len(erasures) == number
        after = confirm(other, asked)
        assert after.state == ActionState.ACTION_STATE_DONE, after.outcome
        wait_settled(door)
        row = evidence.submission(door.world, "cq", after.outcome)
        assert row is not None
        assert row.agency == "@node"
        for name in ("cq", "sc"):
            for entry in evidence.entries(door.world, name, OUT):
                if evidence.statement_of(entry.entry).record_id == sent.record_id:
                    assert (entry.body, entry.salt) == (None, None)
        shown = records.GetRecordRequest()
        shown.ref.record_id = sent.record_id
        assert agency.call(agency.record.GetRecord, shown).record.tombstone.reason == "ERASED"
        again = refused(asker, asker.security.EraseRecord, pb.EraseRecordRequest(erase=erase, reason="again"))
        assert again == ("FAILED_PRECONDITION", "ERASED")
    evidence.assert_replays(door.world, "cq", "sc")


def _order(record_id: str) -> EraseRecordAction:
    return EraseRecordAction(
        record=RecordRef(record_id=record_id),
        legal_ground="个人信息保护法 第四十七条",
        ground_code="PERSONAL_DATA",
        ordered_by="处长",
        ordered_on="2026-01-15",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ground_code": "BECAUSE"}, "ERASURE_GROUND_UNKNOWN"),
        ({"legal_ground": ""}, "FIELD_MISSING"),
        ({"ordered_by": ""}, "FIELD_MISSING"),
        ({"ordered_on": "yesterday"}, "DATE_FORMAT"),
        ({"record": RecordRef(record_id="0198a000-0000-7000-8000-000000000001")}, "REFERENCE_UNKNOWN"),
        ({"record": RecordRef(record_id="x")}, "REFERENCE_UNKNOWN"),
    ],
)
def test_an_order_that_lacks_something_asks_nobody(
    doors: dict[str, AgencyDoor], changes: dict[str, Any], reason: str
) -> None:
    """What the door for records would refuse is refused before anybody is asked to confirm."""
    door = doors["cq"]
    operator, _ = officers(door)
    sent = submit(door.agency("orders"), credit_of(firm(620)), "orders-1")
    erase = _order(sent.record_id)
    for name, value in changes.items():
        if name == "record":
            erase.record.CopyFrom(value)
        else:
            setattr(erase, name, value)
    before = len(waiting(operator))
    request = pb.EraseRecordRequest(erase=erase, reason="x")
    assert refused(operator, operator.security.EraseRecord, request)[1] == reason
    silent = pb.EraseRecordRequest(erase=_order(sent.record_id))
    assert refused(operator, operator.security.EraseRecord, silent)[1] == "REASON_MISSING"
    assert len(waiting(operator)) == before


def test_quarantine_is_checked_before_it_is_asked_for(doors: dict[str, AgencyDoor]) -> None:
    """No ids, or unknown ones: refused at once."""
    operator, _ = officers(doors["cq"])
    method = operator.operation.DiscardQuarantine
    assert refused(operator, method, operation.DiscardQuarantineRequest(reason="x"))[1] == "FIELD_MISSING"
    unknown = operation.DiscardQuarantineRequest(quarantine_ids=["0198a000-0000-7000-8000-000000000001"], reason="x")
    assert refused(operator, method, unknown)[1] == "NOT_FOUND"
