"""Every kind from one side to the other and back, over gRPC; and what no side may state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain import kinds
from exchange.rpc.failure import CallFailed
from exchange.v1.alert_pb2 import AlertLevel, ReportKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.case_referral_pb2 import ReferralState
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import GetCreditStandingRequest, Knowledge
from exchange.v1.inspection_task_pb2 import InspectionState
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListExitReason, ListState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetRecordRequest, ListRecordsRequest, RecordView, WatchRecordsRequest
from exchange.v1.security_service_pb2 import Verb
from exchange.v1.submission_pb2 import SubmissionState
from tests import evidence
from tests.domain import records
from tests.domain.records import SOUND, make_uscc
from tests.rpc.doors import AgencyDoor, Stubs, client_issued, full_agency, grant
from tests.rpc.facts import batch_of, of_sichuan, submission, submit, wait_settled

DELIVERED = SubmissionState.SUBMISSION_STATE_DELIVERED
RECOGNISED = SubmissionState.SUBMISSION_STATE_RECOGNISED


@pytest.fixture(scope="module")
def sides(doors: dict[str, AgencyDoor]) -> tuple[Stubs, Stubs]:
    """An agency of each side that may state and read everything."""
    made = []
    for door in (doors["cq"], doors["sc"]):
        agency = full_agency("every")
        agency.grants.append(grant(Verb.VERB_SUBMIT, (Kind.KIND_ANSWER,)))
        door.put(agency)
        made.append(door.stubs(client_issued(door.node.name, Role.AGENCY, "every")))
    return made[0], made[1]


def _own(name: str, number: int) -> Record:
    """A sound record with a natural key of its own."""
    record = SOUND[name]()
    line = kinds.spec_of(record)
    assert line is not None
    subject = line.subject(record)
    if subject is not None:
        subject.uscc = make_uscc(70_000 + number)
        subject.permit_code = ""
    if name == "referral":
        record.case_referral.case_no = f"演环案移〔2026〕{number}号"
    elif name == "inspection":
        record.inspection_task.task_no = f"演联检〔2026〕{number}号"
    elif name == "alert":
        record.alert.event_id = f"CQ-{number}"
    elif name == "equivalence":
        record.standards_equivalence.edition = f"2026-{number}"
    return record


def _notice(number: int) -> Record:
    record = records.joint_measure()
    record.penalty_notice.subject.uscc = make_uscc(70_000 + number)
    record.penalty_notice.decision_no = f"演环罚〔2026〕{number}号"
    return record


def _about(name: str, ref: RecordRef, number: int) -> Record:
    """A record that is about another one, of the firm of the same number."""
    record = _own(name, number)
    about = kinds.about(record)
    assert about is not None
    about.CopyFrom(ref)
    return record


def _ref(origin: str, record_id: str, revision: int = 1) -> RecordRef:
    return RecordRef(origin=origin, record_id=record_id, revision=revision)


def _shown(stubs: Stubs, record_id: str, origin: str = "cq") -> RecordView:
    found: RecordView = stubs.call(stubs.record.GetRecord, GetRecordRequest(ref=_ref(origin, record_id, 0))).record
    return found


def _listed(stubs: Stubs, **options: Any) -> list[RecordView]:
    return list(stubs.call(stubs.record.ListRecords, ListRecordsRequest(**options)).records)


def _refused(stubs: Stubs, record: Record, key: str, **options: Any) -> set[str]:
    """Reasons by which a record is refused at the door."""
    with pytest.raises(CallFailed) as refused:
        submit(stubs, record, key, **options)
    return {refused.value.reason, *(each.reason for each in refused.value.problems)}


def _state(stubs: Stubs, record_id: str) -> int:
    return submission(stubs, record_id=record_id).addressees[0].state


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("list_entry", RECOGNISED),
        ("lab", RECOGNISED),
        ("not_evaluated", RECOGNISED),
        ("referral", DELIVERED),
        ("inspection", DELIVERED),
        ("alert", DELIVERED),
        ("equivalence", DELIVERED),
    ],
)
def test_a_record_arrives_as_it_was_stated_and_is_answered_by_its_kind(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs], name: str, state: int
) -> None:
    """It is read on the other side word for word; what is decided about comes back recognised, the rest delivered."""
    cq, sc = sides
    record = _own(name, 1)
    sent = submit(cq, record, f"walk-{name}")
    wait_settled(doors["cq"])
    arrived = _shown(sc, sent.record_id)
    body = record.WhichOneof("body")
    assert body is not None
    assert getattr(arrived.record, body) == getattr(record, body)
    assert sent.record_id in {view.ref.record_id for view in _listed(sc, kind=arrived.kind)}
    assert _state(cq, sent.record_id) == state
    assert arrived.outcome == (Outcome.OUTCOME_FULL if state == RECOGNISED else Outcome.OUTCOME_UNSPECIFIED)


@pytest.mark.parametrize("name", ["repair", "revocation"])
def test_what_undoes_a_notice_goes_wherever_the_notice_went(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs], name: str
) -> None:
    """Nobody has to name the addressees of a repair or revocation; on the other side it is found by its notice."""
    cq, sc = sides
    number = 10 if name == "repair" else 11
    notice = submit(cq, _notice(number), f"undone-{name}")
    act = submit(cq, _about(name, _ref("cq", notice.record_id), number), f"undo-{name}", local_only=True)
    wait_settled(doors["cq"])
    assert [view.ref.record_id for view in _listed(sc, about=_ref("cq", notice.record_id))] == [act.record_id]


def test_feedback_travels_to_the_region_that_issued_the_notice(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """The other side's feedback is found at the notice, and a second one about the same matter is refused."""
    cq, sc = sides
    notice = submit(cq, _notice(12), "feedback-notice")
    wait_settled(doors["cq"])
    feedback = of_sichuan(_about("feedback", _ref("cq", notice.record_id), 12))
    told = submit(sc, feedback, "feedback", local_only=True)
    wait_settled(doors["cq"])
    assert [view.ref.record_id for view in _listed(cq, about=_ref("", notice.record_id))] == [told.record_id]
    assert _shown(cq, told.record_id, "sc").record.measure_feedback == feedback.measure_feedback
    assert "NATURAL_KEY_TAKEN" in _refused(sc, feedback, "feedback-twice")


