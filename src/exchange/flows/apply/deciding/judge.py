"""Before effect: what must hold of a mirrored entry, in order, as if the sender had checked nothing.

Every check gives a ruling or goes on; a record that makes no sense never blocks the line, it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Protocol

from exchange.domain import competence, kinds, lifecycles
from exchange.domain.catalogues.tables import Tables
from exchange.domain.labs import LabSource, no_labs
from exchange.domain.recognising.facts import FactSource
from exchange.domain.recognising.recognition import Decision, DecisionContext, RuleSet
from exchange.domain.recognising.rule_book import RuleBook
from exchange.domain.record_index import is_recognised_kind, may_travel_in, raw_id
from exchange.domain.references import NOTHING_NAMED, disagrees, misfit, named_by
from exchange.domain.validate import validate
from exchange.domain.validation.limits import CODES
from exchange.flows.apply.changes import ending
from exchange.flows.apply.deciding import awaited
from exchange.flows.apply.deciding.ruling import UNANSWERED, PartRuling, Ruling, read_decision
from exchange.flows.apply.deciding.waiting import CONFIRMED, UNPROVEN
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.trust.verdicts import Verdict
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.recognition_pb2 import DECISION_CAUSE_KEY_REVOKED, DECISION_CAUSE_RECONFIRMED
from exchange.v1.record_pb2 import Record

CLOCK_TOLERANCE_MICROS = 5 * 60 * 1_000_000
"""How much later than the mirrored time a logged time may claim to be: clocks differ, architecture §7."""

RULINGS_KEPT = 4096
"""Rulings kept by the decision that they tell: as many as decisions are kept."""

DEFERRED = Outcome.OUTCOME_DEFERRED
NOT_RECOGNISED = Outcome.OUTCOME_NOT_RECOGNISED


class Overlay(Protocol):
    """The registers as they stand at this entry of the step."""

    def revisions(self, origin: str, record_id: bytes) -> Sequence[Mapping[str, Any]]:
        """Register rows of a record, in order of revision."""
        ...

    def unproven(self, entry: ReadEntry) -> Sequence[object]:
        """Entries that wait until this one's statement is confirmed: the same bytes."""
        ...

    def copies(self, record_id: bytes) -> Sequence[object]:
        """Entries of a record that no register row points at."""
        ...

    def stated_elsewhere(self, origin: str, record_id: bytes) -> bool:
        """Whether another origin has stated a record of this id."""
        ...

    def acts_on(self, origin: str, record_id: bytes) -> Iterable[Mapping[str, Any]]:
        """Rows of repairs and revocations of a record."""
        ...

    def put_record(self, row: dict[str, Any], *, salt: bytes, place: int, follows: bool = False) -> None:
        """Put a row."""
        ...

    def holder(self, origin: str, natural_key: str) -> bytes | None:
        """Record that states a natural key now."""
        ...

    def stated(self, row: Mapping[str, Any]) -> Record | None:
        """The record of a row; None where its body is not here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the judge knows beside the entry.

    Attributes:
        log_id: The log.
        origin: Node whose log it is.
        me: This node.
        lane: Lane of the log.
        areas: Area prefixes that the origin is competent for.
        verdict: Verdict on an envelope at its logged time.
        mirrored_at: Time of the first cosignature that covers an index, in microseconds.
        today: Local date of the decision.
        labs: The laboratory that a batch names, as registers state it now.
        sources: Where facts come from that stand in other records, as registers state them now.
        causes: Why entries of the step are decided again, by index.
    """

    federation: str
    log_id: int
    origin: str
    me: str
    lane: int
    areas: Sequence[str]
    verdict: Callable[[bytes, int], Verdict]
    mirrored_at: Callable[[int], int]
    tables: Tables
    rules: RuleBook
    require_approvals: bool
    today: date
    labs: LabSource = no_labs
    sources: tuple[FactSource, ...] = ()
    causes: Mapping[int, int] = field(default_factory=dict)
    _contexts: dict[int, DecisionContext] = field(default_factory=dict)

    def context(self, kind: int) -> DecisionContext:
        """What decisions of a kind rest on beside the record; made once for all of them."""
        found = self._contexts.get(kind)
        if found is None:
            found = self._contexts[kind] = DecisionContext(
                decided_on=self.today,
                origin=self.origin,
                receiver=self.me,
                require_approvals=self.require_approvals,
                kind=kind,
                sources=self.sources,
                labs=self.labs,
            )
        return found


def _refuse(reason: str, *more: str) -> Ruling:
    return Ruling(outcome=NOT_RECOGNISED, reasons=(reason, *more))


def _defer(reason: str, token: str) -> Ruling:
    return Ruling(outcome=DEFERRED, reasons=(reason,), waits_for=(token,))


def judge(entry: ReadEntry, bench: Bench, overlay: Overlay) -> Ruling:
    """Rule on one mirrored entry."""
    return (
        _about_bytes(entry, bench)
        or _about_identity(entry, bench, overlay)
        or _about_body(entry)
        or _about_content(entry, bench, overlay)
        or _by_rules(entry, bench)
    )


