"""The facts that recognition rules look at: codes, dates and numbers, taken from a record or read from a decision.

Rules never see a record. So what a decision lists is all that it rests on, and whoever has the list can decide again,
also when the body is long erased.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final

from exchange.domain import kinds
from exchange.domain.problems import ExchangeError
from exchange.v1.credit_result_pb2 import CreditLevel, CreditResult, CreditState
from exchange.v1.kind_pb2 import (
    KIND_CREDIT_RESULT,
    KIND_LAB_QUALIFICATION,
    KIND_LIST_ENTRY,
    KIND_MONITORING_BATCH,
    KIND_PENALTY_NOTICE,
    KIND_UNSPECIFIED,
)
from exchange.v1.lab_qualification_pb2 import LabQualification, LabStanding, LabState
from exchange.v1.list_entry_pb2 import ListEntry, ListKind, ListState
from exchange.v1.measure_pb2 import Measure
from exchange.v1.monitoring_batch_pb2 import (
    CrcVerdict,
    Interval,
    MonitoringBatch,
    ProtocolEdition,
    UnitSource,
    Usability,
)
from exchange.v1.penalty_notice_pb2 import NoticeKind, PenaltyNotice, PenaltyState
from exchange.v1.record_pb2 import Record

FACT_SET: Final = "FACT_SET"
"""Names the list of facts that were looked for: what is on it and not stated is absent, anything else is unknown."""

CUT: Final = "CUT"
"""Names a fact that had more values than are listed."""

FACT_VALUES: Final = 20
"""Values of one fact that a decision lists: two such facts beside the others stay within the facts of one item."""

COMMON: Final = frozenset({"DECIDED_ON", "LEGAL_DATE"})
PART_FACTS: Final = frozenset({"USABILITY", "UNIT_SOURCE", "LAB_STANDING"})
"""Facts of one value of a batch."""

LEVEL_EQUAL: Final = "LEVEL_EQUAL"
LEVEL_UNEQUAL: Final = "LEVEL_UNEQUAL"
"""An approved equivalence says that the level is, or is not, the same as one of the receiver's: its record id."""

LEVEL_FACTS: Final = frozenset({LEVEL_EQUAL, LEVEL_UNEQUAL})
CONTEXT_FACTS: Final = frozenset({"LAB_KNOWN"}) | LEVEL_FACTS
"""Facts that rest on another record: a decision lists them whatever it says, for they cannot be read off again."""

SETS: Final[Mapping[str, frozenset[str]]] = {
    "CreditResult/1": COMMON
    | {"STATE", "SHARED_LEVEL", "SCHEME", "WINDOW_END", "SCORE", "BASE_SCORE", "OBJECTION", "VETO", "SELF_DECLARED"},
    "CreditResult/2": COMMON
    | LEVEL_FACTS
    | {"STATE", "SHARED_LEVEL", "SCHEME", "WINDOW_END", "SCORE", "BASE_SCORE", "OBJECTION", "VETO", "SELF_DECLARED"},
    "PenaltyNotice/1": COMMON | {"STATE", "NOTICE_KIND", "MEASURE", "CATALOGUE"},
    "ListEntry/1": COMMON | {"LIST_KIND", "STATE", "VALID_UNTIL", "MEASURE", "CATALOGUE"},
    "LabQualification/1": COMMON | {"STATE", "VALID_UNTIL", "CMA_FORM"},
    "MonitoringBatch/1": COMMON
    | PART_FACTS
    | {"CRC_VERDICT", "PROTOCOL_EDITION", "INTERVAL", "QA_LEVEL", "QA_RULE", "LAB_STATED", "LAB_KNOWN", "POINTS"},
}
"""Facts that are looked for, by list. A list is never changed: a newer one gets the next number."""

_EDITIONS: Final[Mapping[str, int]] = {"CreditResult": 2}
"""Number of the newest list of a kind; 1 for the others."""

_CODE = re.compile(r"[0-9A-Za-z_.,:/+\-]{1,64}")
_USCC_SHAPE = re.compile(r"(?<![0-9A-Z])[0-9ANY][0-9]{7}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Z])")
_USUAL_CMA = re.compile(r"[0-9]{12}")
"""The form that certificates had until the forms changed."""

_HASH_CHARACTERS = 16

CODES_KEPT: Final = 4096
"""Texts kept with their codes: catalogues, schemes and levels are few, and each stands in many records."""


def _names(enum: Any, prefix: str) -> Mapping[int, str]:
    """Names of an enumeration by number, without their prefix."""
    return {number: name.removeprefix(prefix) for name, number in enum.items()}


