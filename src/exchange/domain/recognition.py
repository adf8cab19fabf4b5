"""Recognition: what the receiving region makes of a record, by rules that are data.

Pure: the same record, rules and context always give the same decision. Who may state what, signatures and times are
judged before; here only the content counts, and only records that validation found sound may come in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from exchange.domain.kinds import kind_of, spec
from exchange.domain.predicates import Question, stated_base
from exchange.domain.rules import Approval, Rule, read_approvals, read_receivers, read_rules
from exchange.domain.table_file import open_table
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import KIND_MONITORING_BATCH, KIND_RECOGNITION, KIND_UNSPECIFIED, Condition, Kind, Outcome
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, MonitoringBatch
from exchange.v1.penalty_notice_pb2 import NoticeKind, PenaltyState
from exchange.v1.record_pb2 import Record

PARTS_LIMIT: Final = 32
"""Parts of one batch told apart by factor; beyond it they are told apart by flag alone, so that the decision about a
step stays within the items of one recognition."""

ALL_FACTORS: Final = "*"
"""Stands for every factor in the name of a part."""

FULL: Final = Outcome.OUTCOME_FULL
CONDITIONAL: Final = Outcome.OUTCOME_CONDITIONAL
NOT_RECOGNISED: Final = Outcome.OUTCOME_NOT_RECOGNISED
DEFERRED: Final = Outcome.OUTCOME_DEFERRED

_FLAG = re.compile(r"[0-9A-Z]{1,8}")
_FACT_LISTS = 40
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
    """

    decided_on: date
    origin: str
    receiver: str
    require_approvals: bool
    kind: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PartDecision:
    """What is decided of a part of a record that differs from the whole.

    Attributes:
        part: ``w01018/D``: the values of a factor with a flag; ``*/D``: of every factor. See :func:`part_of`.
    """

    part: str
    outcome: Outcome.ValueType
    reasons: tuple[str, ...] = ()
    conditions: tuple[Condition.ValueType, ...] = ()


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


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """One edition of the recognition rules.

    Attributes:
        effective_from: First day of facts that it applies to.
        effective_until: Last such day; None while open.
        digest: SHA-256 of the file, in hex.
    """

    rules_id: str
    edition: str
    status: str
    effective_from: date
    effective_until: date | None
    legal_basis: tuple[str, ...]
    approvals: tuple[Approval, ...]
    vetoes: Mapping[str, frozenset[str]]
    rules: Mapping[int, tuple[Rule, ...]]
    digest: str

    @classmethod
    def load(cls, content: bytes) -> RuleSet:
        """Check a rule file.

        Raises:
            TableError: It is ill-formed, or names a test outside the vocabulary.
        """
        file = open_table("rules", content)
        approvals = read_approvals(file)
        effective_from = file.day("effective_from")
        if effective_from is None:
            raise file.wrong("effective_from", "missing")
        found = cls(
            rules_id=file.text("id"),
            edition=file.text("edition"),
            status=file.text("status"),
            effective_from=effective_from,
            effective_until=file.day("effective_until"),
            legal_basis=file.texts("legal_basis"),
            approvals=approvals,
            vetoes=read_receivers(file),
            rules=read_rules(file, approvals),
            digest=hashlib.sha256(content).hexdigest(),
        )
        file.end()
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
        question = Question(
            record=record,
            decided_on=context.decided_on,
            receiver_vetoes=self.vetoes.get(context.receiver, frozenset()),
        )
        rules = self.rules.get(kind, ())
        fired = _walk([rule for rule in rules if not rule.part], question)
        whole = _conclude(fired, context)
        if kind == KIND_MONITORING_BATCH and whole.outcome in (FULL, CONDITIONAL):
            whole = self._with_parts(record.monitoring_batch, fired, question, context, whole)
        noted = [(rule.fact, "1") for rule in fired if rule.fact]
        if whole.outcome == FULL and not noted and not whole.parts:
            return whole
        return replace(whole, facts=(*_facts(record, context), *noted))

    def _with_parts(
        self,
        body: MonitoringBatch,
        fired: Sequence[Rule],
        question: Question,
        context: DecisionContext,
        whole: Decision,
    ) -> Decision:
        """The decision where values may differ: the best outcome that any value has, and the parts that differ."""
        rules = [rule for rule in self.rules.get(Kind.KIND_MONITORING_BATCH, ()) if rule.part]
        usabilities: dict[tuple[str, str], int] = {}
        for series in body.series:
            factor = series.factor_code
            for point in series.points:
                usabilities.setdefault((factor, point.source_flag), point.usability)
        by_usability: dict[int, Decision] = {}
        for usability in set(usabilities.values()):
            own = _walk(rules, replace(question, usability=usability))
            ended = bool(own) and own[-1].outcome in _FINAL_OUTCOMES
            by_usability[usability] = _conclude(own if ended else [*own, *fired], context)
        if len(by_usability) == 1:
            return next(iter(by_usability.values()))
        parts = {key: by_usability[usability] for key, usability in usabilities.items()}
        if not parts:
            return whole
        best = min(parts.values(), key=_rank)
        differing = {key: decision for key, decision in parts.items() if not _same(decision, best)}
        if len(differing) > PARTS_LIMIT:
            differing = {(ALL_FACTORS, flag): decision for (_, flag), decision in differing.items()}
        told = tuple(
            PartDecision(
                part=part_of(factor, flag),
                outcome=decision.outcome,
                reasons=decision.reasons,
                conditions=decision.conditions,
            )
            for (factor, flag), decision in sorted(differing.items(), key=lambda item: item[0])
        )
        ids = dict.fromkeys(rule for decision in (best, *differing.values()) for rule in decision.rules)
        return replace(best, parts=told, rules=tuple(ids))


