"""What a KeyAnnouncement leaves in the register of keys, and whether it came in turn.

Only bytes and rows decide here, so that a replay writes the same rows. Whether a key is relied on also depends on the
peer's card and on our officers; ``flows.peer_keys`` joins the three.

In turn is a signing key that is the first of its region, or that the ACTIVE one named (it signed the envelope) and
whose holder proved to have it. Everything else that signs waits for the officer: the thief of a key that has ended,
or of the log alone, names no successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.crypto.trusted.possession import CERTIFIED, USES, group_fingerprint, has_signed, is_possessed
from exchange.domain.lifecycles import KEY
from exchange.flows.apply.changes.overlay import RegisterOverlay
from exchange.flows.apply.changes.turns import Turn
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.instants import micros_of
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse


@dataclass(frozen=True, slots=True)
class _Row:
    key: AnnouncedKey
    turn: int


def take_keys(overlay: RegisterOverlay, entry: ReadEntry, origin: str, federation: str, *, deferred: bool) -> None:
    """Keep what an announcement says of each key. What came late, and was overtaken in another lane, changes nothing.

    Args:
        overlay: The registers.
        entry: The announcement.
        origin: Who announces.
        federation: Domain.
        deferred: It is signed by no known key: only signing keys that nobody knows yet are kept, out of turn.
    """
    if entry.record is None or not entry.record.HasField("key_announcement"):
        return
    assert entry.statement is not None
    keys = [key for key in entry.record.key_announcement.keys if key.use in USES and key.state]
    known = {
        key_id: _Row(AnnouncedKey.FromString(row["announced"]), row["turn"])
        for key_id, row in overlay.keys(origin).items()
    }
    fresh = [key for key in keys if key.key_id not in known]
    for key in keys:
        held = known.get(key.key_id)
        if held is not None:
            if deferred or held.key.use != key.use or not KEY.may_follow(held.key.state, key.state):
                continue
            row = dict(overlay.keys(origin)[key.key_id]) | {"announced": _later(held.key, key)}
        else:
            turn = turn_of(key, known, entry.envelope, origin, federation)
            if deferred and (turn != Turn.OUT_OF_TURN or not has_signed(key, entry.envelope)):
                continue
            together = [each for each in fresh if each.use == key.use and key.use not in CERTIFIED]
            row = {
                "origin": origin,
                "key_id": key.key_id,
                "use": key.use,
                "seq": 0,
                "announced": key.SerializeToString(deterministic=True),
                "turn": int(turn),
                "fingerprint": group_fingerprint(together or [key]),
                "announced_at": entry.logged_at,
                "record_id": entry.record_id,
                "revision": entry.statement.revision,
            }
        overlay.put_key(row, place=entry.place)


def _later(held: AnnouncedKey, key: AnnouncedKey) -> bytes:
    """The newer announcement of a key; an end that was announced stays."""
    merged = AnnouncedKey()
    merged.CopyFrom(key)
    if held.HasField("valid_until") and not key.HasField("valid_until"):
        merged.valid_until.CopyFrom(held.valid_until)
    if held.HasField("revoked_at") and not (
        key.HasField("revoked_at") and micros_of(key.revoked_at) <= micros_of(held.revoked_at)
    ):
        merged.revoked_at.CopyFrom(held.revoked_at)  # the earliest instant counts
    if not merged.chain:
        merged.chain.extend(held.chain)
    for name in ("possession", "endorsement", "replaces"):
        if not getattr(merged, name):
            setattr(merged, name, getattr(held, name))
    return merged.SerializeToString(deterministic=True)


def turn_of(key: AnnouncedKey, known: Mapping[str, _Row], envelope: bytes, origin: str, federation: str) -> Turn:
    """Whether a signing key that is announced for the first time came in turn."""
    if key.use != KeyUse.KEY_USE_SIGNING:
        return Turn.OWN_CARD
    signing = {key_id: row for key_id, row in known.items() if row.key.use == KeyUse.KEY_USE_SIGNING}
    relied = {key_id: row for key_id, row in signing.items() if row.turn in (Turn.FIRST, Turn.IN_TURN)}
    if not relied:
        return Turn.FIRST
    if not key.replaces:
        return Turn.OUT_OF_TURN
    if not is_possessed(federation, origin, key):
        return Turn.UNPROVEN
    old = relied.get(key.replaces)
    if old is None or old.key.state != KeyState.KEY_STATE_ACTIVE or not has_signed(old.key, envelope):
        return Turn.OUT_OF_TURN
    return Turn.IN_TURN