def test_a_correction_travels_in_the_lane_of_what_it_doubts(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """A doubted batch is corrected in the telemetry lane, and its origin's answer comes back there."""
    cq, sc = sides
    batch = submit(cq, batch_of("70000000A8900016F000169D"), "doubted")
    wait_settled(doors["cq"])
    doubt = submit(sc, of_sichuan(_about("correction", _ref("cq", batch.record_id), 13)), "doubt")
    wait_settled(doors["cq"])
    assert "/telemetry/" in _shown(cq, doubt.record_id, "sc").log
    submit(cq, _answer("sc", doubt.record_id, "CORRECTION"), "doubt-answered")
    wait_settled(doors["cq"])
    (answer,) = [view for view in _listed(sc, about=_ref("sc", doubt.record_id)) if view.ref.origin == "cq"]
    assert "/telemetry/" in answer.log
    assert answer.record.answer.verb == AnswerVerb.ANSWER_VERB_ACKNOWLEDGED


def _answer(origin: str, record_id: str, effect: str) -> Record:
    record = records.answer()
    record.answer.record.CopyFrom(_ref(origin, record_id))
    record.answer.effect = effect
    record.answer.verb = AnswerVerb.ANSWER_VERB_ACKNOWLEDGED
    return record


def test_a_duty_desk_acknowledges_an_alert_in_the_urgent_lane(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """The answer overtakes what waits in the registry lane; it names the desk, and only what can be answered."""
    cq, sc = sides
    alert = submit(cq, _own("alert", 20), "alert")
    wait_settled(doors["cq"])
    assert "ANSWER_EFFECT_UNKNOWN" in _refused(
        sc, of_sichuan(_answer("cq", alert.record_id, "STOP_PUBLISH")), "wrong effect"
    )
    submit(sc, of_sichuan(_answer("cq", alert.record_id, "ALERT")), "acknowledged")
    wait_settled(doors["cq"])
    (answer,) = _listed(cq, about=_ref("cq", alert.record_id))
    assert "/urgent/" in answer.log
    assert answer.record.answer.answered_by == "值班席"


def _report(number: int, sequence: int, kind: str) -> Record:
    record = _own("alert", number)
    record.alert.sequence = sequence
    record.alert.report_kind = ReportKind.Value(f"REPORT_KIND_{kind}")
    if kind == "FINAL":
        record.alert.cause, record.alert.measures_taken = "演练", "已处置"
        record.alert.level = AlertLevel.ALERT_LEVEL_GENERAL
    return record


def test_the_reports_of_an_event_come_in_their_order(doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]) -> None:
    """No report without the one before it, and none behind the last."""
    cq, sc = sides
    assert "EARLIER_REPORT_MISSING" in _refused(cq, _report(21, 2, "FOLLOW_UP"), "too early")
    sent = [submit(cq, _report(21, 1, "INITIAL"), "21-1")]
    assert "NATURAL_KEY_TAKEN" in _refused(cq, _report(21, 1, "INITIAL"), "21-1-again")
    sent.append(submit(cq, _report(21, 2, "FOLLOW_UP"), "21-2"))
    assert "EARLIER_REPORT_MISSING" in _refused(cq, _report(21, 4, "FOLLOW_UP"), "21-4")
    sent.append(submit(cq, _report(21, 3, "FINAL"), "21-3"))
    assert "STATE_NOT_ALLOWED" in _refused(cq, _report(21, 4, "FOLLOW_UP"), "behind the last")
    wait_settled(doors["cq"])
    arrived = {view.ref.record_id for view in _listed(sc, kind=Kind.KIND_ALERT)}
    assert {each.record_id for each in sent} <= arrived


def test_a_report_that_comes_before_its_predecessor_waits_for_it(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """A follow-up of an event that the other side never heard of is deferred, and taken when the first report comes."""
    cq, sc = sides
    first = submit(cq, _report(22, 1, "INITIAL"), "22-1", local_only=True)
    second = submit(cq, _report(22, 2, "FOLLOW_UP"), "22-2", addressees=["sc"])
    wait_settled(doors["cq"])
    assert _shown(sc, second.record_id).outcome == Outcome.OUTCOME_DEFERRED
    assert _state(cq, second.record_id) == SubmissionState.SUBMISSION_STATE_DEFERRED
    revised = _report(22, 1, "INITIAL")
    revised.header.record_id = first.record_id
    submit(cq, revised, "22-1-sent", addressees=["sc"])
    doors["cq"].world.wait(lambda: _shown(sc, second.record_id).outcome == Outcome.OUTCOME_FULL, what="taken")
    assert _shown(sc, second.record_id).record.alert.sequence == 2


def test_what_speaks_of_an_unknown_record_waits_for_it(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """A correction of what the other side has not got is deferred there, and taken when that arrives."""
    cq, sc = sides
    notice = submit(cq, _notice(23), "unknown", local_only=True)
    doubt = submit(cq, _about("correction", _ref("cq", notice.record_id), 23), "unknown-doubt", addressees=["sc"])
    wait_settled(doors["cq"])
    assert [each.reason for each in _shown(sc, doubt.record_id).reasons] == ["REFERENCE_UNKNOWN"]
    revised = _notice(23)
    revised.header.record_id = notice.record_id
    submit(cq, revised, "unknown-sent", addressees=["sc"])
    doors["cq"].world.wait(lambda: _shown(sc, doubt.record_id).outcome == Outcome.OUTCOME_FULL, what="taken")


def test_only_who_stated_a_notice_may_repair_it(doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]) -> None:
    """Not the other side, not another authority, not for another firm, and only what can be repaired."""
    cq, sc = sides
    notice = submit(cq, _notice(30), "whose")
    credit = submit(cq, _own("credit", 30), "whose-credit")
    wait_settled(doors["cq"])
    ours = _about("repair", _ref("cq", notice.record_id), 30)
    assert "NOT_YOURS" in _refused(sc, of_sichuan(_about("repair", _ref("cq", notice.record_id), 30)), "theirs")
    other = _about("repair", _ref("cq", notice.record_id), 30)
    other.header.authority.uscc = make_uscc(30, prefix="11500000")
    assert "NOT_YOURS" in _refused(cq, other, "another authority")
    assert "REFERENCE_SUBJECT" in _refused(cq, _about("repair", _ref("cq", notice.record_id), 31), "another firm")
    assert "REFERENCE_KIND" in _refused(cq, _about("repair", _ref("cq", credit.record_id), 30), "a credit result")
    assert "REFERENCE_UNKNOWN" in _refused(cq, _about("repair", _ref("cq", records.RECORD_ID), 30), "nothing")
    assert submit(cq, ours, "ours").record_id


def test_not_evaluated_is_an_answer_of_its_own(doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]) -> None:
    """A firm that was not evaluated is neither unknown nor of the lowest level, on both sides."""
    cq, sc = sides
    record = _own("not_evaluated", 42)
    submit(cq, record, "not-evaluated")
    wait_settled(doors["cq"])
    doors["sc"].freshness.forget()
    request = GetCreditStandingRequest(uscc=record.credit_result.subject.uscc)
    for stubs in (cq, sc):
        regions = {each.origin: each for each in stubs.call(stubs.credit.GetCreditStanding, request).regions}
        assert regions["cq"].knowledge == Knowledge.KNOWLEDGE_NOT_EVALUATED
        assert regions["cq"].decisive_level == CreditLevel.CREDIT_LEVEL_UNSPECIFIED
        assert regions["sc"].knowledge == Knowledge.KNOWLEDGE_NO_RECORD


def _lab_removed(record: Record) -> None:
    record.lab_qualification.state = LabState.LAB_STATE_REMOVED
    record.lab_qualification.removal_ground = "弄虚作假"


def _exited(record: Record) -> None:
    record.list_entry.state = ListState.LIST_STATE_EXITED
    record.list_entry.exit.reason = ListExitReason.LIST_EXIT_REASON_EXPIRED
    record.list_entry.exit.exited_on = "2026-02-01"


def _case_closed(record: Record) -> None:
    record.case_referral.state = ReferralState.REFERRAL_STATE_CLOSED
    record.case_referral.closing_ground = "已接收"


def _task_done(record: Record) -> None:
    record.inspection_task.state = InspectionState.INSPECTION_STATE_COMPLETED
    record.inspection_task.conclusion = "未发现违法"


@pytest.mark.parametrize(
    ("name", "end", "skips"),
    [
        ("list_entry", _exited, False),
        ("lab", _lab_removed, False),
        ("referral", _case_closed, False),
        ("inspection", _task_done, True),
    ],
)
def test_no_state_is_skipped_and_no_end_is_left(
    sides: tuple[Stubs, Stubs], name: str, end: Callable[[Record], None], skips: bool
) -> None:
    """A thing does not begin at its end, does not leave out what lies between, and stays as it ended."""
    cq, _ = sides
    ended = _own(name, 40)
    end(ended)
    assert "STATE_NOT_ENTRY" in _refused(cq, ended, f"born ended {name}")
    begun = _own(name, 40)
    sent = submit(cq, begun, f"begun {name}")
    ended.header.record_id = begun.header.record_id = sent.record_id
    if skips:
        assert "STATE_NOT_ALLOWED" in _refused(cq, ended, f"skipped {name}")
        begun.inspection_task.state = InspectionState.INSPECTION_STATE_UNDER_WAY
        submit(cq, begun, f"between {name}")
    submit(cq, ended, f"ended {name}")
    assert "STATE_NOT_ALLOWED" in _refused(cq, begun, f"again {name}")


def test_a_settled_correction_is_not_taken_back(doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]) -> None:
    """Settled and withdrawn are two ends; withdrawn, a request is a tombstone on both sides."""
    cq, sc = sides
    notice = submit(cq, _notice(41), "settled-notice")
    request = _about("correction", _ref("cq", notice.record_id), 41)
    sent = submit(cq, request, "settled-asked")
    request.header.record_id = sent.record_id
    request.correction_request.state = CorrectionState.CORRECTION_STATE_WITHDRAWN
    submit(cq, request, "settled-withdrawn")
    request.correction_request.state = CorrectionState.CORRECTION_STATE_SETTLED
    assert "STATE_NOT_ALLOWED" in _refused(cq, request, "settled-behind")
    wait_settled(doors["cq"])
    assert [_shown(each, sent.record_id).tombstone.reason for each in (cq, sc)] == ["WITHDRAWN"] * 2


