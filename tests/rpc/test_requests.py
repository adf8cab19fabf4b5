"""Corrections, referrals, inspections and equivalences: seen by who has to answer, and settled by an Answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.request_service_pb2 import ListRequestsRequest, Request
from exchange.v1.rule_service_pb2 import ListEquivalencesRequest, StatedEquivalence
from tests import evidence
from tests.cli.conftest import run
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import credit_of, firm, of_sichuan, submit, wait_settled
from tests.rpc.test_alerts import desk_of, profile_of, reply_to

CONFIRMED = AnswerVerb.ANSWER_VERB_CONFIRMED
ACKNOWLEDGED = AnswerVerb.ANSWER_VERB_ACKNOWLEDGED
REFUSED = AnswerVerb.ANSWER_VERB_REFUSED


def listed(stubs: Stubs, sent: str, **filters: object) -> list[Request]:
    """A request as it is listed; empty when it is not."""
    found = stubs.call(stubs.requests.ListRequests, ListRequestsRequest(**filters)).requests  # type: ignore[arg-type]
    return [each for each in found if each.record.ref.record_id == sent]


def waits(stubs: Stubs, sent: str) -> bool:
    """Whether it is listed as waiting."""
    return bool(listed(stubs, sent))


def answerers(stubs: Stubs, sent: str) -> list[str]:
    """Who answered it."""
    (found,) = listed(stubs, sent, include_answered=True)
    return [each.answered_by for each in found.replies]


def settled(stubs: Stubs, sent: str) -> bool:
    """Whether it is not."""
    return not waits(stubs, sent)


def correction_of(doors: dict[str, AgencyDoor], number: int) -> Record:
    """Chongqing doubts a result of Sichuan."""
    sc = doors["sc"].agency("stating")
    about = submit(sc, of_sichuan(credit_of(firm(number))), f"doubted-{number}").record_id
    wait_settled(doors["sc"])
    record = records.correction()
    record.correction_request.record.origin = "sc"
    record.correction_request.record.record_id = about
    record.correction_request.record.revision = 1
    record.correction_request.due_by = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    return record


def test_a_correction_waits_until_it_is_settled(doors: dict[str, AgencyDoor]) -> None:
    """Acknowledging leaves it open; a refusal settles it and tells its reasons; the doubted record stays as it was."""
    record = correction_of(doors, 950)
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk")
    sent = submit(cq, record, "correct-1").record_id
    wait_settled(doors["cq"])
    (shown,) = listed(desk, sent, kind=Kind.KIND_CORRECTION_REQUEST)
    assert (shown.open, shown.late, shown.due_by) == (True, False, record.correction_request.due_by)
    assert listed(desk, sent, kind=Kind.KIND_CASE_REFERRAL) == []
    assert listed(desk, sent, area="5101") == []
    submit(desk, reply_to(record, sent, ACKNOWLEDGED, "CORRECTION"), "correct-2")
    wait_settled(doors["sc"])
    (shown,) = listed(desk, sent)
    assert [each.verb for each in shown.replies] == [ACKNOWLEDGED]
    refusal = reply_to(record, sent, REFUSED, "CORRECTION")
    with pytest.raises(CallFailed) as refused:
        submit(desk, refusal, "correct-3")
    assert [problem.reason for problem in refused.value.problems] == ["REASONS_MISSING"]
    refusal.answer.reasons.append("LEVEL_SCORE_MISMATCH")
    submit(desk, refusal, "correct-4")
    doors["sc"].world.wait(partial(settled, desk, sent), what="the answer's effect")
    wait_settled(doors["sc"])
    (told,) = listed(cq, sent, ours=True, include_answered=True)
    assert [(each.verb, list(each.reasons)) for each in told.replies] == [
        (ACKNOWLEDGED, []),
        (REFUSED, ["LEVEL_SCORE_MISMATCH"]),
    ]
    evidence.assert_laws(doors["cq"].world)


def test_what_the_asking_side_ended_waits_no_more(doors: dict[str, AgencyDoor]) -> None:
    """A request that was settled by its own state is not listed; an ended one is not opened again."""
    record = correction_of(doors, 951)
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk")
    sent = submit(cq, record, "ended-1").record_id
    wait_settled(doors["cq"])
    assert waits(desk, sent)
    record.header.record_id = sent
    record.correction_request.state = CorrectionState.CORRECTION_STATE_SETTLED
    submit(cq, record, "ended-2")
    doors["sc"].world.wait(partial(settled, desk, sent), what="the revision's effect")
    record.correction_request.state = CorrectionState.CORRECTION_STATE_REQUESTED
    with pytest.raises(CallFailed) as refused:
        submit(cq, record, "ended-3")
    assert [problem.reason for problem in refused.value.problems] == ["STATE_NOT_ALLOWED"]


@pytest.mark.parametrize(("name", "effect"), [("referral", "REFERRAL"), ("inspection", "TASK")])
def test_referrals_and_inspections_are_answered(doors: dict[str, AgencyDoor], name: str, effect: str) -> None:
    """By their own effect and no other; the desk of the other side sees them, a confirmation settles them."""
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk")
    record = records.SOUND[name]()
    sent = submit(cq, record, f"{name}-1").record_id
    wait_settled(doors["cq"])
    assert waits(desk, sent)
    with pytest.raises(CallFailed) as refused:
        submit(desk, reply_to(record, sent, CONFIRMED, "ALERT"), f"{name}-2")
    assert [problem.reason for problem in refused.value.problems] == ["ANSWER_EFFECT_UNKNOWN"]
    submit(desk, reply_to(record, sent, CONFIRMED, effect), f"{name}-3")
    doors["sc"].world.wait(partial(settled, desk, sent), what="the answer's effect")


def stated(stubs: Stubs, sent: str) -> StatedEquivalence:
    """An equivalence as the rules' service lists it."""
    answer = stubs.call(stubs.rules.ListEquivalences, ListEquivalencesRequest())
    found: StatedEquivalence = next(each for each in answer.stated if each.ref.record_id == sent)
    return found


