"""Checks: refused without a matter, answered from both sides, traced before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from sqlalchemy import select

from exchange.crypto.x509.certificates import Role
from exchange.domain.record_index import raw_id
from exchange.flows.checks.check import CheckFlow, Question
from exchange.flows.checks.trace import answer_digest
from exchange.storage import schema
from exchange.storage.logs import log_store
from exchange.v1 import check_service_pb2 as pb
from exchange.v1.credit_service_pb2 import Knowledge
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.security_service_pb2 import Agency, Verb
from tests import evidence
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, grant
from tests.rpc.facts import credit_of, firm, of_sichuan, penalty_of, submit, wait_settled


def question(uscc: str, /, **changes: object) -> pb.CheckSubjectRequest:
    """A sound question."""
    request = pb.CheckSubjectRequest(
        uscc=uscc,
        matter_kind=MatterKind.MATTER_KIND_PERMIT,
        matter_no="渝环准〔2026〕12号",
        purpose="排污许可证延续审查",
        officer_ref="A-1072",
        area_code="500107",
    )
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def check(stubs: Stubs, request: pb.CheckSubjectRequest) -> pb.CheckSubjectResponse:
    """Ask."""
    answer: pb.CheckSubjectResponse = stubs.call(stubs.check.CheckSubject, request)
    return answer


def _journal(door: AgencyDoor, origin: str, index: int) -> JournalEntry:
    with door.node.database.read() as connection:
        log = log_store.head(connection, origin)
        assert log is not None
        return JournalEntry.FromString(log_store.entries(connection, log.id, index, index + 1)[0].entry)


def test_an_answer_brings_both_regions_and_its_trace(doors: dict[str, AgencyDoor]) -> None:
    """Standing and notices of both regions with recognition and provenance; digests in the journal match by hand."""
    cq, sc = doors["cq"].agency("checks"), doors["sc"].agency("checks")
    about = firm(20)
    submit(cq, credit_of(about), "check-1")
    submit(sc, of_sichuan(penalty_of(about, "川环罚〔2025〕1号")), "check-2")
    wait_settled(doors["cq"])
    request = question(about)
    answer = check(cq, request)
    assert [(each.origin, each.knowledge) for each in answer.credit] == [
        ("cq", Knowledge.KNOWLEDGE_FOUND),
        ("sc", Knowledge.KNOWLEDGE_NO_RECORD),
    ]
    notice = answer.notices[0]
    assert notice.ref.origin == "sc"
    assert notice.outcome in (Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL)
    assert notice.log.startswith("sc.exchange.example/to/cq/registry/")
    assert notice.rule_edition
    assert answer.notice_knowledge == Knowledge.KNOWLEDGE_FOUND
    assert [line.peer for line in answer.freshness] == ["sc"]
    traced = _journal(doors["cq"], answer.journal, answer.journal_index).check_traced
    assert (traced.check_id, traced.agency, traced.matter_kind) == (answer.check_id, "checks", "PERMIT")
    asked = sha256(answer.question_salt + request.SerializeToString(deterministic=True)).digest()
    assert traced.question_digest == asked
    bare = pb.CheckSubjectResponse()
    bare.CopyFrom(answer)
    bare.ClearField("answer_salt")
    bare.ClearField("journal_index")
    by_hand = sha256(answer.answer_salt + bare.SerializeToString(deterministic=True)).digest()
    assert traced.answer_digest == by_hand == answer_digest(answer, answer.answer_salt)
    assert about.encode() not in traced.SerializeToString()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"matter_no": ""}, "MATTER_MISSING"),
        ({"matter_no": "  "}, "MATTER_MISSING"),
        ({"matter_kind": 0}, "MATTER_MISSING"),
        ({"matter_kind": 99}, "ENUM_UNKNOWN"),
        ({"purpose": ""}, "PURPOSE_MISSING"),
        ({"purpose": "x" * 201}, "TEXT_TOO_LONG"),
        ({"purpose": "商业推广"}, "PURPOSE_OUT_OF_SCOPE"),
        ({"matter_no": "a\nb"}, "TEXT_CONTROL_CHARACTER"),
        ({"officer_ref": ""}, "OFFICER_MISSING"),
        ({"officer_ref": "张三"}, "OFFICER_REF_FORMAT"),
        ({"uscc": ""}, "FIELD_MISSING"),
        ({"uscc": "91500000MX0000000X"}, "USCC_CHECK"),
        ({"area_code": "999999"}, "AREA_UNKNOWN"),
    ],
)
def test_a_question_that_breaks_a_rule_is_refused(
    doors: dict[str, AgencyDoor], changes: dict[str, object], reason: str
) -> None:
    """Each rule by its own reason, and nothing of it in the journal."""
    stubs = doors["cq"].agency("rules")
    with pytest.raises(CallFailed) as failure:
        check(stubs, question(firm(21), **changes))
    assert failure.value.status == "INVALID_ARGUMENT"
    assert reason in {problem.reason for problem in failure.value.problems}


def test_every_broken_rule_is_told_at_once(doors: dict[str, AgencyDoor]) -> None:
    """An empty question names all of what it lacks."""
    stubs = doors["cq"].agency("rules")
    with pytest.raises(CallFailed) as failure:
        check(stubs, pb.CheckSubjectRequest())
    found = [problem.reason for problem in failure.value.problems]
    assert found == ["FIELD_MISSING", "MATTER_MISSING", "MATTER_MISSING", "PURPOSE_MISSING", "OFFICER_MISSING"]


def test_a_check_goes_by_the_area_of_the_matter(doors: dict[str, AgencyDoor]) -> None:
    """A grant that is limited to areas needs one, and covers no other; reading rights are not needed."""
    door = doors["cq"]
    door.put(Agency(name="permits", display_name="演示单位", grants=[grant(Verb.VERB_CHECK, [], ["5001"])]))
    stubs = door.stubs(client_issued("cq", Role.AGENCY, "permits"))
    assert check(stubs, question(firm(22))).check_id
    for area, reason in (("", "GRANT_AREA_MISSING"), ("510100", "GRANT_AREA")):
        with pytest.raises(CallFailed) as failure:
            check(stubs, question(firm(22), area_code=area))
        assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", reason)


def test_ended_notices_are_tombstones_and_those_that_ran_out_are_not_open(doors: dict[str, AgencyDoor]) -> None:
    """A revoked notice shows its tombstone; one whose effect ended by its own date is left out."""
    cq = doors["cq"].agency("ended")
    about = firm(23)
    record = penalty_of(about, "演环罚〔2025〕2301号")
    sent = submit(cq, record, "ended-1")
    ran_out = penalty_of(about, "演环罚〔2025〕2302号")
    ran_out.penalty_notice.effective_until = "2026-01-31"
    submit(cq, ran_out, "ended-2")
    revoked = Record()
    revoked.CopyFrom(record)
    revoked.header.record_id = sent.record_id
    revoked.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
    submit(cq, revoked, "ended-3")
    wait_settled(doors["cq"])
    answer = check(cq, question(about))
    assert [view.tombstone.reason for view in answer.notices] == ["REVOKED"]
    assert about not in str(answer.notices)


def test_checks_at_once_are_all_traced(doors: dict[str, AgencyDoor]) -> None:
    """Many checks at a time get one journal entry each, in one group or several."""
    stubs = doors["cq"].agency("many")
    calls = [stubs.check.CheckSubject.future(question(firm(24)), timeout=20) for _ in range(40)]
    answers = [call.result() for call in calls]
    assert len({answer.journal_index for answer in answers}) == 40
    for answer in answers[::13]:
        assert _journal(doors["cq"], answer.journal, answer.journal_index).check_traced.check_id == answer.check_id


def test_checks_at_once_keep_every_reader(doors: dict[str, AgencyDoor]) -> None:
    """Every agency is kept as a reader of every notice that it was shown, whatever else was asked at the same time."""
    door, names = doors["cq"], ("first-reader", "second-reader")
    asking = {name: door.agency(name) for name in names}
    firms = [firm(2600 + number) for number in range(8)]
    sent = [
        submit(asking["first-reader"], penalty_of(about, f"演环罚〔2025〕26{place:02}号"), f"readers-{place}")
        for place, about in enumerate(firms)
    ]
    wait_settled(door)
    calls = [
        stubs.check.CheckSubject.future(question(about), timeout=20) for about in firms for stubs in asking.values()
    ]
    assert all(len(call.result().notices) == 1 for call in calls)
    ids = [raw_id(each.record_id) for each in sent]
    kept = schema.notice_readers.c
    with door.node.database.read() as connection:
        found = connection.execute(select(kept.agency, kept.record_id).where(kept.record_id.in_(ids)))
        assert {tuple(row) for row in found} == {(name, record_id) for name in names for record_id in ids}
    told = [
        (line.agency, raw_id(notice.record_id))
        for line in (event.notices_shown for event in evidence.journal(door.world, "cq", "notices_shown"))
        for notice in line.notices
        if raw_id(notice.record_id) in ids
    ]
    assert sorted(told) == sorted((name, record_id) for name in names for record_id in ids), "each once in the journal"
    evidence.assert_replays(door.world, "cq")


def test_one_question_that_nobody_foresaw_does_not_cost_the_others_their_answers(
    doors: dict[str, AgencyDoor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one subject meets is INTERNAL for its caller; checks that came together with it are answered."""
    stubs = doors["cq"].agency("alone")
    cursed = firm(25)
    real = CheckFlow._answers

    def answers(self: CheckFlow, questions: Sequence[Question], journal: str) -> list[pb.CheckSubjectResponse]:
        if any(each.request.uscc == cursed for each in questions):
            raise ValueError("nobody foresaw this")
        return real(self, questions, journal)

    monkeypatch.setattr(CheckFlow, "_answers", answers)
    calls = [stubs.check.CheckSubject.future(question(firm(24 + n % 3)), timeout=20) for n in range(30)]
    codes = [call.code().name for call in calls]
    assert codes == ["OK" if n % 3 != 1 else "INTERNAL" for n in range(30)]
