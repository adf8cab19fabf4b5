"""The rules of recognition as they stand in a file: what each tests, and what follows when it fires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from exchange.domain.catalogues.table_file import Row
from exchange.domain.kinds import KINDS, kind_by_name, spec
from exchange.domain.recognising.facts import code_of
from exchange.domain.recognising.predicates import Question, Test, always, names_of, read_test
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Condition, Kind, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """The legal act by which a node approved rules."""

    node: str
    document_no: str
    approved_on: date


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        part: Asked of every value of a batch instead of the whole record.
        zh: What it says, in Chinese, as the officer reads it.
        en: The same in English.
        tests: All have to hold for the rule to fire.
        outcome: None: the rule only notes ``fact``.
    """

    rule_id: str
    kind: Kind.ValueType
    part: bool
    zh: str
    en: str
    tests: tuple[Test, ...]
    outcome: Outcome.ValueType | None
    reason: str
    condition: Condition.ValueType | None
    fact: str
    approvals: tuple[Approval, ...]

    def fires(self, question: Question) -> bool:
        """Whether all its tests hold."""
        for test in self.tests:  # noqa: SIM110 - a generator takes twice as long, and this runs for every rule
            if not test(question):
                return False
        return True

    def approved(self, nodes: frozenset[str], on: date) -> bool:
        """Whether all the nodes have approved it by a day."""
        return nodes <= {approval.node for approval in self.approvals if approval.approved_on <= on}


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """What a receiving node holds results against.

    Attributes:
        source: Where its veto situations stand.
        schemes: Its own credit schemes, as codes.
        vetoes: Veto situations of its own scheme.
    """

    node: str
    source: str
    schemes: frozenset[str]
    vetoes: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelEquivalence:
    """How the levels of two credit schemes stand to each other.

    Attributes:
        relation: ``EXACT`` or ``NOT_EQUIVALENT``.
        source: Where that is said.
    """

    equivalence_id: str
    left: str
    right: str
    levels: tuple[str, ...]
    relation: str
    source: str


def read_receivers(file: Row) -> Mapping[str, Receiver]:
    """The receivers, by node.

    Raises:
        TableError: A receiver is listed twice or names no source.
    """
    found: dict[str, Receiver] = {}
    for row in file.rows("receiver"):
        receiver = Receiver(
            node=row.text("node"),
            source=row.text("source"),
            schemes=frozenset(code_of(each) for each in row.texts("schemes")),
            vetoes=frozenset(row.texts("vetoes")),
        )
        row.end()
        if receiver.node in found:
            raise row.wrong("node", f"{receiver.node} is listed twice")
        found[receiver.node] = receiver
    return found


def read_equivalences(file: Row) -> tuple[LevelEquivalence, ...]:
    """Equivalences of levels.

    Raises:
        TableError: An id is listed twice, a pair of schemes is, or a level is none.
    """
    levels = names_of(CreditLevel, "CREDIT_LEVEL_")
    found: list[LevelEquivalence] = []
    for row in file.rows("equivalence"):
        each = LevelEquivalence(
            equivalence_id=row.text("id"),
            left=row.text("left"),
            right=row.text("right"),
            levels=row.texts("levels"),
            relation=row.one_of("relation", ("EXACT", "NOT_EQUIVALENT"), "EXACT"),
            source=row.text("source"),
        )
        row.end()
        if not each.levels or not set(each.levels) <= set(levels):
            raise row.wrong("levels", f"must be some of {', '.join(levels)}")
        if any(each.equivalence_id == other.equivalence_id for other in found):
            raise row.wrong("id", f"{each.equivalence_id} is listed twice")
        if any({each.left, each.right} == {other.left, other.right} for other in found):
            raise row.wrong("left", "these two schemes are compared twice")
        found.append(each)
    return tuple(found)


def own_levels(receiver: Receiver, equivalences: tuple[LevelEquivalence, ...]) -> frozenset[tuple[str, str]]:
    """(scheme, level) that are levels of the receiver's own schemes, or equal to one of them."""
    found = {(scheme, level) for scheme in receiver.schemes for level in names_of(CreditLevel, "CREDIT_LEVEL_")}
    for each in equivalences:
        left, right = code_of(each.left), code_of(each.right)
        for own, other in ((left, right), (right, left)):
            if each.relation == "EXACT" and own in receiver.schemes:
                found |= {(other, level) for level in each.levels}
    return frozenset(found)


