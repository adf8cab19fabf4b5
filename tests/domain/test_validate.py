"""What a record must be before it is accepted, and again before it has an effect."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.catalogues.tables import Tables
from exchange.domain.validate import validate
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.monitoring_batch_pb2 import Usability
from exchange.v1.penalty_notice_pb2 import PenaltyType
from exchange.v1.record_pb2 import Record
from tests.domain.bad_records import BAD_NODE_RECORDS, BAD_SUBMISSIONS, ID_NUMBER
from tests.domain.breaking import BadRecord
from tests.domain.records import OTHER_RECORD_ID, RECORD_ID, SOUND, TODAY

ALL_BAD = (*BAD_SUBMISSIONS, *BAD_NODE_RECORDS)


@pytest.mark.parametrize("name", SOUND)
def test_sound_records_have_no_problems(name: str, tables: Tables) -> None:
    """What is right is not refused."""
    assert validate(SOUND[name](), tables, today=TODAY) == ()


@pytest.mark.parametrize("bad", ALL_BAD, ids=lambda bad: bad.name)
def test_a_broken_rule_is_named_with_its_field(bad: BadRecord, tables: Tables) -> None:
    """Each broken rule gives its reason at the path of its field."""
    problems = validate(bad.make(), tables, today=TODAY)
    assert (bad.reason, bad.place) in {(problem.reason, problem.place) for problem in problems}


def test_the_list_of_bad_submissions_is_long_enough() -> None:
    """At least sixty bad submissions, each with a name of its own."""
    assert len(BAD_SUBMISSIONS) >= 60
    assert len({bad.reason for bad in ALL_BAD}) >= 60


def test_every_reason_has_its_texts(tables: Tables) -> None:
    """No record is refused by a code that the table cannot explain."""
    raised = {problem.reason for bad in ALL_BAD for problem in validate(bad.make(), tables, today=TODAY)}
    assert raised <= tables.reasons.codes


def test_every_broken_rule_is_listed(tables: Tables) -> None:
    """The caller learns of all problems at once, in the order of the fields."""
    record = SOUND["penalty"]()
    record.header.purpose = ""
    record.penalty_notice.decision_no = ""
    record.penalty_notice.fine_cny = "much"
    reasons = [problem.reason for problem in validate(record, tables, today=TODAY)]
    assert reasons == ["PURPOSE_MISSING", "FIELD_MISSING", "DECIMAL_FORMAT"]


@pytest.mark.parametrize("bad", ALL_BAD, ids=lambda bad: bad.name)
def test_validating_changes_nothing(bad: BadRecord, tables: Tables) -> None:
    """The record stays as it came."""
    record = bad.make()
    before = record.SerializeToString(deterministic=True)
    validate(record, tables, today=TODAY)
    assert record.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("bad", ALL_BAD, ids=lambda bad: bad.name)
def test_details_repeat_no_id_number(bad: BadRecord, tables: Tables) -> None:
    """What was found is described without the number that must not be there."""
    for problem in validate(bad.make(), tables, today=TODAY):
        assert ID_NUMBER not in problem.detail
        assert ID_NUMBER not in problem.place


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_that_parse_are_judged(tables: Tables, content: bytes) -> None:
    """Whatever parses as a record gets an answer and never an error."""
    record = Record()
    try:
        record.MergeFromString(content)
    except Exception:  # noqa: BLE001 - protobuf's own error type differs between its implementations
        return
    validate(record, tables, today=TODAY)


@settings(max_examples=150)
@given(st.sampled_from(sorted(SOUND)), st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_is_judged_too(tables: Tables, name: str, place: int, value: int) -> None:
    """A sound record with one byte changed gets an answer and never an error."""
    content = bytearray(SOUND[name]().SerializeToString())
    content[place % len(content)] = value
    record = Record()
    try:
        record.MergeFromString(bytes(content))
    except Exception:  # noqa: BLE001 - protobuf's own error type differs between its implementations
        return
    validate(record, tables, today=TODAY)


def test_a_veto_explains_a_lower_level(tables: Tables) -> None:
    """RED with a score of 92 stands when a veto is cited."""
    record = SOUND["credit"]()
    record.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_RED
    record.credit_result.veto_reasons.add(shared_code="NV02", source_text="未批先建")
    assert validate(record, tables, today=TODAY) == ()


def test_a_result_without_score_is_sound(tables: Tables) -> None:
    """A score is information; a source may state none."""
    record = SOUND["credit"]()
    record.credit_result.score = ""
    record.credit_result.score_max = ""
    assert validate(record, tables, today=TODAY) == ()


def test_a_preliminary_result_needs_no_publication(tables: Tables) -> None:
    """Before publicity there is no date of publication; from publicity on there is."""
    record = SOUND["credit"]()
    record.credit_result.published_on = ""
    record.credit_result.state = CreditState.CREDIT_STATE_PRELIMINARY
    assert validate(record, tables, today=TODAY) == ()
    record.credit_result.state = CreditState.CREDIT_STATE_PUBLICITY
    assert [problem.place for problem in validate(record, tables, today=TODAY)] == ["credit_result.published_on"]


def test_what_is_in_the_future_today_is_sound_tomorrow(tables: Tables) -> None:
    """The day is the caller's: the same record is judged by the day it is judged on."""
    record = SOUND["credit"]()
    record.credit_result.published_on = (TODAY + timedelta(days=1)).isoformat()
    assert validate(record, tables, today=TODAY)
    assert validate(record, tables, today=TODAY + timedelta(days=1)) == ()


