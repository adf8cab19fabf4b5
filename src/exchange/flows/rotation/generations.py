"""What the drivers of keys on disk share: which generation is used, how partners are told, what they said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from exchange.crypto.trusted.possession import group_fingerprint
from exchange.domain.lifecycles import KEY
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros_of, timestamp
from exchange.storage.files.key_folder import KeyFiles, KeyLife, merged
from exchange.storage.logs.log_store import head_by_id
from exchange.storage.registers import registers
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import (
    KeyConfirmation,
    KeyCount,
    KeyStatus,
    KeyVerdict,
    Rotation,
    RotationStep,
    Waiting,
)

ABORT_GRACE = timedelta(minutes=1)
"""What an aborted key signed in its last moments, its own end among it, stays valid: the longest call takes half."""

_PREFIX = "KEY_STATE_"


class Generations:
    """The generations of one key: the folder and the register, whichever is further.

    A database that was restored knows less than the folder. What has ended does not come back by that.

    Args:
        files: The key's files.
    """

    def __init__(self, files: KeyFiles) -> None:
        self.files = files
        self._lives = {life.generation: life for life in files.lives()}

    def all(self) -> list[KeyLife]:
        """Every generation, in order."""
        return [self._lives[generation] for generation in sorted(self._lives)]

    def in_use(self) -> list[KeyLife]:
        """The generations that are used, the newest first: two of them during an overlap."""
        return [life for life in reversed(self.all()) if life.state == "ACTIVE"]

    def ended(self) -> list[KeyLife]:
        """The generations that were used and are used no more."""
        return [life for life in self.all() if life.state == "RETIRED"]

    def following(self) -> int:
        """The next free generation."""
        return max((*self._lives, *self.files.generations()), default=1) + 1

    def follow(self, rotation: Rotation) -> None:
        """Take over what a rotation says of its key, and write it beside the keys."""
        begin = micros_of(rotation.announced_at) if rotation.HasField("announced_at") else 0
        end = micros_of(rotation.ended_at) if rotation.HasField("ended_at") else 0
        changes: dict[int, KeyLife] = {}
        if rotation.new_state:
            ended = rotation.new_state in (KeyState.KEY_STATE_RETIRED, KeyState.KEY_STATE_ABORTED)
            changes[rotation.generation] = KeyLife(
                generation=rotation.generation,
                state=_name(rotation.new_state),
                valid_from=begin,
                valid_until=end + ABORT_GRACE // timedelta(microseconds=1) if ended else 0,
            )
        if rotation.old_state == KeyState.KEY_STATE_RETIRED:
            for life in self.in_use():
                if life.generation < rotation.generation:
                    changes[life.generation] = KeyLife(
                        generation=life.generation, state="RETIRED", valid_from=life.valid_from, valid_until=end
                    )
        further = {number: life for number, life in changes.items() if _is_further(self._lives.get(number), life)}
        self._lives = {life.generation: life for life in merged(list(self._lives.values()), further)}
        self.files.tell(self.all())


def _name(state: KeyState.ValueType) -> str:
    return KeyState.Name(state).removeprefix(_PREFIX)


def state_of(life: KeyLife) -> KeyState.ValueType:
    """A generation's state as the schema has it."""
    return KeyState.Value(_PREFIX + life.state)


def _is_further(held: KeyLife | None, life: KeyLife) -> bool:
    """Whether a life is what the held one becomes, at once or later."""
    if held is None:
        return True
    reached: set[int] = {state_of(held)}
    new = set(reached)
    while new := {follower for state in new for follower in KEY.following[state]} - reached:
        reached |= new
    return state_of(life) in reached and held != life


class Announced(Protocol):
    """How one kind of key is told to peers."""

    def announced(self, peer: str, generation: int) -> Sequence[AnnouncedKey]:
        """The keys of a generation that a peer relies on, without state and times, with their proofs."""
        ...


def announced_state(rotation: Rotation, step: RotationStep.ValueType) -> KeyState.ValueType | None:
    """What a step says of the new key; None when nothing is told.

    ANNOUNCE says NEXT, ACTIVATE says ACTIVE, RETIRE ends every older generation, ABORT ends the new one.
    """
    if step == RotationStep.ROTATION_STEP_ABORT and rotation.new_state:
        used = rotation.new_state == KeyState.KEY_STATE_ACTIVE
        return KeyState.KEY_STATE_RETIRED if used else KeyState.KEY_STATE_ABORTED
    return {
        RotationStep.ROTATION_STEP_ANNOUNCE: KeyState.KEY_STATE_NEXT,
        RotationStep.ROTATION_STEP_ACTIVATE: KeyState.KEY_STATE_ACTIVE,
        RotationStep.ROTATION_STEP_RETIRE: KeyState.KEY_STATE_ACTIVE,
    }.get(step)


