"""Laboratories through both doors: what they stood for on a day, and the readings that stand or fall with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from exchange.tables import read_all
from exchange.v1 import laboratory_service_pb2 as pb
from exchange.v1 import monitoring_service_pb2, operation_service_pb2
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.lab_qualification_pb2 import LabStanding, LabState
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, Interval, ProtocolEdition, TimeSemantics, Usability
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import ListRecordsRequest, RecordView
from tests import evidence
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, firm, of_sichuan, submit, wait_settled
from tests.rpc.test_actions import officers

METHODS = {"w01018": "HJ 828-2017", "w21003": "HJ 535-2009"}
COD = "w01018"


def lab_of(number: int) -> Record:
    """A laboratory of cq: certified February to May 2026, for COD from 10 February to 20 May."""
    record = records.lab()
    body = record.lab_qualification
    body.cma_no = f"22221205{number:04d}"
    body.subject.uscc = firm(600 + number)
    body.valid_from, body.valid_until = "2026-02-01", "2026-05-31"
    for line in body.scope:
        line.valid_from = "2026-02-01"
    body.scope[0].valid_from, body.scope[0].valid_until = "2026-02-10", "2026-05-20"
    return record


def suspended(record: Record, first: str, last: str = "") -> Record:
    """The laboratory with one more suspension."""
    again = Record()
    again.CopyFrom(record)
    line = again.lab_qualification.suspensions.add(suspended_from=first, suspended_until=last, ground="演示：数据造假")
    line.document_no = "演市监停〔2026〕1号"
    return again


def sampled(lab: Record, station: str, days: Sequence[str], *, method: str = "") -> Record:
    """Samples of both factors, taken by a laboratory of cq at noon of some days."""
    record = batch_of(station)
    batch = record.monitoring_batch
    batch.lab_cma_no = lab.lab_qualification.cma_no
    batch.lab_uscc = lab.lab_qualification.subject.uscc
    batch.interval = Interval.INTERVAL_MANUAL_SAMPLE
    batch.time_semantics = TimeSemantics.TIME_SEMANTICS_SAMPLE_TIME
    batch.protocol_edition = ProtocolEdition.PROTOCOL_EDITION_UNSPECIFIED
    batch.crc_verdict = CrcVerdict.CRC_VERDICT_UNSPECIFIED
    for series in batch.series:
        series.method_standard = method or METHODS[series.factor_code]
        point = records.monitoring().monitoring_batch.series[0].points[0]
        del series.points[:]
        for day in days:
            made = series.points.add()
            made.CopyFrom(point)
            made.data_time.FromDatetime(datetime.fromisoformat(f"{day}T04:00:00").replace(tzinfo=UTC))
    return record


def station_of(number: int) -> str:
    """A station of this file's own range."""
    return f"LAB{number:019d}"


def readings(stubs: Stubs, station: str, factor: str = COD) -> dict[str, monitoring_service_pb2.ReadingView]:
    """Readings of one factor by day of sampling."""
    request = monitoring_service_pb2.ListReadingsRequest(station_id=station, factor_code=factor)
    found = stubs.call(stubs.monitoring.ListReadings, request).readings
    return {view.sampled_on: view for view in found}


def standings(stubs: Stubs, station: str, factor: str = COD) -> dict[str, str]:
    """How the laboratory stood for each reading of one factor, by day."""
    return {
        day: LabStanding.Name(view.lab_standing).removeprefix("LAB_STANDING_")
        for day, view in readings(stubs, station, factor).items()
    }


def decided(stubs: Stubs, station: str, sent: str) -> RecordView:
    """How a node recognises a batch."""
    request = ListRecordsRequest(kind=Kind.KIND_MONITORING_BATCH, include_replaced=True, page_size=500)
    views = stubs.call(stubs.record.ListRecords, request).records
    found: RecordView = next(view for view in views if view.ref.record_id == sent)
    return found


def revise(stubs: Stubs, record: Record, record_id: str, key: str) -> None:
    """State a laboratory anew."""
    again = Record()
    again.CopyFrom(record)
    again.header.record_id = record_id
    submit(stubs, again, key)


