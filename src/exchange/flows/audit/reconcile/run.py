"""Reconciling two sides: every lane in both directions, and what travels in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from google.protobuf.message import DecodeError

from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.reconcile.answers import RepairState, Standing, repairs, standing_of, uncaused
from exchange.flows.audit.reconcile.lanes import CLOCK_LIMIT_S, Contradiction, Head, LanePair
from exchange.flows.audit.reconcile.reading import ReadLog, read_log
from exchange.flows.audit.sources.source import Source, SourceLog
from exchange.flows.audit.verify.claims import Verdict
from exchange.flows.audit.verify.keys.believed import Believed, Keys
from exchange.flows.audit.verify.keys.statements import SigningKeys, announcement, vkeys_of
from exchange.flows.audit.verify.keys.successors import successors
from exchange.flows.audit.watching import READING, Seen, Watch, unwatched
from exchange.flows.instants import is_instant, micros_of
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import mirror_name
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(frozen=True, slots=True)
class LaneResult:
    """One lane behind the comparison.

    Attributes:
        first_difference: First index at which the two sides hold other entries.
        skew: Most seconds by which the owner's clock was provably ahead; None without a cosigned entry.
    """

    pair: LanePair
    standing: Standing
    first_difference: int | None
    skew: int | None


@dataclass(slots=True)
class Reconciled:
    """What two sides' logs say of each other.

    Attributes:
        nodes: The two nodes.
        at: Newest line of either journal, in microseconds: ages count up to here.
        proofs: What is proven against a side, with its finding; in order.
    """

    nodes: tuple[str, str]
    believed: Believed
    at: int = 0
    lanes: list[LaneResult] = field(default_factory=list)
    repairs: list[RepairState] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    proofs: list[tuple[Finding, LanePair, Contradiction]] = field(default_factory=list)
    keys: Keys = field(init=False)

    @property
    def verdict(self) -> Verdict:
        """The whole in one word."""
        if any(each.proven for each in self.findings):
            return Verdict.REFUTED
        if not self.believed.sourced:
            return Verdict.CONSISTENT
        return Verdict.NOT_PROVABLE if self.findings else Verdict.PROVEN

    def keys_of(self, pair: LanePair) -> tuple[VerifierKey, ...]:
        """Keys by which a lane's heads are signed: of the log, and of the other side's mirror."""
        domain = pair.origin.partition("/")[0].partition(".")[2]
        return self.keys.of(pair.origin) + self.keys.of(mirror_name(pair.other, domain))


@dataclass(slots=True)
class _Side:
    """One side, read once."""

    source: Source
    read: dict[str, ReadLog] = field(default_factory=dict)
    """Logs of records, by origin."""

    steps: dict[str, int] = field(default_factory=dict)
    """Up to where the journal's steps read each log."""

    newest: int = 0
    unreadable: list[Finding] = field(default_factory=list)

    @property
    def node(self) -> str:
        return self.source.node

    def own_logs(self, peer: str) -> Iterator[ReadLog]:
        return (each for each in self.read.values() if (each.log.use, each.log.peer) == ("outbound", peer))


def check_sides(one: Source, other: Source) -> None:
    """Whether two sources can be laid beside each other.

    Raises:
        Refused: ``RECONCILE_SAME_NODE``, ``RECONCILE_OTHER_DOMAIN``: these are no two sides of one federation.
    """
    if one.node == other.node:
        raise Refused([Problem("RECONCILE_SAME_NODE", "", one.node)])
    if one.domain != other.domain:
        raise Refused([Problem("RECONCILE_OTHER_DOMAIN", "", f"{one.domain} {other.domain}")])


def reconcile(one: Source, other: Source, believed: Believed, watch: Watch = unwatched) -> Reconciled:
    """Compare two nodes' logs.

    Args:
        one: A side.
        other: The other one.
        believed: Whose signatures count, with what those keys announce of others. Where it names nobody, every key
            counts that the logs themselves announce: then the sides are consistent at best.
        watch: Told of entries that are read.

    Raises:
        Refused: As ``check_sides``.
    """
    check_sides(one, other)
    seen = watch(READING, sum(log.size for side in (one, other) for log in side.logs()))
    sides = (_read(one, seen), _read(other, seen))
    done = Reconciled((one.node, other.node), believed, at=max(side.newest for side in sides))
    done.keys = _keys(sides, believed)
    pairs = [*_pairs(sides[0], sides[1], done.keys), *_pairs(sides[1], sides[0], done.keys)]
    logs = [read for side in sides for read in side.read.values()]
    done.findings += [
        Finding(code="BODY_MISMATCH", log=read.log.origin, index=index, detail=side.node)
        for side in sides
        for read in side.read.values()
        for index in read.mismatched
    ]
    done.findings += [each for side in sides for each in side.unreadable]
    for pair in pairs:
        _lane(done, pair, sides)
    for side in sides:
        other_side = next(each for each in sides if each is not side)
        answered = {pair.origin: pair for pair in pairs if pair.owner == other_side.node}
        for log in side.own_logs(other_side.node):
            done.findings += uncaused(log, answered, logs, frozenset(done.nodes))
    return done


def _read(source: Source, seen: Seen) -> _Side:
    side = _Side(source)
    # Journals last: a step speaks of what the other logs hold.
    for log in sorted(source.logs(), key=lambda each: each.use == "journal"):
        if log.use == "journal":
            _read_steps(side, log, seen)
        else:
            side.read[log.origin] = read_log(source, log, seen)
    return side


