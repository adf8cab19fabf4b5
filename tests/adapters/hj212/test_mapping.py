"""Packets become monitoring batches."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from exchange.domain.adapter import MappedRow
from exchange.domain.catalogues.table_file import TableError
from exchange.domain.validate import validate
from exchange.v1 import monitoring_batch_pb2 as pb
from exchange.v1.common_pb2 import Authority
from exchange.v1.record_pb2 import Record
from exchange_hj212 import StationProfiles, crc, cut, frame_bytes, read_document, sample_profiles, samples
from exchange_hj212.generate import generate
from tests.adapters.hj212.cases import (
    ANYWHERE,
    AUTHORITY,
    STATION,
    document,
    domain_tables,
    frame,
    outcomes,
    read,
    segment,
)

PROFILES = f"""
[station."{STATION}"]
name = "演示排口"
area_code = "500112"
medium = "32"
outlet_code = "DW001"
qa_rule = "HJ 356-2019"
authority = {{ uscc = "51000000MB1234567X", name = "演示省厅" }}
units = {{ w21003 = "ug/L", a34004 = "ug/m3", a34002 = "furlong" }}
totals = {{ w01018 = "t" }}
codes = {{ A001 = "w21011" }}
"""


def one(content: str, *, profiles: StationProfiles = ANYWHERE, **fields: str) -> MappedRow:
    """The only row of one packet with that content behind its data time."""
    (row,) = read(frame(f"DataTime=20260301080000;{content}", **fields), profiles=profiles).rows
    return row


def batch(row: MappedRow) -> pb.MonitoringBatch:
    """The row's batch."""
    assert row.record is not None, row.problems
    return row.record.monitoring_batch


def test_a_packet_becomes_a_batch_with_everything_filled() -> None:
    """Station, medium, interval, edition, verdict, time in UTC+8, value as received, unit with its source."""
    row = one(
        "w01018-SampleTime=20260301063000,w01018-Avg=234.457859851307,w01018-Flag=N,w01018-Cou=3.20",
        profiles=StationProfiles.load(PROFILES.encode()),
    )
    found = batch(row)
    assert found.station == pb.Station(station_id=STATION, name="演示排口", area_code="500112", outlet_code="DW001")
    assert (found.medium_code, found.interval) == ("32", pb.INTERVAL_HOUR)
    assert found.protocol_edition == pb.PROTOCOL_EDITION_HJ212_2017
    assert found.time_semantics == pb.TIME_SEMANTICS_INTERVAL_START
    assert found.crc_verdict == pb.CRC_VERDICT_ANNEX_A
    assert found.qa_rule == "HJ 356-2019"
    average, total = found.series
    assert (average.factor_code, average.value_kind, average.unit) == ("w01018", pb.VALUE_KIND_AVG, "mg/L")
    assert average.unit_source == pb.UNIT_SOURCE_STANDARD_DEFAULT
    assert (total.value_kind, total.unit) == (pb.VALUE_KIND_TOTAL, "t")
    assert total.unit_source == pb.UNIT_SOURCE_STATION_PROFILE
    (point,) = average.points
    assert point.value == "234.457859851307"
    assert point.data_time.ToDatetime(UTC) == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    assert point.sample_time.ToDatetime(UTC) == datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
    assert (point.source_flag, point.usability) == ("N", pb.USABILITY_USABLE)
    assert row.record is not None
    header = row.record.header
    assert header.authority == Authority(uscc="51000000MB1234567X", name="演示省厅")
    assert (header.area_code, header.purpose, header.kind_edition) == ("500112", "演示", 1)
    assert header.catalogue_no
    assert header.share_class
    assert header.provenance.dialect == "hj212-2017"
    assert header.provenance.row == 1


@pytest.mark.parametrize(
    ("cn", "interval", "semantics"),
    [
        ("2011", pb.INTERVAL_REALTIME, pb.TIME_SEMANTICS_SAMPLE_TIME),
        ("2031", pb.INTERVAL_DAY, pb.TIME_SEMANTICS_INTERVAL_START),
        ("2051", pb.INTERVAL_MINUTE, pb.TIME_SEMANTICS_INTERVAL_START),
        ("2061", pb.INTERVAL_HOUR, pb.TIME_SEMANTICS_INTERVAL_START),
    ],
)
def test_the_command_says_what_the_time_means(cn: str, interval: int, semantics: int) -> None:
    """Real-time data is of a moment; all other data of an interval that starts then."""
    found = batch(one("w01018-Avg=1,w01018-Flag=N", cn=cn))
    assert (found.interval, found.time_semantics) == (interval, semantics)


