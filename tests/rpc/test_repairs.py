"""Repair and revocation as acts: the notice ends on every door of both sides, and each effect is confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain.catalogues.calendars import Calendars
from exchange.flows.context import LOCAL_TIME
from exchange.flows.instants import micros
from exchange.flows.queries.registers.effects import due_by_rule, unconfirmed_by_agency
from exchange.storage.registers import readers
from exchange.v1 import penalty_service_pb2, record_service_pb2
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.check_service_pb2 import BatchCheckSubjectsRequest
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind
from exchange.v1.matter_pb2 import MATTER_KIND_FUNDS, MATTER_KIND_INSPECTION
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetRecordRequest, ListRecordsRequest, RecordView
from exchange.v1.security_service_pb2 import Verb
from tests import evidence
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, full_agency, grant
from tests.rpc.facts import firm, submit, wait_settled
from tests.rpc.test_measures import asked, owed
from tests.world import AUTHORITIES

FACTS = "演示违法事实"


def notice_about(about: str, number: str) -> Record:
    """A joint measure of Chongqing."""
    record = records.joint_measure()
    record.penalty_notice.subject.uscc = about
    record.penalty_notice.subject.permit_code = ""
    record.penalty_notice.decision_no = number
    record.penalty_notice.violation_facts = FACTS
    return record


def act_on(name: str, sent: str, about: str) -> Record:
    """A repair or revocation of a notice."""
    record = records.SOUND[name]()
    body = record.repair_notice if name == "repair" else record.revocation_notice
    body.notice.CopyFrom(RecordRef(origin="cq", record_id=sent, revision=1))
    body.subject.uscc = about
    record.header.issued.document_no = f"演环修〔2026〕{about[-5:]}号"
    return record


def shown_everywhere(stubs: Stubs, about: str, sent: str) -> list[RecordView]:
    """The notice on every door that shows it."""
    ref = RecordRef(origin="cq", record_id=sent)
    views = [stubs.call(stubs.record.GetRecord, GetRecordRequest(ref=ref)).record]
    listing = ListRecordsRequest(uscc=about, kind=Kind.KIND_PENALTY_NOTICE, include_replaced=True)
    views += stubs.call(stubs.record.ListRecords, listing).records
    views += stubs.call(stubs.penalty.ListNotices, penalty_service_pb2.ListNoticesRequest(uscc=about)).notices
    views += stubs.call(stubs.penalty.GetNotice, penalty_service_pb2.GetNoticeRequest(ref=ref)).notices
    views += asked(stubs, about, MATTER_KIND_FUNDS).notices
    return views


def envelope_of(stubs: Stubs, sent: str) -> Any:
    """The envelope of the notice."""
    request = record_service_pb2.GetEnvelopeRequest(ref=RecordRef(origin="cq", record_id=sent))
    return stubs.call(stubs.record.GetEnvelope, request)


def answers_about(stubs: Stubs, act: str) -> list[tuple[str, int, str]]:
    """What was answered to an act: origin, verb, effect."""
    request = ListRecordsRequest(about=RecordRef(origin="cq", record_id=act), kind=Kind.KIND_ANSWER)
    views = stubs.call(stubs.record.ListRecords, request).records
    return sorted((view.ref.origin, view.record.answer.verb, view.record.answer.effect) for view in views)


@pytest.mark.parametrize(("name", "reason"), [("repair", "REPAIRED"), ("revocation", "REVOKED")])
def test_an_act_ends_its_notice_on_every_door_of_both_sides(
    doors: dict[str, AgencyDoor], name: str, reason: str
) -> None:
    """A tombstone and no text anywhere, the proof stays, measures are lifted, the other side confirms each effect."""
    cq, sc = doors["cq"].agency(f"acts-{name}"), doors["sc"].agency(f"acts-{name}")
    about = firm(800 if name == "repair" else 801)
    sent = submit(cq, notice_about(about, f"演环惩〔2026〕{about[-5:]}号"), f"{name}-1").record_id
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert all(view.WhichOneof("content") == "record" for view in shown_everywhere(stubs, about, sent))
        assert asked(stubs, about, MATTER_KIND_FUNDS).measures
    assert owed(cq) != []
    act = submit(cq, act_on(name, sent, about), f"{name}-2").record_id
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    for stubs in (cq, sc):
        views = shown_everywhere(stubs, about, sent)
        assert len(views) == 5
        for view in views:
            assert view.WhichOneof("content") == "tombstone"
            assert view.tombstone.reason == reason
            assert FACTS not in str(view)
        assert list(asked(stubs, about, MATTER_KIND_FUNDS).measures) == []
        proof = envelope_of(stubs, sent)
        assert proof.tombstone.reason == reason
        assert proof.sealed.envelope
        assert not proof.sealed.HasField("body")
        confirmed = AnswerVerb.ANSWER_VERB_CONFIRMED
        effects = ("LIFT_MEASURES", "STOP_PUBLISH", "STOP_SHARE")
        assert answers_about(stubs, act) == [("sc", confirmed, effect) for effect in effects]
    assert owed(cq) == []


def test_what_follows_a_repair(doors: dict[str, AgencyDoor]) -> None:
    """A repaired notice is revised no more, may be revoked still, and is erased before its act, never after."""
    cq = doors["cq"].agency("follows")
    about = firm(802)
    record = notice_about(about, "演环惩〔2026〕802号")
    sent = submit(cq, record, "follow-1").record_id
    act = submit(cq, act_on("repair", sent, about), "follow-2").record_id
    wait_settled(doors["cq"])
    revised = notice_about(about, "演环惩〔2026〕802号")
    revised.header.record_id = sent
    revised.penalty_notice.state = PenaltyState.PENALTY_STATE_RECTIFIED
    erased = records.erasure()
    erased.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=act))
    for wrong, key, reason in ((revised, "follow-3", "STATE_NOT_ALLOWED"), (erased, "follow-4", "ERASE_NOTICE_FIRST")):
        with pytest.raises(CallFailed) as refused:
            submit(cq, wrong, key)
        assert [problem.reason for problem in refused.value.problems] == [reason]
    submit(cq, act_on("revocation", sent, about), "follow-5")
    wait_settled(doors["cq"])
    assert {view.tombstone.reason for view in shown_everywhere(cq, about, sent)} == {"REVOKED"}
    first = records.erasure()
    first.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=sent))
    submit(cq, first, "follow-6")
    wait_settled(doors["cq"])
    submit(cq, erased, "follow-7")
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    evidence.assert_laws(doors["cq"].world)


def test_a_repair_holds_for_a_notice_whose_text_comes_later(fresh_doors: dict[str, AgencyDoor]) -> None:
    """The notice's body was lost on the way and comes after the repair: it is decided, and shown as a tombstone."""
    from tests.flows.withholding import Withholding  # noqa: PLC0415 - only here

    world = fresh_doors["cq"].world
    cq, sc = fresh_doors["cq"].agency("late"), fresh_doors["sc"].agency("late")
    about = firm(803)
    world.wires["cq"].before = Withholding(lambda _, record: record.HasField("penalty_notice"), late=True)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕803号"), "late-1").record_id
    submit(cq, act_on("repair", sent, about), "late-2")
    wait_settled(fresh_doors["cq"])
    world.wait(lambda: world.rows("sc", "reg_waits"))
    world.wires["cq"].before = None
    world.stop("cq")
    world.start("cq")
    world.wait(lambda: world.rows("sc", "reg_waits") == [], what="decided again")
    world.wait(world.settled)
    views = shown_everywhere(sc, about, sent)
    assert {view.WhichOneof("content") for view in views} == {"tombstone"}
    assert {view.tombstone.reason for view in views} == {"REPAIRED"}
    evidence.assert_laws(world)


