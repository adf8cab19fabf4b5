"""Recognition at its edges, both ways: days, vetoes, sites, flags, frames, laboratories, lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest

from exchange.flows.context import LOCAL_TIME
from exchange.tables import read_all
from exchange.v1 import operation_service_pb2 as operation
from exchange.v1 import rule_service_pb2 as pb
from exchange.v1.action_pb2 import ActionState
from exchange.v1.kind_pb2 import Condition, Kind, Outcome
from exchange.v1.list_entry_pb2 import ListExitReason, ListState
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, ProtocolEdition, UnitSource
from exchange.v1.record_pb2 import Record
from exchange.v1.rule_pb2 import RedecisionState
from tests import evidence
from tests.domain import records as sound
from tests.rpc.conftest import two_doors
from tests.rpc.doors import AgencyDoor, Stubs
from tests.rpc.facts import batch_of, firm, of_sichuan, submit, wait_settled
from tests.rpc.test_actions import confirm, officers
from tests.rpc.test_labs import lab_of, sampled, suspended
from tests.rpc.test_rules import BLUE, GREEN, RED, YELLOW, explain, stated, with_rules
from tests.world import tables

FULL, CONDITIONAL = Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL
NOT_RECOGNISED, DEFERRED = Outcome.OUTCOME_NOT_RECOGNISED, Outcome.OUTCOME_DEFERRED
ORIGINS = ("cq", "sc")
NOON = 12


@dataclass(frozen=True)
class Case:
    """What one node states, and what the other one has to make of it.

    Attributes:
        facts: Facts that the decision has to show, with their values.
        parts: Part, outcome and reasons of what differs.
    """

    record: Record
    outcome: int = FULL
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[tuple[str, int, tuple[str, ...]], ...] = ()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, AgencyDoor]]:
    """Two linked nodes whose clocks show noon, so that no test sees a day end."""
    with two_doors(tmp_path_factory.mktemp("edges")) as doors:
        now = datetime.now(LOCAL_TIME)
        noon = now.replace(hour=NOON, minute=0, second=0, microsecond=0)
        ahead = noon + timedelta(days=now > noon) - now
        for name, door in doors.items():
            door.world.skew[name] = ahead
            with_rules(door)
        yield doors


def today(doors: Mapping[str, AgencyDoor]) -> date:
    """The day that both nodes show."""
    return doors["cq"].node.clock().astimezone(LOCAL_TIME).date()


def decided(
    doors: Mapping[str, AgencyDoor], agencies: Mapping[str, Stubs], cases: Mapping[str, Case], origin: str
) -> dict[str, str]:
    """State every case at one node, and see what the other one decided and both show. Gives record ids by case."""
    receiver = "sc" if origin == "cq" else "cq"
    sent = {}
    for name, case in cases.items():
        record = of_sichuan(case.record) if origin == "sc" else case.record
        sent[name] = submit(agencies[origin], record, f"{origin}-{name}").record_id
    wait_settled(doors["cq"])
    for name, case in cases.items():
        (decision,) = explain(agencies[receiver], origin, sent[name]).decisions
        assert told(decision) == (case.outcome, case.reasons, case.parts), (origin, name)
        shown = {fact.code: fact.value for fact in decision.facts}
        assert {code: shown.get(code, "") for code in case.facts} == dict(case.facts), (origin, name)
        (at_home,) = explain(agencies[origin], origin, sent[name]).decisions
        assert (told(at_home), at_home.decided_by) == (told(decision), receiver), (origin, name)
    return sent


def told(
    decision: pb.ExplainedDecision,
) -> tuple[int, tuple[str, ...], tuple[tuple[str, int, tuple[str, ...]], ...]]:
    """Outcome, reasons and parts of a decision."""
    parts = tuple((part.part, part.outcome, tuple(why.reason for why in part.reasons)) for part in decision.parts)
    return decision.outcome, tuple(each.reason for each in decision.reasons), parts


def both(doors: Mapping[str, AgencyDoor], name: str) -> dict[str, Stubs]:
    """An agency at each node."""
    return {node: door.agency(name) for node, door in doors.items()}


def windowed(record: Record, end: date) -> Record:
    """The result, of a window that ends on some day and was published on it."""
    body = record.credit_result
    body.evaluation_year = end.year
    body.window_start, body.window_end = f"{end.year}-01-01", end.isoformat()
    body.published_on = end.isoformat()
    return record


def two_years_before(day: date) -> date:
    """First day whose 24 calendar months, counted by hand, are not over on a day."""
    leaps = (day.month, day.day) == (2, 29)
    return date(day.year - 2, 3, 1) if leaps else day.replace(year=day.year - 2)


@pytest.mark.parametrize("origin", ORIGINS)
def test_credit_results_at_their_edges(pair: dict[str, AgencyDoor], origin: str) -> None:
    """The last day of a round, vetoes of one side, GREEN by bonus or unsaid, and cut-offs to the last decimal."""
    counted = iter(range(100 if origin == "cq" else 150, 200))
    own = "NV02" if origin == "cq" else "SV01"
    red, yellow = ("59", "79") if origin == "cq" else ("59.99", "79.99")
    oldest = two_years_before(today(pair))

    def credit(level: int, score: str, base: str = "", vetoes: tuple[str, ...] = ()) -> Record:
        return stated(next(counted), origin, level, score, base, vetoes, "FINAL")

    bonus = credit(GREEN, "102")
    bonus.credit_result.bonus_score = "2.01"
    enough = credit(GREEN, "102")
    enough.credit_result.bonus_score = "2"
    doubted = credit(BLUE, "90")
    doubted.credit_result.objection = "企业对得分有异议"
    unshared = (CONDITIONAL, ("VETO_NOT_SHARED",))
    cases = {
        "last-day": Case(windowed(credit(BLUE, "90"), oldest)),
        "too-old": Case(windowed(credit(BLUE, "90"), oldest - timedelta(days=1)), NOT_RECOGNISED, ("RESULT_TOO_OLD",)),
        "too-old-and-vetoed": Case(
            windowed(credit(RED, "88", vetoes=(own,)), oldest - timedelta(days=1)),
            NOT_RECOGNISED,
            ("RESULT_TOO_OLD",),
        ),
        "unsaid": Case(credit(GREEN, "102"), facts={"BONUS_NOT_STATED": "1", "BASE_SCORE": ""}),
        "base-100": Case(credit(GREEN, "102", "100"), facts={"BONUS_NOT_STATED": ""}),
        "base-below": Case(credit(GREEN, "102", "99.99"), CONDITIONAL, ("GREEN_BY_BONUS",), {"BASE_SCORE": "99.99"}),
        "bonus-computed": Case(bonus, CONDITIONAL, ("GREEN_BY_BONUS",), {"BASE_SCORE": "99.99"}),
        "bonus-computed-enough": Case(enough, facts={"BONUS_NOT_STATED": ""}),
        "blue-by-bonus": Case(credit(BLUE, "90", "70")),
        "objection": Case(doubted, NOT_RECOGNISED, ("OBJECTION_OPEN",)),
        "veto-own": Case(credit(RED, "60", vetoes=(own,)), *unshared, {"VETO": own}),
        "veto-explained": Case(credit(RED, red, vetoes=(own,))),
        "veto-yellow": Case(credit(YELLOW, "80", vetoes=(own,)), *unshared),
        "veto-yellow-explained": Case(credit(YELLOW, yellow, vetoes=(own,))),
        "veto-shared": Case(credit(RED, "88", vetoes=("NV13",))),
        "veto-one-shared": Case(credit(RED, "88", vetoes=(own, "NV11"))),
        "bounds-blue": Case(credit(BLUE, "80")),
        "bounds-yellow": Case(credit(YELLOW, "60")),
    }
    decided(pair, both(pair, f"credit-{origin}"), cases, origin)


@pytest.mark.parametrize("origin", ORIGINS)
def test_two_sites_of_a_firm_are_two_results(pair: dict[str, AgencyDoor], origin: str) -> None:
    """Each site is recognised as itself, by its permit; one is doubted and the other is not touched."""
    agencies = both(pair, f"sites-{origin}")
    first = stated(210 if origin == "cq" else 211, origin, BLUE, "90", "", (), "FINAL")
    second = stated(212, origin, RED, "88", "", ("NV02",) if origin == "cq" else ("SV01",), "FINAL")
    subject = second.credit_result.subject
    subject.uscc = first.credit_result.subject.uscc
    subject.permit_code = f"{subject.uscc}002Q"
    cases = {"one": Case(first), "two": Case(second, CONDITIONAL, ("VETO_NOT_SHARED",))}
    sent = decided(pair, agencies, {f"site-{name}": case for name, case in cases.items()}, origin)
    doubted = Record()
    doubted.CopyFrom(of_sichuan(second) if origin == "sc" else second)
    doubted.header.record_id = sent["site-two"]
    doubted.credit_result.state = first.credit_result.state
    doubted.credit_result.objection = "企业对得分有异议"
    submit(agencies[origin], doubted, "site-doubted")
    wait_settled(pair["cq"])
    receiver = agencies["sc" if origin == "cq" else "cq"]
    outcomes = {name: explain(receiver, origin, record_id).decisions[0].outcome for name, record_id in sent.items()}
    assert outcomes == {"site-one": FULL, "site-two": NOT_RECOGNISED}


@pytest.mark.parametrize("origin", ORIGINS)
def test_list_entries_at_their_edges(pair: dict[str, AgencyDoor], origin: str) -> None:
    """The last day counts, the day after does not, no end never ends; who left has left, also after the end."""
    now = today(pair)
    counted = iter(range(300 if origin == "cq" else 350, 400))

    def entry(until: date | None) -> Record:
        record = sound.list_entry()
        body = record.list_entry
        body.subject.uscc = firm(next(counted))
        body.entered_on = (now - timedelta(days=100)).isoformat()
        body.valid_until = until.isoformat() if until else ""
        return record

    cases = {
        "list-last-day": Case(entry(now)),
        "list-over": Case(entry(now - timedelta(days=1)), NOT_RECOGNISED, ("LIST_ENTRY_EXPIRED",)),
        "list-open": Case(entry(None)),
    }
    agencies = both(pair, f"lists-{origin}")
    sent = decided(pair, agencies, cases, origin)
    for name, case in cases.items():
        left = Record()
        left.CopyFrom(of_sichuan(case.record) if origin == "sc" else case.record)
        left.header.record_id = sent[name]
        left.list_entry.state = ListState.LIST_STATE_EXITED
        left.list_entry.exit.exited_on = now.isoformat()
        left.list_entry.exit.reason = ListExitReason.LIST_EXIT_REASON_EXPIRED
        submit(agencies[origin], left, f"{origin}-{name}-left")
    wait_settled(pair["cq"])
    receiver = agencies["sc" if origin == "cq" else "cq"]
    for name, record_id in sent.items():
        (decision,) = explain(receiver, origin, record_id).decisions
        assert (told(decision), decision.rules[0].rule_id) == ((FULL, (), ()), "LE-01"), name


FLAGS = {
    "S": (CONDITIONAL, ("MANUAL_VALUE",)),
    "T": (CONDITIONAL, ("LOWER_BOUND",)),
    **dict.fromkeys("MCDBF", (NOT_RECOGNISED, ("FLAG_NOT_USABLE",))),
    "": (NOT_RECOGNISED, ("FLAG_UNKNOWN",)),
    "X": (NOT_RECOGNISED, ("FLAG_UNKNOWN",)),
}


def flagged(station: str, flags: tuple[str, str]) -> Record:
    """A batch whose two hours of each factor have some flags."""
    record = batch_of(station)
    for series in record.monitoring_batch.series:
        for point, flag in zip(series.points, flags, strict=True):
            point.source_flag, point.usability = flag, tables().flags.usability(flag)
    return record


@pytest.mark.parametrize("origin", ORIGINS)
def test_monitoring_data_at_their_edges(pair: dict[str, AgencyDoor], origin: str) -> None:
    """Each flag alone and beside a sound value, each verdict of a checksum, edition, unit source and quality level."""
    counted = iter(range(100))

    def station() -> str:
        return f"EDGE{origin}{next(counted):018d}"

    def framed(verdict: CrcVerdict.ValueType) -> Record:
        record = batch_of(station())
        record.monitoring_batch.crc_verdict = verdict
        return record

    cases = {}
    for flag, (outcome, reasons) in FLAGS.items():
        name = flag or "none"
        parts = tuple((f"{factor}/{flag or '-'}", outcome, reasons) for factor in ("w01018", "w21003"))
        cases[f"all-{name}"] = Case(flagged(station(), (flag, flag)), outcome, reasons)
        cases[f"some-{name}"] = Case(flagged(station(), ("N", flag)), FULL, parts=parts)
    cases["manual-and-faulty"] = Case(
        flagged(station(), ("S", "D")),
        CONDITIONAL,
        ("MANUAL_VALUE",),
        parts=(
            ("w01018/D", NOT_RECOGNISED, ("FLAG_NOT_USABLE",)),
            ("w21003/D", NOT_RECOGNISED, ("FLAG_NOT_USABLE",)),
        ),
    )
    other_sum = (NOT_RECOGNISED, ("CRC_NOT_ANNEX_A",))
    cases["modbus"] = Case(framed(CrcVerdict.CRC_VERDICT_MODBUS), *other_sum)
    cases["swapped"] = Case(framed(CrcVerdict.CRC_VERDICT_MODBUS_BYTESWAPPED), *other_sum)
    faulty = flagged(station(), ("D", "D"))
    faulty.monitoring_batch.crc_verdict = CrcVerdict.CRC_VERDICT_MODBUS
    cases["modbus-and-faulty"] = Case(faulty, *other_sum)
    for edition in ("2005", "2017", "2025"):
        record = batch_of(station())
        record.monitoring_batch.protocol_edition = ProtocolEdition.Value(f"PROTOCOL_EDITION_HJ212_{edition}")
        cases[f"edition-{edition}"] = Case(record, facts={"PROTOCOL_EDITION": f"HJ212_{edition}"})
    profile = batch_of(station())
    for series in profile.monitoring_batch.series:
        series.unit_source = UnitSource.UNIT_SOURCE_STATION_PROFILE
    cases["unit-of-the-station"] = Case(profile)
    rated = batch_of(station())
    rated.monitoring_batch.qa_level, rated.monitoring_batch.qa_rule = "A", "HJ356-2019"
    cases["rated"] = Case(rated, facts={"QA_LEVEL": "A", "QA_RULE": "HJ356-2019"})
    decided(pair, both(pair, f"data-{origin}"), cases, origin)


LAB_DAYS = {
    "2026-01-31": "LAB_NOT_YET_CERTIFIED",
    "2026-02-01": "LAB_NOT_IN_SCOPE",
    "2026-02-10": "",
    "2026-03-09": "",
    "2026-03-10": "LAB_SUSPENDED",
    "2026-03-12": "LAB_SUSPENDED",
    "2026-03-13": "",
    "2026-05-20": "",
    "2026-05-21": "LAB_NOT_IN_SCOPE",
    "2026-06-01": "LAB_CERTIFICATE_EXPIRED",
}
"""Days of sampling of COD by a laboratory that :func:`tests.rpc.test_labs.lab_of` makes, suspended 10 to 12 March."""


@pytest.mark.parametrize("origin", ORIGINS)
def test_samples_wait_for_their_laboratory_and_are_then_decided_by_their_day(
    pair: dict[str, AgencyDoor], origin: str
) -> None:
    """Deferred while nobody states the laboratory; its record brings each to life, for or against, at every edge."""
    agencies = both(pair, f"labs-{origin}")
    lab = suspended(lab_of(300 if origin == "cq" else 301), "2026-03-10", "2026-03-12")
    cases = {}
    for number, day in enumerate(LAB_DAYS):
        record = sampled(lab, f"LABEDGE{origin}{number:013d}", [day])
        del record.monitoring_batch.series[1:]
        cases[f"lab-{day}"] = Case(record, DEFERRED, ("LAB_UNKNOWN",), {"LAB_KNOWN": "NO"})
    sent = decided(pair, agencies, cases, origin)
    submit(agencies[origin], of_sichuan(lab) if origin == "sc" else lab, f"lab-{origin}")
    receiver = agencies["sc" if origin == "cq" else "cq"]

    def resolved() -> bool:
        told_now = (explain(receiver, origin, record_id).decisions[0] for record_id in sent.values())
        return all(decision.outcome != DEFERRED for decision in told_now)

    pair["cq"].world.wait(resolved, what="the laboratory known and the samples decided")
    wait_settled(pair["cq"])
    for day, reason in LAB_DAYS.items():
        newest, first = explain(receiver, origin, sent[f"lab-{day}"]).decisions
        expected = (NOT_RECOGNISED, (reason,), ()) if reason else (FULL, (), ())
        assert (told(newest), newest.decision_revision, first.outcome) == (expected, 2, DEFERRED), day
        at_home = explain(agencies[origin], origin, sent[f"lab-{day}"]).decisions[0]
        assert told(at_home) == expected, day


SHIPPED = read_all()["rules/recognition.toml"].decode()
OTHER_RULES = """[[rule]]
id = "MB-21"
zh = "质控级别为丙级的数据不予互认。"
en = "Data of quality level C are not recognised."
kind = "MonitoringBatch"
when = [{ test = "qa_level_in", values = ["C"] }]
outcome = "NOT_RECOGNISED"
reason = "FLAG_NOT_USABLE"