EDGES = {
    "2026-01-31": "NOT_YET_VALID",
    "2026-02-01": "NOT_IN_SCOPE",
    "2026-02-09": "NOT_IN_SCOPE",
    "2026-02-10": "HELD",
    "2026-03-09": "HELD",
    "2026-03-10": "SUSPENDED",
    "2026-03-12": "SUSPENDED",
    "2026-03-13": "HELD",
    "2026-05-20": "HELD",
    "2026-05-21": "NOT_IN_SCOPE",
    "2026-05-31": "NOT_IN_SCOPE",
    "2026-06-01": "EXPIRED",
}


def test_each_reading_stands_by_its_day_of_sampling(doors: dict[str, AgencyDoor]) -> None:
    """First and last days of certificate, scope and suspension, on both sides; what does not hold is not usable."""
    cq, sc = doors["cq"].agency("edges"), doors["sc"].agency("edges")
    lab = suspended(lab_of(1), "2026-03-10", "2026-03-12")
    submit(cq, lab, "edges-lab")
    wait_settled(doors["cq"])
    sent = submit(cq, sampled(lab, station_of(1), list(EDGES)), "edges-1").record_id
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert standings(stubs, station_of(1)) == EDGES
        found = readings(stubs, station_of(1))
        assert {day for day, view in found.items() if view.usable} == {d for d, s in EDGES.items() if s == "HELD"}
    found = readings(sc, station_of(1))
    full = {day for day, view in found.items() if view.outcome == Outcome.OUTCOME_FULL}
    assert full == {day for day, standing in EDGES.items() if standing == "HELD"}
    assert list(found["2026-03-10"].reasons) == ["LAB_SUSPENDED"]
    assert list(found["2026-06-01"].reasons) == ["LAB_CERTIFICATE_EXPIRED"]
    # What is decided of all days together is decided by the best of them.
    assert decided(sc, station_of(1), sent).outcome == Outcome.OUTCOME_FULL
    assert standings(sc, station_of(1), "w21003")["2026-05-31"] == "HELD"


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-01-31", "LAB_NOT_YET_CERTIFIED"),
        ("2026-02-10", ""),
        ("2026-03-09", ""),
        ("2026-03-10", "LAB_SUSPENDED"),
        ("2026-05-31", ""),
        ("2026-06-01", "LAB_CERTIFICATE_EXPIRED"),
    ],
)
def test_a_batch_of_one_day_is_recognised_by_it(doors: dict[str, AgencyDoor], day: str, reason: str) -> None:
    """The signed decision says why nothing of it counts; one factor out of scope is a part of its own."""
    number = 10 + int(day[6]) * 31 + int(day[-2:])
    cq, sc = doors["cq"].agency("days"), doors["sc"].agency("days")
    lab = suspended(lab_of(number), "2026-03-10", "2026-03-12")
    submit(cq, lab, f"day-lab-{day}")
    wait_settled(doors["cq"])
    sent = submit(cq, sampled(lab, station_of(number), [day]), f"day-{day}").record_id
    wait_settled(doors["cq"])
    view = decided(sc, station_of(number), sent)
    assert [problem.reason for problem in view.reasons] == ([reason] if reason else [])
    assert view.outcome == (Outcome.OUTCOME_NOT_RECOGNISED if reason else Outcome.OUTCOME_FULL)
    if day == "2026-05-31":
        assert list(readings(sc, station_of(number))[day].reasons) == ["LAB_NOT_IN_SCOPE"]