@pytest.mark.parametrize(
    ("cn", "reason"),
    [
        ("1072", "COMMAND_NOT_DATA"),
        ("3011", "COMMAND_NOT_DATA"),
        ("9014", "COMMAND_NOT_DATA"),
        ("8013", "COMMAND_NOT_DATA"),
        ("2021", "DATA_KIND_NOT_SHARED"),
        ("2041", "DATA_KIND_NOT_SHARED"),
        ("2012", "DATA_KIND_NOT_SHARED"),
    ],
)
def test_what_carries_no_readings_never_becomes_a_record(cn: str, reason: str) -> None:
    """Commands to devices above all, even when they look like data."""
    row = one("w01018-Avg=1,w01018-Flag=N", cn=cn)
    assert row.record is None
    assert [problem.reason for problem in row.problems] == [reason]


@pytest.mark.parametrize(
    ("flag", "usability"),
    [
        ("N", pb.USABILITY_USABLE),
        ("S", pb.USABILITY_MANUAL),
        ("T", pb.USABILITY_LOWER_BOUND),
        *((flag, pb.USABILITY_NOT_USABLE) for flag in "MCDBF"),
        ("P", pb.USABILITY_UNKNOWN),
        ("n", pb.USABILITY_UNKNOWN),
    ],
)
def test_the_flag_says_what_a_value_may_be_used_for(flag: str, usability: int) -> None:
    """By table 8; a flag that it does not know is unknown and never N."""
    (series,) = batch(one(f"w01018-Avg=1,w01018-Flag={flag}")).series
    assert (series.points[0].source_flag, series.points[0].usability) == (flag, usability)


def test_a_missing_flag_is_unknown() -> None:
    """Also where the packet ends in a flag that belongs to no factor."""
    (series,) = batch(one("w01018-Avg=1;Flag=N")).series
    assert (series.points[0].source_flag, series.points[0].usability) == ("", pb.USABILITY_UNKNOWN)


