"""What another edition of the rules would have decided: history looked at again, a run of a mirror at a time.

Nothing is decided here. What a record said is read off its body; where that is erased, the facts that the decision
lists have to do, and where they do not, nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from exchange.domain.recognising.facts import FACT_SET, LEVEL_FACTS, FactUnknown, read_facts
from exchange.domain.recognising.recognition import Decision, DecisionContext, RuleSet, legal_date, part_holds
from exchange.domain.record_index import is_recognised_kind
from exchange.flows.apply.applier import Applier
from exchange.flows.apply.deciding.ruling import Ruling, rulings_in
from exchange.flows.apply.entry import ReadEntry, read_entry
from exchange.flows.context import LOCAL_TIME
from exchange.flows.instants import instant, micros_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.queries import decided
from exchange.v1.lab_qualification_pb2 import LabStanding
from exchange.v1.monitoring_batch_pb2 import Point, Series
from exchange.v1.record_pb2 import Record

_Address = tuple[int, int]
_Rulings = dict[int, list[tuple[Ruling, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One entry of a peer that rules decided about.

    Attributes:
        ruling: The newest decision that rules made.
        revision: Its revision.
        decided_on: Its day.
        legal_date: The record's own date; None where neither body nor facts tell it.
        by_facts: The body is gone: only the facts of the decision are there.
    """

    entry: ReadEntry
    origin: str
    ruling: Ruling
    revision: int
    decided_on: date
    legal_date: date | None
    by_facts: bool

    def under(self, node: Applier, edition: RuleSet) -> Decision:
        """What an edition would have decided on that day.

        Raises:
            FactUnknown: The body is gone, and the facts of the decision do not tell.
        """
        assert self.entry.statement is not None
        context = DecisionContext(
            decided_on=self.decided_on,
            origin=self.origin,
            receiver=node.name,
            require_approvals=node.require_approvals,
            kind=self.entry.statement.kind,
            sources=(lambda _record: [(name, value) for name, value in self.ruling.facts if name in LEVEL_FACTS],),
            labs=lambda _batch: ToldLab(self.ruling),
        )
        if self.entry.record is not None and not self.by_facts:
            return edition.decide(self.entry.record, context)
        if not self.ruling.facts or self.ruling.parts:
            raise FactUnknown(FACT_SET)
        return edition.decide_again(self.entry.statement.kind, read_facts(self.ruling.facts), context)


@dataclass(frozen=True, slots=True)
class ToldLab:
    """A laboratory as a decision found it: what was learned of it later is no matter of the rules."""

    ruling: Ruling

    @property
    def known(self) -> bool:
        """Whether any record stated it.

        Raises:
            FactUnknown: The decision does not tell.
        """
        return self._told(self.ruling.facts, "LAB_KNOWN") == "YES"

    def standing(self, series: Series, point: Point) -> LabStanding.ValueType:
        """How it stood for the values of a factor and flag.

        Raises:
            FactUnknown: The decision does not tell.
        """
        parts = (part for part in self.ruling.parts if part_holds(part.part, series.factor_code, point.source_flag))
        facts = next((part.facts for part in parts), self.ruling.facts)
        return LabStanding.Value(f"LAB_STANDING_{self._told(facts, 'LAB_STANDING')}")

    def _told(self, facts: Sequence[tuple[str, str]], name: str) -> str:
        for code, value in facts:
            if code == name:
                return value
        raise FactUnknown(name)


def cases(connection: Connection, log: LogHead, first: int, end: int) -> Iterator[Case]:
    """The entries of a run of a mirror that rules decided about, in order."""
    entries = [read_entry(raw, 0) for raw in log_store.entries(connection, log.id, first, end)]
    stated = [each for each in entries if each.statement is not None and is_recognised_kind(each.statement.kind)]
    if not stated:
        return
    read: dict[_Address, tuple[Ruling | None, _Rulings, date]] = {}

    def recognition(address: _Address) -> tuple[Ruling | None, _Rulings, date]:
        if address not in read:
            read[address] = _read(connection, address)
        return read[address]

    ranges = decided.first_decisions(connection, log.id, first, end)
    again = decided.again(connection, log.id, [each.index for each in stated])
    for entry in stated:
        found: list[tuple[int, Ruling, date]] = []
        for begin, stop, *address in ranges:
            if begin <= entry.index < stop:
                default, items, day = recognition((address[0], address[1]))
                if entry.index in items:
                    found += [(revision, ruling, day) for ruling, revision in items[entry.index]]
                elif default is not None:
                    found.append((1, default, day))
        for place in again.get(entry.index, ()):
            _, items, day = recognition(place)
            found += [(revision, ruling, day) for ruling, revision in items.get(entry.index, ())]
        ruled = [each for each in sorted(found, key=lambda each: each[0]) if each[1].rules]
        if not ruled:
            continue
        revision, ruling, day = ruled[-1]
        yield Case(
            entry=entry,
            origin=log.peer,
            ruling=ruling,
            revision=revision,
            decided_on=day,
            legal_date=_own_date(entry, ruling),
            by_facts=entry.record is None,
        )


def differs(one: Decision | Ruling, other: Decision | Ruling) -> bool:
    """Whether two decisions say something else of the record. By which rules they came to it does not matter."""
    return _said(one) != _said(other)


def _said(decision: Decision | Ruling) -> tuple[object, ...]:
    parts = tuple((part.part, part.outcome, part.reasons, part.conditions) for part in decision.parts)
    return decision.outcome, decision.reasons, decision.conditions, parts


def _own_date(entry: ReadEntry, ruling: Ruling) -> date | None:
    if entry.record is not None:
        return legal_date(entry.record)
    told = next((value for code, value in ruling.facts if code == "LEGAL_DATE"), "")
    return date.fromisoformat(told) if told else None


def _read(connection: Connection, address: _Address) -> tuple[Ruling | None, _Rulings, date]:
    raw = log_store.entries_at(connection, address[0], [address[1]])[address[1]]
    message = Record.FromString(raw.body or b"").recognition
    default, items = rulings_in(message)
    by_index: _Rulings = {}
    for item in items:
        by_index.setdefault(item.index, []).append((item.ruling, item.revision))
    day = instant(micros_of(message.decided_at)).astimezone(LOCAL_TIME).date()
    return default, by_index, day


def mirrors(heads: Sequence[LogHead], origin: str) -> list[LogHead]:
    """The mirrors that are looked at, in order; of one origin where it is named."""
    wanted = (log for log in heads if log.use == "mirror" and origin in ("", log.peer))
    return sorted(wanted, key=lambda log: log.id)