def announcement(
    node: Node,
    told: Announced,
    generations: Generations,
    rotation: Rotation,
    step: RotationStep.ValueType,
    now: datetime,
) -> dict[str, Record]:
    """The KeyAnnouncement of a step for each peer."""
    state = announced_state(rotation, step)
    if state is None:
        return {}
    begin = rotation.announced_at if rotation.HasField("announced_at") else None
    found = {}
    for peer in node.peers.names():
        record = node_record(node, now)
        keys = record.key_announcement.keys
        for key in told.announced(peer, rotation.generation):
            key.state = state
            if begin is not None:
                key.valid_from.CopyFrom(begin)
            else:
                key.valid_from.FromDatetime(now)
            if step == RotationStep.ROTATION_STEP_ABORT:
                key.valid_until.FromDatetime(now + ABORT_GRACE)
            keys.append(key)
        if step == RotationStep.ROTATION_STEP_RETIRE:
            for life in generations.in_use():
                if life.generation < rotation.generation:
                    for key in told.announced(peer, life.generation):
                        key.state = KeyState.KEY_STATE_RETIRED
                        key.valid_from.CopyFrom(timestamp(life.valid_from))
                        key.valid_until.FromDatetime(now)
                        keys.append(key)
        found[peer] = record
    return found


def confirmations(node: Node, told: Announced, rotation: Rotation) -> list[KeyConfirmation]:
    """What each peer says of the new key: of several, the least."""
    if not rotation.new_state:
        return []
    found = []
    for peer in node.peers.names():
        keys = told.announced(peer, rotation.generation)
        found.append(said_by(node, peer, [key.key_id for key in keys], group_fingerprint(keys)))
    return found


def said_of(node: Node, key_ids: Sequence[str], fingerprint: str) -> list[KeyConfirmation]:
    """What each peer says of keys that all of them were told of."""
    return [said_by(node, peer, key_ids, fingerprint) for peer in node.peers.names()]


def said_by(node: Node, peer: str, key_ids: Sequence[str], fingerprint: str) -> KeyConfirmation:
    """What a peer says of some keys that are confirmed together: of several answers, the least."""
    confirmation = KeyConfirmation(peer=peer, fingerprint=fingerprint)
    with node.database.read() as connection:
        rows = {row.key_id: row for row in registers.key_answers(connection, key_ids) if row.peer == peer}
        if rows and len(rows) == len(key_ids):
            last = max(rows.values(), key=lambda row: row.answered_at)
            log = head_by_id(connection, last.log_id)
            confirmation.verdict = max(row.verdict for row in rows.values())
            confirmation.at.CopyFrom(timestamp(last.answered_at))
            confirmation.log, confirmation.index = (log.origin if log else ""), last.idx
    return confirmation


_WAITS: Mapping[int, str] = {
    KeyVerdict.KEY_VERDICT_UNSPECIFIED: "KEY_UNCONFIRMED",
    KeyVerdict.KEY_VERDICT_WAITING: "KEY_AWAITS_OFFICER",
    KeyVerdict.KEY_VERDICT_REJECTED: "KEY_REJECTED",
}


def unconfirmed(node: Node, said: Sequence[KeyConfirmation]) -> list[Waiting]:
    """The peers that do not rely on the new key yet, with their duty desks."""
    found = []
    for each in said:
        if each.verdict != KeyVerdict.KEY_VERDICT_ACCEPTED:
            peer = node.peers.get(each.peer)
            desk = peer.duty_desk if peer else ""
            found.append(Waiting(reason=_WAITS[each.verdict], who=each.peer, duty_desk=desk, detail=each.fingerprint))
    return found


def status(
    node: Node,
    key: str,
    life: KeyLife,
    fingerprint: str,
    *,
    of: str = "",
    until: datetime | None = None,
) -> KeyStatus:
    """One generation of ours, as status shows it."""
    found = KeyStatus(
        owner=node.name,
        key=key,
        of=of,
        generation=life.generation,
        state=state_of(life),
        fingerprint=fingerprint,
    )
    if life.valid_from:
        found.valid_from.CopyFrom(timestamp(life.valid_from))
    if life.valid_until:
        found.valid_until.CopyFrom(timestamp(life.valid_until))
    elif until is not None:
        found.valid_until.FromDatetime(until)
    return found


def counted() -> list[KeyCount]:
    """Signatures are not calls: whoever verifies them asks nobody. The log itself says which key signed what."""
    return []


__all__ = [
    "Announced",
    "Generations",
    "announced_state",
    "announcement",
    "confirmations",
    "counted",
    "instant",
    "said_by",
    "said_of",
    "state_of",
    "status",
    "unconfirmed",
]