def test_nobody_else_repairs_a_notice(doors: dict[str, AgencyDoor]) -> None:
    """The other side can not end what this one stated."""
    cq, sc = doors["cq"].agency("others"), doors["sc"].agency("others")
    about = firm(804)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕804号"), "others-1").record_id
    wait_settled(doors["cq"])
    foreign = act_on("repair", sent, about)
    foreign.header.authority.uscc = records.make_uscc(900, prefix="11510000")
    foreign.header.area_code = "510100"
    with pytest.raises(CallFailed) as refused:
        submit(sc, foreign, "others-2")
    assert "NOT_YOURS" in {problem.reason for problem in refused.value.problems}


def unconfirmed(stubs: Stubs) -> list[tuple[str, tuple[str, ...], str]]:
    """What the caller is asked to confirm: notice, effects, by when."""
    request = penalty_service_pb2.ListUnconfirmedEffectsRequest()
    rows = stubs.call(stubs.penalty.ListUnconfirmedEffects, request).effects
    return [(row.notice.record_id, tuple(row.effects), row.due_by) for row in rows]


def test_what_is_not_confirmed_in_three_working_days_is_overdue(doors: dict[str, AgencyDoor]) -> None:
    """Counted from the day on which the act came, by the calendar; without one, the act's own day counts."""
    cq, sc = doors["cq"].agency("dated"), doors["sc"]
    reads = sc.agency("dated-reader")
    about = firm(811)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕811号"), "dated-1").record_id
    wait_settled(doors["cq"])
    reads.call(reads.record.GetRecord, GetRecordRequest(ref=RecordRef(origin="cq", record_id=sent)))
    submit(cq, act_on("repair", sent, about), "dated-2")
    wait_settled(doors["cq"])
    tables = sc.node.tables
    with sc.node.database.read() as connection:
        (act,) = readers.acts_shown(connection, agency="dated-reader", limit=9)

        def late(day: date) -> int:
            now = datetime.combine(day, datetime.min.time(), LOCAL_TIME)
            counted = unconfirmed_by_agency(connection, sc.node, now)
            return next(each.overdue for each in counted if each.agency == "dated-reader")

        last = date.fromisoformat(due_by_rule(tables, act) or "2026-03-05")
        assert (late(last), late(last + timedelta(days=1))) == (0, 1)
    came = replace(act, arrived_at=micros(datetime(2025, 9, 29, 23, 59, tzinfo=LOCAL_TIME)))
    assert due_by_rule(tables, came) == "2025-10-10"  # behind the national holidays
    assert due_by_rule(replace(tables, calendars=Calendars({})), came) == ""