@pytest.mark.parametrize(
    ("content", "st", "reason", "place"),
    [
        ("x99999-Avg=1", "32", "FACTOR_UNMAPPED", "x99999-Avg"),
        ("01018-Rtd=2.2", "32", "FACTOR_UNMAPPED", "01018-Rtd"),
        ("023-Avg=1", "31", "LEGACY_CODE_OF_OTHER_MEDIUM", "023-Avg"),
        ("10-Avg=1", "32", "LEGACY_CODE_OF_OTHER_MEDIUM", "10-Avg"),
        ("a34004-Avg=31", "22", "UNIT_UNKNOWN", "a34004-Avg"),
        ("w01001-Cou=3", "32", "UNIT_UNKNOWN", "w01001-Cou"),
        ("w01018-Avg=", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
        ("w01018-Avg=1e5", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
        ("w01018-Avg=+1", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
        ("w01018-Avg=NaN", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
        ("w01018-Avg=１２", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
        ("w01018-EFlag=A01", "32", "ITEM_NOT_MAPPED", "w01018-EFlag"),
        ("w01018-Avg=1;w01018-Avg=2", "32", "ITEM_CONFLICT", "w01018-Avg"),
        (f"w01018-Avg={'9' * 65}", "32", "VALUE_NOT_DECIMAL", "w01018-Avg"),
    ],
)
def test_a_reading_that_can_not_be_mapped_leaves_alone(content: str, st: str, reason: str, place: str) -> None:
    """The rest of the row goes on; a row with nothing else is quarantined by that reason."""
    alone = one(content, st=st)
    assert alone.record is None
    assert (alone.problems[0].reason, alone.problems[0].place) == (reason, place)
    code = "w21001" if st == "32" else "a21026"
    row = one(f"{content};{code}-Avg=9.8,{code}-Flag=N", st=st)
    assert [series.factor_code for series in batch(row).series] == [code]
    assert (row.left_out[0].reason, row.left_out[0].place) == (reason, place)


@pytest.mark.parametrize(
    ("code", "st", "factor"),
    [
        ("011", "32", "w01018"),
        ("010", "32", "w01017"),
        ("001", "32", "w01001"),
        ("B01", "32", "w00000"),
        ("01", "31", "a34013"),
        ("10", "31", "a21001"),
        ("S01", "31", "a19001"),
    ],
)
def test_old_codes_are_read_by_width_and_medium(code: str, st: str, factor: str) -> None:
    """010 is BOD of water and 10 is ammonia of air; the source's code is kept."""
    profiles = StationProfiles.load(b'[default]\narea_code = "500112"\nunits = { a21001 = "mg/m3" }\n')
    (series,) = batch(one(f"{code}-Avg=1,{code}-Flag=N", st=st, profiles=profiles)).series
    assert (series.factor_code, series.source_factor_code) == (factor, code)


def test_the_profile_names_units_and_private_codes() -> None:
    """Its unit wins over the standard's; one that is no unit leaves the reading out."""
    row = one(
        "w21003-Avg=800,w21003-Flag=N;A001-Avg=0.3,A001-Flag=N;a34004-Avg=31,a34004-Flag=N;a34002-Avg=5",
        profiles=StationProfiles.load(PROFILES.encode()),
    )
    assert [(each.factor_code, each.unit) for each in batch(row).series] == [
        ("w21003", "ug/L"),
        ("w21011", "mg/L"),
        ("a34004", "ug/m3"),
    ]
    assert [problem.reason for problem in row.left_out] == ["UNIT_UNKNOWN"]


@pytest.mark.parametrize("text", ["0.02L", "<0.02", "< 0.02"])
def test_a_value_below_the_detection_limit_says_so(text: str) -> None:
    """Both spellings; the limit stands as value and as limit."""
    (point,) = batch(one(f"w21003-Avg={text},w21003-Flag=N")).series[0].points
    assert (point.value, point.below_detection_limit, point.detection_limit) == ("0.02", True, "0.02")


def test_the_same_item_twice_with_the_same_value_is_used_once() -> None:
    """It contradicts nothing, so nothing is left out."""
    row = one("w01018-Avg=1;w01018-Avg=1,w01018-Flag=N")
    assert len(batch(row).series) == 1
    assert row.left_out == ()


def test_values_at_reference_oxygen_stay_apart() -> None:
    """Zs values are series of their own."""
    found = batch(one("a21026-Avg=12.9,a21026-ZsAvg=17.3,a21026-Flag=N", st="31"))
    assert [(series.value_kind, series.points[0].value) for series in found.series] == [
        (pb.VALUE_KIND_AVG, "12.9"),
        (pb.VALUE_KIND_NORMALISED_AVG, "17.3"),
    ]


def test_wrong_checksums_of_a_known_kind_travel_and_others_do_not() -> None:
    """MODBUS in both byte orders travels with its verdict; BAD is quarantined."""
    data = segment()
    wrong = crc.modbus(data)
    swapped = (wrong >> 8) | (wrong & 0xFF) << 8
    lines = b"".join(b"##%04d%b%04X\r\n" % (len(data), data, given) for given in (wrong, swapped, 0))
    reading = read(lines)
    assert outcomes(reading) == ["RECORD", "RECORD", "CRC_BAD"]
    assert batch(reading.rows[0]).crc_verdict == pb.CRC_VERDICT_MODBUS
    assert batch(reading.rows[1]).crc_verdict == pb.CRC_VERDICT_MODBUS_BYTESWAPPED


def test_a_wrong_length_with_a_right_checksum_travels_with_a_remark() -> None:
    """The remark names place, declared and actual length."""
    reading = read(b"##0001" + frame()[6:])
    assert outcomes(reading) == ["RECORD"]
    (remark,) = reading.remarks
    assert (remark.reason, remark.place, remark.detail) == ("FRAME_LENGTH", "byte 0", f"1 / {len(segment())}")


@pytest.mark.parametrize(
    ("header", "reasons"),
    [
        (f"ST=32;CN=2061;PW=1;MN={STATION};", []),
        (f"CN=2061;PW=1;MN={STATION};Flag=4;", ["FIELD_MISSING"]),
        (f"ST=80;CN=2061;PW=1;MN={STATION};Flag=4;", ["MEDIUM_UNKNOWN"]),
        (f"ST=32;PW=1;MN={STATION};Flag=4;", ["FIELD_MISSING"]),
        ("ST=32;CN=2061;PW=1;Flag=4;", ["FIELD_MISSING"]),
        ("ST=32;CN=2061;PW=1;MN=a b;Flag=4;", ["STATION_ID_FORMAT"]),
        (f"ST=32;CN=2061;PW=1;MN={STATION};Flag=16;", ["EDITION_UNKNOWN"]),
        (f"ST=32;CN=2061;PW=1;MN={STATION};Flag=x;", ["EDITION_UNKNOWN"]),
        ("CN=2061;PW=1;Flag=12;", ["FIELD_MISSING", "FIELD_MISSING", "EDITION_UNKNOWN"]),
    ],
)
def test_a_header_that_leaves_something_open_is_quarantined_with_every_reason(header: str, reasons: list[str]) -> None:
    """A password or QN that is missing leaves nothing open; no Flag is the form of 2005."""
    content = "CP=&&DataTime=20260301080000;w01018-Avg=1,w01018-Flag=N&&"
    (row,) = read(frame_bytes((header + content).encode())).rows
    assert [problem.reason for problem in row.problems] == reasons
    if not reasons:
        assert batch(row).protocol_edition == pb.PROTOCOL_EDITION_HJ212_2005


@pytest.mark.parametrize(
    ("at", "reason"),
    [("", "TIME_MISSING"), ("20260230080000", "DATA_TIME_FORMAT"), ("20260301080000000", "DATA_TIME_FORMAT")],
)
def test_a_data_time_that_is_none_is_quarantined(at: str, reason: str) -> None:
    """Missing, of no calendar, or with milliseconds."""
    reading = read(frame(f"DataTime={at};w01018-Avg=1,w01018-Flag=N"))
    assert outcomes(reading) == [reason]


def test_a_station_without_profile_is_quarantined() -> None:
    """Nobody knows where it stands; a default profile is the administrator's word for all others."""
    assert outcomes(read(frame(), profiles=StationProfiles())) == ["STATION_UNKNOWN"]
    assert outcomes(read(frame(), profiles=StationProfiles.load(PROFILES.encode()))) == ["RECORD"]
    assert outcomes(read(frame(), profiles=StationProfiles().over(ANYWHERE))) == ["RECORD"]


def test_the_worst_verdict_and_any_flag_of_all_parts_hold_for_the_row() -> None:
    """Joined parts are one message: one record, one verdict, one flag for each factor."""
    one_part = segment("DataTime=20260301080000;w01018-Avg=1", flag="6", more="PNUM=2;PNO=1;")
    other = segment("DataTime=20260301080000;w01018-Max=2,w01018-Flag=S", flag="6", more="PNUM=2;PNO=2;")
    data = frame_bytes(one_part) + b"##%04d%b%04X\r\n" % (len(other), other, crc.modbus(other))
    (row,) = read(data).rows
    found = batch(row)
    assert found.crc_verdict == pb.CRC_VERDICT_MODBUS
    assert [series.points[0].usability for series in found.series] == [pb.USABILITY_MANUAL] * 2


def test_rf_marks_data_sent_again() -> None:
    """Edition 2025 alone has it."""
    assert batch(one("w01018-Avg=1", flag="8", more="RF=1;")).resend
    assert not batch(one("w01018-Avg=1", flag="8", more="RF=0;")).resend


def leaves(record: Record) -> list[str]:
    """Paths of all fields that are set, series as wholes, provenance left out."""
    found = [f"header.{field.name}" for field, _ in record.header.ListFields() if field.name != "provenance"]
    body = record.monitoring_batch
    found += [f"monitoring_batch.station.{field.name}" for field, _ in body.station.ListFields()]
    found += [
        f"monitoring_batch.{field.name}" for field, _ in body.ListFields() if field.name not in ("station", "series")
    ]
    return found + [f"monitoring_batch.series[{number}]" for number in range(len(body.series))]


def test_every_mapped_field_has_its_provenance() -> None:
    """Each field names its source and rule, and nothing else is named."""
    for reading in (
        read(b"".join(generate(200, 5))),
        read(frame(flag="8", more="RF=1;"), profiles=StationProfiles.load(PROFILES.encode())),
    ):
        for row in reading.rows:
            if row.record is None:
                continue
            lines = row.record.header.provenance.fields
            named = [line.field for line in lines]
            assert sorted(name for name in named if not name.endswith(".unit")) == sorted(leaves(row.record))
            assert len(set(named)) == len(named)
            assert all(re.fullmatch(r"hj212\.[a-z0-9.-]+", line.rule) for line in lines)
    sources = {line.field: line.source for line in lines}
    assert sources["monitoring_batch.series[0]"] == "w01018-Avg"


def test_nothing_is_dropped() -> None:
    """Every item of every packet is a series, is left out with a reason, or belongs to a quarantined row."""
    for row in read(b"".join(generate(300, 9))).rows:
        items = set(re.findall(r"[;,& ]([0-9A-Za-z_]+-(?!Flag|SampleTime)[A-Za-z]+)=", row.content))
        if row.record is None:
            assert row.problems
            continue
        kept = {line.source for line in row.record.header.provenance.fields if "-" in line.source}
        assert items == kept | {problem.place for problem in row.left_out}


def test_every_mapped_record_is_well_formed() -> None:
    """What this adapter maps, the node accepts: recordings with every awkward thing in them, and the samples."""
    recordings = [(b"".join(generate(300, 3)), ANYWHERE)]
    recordings += [(each.document.content, sample_profiles("500112")) for each in samples(AUTHORITY, "演示")]
    checked = 0
    for content, profiles in recordings:
        for row in read(content, profiles=profiles).rows:
            if row.record is not None:
                assert validate(row.record, domain_tables(), today=date(2026, 12, 31)) == ()
                checked += 1
    assert checked > 200


def test_every_reason_is_in_the_table() -> None:
    """All reasons that these recordings raise, remarks included, have their texts."""
    recording = b"".join(generate(2000, 11))
    reading = read(recording)
    raised = {problem.reason for row in reading.rows for problem in row.problems + row.left_out}
    raised |= {problem.reason for problem in reading.remarks}
    assert len(raised) >= 8
    assert raised <= domain_tables().reasons.codes


@pytest.mark.parametrize("sample", samples(AUTHORITY, "演示"), ids=lambda sample: sample.name)
def test_the_samples_come_out_as_they_say(sample: object) -> None:
    """Each sample of the package, with its profiles and without a key."""
    found = next(each for each in samples(AUTHORITY, "演示") if each == sample)
    reading = read(found.document.content, profiles=sample_profiles("510100"))
    assert tuple(outcomes(reading)) == found.expected
    assert {row.record.header.area_code for row in reading.rows if row.record is not None} == {"510100"}


def test_a_recording_is_cut_between_frames_and_no_set_is_torn() -> None:
    """Together the parts are the recording; they give the same rows; no row number is used twice."""
    recording = b"".join(generate(600, 4))
    whole = read(recording)
    parts = list(cut(recording, limit=20_000, hard_limit=40_000))
    assert len(parts) > 5
    assert b"".join(part.content for part in parts) == recording
    found = []
    numbers: list[int] = []
    for part in parts:
        reading = read_document(
            replace(document(part.content), first_row=part.first_row),
            tables=domain_tables(),
            profiles=ANYWHERE,
            adapter_name="hj212-test",
            adapter_edition="1",
        )
        found += outcomes(reading)
        numbers += [row.row for row in reading.rows]
    assert sorted(found) == sorted(outcomes(whole))
    assert len(set(numbers)) == len(numbers)


def test_a_recording_with_endless_garbage_is_cut_too() -> None:
    """No part is longer than the limit and one frame."""
    recording = frame() * 10 + b"z" * 200_000 + frame()
    parts = list(cut(recording, limit=2_000, hard_limit=30_000))
    assert max(len(part.content) for part in parts) <= 30_000 + 10_011
    assert b"".join(part.content for part in parts) == recording


@pytest.mark.parametrize(
    "content",
    [
        b"not toml [",
        b'[station."A"]\nname = "x"\n',
        b'[station."A"]\narea_code = "5001"\n',
        b'[station."A"]\narea_code = "500112"\nkey = "00112233"\n',
        b'[station."A"]\narea_code = "500112"\nmedium = "water"\n',
        b'[station."A"]\narea_code = "500112"\nunits = { w01018 = 1 }\n',
        b'[stations."A"]\narea_code = "500112"\n',
    ],
)
def test_a_profile_with_a_mistake_is_refused_with_its_place(content: bytes) -> None:
    """A misspelt key must not be silently without effect, and keys of encryption have no place here."""
    with pytest.raises(TableError) as refused:
        StationProfiles.load(content)
    assert refused.value.problems[0].place.startswith("stations.toml")