# Looked up for every record; asking the enumeration takes several times as long.
_USABILITY: Final = _names(Usability, "USABILITY_")
_UNIT_SOURCE: Final = _names(UnitSource, "UNIT_SOURCE_")
_LAB_STANDING: Final = _names(LabStanding, "LAB_STANDING_")
_CREDIT_STATE: Final = _names(CreditState, "CREDIT_STATE_")
_CREDIT_LEVEL: Final = _names(CreditLevel, "CREDIT_LEVEL_")
_NOTICE_KIND: Final = _names(NoticeKind, "NOTICE_KIND_")
_PENALTY_STATE: Final = _names(PenaltyState, "PENALTY_STATE_")
_LIST_KIND: Final = _names(ListKind, "LIST_KIND_")
_LIST_STATE: Final = _names(ListState, "LIST_STATE_")
_LAB_STATE: Final = _names(LabState, "LAB_STATE_")
_CRC_VERDICT: Final = _names(CrcVerdict, "CRC_VERDICT_")
_PROTOCOL_EDITION: Final = _names(ProtocolEdition, "PROTOCOL_EDITION_")
_INTERVAL: Final = _names(Interval, "INTERVAL_")


class FactUnknown(ExchangeError):
    """A rule asks for a fact that a recorded decision does not tell."""

    reason = "FACT_UNKNOWN"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts by name.

    Attributes:
        values: Values of each fact, in order.
        known: Names that were looked for.
    """

    values: Mapping[str, tuple[str, ...]]
    known: frozenset[str]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a fact; empty when it is absent.

        Raises:
            FactUnknown: Nobody looked for it.
        """
        found = self.values.get(name)
        if found is None:
            if name not in self.known:
                raise FactUnknown(name)
            return ()
        return found

    def one(self, name: str) -> str:
        """The value of a fact that has one; empty when it is absent.

        Raises:
            FactUnknown: Nobody looked for it.
        """
        found = self.all(name)
        return found[0] if found else ""

    def plus(self, more: Iterable[tuple[str, str]], known: Iterable[str] = ()) -> Facts:
        """These and some more."""
        values = dict(self.values)
        for name, value in more:
            values[name] = (*values.get(name, ()), value)
        return Facts(values, self.known.union(known))

    def without(self, names: frozenset[str]) -> Facts:
        """These but for some; what is left out is looked for no less."""
        return Facts({name: values for name, values in self.values.items() if name not in names}, self.known)

    def listed(self) -> tuple[tuple[str, str], ...]:
        """As a decision lists them."""
        pairs = [(name, value) for name, values in self.values.items() for value in values[:FACT_VALUES]]
        pairs += [(CUT, name) for name, values in self.values.items() if len(values) > FACT_VALUES]
        return tuple(pairs)


FactSource = Callable[[Record], Iterable[tuple[str, str]]]
"""Facts that do not stand in the record, as the standing of a laboratory on the day of sampling. Their names are in the
list of the kind: a rule can ask only for what is looked for."""


def names_for(kind: int, *, part: bool = False) -> frozenset[str]:
    """Facts that rules of a kind may ask for."""
    if part:
        return PART_FACTS
    found = [names for name, names in SETS.items() if name == _set_name(kind)]
    return found[0] - PART_FACTS if found else COMMON


def facts_of(record: Record, decided_on: date, sources: Sequence[FactSource] = ()) -> Facts:
    """What rules may know of a record.

    Args:
        record: Sound by :func:`exchange.domain.validate.validate`.
        decided_on: Day of the decision in UTC+8.
        sources: Where facts come from that do not stand in the record.
    """
    return gather(kinds.kind_of(record), fact_pairs(record, decided_on, sources))


def gather(kind: int, pairs: Iterable[tuple[str, str]]) -> Facts:
    """The facts of a record of a kind, from what ``fact_pairs`` found."""
    return Facts({}, SETS.get(_set_name(kind), COMMON)).plus(pairs)


def fact_pairs(record: Record, decided_on: date, sources: Sequence[FactSource] = ()) -> tuple[tuple[str, str], ...]:
    """What rules may know of a record as pairs of name and value, in their order; the arguments are as above."""
    line = kinds.spec_of(record)
    kind = line.kind if line is not None else KIND_UNSPECIFIED
    name = _set_name(kind)
    pairs: list[tuple[str, str]] = [(FACT_SET, name)] if name else []
    pairs.append(("DECIDED_ON", decided_on.isoformat()))
    legal_date = line.sort_date(record) if line is not None else ""
    if legal_date:
        pairs.append(("LEGAL_DATE", legal_date))
    found = _STATED.get(kind)
    if found is not None:
        pairs += found(record)
    for source in sources:
        pairs += source(record)
    return tuple(pairs)


def read_facts(listed: Iterable[tuple[str, str]]) -> Facts:
    """The facts that a decision lists. What its list of names does not have is unknown."""
    pairs = list(listed)
    known: frozenset[str] = frozenset()
    cut = {value for name, value in pairs if name == CUT}
    for name, value in pairs:
        if name == FACT_SET:
            known |= SETS.get(value, frozenset())
    kept = [(name, value) for name, value in pairs if name not in cut and name != CUT]
    unknown = cut | PART_FACTS
    if "LAB_STATED" in known and all(name != "LAB_STATED" for name, _ in kept):
        unknown -= {"LAB_STANDING"}  # no laboratory is named, so that none stood in any way
    return Facts({}, known - unknown).plus(kept)