def _is_asked(stubs: Stubs, expected: list[tuple[str, tuple[str, ...], str]]) -> bool:
    return unconfirmed(stubs) == expected


def planned(stubs: Stubs, about: str) -> None:
    """A batch check, as for a plan of inspections."""
    request = BatchCheckSubjectsRequest(
        usccs=[about],
        matter_kind=MATTER_KIND_INSPECTION,
        matter_no="演计1号",
        purpose="双随机检查",
        officer_ref="staff-1",
        area_code="500107",
    )
    assert stubs.call(stubs.check.BatchCheckSubjects, request).subjects[0].notices


def test_whoever_was_shown_a_notice_is_asked_to_confirm(doors: dict[str, AgencyDoor]) -> None:
    """Each reader for itself, effect by effect, until it has answered; who never saw the notice is not asked."""
    cq, sc = doors["cq"].agency("stating"), doors["sc"]
    for name in ("reads", "checks-only", "plans", "knows-nothing"):
        agency = full_agency(name)
        agency.grants.append(grant(Verb.VERB_SUBMIT, (Kind.KIND_ANSWER,)))
        sc.put(agency)
    reads, checks, plans, nothing = (
        sc.stubs(client_issued("sc", Role.AGENCY, name)) for name in ("reads", "checks-only", "plans", "knows-nothing")
    )
    about = firm(805)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕805号"), "asked-1").record_id
    wait_settled(doors["cq"])
    reads.call(reads.record.GetRecord, GetRecordRequest(ref=RecordRef(origin="cq", record_id=sent)))
    asked(checks, about, MATTER_KIND_FUNDS)
    planned(plans, about)
    assert [unconfirmed(each) for each in (reads, checks, plans, nothing)] == [[], [], [], []]
    act = submit(cq, act_on("repair", sent, about), "asked-2").record_id
    wait_settled(doors["cq"])
    effects = ("STOP_PUBLISH", "STOP_SHARE", "LIFT_MEASURES")
    assert unconfirmed(reads) == unconfirmed(checks) == unconfirmed(plans) == [(sent, effects, "2026-03-05")]
    assert unconfirmed(nothing) == []
    for number, effect in enumerate(effects):
        record = records.answer()
        record.header.authority.uscc, record.header.area_code = AUTHORITIES["sc"], "510100"
        record.answer.record.CopyFrom(RecordRef(origin="cq", record_id=act, revision=1))
        record.answer.verb, record.answer.effect = AnswerVerb.ANSWER_VERB_CONFIRMED, effect
        record.answer.answered_by = "desk-1"
        submit(reads, record, f"asked-{3 + number}")
        left = [(sent, effects[number + 1 :], "2026-03-05")] if number < len(effects) - 1 else []
        doors["sc"].world.wait(partial(_is_asked, reads, left), what="the answer's effect")
    assert unconfirmed(checks) == [(sent, effects, "2026-03-05")]
    with sc.node.database.read() as connection:
        counts = {each.agency: each.count for each in unconfirmed_by_agency(connection, sc.node, sc.node.clock())}
    assert counts["checks-only"] == 1
    assert "reads" not in counts
