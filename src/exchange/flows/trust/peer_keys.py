"""Which of a peer's keys this node relies on: the peer's card, what the logs announced, what our officers decided.

signing          in turn, under a root of the card: by itself. Otherwise the officer
log of a new     by itself: its first entry is signed by the region, and both operators agreed on the epoch. In the
epoch            middle of a rotation all of its keys are told together: none of them waits a second time
log, mirror,     when the card names it; otherwise the officer, who compares the fingerprint. One that its holder
witness,         did not prove to hold is refused; one that its predecessor did not name waits as out of turn
TLS authority
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.crypto.trusted.announced_chains import chains_of
from exchange.crypto.trusted.authority_proof import root_of
from exchange.crypto.trusted.possession import CERTIFIED, is_endorsed, is_endorsed_by, is_possessed, verifier_of
from exchange.flows.apply.changes.turns import Turn
from exchange.flows.context import Node, Peer, PeerBook, line_of
from exchange.flows.instants import micros_of
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, KeyLine, VerifierKey
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.rotation_pb2 import KeyVerdict

_ENDED = (KeyState.KEY_STATE_RETIRED, KeyState.KEY_STATE_ABORTED, KeyState.KEY_STATE_REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One announced key, and whether it is relied on.

    Attributes:
        reason: Reason code when it is not.
        row: Its row in the register.
    """

    key: AnnouncedKey
    verdict: KeyVerdict.ValueType
    row: Mapping[str, Any]
    reason: str = ""


def learn_first(book: PeerBook, name: str, keys: Iterable[AnnouncedKey]) -> None:
    """A region's first announcement is signed by the key that it announces: the chain is known before it is judged.

    Whether to trust it follows from the signing roots of the card. Later keys come in turn, or wait.
    """
    peer = book.get(name)
    if peer is not None and not peer.signing.keyids:
        book.learn_chains(name, chains_of(keys))


def rely(
    node: Node, name: str, rows: Mapping[str, Mapping[str, Any]], decisions: Mapping[str, bool]
) -> dict[str, Judged]:
    """Judge every key that a peer announced, and use what can be relied on from here.

    Args:
        node: The node.
        name: The peer.
        rows: Its rows in the register of keys, by key id.
        decisions: What our officers decided, by fingerprint.

    Returns:
        The verdicts by key id.
    """
    card = node.peers.card(name)
    if card is None:
        return {}
    judged = judge(node.federation, card, rows, decisions)
    accepted = [each.key for each in judged.values() if each.verdict == KeyVerdict.KEY_VERDICT_ACCEPTED]
    node.peers.learn_chains(name, chains_of(accepted))
    for (use, line_name, second), keys in _by_line(accepted).items():
        line = _line(card, use, line_name, second=second)
        beside = second and _line(card, use, line_name, second=False) is not None
        if line is not None or beside or use == KeyUse.KEY_USE_LOG:
            node.peers.learn_line(name, use, _grown(line or KeyLine(line_name), keys))
    return judged


def judge(
    federation: str, card: Peer, rows: Mapping[str, Mapping[str, Any]], decisions: Mapping[str, bool]
) -> dict[str, Judged]:
    """Whether each announced key of a peer is relied on."""
    keys = {key_id: AnnouncedKey.FromString(row["announced"]) for key_id, row in rows.items()}
    return {key_id: _judged(federation, card, keys, rows, key, decisions) for key_id, key in keys.items()}


def _judged(
    federation: str,
    card: Peer,
    keys: Mapping[str, AnnouncedKey],
    rows: Mapping[str, Mapping[str, Any]],
    key: AnnouncedKey,
    decisions: Mapping[str, bool],
) -> Judged:
    row = rows[key.key_id]
    decided = decisions.get(row["fingerprint"])
    if decided is not None:
        if decided:
            return Judged(key=key, verdict=KeyVerdict.KEY_VERDICT_ACCEPTED, row=row)
        return Judged(key=key, verdict=KeyVerdict.KEY_VERDICT_REJECTED, row=row, reason="KEY_REFUSED_BY_OFFICER")
    if key.use == KeyUse.KEY_USE_SIGNING:
        reason, verdict = _about_signing(card, key, row["turn"])
    elif key.use == KeyUse.KEY_USE_TLS_CA:
        reason, verdict = _about_root(federation, card, key)
    else:
        reason, verdict = _about_ed25519(federation, card, keys, rows, key)
    return Judged(key=key, verdict=verdict, row=row, reason=reason)


def _about_signing(card: Peer, key: AnnouncedKey, turn: int) -> tuple[str, KeyVerdict.ValueType]:
    if not all(card.signing.leads(chain) for chain in chains_of([key])):
        return "KEY_CHAIN_UNTRUSTED", KeyVerdict.KEY_VERDICT_REJECTED
    if turn in (Turn.FIRST, Turn.IN_TURN):
        return "", KeyVerdict.KEY_VERDICT_ACCEPTED
    if turn == Turn.UNPROVEN:
        return "KEY_NOT_POSSESSED", KeyVerdict.KEY_VERDICT_REJECTED
    return "KEY_OUT_OF_TURN", KeyVerdict.KEY_VERDICT_WAITING


