"""What the caller believes: a policy, cards whose fingerprints were typed in, roots, revocation lists.

Nothing is believed because it lies in the folder. Keys that a believed region announced in its logs are learned:
signing keys under its root, Ed25519 keys by the endorsement of the key that they replace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256

from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.receipts import MOST_AHEAD, Key, in_use, plain
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.trusted.possession import id_of
from exchange.tlog import policy as tlog_policy
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LogName, mirror_name, witness_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Successor:
    """A key that, by the folder, took over from another one; it is not believed.

    Attributes:
        replaces: Id of the other one.
        key: The verifier key.
        endorsed: Whether the other one signed for it, and is believed or was endorsed itself.
    """

    replaces: str
    key: str
    endorsed: bool

    def __str__(self) -> str:
        return f"{self.replaces} -> {id_of(VerifierKey.parse(self.key))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Believed:
    """What a verdict may rest on. Only bytes and plain values, so that other processes can be given it.

    Attributes:
        policy: The policy's bytes; None where none was given.
        cards: Texts of cards whose fingerprints agreed with what was typed in.
        roots: Signing roots in PEM by node; the name is empty for roots that hold for every node.
        lists: Revocation lists in PEM, each a file: one counts for the regions whose root signed it.
        require: Algorithms of which a statement must carry a region's signature, by node; the name is empty for those
            that hold for every other node.
        announced: Ed25519 keys that were learned from the logs, under names of logs and cosigners.
        successors: Keys of which the logs tell, and which nobody believes: nothing rests on them.
    """

    policy: bytes | None = None
    cards: tuple[str, ...] = ()
    roots: tuple[tuple[str, bytes], ...] = ()
    lists: tuple[bytes, ...] = ()
    require: tuple[tuple[str, tuple[str, ...]], ...] = (("", ("ES256",)),)
    announced: tuple[str, ...] = ()
    successors: tuple[Successor, ...] = ()

    def roots_of(self, node: str) -> bytes | None:
        """Signing roots that were given for a node."""
        given = dict(self.roots)
        return given.get(node) or given.get("")

    def required_of(self, node: str) -> tuple[str, ...]:
        """Algorithms of which a node's statements must carry a signature."""
        asked = dict(self.require)
        return asked.get(node) or asked.get("") or ("ES256",)

    @property
    def sourced(self) -> bool:
        """Whether anything says whose checkpoints to believe."""
        return self.policy is not None or bool(self.cards)

    def names(self) -> tuple[str, ...]:
        """What it is, for people."""
        named = [f"card {card.node}.{card.domain} {card.fingerprint()}" for card in map(NodeCard.parse, self.cards)]
        if self.policy is not None:
            named.append(f"tlog-policy sha256 {sha256(self.policy).hexdigest()}")
        return tuple(named)

    def with_announced(self, keys: Iterable[VerifierKey]) -> Believed:
        """The same, knowing more keys of logs and cosigners."""
        return replace(self, announced=tuple(dict.fromkeys((*self.announced, *map(str, keys)))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """A checkpoint whose note was looked at.

    Attributes:
        checkpoint: What it says.
        signed: Whether a believed key of the log signed it; None where no key of that log is believed.
        cosigned: Unix time of the addressee's or witness's cosignature, the earliest; None without a believed one.
        cosigner: Whose.
        quorum: Whether the cosignatures are enough: for the policy, or the addressee's where there is none.
        problem: Why it proves nothing, for people; empty when it holds.
        lacking: Names of keys that are not believed and without which nothing can be said: the log's, the cosigner's.
        rotated: Which keys took over from believed ones, where the note holds by those alone: old and new id.
    """

    checkpoint: Checkpoint
    signed: bool | None
    cosigned: int | None
    cosigner: str
    quorum: bool
    problem: str
    lacking: tuple[str, ...]
    rotated: tuple[str, ...] = ()


class Keys:
    """Verifier keys by name, as one process reads them out of what is believed."""

    def __init__(self, believed: Believed) -> None:
        self._policy = tlog_policy.parse(believed.policy) if believed.policy is not None else None
        self._cards = [NodeCard.parse(card) for card in believed.cards]
        carded: list[Key] = [key for card in self._cards for key in card.keys]
        listed = (*self._policy.logs, *(witness.key for witness in self._policy.witnesses)) if self._policy else ()
        self._by_name: dict[str, list[Key]] = {}
        self._announced = frozenset(map(VerifierKey.parse, believed.announced))
        self._successors = believed.successors
        endorsed = [each.key for each in believed.successors if each.endorsed]
        newer = replace(believed, announced=(*believed.announced, *endorsed), successors=())
        self._newer = Keys(newer) if endorsed else None
        for key in (*carded, *listed, *map(VerifierKey.parse, believed.announced)):
            same = self._by_name.setdefault(plain(key).name, [])
            # A card bounds a key's use; where it does, nothing that names the same key lifts the bounds.
            known = next((at for at, each in enumerate(same) if plain(each) == plain(key)), None)
            if known is None:
                same.append(key)
            else:
                same[known] = _bounded(same[known], key)
        self._logs = {plain(key).name for key in carded if key in _log_keys(carded)} | {
            key.name for key in (self._policy.logs if self._policy else ())
        }

    def knows(self, name: str) -> bool:
        """Whether a key of that name is believed."""
        return bool(self._by_name.get(name))

    def of(self, name: str) -> tuple[VerifierKey, ...]:
        """Every believed key of a name."""
        return tuple(plain(key) for key in self._by_name.get(name, ()))

    @property
    def nodes(self) -> frozenset[str]:
        """Nodes of which a card or a key is believed."""
        return frozenset(name.partition(".")[0] for name in self._by_name)

    def of_node(self, node: str) -> tuple[VerifierKey, ...]:
        """Every believed key of a node's logs and cosigners."""
        return tuple(key for name in self._by_name if name.partition(".")[0] == node for key in self.of(name))

    @property
    def logs(self) -> frozenset[str]:
        """Origins that cards and policy name."""
        return frozenset(self._logs)

    def roots(self, node: str) -> bytes | None:
        """Signing roots that cards name for a node: of an older and a newer card, those of both."""
        return b"".join(dict.fromkeys(card.signing_roots for card in self._cards if card.node == node)) or None

    def look(self, data: bytes, origin: str) -> Vouched | None:
        """Look at a signed checkpoint, by the keys that are believed, and where it fails by those that took over.

        Returns:
            What it came to; None when the bytes are no checkpoint of that log. One that holds by the successors alone
            has no problem, and proves nothing.
        """
        seen = self._looked(data, origin)
        if seen is None or not seen.problem or not self._successors:
            return seen
        newer = self._newer.look(data, origin) if self._newer is not None else None
        names = {origin, *(line.name for line in parse_note(data)[0].signatures)}
        told = [each for each in self._successors if VerifierKey.parse(each.key).name in names]
        if newer is not None and not newer.problem:
            rotated = tuple(str(each) for each in told if each.endorsed)
            return replace(seen, signed=None, cosigned=None, cosigner="", quorum=False, problem="", rotated=rotated)
        if told:
            by = ", ".join(map(str, told))
            return replace(seen, problem=f"{seen.problem}; the folder says that keys were rotated: {by}")
        return seen

    def _looked(self, data: bytes, origin: str) -> Vouched | None:
        """Look at a signed checkpoint.

        1. The bytes are one, of the log asked for.
        2. A believed key of the log signed it.
        3. Its addressee, or a witness of another node, cosigned it, and enough cosigners did.
        4. Every line in the name of a believed key verifies.
        """
        # 1
        try:
            note, checkpoint = parse_note(data)
            log = LogName.parse(origin)
        except LogFormatError:
            return None
        if checkpoint.origin != origin:
            return None
        # 2
        log_keys = self._by_name.get(origin, [])
        signed = [key for key in log_keys if verify_note(data, plain(key)) is not None]
        # 3
        timed: list[tuple[int, Key]] = []
        for name in {line.name for line in note.signatures} - {origin}:
            for key in self._by_name.get(name, ()):
                time = verify_cosignature(data, plain(key))
                if time is not None and in_use(key, time):
                    timed.append((time, key))
        rightful = [(time, plain(key).name) for time, key in timed if may_cosign(plain(key).name, log)]
        cosigned, cosigner = min(rightful, default=(None, ""))
        if cosigned is not None:
            signed = [key for key in signed if in_use(key, cosigned, MOST_AHEAD)]
        lacking = () if log_keys else (origin,)
        if self._policy is not None:
            by = {plain(key) for _, key in timed}
            # A key that was announced in the place of a policy's own stands for it.
            names = {key.name for key in by & self._announced}
            by.update(witness.key for witness in self._policy.witnesses if witness.key.name in names)
            quorum = self._policy.satisfied_by(by)
        else:
            quorum = cosigned is not None
            if not any(may_cosign(name, log) for name in self._by_name):
                lacking = (*lacking, cosigners_of(log))
        # 4
        claimed = [line for line in note.signatures if any(line.is_by(key) for key in self.of(line.name))]
        good = {(plain(key).name, plain(key).key_id) for _, key in timed} | {
            (plain(key).name, plain(key).key_id) for key in signed
        }
        spoiled = [line.name for line in claimed if (line.name, line.key_id) not in good]
        problem = ""
        if spoiled:
            problem = f"the line of {spoiled[0]} does not verify, or its key was not in use"
        elif log_keys and not signed:
            problem = f"no believed key of {origin} signed it"
        elif not quorum and not lacking:
            problem = "not enough believed cosigners signed it"
        return Vouched(
            checkpoint=checkpoint,
            signed=bool(signed) if log_keys else None,
            cosigned=cosigned,
            cosigner=cosigner,
            quorum=quorum,
            problem=problem,
            lacking=lacking,
        )


def _bounded(one: Key, other: Key) -> Key:
    """A key that is named twice: what either of two cards says of its end holds."""
    if not isinstance(one, TrustedKey) or not isinstance(other, TrustedKey) or other.valid_until is None:
        return one
    return one if one.valid_until is not None and one.valid_until <= other.valid_until else other


@lru_cache(4)
def keys_of(believed: Believed) -> Keys:
    """``Keys``, read once in a process."""
    return Keys(believed)


def may_cosign(name: str, log: LogName) -> bool:
    """Whether a cosignature by that key says something: the addressee's mirror, or another node's witness."""
    if log.peer is not None:
        return name == mirror_name(log.peer, log.domain)
    return name.endswith(f".{log.domain}/witness") and name != witness_name(log.node, log.domain)


def cosigners_of(log: LogName) -> str:
    """Whose cosignature a log needs, for people."""
    return mirror_name(log.peer, log.domain) if log.peer is not None else f"*.{log.domain}/witness"


def _log_keys(keys: Iterable[Key]) -> list[Key]:
    return [key for key in keys if getattr(key, "role", None) is KeyRole.LOG]