def test_facts_may_have_lines_and_chinese_blanks(tables: Tables) -> None:
    """Long texts keep their paragraphs, and rare or private characters of names are no control characters."""
    record = SOUND["penalty"]()
    record.penalty_notice.violation_facts = "\u3000\u3000一、经查。\n\u3000\u3000二、\t属实。"
    record.penalty_notice.subject.name = "演示\ue000\U0002ebf0公司"
    assert validate(record, tables, today=TODAY) == ()


def test_a_natural_person_may_stand_in_a_penalty(tables: Tables) -> None:
    """A person is named by a masked name and no code."""
    record = SOUND["penalty"]()
    subject = record.penalty_notice.subject
    subject.Clear()
    subject.kind = 3  # type: ignore[assignment]
    subject.name = "欧阳**"
    assert validate(record, tables, today=TODAY) == ()


def test_eighteen_digits_that_are_no_id_number_pass(tables: Tables) -> None:
    """Receipts and meters have long numbers; only a possible birth date with the right check character counts."""
    record = SOUND["penalty"]()
    wrong = ID_NUMBER[:-1] + ("1" if ID_NUMBER[-1] != "1" else "2")
    record.penalty_notice.violation_facts = f"流水号{wrong}，表号500101999999990000，合同{ID_NUMBER}9。"
    assert validate(record, tables, today=TODAY) == ()


def test_an_area_outside_the_detailed_provinces_is_plausible_for_a_subject(tables: Tables) -> None:
    """A firm may sit in a province whose counties the table does not list; an authority may not."""
    record = SOUND["credit"]()
    record.credit_result.subject.area_code = "520102"
    assert validate(record, tables, today=TODAY) == ()
    record.header.area_code = "520102"
    assert [problem.place for problem in validate(record, tables, today=TODAY)] == ["header.area_code"]


@pytest.mark.parametrize(
    ("flag", "usability"),
    [
        ("S", Usability.USABILITY_MANUAL),
        ("T", Usability.USABILITY_LOWER_BOUND),
        ("D", Usability.USABILITY_NOT_USABLE),
        ("", Usability.USABILITY_UNKNOWN),
        ("Z", Usability.USABILITY_UNKNOWN),
    ],
)
def test_any_flag_travels_with_its_usability(flag: str, usability: Usability.ValueType, tables: Tables) -> None:
    """A flag is never refused, only a usability that does not follow from it."""
    record = SOUND["monitoring"]()
    point = record.monitoring_batch.series[0].points[0]
    point.source_flag, point.usability = flag, usability
    assert validate(record, tables, today=TODAY) == ()


