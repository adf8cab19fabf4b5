"""What answers, and what it answers: every recognition, feedback and confirmed effect has its cause on the disks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exchange.domain.record_index import is_recognised_kind, raw_id
from exchange.flows.audit.enum_names import as_byte
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.reconcile.lanes import LanePair
from exchange.flows.audit.reconcile.reading import ID_SIZE, UNREADABLE, Act, ReadLog, Ref
from exchange.flows.audit.skips import Skips
from exchange.flows.intake.ids import format_id
from exchange.v1.kind_pb2 import KIND_ANSWER, Outcome
from exchange.v1.recognition_pb2 import Recognition


@dataclass(slots=True)
class Standing:
    """What became of the facts of one lane.

    Attributes:
        kinds: Entries by kind.
        outcomes: Mirrored facts by outcome; those without a decision are not among them.
        unanswered: Mirrored facts that the other side has not decided about.
        oldest_unanswered: When the oldest of them was logged, in microseconds; 0 without any.
        oldest_pending: When the oldest entry beyond the last cosignature was logged; 0 without any.
    """

    kinds: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    oldest_unanswered: int = 0
    pending: int = 0
    oldest_pending: int = 0


@dataclass(frozen=True, slots=True)
class RepairState:
    """A repair or revocation, and how far it is proven to be carried out on either side.

    Attributes:
        log: Log and index of the act.
        applied_by_owner: The owner's journal has a step over it: its own doors show the tombstone from there on.
        applied_by_other: Likewise the other side's journal.
        missing: Effects that the other side has not confirmed.
        since: When it was logged, in microseconds.
    """

    log: str
    index: int
    act: str
    notice: str
    owner: str
    other: str
    applied_by_owner: bool
    applied_by_other: bool
    missing: tuple[str, ...]
    since: int

    @property
    def is_proven(self) -> bool:
        """Whether it is stopped on both sides, as far as logs can say."""
        return self.applied_by_owner and self.applied_by_other and not self.missing


def standing_of(pair: LanePair, recognitions: Iterable[Recognition]) -> Standing:
    """Counts of one lane.

    Args:
        pair: The lane.
        recognitions: Of the other side about this log, in order.
    """
    log, found = pair.longer, Standing()
    outcomes, skips = bytearray(log.size), Skips(log.size)
    # The last word counts: from behind, whoever comes first.
    for message in reversed(list(recognitions)):
        for item in reversed(message.items):
            for index in skips.fresh(item.index, item.index + 1) if not item.part and item.index >= 0 else ():
                outcomes[index] = as_byte(item.outcome)
        for index in skips.fresh(message.first, message.end):
            outcomes[index] = as_byte(message.default_outcome)
    cosigned = pair.cosigned
    for index, kind in enumerate(log.kinds):
        found.kinds[kind] += 1
        logged = log.logged[index]
        if index >= cosigned:
            found.pending += 1
            found.oldest_pending = _older(found.oldest_pending, logged)
        elif kind != UNREADABLE and is_recognised_kind(kind):  # type: ignore[arg-type]
            if outcomes[index] != Outcome.OUTCOME_UNSPECIFIED:
                found.outcomes[outcomes[index]] += 1
            else:
                found.unanswered += 1
                found.oldest_unanswered = _older(found.oldest_unanswered, logged)
    return found


def _older(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def uncaused(
    log: ReadLog, answered: Mapping[str, LanePair], logs: Sequence[ReadLog], nodes: frozenset[str]
) -> Iterator[Finding]:
    """What a log answers that neither disk holds.

    Args:
        log: The log that holds the answers.
        answered: The lanes that the log's owner may decide about, by origin.
        logs: Every log of records of either side.
        nodes: The two nodes: what is of a third one can not be looked up.

    Yields:
        ``RECOGNITION_WITHOUT_CAUSE``, ``FEEDBACK_WITHOUT_CAUSE`` and ``EFFECT_WITHOUT_CAUSE``.
    """
    for index, message in log.recognitions:
        problem = _not_decidable(message, answered.get(message.answered_log))
        if problem:
            yield Finding(code="RECOGNITION_WITHOUT_CAUSE", log=log.log.origin, index=index, detail=problem)
    wanted = {each.about for each in log.spoken if each.about[0] in nodes}
    known = find(logs, wanted)
    acts = {act.record: act for each in logs for act in each.acts}
    for spoken in log.spoken:
        if spoken.about[0] not in nodes:
            continue
        act = acts.get(spoken.about)
        is_effect = act is not None and spoken.confirms
        if spoken.about in known and not (is_effect and act is not None and spoken.effect not in act.effects):
            continue
        yield Finding(
            code="EFFECT_WITHOUT_CAUSE" if spoken.kind == KIND_ANSWER else "FEEDBACK_WITHOUT_CAUSE",
            log=log.log.origin,
            index=spoken.index,
            detail=" ".join(filter(None, (spoken.about[0], format_id(spoken.about[1]), spoken.effect))),
        )


def _not_decidable(message: Recognition, pair: LanePair | None) -> str:
    if pair is None:
        return message.answered_log
    size = pair.longer.size
    if not 0 <= message.first <= message.end <= size:
        return f"{message.answered_log} [{message.first}, {message.end}) > {size}"
    for item in message.items:
        at = item.index * ID_SIZE
        stated = bytes(pair.longer.ids[at : at + ID_SIZE]) if 0 <= item.index < size else b""
        if not stated or (item.record_id and raw_id(item.record_id) != stated):
            return f"{message.answered_log}#{item.index} {item.record_id}"
    return ""


def find(logs: Sequence[ReadLog], wanted: set[Ref]) -> set[Ref]:
    """Which of some records stand in any log of their origin."""
    found: set[Ref] = set()
    ids = {record_id for _, record_id in wanted}
    for log in logs:
        owner = log.log.origin.partition(".")[0]
        for at in range(0, len(log.ids), ID_SIZE):
            record_id = bytes(log.ids[at : at + ID_SIZE])
            if record_id in ids:
                found.add((owner, record_id))
    return found & wanted


def repairs(pair: LanePair, back: Sequence[ReadLog], steps: Mapping[str, Mapping[str, int]]) -> Iterator[RepairState]:
    """How far the acts of one lane are carried out.

    Args:
        pair: The lane.
        back: The other side's logs towards the owner: its answers.
        steps: For each node, up to where its journal's steps read each log.
    """
    confirmed: dict[Ref, set[str]] = {}
    for log in back:
        for spoken in log.spoken:
            if spoken.confirms:
                confirmed.setdefault(spoken.about, set()).add(spoken.effect)
    seen: set[Ref] = set()
    for act in pair.longer.acts:
        if act.record in seen:
            continue
        seen.add(act.record)
        yield _state(pair, act, confirmed.get(act.record, set()), steps)


def _state(pair: LanePair, act: Act, confirmed: set[str], steps: Mapping[str, Mapping[str, int]]) -> RepairState:
    def applied(node: str) -> bool:
        return steps.get(node, {}).get(pair.origin, 0) > act.index

    return RepairState(
        log=pair.origin,
        index=act.index,
        act=format_id(act.record[1]),
        notice=f"{act.notice[0]} {format_id(act.notice[1])}" if act.notice[1] else act.notice[0],
        owner=pair.owner,
        other=pair.other,
        applied_by_owner=applied(pair.owner),
        applied_by_other=applied(pair.other),
        missing=tuple(each for each in act.effects if each not in confirmed),
        since=pair.longer.logged[act.index],
    )