def read_approvals(row: Row) -> tuple[Approval, ...]:
    """The approvals listed in a file or a rule.

    Raises:
        TableError: One lacks its node, document or date.
    """
    return tuple(_approval(each) for each in row.rows("approvals"))


def read_rules(file: Row, approvals: tuple[Approval, ...]) -> Mapping[int, tuple[Rule, ...]]:
    """The rules of a file by kind, in its order.

    Args:
        file: The file.
        approvals: Those of the file: they count for rules without their own.

    Raises:
        TableError: An id is listed twice, a rule contradicts itself, or a kind's last rule does not decide always.
    """
    rules: dict[int, tuple[Rule, ...]] = {}
    seen: set[str] = set()
    for row in file.rows("rule"):
        rule = _rule(row, approvals)
        if rule.rule_id in seen:
            raise row.wrong("id", f"{rule.rule_id} is listed twice")
        seen.add(rule.rule_id)
        rules[rule.kind] = (*rules.get(rule.kind, ()), rule)
    for kind, listed in rules.items():
        last = [rule for rule in listed if not rule.part][-1:]
        if not last or last[0].outcome is None or last[0].tests != (always,):
            name = spec(kind).name  # type: ignore[arg-type]
            raise file.wrong("rule", f"the last rule of {name} has to decide always, so that no record is left over")
    return rules


def _approval(row: Row) -> Approval:
    approved_on = row.day("approved_on")
    if approved_on is None:
        raise row.wrong("approved_on", "missing")
    approval = Approval(node=row.text("node"), document_no=row.text("document_no"), approved_on=approved_on)
    row.end()
    return approval


def _rule(row: Row, approvals: tuple[Approval, ...]) -> Rule:
    rule_id = row.text("id")
    kind = kind_by_name(row.text("kind"))
    if kind is None or spec(kind).answered_by != Kind.KIND_RECOGNITION:
        names = ", ".join(spec(known).name for known in KINDS if spec(known).answered_by == Kind.KIND_RECOGNITION)
        raise row.wrong("kind", f"must be one of {names}")
    part = row.one_of("scope", ("record", "part"), "record") == "part"
    tests = tuple(read_test(each, kind, part=part) for each in row.rows("when"))
    own = read_approvals(row)
    outcome_name = row.one_of("outcome", ("FULL", "CONDITIONAL", "NOT_RECOGNISED", "DEFERRED", "-"), "-")
    condition_name = row.text("condition", "-")
    rule = Rule(
        rule_id=rule_id,
        kind=kind,
        part=part,
        zh=row.text("zh"),
        en=row.text("en"),
        tests=tests,
        outcome=None if outcome_name == "-" else Outcome.Value(f"OUTCOME_{outcome_name}"),
        reason=row.text("reason", "-").removeprefix("-"),
        condition=_condition(row, condition_name),
        fact=row.text("fact", "-").removeprefix("-"),
        approvals=own or approvals,
    )
    row.end()
    _check_rule(row, rule)
    return rule


def _condition(row: Row, name: str) -> Condition.ValueType | None:
    if name == "-":
        return None
    known = dict(Condition.items())
    number = known.get(f"CONDITION_{name}")
    if not number:
        raise row.wrong("condition", "is not in the closed list")
    return number


def _check_rule(row: Row, rule: Rule) -> None:
    if not rule.tests:
        raise row.wrong("when", "lists no test; use always")
    if (rule.outcome is None) != bool(rule.fact):
        raise row.wrong("outcome", "a rule has an outcome, or notes a fact")
    if rule.outcome in (None, Outcome.OUTCOME_FULL):
        if rule.reason or rule.condition is not None:
            raise row.wrong("reason", "only what is not FULL has a reason or condition")
    elif not rule.reason or (rule.outcome == Outcome.OUTCOME_CONDITIONAL) != (rule.condition is not None):
        raise row.wrong("condition", "CONDITIONAL has a reason and a condition, the others a reason")