[[rule]]
id = "MB-22"
zh = "2005版协议的数据仅供展示。"
en = "Data of the edition of 2005 are for display only."
kind = "MonitoringBatch"
when = [{ test = "protocol_edition_in", values = ["HJ212_2005"] }]
outcome = "CONDITIONAL"
reason = "MANUAL_VALUE"
condition = "DISPLAY_ONLY"

[[rule]]
id = "MB-23"
zh = "单位取自站点档案的数据仅供展示。"
en = "Values whose unit is that of the station's profile are for display only."
kind = "MonitoringBatch"
scope = "part"
when = [{ test = "unit_source_in", values = ["STATION_PROFILE"] }]
outcome = "CONDITIONAL"
reason = "MANUAL_VALUE"
condition = "DISPLAY_ONLY"

"""
LAST_RULE = '[[rule]]\nid = "MB-06"'
OTHER_DATA_RULES = (
    SHIPPED.replace('edition = "2026-1"', 'edition = "2026-2"\nreplaces = ["2026-1"]')
    .replace('values = ["NOT_USABLE"]', 'values = ["NOT_USABLE", "MANUAL"]')
    .replace(LAST_RULE, OTHER_RULES + LAST_RULE)
)
"""Values entered by hand do not count, nor does quality level C; two sorts of data are for display only."""


def data_for_other_rules(cma: Record) -> dict[str, tuple[Record, int, int]]:
    """Batches by what is odd with them, each with its outcome under the rules of the program and the other ones."""

    def station(name: str) -> str:
        return f"AGAIN{name:-<19}"

    plain, manual = batch_of(station("plain")), flagged(station("manual"), ("S", "S"))
    some, modbus = flagged(station("some"), ("N", "S")), batch_of(station("modbus"))
    modbus.monitoring_batch.crc_verdict = CrcVerdict.CRC_VERDICT_MODBUS
    rated, other = batch_of(station("rated")), batch_of(station("other"))
    rated.monitoring_batch.qa_level, other.monitoring_batch.qa_level = "C", "B"
    old = batch_of(station("old"))
    old.monitoring_batch.protocol_edition = ProtocolEdition.PROTOCOL_EDITION_HJ212_2005
    profile = batch_of(station("profile"))
    profile.monitoring_batch.series[0].unit_source = UnitSource.UNIT_SOURCE_STATION_PROFILE
    lab = sampled(cma, station("lab"), ["2026-04-14", "2026-04-15"])
    by_hand = lab.monitoring_batch.series[0].points[1]
    by_hand.source_flag, by_hand.usability = "S", tables().flags.usability("S")
    return {
        "plain": (plain, FULL, FULL),
        "manual": (manual, CONDITIONAL, NOT_RECOGNISED),
        "some": (some, FULL, FULL),
        "modbus": (modbus, NOT_RECOGNISED, NOT_RECOGNISED),
        "rated": (rated, FULL, NOT_RECOGNISED),
        "other": (other, FULL, FULL),
        "old": (old, FULL, CONDITIONAL),
        "profile": (profile, FULL, FULL),
        "lab": (lab, FULL, FULL),
    }


CHANGED = ("manual", "some", "rated", "old", "profile", "lab")


def test_monitoring_data_are_decided_again_by_flag_quality_edition_and_unit(fresh_doors: dict[str, AgencyDoor]) -> None:
    """What another edition sees otherwise, whole or in parts, and no more; laboratories count as they were found."""
    for node in fresh_doors.values():
        with_rules(node)
    agencies, door = both(fresh_doors, "again"), fresh_doors["sc"]
    reader = agencies["sc"]
    cma = lab_of(310)
    submit(agencies["cq"], cma, "again-qualified")
    wait_settled(door)
    cases = data_for_other_rules(cma)
    sent = {name: submit(agencies["cq"], record, f"again-{name}").record_id for name, (record, *_) in cases.items()}
    wait_settled(door)
    assert {name: explain(reader, "cq", each).decisions[0].outcome for name, each in sent.items()} == {
        name: before for name, (_, before, _) in cases.items()
    }
    operator, security = officers(door)
    question = operation.DiffRulesRequest(
        edition_a="2026-1", content_b=OTHER_DATA_RULES.encode(), kind=Kind.KIND_MONITORING_BATCH
    )
    diff = operator.call(operator.operation.DiffRules, question)
    assert [(each.ref.record_id, each.missing_fact) for each in diff.changes] == [(sent[n], "") for n in CHANGED]

    request = operation.ActivateRulesRequest(content=OTHER_DATA_RULES.encode(), reason="两地已批准")
    confirm(security, operator.call(operator.operation.ActivateRules, request).action)
    redecide = operation.RedecideRecordsRequest(edition="2026-2", kind=Kind.KIND_MONITORING_BATCH, reason="规则更新")
    again = operator.call(operator.operation.RedecideRecords, redecide)
    assert again.would_change == len(CHANGED)
    assert confirm(security, again.action).state == ActionState.ACTION_STATE_DONE
    order = operation.GetRedecisionRequest(order_id=again.action.action_id)
    done = RedecisionState.REDECISION_STATE_DONE
    door.world.wait(
        lambda: operator.call(operator.operation.GetRedecision, order).order.state == done, what="decided again"
    )
    wait_settled(door)
    decisions = {name: explain(reader, "cq", each).decisions for name, each in sent.items()}
    assert {name: (each[0].outcome, len(each)) for name, each in decisions.items()} == {
        name: (after, 2 if name in CHANGED else 1) for name, (*_, after) in cases.items()
    }
    fell = (NOT_RECOGNISED, ("FLAG_NOT_USABLE",))
    assert told(decisions["some"][0])[2] == (("w01018/S", *fell), ("w21003/S", *fell))
    assert told(decisions["lab"][0])[2] == (("w01018/S", *fell),)
    assert told(decisions["profile"][0])[2] == (("w01018/N", CONDITIONAL, ("MANUAL_VALUE",)),)
    assert list(decisions["old"][0].conditions) == [Condition.CONDITION_DISPLAY_ONLY]
    for name, each in sent.items():
        assert told(explain(agencies["cq"], "cq", each).decisions[0]) == told(decisions[name][0]), name
    assert operator.call(operator.operation.RedecideRecords, redecide).would_change == 0
    for name in ("cq", "sc"):
        evidence.assert_replays(door.world, name)