def _about_root(federation: str, card: Peer, key: AnnouncedKey) -> tuple[str, KeyVerdict.ValueType]:
    root = root_of(key)
    if root is None:
        return "KEY_UNREADABLE", KeyVerdict.KEY_VERDICT_REJECTED
    if key.state in _ENDED or root in card.tls_roots:
        return "", KeyVerdict.KEY_VERDICT_ACCEPTED
    if not is_possessed(federation, card.name, key):
        return "KEY_NOT_POSSESSED", KeyVerdict.KEY_VERDICT_REJECTED
    if not is_endorsed_by(federation, card.name, key, card.tls_roots):
        return "KEY_OUT_OF_TURN", KeyVerdict.KEY_VERDICT_WAITING
    return "KEY_AWAITS_OFFICER", KeyVerdict.KEY_VERDICT_WAITING


def _about_ed25519(
    federation: str,
    card: Peer,
    keys: Mapping[str, AnnouncedKey],
    rows: Mapping[str, Mapping[str, Any]],
    key: AnnouncedKey,
) -> tuple[str, KeyVerdict.ValueType]:
    found = verifier_of(key)
    if found is None:
        return "KEY_UNREADABLE", KeyVerdict.KEY_VERDICT_REJECTED
    line = _line(card, key.use, found.name, second=_is_second(found))
    if line is not None and found in line.ever:
        return "", KeyVerdict.KEY_VERDICT_ACCEPTED
    others = [verifier_of(each) for key_id, each in keys.items() if key_id != key.key_id and each.use == key.use]
    named = [each for each in (*(line.ever if line else ()), *others) if each is not None and _alike(each, found)]
    if line is None and key.use == KeyUse.KEY_USE_LOG and _is_of_first(rows, keys, key, found.name):
        return "", KeyVerdict.KEY_VERDICT_ACCEPTED
    if not key.replaces:
        return "KEY_OUT_OF_TURN", KeyVerdict.KEY_VERDICT_WAITING
    if not is_possessed(federation, card.name, key):
        return "KEY_NOT_POSSESSED", KeyVerdict.KEY_VERDICT_REJECTED
    if not is_endorsed(federation, card.name, key, named):
        return "KEY_OUT_OF_TURN", KeyVerdict.KEY_VERDICT_WAITING
    return "KEY_AWAITS_OFFICER", KeyVerdict.KEY_VERDICT_WAITING


def _is_of_first(
    rows: Mapping[str, Mapping[str, Any]], keys: Mapping[str, AnnouncedKey], key: AnnouncedKey, name: str
) -> bool:
    """Whether a key of a log that no card names was told by the record that told of the log, a first key with it."""
    of_log = [
        key_id
        for key_id, each in keys.items()
        if each.use == KeyUse.KEY_USE_LOG and each.key_id.rpartition("+")[0] == name
    ]
    first = min(rows[key_id]["announced_at"] for key_id in of_log)
    told = rows[key.key_id]["record_id"]
    together = [key_id for key_id in of_log if rows[key_id]["record_id"] == told]
    return rows[key.key_id]["announced_at"] == first and any(not keys[key_id].replaces for key_id in together)


def _is_second(key: VerifierKey) -> bool:
    return key.alg == COSIGNATURE_ML_DSA_44


def _alike(one: VerifierKey, other: VerifierKey) -> bool:
    """Whether one key may take over from the other: a key of the other kind vouches for none."""
    return one.name == other.name and _is_second(one) == _is_second(other)


def _line(card: Peer, use: KeyUse.ValueType, name: str, *, second: bool) -> KeyLine | None:
    """The line of a card that a key belongs to; None where the card has none of that name and kind."""
    line = line_of(card, use, name, second=second)
    return line if line.ever else None


def _by_line(
    keys: Sequence[AnnouncedKey],
) -> dict[tuple[KeyUse.ValueType, str, bool], list[tuple[AnnouncedKey, VerifierKey]]]:
    found: dict[tuple[KeyUse.ValueType, str, bool], list[tuple[AnnouncedKey, VerifierKey]]] = {}
    for key in keys:
        verifier = verifier_of(key) if key.use not in CERTIFIED else None
        if verifier is not None:
            found.setdefault((key.use, verifier.name, _is_second(verifier)), []).append((key, verifier))
    return found


def _grown(line: KeyLine, keys: Sequence[tuple[AnnouncedKey, VerifierKey]]) -> KeyLine:
    """A card's line with what was announced; a key ends only where another one goes on."""
    for key, verifier in sorted(keys, key=lambda each: micros_of(each[0].valid_from)):
        if key.state not in _ENDED:
            line = line.with_active(verifier)
    for key, verifier in keys:
        if key.state in _ENDED:
            ended = line.with_ended(verifier, -(-micros_of(key.valid_until) // 1_000_000))
            line = ended if ended.active else line
    return line
