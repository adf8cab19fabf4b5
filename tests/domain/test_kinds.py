"""The table of kinds, natural keys and what else is read off a record."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.domain import kinds
from exchange.domain.competence import in_competence
from exchange.domain.kinds.choices import LEVELS, STATES, names_of, prefix_of
from exchange.domain.kinds.spec import day_of
from exchange.domain.record_index import index_of
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.kind_pb2 import ErasureClass, Kind, Lane
from exchange.v1.list_entry_pb2 import ListExitReason, ListState
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch
from exchange.v1.record_pb2 import Record
from tests.domain.records import AUTHORITY, FIRM, OTHER_RECORD_ID, PUBLISHED, RECORD_ID, SOUND, make_uscc

_DECISION_NUMBERS = st.text(alphabet="演环罚〔〕【】[]()（）2025 17号|%", min_size=1, max_size=20)


def test_every_kind_of_the_schema_has_a_line() -> None:
    """The table and the schema know the same kinds, bodies and names."""
    assert set(kinds.KINDS) == set(Kind.values()) - {Kind.KIND_UNSPECIFIED}
    bodies = {field.name for field in Record.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert {kinds.spec(kind).field for kind in kinds.KINDS} == bodies
    for kind in kinds.KINDS:
        line = kinds.spec(kind)
        assert f"KIND_{line.field.upper()}" == Kind.Name(kind)
        assert {kinds.kind_by_name(name) for name in (line.name, line.field, line.field.replace("_", "-"))} == {kind}
    assert kinds.kind_by_name("RiverResponsePlan") is None


def test_what_lists_are_filtered_by_has_names_for_every_kind() -> None:
    """A kind with a level or a state has the enumeration that it is of; one without has none."""
    defaults = {name: kinds.KindSpec.__dataclass_fields__[name].default for name in ("level", "state")}
    for name, table in (("level", LEVELS), ("state", STATES)):
        assert {kind for kind in kinds.KINDS if getattr(kinds.spec(kind), name) is not defaults[name]} == set(table)
        for kind, record in ((kinds.kind_of(made), made) for made in (make() for make in SOUND.values())):
            if kind in table:
                assert getattr(kinds.spec(kind), name)(record) in {*names_of(table[kind]).values(), 0}
    assert prefix_of(LEVELS[Kind.KIND_LIST_ENTRY]) == "LIST_KIND_"


def test_the_table_of_answers_has_no_cycles() -> None:
    """Following what answers a kind always ends, and nothing that is an answer is answered."""
    for kind in kinds.KINDS:
        seen = [kind]
        follower = kinds.spec(kind).answered_by
        while follower is not None:
            assert follower not in seen
            assert kinds.spec(follower).is_answer
            seen.append(follower)
            follower = kinds.spec(follower).answered_by
        if kinds.spec(kind).is_answer:
            assert kinds.spec(kind).answered_by is None


@given(st.sampled_from(kinds.KINDS), st.sampled_from([Lane.LANE_URGENT, Lane.LANE_REGISTRY, Lane.LANE_TELEMETRY]))
def test_answers_travel_in_the_lane_of_what_they_answer(kind: Kind.ValueType, lane: Lane.ValueType) -> None:
    """A kind with a lane keeps it; one without follows the lane that is named."""
    own = kinds.spec(kind).lane
    assert kinds.lane_of(kind, lane) == (lane if own is None else own)


@pytest.mark.parametrize(
    "kind",
    [
        Kind.KIND_RECOGNITION,
        Kind.KIND_ERASURE,
        Kind.KIND_ANSWER,
        Kind.KIND_KEY_ANNOUNCEMENT,
        Kind.KIND_CORRECTION_REQUEST,
    ],
)
def test_an_answer_without_a_lane_is_an_error(kind: Kind.ValueType) -> None:
    """Nobody guesses the lane of an answer."""
    with pytest.raises(ValueError, match="lane"):
        kinds.lane_of(kind)
    with pytest.raises(ValueError, match="lane"):
        kinds.lane_of(kind, Lane.LANE_UNSPECIFIED)


def test_the_kind_is_read_off_the_body() -> None:
    """A record is of the kind of its body, and of none without one."""
    assert kinds.kind_of(SOUND["monitoring"]()) == Kind.KIND_MONITORING_BATCH
    assert kinds.kind_of(Record()) == Kind.KIND_UNSPECIFIED
    assert kinds.natural_key(Record()) is None


@pytest.mark.parametrize(
    "written",
    ["演环罚【2025】17号", "演环罚[2025]17号", "演环罚（2025）17号", "演环罚(２０２５) 17 号", "演环罚〔2025〕17号"],
)
def test_decision_numbers_are_one_key_in_every_spelling(written: str) -> None:
    """Brackets, width and blanks of a decision number make no other fact."""
    record = SOUND["penalty"]()
    record.penalty_notice.decision_no = written
    assert kinds.natural_key(record) == f"{AUTHORITY}|演环罚〔2025〕17号|{FIRM}"


@given(_DECISION_NUMBERS | st.text(max_size=12))
def test_normalising_a_document_number_twice_changes_nothing(text: str) -> None:
    """A normalised number is its own normal form."""
    once = kinds.normalise_document_no(text)
    assert kinds.normalise_document_no(once) == once


_PARTS = st.tuples(*[st.text(alphabet="a|%7C25", max_size=4)] * 2)


@given(_PARTS, _PARTS)
@example(("a|a", "a"), ("a", "a|a"))
@example(("%7C", ""), ("|", ""))
def test_natural_keys_of_different_parts_differ(left: tuple[str, str], right: tuple[str, str]) -> None:
    """Separators within a part never make two facts one."""
    made = []
    for uscc, permit in (left, right):
        record = SOUND["credit"]()
        record.credit_result.subject.uscc, record.credit_result.subject.permit_code = uscc, permit
        made.append(kinds.natural_key(record))
    assert (made[0] == made[1]) == (left == right)


@pytest.mark.parametrize(
    ("path", "value"),
    [("subject.permit_code", ""), ("subject.uscc", make_uscc(9)), ("evaluation_year", 2023)],
)
def test_a_credit_key_holds_firm_permit_year_and_authority(path: str, value: object) -> None:
    """Another firm, permit, year or authority is another fact; another level is not."""
    base, other, same = SOUND["credit"](), SOUND["credit"](), SOUND["credit"]()
    target: object = other.credit_result
    *walk, last = path.split(".")
    for step in walk:
        target = getattr(target, step)
    setattr(target, last, value)
    same.credit_result.score = "80"
    assert kinds.natural_key(other) != kinds.natural_key(base) == kinds.natural_key(same)
    other = SOUND["credit"]()
    other.header.authority.uscc = make_uscc(5)
    assert kinds.natural_key(other) != kinds.natural_key(base)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("list_entry", f"LIST|演示危险废物跨省市转移白名单|{FIRM}|2026-01-15"),
        ("lab", f"LAB|222212050001|{FIRM}"),
        ("feedback", f"FEEDBACK|cq|{OTHER_RECORD_ID}|资金〔2026〕8号"),
        ("repair", f"REPAIR|cq|{OTHER_RECORD_ID}|演环修〔2026〕2号"),
        ("revocation", f"REVOCATION|cq|{OTHER_RECORD_ID}|演府复〔2026〕4号"),
        ("correction", None),
        ("referral", "CASE|演环案移〔2026〕5号"),
        ("inspection", "TASK|演联检〔2026〕1号"),
        ("alert", "ALERT|CQ-20260301-001|1"),
        ("equivalence", "EQUIVALENCE|cq|DB50/000-2020|1||w01018|sc|DB51/000-2016|1||w01018|2026-1"),
    ],
)
def test_natural_keys_are_those_of_the_contract(name: str, key: str | None) -> None:
    """What makes each kind unique, and in the words of one kind only."""
    assert kinds.natural_key(SOUND[name]()) == key


def test_a_document_number_is_one_key_in_every_spelling() -> None:
    """Brackets and width of a case, task or repair number make no other fact."""
    for name, path, written in (
        ("referral", "case_referral.case_no", "演环案移[2026]5号"),
        ("inspection", "inspection_task.task_no", "演联检【２０２６】1 号"),
        ("repair", "header.issued.document_no", "演环修（2026）2号"),
    ):
        record = SOUND[name]()
        message, _, field = path.rpartition(".")
        setattr(attrgetter(message)(record), field, written)
        assert kinds.natural_key(record) == kinds.natural_key(SOUND[name]())


def test_what_a_record_is_about() -> None:
    """Each kind that speaks of another record names it, and the others name none."""
    named = {name: kinds.about(make()) for name, make in SOUND.items()}
    assert {name for name, ref in named.items() if ref is not None} == {
        "feedback",
        "repair",
        "revocation",
        "correction",
        "erasure",
        "answer",
    }
    assert all(ref.record_id == OTHER_RECORD_ID for ref in named.values() if ref is not None)
    entry = SOUND["list_entry"]()
    entry.list_entry.derived_from.record_id = RECORD_ID
    assert kinds.about(entry) == entry.list_entry.derived_from


@pytest.mark.parametrize(
    ("reason", "ended"),
    [("EXPIRED", ""), ("REPAIRED", "REPAIRED"), ("REVOKED", "REVOKED"), ("ERROR", "WITHDRAWN")],
)
def test_how_an_entry_leaves_its_list_says_what_is_shown_of_it(reason: str, ended: str) -> None:
    """An entry whose time ended stays to be seen; what was repaired, revoked or wrong is a tombstone from that day."""
    record = SOUND["list_entry"]()
    record.list_entry.state = ListState.LIST_STATE_EXITED
    record.list_entry.exit.reason = ListExitReason.Value(f"LIST_EXIT_REASON_{reason}")
    record.list_entry.exit.exited_on = "2026-02-28"
    index = index_of(record)
    assert (index.ended, index.ended_on) == (ended, "2026-02-28" if ended else "")


@given(st.permutations(range(4)))
def test_a_monitoring_key_ignores_the_order_of_series_and_values(order: list[int]) -> None:
    """The same times and factors are the same batch however they are listed and whatever they measure."""
    base = SOUND["monitoring"]()
    batch = base.monitoring_batch
    for code in ("w21011", "w21001"):
        series = batch.series.add()
        series.CopyFrom(batch.series[0])
        series.factor_code = code
    shuffled = Record()
    shuffled.CopyFrom(base)
    del shuffled.monitoring_batch.series[:]
    for index in order:
        shuffled.monitoring_batch.series.append(batch.series[index])
    shuffled.monitoring_batch.series[0].points[0].value = "7"
    assert kinds.natural_key(shuffled) == kinds.natural_key(base)


def test_a_monitoring_key_holds_station_medium_interval_times_and_factors() -> None:
    """Another station, medium, interval, time or factor is another batch, and the key stays short."""
    base = kinds.natural_key(SOUND["monitoring"]())
    assert base is not None
    assert len(base) < 160
    changes: tuple[Callable[[MonitoringBatch], None], ...] = (
        lambda batch: setattr(batch.station, "station_id", "OTHER"),
        lambda batch: setattr(batch, "medium_code", "31"),
        lambda batch: setattr(batch, "interval", 4),
        lambda batch: setattr(batch.series[0].points[0].data_time, "seconds", 5),
        lambda batch: setattr(batch.series[0], "factor_code", "w21011"),
        lambda batch: setattr(batch.series[0], "value_kind", 4),
    )
    for change in changes:
        record = SOUND["monitoring"]()
        change(record.monitoring_batch)
        assert kinds.natural_key(record) != base


@given(st.sampled_from(sorted(SOUND)), st.text(max_size=8), st.integers(0, 9))
def test_content_leaves_out_id_revision_and_provenance(name: str, adapter: str, revision: int) -> None:
    """Two records say the same whatever they are called and wherever they came from."""
    record, other = SOUND[name](), SOUND[name]()
    other.header.record_id = RECORD_ID
    other.header.revision = revision
    other.header.provenance.adapter = adapter
    assert kinds.content_bytes(record) == kinds.content_bytes(other)
    assert other.header.record_id == RECORD_ID


def test_content_holds_everything_else() -> None:
    """A changed purpose, reference or score is another content."""
    base = kinds.content_bytes(SOUND["credit"]())
    changes: tuple[Callable[[Record], None], ...] = (
        lambda record: setattr(record.header, "purpose", "x"),
        lambda record: setattr(record.header.supersedes, "record_id", OTHER_RECORD_ID),
        lambda record: setattr(record.credit_result, "score", "93"),
    )
    for change in changes:
        record = SOUND["credit"]()
        change(record)
        assert kinds.content_bytes(record) != base


def test_what_is_read_off_each_kind() -> None:
    """Subject, area, state and date come from where the kind keeps them."""
    read = {
        name: (kinds.subject_uscc(make()), kinds.area_of(make()), kinds.state_of(make()), kinds.sort_date(make()))
        for name, make in SOUND.items()
    }
    assert read == {
        "credit": (FIRM, "500107", 4, PUBLISHED),
        "penalty": (FIRM, "500107", 1, "2025-09-03"),
        "joint_measure": (FIRM, "500107", 1, "2025-09-03"),
        "monitoring": (FIRM, "500107", 0, "2026-01-01"),
        "not_evaluated": (FIRM, "500107", 4, PUBLISHED),
        "list_entry": (FIRM, "500107", 1, "2026-01-15"),
        "lab": (FIRM, "500107", 1, "2024-02-01"),
        "feedback": (FIRM, "500107", 0, "2026-02-20"),
        "repair": (FIRM, "500107", 0, "2026-02-25"),
        "revocation": (FIRM, "500107", 0, "2026-02-26"),
        "correction": ("", "500107", 1, "2026-03-01"),
        "referral": (FIRM, "500107", 1, "2026-02-27"),
        "inspection": ("", "500107", 1, "2026-03-10"),
        "alert": ("", "500107", 1, "2026-01-01"),
        "equivalence": ("", "500107", 0, "2026-01-01"),
        "erasure": ("", "500107", 0, "2026-02-01"),
        "answer": ("", "500107", 0, "2026-01-01"),
        "recognition": ("", "", 0, "2026-01-01"),
        "key_announcement": ("", "", 0, "2026-01-01"),
    }


def test_days_are_days_of_utc_plus_8() -> None:
    """An hour that is evening in UTC is the next day here, and an impossible instant has no day."""
    record = SOUND["answer"]()
    record.answer.answered_at.FromJsonString("2026-01-01T17:00:00Z")
    assert kinds.sort_date(record) == "2026-01-02"
    record.answer.answered_at.seconds = 1 << 60
    assert kinds.sort_date(record) == ""


@pytest.mark.parametrize(
    ("change", "personal"),
    [
        (lambda subject: None, False),
        (lambda subject: setattr(subject, "kind", SubjectKind.SUBJECT_KIND_SOLE_TRADER), True),
        (lambda subject: setattr(subject, "kind", SubjectKind.SUBJECT_KIND_NATURAL_PERSON), True),
        (lambda subject: setattr(subject, "uscc", make_uscc(1, prefix="92500000")), True),
        (lambda subject: setattr(subject, "legal_representative", "张三"), True),
    ],
)
def test_persons_make_a_body_personal(change: object, personal: bool) -> None:
    """A sole trader, a person, a 92 code or a named representative asks for the class of personal data."""
    record = SOUND["penalty"]()
    assert callable(change)
    change(record.penalty_notice.subject)
    expected = ErasureClass.ERASURE_CLASS_PERSONAL if personal else ErasureClass.ERASURE_CLASS_ORGANISATION
    assert kinds.erasure_class_of(record) == expected


def test_a_sole_trader_among_many_makes_a_body_personal() -> None:
    """One sole trader among the firms of a task is enough, and a correction always may quote a person."""
    record = SOUND["inspection"]()
    assert kinds.erasure_class_of(record) == ErasureClass.ERASURE_CLASS_ORGANISATION
    record.inspection_task.targets.add().subject.kind = SubjectKind.SUBJECT_KIND_SOLE_TRADER
    assert kinds.erasure_class_of(record) == ErasureClass.ERASURE_CLASS_PERSONAL
    assert kinds.erasure_class_of(SOUND["correction"]()) == ErasureClass.ERASURE_CLASS_PERSONAL


def test_a_responsible_person_makes_a_body_personal() -> None:
    """A person beside the unit counts too, and readings and decisions keep their own classes."""
    record = SOUND["penalty"]()
    record.penalty_notice.responsible_persons.add(role="主要负责人", name_masked="张**")
    assert kinds.erasure_class_of(record) == ErasureClass.ERASURE_CLASS_PERSONAL
    assert kinds.erasure_class_of(SOUND["monitoring"]()) == ErasureClass.ERASURE_CLASS_MEASUREMENT
    assert kinds.erasure_class_of(SOUND["recognition"]()) == ErasureClass.ERASURE_CLASS_PERMANENT


@pytest.mark.parametrize(
    ("areas", "competent"),
    [
        (("50",), True),
        (("51", "5001"), True),
        (("500107",), True),
        (("51",), False),
        ((), False),
        (("*",), True),
        (("5",), False),
    ],
)
def test_competence_follows_the_area_of_the_authority(areas: tuple[str, ...], competent: bool) -> None:
    """A node may state what authorities of its own areas state, and nothing without areas."""
    assert in_competence(SOUND["credit"](), areas) is competent


def test_the_day_of_an_instant_is_that_of_both_regions() -> None:
    """UTC+8, for every instant that a message may say; none for the others."""
    days = {
        (0, 0): "1970-01-01",
        (57_599, 999_999_999): "1970-01-01",
        (57_600, 0): "1970-01-02",
        (-28_801, 0): "1969-12-31",
        (-62_135_596_800, 0): "0001-01-01",
        (-62_135_596_801, 0): "",
        (253_402_271_999, 0): "9999-12-31",
        (253_402_272_000, 0): "",
        (253_402_300_800, 0): "",
        (0, -1): "",
        (0, 1_000_000_000): "",
    }
    for (seconds, nanos), day in days.items():
        assert day_of(Timestamp(seconds=seconds, nanos=nanos)) == day