def _about_bytes(entry: ReadEntry, bench: Bench) -> Ruling | None:
    """1 readable · 2 one region · 3 addressed · 4 kind and lane · 5 signature · 6 the two times."""
    statement = entry.statement
    if statement is None:
        return _refuse("ENTRY_UNREADABLE")
    if statement.federation != bench.federation or statement.origin != bench.origin:
        return _refuse("WRONG_ORIGIN")
    if bench.me not in statement.addressees:
        return _refuse("NOT_ADDRESSED")
    if not may_travel_in(statement.kind, bench.lane):
        return _refuse("WRONG_LANE")
    verdict = bench.verdict(entry.envelope, entry.logged_at)
    if verdict.status == "KEY_UNKNOWN":
        return _defer("KEY_UNKNOWN", f"KEY:{verdict.key_id}")
    if verdict.status == "SIGNATURE_MISSING":
        return _refuse("SIGNATURE_MISSING")
    if verdict.status != "VALID":
        return _refuse("UNTRUSTED_SIGNATURE")
    cause = bench.causes.get(entry.index)
    if cause == DECISION_CAUSE_RECONFIRMED:
        # The same statement stands behind it under a key that is valid now.
        return None
    mirrored_at = bench.mirrored_at(entry.index)
    if verdict.revoked_at is not None and mirrored_at >= verdict.revoked_at:
        # Logged time is only claimed: before the revocation it is not proven, behind it the key was not valid.
        # What had effect is never dropped unheard: its origin, which did not know of its loss, is asked.
        late = entry.logged_at >= verdict.revoked_at and cause != DECISION_CAUSE_KEY_REVOKED
        return _refuse("UNTRUSTED_SIGNATURE") if late else _defer("UNPROVEN_TIME", UNPROVEN)
    if entry.logged_at > mirrored_at + CLOCK_TOLERANCE_MICROS:
        return _defer("UNPROVEN_TIME", UNPROVEN)
    return None


def _about_identity(entry: ReadEntry, bench: Bench, overlay: Overlay) -> Ruling | None:
    """7 the record id is the origin's own · (origin, record id, revision) is unique for ever, tombstones included."""
    assert entry.statement is not None
    if overlay.stated_elsewhere(bench.origin, entry.record_id):
        return _refuse("RECORD_ID_TAKEN")
    rows = overlay.revisions(bench.origin, entry.record_id)
    if not rows and not overlay.copies(entry.record_id):
        return None  # the first that is heard of the record, as nearly always
    if bench.causes.get(entry.index) is None and overlay.unproven(entry):
        # The confirmation that an unproven entry waits for: both are decided once it is on disk.
        return Ruling(outcome=DEFERRED, reasons=("DUPLICATE",), waits_for=(CONFIRMED,))
    revision = entry.statement.revision
    for row in rows:
        if row["revision"] == revision:
            if (row["log_id"], row["idx"]) == (bench.log_id, entry.index) and row["tombstone"] != "ERASED":
                return None  # the entry itself, decided again
            if row["commitment"] != entry.commitment:
                return _refuse("CONFLICT")
            earlier = read_decision(row["decision"])
            return Ruling(
                outcome=row["outcome"] or Outcome.OUTCOME_FULL,
                reasons=("DUPLICATE",),
                conditions=earlier.conditions,
                waits_for=earlier.waits_for,
            )
    if rows and revision < rows[-1]["revision"]:
        return _refuse("STALE")
    return None


def _about_body(entry: ReadEntry) -> Ruling | None:
    """8 the body is there, as committed, and one that this edition understands."""
    assert entry.statement is not None
    if not entry.has_body:
        return _defer("BODY_MISSING", "BODY")
    if entry.problem:
        return _refuse(entry.problem)
    if entry.statement.kind not in kinds.KINDS:
        return _defer("KIND_UNKNOWN", f"REFERENCE:KIND:{entry.statement.kind}")
    return None


def _about_content(entry: ReadEntry, bench: Bench, overlay: Overlay) -> Ruling | None:
    """9 validated as if the sender had not · 10 competence · 11 own things only · 12 natural key · 13 life cycle."""
    record, statement = entry.record, entry.statement
    assert record is not None
    assert statement is not None
    problems = validate(record, bench.tables, today=bench.today)
    if problems:
        return _refuse(*list(dict.fromkeys(problem.reason for problem in problems))[:CODES])
    line = kinds.spec(statement.kind)
    if not line.fact:
        # What carries its own effect speaks for the node, or names the record that it touches.
        return _about_reach(entry, bench, overlay)
    if not competence.in_competence(record, bench.areas):
        return _refuse("OUTSIDE_COMPETENCE")
    reach = _about_reach(entry, bench, overlay)
    if reach:
        return reach
    natural_key = entry.natural_key
    holder = overlay.holder(bench.origin, natural_key) if natural_key else None
    if holder is not None and holder != entry.record_id:
        return _refuse("NATURAL_KEY_TAKEN")
    succession = _about_succession(entry, line, bench, overlay)
    if succession:
        return succession
    earlier = [row for row in overlay.revisions(bench.origin, entry.record_id) if row["revision"] < statement.revision]
    previous = effective(earlier)
    state = line.state(record)
    if previous is None:
        refusal = None if lifecycles.may_enter(statement.kind, state) else "STATE_NOT_ENTERED"
    elif previous["kind"] != statement.kind or previous["authority"] != record.header.authority.uscc:
        return _refuse("NOT_YOURS")
    else:
        follows = lifecycles.may_follow(statement.kind, left_in(previous), state)
        refusal = None if follows else "STATE_NOT_ALLOWED"
    if refusal is None:
        return None
    # What an earlier revision says that still waits may make it right.
    since = previous["revision"] if previous is not None else 0
    unknown = [
        row["revision"] for row in earlier if row["revision"] > since and read_decision(row["decision"]).waits_for
    ]
    if unknown:
        return _defer("EARLIER_REVISION_MISSING", f"REVISION:{statement.record_id}:{unknown[-1]}")
    return _refuse(refusal)


