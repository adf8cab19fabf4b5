"""Measures that apply in a matter, and the feedback that falls due by them (奖惩到位)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.flows.queries.registers.feedback import overdue_by_agency
from exchange.v1 import check_service_pb2 as pb
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.matter_pb2 import MATTER_KIND_AWARD, MATTER_KIND_INSPECTION, MATTER_KIND_PERMIT, MatterKind
from exchange.v1.measure_feedback_pb2 import FeedbackResult
from exchange.v1.penalty_notice_pb2 import NoticeKind, PenaltyState
from exchange.v1.penalty_service_pb2 import DueFeedback, ListDueFeedbackRequest
from exchange.v1.record_pb2 import Record
from exchange.v1.security_service_pb2 import Agency, Verb
from tests import evidence
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, grant
from tests.rpc.facts import credit_of, firm, of_sichuan, penalty_of, submit, wait_settled
from tests.rpc.test_check import check, question

NATIONAL = "全国失信惩戒措施基础清单"
RESTRAIN, INCENTIVE = pb.MEASURE_EFFECT_RESTRAIN, pb.MEASURE_EFFECT_INCENTIVE
ORDERED, RECOMMENDED = pb.MEASURE_STRENGTH_ORDERED, pb.MEASURE_STRENGTH_RECOMMENDED


def joint(about: str, number: str, *codes: str) -> Record:
    """A joint-measure notice of Sichuan that names measures of the national catalogue."""
    record = of_sichuan(penalty_of(about, number))
    body = record.penalty_notice
    body.notice_kind = NoticeKind.NOTICE_KIND_JOINT_MEASURE
    del body.measures[:]
    for code in codes:
        measure = body.measures.add(catalogue=NATIONAL, edition="2024", code=code, addressee="GOVERNMENT")
        measure.recommendation = code.startswith("C")
        measure.legal_basis.append("演示条例 第一条")
    return record


def asked(
    stubs: Stubs, about: str, matter: MatterKind.ValueType, number: str = "演审〔2026〕1号"
) -> pb.CheckSubjectResponse:
    """One check during a matter."""
    return check(stubs, question(about, matter_kind=matter, matter_no=number))


def shown(answer: pb.CheckSubjectResponse) -> list[tuple[str, int, int, bool]]:
    """Measures of an answer: code, effect, strength, whether feedback is due."""
    return [(each.measure.code, each.effect, each.strength, bool(each.feedback_due_on)) for each in answer.measures]


def owed(stubs: Stubs, **changes: Any) -> list[DueFeedback]:
    """What the caller owes."""
    return list(stubs.call(stubs.penalty.ListDueFeedback, ListDueFeedbackRequest(**changes)).feedback)


def feedback_on(due: DueFeedback, about: str) -> Record:
    """Feedback of Chongqing that a measure was carried out."""
    record = records.feedback()
    body = record.measure_feedback
    body.notice.CopyFrom(due.source)
    body.notice.revision = 1
    body.subject.uscc = about
    body.matter_kind, body.matter_no = due.matter_kind, due.matter_no
    del body.results[:]
    body.results.add(
        catalogue=due.catalogue,
        edition=due.edition,
        code=due.code,
        result=FeedbackResult.FEEDBACK_RESULT_IMPLEMENTED,
    )
    body.check_id = due.check_id
    return record


def test_only_measures_of_that_matter_apply(doors: dict[str, AgencyDoor]) -> None:
    """B2 is about awards, B4 about inspections; a recommendation is shown and nothing is due about it."""
    cq, sc = doors["cq"].agency("measures"), doors["sc"].agency("measures")
    about = firm(700)
    submit(sc, joint(about, "川环惩〔2026〕1号", "B2", "B4", "C1"), "m-1")
    wait_settled(doors["cq"])
    answer = asked(cq, about, MATTER_KIND_INSPECTION)
    assert shown(answer) == [("B4", RESTRAIN, ORDERED, True)]
    assert answer.measures[0].source.origin == "sc"
    assert answer.measures[0].outcome == Outcome.OUTCOME_FULL
    assert shown(asked(cq, about, MATTER_KIND_AWARD)) == [("B2", RESTRAIN, ORDERED, True)]
    assert shown(asked(cq, about, MatterKind.MATTER_KIND_FUNDS)) == [("C1", RESTRAIN, RECOMMENDED, False)]
    assert shown(asked(cq, about, MATTER_KIND_PERMIT)) == []


def test_a_level_brings_incentives_only_where_no_region_knows_worse(doors: dict[str, AgencyDoor]) -> None:
    """Green in one region; blue in the other takes the incentive away, and the lower level is decisive."""
    cq, sc = doors["cq"].agency("levels"), doors["sc"].agency("levels")
    about = firm(701)
    green = credit_of(about)
    green.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_GREEN
    green.credit_result.source_level_text, green.credit_result.score = "环保诚信企业", "103"
    green.credit_result.base_score, green.credit_result.bonus_score = "100", "3"
    submit(cq, green, "l-1")
    wait_settled(doors["cq"])
    answer = asked(cq, about, MATTER_KIND_PERMIT)
    assert answer.decisive_level == CreditLevel.CREDIT_LEVEL_GREEN
    assert shown(answer) == [("I1", INCENTIVE, ORDERED, True)]
    submit(sc, of_sichuan(credit_of(about)), "l-2")
    wait_settled(doors["cq"])
    answer = asked(cq, about, MATTER_KIND_PERMIT)
    assert answer.decisive_level == CreditLevel.CREDIT_LEVEL_BLUE
    assert shown(answer) == []


def test_an_earlier_round_brings_no_measure(doors: dict[str, AgencyDoor]) -> None:
    """Green for two years running is one incentive, of the newest round, and one duty."""
    cq = doors["cq"].agency("rounds")
    about = firm(707)
    for year in (2023, 2024):
        green = credit_of(about, year=year)
        green.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_GREEN
        green.credit_result.source_level_text, green.credit_result.score = "环保诚信企业", "103"
        green.credit_result.base_score, green.credit_result.bonus_score = "100", "3"
        newest = submit(cq, green, f"round-{year}").record_id
    wait_settled(doors["cq"])
    answer = asked(cq, about, MATTER_KIND_PERMIT)
    assert [(each.measure.code, each.source.record_id) for each in answer.measures] == [("I1", newest)]


def test_an_incentive_beside_an_open_order_is_for_the_receiver_to_decide(doors: dict[str, AgencyDoor]) -> None:
    """Green, and under a joint measure all the same."""
    cq, sc = doors["cq"].agency("both"), doors["sc"].agency("both")
    about = firm(702)
    green = credit_of(about)
    green.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_GREEN
    green.credit_result.source_level_text, green.credit_result.score = "环保诚信企业", "103"
    green.credit_result.base_score, green.credit_result.bonus_score = "100", "3"
    submit(cq, green, "b-1")
    submit(sc, joint(about, "川环惩〔2026〕2号", "B4"), "b-2")
    wait_settled(doors["cq"])
    decides = pb.MEASURE_STRENGTH_RECEIVER_DECIDES
    assert shown(asked(cq, about, MATTER_KIND_INSPECTION)) == [
        ("B4", RESTRAIN, ORDERED, True),
        ("I4", INCENTIVE, decides, False),
    ]


def test_feedback_falls_due_once_and_is_closed_by_giving_it(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Due by the first check of a matter, for each matter by itself; given, it reaches the region of the notice."""
    doors = fresh_doors
    cq, sc = doors["cq"].agency("owing"), doors["sc"].agency("owing")
    about = firm(703)
    submit(sc, joint(about, "川环惩〔2026〕3号", "B4"), "f-1")
    wait_settled(doors["cq"])
    first = asked(cq, about, MATTER_KIND_INSPECTION, "检〔2026〕1号")
    asked(cq, about, MATTER_KIND_INSPECTION, "检〔2026〕1号")
    asked(cq, about, MATTER_KIND_INSPECTION, "检〔2026〕2号")
    rows = owed(cq)
    assert [(row.check_id == first.check_id, row.matter_no, row.code, row.overdue) for row in rows] == [
        (True, "检〔2026〕1号", "B4", False),
        (False, "检〔2026〕2号", "B4", False),
    ]
    given = submit(cq, feedback_on(rows[0], about), "f-2")
    wait_settled(doors["cq"])
    assert [row.matter_no for row in owed(cq)] == ["检〔2026〕2号"]
    closed = [row for row in owed(cq, include_given=True) if row.HasField("feedback")]
    assert [row.feedback.record_id for row in closed] == [given.record_id]
    arrived = [row for row in doors["sc"].world.rows("sc") if row.record_id.hex() == given.record_id.replace("-", "")]
    assert [row.origin for row in arrived] == ["cq"]
    assert owed(cq, overdue_only=True) == []
    node = doors["cq"].node
    with node.database.read() as connection:
        later = [(each.agency, each.count) for each in overdue_by_agency(connection, node.clock() + timedelta(days=16))]
        today = overdue_by_agency(connection, node.clock() + timedelta(days=14))
    assert (later, today) == ([("owing", 1)], [])
    evidence.assert_laws(doors["cq"].world)


