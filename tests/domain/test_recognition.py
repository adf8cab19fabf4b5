"""Recognition by rules that are data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.catalogues.table_file import TableError
from exchange.domain.catalogues.tables import Tables
from exchange.domain.recognising.predicates import add_months
from exchange.domain.recognising.recognition import (
    PARTS_LIMIT,
    Decision,
    DecisionContext,
    RuleSet,
    part_holds,
    part_of,
)
from exchange.domain.validate import validate
from exchange.tables import read_all
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, MonitoringBatch
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from tests.domain.records import DATA_SECOND, SOUND, TODAY, YEAR

FULL, CONDITIONAL = Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL
NOT_RECOGNISED, DEFERRED = Outcome.OUTCOME_NOT_RECOGNISED, Outcome.OUTCOME_DEFERRED
TO_SICHUAN = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=False)
TO_CHONGQING = DecisionContext(decided_on=TODAY, origin="sc", receiver="cq", require_approvals=False)
STRICT = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=True)
RULES = read_all()["rules/recognition.toml"].decode()


def _approved(*approvals: str) -> RuleSet:
    return RuleSet.load(RULES.replace("approvals = []", f"approvals = [{', '.join(approvals)}]").encode())


def _approval(node: str, day: str) -> str:
    return f'{{ node = "{node}", document_no = "文号", approved_on = "{day}" }}'


def test_a_final_result_is_recognised_in_full(rules: RuleSet) -> None:
    """The ordinary case says nothing but FULL and the rule."""
    assert rules.decide(SOUND["credit"](), TO_SICHUAN) == Decision(outcome=FULL, rules=("CR-11",))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (CreditState.CREDIT_STATE_PRELIMINARY, "STATE_NOT_FINAL"),
        (CreditState.CREDIT_STATE_PUBLICITY, "STATE_NOT_FINAL"),
        (CreditState.CREDIT_STATE_OBJECTION, "OBJECTION_OPEN"),
        (CreditState.CREDIT_STATE_SUPERSEDED, "RECORD_SUPERSEDED"),
        (CreditState.CREDIT_STATE_REPAIRED, "RESULT_REPAIRED"),
        (CreditState.CREDIT_STATE_WITHDRAWN, "RECORD_WITHDRAWN"),
    ],
)
def test_only_final_results_are_recognised(rules: RuleSet, state: CreditState.ValueType, reason: str) -> None:
    """Before and after its final state a result is not recognised, with the reason."""
    record = SOUND["credit"]()
    record.credit_result.state = state
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (NOT_RECOGNISED, (reason,))


def test_an_objection_stands_in_the_way(rules: RuleSet) -> None:
    """A final result with an open objection is not recognised."""
    record = SOUND["credit"]()
    record.credit_result.objection = "企业对得分有异议"
    assert rules.decide(record, TO_SICHUAN).reasons == ("OBJECTION_OPEN",)


@pytest.mark.parametrize(
    ("decided_on", "outcome"),
    [
        (date(YEAR + 2, 12, 31), FULL),
        (date(YEAR + 3, 1, 1), NOT_RECOGNISED),
        (date(YEAR + 6, 1, 1), NOT_RECOGNISED),
    ],
)
def test_results_age_by_calendar_months(rules: RuleSet, decided_on: date, outcome: Outcome.ValueType) -> None:
    """24 months after the end of its window a result still counts, a day later it does not."""
    context = DecisionContext(decided_on=decided_on, origin="cq", receiver="sc", require_approvals=False)
    assert rules.decide(SOUND["credit"](), context).outcome == outcome


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(1, 240))
def test_adding_months_keeps_the_day_or_takes_the_last(day: date, months: int) -> None:
    """The same day of the month, or the last one; and adding in two steps never goes further."""
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day <= day.day
    assert later.day == day.day or add_months(later, 1).day >= later.day


def test_a_veto_that_the_receiver_lacks_is_conditional(rules: RuleSet) -> None:
    """A RED by 未批先建 is shown in Sichuan, which decides about measures itself; its own scheme has no such veto."""
    record = SOUND["credit"]()
    record.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_RED
    record.credit_result.veto_reasons.add(shared_code="NV02")
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (CONDITIONAL, ("VETO_NOT_SHARED",))
    assert decision.conditions == (Condition.CONDITION_RECEIVER_DECIDES_MEASURES,)
    assert ("VETO", "NV02") in decision.facts
    assert rules.decide(record, TO_CHONGQING).outcome == FULL


def test_one_shared_veto_suffices(rules: RuleSet) -> None:
    """A RED by a crime stands in both regions, whatever else is cited."""
    record = SOUND["credit"]()
    record.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_RED
    for code in ("NV02", "NV01"):
        record.credit_result.veto_reasons.add(shared_code=code)
    assert rules.decide(record, TO_SICHUAN).outcome == FULL


def test_a_score_that_explains_the_level_needs_no_veto(rules: RuleSet) -> None:
    """A RED with 40 points is RED by its score, so the veto cited beside it does not matter."""
    record = SOUND["credit"]()
    record.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_RED
    record.credit_result.score = "40"
    record.credit_result.veto_reasons.add(shared_code="NV02")
    assert rules.decide(record, TO_SICHUAN).outcome == FULL


def test_an_unknown_receiver_shares_no_veto(rules: RuleSet) -> None:
    """A third region without a list decides about measures itself."""
    record = SOUND["credit"]()
    record.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_RED
    record.credit_result.veto_reasons.add(shared_code="NV01")
    context = DecisionContext(decided_on=TODAY, origin="cq", receiver="gz", require_approvals=False)
    assert rules.decide(record, context).outcome == CONDITIONAL


@pytest.mark.parametrize(
    ("base", "bonus", "outcome", "reasons"),
    [
        ("99", "6", CONDITIONAL, ("GREEN_BY_BONUS",)),
        ("99", "", CONDITIONAL, ("GREEN_BY_BONUS",)),
        ("", "6", CONDITIONAL, ("GREEN_BY_BONUS",)),
        ("100", "5", FULL, ()),
        ("", "5", FULL, ()),
        ("", "", FULL, ()),
    ],
)
def test_a_green_by_bonus_earns_no_incentives(
    rules: RuleSet, base: str, bonus: str, outcome: Outcome.ValueType, reasons: tuple[str, ...]
) -> None:
    """GREEN with a base below 100 is conditional, by the stated base or the score less the bonus."""
    record = SOUND["credit"]()
    body = record.credit_result
    body.shared_level, body.score = CreditLevel.CREDIT_LEVEL_GREEN, "105"
    body.base_score, body.bonus_score = base, bonus
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (outcome, reasons)
    assert (Condition.CONDITION_INCENTIVES_EXCLUDED in decision.conditions) == (outcome == CONDITIONAL)


def test_an_unstated_base_is_a_fact_and_no_condition(rules: RuleSet) -> None:
    """Unknown is never held against a firm; the decision says that it was not stated."""
    record = SOUND["credit"]()
    record.credit_result.shared_level, record.credit_result.score = CreditLevel.CREDIT_LEVEL_GREEN, "105"
    decision = rules.decide(record, TO_SICHUAN)
    assert decision.outcome == FULL
    assert ("BONUS_NOT_STATED", "1") in decision.facts


@pytest.mark.parametrize("state", [PenaltyState.PENALTY_STATE_ISSUED, PenaltyState.PENALTY_STATE_REPAIRED])
@pytest.mark.parametrize("name", ["penalty", "joint_measure"])
def test_penalties_are_recognised_in_full(rules: RuleSet, name: str, state: PenaltyState.ValueType) -> None:
    """A notice is recognised in every state: its repair has to take effect at the receiver too."""
    record = SOUND[name]()
    record.penalty_notice.state = state
    assert rules.decide(record, TO_SICHUAN).outcome == FULL


def test_measures_of_another_catalogue_are_the_receivers_to_decide(rules: RuleSet) -> None:
    """A measure of an edition that the rules do not list is conditional."""
    record = SOUND["joint_measure"]()
    record.penalty_notice.measures[0].edition = "2027"
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (CONDITIONAL, ("MEASURE_CATALOGUE_OTHER",))
    assert ("MEASURE", "2027:B1") in decision.facts


@pytest.mark.parametrize("verdict", [CrcVerdict.CRC_VERDICT_MODBUS, CrcVerdict.CRC_VERDICT_MODBUS_BYTESWAPPED])
def test_frames_without_annex_a_are_not_recognised(rules: RuleSet, verdict: CrcVerdict.ValueType) -> None:
    """Another checksum makes the whole batch not recognised, whatever its flags."""
    record = SOUND["monitoring"]()
    record.monitoring_batch.crc_verdict = verdict
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons, decision.parts) == (NOT_RECOGNISED, ("CRC_NOT_ANNEX_A",), ())


_FLAGS = {
    "S": (CONDITIONAL, ("MANUAL_VALUE",)),
    "T": (CONDITIONAL, ("LOWER_BOUND",)),
    "M": (NOT_RECOGNISED, ("FLAG_NOT_USABLE",)),
    "D": (NOT_RECOGNISED, ("FLAG_NOT_USABLE",)),
    "": (NOT_RECOGNISED, ("FLAG_UNKNOWN",)),
    "?": (NOT_RECOGNISED, ("FLAG_UNKNOWN",)),
    "N": (FULL, ()),
}


def _flagged(tables: Tables, flags: dict[tuple[int, int], str]) -> Record:
    record = SOUND["monitoring"]()
    for (series, point), flag in flags.items():
        value = record.monitoring_batch.series[series].points[point]
        value.source_flag = flag
        value.usability = tables.flags.usability(flag)
    return record


@pytest.mark.parametrize("flag", _FLAGS)
def test_a_batch_of_one_flag_is_decided_as_a_whole(rules: RuleSet, tables: Tables, flag: str) -> None:
    """Where all values have one flag there are no parts."""
    record = _flagged(tables, {(series, point): flag for series in (0, 1) for point in (0, 1)})
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == _FLAGS[flag]
    assert decision.parts == ()


@pytest.mark.parametrize("flag", [flag for flag in _FLAGS if flag != "N"])
def test_values_that_differ_are_told_as_parts(rules: RuleSet, tables: Tables, flag: str) -> None:
    """One odd value makes a part for its factor and flag, and the rest stays FULL."""
    decision = rules.decide(_flagged(tables, {(1, 0): flag}), TO_SICHUAN)
    assert decision.outcome == FULL
    assert [(part.part, part.outcome, part.reasons) for part in decision.parts] == [
        (part_of("w21003", flag), *_FLAGS[flag])
    ]
    assert part_holds(decision.parts[0].part, "w21003", flag)
    assert not part_holds(decision.parts[0].part, "w01018", flag)


def test_the_whole_is_the_best_that_any_value_has(rules: RuleSet, tables: Tables) -> None:
    """Manual and faulty values only: the whole is conditional and the faulty ones are the part."""
    record = _flagged(tables, {(0, 0): "S", (0, 1): "S", (1, 0): "D", (1, 1): "S"})
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.conditions) == (CONDITIONAL, (Condition.CONDITION_MANUAL_VALUE,))
    assert [(part.part, part.outcome) for part in decision.parts] == [("w21003/D", NOT_RECOGNISED)]
    assert decision.rules == ("MB-04", "MB-06", "MB-02")


def _wide(tables: Tables) -> MonitoringBatch:
    batch = SOUND["monitoring"]().monitoring_batch
    del batch.series[:]
    for code in sorted(tables.factors.by_code)[: PARTS_LIMIT + 1]:
        series = batch.series.add(factor_code=code)
        for hour, flag in enumerate("ND"):
            point = series.points.add(value="1", source_flag=flag, usability=tables.flags.usability(flag))
            point.data_time.seconds = DATA_SECOND + hour
    return batch


def test_many_parts_are_told_by_flag_alone(rules: RuleSet, tables: Tables) -> None:
    """The decision about a wide batch stays small, and still says which values it means."""
    record = Record(monitoring_batch=_wide(tables))
    decision = rules.decide(record, TO_SICHUAN)
    assert [part.part for part in decision.parts] == ["*/D"]
    assert part_holds("*/D", "w01018", "D")
    assert not part_holds("*/D", "w01018", "N")
    del record.monitoring_batch.series[0]
    assert len(rules.decide(record, TO_SICHUAN).parts) == PARTS_LIMIT


def test_a_rule_without_both_approvals_is_conditional(rules: RuleSet) -> None:
    """Where approvals are required, an unapproved rule gives at most CONDITIONAL."""
    decision = rules.decide(SOUND["credit"](), STRICT)
    assert (decision.outcome, decision.reasons) == (CONDITIONAL, ("RULE_NOT_APPROVED",))
    assert decision.conditions == (Condition.CONDITION_RULE_NOT_APPROVED,)


@pytest.mark.parametrize(
    ("approvals", "outcome"),
    [
        ([("cq", "2026-01-01"), ("sc", "2026-02-01")], FULL),
        ([("cq", "2026-01-01")], CONDITIONAL),
        ([("cq", "2026-01-01"), ("gz", "2026-01-01")], CONDITIONAL),
        ([("cq", "2026-01-01"), ("sc", (TODAY + timedelta(days=1)).isoformat())], CONDITIONAL),
        ([("cq", "2026-01-01"), ("sc", TODAY.isoformat())], FULL),
    ],
)
def test_approvals_count_from_their_day(approvals: list[tuple[str, str]], outcome: Outcome.ValueType) -> None:
    """Both nodes have to have approved by the day of the decision."""
    approved = _approved(*(_approval(node, day) for node, day in approvals))
    assert approved.decide(SOUND["credit"](), STRICT).outcome == outcome


def test_equal_facts_are_decided_for_each_demand_pair_of_nodes_day_and_edition() -> None:
    """The same notice again and again: each time as its own edition, nodes, day and demand for approvals have it."""
    record = SOUND["penalty"]()
    both = _approved(_approval("cq", "2026-01-01"), _approval("sc", TODAY.isoformat()))
    one = _approved(_approval("cq", "2026-01-01"))
    lax, elsewhere = replace(STRICT, require_approvals=False), replace(STRICT, receiver="gz")
    stranger, yesterday = replace(STRICT, origin="gz"), replace(STRICT, decided_on=TODAY - timedelta(days=1))
    for _ in range(2):
        asked = [(both, STRICT), (one, STRICT), (one, lax), (both, elsewhere), (both, stranger), (both, yesterday)]
        told = [edition.decide(record, context).outcome for edition, context in asked]
        assert told == [FULL, CONDITIONAL, FULL, CONDITIONAL, CONDITIONAL, CONDITIONAL]


def test_a_missing_approval_never_raises_an_outcome(rules: RuleSet, tables: Tables) -> None:
    """What is not recognised stays so, and other conditions stay beside the missing approval."""
    record = SOUND["credit"]()
    record.credit_result.state = CreditState.CREDIT_STATE_WITHDRAWN
    assert rules.decide(record, STRICT).outcome == NOT_RECOGNISED
    decision = rules.decide(_flagged(tables, {(0, 0): "S", (1, 0): "D"}), STRICT)
    assert decision.outcome == CONDITIONAL
    assert decision.reasons == ("RULE_NOT_APPROVED",)
    assert {part.part: part.reasons for part in decision.parts} == {
        "w01018/S": ("MANUAL_VALUE", "RULE_NOT_APPROVED"),
        "w21003/D": ("FLAG_NOT_USABLE",),
    }


def test_an_unknown_kind_waits(rules: RuleSet) -> None:
    """A kind of a newer edition is deferred and names what it waits for."""
    context = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=False, kind=42)
    decision = rules.decide(Record(), context)
    assert (decision.outcome, decision.reasons) == (DEFERRED, ("KIND_UNKNOWN",))
    assert decision.waits_for == ("REFERENCE:KIND:42",)


@pytest.mark.parametrize("name", ["recognition", "erasure", "answer", "key_announcement"])
def test_what_is_not_recognised_at_all_is_not_decided(rules: RuleSet, name: str) -> None:
    """Answers, erasures and announcements are not decided by these rules."""
    with pytest.raises(ValueError, match="not answered by a recognition"):
        rules.decide(SOUND[name](), TO_SICHUAN)


def test_a_kind_without_rules_waits_for_rules() -> None:
    """Without a rule nothing is guessed."""
    head = RULES[: RULES.index("# Credit results")]
    decision = RuleSet.load(head.encode()).decide(SOUND["credit"](), TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (DEFERRED, ("NO_RULE",))
    assert decision.waits_for


_ONE_RULE = '[[rule]]\nid = "X-1"\nzh = "一"\nen = "one"\nkind = "CreditResult"\nwhen = [{ test = "always" }]\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (RULES.replace('edition = "2026-1"', ""), "rules.edition"),
        (RULES.replace('effective_from = "2005-01-01"', ""), "rules.effective_from"),
        (RULES.replace('id = "CR-02"', 'id = "CR-01"'), "rules.rule[1].id"),
        (RULES.replace('kind = "PenaltyNotice"', 'kind = "Answer"'), "rules.rule[12].kind"),
        (RULES.replace('test = "objection_stated"', 'test = "eval"'), "rules.rule[5].when[0].test"),
        (RULES.replace("months = 24", "months = 0"), "rules.rule[6].when[0].months"),
        (RULES.replace("months = 24", "weeks = 24"), "rules.rule[6].when[0].months"),
        (RULES.replace('values = ["WITHDRAWN"]', 'values = ["GONE"]'), "rules.rule[0].when[0].values"),
        (RULES.replace('condition = "INCENTIVES_EXCLUDED"', 'condition = "ANYTHING"'), "rules.rule[8].condition"),
        (RULES.replace('condition = "INCENTIVES_EXCLUDED"', ""), "rules.rule[8].condition"),
        (RULES.replace('RED = "60"', 'BLACK = "60"'), "rules.rule[7].when[1].explained.BLACK"),
        (RULES + _ONE_RULE, "rules.rule[35].outcome"),
        (RULES + _ONE_RULE + 'outcome = "FULL"\nreason = "WHY"\n', "rules.rule[35].reason"),
        (RULES + _ONE_RULE + 'outcome = "FULL"\nscope = "part"\nwhen2 = 1\n', "rules.rule[35].when2"),
        (
            RULES.replace("approvals = []", 'approvals = [{ node = "cq", document_no = "x" }]'),
            "rules.approvals[0].approved_on",
        ),
        (RULES + '[[receiver]]\nnode = "cq"\nsource = "x"\n', "rules.receiver[2].node"),
    ],
)
def test_ill_formed_rules_are_refused_with_their_place(text: str, place: str) -> None:
    """A rule file is taken whole or not at all, and says where it is wrong."""
    with pytest.raises(TableError) as raised:
        RuleSet.load(text.encode())
    assert raised.value.problems[0].place == place


def test_every_reason_of_the_rules_has_its_texts(rules: RuleSet, tables: Tables) -> None:
    """A rule gives no reason that the table cannot explain."""
    named = {rule.reason or rule.fact for listed in rules.rules.values() for rule in listed} - {""}
    assert named | {"RULE_NOT_APPROVED", "KIND_UNKNOWN", "NO_RULE"} <= tables.reasons.codes


@given(st.lists(st.sampled_from(["N", "S", "T", "M", "C", "D", "B", "F", "", "?"]), min_size=4, max_size=4))
def test_a_decision_can_be_told_in_a_recognition(rules: RuleSet, tables: Tables, flags: list[str]) -> None:
    """Whatever is decided, a Recognition that tells it is sound."""
    record = _flagged(tables, {(index // 2, index % 2): flag for index, flag in enumerate(flags)})
    decision = rules.decide(record, TO_SICHUAN)
    told = SOUND["recognition"]()
    del told.recognition.items[:]
    for part in ("", *(part.part for part in decision.parts)):
        source = next((each for each in decision.parts if each.part == part), decision)
        item = told.recognition.items.add(record_id="019573a0-6c00-7000-8000-0000000000aa", revision=1)
        item.decision_revision = 1
        item.part = part
        item.outcome = source.outcome
        item.reasons.extend(source.reasons)
        item.conditions.extend(source.conditions)
        if not part:
            item.rules.extend(decision.rules)
            for code, value in decision.facts:
                item.facts.add(code=code, value=value)
    assert validate(told, tables, today=TODAY) == ()


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_facts_of_a_credit_decision_are_neutral(rules: RuleSet, tables: Tables, level: int) -> None:
    """Facts never hold names, texts or the firm's code."""
    record = SOUND["credit"]()
    body = record.credit_result
    body.shared_level = CreditLevel.ValueType(level)
    body.veto_reasons.add(shared_code="NV02", source_text="未批先建")
    body.base_score = "91"
    body.objection = "企业对得分有异议"
    facts = rules.decide(record, TO_SICHUAN).facts
    assert ("OBJECTION", "1") in facts
    told = SOUND["recognition"]()
    for code, value in facts:
        told.recognition.items[0].facts.add(code=code, value=value)
    assert validate(told, tables, today=TODAY) == ()