def edition_for(editions: Iterable[RuleSet], legal_date: date) -> RuleSet | None:
    """The edition that applies to facts of a day; of several the one that began last. None when there is none."""
    fitting = [edition for edition in editions if edition.applies_on(legal_date)]
    return max(fitting, key=lambda edition: edition.effective_from) if fitting else None


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


def _conclude(fired: Sequence[Rule], context: DecisionContext) -> Decision:
    """What the rules that fired amount to."""
    deciding = [rule for rule in fired if rule.outcome is not None]
    ids = tuple(rule.rule_id for rule in fired)
    if not deciding:
        return Decision(outcome=DEFERRED, reasons=("NO_RULE",), waits_for=("REFERENCE:RULES",), rules=ids)
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


def _facts(record: Record, context: DecisionContext) -> Iterator[tuple[str, str]]:
    """What the rules look at, as codes, dates and numbers: enough to decide again and compare."""
    yield "DECIDED_ON", context.decided_on.isoformat()
    body = record.WhichOneof("body")
    if body == "credit_result":
        credit = record.credit_result
        yield "STATE", CreditState.Name(credit.state).removeprefix("CREDIT_STATE_")
        yield "SHARED_LEVEL", CreditLevel.Name(credit.shared_level).removeprefix("CREDIT_LEVEL_")
        yield "WINDOW_END", credit.window_end
        if credit.score:
            yield "SCORE", credit.score
        base = stated_base(credit)
        if base is not None:
            yield "BASE_SCORE", str(base)
        if credit.objection.strip():
            yield "OBJECTION", "1"
        for reason in credit.veto_reasons[:_FACT_LISTS]:
            yield "VETO", reason.shared_code
    elif body == "penalty_notice":
        penalty = record.penalty_notice
        yield "NOTICE_KIND", NoticeKind.Name(penalty.notice_kind).removeprefix("NOTICE_KIND_")
        yield "STATE", PenaltyState.Name(penalty.state).removeprefix("PENALTY_STATE_")
        for measure in penalty.measures[:_FACT_LISTS]:
            yield "MEASURE", f"{measure.edition}:{measure.code}"
    elif body == "list_entry":
        entry = record.list_entry
        yield "LIST_KIND", ListKind.Name(entry.list_kind).removeprefix("LIST_KIND_")
        yield "STATE", ListState.Name(entry.state).removeprefix("LIST_STATE_")
        if entry.valid_until:
            yield "VALID_UNTIL", entry.valid_until
        for measure in entry.measures[:_FACT_LISTS]:
            yield "MEASURE", f"{measure.edition}:{measure.code}"
    elif body == "lab_qualification":
        lab = record.lab_qualification
        yield "STATE", LabState.Name(lab.state).removeprefix("LAB_STATE_")
        yield "VALID_UNTIL", lab.valid_until
    elif body == "monitoring_batch":
        batch = record.monitoring_batch
        yield "CRC_VERDICT", CrcVerdict.Name(batch.crc_verdict).removeprefix("CRC_VERDICT_")
        yield "POINTS", str(sum(len(series.points) for series in batch.series))
