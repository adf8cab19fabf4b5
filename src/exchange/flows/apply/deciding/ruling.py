"""What is decided of one entry, and how it stands in a Recognition and in a register row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from exchange.v1.kind_pb2 import Outcome
from exchange.v1.recognition_pb2 import DECISION_CAUSE_ARRIVAL, DecisionCause, DecisionItem, Fact, Recognition

ROWLESS = frozenset(
    (
        "ENTRY_UNREADABLE",
        "WRONG_ORIGIN",
        "NOT_ADDRESSED",
        "WRONG_LANE",
        "UNTRUSTED_SIGNATURE",
        "KEY_UNKNOWN",
        "UNPROVEN_TIME",
        "DUPLICATE",
        "CONFLICT",
        "STALE",
        "RECORD_ID_TAKEN",
        "INTERNAL",
    )
)
"""Reasons under which an entry makes no register row: nobody proved that its origin stated it, or it was stated."""

LIES = frozenset(
    (
        "ENTRY_UNREADABLE",
        "WRONG_ORIGIN",
        "NOT_ADDRESSED",
        "WRONG_LANE",
        "UNTRUSTED_SIGNATURE",
        "CONFLICT",
        "NOT_YOURS",
        "RECORD_ID_TAKEN",
        "BODY_NOT_AS_STATED",
    )
)
"""Reasons that no honest origin gives cause for: its own door refuses such a record. Journaled and alarmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRuling:
    """What is decided of a part of a record, as in one factor of a batch."""

    part: str
    outcome: int
    reasons: tuple[str, ...] = ()
    conditions: tuple[int, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is decided of one entry.

    Attributes:
        rules: Ids of the recognition rules that fired; empty when a rule before effect decided.
        edition: Name of the edition of these rules; empty when none decided.
        digest: Its digest.
        makes_row: Whether the register keeps a row for the entry.
        takes_effect: Whether the record counts as what its origin states now, recognised or not.
        default_key: What entries share that a default covers; None when it has to be an item.
    """

    outcome: int
    reasons: tuple[str, ...] = ()
    conditions: tuple[int, ...] = ()
    waits_for: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()
    parts: tuple[PartRuling, ...] = ()
    edition: str = ""
    digest: str = ""
    makes_row: bool = field(init=False, repr=False, compare=False)
    takes_effect: bool = field(init=False, repr=False, compare=False)
    default_key: tuple[object, ...] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        makes_row = not self.reasons or not ROWLESS.intersection(self.reasons)
        # A decision that lists facts is an item: a plain FULL lists none, for they can be read off the record itself,
        # but one does that noted a fact or rests on another record.
        key = (self.outcome, self.reasons, self.conditions, self.rules, self.edition, self.digest)
        object.__setattr__(self, "makes_row", makes_row)
        object.__setattr__(self, "takes_effect", bool(self.rules) and makes_row)
        object.__setattr__(self, "default_key", None if self.parts or self.waits_for or self.facts else key)

    def as_json(self, edition: str) -> str:
        """The ``decision`` column of a register row."""
        return _as_json(self, edition)


LIFTED = Ruling(outcome=Outcome.OUTCOME_FULL, rules=("EFFECT",))
"""For such a kind that was deferred, and answered by that, and takes effect now."""

UNANSWERED = Ruling(outcome=Outcome.OUTCOME_UNSPECIFIED, rules=("EFFECT",))
"""For kinds that take effect and are not recognised or refused: answers, recognitions, erasures, keys."""

OWN = Ruling(outcome=Outcome.OUTCOME_UNSPECIFIED, rules=("ORIGIN",))
"""For own records."""


@lru_cache(maxsize=4096)
def _as_json(ruling: Ruling, edition: str) -> str:
    values: dict[str, object] = {}
    if ruling.reasons:
        values["reasons"] = ruling.reasons
    if ruling.conditions:
        values["conditions"] = ruling.conditions
    if ruling.waits_for:
        values["waits_for"] = ruling.waits_for
    if ruling.rules:
        values["rules"] = ruling.rules
    if ruling.parts:
        values["parts"] = [[part.part, part.outcome, part.reasons, part.conditions] for part in ruling.parts]
    if edition:
        values["edition"] = edition
    return json.dumps(values, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class DecisionView:
    """The ``decision`` column, read again."""

    reasons: tuple[str, ...] = ()
    conditions: tuple[int, ...] = ()
    waits_for: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    parts: tuple[tuple[str, int, tuple[str, ...], tuple[int, ...]], ...] = ()
    edition: str = ""


@lru_cache(maxsize=4096)
def read_decision(text: str) -> DecisionView:
    """What ``Ruling.as_json`` wrote."""
    values = json.loads(text or "{}")
    return DecisionView(
        tuple(values.get("reasons", ())),
        tuple(values.get("conditions", ())),
        tuple(values.get("waits_for", ())),
        tuple(values.get("rules", ())),
        tuple(
            (part, outcome, tuple(reasons), tuple(conditions))
            for part, outcome, reasons, conditions in values.get("parts", ())
        ),
        values.get("edition", ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One entry with its ruling, as it goes into a Recognition.

    Attributes:
        log_id: Log that the entry stands in.
        cause: ``ARRIVAL``, or why it is decided again.
        by_default: False for kinds that are not decided about: a default does not speak of them.
    """

    log_id: int
    index: int
    record_id: str
    record_revision: int
    decision_revision: int
    ruling: Ruling
    cause: int = DecisionCause.DECISION_CAUSE_ARRIVAL
    by_default: bool = False

    @property
    def default_key(self) -> tuple[object, ...] | None:
        """What entries share that a default covers; None when it has to be an item."""
        arrived = self.cause == DECISION_CAUSE_ARRIVAL
        return self.ruling.default_key if arrived and self.by_default else None


def recognition_of(
    answered_log: str, first: int, end: int, decided: Sequence[Decided], edition: str, digest: str
) -> Recognition:
    """The Recognition of one step and log: the default outcome for the range plus what differs from it.

    Args:
        answered_log: Origin of the log.
        first: First index of the range.
        end: Index after its last one.
        decided: What was decided, in order.
        edition: Edition of the rules that is named where no rule decided anything.
        digest: Its digest.
    """
    arrivals = [item for item in decided if item.cause == DECISION_CAUSE_ARRIVAL]
    defaults = Counter(key for item in arrivals if (key := item.default_key) is not None)
    default = defaults.most_common(1)[0][0] if defaults else None
    by_default = next((item.ruling for item in decided if default is not None and item.default_key == default), None)
    named = [by_default, *(item.ruling for item in decided)]
    ruled = next((ruling for ruling in named if ruling is not None and ruling.digest), None)
    message = Recognition(
        answered_log=answered_log,
        first=first,
        end=end,
        rule_edition=ruled.edition if ruled is not None else edition,
        rule_digest=ruled.digest if ruled is not None else digest,
        cause=DecisionCause.DECISION_CAUSE_ARRIVAL if arrivals else decided[0].cause,  # type: ignore[arg-type]
    )
    if by_default is not None:
        message.default_outcome = by_default.outcome  # type: ignore[assignment]
        message.default_reasons.extend(by_default.reasons)
        message.default_conditions.extend(by_default.conditions)  # type: ignore[arg-type]
        message.default_rules.extend(by_default.rules)
    for item in decided:
        if default is None or item.default_key != default:
            message.items.extend(_items(item, message))
    return message


def item_of(index: int, ruling: Ruling) -> DecisionItem:
    """A ruling as it stands in a Recognition, without its parts."""
    return DecisionItem(
        index=index,
        outcome=ruling.outcome,  # type: ignore[arg-type]
        reasons=ruling.reasons,
        conditions=ruling.conditions,  # type: ignore[arg-type]
        waits_for=ruling.waits_for,
        facts=[Fact(code=code, value=value) for code, value in ruling.facts],
        rules=ruling.rules,
        rule_edition=ruling.edition,
        rule_digest=ruling.digest,
    )


def ruling_of(item: DecisionItem) -> Ruling:
    """What ``item_of`` wrote."""
    return Ruling(
        outcome=item.outcome,
        reasons=tuple(item.reasons),
        conditions=tuple(item.conditions),
        waits_for=tuple(item.waits_for),
        facts=_facts(item),
        rules=tuple(item.rules),
        edition=item.rule_edition,
        digest=item.rule_digest,
    )


def _facts(item: DecisionItem) -> tuple[tuple[str, str], ...]:
    return tuple((fact.code, fact.value) for fact in item.facts)


def _items(decided: Decided, message: Recognition) -> list[DecisionItem]:
    ruling = decided.ruling
    own_cause = decided.cause if decided.cause != message.cause else DecisionCause.DECISION_CAUSE_UNSPECIFIED
    whole = item_of(decided.index, ruling)
    if ruling.digest == message.rule_digest:
        whole.rule_edition = whole.rule_digest = ""
    whole.record_id = decided.record_id
    whole.revision = decided.record_revision
    whole.decision_revision = decided.decision_revision
    whole.cause = own_cause  # type: ignore[assignment]
    parts = [
        DecisionItem(
            index=decided.index,
            record_id=decided.record_id,
            revision=decided.record_revision,
            decision_revision=decided.decision_revision,
            outcome=part.outcome,  # type: ignore[arg-type]
            reasons=part.reasons,
            conditions=part.conditions,  # type: ignore[arg-type]
            facts=[Fact(code=code, value=value) for code, value in part.facts],
            part=part.part,
            cause=own_cause,  # type: ignore[arg-type]
        )
        for part in ruling.parts
    ]
    return [whole, *parts]


@dataclass(frozen=True, slots=True)
class DecidedItem:
    """What a Recognition says of one entry; of one that arrived and was erased within a step it says two things."""

    index: int
    ruling: Ruling
    revision: int
    cause: int


def rulings_in(message: Recognition) -> tuple[Ruling | None, list[DecidedItem]]:
    """What a Recognition says: its default, and each of its items."""
    default = None
    if message.default_outcome:
        default = Ruling(
            outcome=message.default_outcome,
            reasons=tuple(message.default_reasons),
            conditions=tuple(message.default_conditions),
            rules=tuple(message.default_rules),
            edition=message.rule_edition,
            digest=message.rule_digest,
        )
    items: list[DecidedItem] = []
    for item in message.items:
        if item.part and items and items[-1].index == item.index:
            part = PartRuling(
                part=item.part,
                outcome=item.outcome,
                reasons=tuple(item.reasons),
                conditions=tuple(item.conditions),
                facts=_facts(item),
            )
            ruling = items[-1].ruling
            items[-1] = replace(items[-1], ruling=replace(ruling, parts=(*ruling.parts, part)))
        elif not item.part:
            cause = item.cause or message.cause
            ruling = ruling_of(item)
            if not ruling.digest:
                ruling = replace(ruling, edition=message.rule_edition, digest=message.rule_digest)
            items.append(DecidedItem(item.index, ruling, item.decision_revision, cause))
    return default, items