def part_facts(
    usability: int, unit_source: int, standing: int = LabStanding.LAB_STANDING_UNSPECIFIED
) -> tuple[tuple[str, str], ...]:
    """Facts of one value of a batch; of its laboratory only where one is named."""
    found = (
        ("USABILITY", _USABILITY[usability]),
        ("UNIT_SOURCE", _UNIT_SOURCE[unit_source]),
    )
    return (*found, *standing_fact(standing))


def standing_fact(standing: int) -> tuple[tuple[str, str], ...]:
    """How a laboratory stood, as a fact; none where no laboratory is named."""
    if not standing:
        return ()
    return (("LAB_STANDING", _LAB_STANDING[standing]),)


@lru_cache(maxsize=CODES_KEPT)
def code_of(text: str) -> str:
    """A text of a record as a code: itself where it is one, else a digest. A digest says only whether two agree."""
    if _CODE.fullmatch(text) and not _USCC_SHAPE.search(text):
        return text
    return "sha256-" + hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]


def stated_base(body: CreditResult) -> Decimal | None:
    """Score without bonus: as stated, or score less stated bonus; None where the source gives neither."""
    if body.base_score:
        return Decimal(body.base_score)
    if body.score and body.bonus_score:
        return Decimal(body.score) - Decimal(body.bonus_score)
    return None


@cache
def _set_name(kind: int) -> str:
    if kind not in kinds.KINDS:
        return ""
    own = kinds.spec(kind).name  # type: ignore[arg-type]
    name = f"{own}/{_EDITIONS.get(own, 1)}"
    return name if name in SETS else ""


def _credit(body: CreditResult) -> Iterable[tuple[str, str]]:
    yield "STATE", _CREDIT_STATE[body.state]
    yield "SHARED_LEVEL", _CREDIT_LEVEL[body.shared_level]
    if body.scheme_id:
        yield "SCHEME", code_of(body.scheme_id)
    yield "WINDOW_END", body.window_end
    if body.score:
        yield "SCORE", body.score
    base = stated_base(body)
    if base is not None:
        yield "BASE_SCORE", str(base)
    if body.objection.strip():
        yield "OBJECTION", "1"
    for reason in body.veto_reasons:
        yield "VETO", reason.shared_code
    if body.self_declared:
        yield "SELF_DECLARED", "1"


def _penalty(body: PenaltyNotice) -> Iterable[tuple[str, str]]:
    yield "NOTICE_KIND", _NOTICE_KIND[body.notice_kind]
    yield "STATE", _PENALTY_STATE[body.state]
    yield from _measures(body.measures)


def _measures(measures: Sequence[Measure]) -> Iterable[tuple[str, str]]:
    for measure in measures:
        yield "MEASURE", f"{measure.edition}:{measure.code}"
    for catalogue in dict.fromkeys(f"{measure.catalogue}/{measure.edition}" for measure in measures):
        yield "CATALOGUE", code_of(catalogue)


def _list_entry(body: ListEntry) -> Iterable[tuple[str, str]]:
    yield "LIST_KIND", _LIST_KIND[body.list_kind]
    yield "STATE", _LIST_STATE[body.state]
    if body.valid_until:
        yield "VALID_UNTIL", body.valid_until
    yield from _measures(body.measures)


def _lab(body: LabQualification) -> Iterable[tuple[str, str]]:
    yield "STATE", _LAB_STATE[body.state]
    if body.valid_until:
        yield "VALID_UNTIL", body.valid_until
    # The number itself names the laboratory, so it is no fact.
    yield "CMA_FORM", "USUAL" if _USUAL_CMA.fullmatch(body.cma_no) else "OTHER"


def _batch(body: MonitoringBatch) -> Iterable[tuple[str, str]]:
    yield "CRC_VERDICT", _CRC_VERDICT[body.crc_verdict]
    if body.protocol_edition:
        yield "PROTOCOL_EDITION", _PROTOCOL_EDITION[body.protocol_edition]
    yield "INTERVAL", _INTERVAL[body.interval]
    if body.qa_level:
        yield "QA_LEVEL", code_of(body.qa_level)
    if body.qa_rule:
        yield "QA_RULE", code_of(body.qa_rule)
    if body.lab_cma_no:
        yield "LAB_STATED", "1"
    yield "POINTS", str(sum(len(series.points) for series in body.series))


_STATED: Final[Mapping[int, Callable[[Record], Iterable[tuple[str, str]]]]] = {
    KIND_CREDIT_RESULT: lambda record: _credit(record.credit_result),
    KIND_PENALTY_NOTICE: lambda record: _penalty(record.penalty_notice),
    KIND_LIST_ENTRY: lambda record: _list_entry(record.list_entry),
    KIND_LAB_QUALIFICATION: lambda record: _lab(record.lab_qualification),
    KIND_MONITORING_BATCH: lambda record: _batch(record.monitoring_batch),
}
"""What a record of each kind states of itself."""