def _read_steps(side: _Side, log: SourceLog, seen: Seen) -> None:
    for each in side.source.entries(log, 0):
        seen(1)
        try:
            event = JournalEntry.FromString(each.entry)
        except DecodeError:
            side.unreadable.append(Finding(code="ENTRY_UNREADABLE", log=log.origin, index=each.index))
            continue
        if is_instant(event.at):
            side.newest = max(side.newest, micros_of(event.at))
        read = side.read.get(event.step.source_log)
        if read is not None and event.step.first < event.step.end <= read.size:
            known = side.steps.get(event.step.source_log, 0)
            side.steps[event.step.source_log] = max(known, event.step.end)


def _keys(sides: Iterable[_Side], believed: Believed) -> Keys:
    """The keys that count: those that are believed with their successors, or where nobody is, all that were announced.

    Whose the latter are, a third person asks the cards.
    """
    announced = [told for side in sides for log in side.read.values() for told in log.announced]
    if believed.sourced:
        answered = [told for side in sides for log in side.read.values() for told in log.answered]
        relying = believed.with_announced(SigningKeys(believed, announced, answered).relied)
        return Keys(replace(relying, successors=successors(announced, Keys(relying))))
    found: list[VerifierKey] = []
    for told in announced:
        made = announcement(told.body)
        found += [key for key in vkeys_of(made) if key.name.partition(".")[0] == told.node] if made else []
    return Keys(believed.with_announced(found))


def _pairs(owner: _Side, other: _Side, keys: Keys) -> Iterator[LanePair]:
    """Every log of one side towards the other, as either disk has it."""
    towards = [each for each in owner.read.values() if (each.log.use, each.log.peer) == ("outbound", other.node)]
    mirrored = [each for each in other.read.values() if (each.log.use, each.log.peer) == ("mirror", owner.node)]
    own = {each.log.origin: each for each in towards}
    mirrors = {each.log.origin: each for each in mirrored}
    for origin in dict.fromkeys((*own, *mirrors)):
        empty = ReadLog((own.get(origin) or mirrors[origin]).log)
        pair = LanePair(origin, owner.node, other.node, own.get(origin, empty), mirrors.get(origin, empty))
        for side, read in ((owner, own.get(origin)), (other, mirrors.get(origin))):
            if read is not None:
                pair.add(side.node, side.source.notes(read.log, 0), keys)
        yield pair


def _lane(done: Reconciled, pair: LanePair, sides: Iterable[_Side]) -> None:
    owner, other = (next(side for side in sides if side.node == name) for name in (pair.owner, pair.other))
    back = list(other.own_logs(owner.node))
    recognitions = [m for log in back for _, m in log.recognitions if m.answered_log == pair.origin]
    difference = pair.own.difference(pair.mirror)
    skew = pair.skew()
    done.lanes.append(LaneResult(pair, standing_of(pair, recognitions), difference, skew[0] if skew else None))
    contradictions = list(pair.contradictions())
    for each in contradictions:
        finding = _proven(pair, each)
        done.findings.append(finding)
        done.proofs.append((finding, pair, each))
    if pair.unsigned:
        done.findings.append(Finding(code="NOTE_NOT_SIGNED", log=pair.origin, detail=str(pair.unsigned)))
    done.findings += [
        Finding(code="KEY_NOT_BELIEVED", log=pair.origin, detail=name, proven=False) for name in pair.lacking
    ]
    if difference is not None:
        done.findings.append(
            Finding(
                code="ENTRIES_DIFFER",
                log=pair.origin,
                index=difference,
                proven=bool(contradictions),
                evidence={pair.owner: pair.own.leaf(difference).hex(), pair.other: pair.mirror.leaf(difference).hex()},
            )
        )
    elif pair.mirror.size > pair.own.size and not contradictions:
        # What the other side holds beyond carries the owner's signatures, but no head of its log.
        done.findings.append(
            Finding(
                code="MIRROR_LONGER",
                log=pair.origin,
                index=pair.own.size,
                proven=False,
                detail=f"{pair.own.size} < {pair.mirror.size}",
            )
        )
    if skew is not None and skew[0] > CLOCK_LIMIT_S:
        done.findings.append(_clocks(pair, *skew))
    steps = {side.node: side.steps for side in (owner, other)}
    for state in repairs(pair, back, steps):
        done.repairs.append(state)
        if not state.is_proven:
            done.findings.append(_unproven(state))


def _proven(pair: LanePair, found: Contradiction) -> Finding:
    evidence = {
        "side": found.side,
        "shown_by": found.head.shown_by,
        "size": str(found.head.size),
        "root": found.head.checkpoint.root.hex(),
    }
    if found.head.cosigned_at is not None:
        evidence["cosigned_at"] = str(found.head.cosigned_at)
    if found.against is not None:
        evidence |= {"other_size": str(found.against.size), "other_root": found.against.checkpoint.root.hex()}
    return Finding(code=found.code, log=pair.origin, index=found.index, detail=found.side, evidence=evidence)


def _clocks(pair: LanePair, seconds: int, head: Head) -> Finding:
    detail = f"{pair.owner} +{seconds} s"
    return Finding(
        code="CLOCKS_APART",
        log=pair.origin,
        index=head.size - 1,
        detail=detail,
        evidence={"size": str(head.size), "cosigned_at": str(head.cosigned_at)},
    )


def _unproven(state: RepairState) -> Finding:
    lacking = [
        *(() if state.applied_by_owner else (state.owner,)),
        *(() if state.applied_by_other else (state.other,)),
        *(f"{state.other} {effect}" for effect in state.missing),
    ]
    return Finding(
        code="REPAIR_NOT_PROVEN",
        log=state.log,
        index=state.index,
        detail=", ".join(lacking),
        proven=False,
        evidence={"act": state.act, "notice": state.notice},
    )