def test_nothing_is_due_about_a_notice_that_was_repaired(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Its measures are lifted, and so is the duty to report on them."""
    doors = fresh_doors
    cq, sc = doors["cq"].agency("lifted"), doors["sc"].agency("lifted")
    about = firm(704)
    notice = joint(about, "川环惩〔2026〕4号", "B4")
    sent = submit(sc, notice, "r-1")
    wait_settled(doors["cq"])
    asked(cq, about, MATTER_KIND_INSPECTION)
    assert len(owed(cq)) == 1
    repaired = joint(about, "川环惩〔2026〕4号", "B4")
    repaired.header.record_id = sent.record_id
    repaired.penalty_notice.state = PenaltyState.PENALTY_STATE_REPAIRED
    submit(sc, repaired, "r-2")
    wait_settled(doors["cq"])
    assert owed(cq) == []
    assert shown(asked(cq, about, MATTER_KIND_INSPECTION)) == []


def test_many_are_checked_by_one_trace(doors: dict[str, AgencyDoor]) -> None:
    """Short answers in order, a code that is wrong among them; nothing falls due by planning."""
    cq, sc = doors["cq"].agency("planning"), doors["sc"].agency("planning")
    about = firm(705)
    submit(sc, joint(about, "川环惩〔2026〕5号", "B4"), "p-1")
    submit(cq, credit_of(about), "p-2")
    wait_settled(doors["cq"])
    codes = [about, "91500000MX0000000X", firm(706)]
    request = pb.BatchCheckSubjectsRequest(
        usccs=codes,
        matter_kind=MATTER_KIND_INSPECTION,
        matter_no="双随机〔2026〕1号",
        purpose="双随机检查",
        officer_ref="A-1",
        area_code="500107",
    )
    answer = cq.call(cq.check.BatchCheckSubjects, request)
    known, wrong, nothing = answer.subjects
    assert [each.uscc for each in answer.subjects] == codes
    assert known.decisive_level == CreditLevel.CREDIT_LEVEL_BLUE
    assert [(each.measure.code, each.feedback_due_on) for each in known.measures] == [("B4", "")]
    assert [each.origin for each in known.notices] == ["sc"]
    assert [each.reason for each in wrong.problems] == ["USCC_CHECK"]
    assert (list(nothing.problems), nothing.decisive_level, list(nothing.measures)) == ([], 0, [])
    assert owed(cq) == []
    for subjects, reason in (([], "FIELD_MISSING"), ([about, about], "DUPLICATE_ITEM")):
        broken = pb.BatchCheckSubjectsRequest()
        broken.CopyFrom(request)
        broken.usccs[:] = subjects
        with pytest.raises(CallFailed) as failure:
            cq.call(cq.check.BatchCheckSubjects, broken)
        assert reason in {problem.reason for problem in failure.value.problems}


def test_a_sole_trader_needs_a_grant_of_its_own_and_shows_a_masked_name(doors: dict[str, AgencyDoor]) -> None:
    """CHECK alone is refused by name; with CHECK_PERSON too, the answer shows one character of the name."""
    door = doors["cq"]
    about = records.make_uscc(77, prefix="92500107")
    stubs = door.agency("trader")
    notice = penalty_of(about, "渝环罚〔2026〕9号")
    notice.penalty_notice.subject.kind = SubjectKind.SUBJECT_KIND_SOLE_TRADER
    notice.penalty_notice.subject.name = "演示丙餐饮店"
    submit(stubs, notice, "t-1")
    door.put(Agency(name="firms-only", display_name="演示单位", grants=[grant(Verb.VERB_CHECK)]))
    only = door.stubs(client_issued("cq", Role.AGENCY, "firms-only"))
    with pytest.raises(CallFailed) as failure:
        asked(only, about, MATTER_KIND_PERMIT)
    assert failure.value.reason == "NO_GRANT"
    grants = [grant(Verb.VERB_CHECK), grant(Verb.VERB_CHECK_PERSON)]
    door.put(Agency(name="persons", display_name="演示单位", grants=grants))
    both = door.stubs(client_issued("cq", Role.AGENCY, "persons"))
    door.world.wait(lambda: asked(both, about, MATTER_KIND_PERMIT).notices, what="applied")
    answer = asked(both, about, MATTER_KIND_PERMIT)
    assert [view.record.penalty_notice.subject.name for view in answer.notices] == ["演**"]