def test_a_suspension_learned_later_reaches_back(doors: dict[str, AgencyDoor]) -> None:
    """Readings of those days fall on the next query; the decision stays as it was signed; lifting brings them back."""
    cq, sc = doors["cq"].agency("later"), doors["sc"].agency("later")
    lab = lab_of(2)
    first = submit(cq, lab, "later-lab").record_id
    wait_settled(doors["cq"])
    days = ["2026-03-31", "2026-04-01", "2026-04-10", "2026-04-11"]
    sent = submit(cq, sampled(lab, station_of(2), days), "later-1").record_id
    wait_settled(doors["cq"])
    before = decided(sc, station_of(2), sent)
    assert [view.usable for view in readings(sc, station_of(2)).values()] == [True] * 4
    revise(cq, suspended(lab, "2026-04-01", "2026-04-10"), first, "later-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        found = readings(stubs, station_of(2))
        assert {day for day, view in found.items() if not view.usable} == {"2026-04-01", "2026-04-10"}
    fallen = found["2026-04-01"]
    assert fallen.outcome == Outcome.OUTCOME_NOT_RECOGNISED
    assert fallen.decided_outcome == Outcome.OUTCOME_FULL
    assert decided(sc, station_of(2), sent) == before
    revise(cq, lab, first, "later-3")
    wait_settled(doors["cq"])
    assert [view.usable for view in readings(sc, station_of(2)).values()] == [True] * 4
    evidence.assert_laws(doors["cq"].world)


def test_what_a_laboratory_alone_stood_against_rises_when_it_is_corrected(doors: dict[str, AgencyDoor]) -> None:
    """A suspension withdrawn for the past brings its readings back, each to what the other rules say of it."""
    cq, sc = doors["cq"].agency("rises"), doors["sc"].agency("rises")
    lab = lab_of(9)
    first = submit(cq, suspended(lab, "2026-04-01", "2026-04-30"), "rises-lab").record_id
    wait_settled(doors["cq"])
    record = sampled(lab, station_of(9), ["2026-04-14", "2026-04-15"])
    manual, odd = record.monitoring_batch.series[0].points
    manual.source_flag, manual.usability = "S", Usability.USABILITY_MANUAL
    odd.source_flag, odd.usability = "D", Usability.USABILITY_NOT_USABLE
    submit(cq, record, "rises-1")
    wait_settled(doors["cq"])
    before = readings(sc, station_of(9))
    assert [list(before[day].reasons) for day in sorted(before)] == [["LAB_SUSPENDED"], ["LAB_SUSPENDED"]]
    revise(cq, lab, first, "rises-2")
    wait_settled(doors["cq"])
    after = readings(sc, station_of(9))
    manually, oddly = after["2026-04-14"], after["2026-04-15"]
    assert (manually.outcome, list(manually.reasons)) == (Outcome.OUTCOME_CONDITIONAL, ["MANUAL_VALUE"])
    assert (oddly.outcome, list(oddly.reasons)) == (Outcome.OUTCOME_NOT_RECOGNISED, ["FLAG_NOT_USABLE"])
    assert (manually.usable, oddly.usable) == (True, False)
    assert manually.decided_outcome == Outcome.OUTCOME_NOT_RECOGNISED
    assert readings(sc, station_of(9), "w21003")["2026-04-14"].outcome == Outcome.OUTCOME_FULL


def test_a_laboratory_off_its_roster_counts_for_the_days_before(doors: dict[str, AgencyDoor]) -> None:
    """Removed since a day: what was sampled on it and after is nothing, what was sampled before stays."""
    cq, sc = doors["cq"].agency("removed"), doors["sc"].agency("removed")
    lab = lab_of(3)
    first = submit(cq, lab, "removed-lab").record_id
    wait_settled(doors["cq"])
    submit(cq, sampled(lab, station_of(3), ["2026-04-14", "2026-04-15", "2026-04-16"]), "removed-1")
    wait_settled(doors["cq"])
    lab.lab_qualification.state = LabState.LAB_STATE_REMOVED
    lab.lab_qualification.state_since = "2026-04-15"
    lab.lab_qualification.removal_ground = "演示：不再具备条件"
    revise(cq, lab, first, "removed-2")
    wait_settled(doors["cq"])
    assert standings(sc, station_of(3)) == {"2026-04-14": "HELD", "2026-04-15": "REMOVED", "2026-04-16": "REMOVED"}
    # Nothing of a batch counts: each value says why for its own day.
    submit(cq, sampled(lab, station_of(33), ["2026-01-31", "2026-04-15"]), "removed-3")
    wait_settled(doors["cq"])
    reasons = {day: list(view.reasons) for day, view in readings(sc, station_of(33)).items()}
    assert reasons == {"2026-01-31": ["LAB_NOT_YET_CERTIFIED"], "2026-04-15": ["LAB_REMOVED"]}


def test_a_revision_that_narrows_the_scope_takes_readings_along(doors: dict[str, AgencyDoor]) -> None:
    """The other factor's readings stay, and a method outside the scope never held."""
    cq, sc = doors["cq"].agency("narrow"), doors["sc"].agency("narrow")
    lab = lab_of(4)
    first = submit(cq, lab, "narrow-lab").record_id
    wait_settled(doors["cq"])
    submit(cq, sampled(lab, station_of(4), ["2026-04-14", "2026-04-15"]), "narrow-1")
    submit(cq, sampled(lab, station_of(5), ["2026-04-14"], method="HJ/T 399-2007"), "narrow-2")
    submit(cq, sampled(lab, station_of(6), ["2026-04-14"], method="HJ828—2017"), "narrow-3")
    wait_settled(doors["cq"])
    assert standings(sc, station_of(4)) == {"2026-04-14": "HELD", "2026-04-15": "HELD"}
    assert standings(sc, station_of(5)) == {"2026-04-14": "NOT_IN_SCOPE"}
    assert standings(sc, station_of(6)) == {"2026-04-14": "HELD"}
    lab.lab_qualification.scope[0].valid_until = "2026-04-14"
    revise(cq, lab, first, "narrow-4")
    wait_settled(doors["cq"])
    assert standings(sc, station_of(4)) == {"2026-04-14": "HELD", "2026-04-15": "NOT_IN_SCOPE"}
    assert standings(sc, station_of(4), "w21003") == {"2026-04-14": "HELD", "2026-04-15": "HELD"}


def test_data_of_an_unknown_laboratory_wait_for_it(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Deferred until a record states the laboratory, whoever it is; then decided once more, and replay agrees."""
    cq, sc = fresh_doors["cq"].agency("waits"), fresh_doors["sc"].agency("waits")
    lab = lab_of(7)
    sent = submit(cq, sampled(lab, station_of(7), ["2026-04-14"]), "waits-1").record_id
    other = sampled(lab_of(8), station_of(8), ["2026-04-14"])
    other.monitoring_batch.lab_uscc = ""
    stays = submit(cq, other, "waits-2").record_id
    wait_settled(fresh_doors["cq"])
    view = decided(sc, station_of(7), sent)
    assert view.outcome == Outcome.OUTCOME_DEFERRED
    assert [problem.reason for problem in view.reasons] == ["LAB_UNKNOWN"]
    assert standings(sc, station_of(7)) == {"2026-04-14": "UNKNOWN"}
    assert not readings(cq, station_of(7))["2026-04-14"].usable
    submit(sc, of_sichuan(lab), "waits-3", local_only=True)
    fresh_doors["cq"].world.wait(lambda: decided(sc, station_of(7), sent).outcome == Outcome.OUTCOME_FULL)
    wait_settled(fresh_doors["cq"])
    view = decided(sc, station_of(7), sent)
    assert (view.decision_revision, list(view.reasons)) == (2, [])
    assert readings(sc, station_of(7))["2026-04-14"].usable
    assert decided(sc, station_of(8), stays).decision_revision == 1
    submit(cq, lab_of(8), "waits-4")
    wait_settled(fresh_doors["cq"])
    fresh_doors["cq"].world.wait(lambda: decided(sc, station_of(8), stays).outcome == Outcome.OUTCOME_FULL)
    wait_settled(fresh_doors["cq"])
    evidence.assert_laws(fresh_doors["cq"].world)


def test_laboratories_are_asked_for_by_number_and_day(doors: dict[str, AgencyDoor]) -> None:
    """Each record with its standing on the day and the lines of scope that held; all of them together."""
    cq, sc = doors["cq"].agency("numbers"), doors["sc"].agency("numbers")
    lab = lab_of(30)
    submit(cq, lab, "numbers-1")
    wait_settled(doors["cq"])
    number = lab.lab_qualification.cma_no
    for on, factor, standing, lines in (
        ("2026-02-01", "", LabStanding.LAB_STANDING_HELD, ["w21003"]),
        ("2026-02-01", COD, LabStanding.LAB_STANDING_NOT_IN_SCOPE, []),
        ("2026-02-10", COD, LabStanding.LAB_STANDING_HELD, [COD]),
        ("2026-06-01", COD, LabStanding.LAB_STANDING_EXPIRED, []),
    ):
        request = pb.GetLaboratoryRequest(cma_no=number, on=on, factor_code=factor)
        for stubs in (cq, sc):
            answer = stubs.call(stubs.laboratory.GetLaboratory, request)
            assert [view.standing for view in answer.laboratories] == [standing]
            assert answer.standing == standing
            held = [line.factor_code for line in answer.laboratories[0].scope]
            assert held == lines or (not factor and set(lines) <= set(held))
    # The other side's roster states it too, and suspends it: that counts, whoever says so.
    other = of_sichuan(suspended(lab, "2026-04-01"))
    submit(sc, other, "numbers-2")
    wait_settled(doors["sc"])
    request = pb.GetLaboratoryRequest(cma_no=number, on="2026-04-01")
    answer = cq.call(cq.laboratory.GetLaboratory, request)
    assert {view.record.ref.origin: view.standing for view in answer.laboratories} == {
        "cq": LabStanding.LAB_STANDING_HELD,
        "sc": LabStanding.LAB_STANDING_SUSPENDED,
    }
    assert answer.standing == LabStanding.LAB_STANDING_SUSPENDED
    for wrong, reason in (
        (pb.GetLaboratoryRequest(), "FIELD_MISSING"),
        (pb.GetLaboratoryRequest(cma_no="渝检1号"), "CMA_NO_FORMAT"),
        (pb.GetLaboratoryRequest(cma_no=number, on="2026-02-30"), "DATE_FORMAT"),
        (pb.GetLaboratoryRequest(cma_no=number, method_standard="HJ 828-2017"), "FIELD_MISSING"),
    ):
        with pytest.raises(CallFailed) as refused:
            cq.call(cq.laboratory.GetLaboratory, wrong)
        assert reason in {problem.reason for problem in refused.value.problems}


def test_laboratories_are_listed_by_area_state_factor_and_day(fresh_doors: dict[str, AgencyDoor]) -> None:
    """By pages, on both sides; an agency sees those of the areas that it was granted."""
    cq, sc = fresh_doors["cq"].agency("lists"), fresh_doors["sc"].agency("lists")
    labs = [lab_of(40 + number) for number in range(3)]
    labs[1].lab_qualification.subject.area_code = labs[1].header.area_code = "500112"
    labs[2] = suspended(labs[2], "2026-04-01")
    labs[2].lab_qualification.state = LabState.LAB_STATE_SUSPENDED
    labs[2].lab_qualification.state_since = "2026-04-01"
    del labs[1].lab_qualification.scope[0]
    for number, lab in enumerate(labs):
        submit(cq, lab, f"lists-{number}")
    wait_settled(fresh_doors["cq"])
    names = [lab.lab_qualification.cma_no for lab in labs]

    def listed(stubs: Stubs, **asked: object) -> list[int]:
        found: list[int] = []
        request = pb.ListLaboratoriesRequest(page_size=2, **asked)  # type: ignore[arg-type]
        while True:
            answer = stubs.call(stubs.laboratory.ListLaboratories, request)
            found += [names.index(view.record.record.lab_qualification.cma_no) for view in answer.laboratories]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    held, gone = LabStanding.LAB_STANDING_HELD, LabStanding.LAB_STANDING_SUSPENDED
    for stubs in (cq, sc):
        assert listed(stubs) == [2, 1, 0]
        assert listed(stubs, area="500112") == [1]
        assert listed(stubs, state=LabState.LAB_STATE_SUSPENDED) == [2]
        assert listed(stubs, factor_code=COD) == [2, 0]
        assert listed(stubs, standing=held, on="2026-03-31") == [2, 1, 0]
        assert listed(stubs, standing=held, on="2026-04-01") == [1, 0]
        assert listed(stubs, standing=gone, on="2026-04-01") == [2]
        assert listed(stubs, standing=held, on="2026-02-09", factor_code=COD) == []
        assert listed(stubs, standing=held, on="2026-02-10", factor_code=COD, method_standard="HJ828-2017") == [2, 0]
        assert listed(stubs, uscc=labs[0].lab_qualification.subject.uscc) == [0]
        assert listed(stubs, origin="sc") == []


def test_readings_of_a_laboratory_that_was_erased_wait(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Nothing of it is left in the register: values that counted are deferred when asked for, and replay agrees."""
    cq, sc = fresh_doors["cq"].agency("erased"), fresh_doors["sc"].agency("erased")
    lab = lab_of(50)
    first = submit(cq, lab, "erased-lab").record_id
    wait_settled(fresh_doors["cq"])
    submit(cq, sampled(lab, station_of(50), ["2026-04-14"]), "erased-1")
    wait_settled(fresh_doors["cq"])
    assert readings(sc, station_of(50))["2026-04-14"].usable
    gone = records.erasure()
    gone.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=first))
    submit(cq, gone, "erased-2")
    wait_settled(fresh_doors["cq"])
    view = readings(sc, station_of(50))["2026-04-14"]
    assert (view.outcome, list(view.reasons)) == (Outcome.OUTCOME_DEFERRED, ["LAB_UNKNOWN"])
    assert view.decided_outcome == Outcome.OUTCOME_FULL
    with pytest.raises(CallFailed) as unknown:
        sc.call(sc.laboratory.GetLaboratory, pb.GetLaboratoryRequest(cma_no=lab.lab_qualification.cma_no))
    assert unknown.value.status == "NOT_FOUND"
    world = fresh_doors["cq"].world
    assert [world.rows(name, "reg_labs") for name in ("cq", "sc")] == [[], []]
    evidence.assert_laws(world)


