"""A subject's full picture: both regions, now and as it counted then, and never what may not be shown any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.v1 import check_service_pb2 as pb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.security_service_pb2 import Agency, Verb
from tests.domain import records
from tests.domain.records import make_uscc
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, grant
from tests.rpc.facts import batch_of, credit_of, firm, of_sichuan, submit, wait_settled
from tests.rpc.test_repairs import FACTS, act_on, notice_about


def picture(
    stubs: Stubs, about: str, at: datetime | None = None, *, include_history: bool = False
) -> pb.GetSubjectResponse:
    """Ask for all of a subject."""
    request = pb.GetSubjectRequest(uscc=about, include_history=include_history)
    if at is not None:
        request.as_of.FromDatetime(at)
    answer: pb.GetSubjectResponse = stubs.call(stubs.check.GetSubject, request)
    return answer


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_picture_brings_what_both_regions_state(doors: dict[str, AgencyDoor]) -> None:
    """Results of all units, notices, entries, stations without their points, from both sides with recognition."""
    cq, sc = doors["cq"].agency("whole"), doors["sc"].agency("whole")
    about = firm(900)
    first, second = credit_of(about), credit_of(about)
    second.credit_result.subject.permit_code = f"{about}002P"
    earlier = credit_of(about, year=2023)
    for number, record in enumerate((first, second, earlier)):
        submit(cq, record, f"whole-{number}")
    submit(cq, notice_about(about, "演环惩〔2026〕900号"), "whole-notice")
    batch = batch_of("500107900001")
    batch.monitoring_batch.station.uscc = about
    batch.monitoring_batch.station.permit_code = f"{about}001P"
    submit(cq, batch, "whole-batch")
    submit(sc, of_sichuan(credit_of(about)), "whole-sc")
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    answer = picture(sc, about, include_history=True)
    by_origin = {region.origin: region for region in answer.credit}
    assert len(by_origin["cq"].results) == 2
    assert len(by_origin["sc"].results) == 1
    assert all(view.outcome and view.rule_edition and view.log for view in by_origin["cq"].results)
    assert [view.record.credit_result.evaluation_year for view in answer.history] == [2023]
    assert [view.kind for view in answer.notices] == [Kind.KIND_PENALTY_NOTICE]
    (station,) = answer.stations
    assert station.record.monitoring_batch.station.station_id == "500107900001"
    assert station.record.monitoring_batch.series
    assert not any(series.points for series in station.record.monitoring_batch.series)
    assert {line.peer for line in answer.freshness} == {"cq"}
    assert not answer.cut


def test_a_past_instant_shows_what_counted_then(doors: dict[str, AgencyDoor]) -> None:
    """Before it was logged nothing, then the first revision, and the second from when it came."""
    cq, sc = doors["cq"].agency("past"), doors["sc"].agency("past")
    about = firm(901)
    before = _now()
    first = submit(cq, credit_of(about), "past-1")
    wait_settled(doors["cq"])
    between = _now()
    revised = credit_of(about)
    revised.header.record_id = first.record_id
    revised.credit_result.score = "84"
    submit(cq, revised, "past-2")
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    for stubs in (cq, sc):
        then = {region.origin: region for region in picture(stubs, about, between).credit}
        assert [(view.ref.revision, view.replaced) for view in then["cq"].results] == [(1, False)]
        assert not any(region.results for region in picture(stubs, about, before).credit)
        now = picture(stubs, about, include_history=True)
        assert [view.ref.revision for region in now.credit for view in region.results] == [2]
        assert [(view.ref.revision, view.replaced) for view in now.history] == [(1, True)]


def test_a_past_instant_never_brings_back_what_was_repaired(doors: dict[str, AgencyDoor]) -> None:
    """Open then, repaired since: a tombstone on a past instant too, and the repair itself was not known yet."""
    cq, sc = doors["cq"].agency("tomb"), doors["sc"].agency("tomb")
    about = firm(902)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕902号"), "tomb-1").record_id
    wait_settled(doors["cq"])
    then = _now()
    assert [view.WhichOneof("content") for view in picture(sc, about, then).notices] == ["record"]
    submit(cq, act_on("repair", sent, about), "tomb-2")
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    for stubs in (cq, sc):
        answer = picture(stubs, about, then, include_history=True)
        assert [view.tombstone.reason for view in answer.notices] == ["REPAIRED"]
        assert FACTS not in str(answer)
        assert not answer.repairs
        assert len(picture(stubs, about).repairs) == 1


def test_what_was_recognised_later_had_not_been_recognised_then(doors: dict[str, AgencyDoor]) -> None:
    """Feedback about a notice that came later was deferred until then, and stands so at an instant before."""
    cq, sc = doors["cq"].agency("later"), doors["sc"].agency("later")
    about = firm(903)
    sent = submit(cq, notice_about(about, "演环惩〔2026〕903号"), "later-1", local_only=True).record_id
    told = records.feedback()
    told.measure_feedback.notice.CopyFrom(RecordRef(origin="cq", record_id=sent, revision=1))
    told.measure_feedback.subject.uscc = about
    submit(cq, told, "later-2", addressees=["sc"])
    wait_settled(doors["cq"])
    then = _now()
    shared = notice_about(about, "演环惩〔2026〕903号")
    shared.header.record_id = sent
    submit(cq, shared, "later-3", addressees=["sc"])
    world = doors["cq"].world
    world.wait(lambda: [view.outcome for view in picture(sc, about).feedback] == [Outcome.OUTCOME_FULL], what="taken")
    (view,) = picture(sc, about, then).feedback
    assert (view.outcome, [reason.reason for reason in view.reasons]) == (
        Outcome.OUTCOME_DEFERRED,
        ["REFERENCE_UNKNOWN"],
    )
    assert not picture(sc, about, then).notices


def test_the_future_is_refused(doors: dict[str, AgencyDoor]) -> None:
    """What will count nobody knows."""
    stubs = doors["cq"].agency("ahead")
    with pytest.raises(CallFailed) as refused:
        picture(stubs, firm(904), _now() + timedelta(hours=1))
    assert [problem.reason for problem in refused.value.problems] == ["DATE_IN_FUTURE"]


def test_grants_to_read_decide_what_is_shown(doors: dict[str, AgencyDoor]) -> None:
    """Kinds without a grant are named and left out, other areas are left out; CHECK alone shows nothing."""
    cq, about = doors["cq"].agency("fills"), firm(905)
    submit(cq, credit_of(about), "grants-1")
    submit(cq, notice_about(about, "演环惩〔2026〕905号"), "grants-2")
    wait_settled(doors["cq"])

    def reader(name: str, *grants: tuple[Verb.ValueType, tuple[Kind.ValueType, ...], str]) -> Stubs:
        made = [grant(verb, of, [area]) for verb, of, area in grants]
        doors["cq"].put(Agency(name=name, display_name="演示单位", grants=made))
        return doors["cq"].stubs(client_issued("cq", Role.AGENCY, name))

    only = picture(reader("credit-only", (Verb.VERB_READ, (Kind.KIND_CREDIT_RESULT,), "*")), about)
    assert any(region.results for region in only.credit)
    assert not only.notices
    assert Kind.KIND_PENALTY_NOTICE in only.not_granted
    for stubs in (
        reader("elsewhere", (Verb.VERB_READ, (Kind.KIND_CREDIT_RESULT,), "5101")),
        reader("checks-only", (Verb.VERB_CHECK, (), "*")),
    ):
        with pytest.raises(CallFailed) as refused:
            picture(stubs, about)
        assert refused.value.status == "PERMISSION_DENIED"


def test_a_person_needs_its_own_grant_and_is_masked(doors: dict[str, AgencyDoor]) -> None:
    """A code that begins with 92: refused with READ alone; with CHECK_PERSON one character of the name."""
    cq, about = doors["cq"].agency("persons-fill"), make_uscc(5_906, prefix="92500000")
    record = credit_of(about)
    record.credit_result.subject.name = "演示甲乙"
    submit(cq, record, "persons-1")
    wait_settled(doors["cq"])
    with pytest.raises(CallFailed) as refused:
        picture(cq, about)
    assert refused.value.status == "PERMISSION_DENIED"
    grants = [grant(Verb.VERB_READ, (Kind.KIND_CREDIT_RESULT,)), grant(Verb.VERB_CHECK_PERSON)]
    doors["cq"].put(Agency(name="persons", display_name="演示单位", grants=grants))
    answer = picture(doors["cq"].stubs(client_issued("cq", Role.AGENCY, "persons")), about)
    names = [view.record.credit_result.subject.name for region in answer.credit for view in region.results]
    assert len(names) == 1
    assert "甲乙" not in names[0]