def _about_succession(entry: ReadEntry, line: kinds.KindSpec, bench: Bench, overlay: Overlay) -> Ruling | None:
    """The reports of one event come in their order; one whose predecessor has not come waits for it."""
    record = entry.record
    assert record is not None
    key, before = line.succeeds(record), None
    if key:
        holder = overlay.holder(bench.origin, key)
        before = effective(overlay.revisions(bench.origin, holder)) if holder is not None else None
        if before is None:
            return _defer("EARLIER_REPORT_MISSING", awaited.fact(key))
    if not lifecycles.may_succeed(line.kind, before["state"] if before is not None else None, line.state(record)):
        return _refuse("STATE_NOT_ALLOWED")
    if line.agrees(record):
        earlier = before or effective(overlay.revisions(bench.origin, entry.record_id))
        if earlier is not None and disagrees(overlay.stated(earlier), record):
            return _refuse("ALERT_DISAGREES")
    return None


def _about_reach(entry: ReadEntry, bench: Bench, overlay: Overlay) -> Ruling | None:
    """A record may only touch what the same origin, and the same authority or one below it, has stated.

    What it speaks of may be anyone's, and is waited for while it is not known here.
    """
    record = entry.record
    assert record is not None
    if record.HasField("erasure") and ending.outlives(overlay, bench.origin, raw_id(record.erasure.record.record_id)):
        return _refuse("ERASE_NOTICE_FIRST")
    named = named_by(record)
    if named is NOTHING_NAMED:
        return None
    for reference in named.touched:
        if reference.origin != bench.origin:
            return _refuse("NOT_YOURS")
        rows = overlay.revisions(bench.origin, raw_id(reference.record_id))
        if not rows and not overlay.copies(raw_id(reference.record_id)):
            return _refuse("REFERENCE_UNKNOWN")
        stated = next((row["authority"] for row in reversed(rows) if row["authority"]), "")
        if stated and not bench.tables.superiors.may_touch(record.header.authority.uscc, stated):
            return _refuse("NOT_YOURS")
    about, spoken = named.about, named.spoken_of
    rows = overlay.revisions(about.origin, raw_id(about.record_id)) if about is not None else ()
    if spoken is not None and not rows and not record.HasField("answer"):
        return _defer("REFERENCE_UNKNOWN", awaited.record(spoken.record_id))
    reason = misfit(record, rows[-1]["kind"], rows[-1]["subject"]) if rows else ""
    return _refuse(reason) if reason else None


def effective(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest of some revisions that took effect and was not erased since: its state is the one that was left."""
    counting = (row for row in reversed(rows) if row["tombstone"] != "ERASED" and read_decision(row["decision"]).rules)
    return next(counting, None)


def left_in(row: Mapping[str, Any]) -> int:
    """The state in which a revision was left: by an act on it, else by itself."""
    if row["tombstone"] and row["tombstone"] != row["own_end"]:
        return lifecycles.ended_in(row["kind"], row["tombstone"]) or int(row["state"])
    return int(row["state"])


def _by_rules(entry: ReadEntry, bench: Bench) -> Ruling:
    """14 the recognition rules."""
    assert entry.record is not None
    assert entry.statement is not None
    if not is_recognised_kind(entry.statement.kind):
        return UNANSWERED
    return ruling_by(*bench.rules.decide(entry.record, bench.context(entry.statement.kind)))


@lru_cache(maxsize=RULINGS_KEPT)
def ruling_by(decision: Decision, edition: RuleSet | None) -> Ruling:
    """What an edition decided, as the ruling on an entry."""
    return Ruling(
        outcome=decision.outcome,
        reasons=tuple(decision.reasons),
        conditions=tuple(decision.conditions),
        waits_for=tuple(decision.waits_for),
        facts=tuple(decision.facts),
        rules=tuple(decision.rules),
        parts=tuple(
            PartRuling(
                part=part.part,
                outcome=part.outcome,
                reasons=tuple(part.reasons),
                conditions=tuple(part.conditions),
                facts=tuple(part.facts),
            )
            for part in decision.parts
        ),
        edition=edition.edition if edition is not None else "",
        digest=edition.digest if edition is not None else "",
    )