def test_an_equivalence_needs_both_approvals(doors: dict[str, AgencyDoor]) -> None:
    """What the origin claims of the other side counts for nothing: its own Answer does, on both nodes."""
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk")
    record = records.equivalence()
    record.standards_equivalence.approvals.add(node="sc", document_no="演川函〔2026〕1号", approved_on="2026-01-02")
    sent = submit(cq, record, "equal-1").record_id
    wait_settled(doors["cq"])
    assert waits(desk, sent)
    for stubs in (cq, desk, doors["sc"].officer(Role.AUDITOR)):
        shown = stated(stubs, sent)
        assert (list(shown.approved_by), shown.approved) == (["cq"], False)
    submit(desk, reply_to(record, sent, CONFIRMED, "APPROVAL"), "equal-2")
    wait_settled(doors["sc"])
    for stubs in (cq, desk):
        shown = stated(stubs, sent)
        assert (list(shown.approved_by), shown.approved) == (["cq", "sc"], True)


def test_requests_are_answered_by_the_command_line(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """List, refuse with a reason, show."""
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk-requests")
    record = records.referral()
    record.case_referral.case_no = "演环案移〔2026〕6号"
    sent = submit(cq, record, "cli-1").record_id
    wait_settled(doors["cq"])
    profile = ("--profile", profile_of(tmp_path, doors["sc"], "desk-requests"))
    assert "演环案移〔2026〕6号" in run("requests", "list", *profile, lang="zh").out
    done = run("requests", "answer", sent, "REFUSED", "--desk", "D-7", "--area", "510100", "-r", "NOT_YOURS", *profile)
    assert done.status == 0
    doors["sc"].world.wait(partial(settled, desk, sent), what="the answer's effect")
    shown = run("requests", "show", sent, "--json", *profile).json
    assert [(each["answered_by"], each["reasons"]) for each in shown["replies"]] == [("D-7", ["NOT_YOURS"])]


def test_an_answer_given_again_is_the_same_call(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """By a key of one's own or the derived one; another answer under a used key is refused."""
    cq, desk = doors["cq"].agency("asking"), desk_of(doors["sc"], "desk-again")
    record = records.referral()
    record.case_referral.case_no = "演环案移〔2026〕7号"
    sent = submit(cq, record, "again-1").record_id
    wait_settled(doors["cq"])
    rest = ("--area", "510100", "--json", "--profile", profile_of(tmp_path, doors["sc"], "desk-again"))
    for number, key in enumerate(((), ("--key", "mine"))):
        told = ("requests", "answer", sent, "CONFIRMED", "--desk", f"D-{number}", *key, *rest)
        first = run(*told)
        assert first.status == 0
        doors["sc"].world.wait(
            lambda wanted=number + 1: len(answerers(desk, sent)) == wanted,  # type: ignore[misc]
            what="the answer's effect",
        )
        assert run(*told).json == first.json | {"repeated_call": True}
    other = run("requests", "answer", sent, "CONFIRMED", "--desk", "D-9", "--key", "mine", *rest)
    assert other.status == 1
    assert "IDEMPOTENCY_KEY_REUSED" in str(other.json)
    assert answerers(desk, sent) == ["D-0", "D-1"]