def test_other_rules_are_asked_of_a_laboratory_as_it_was_found(fresh_doors: dict[str, AgencyDoor]) -> None:
    """What was learned of it since is no difference between editions."""
    cq = fresh_doors["cq"].agency("rules")
    operator, _ = officers(fresh_doors["sc"])
    lab = lab_of(60)
    first = submit(cq, suspended(lab, "2026-04-01"), "rules-lab").record_id
    wait_settled(fresh_doors["cq"])
    fell = submit(cq, sampled(lab, station_of(60), ["2026-04-14"]), "rules-1").record_id
    submit(cq, sampled(lab, station_of(61), ["2026-03-31"]), "rules-2")
    wait_settled(fresh_doors["cq"])
    revise(cq, suspended(lab, "2026-03-31", "2026-03-31"), first, "rules-3")
    wait_settled(fresh_doors["cq"])
    shipped = read_all()["rules/recognition.toml"].decode()
    same = shipped.replace('edition = "2026-1"', 'edition = "2026-2"')
    milder = same.replace('values = ["SUSPENDED"] }]\noutcome', 'values = ["REMOVED"] }]\noutcome', 2)
    assert milder.count("LAB_SUSPENDED") == 2

    def changed(content: str) -> list[tuple[str, int, int]]:
        request = operation_service_pb2.DiffRulesRequest(
            edition_a="2026-1", content_b=content.encode(), kind=Kind.KIND_MONITORING_BATCH
        )
        answer = operator.call(operator.operation.DiffRules, request)
        assert answer.examined == 2
        return [(each.ref.record_id, each.before.outcome, each.after.outcome) for each in answer.changes]

    assert changed(same) == []
    assert changed(milder) == [(fell, Outcome.OUTCOME_NOT_RECOGNISED, Outcome.OUTCOME_FULL)]
