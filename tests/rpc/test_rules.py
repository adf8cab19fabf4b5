"""Recognition rules over the wire: tables of cases both ways, in words, under another edition, and decided again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain.recognising.facts import read_facts
from exchange.domain.recognising.recognition import DecisionContext, RuleSet
from exchange.flows.rules.editions import bring_in
from exchange.tables import read_all
from exchange.v1 import operation_service_pb2 as operation
from exchange.v1 import record_service_pb2 as records
from exchange.v1 import rule_service_pb2 as pb
from exchange.v1.action_pb2 import ActionState
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Condition, Kind, Outcome
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.record_pb2 import Record
from exchange.v1.rule_pb2 import RedecisionState
from exchange.v1.security_service_pb2 import Agency, Verb
from exchange.v1.standards_equivalence_pb2 import EquivalenceKind
from tests import evidence
from tests.domain import records as sound
from tests.rpc.conftest import two_doors
from tests.rpc.doors import AgencyDoor, Stubs, client_issued, grant
from tests.rpc.facts import credit_of, firm, of_sichuan, submit, wait_settled
from tests.rpc.test_actions import confirm, officers, refused
from tests.rpc.test_alerts import desk_of, reply_to
from tests.world import rules as shipped

RULES = read_all()["rules/recognition.toml"].decode()
GREEN, BLUE, YELLOW, RED = (CreditLevel.Value(f"CREDIT_LEVEL_{each}") for each in ("GREEN", "BLUE", "YELLOW", "RED"))
FULL, CONDITIONAL = Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL
NOT_RECOGNISED = Outcome.OUTCOME_NOT_RECOGNISED
SCHEMES = {"cq": "CQ-渝环规〔2021〕7号", "sc": "SC-2019版"}
TEXTS = {GREEN: "环保诚信企业", BLUE: "环保良好企业", YELLOW: "环保警示企业", RED: "环保不良企业"}

CASES: list[tuple[str, int, str, str, tuple[str, ...], str, int, tuple[str, ...]]] = [
    # who states it, level, score, base, vetoes, state, outcome, reasons
    ("cq", GREEN, "100", "100", (), "FINAL", FULL, ()),
    ("cq", GREEN, "108", "99", (), "FINAL", CONDITIONAL, ("GREEN_BY_BONUS",)),
    ("cq", GREEN, "100", "", (), "FINAL", FULL, ()),
    ("cq", BLUE, "99", "", (), "FINAL", FULL, ()),
    ("cq", BLUE, "80", "", (), "FINAL", FULL, ()),
    ("cq", YELLOW, "79", "", (), "FINAL", FULL, ()),
    ("cq", YELLOW, "60", "", (), "FINAL", FULL, ()),
    ("cq", RED, "59", "", (), "FINAL", FULL, ()),
    ("cq", RED, "85", "", ("NV02",), "FINAL", CONDITIONAL, ("VETO_NOT_SHARED",)),
    ("cq", RED, "85", "", ("NV01",), "FINAL", FULL, ()),
    ("cq", RED, "59", "", ("NV02",), "FINAL", FULL, ()),
    ("cq", BLUE, "90", "", (), "PUBLICITY", NOT_RECOGNISED, ("STATE_NOT_FINAL",)),
    ("cq", BLUE, "90", "", (), "OBJECTION", NOT_RECOGNISED, ("OBJECTION_OPEN",)),
    ("sc", GREEN, "103.5", "99.5", (), "FINAL", CONDITIONAL, ("GREEN_BY_BONUS",)),
    ("sc", BLUE, "99.99", "", (), "FINAL", FULL, ()),
    ("sc", RED, "88", "", ("SV01",), "FINAL", CONDITIONAL, ("VETO_NOT_SHARED",)),
    ("sc", RED, "88", "", ("NV11",), "FINAL", FULL, ()),
    ("sc", RED, "59.9", "", (), "FINAL", FULL, ()),
]


def stated(number: int, origin: str, level: int, score: str, base: str, vetoes: tuple[str, ...], state: str) -> Record:
    """A credit result of a firm of its own."""
    record = credit_of(firm(7000 + number))
    body = record.credit_result
    body.scheme_id, body.shared_level, body.state = SCHEMES[origin], level, CreditState.Value(f"CREDIT_STATE_{state}")  # type: ignore[assignment]
    body.scheme_edition = {"cq": "2021", "sc": "2019"}[origin]
    body.source_level_text = TEXTS[CreditLevel.ValueType(level)]
    body.score, body.base_score = score, base
    body.ClearField("score_max")
    body.ClearField("bonus_score")
    for code in vetoes:
        body.veto_reasons.add(shared_code=code)
    return of_sichuan(record) if origin == "sc" else record


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, AgencyDoor]]:
    """Two linked nodes whose journals hold the rules, with every case submitted and decided."""
    with two_doors(tmp_path_factory.mktemp("ruled")) as doors:
        for door in doors.values():
            with_rules(door)
        yield doors


def with_rules(door: AgencyDoor) -> None:
    """Bring in the rules of the program, as the first start of a node does."""
    door.node.rules.put([])
    bring_in(door.node, shipped(), "test", door.node.clock())


def explain(stubs: Stubs, origin: str, record_id: str) -> pb.ExplainRecognitionResponse:
    """Each decision about a record."""
    request = pb.ExplainRecognitionRequest(ref=RecordRef(origin=origin, record_id=record_id))
    answer: pb.ExplainRecognitionResponse = stubs.call(stubs.rules.ExplainRecognition, request)
    return answer


def test_the_table_of_cases_both_ways(ruled: dict[str, AgencyDoor]) -> None:
    """Each case has its outcome and reasons at the receiver, and both sides tell the same decision."""
    agencies = {name: door.agency(f"cases-{name}") for name, door in ruled.items()}
    sent = [
        submit(agencies[case[0]], stated(number, *case[:6]), f"case-{number}").record_id
        for number, case in enumerate(CASES)
    ]
    wait_settled(ruled["cq"])
    for number, (origin, *_, outcome, reasons) in enumerate(CASES):
        receiver = "sc" if origin == "cq" else "cq"
        told = explain(agencies[receiver], origin, sent[number])
        (decision,) = told.decisions
        assert (decision.outcome, [each.reason for each in decision.reasons]) == (outcome, list(reasons)), CASES[number]
        assert (decision.decided_by, decision.rule_edition) == (receiver, "2026-1")
        assert told.legal_date == sound.PUBLISHED
        (at_home,) = explain(agencies[origin], origin, sent[number]).decisions
        assert (at_home.outcome, at_home.decided_by, at_home.rules) == (outcome, receiver, decision.rules)


def test_a_decision_is_told_in_words(ruled: dict[str, AgencyDoor]) -> None:
    """Rules, facts, edition, legal basis and approvals, each in the language of the call."""
    home, words = ruled["cq"].agency("words-home"), ruled["sc"].agency("words", lang="zh-CN")
    sent = submit(home, stated(50, "cq", RED, "85", "", ("NV02",), "FINAL"), "in-words")
    wait_settled(ruled["cq"])
    (decision,) = explain(words, "cq", sent.record_id).decisions
    assert [rule.rule_id for rule in decision.rules] == ["CR-08", "CR-11"]
    assert "否决" in decision.rules[0].text
    facts = {fact.code: (fact.name, fact.value) for fact in decision.facts}
    assert facts["VETO"] == ("一票否决情形", "NV02")
    assert decision.facts_listed
    assert decision.conditions == [Condition.CONDITION_RECEIVER_DECIDES_MEASURES]
    assert "生态环境监测条例（国务院令第820号）" in decision.edition.legal_basis
    assert list(decision.edition.approvals) == []
    assert decision.cause == DecisionCause.DECISION_CAUSE_ARRIVAL


def test_explaining_needs_a_grant_to_read(ruled: dict[str, AgencyDoor]) -> None:
    """Whoever may not read the record is told nothing of its decision; rules are shown by the kinds one may read."""
    home = ruled["cq"].agency("granted-home")
    sent = submit(home, stated(51, "cq", BLUE, "90", "", (), "FINAL"), "granted")
    wait_settled(ruled["cq"])
    door = ruled["sc"]
    door.put(Agency(name="other", display_name="演示", grants=[grant(Verb.VERB_READ, (Kind.KIND_PENALTY_NOTICE,))]))
    other = door.stubs(client_issued("sc", Role.AGENCY, "other"))
    request = pb.ExplainRecognitionRequest(ref=RecordRef(origin="cq", record_id=sent.record_id))
    assert refused(other, other.rules.ExplainRecognition, request) == ("PERMISSION_DENIED", "NO_GRANT")
    (edition,) = other.call(other.rules.ListRules, pb.ListRulesRequest()).editions
    assert {rule.kind for rule in edition.rules} == {Kind.KIND_PENALTY_NOTICE}
    operator, _ = officers(door)
    (edition,) = operator.call(operator.rules.ListRules, pb.ListRulesRequest(include_content=True)).editions
    assert {rule.kind for rule in edition.rules} > {Kind.KIND_PENALTY_NOTICE, Kind.KIND_CREDIT_RESULT}
    assert edition.content == RULES.encode()


def test_equivalences_name_their_approvals(ruled: dict[str, AgencyDoor]) -> None:
    """Levels that count as the same, not approved yet; and the vetoes that both sides share."""
    reader = ruled["cq"].agency("equal")
    answer = reader.call(reader.rules.ListEquivalences, pb.ListEquivalencesRequest())
    pair = next(each for each in answer.equivalences if {each.left, each.right} == set(SCHEMES.values()))
    assert (pair.relation, pair.approved, len(pair.levels)) == ("EXACT", False, 4)
    assert list(answer.shared_vetoes) == ["NV01", "NV11", "NV13"]


def test_what_both_sides_approved_as_a_record_decides_which_levels_are_the_same(ruled: dict[str, AgencyDoor]) -> None:
    """By one approval nothing changes; by both a level is kept apart from then on, and decisions name the record."""
    home, desk = ruled["cq"].agency("equals-home"), desk_of(ruled["sc"], "equals-desk")
    claim = sound.equivalence()
    body = claim.standards_equivalence
    body.equivalence_kind, body.shared_code = EquivalenceKind.EQUIVALENCE_KIND_CREDIT_LEVEL, "BLUE"
    for side, scheme in ((body.left, SCHEMES["cq"]), (body.right, SCHEMES["sc"])):
        side.standard_no, side.code = scheme, "BLUE"
    sent = submit(home, claim, "equals").record_id

    def decided(number: int, level: int, score: str) -> tuple[int, list[str], dict[str, str]]:
        made = submit(home, stated(number, "cq", level, score, "", (), "FINAL"), f"equals-{number}").record_id
        wait_settled(ruled["cq"])
        (decision,) = explain(desk, "cq", made).decisions
        facts = {fact.code: fact.value for fact in decision.facts} if decision.facts_listed else {}
        return decision.outcome, [each.reason for each in decision.reasons], facts

    assert decided(60, BLUE, "90") == (FULL, [], {})
    submit(desk, reply_to(claim, sent, AnswerVerb.ANSWER_VERB_CONFIRMED, "APPROVAL"), "equals-approved")
    wait_settled(ruled["sc"])
    outcome, reasons, facts = decided(61, BLUE, "90")
    assert (outcome, reasons, facts["LEVEL_UNEQUAL"]) == (CONDITIONAL, ["LEVEL_NOT_EQUIVALENT"], sent)
    assert decided(62, YELLOW, "70") == (FULL, [], {})
    # Whoever has only the facts that the decision lists comes to the same.
    day = date.fromisoformat(facts["DECIDED_ON"])
    context = DecisionContext(decided_on=day, origin="cq", receiver="sc", require_approvals=False)
    again = RuleSet.load(RULES.encode()).decide_again(Kind.KIND_CREDIT_RESULT, read_facts(facts.items()), context)
    assert (again.outcome, again.reasons) == (CONDITIONAL, ("LEVEL_NOT_EQUIVALENT",))
    withdrawn = sound.equivalence()
    withdrawn.CopyFrom(claim)
    withdrawn.header.record_id, withdrawn.header.revision = sent, 2
    withdrawn.standards_equivalence.valid_until = withdrawn.standards_equivalence.valid_from
    submit(home, withdrawn, "equals-ended")
    wait_settled(ruled["cq"])
    assert decided(63, BLUE, "90") == (FULL, [], {})


STRICTER = (
    RULES.replace('edition = "2026-1"', 'edition = "2026-2"\nreplaces = ["2026-1"]')
    .replace('value = "100"', 'value = "101"')
    .replace('"SV01", "SV02", "SV03"]', '"SV01", "SV02", "SV03", "NV02"]')
)
"""GREEN needs a base of 101, and Sichuan knows NV02: of the cases below the first two change."""


def test_an_edition_changes_nothing_until_two_officers_have_it_decided_again(tmp_path: Path) -> None:
    """File, diff, journal, use; then redecide: a new decision beside the old one, for what changed and nothing else."""
    with two_doors(tmp_path) as doors:
        for each in doors.values():
            with_rules(each)
        home, door = doors["cq"].agency("home"), doors["sc"]
        reader = door.agency("reader")
        cases = [
            (GREEN, "103", "100", ()),
            (RED, "85", "", ("NV02",)),
            (GREEN, "103", "102", ()),
            (RED, "85", "", ("NV03",)),
            (BLUE, "90", "", ()),
        ]
        sent = [
            submit(home, stated(number, "cq", *case, "FINAL"), f"again-{number}").record_id
            for number, case in enumerate(cases)
        ]
        wait_settled(doors["cq"])
        operator, security = officers(door)

        # diff: what would change, by the bodies; nothing is stored
        diff = operator.call(
            operator.operation.DiffRules,
            operation.DiffRulesRequest(edition_a="2026-1", content_b=STRICTER.encode()),
        )
        assert (diff.examined, diff.outside, diff.next_page_token) == (len(cases), 0, "")
        assert [
            (change.ref.record_id, change.before.outcome, change.after.outcome, change.by_facts)
            for change in diff.changes
        ] == [(sent[0], FULL, CONDITIONAL, False), (sent[1], CONDITIONAL, FULL, False)]

        # refused loudly when it does not go with the others
        bad = operation.ActivateRulesRequest(content=STRICTER.replace("replaces", "#").encode(), reason="x")
        assert refused(operator, operator.operation.ActivateRules, bad)[1] == "RULES_OVERLAP"
        bad = operation.ActivateRulesRequest(content=STRICTER.replace("months = 24", "months = 0").encode(), reason="x")
        assert refused(operator, operator.operation.ActivateRules, bad)[1] == "TABLE_INVALID"

        # two officers bring it in; what was decided stays
        request = operation.ActivateRulesRequest(content=STRICTER.encode(), reason="两地已批准")
        asked = operator.call(operator.operation.ActivateRules, request)
        assert door.node.rules.book.find("2026-2") is None
        assert confirm(security, asked.action).state == ActionState.ACTION_STATE_DONE
        assert [event.activated.edition.name for event in evidence.journal(door.world, "sc", "activated")][
            -1
        ] == "2026-2"
        later = submit(home, stated(9, "cq", GREEN, "103", "100", (), "FINAL"), "later").record_id
        wait_settled(doors["cq"])
        (decision,) = explain(reader, "cq", later).decisions
        assert (decision.outcome, decision.rule_edition) == (CONDITIONAL, "2026-2")
        assert [explain(reader, "cq", each).decisions[0].rule_edition for each in sent] == ["2026-1"] * len(sent)

        # decided again: the two that change, revision 2, cause recorded, the old decision kept
        redecide = operation.RedecideRecordsRequest(edition="2026-2", reason="规则更新")
        again = operator.call(operator.operation.RedecideRecords, redecide)
        assert again.would_change == 2
        assert confirm(security, again.action).state == ActionState.ACTION_STATE_DONE
        order = operation.GetRedecisionRequest(order_id=again.action.action_id)
        done = RedecisionState.REDECISION_STATE_DONE
        door.world.wait(
            lambda: operator.call(operator.operation.GetRedecision, order).order.state == done, what="decided again"
        )
        wait_settled(doors["cq"])
        told = [explain(reader, "cq", each) for each in sent]
        assert [[(d.decision_revision, d.outcome, d.rule_edition) for d in each.decisions] for each in told] == [
            [(2, CONDITIONAL, "2026-2"), (1, FULL, "2026-1")],
            [(2, FULL, "2026-2"), (1, CONDITIONAL, "2026-1")],
            [(1, FULL, "2026-1")],
            [(1, CONDITIONAL, "2026-1")],
            [(1, FULL, "2026-1")],
        ]
        assert told[0].decisions[0].cause == DecisionCause.DECISION_CAUSE_RULE_REDECIDE
        view = reader.call(
            reader.record.GetRecord, records.GetRecordRequest(ref=RecordRef(origin="cq", record_id=sent[0]))
        ).record
        assert (view.outcome, view.decision_revision, view.rule_edition) == (CONDITIONAL, 2, "2026-2")
        home_view = explain(home, "cq", sent[0]).decisions
        assert [(each.decision_revision, each.outcome) for each in home_view] == [(2, CONDITIONAL), (1, FULL)]
        assert operator.call(operator.operation.RedecideRecords, redecide).would_change == 0
        for name in ("cq", "sc"):
            evidence.assert_replays(door.world, name)