@pytest.mark.parametrize(
    ("state", "reason"), [(LabState.LAB_STATE_SUSPENDED, "LAB_SUSPENDED"), (LabState.LAB_STATE_REMOVED, "LAB_REMOVED")]
)
def test_a_laboratory_without_standing_is_not_recognised(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs], state: LabState.ValueType, reason: str
) -> None:
    """Its new standing is shown on the other side, with the reason for which it does not count there."""
    cq, sc = sides
    lab = _own("lab", 50 + state)
    sent = submit(cq, lab, f"lab-{state}")
    lab.header.record_id = sent.record_id
    lab.lab_qualification.state = state
    lab.lab_qualification.suspensions.add(suspended_from="2025-12-01", ground="出具不实数据")
    lab.lab_qualification.removal_ground = "出具不实数据" if state == LabState.LAB_STATE_REMOVED else ""
    submit(cq, lab, f"lab-{state}-again")
    wait_settled(doors["cq"])
    view = _shown(sc, sent.record_id)
    assert (view.ref.revision, view.outcome) == (2, Outcome.OUTCOME_NOT_RECOGNISED)
    assert [each.reason for each in view.reasons] == [reason]


def test_a_watcher_sees_every_kind(doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]) -> None:
    """What arrived on the other side comes to a watcher there, of whatever kind."""
    cq, sc = sides
    wanted = {"list_entry": 0, "lab": 0, "referral": 0, "inspection": 0, "alert": 0, "equivalence": 0}
    ids = {submit(cq, _own(name, 60), f"watched-{name}").record_id for name in wanted}
    wait_settled(doors["cq"])
    call = sc.stream(sc.record.WatchRecords, WatchRecordsRequest(from_start=True))
    seen: set[str] = set()
    for message in call:
        seen.add(message.record.ref.record_id)
        if message.HasField("caught_up"):
            break
    call.cancel()
    assert ids <= seen


def test_walking_the_journal_again_gives_the_same_registers(
    doors: dict[str, AgencyDoor], sides: tuple[Stubs, Stubs]
) -> None:
    """With every kind, answers, deferrals and ends in the logs."""
    cq, _ = sides
    submit(cq, _own("alert", 90), "replayed")
    wait_settled(doors["cq"])
    evidence.assert_replays(doors["cq"].world, "cq", "sc")
