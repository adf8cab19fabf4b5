"""Stations and readings: values as received, revisions counted, outcomes by part."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from exchange.flows.queries.registers import monitoring
from exchange.v1 import monitoring_service_pb2 as pb
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.monitoring_batch_pb2 import Interval, Usability
from exchange.v1.record_pb2 import Record
from tests.cli.conftest import run
from tests.domain.records import DATA_SECOND, erasure
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, submit, wait_settled
from tests.rpc.test_alerts import profile_of


def _station(number: int) -> str:
    return f"MON{number:019d}"


def _readings(stubs: Stubs, station: str, page_size: int = 500, **options: Any) -> list[pb.ReadingView]:
    found: list[pb.ReadingView] = []
    token = ""
    while True:
        request = pb.ListReadingsRequest(station_id=station, page_size=page_size, page_token=token, **options)
        answer = stubs.call(stubs.monitoring.ListReadings, request)
        found += answer.readings
        token = answer.next_page_token
        if not token:
            return found


def _hour(view: pb.ReadingView) -> int:
    return (view.point.data_time.seconds - DATA_SECOND) // 3600


def test_readings_come_newest_first_as_received(doors: dict[str, AgencyDoor]) -> None:
    """Across batches and factors, by pages of any size, on both sides; the value is the string that was sent."""
    cq, sc = doors["cq"].agency("values"), doors["sc"].agency("values")
    name = _station(1)
    for number in range(4):
        submit(cq, batch_of(name, start=2 * number, value=f"1.{number}00"), f"values-{number}")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        found = _readings(stubs, name)
        assert [_hour(view) for view in found] == sorted((_hour(view) for view in found), reverse=True)
        assert len(found) == 16
        assert {view.point.value for view in found} == {"1.000", "1.100", "1.200", "1.300"}
        assert all((view.revision, view.unit, view.medium_code) == (1, "mg/L", "32") for view in found)
        for size in (1, 3, 5, 16):
            assert _readings(stubs, name, page_size=size) == found
        assert len(_readings(stubs, name, factor_code="w01018")) == 8
        assert not _readings(stubs, name, origin="sc")
        assert not _readings(stubs, name, interval=Interval.INTERVAL_DAY)
    assert {view.outcome for view in _readings(cq, name)} == {Outcome.OUTCOME_UNSPECIFIED}
    assert {view.outcome for view in _readings(sc, name)} == {Outcome.OUTCOME_FULL}


def test_a_span_of_time_is_closed_below_and_open_above(doors: dict[str, AgencyDoor]) -> None:
    """From an instant on, and before another one."""
    cq = doors["cq"].agency("spans")
    name = _station(2)
    for number in range(3):
        submit(cq, batch_of(name, start=2 * number), f"spans-{number}")
    wait_settled(doors["cq"])
    request = pb.ListReadingsRequest(station_id=name, factor_code="w01018")
    getattr(request, "from").FromSeconds(DATA_SECOND + 3600)
    request.until.FromSeconds(DATA_SECOND + 4 * 3600)
    found = cq.call(cq.monitoring.ListReadings, request).readings
    assert [_hour(view) for view in found] == [3, 2, 1]


def test_a_time_stated_again_is_the_next_revision_of_the_reading(doors: dict[str, AgencyDoor]) -> None:
    """Only the newest is shown unless the others are asked for, whatever order the pages have."""
    cq, sc = doors["cq"].agency("restated"), doors["sc"].agency("restated")
    name = _station(3)
    submit(cq, batch_of(name, start=0, value="1.1"), "restated-1")
    submit(cq, batch_of(name, start=1, value="2.2"), "restated-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        current = [(_hour(v), v.point.value, v.revision) for v in _readings(stubs, name, factor_code="w01018")]
        assert current == [(2, "2.2", 1), (1, "2.2", 2), (0, "1.1", 1)]
        for size in (1, 2, 500):
            every = _readings(stubs, name, page_size=size, factor_code="w01018", include_replaced=True)
            assert [(_hour(v), v.revision) for v in every] == [(2, 1), (1, 2), (1, 1), (0, 1)]


def test_a_revised_batch_takes_its_readings_along(doors: dict[str, AgencyDoor]) -> None:
    """A revision of the record replaces the values of the older one."""
    cq = doors["cq"].agency("revised")
    name = _station(4)
    first = batch_of(name, value="1.1")
    sent = submit(cq, first, "revised-1")
    again = Record()
    again.CopyFrom(first)
    again.header.record_id = sent.record_id
    for series in again.monitoring_batch.series:
        for point in series.points:
            point.value = "9.9"
    submit(cq, again, "revised-2")
    wait_settled(doors["cq"])
    assert {(v.point.value, v.revision) for v in _readings(cq, name)} == {("9.9", 2)}


def test_outcomes_go_by_the_part_that_a_value_belongs_to(doors: dict[str, AgencyDoor]) -> None:
    """A manual value is conditional, a value that is not usable is not recognised, the others are."""
    cq, sc = doors["cq"].agency("parts"), doors["sc"].agency("parts")
    name = _station(5)
    record = batch_of(name)
    points = record.monitoring_batch.series[0].points
    points[0].source_flag, points[0].usability = "S", Usability.USABILITY_MANUAL
    points[1].source_flag, points[1].usability = "D", Usability.USABILITY_NOT_USABLE
    submit(cq, record, "parts-1")
    wait_settled(doors["cq"])
    found = {(v.factor_code, v.point.source_flag): v for v in _readings(sc, name)}
    manual = found["w01018", "S"]
    assert manual.outcome == Outcome.OUTCOME_CONDITIONAL
    assert Condition.CONDITION_MANUAL_VALUE in manual.conditions
    unusable = found["w01018", "D"]
    assert unusable.outcome == Outcome.OUTCOME_NOT_RECOGNISED
    assert "FLAG_NOT_USABLE" in unusable.reasons
    assert found["w21003", "N"].outcome == Outcome.OUTCOME_FULL


def test_erased_readings_are_gone(doors: dict[str, AgencyDoor]) -> None:
    """After an erasure neither side shows a value of the batch."""
    cq, sc = doors["cq"].agency("gone"), doors["sc"].agency("gone")
    name = _station(6)
    sent = submit(cq, batch_of(name), "gone-1")
    wait_settled(doors["cq"])
    assert _readings(sc, name)
    act = erasure()
    act.erasure.record.record_id = sent.record_id
    submit(cq, act, "gone-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert not _readings(stubs, name, include_replaced=True)
        listed = stubs.call(stubs.monitoring.ListStations, pb.ListStationsRequest(page_size=500)).stations
        assert name not in {view.station.station_id for view in listed}


def test_stations_are_listed_once_in_order(doors: dict[str, AgencyDoor], monkeypatch: pytest.MonkeyPatch) -> None:
    """With detail, factors and newest time, by pages, by origin and area, and only what may be read."""
    cq = doors["cq"].agency("stations")
    county = doors["cq"].agency("stations-county", ("500107",))
    names = [f"STN{number:019d}" for number in range(5)]
    for number, name in enumerate(names):
        submit(cq, batch_of(name, area="500108" if number == 2 else "500107"), f"stations-{number}")
    wait_settled(doors["cq"])

    def listed(stubs: Stubs, **options: Any) -> list[pb.StationView]:
        found: list[pb.StationView] = []
        token = ""
        while True:
            request = pb.ListStationsRequest(page_token=token, **options)
            answer = stubs.call(stubs.monitoring.ListStations, request)
            found += answer.stations
            token = answer.next_page_token
            if not token:
                return [view for view in found if view.station.station_id in names]

    everything = listed(cq)
    assert [view.station.station_id for view in everything] == names
    assert listed(cq, page_size=2) == everything
    for looked in (1, 2, 3):  # few of very many: a page may be short or empty, and the token goes on
        monkeypatch.setattr(monitoring, "STATIONS_A_CALL", looked)
        assert listed(cq) == everything
        assert [each.station.station_id for each in listed(cq, area="500108")] == [names[2]]
    view = everything[0]
    assert (view.origin, view.medium_code, list(view.factor_codes)) == ("cq", "32", ["w01018", "w21003"])
    assert view.station.outlet_code == "DW001"
    assert view.last_data_time.seconds == DATA_SECOND + 3600
    assert [each.station.station_id for each in listed(cq, area="500108")] == [names[2]]
    assert [each.station.station_id for each in listed(county)] == [each for each in names if each != names[2]]
    assert not listed(cq, origin="sc")
    assert not _readings(county, names[2])
    assert _readings(cq, names[2])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"station_id": ""}, "FIELD_MISSING"),
        ({"station_id": "x" * 65}, "TEXT_TOO_LONG"),
        ({"station_id": "x", "interval": 77}, "ENUM_UNKNOWN"),
        ({"station_id": "x", "page_token": "x"}, "PAGE_TOKEN"),
        ({"station_id": "x", "page_size": 501}, "PAGE_SIZE"),
    ],
)
def test_ill_formed_questions_are_refused(doors: dict[str, AgencyDoor], options: Any, reason: str) -> None:
    """Each with its own reason."""
    stubs = doors["cq"].agency("ill")
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.monitoring.ListReadings, pb.ListReadingsRequest(**options))
    assert failure.value.reason == reason


def _at_section(station: str, section: str, start: int, value: str) -> Record:
    record = batch_of(station, start=start, value=value)
    record.monitoring_batch.station.outlet_code = ""
    record.monitoring_batch.station.section_id = section
    return record


def test_a_section_has_the_readings_of_its_stations_while_they_stood_there(
    doors: dict[str, AgencyDoor], tmp_path: Path
) -> None:
    """Merged newest first over stations, page by page; a station that moved leaves none behind; by rpc and command."""
    cq, sc = doors["cq"].agency("sections"), doors["sc"].agency("sections")
    first, second, section = _station(31), _station(32), "DM-500107-31"
    sent = [
        submit(cq, _at_section(first, section, 0, "1.1"), "sections-1"),
        submit(cq, _at_section(second, section, 1, "2.2"), "sections-2"),
        submit(cq, _at_section(first, "DM-500107-32", 4, "3.3"), "sections-3"),
        submit(cq, _at_section(first, "DM-500107-32", 8, "4.4"), "sections-4"),
    ]
    wrong = _at_section(first, "DM-500107-32", 8, "4.4")
    wrong.header.record_id = sent[3].record_id
    for number, place in enumerate((section, "DM-500107-33")):
        wrong.monitoring_batch.station.section_id = place
        submit(cq, wrong, f"sections-5-{number}")
    right = _at_section(first, "DM-500107-32", 8, "5.5")
    right.header.record_id = sent[3].record_id
    submit(cq, right, "sections-6")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        found = _readings(stubs, "", section_id=section, factor_code="w01018")
        told = [(view.station_id, _hour(view), view.point.value) for view in found]
        assert told == [(second, 2, "2.2"), (first, 1, "1.1"), (second, 1, "2.2"), (first, 0, "1.1")]
        assert {view.section_id for view in found} == {section}
        assert _readings(stubs, "", page_size=1, section_id=section, factor_code="w01018") == found
        assert len(_readings(stubs, "", section_id=section)) == 8
        assert len(_readings(stubs, first, section_id=section)) == 4
        listed = stubs.call(stubs.monitoring.ListStations, pb.ListStationsRequest(section_id=section)).stations
        assert [view.station.station_id for view in listed] == [first, second]
        assert {view.station.section_id for view in listed} == {section}
        moved = stubs.call(stubs.monitoring.ListStations, pb.ListStationsRequest(section_id="DM-500107-33")).stations
        assert not moved  # it was corrected, and nothing is stated of that section any more
        one = pb.ListStationsRequest(station_id=first, factor_code="w21003")
        (now,) = stubs.call(stubs.monitoring.ListStations, one).stations
        assert now.station.section_id == "DM-500107-32"
        assert not stubs.call(stubs.monitoring.ListStations, pb.ListStationsRequest(factor_code="w99999")).stations
    profile = profile_of(tmp_path, doors["sc"], "sections")
    table = tmp_path / "readings.csv"
    done = run("readings", "list", "--section", section, "--csv", table, "--profile", profile, lang="zh")
    assert done.status == 0, done.err
    rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    assert [(row["站点"], row["值"]) for row in rows if row["因子"] == "w01018"] == [each[::2] for each in told]
    day = run("readings", "list", "-s", first, "--until", "2026-03-01T01:00:00+08:00", "--json", "--profile", profile)
    assert day.status == 0, day.err
    assert len(run("stations", "list", "--section", section, "--json", "--profile", profile).json["stations"]) == 2
    shown = run("stations", "show", first, "--profile", profile)
    assert "DM-500107-32" in shown.out
    assert run("stations", "show", "NOSUCH", "--profile", profile).status == 3
    assert run("readings", "list", "--profile", profile).status == 2