@pytest.mark.parametrize("value", ["0", "-0.03", "007.50", "234.457859851307", "1" * 64])
def test_values_stay_as_received(value: str, tables: Tables) -> None:
    """Signs, leading zeros and many decimals are the device's; the value is kept as it came."""
    record = SOUND["monitoring"]()
    record.monitoring_batch.series[0].points[0].value = value
    assert validate(record, tables, today=TODAY) == ()


def test_a_unit_of_the_station_profile_may_differ_from_the_standard(tables: Tables) -> None:
    """A doubtful factor travels with the unit that its profile states, and not with a default."""
    record = SOUND["monitoring"]()
    batch = record.monitoring_batch
    batch.medium_code = "22"
    series = batch.series[0]
    series.factor_code, series.unit = "a34004", "ug/m3"
    assert "UNIT_NOT_STANDARD" in {problem.reason for problem in validate(record, tables, today=TODAY)}
    series.unit_source = 2  # type: ignore[assignment]
    assert validate(record, tables, today=TODAY) == ()


def test_the_largest_batch_is_sound(tables: Tables) -> None:
    """A batch at its limit of points is accepted."""
    record = SOUND["monitoring"]()
    batch = record.monitoring_batch
    del batch.series[1:]
    first = batch.series[0].points[0]
    start = first.data_time.seconds
    del batch.series[0].points[1:]
    for number in range(1, 10_000):
        point = batch.series[0].points.add()
        point.CopyFrom(first)
        point.data_time.seconds = start + number
    assert validate(record, tables, today=TODAY) == ()


def test_data_without_frames_needs_no_verdict(tables: Tables) -> None:
    """Laboratory values have neither edition nor checksum."""
    record = SOUND["monitoring"]()
    batch = record.monitoring_batch
    batch.protocol_edition = batch.crc_verdict = 0  # type: ignore[assignment]
    batch.interval, batch.time_semantics = 5, 2  # type: ignore[assignment]
    batch.lab_cma_no = "152701060345"
    assert validate(record, tables, today=TODAY) == ()


def test_money_may_have_six_decimals(tables: Tables) -> None:
    """Native amounts in 万元 have six decimals; in yuan they are exact too."""
    record = SOUND["penalty"]()
    record.penalty_notice.fine_cny = "123456789012345.123456"
    record.penalty_notice.penalty_types.append(PenaltyType.PENALTY_TYPE_CONFISCATE_GAINS)
    record.penalty_notice.confiscation_cny = "0.5"
    assert validate(record, tables, today=TODAY) == ()


def test_a_record_that_supersedes_another_is_sound(tables: Tables) -> None:
    """A proposed id, a reference and an act are all well-formed."""
    record = SOUND["credit"]()
    header = record.header
    header.record_id, header.revision = RECORD_ID, 2
    header.supersedes.origin, header.supersedes.record_id = "cq", OTHER_RECORD_ID
    header.issued.document_no, header.issued.approver, header.issued.issued_on = "演环〔2025〕1号", "局长", "2025-11-19"
    header.provenance.adapter = "chongqing"
    header.provenance.document.algorithm = "SHA-256"
    header.provenance.document.digest = bytes(32)
    header.provenance.document.salt = bytes(32)
    header.provenance.fields.add(field="credit_result.score", source="Sheet1!C5", rule="cq.score", lossy=False)
    attachment = header.attachments.add(name="决定书.pdf", media_type="application/pdf", size=12)
    attachment.digests.add().CopyFrom(header.provenance.document)
    assert validate(record, tables, today=TODAY) == ()


def test_a_deferred_decision_names_what_it_waits_for(tables: Tables) -> None:
    """Reasons and a token make a deferral complete."""
    record = SOUND["recognition"]()
    item = record.recognition.items[0]
    item.outcome = Outcome.OUTCOME_DEFERRED
    del item.conditions[:]
    item.waits_for.append("KEY:abc")
    assert validate(record, tables, today=TODAY) == ()
