"""Recognition: what the receiving region makes of a record, by rules that are data.

Pure: the same record, rules and context always give the same decision. Who may state what, signatures and times are
judged before; here only the content counts, and only records that validation found sound may come in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final

from exchange.domain.catalogues.table_file import TableError, open_table
from exchange.domain.kinds import kind_of, sort_date, spec
from exchange.domain.labs import LabSource, StatedLab, lab_code, no_labs
from exchange.domain.problems import Problem
from exchange.domain.recognising.facts import (
    CONTEXT_FACTS,
    PART_FACTS,
    Facts,
    FactSource,
    fact_pairs,
    facts_of,
    gather,
    part_facts,
    standing_fact,
)
from exchange.domain.recognising.predicates import Question
from exchange.domain.recognising.rules import (
    Approval,
    LevelEquivalence,
    Receiver,
    Rule,
    own_levels,
    read_approvals,
    read_equivalences,
    read_receivers,
    read_rules,
)
from exchange.v1.kind_pb2 import KIND_MONITORING_BATCH, KIND_RECOGNITION, KIND_UNSPECIFIED, Condition, Kind, Outcome
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch
from exchange.v1.record_pb2 import Record

LAB: Final = "LAB"
LAB_UNKNOWN: Final = "LAB_UNKNOWN"
"""Sort of what a batch waits for whose laboratory no record states yet, and the reason."""

PARTS_LIMIT: Final = 32
"""Parts of one batch told apart by factor; beyond it they are told apart by flag alone, so that the decision about a
step stays within the items of one recognition."""

ALL_FACTORS: Final = "*"
"""Stands for every factor in the name of a part."""

FULL: Final = Outcome.OUTCOME_FULL
CONDITIONAL: Final = Outcome.OUTCOME_CONDITIONAL
NOT_RECOGNISED: Final = Outcome.OUTCOME_NOT_RECOGNISED
DEFERRED: Final = Outcome.OUTCOME_DEFERRED

MAX_RULE_FILE: Final = 40 * 1024
"""Bytes of a rule file: it stands whole in a line of the journal, and in the request that a second officer confirms."""

DECISIONS_KEPT: Final = 4096
"""Decisions kept by what they rest on: those of several steps, whose records differ in some facts; some megabytes."""

_FLAG = re.compile(r"[0-9A-Z]{1,8}")
_EDITION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._\-]{0,31}")
_NOBODY = Receiver(node="", source="", schemes=frozenset(), vetoes=frozenset())
_FINAL_OUTCOMES = frozenset({NOT_RECOGNISED, DEFERRED})


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionContext:
    """What a decision rests on beside the record and the rules.

    Attributes:
        decided_on: Day of the decision in UTC+8, from the one reading of the clock of the step.
        origin: Node that states the record.
        receiver: Node that decides.
        require_approvals: A rule without the approvals of both nodes gives at most CONDITIONAL.
        kind: Kind of the statement, for records of a kind that this edition does not know.
        sources: Where facts come from that do not stand in the record.
        labs: The laboratory that a batch names.
    """

    decided_on: date
    origin: str
    receiver: str
    require_approvals: bool
    kind: int = 0
    sources: tuple[FactSource, ...] = ()
    labs: LabSource = no_labs


@dataclass(frozen=True, kw_only=True, slots=True)
class PartDecision:
    """What is decided of a part of a record that differs from the whole.

    Attributes:
        part: ``w01018/D``: the values of a factor with a flag; ``*/D``: of every factor. See :func:`part_of`.
        facts: What was known of these values beside the facts of the whole.
    """

    part: str
    outcome: Outcome.ValueType
    reasons: tuple[str, ...] = ()
    conditions: tuple[Condition.ValueType, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is decided of a record.

    Attributes:
        reasons: Reason codes; never empty for NOT_RECOGNISED and DEFERRED.
        conditions: Never empty for CONDITIONAL, empty for every other outcome.
        waits_for: What a DEFERRED record waits for.
        facts: What the decision rests on: codes, dates and numbers only. Empty for a plain FULL, which is told as the
            default of a range.
        rules: Ids of the rules that fired, in order.
        parts: Parts that differ from the whole.
    """

    outcome: Outcome.ValueType
    reasons: tuple[str, ...] = ()
    conditions: tuple[Condition.ValueType, ...] = ()
    waits_for: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()
    parts: tuple[PartDecision, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RuleSet:
    """One edition of the recognition rules.

    Attributes:
        effective_from: First day of facts that it applies to.
        effective_until: Last such day; None while open.
        replaces: Editions whose place it takes on the days that it applies to.
        receivers: What each receiving node holds results against.
        equivalences: How the levels of credit schemes stand to each other.
        levels: By receiver, (scheme, level) that are its own or equal to one of its own.
        digest: SHA-256 of the file, in hex.
    """

    rules_id: str
    edition: str
    status: str
    effective_from: date
    effective_until: date | None
    legal_basis: tuple[str, ...]
    approvals: tuple[Approval, ...]
    replaces: tuple[str, ...]
    receivers: Mapping[str, Receiver]
    equivalences: tuple[LevelEquivalence, ...]
    levels: Mapping[str, frozenset[tuple[str, str]]]
    rules: Mapping[int, tuple[Rule, ...]]
    digest: str
    content: bytes

    @classmethod
    def load(cls, content: bytes) -> RuleSet:
        """Check a rule file.

        Raises:
            TableError: It is ill-formed or too large, or names a test outside the vocabulary.
        """
        if len(content) > MAX_RULE_FILE:
            raise TableError([Problem(TableError.reason, "rules", f"{len(content)} > {MAX_RULE_FILE} bytes")])
        file = open_table("rules", content)
        approvals = read_approvals(file)
        effective_from = file.day("effective_from")
        if effective_from is None:
            raise file.wrong("effective_from", "missing")
        receivers = read_receivers(file)
        equivalences = read_equivalences(file)
        found = cls(
            rules_id=file.text("id"),
            edition=file.text("edition"),
            status=file.text("status"),
            effective_from=effective_from,
            effective_until=file.day("effective_until"),
            legal_basis=file.texts("legal_basis"),
            approvals=approvals,
            replaces=file.texts("replaces"),
            receivers=receivers,
            equivalences=equivalences,
            levels={node: own_levels(receiver, equivalences) for node, receiver in receivers.items()},
            rules=read_rules(file, approvals),
            digest=hashlib.sha256(content).hexdigest(),
            content=content,
        )
        file.end()
        if not _EDITION.fullmatch(found.edition):
            raise file.wrong("edition", "is 1 to 32 letters, digits, . _ -")
        if found.effective_until is not None and found.effective_until < effective_from:
            raise file.wrong("effective_until", "lies before effective_from")
        return found

    def applies_on(self, legal_date: date) -> bool:
        """Whether this edition is the one for facts of a day."""
        return self.effective_from <= legal_date and (
            self.effective_until is None or legal_date <= self.effective_until
        )

    def decide(self, record: Record, context: DecisionContext) -> Decision:
        """Decide about a record of a peer.

        Args:
            record: Sound by :func:`exchange.domain.validate.validate`.
            context: Day, nodes and whether approvals count.

        Returns:
            The decision. A kind that this edition does not know is DEFERRED ``KIND_UNKNOWN``; one without a rule that
            ends is DEFERRED ``NO_RULE``.

        Raises:
            ValueError: The kind is not answered by a recognition, so there is nothing to decide.
        """
        kind = kind_of(record)
        if kind == KIND_UNSPECIFIED:
            waits = (f"REFERENCE:KIND:{context.kind}",)
            return Decision(outcome=DEFERRED, reasons=("KIND_UNKNOWN",), waits_for=waits)
        if spec(kind).answered_by != KIND_RECOGNITION:
            raise ValueError(f"{spec(kind).name} is not answered by a recognition")
        if kind == KIND_MONITORING_BATCH:
            return self._decide_batch(record, context)
        pairs = fact_pairs(record, context.decided_on, context.sources)
        return self._by_facts(
            kind, pairs, context.decided_on, context.origin, context.receiver, context.require_approvals
        )

    @lru_cache(maxsize=DECISIONS_KEPT)  # noqa: B019 - a node has few editions in its life
    def _by_facts(
        self,
        kind: Kind.ValueType,
        pairs: tuple[tuple[str, str], ...],
        decided_on: date,
        origin: str,
        receiver: str,
        require_approvals: bool,  # noqa: FBT001 - part of what decisions are kept by
    ) -> Decision:
        """Equal facts are decided alike, and many records of a day state equal ones: they are decided once."""
        context = DecisionContext(
            decided_on=decided_on, origin=origin, receiver=receiver, require_approvals=require_approvals
        )
        return self._decide(kind, gather(kind, pairs), context, None, None)

    def _decide_batch(self, record: Record, context: DecisionContext) -> Decision:
        """Where the batch names a laboratory, how that stood counts; while it is not known, the batch waits for it."""
        batch = record.monitoring_batch
        lab = context.labs(batch) if batch.lab_cma_no else None
        facts = facts_of(record, context.decided_on, context.sources)
        if lab is not None:
            facts = facts.plus([("LAB_KNOWN", "YES" if lab.known else "NO")])
        decision = self._decide(KIND_MONITORING_BATCH, facts, context, batch, lab)
        if decision.outcome == DEFERRED and decision.reasons == (LAB_UNKNOWN,):
            waits = f"REFERENCE:{LAB}:{lab_code(batch.lab_cma_no, batch.lab_uscc)}"
            return replace(decision, waits_for=(waits,))
        return decision

    def decide_again(self, kind: Kind.ValueType, facts: Facts, context: DecisionContext) -> Decision:
        """Decide by the facts that a decision lists, without the record. Parts of a batch are not decided so.

        Raises:
            FactUnknown: A rule asks for a fact that is not listed.
        """
        return self._decide(kind, facts, context, None, None)

    def _decide(
        self,
        kind: Kind.ValueType,
        facts: Facts,
        context: DecisionContext,
        batch: MonitoringBatch | None,
        lab: StatedLab | None,
    ) -> Decision:
        question = Question(
            facts=facts,
            decided_on=context.decided_on,
            receiver_vetoes=self.receivers.get(context.receiver, _NOBODY).vetoes,
            levels=self.levels.get(context.receiver, frozenset()),
        )
        rules = self.rules.get(kind, ())
        if not rules:
            day = facts.one("LEGAL_DATE")
            return no_rule(kind, date.fromisoformat(day) if day else context.decided_on)
        fired = _walk([rule for rule in rules if not rule.part], question)
        whole = _conclude(fired, context)
        if batch is not None and whole.outcome in (FULL, CONDITIONAL):
            whole = self._with_parts(batch, lab, fired, question, context, whole)
        elif kind == KIND_MONITORING_BATCH and whole.outcome in (FULL, CONDITIONAL):
            values = [(name, question.facts.one(name)) for name in sorted(PART_FACTS)]
            known = tuple((name, value) for name, value in values if value)
            whole = _decide_part([rule for rule in rules if rule.part], known, fired, question, context)
        noted = [(rule.fact, "1") for rule in fired if rule.fact]
        told = bool(noted or whole.parts or CONTEXT_FACTS & facts.values.keys())
        if whole.outcome == FULL and not told:
            return replace(whole, facts=())
        return replace(whole, facts=(*facts.without(PART_FACTS).listed(), *whole.facts, *noted))

    def _with_parts(
        self,
        body: MonitoringBatch,
        lab: StatedLab | None,
        fired: Sequence[Rule],
        question: Question,
        context: DecisionContext,
        whole: Decision,
    ) -> Decision:
        """The decision where values may differ: the best outcome that any value has, and the parts that differ."""
        rules = [rule for rule in self.rules.get(Kind.KIND_MONITORING_BATCH, ()) if rule.part]
        found: dict[tuple[str, str], set[tuple[int, int, int]]] = {}
        standings = _best_standings(body, lab)
        for series in body.series:
            factor, source = series.factor_code, series.unit_source
            for point in series.points:
                key = (factor, point.source_flag)
                found.setdefault(key, set()).add((point.usability, source, standings.get(key, 0)))
        by_facts = {
            known: _decide_part(rules, part_facts(*known), fired, question, context)
            for known in set().union(*found.values())
        }
        # Of a factor's values with one flag the least counts: they are told together.
        parts = {key: max((by_facts[known] for known in each), key=_rank) for key, each in found.items()}
        if not parts:
            return whole
        best = min(parts.values(), key=_rank)
        differing = {key: decision for key, decision in parts.items() if not _same(decision, best)}
        alike = {standings.get(key, 0) for key in parts.keys() - differing.keys()}
        if len(differing) > PARTS_LIMIT:
            differing = {(ALL_FACTORS, flag): decision for (_, flag), decision in differing.items()}
        told = tuple(
            PartDecision(
                part=part_of(factor, flag),
                outcome=decision.outcome,
                reasons=decision.reasons,
                conditions=decision.conditions,
                facts=decision.facts,
            )
            for (factor, flag), decision in sorted(differing.items(), key=lambda item: item[0])
        )
        ids = dict.fromkeys(rule for decision in (best, *differing.values()) for rule in decision.rules)
        return replace(best, parts=told, rules=tuple(ids), facts=_common(alike) if differing else best.facts)


def _common(standings: set[int]) -> tuple[tuple[str, str], ...]:
    """The standing of the values that no part tells, where it is one: other rules can be asked of them by it."""
    return standing_fact(standings.pop()) if len(standings) == 1 else ()


def _best_standings(body: MonitoringBatch, lab: StatedLab | None) -> dict[tuple[str, str], int]:
    """How the laboratory stood for the values of each factor and flag, on the best of their days.

    On which of the days it did not hold is asked for each value when it is shown, and changes with what is learned
    later. A decision says no only where it held on none of them.
    """
    found: dict[tuple[str, str], int] = {}
    if lab is None:
        return found
    for series in body.series:
        for point in series.points:
            key = (series.factor_code, point.source_flag)
            standing = lab.standing(series, point)
            found[key] = min(standing, found.get(key, standing))
    return found


def legal_date(record: Record) -> date | None:
    """The record's own date, by which its edition is chosen; None when it states none."""
    text = sort_date(record)
    return date.fromisoformat(text) if text else None


def no_rule(kind: Kind.ValueType, day: date) -> Decision:
    """What is decided where there is no rule for a kind and day; what it waits for names both."""
    waits = f"REFERENCE:RULES:{spec(kind).name}:{day.isoformat()}"
    return Decision(outcome=DEFERRED, reasons=("NO_RULE",), waits_for=(waits,))


def part_of(factor_code: str, flag: str) -> str:
    """Name of the part that values of a factor with a flag belong to; a missing flag is ``-``, an odd one ``_``."""
    return f"{factor_code}/{flag if _FLAG.fullmatch(flag) else '_' if flag else '-'}"


def part_holds(part: str, factor_code: str, flag: str) -> bool:
    """Whether a part of a decision is about the values of a factor with a flag."""
    return part in (part_of(factor_code, flag), part_of(ALL_FACTORS, flag))


def _walk(rules: Iterable[Rule], question: Question) -> list[Rule]:
    """The rules that fire, up to the first that ends the walk."""
    fired: list[Rule] = []
    for rule in rules:
        if rule.fires(question):
            fired.append(rule)
            if rule.outcome in _FINAL_OUTCOMES:
                break
    return fired


def _decide_part(
    rules: Iterable[Rule],
    facts: tuple[tuple[str, str], ...],
    fired: Sequence[Rule],
    question: Question,
    context: DecisionContext,
) -> Decision:
    """What is decided of values of which some facts are known, beside the rules that fired for the whole."""
    own = _walk(rules, replace(question, facts=question.facts.without(PART_FACTS).plus(facts)))
    ended = bool(own) and own[-1].outcome in _FINAL_OUTCOMES
    return replace(_conclude(own if ended else [*own, *fired], context), facts=facts)


def _conclude(fired: Sequence[Rule], context: DecisionContext) -> Decision:
    """What the rules that fired amount to."""
    deciding = [rule for rule in fired if rule.outcome is not None]
    ids = tuple(rule.rule_id for rule in fired)
    last = deciding[-1]
    if last.outcome == NOT_RECOGNISED:
        return Decision(outcome=NOT_RECOGNISED, reasons=(last.reason,), rules=ids)
    if last.outcome == DEFERRED:
        return Decision(outcome=DEFERRED, reasons=(last.reason,), waits_for=(f"REFERENCE:{last.reason}",), rules=ids)
    conditional = [rule for rule in deciding if rule.outcome == CONDITIONAL]
    reasons = list(dict.fromkeys(rule.reason for rule in conditional))
    conditions = list(dict.fromkeys(rule.condition for rule in conditional if rule.condition is not None))
    if context.require_approvals and not _approved(deciding, context):
        reasons.append("RULE_NOT_APPROVED")
        conditions.append(Condition.CONDITION_RULE_NOT_APPROVED)
    outcome = CONDITIONAL if conditions else FULL
    return Decision(outcome=outcome, reasons=tuple(reasons), conditions=tuple(conditions), rules=ids)


def _approved(rules: Iterable[Rule], context: DecisionContext) -> bool:
    nodes = frozenset({context.origin, context.receiver})
    return all(rule.approved(nodes, context.decided_on) for rule in rules)


def _rank(decision: Decision) -> tuple[int, int, tuple[str, ...]]:
    order = {FULL: 0, CONDITIONAL: 1, DEFERRED: 2, NOT_RECOGNISED: 3}
    return order[decision.outcome], len(decision.conditions), decision.reasons


def _same(left: Decision, right: Decision) -> bool:
    return (left.outcome, left.reasons, left.conditions) == (right.outcome, right.reasons, right.conditions)
