"""Entries of outbound, mirror and local logs: whose statement, of which body, by which key, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from google.protobuf.message import DecodeError

from exchange.crypto import sealing
from exchange.crypto.envelope_verifier import SigningTrust, VerdictStatus
from exchange.crypto.trusted.announced_chains import chains_of
from exchange.crypto.trusted.possession import (
    CERTIFIED,
    algorithm_of,
    has_signed,
    id_of,
    is_endorsed,
    is_possessed,
    verifier_of,
)
from exchange.crypto.x509.certificates import load_chain
from exchange.crypto.x509.revocation import Revocations, RevocationUnreadable
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.keys.believed import Believed, keys_of
from exchange.flows.instants import is_instant
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LogName
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyAnnouncement
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyVerdict
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

MAX_ROUNDS = 64
"""Keys told out of turn, one behind the other, that are followed: as many as are known of one region at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an entry lies: for findings about it."""

    log: str
    index: int
    file: str
    byte: int

    def against(self, no: ClaimNo, code: str, detail: str = "", **evidence: str) -> Against:
        """A finding here."""
        found = Finding(
            code=code,
            log=self.log,
            index=self.index,
            file=self.file,
            byte=self.byte,
            detail=detail,
            evidence=evidence,
        )
        return Against(no, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Announced:
    """A key announcement as it stands in a log; whether it counts is judged when all of them are known.

    Attributes:
        node: Whose log it stands in.
        logged_at: Microseconds of unix time.
        envelope: Its envelope.
        body: Its body: a serialized Record that matches what was signed.
    """

    node: str
    logged_at: int
    log: str
    index: int
    envelope: bytes
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a node said of a peer's announced keys, as it stands in its log.

    Attributes:
        about: Whose keys.
        accepted: Ids of those that it relies on.
    """

    about: str
    accepted: frozenset[str]
    log: str
    logged_at: int
    envelope: bytes


def accepted_keys(body: bytes) -> tuple[str, frozenset[str]]:
    """Whose keys an Answer speaks of, and which of them its node relies on; none where it speaks of something else."""
    try:
        answer = Record.FromString(body).answer
    except DecodeError:
        return "", frozenset()
    accepted = (each.key_id for each in answer.keys if each.verdict == KeyVerdict.KEY_VERDICT_ACCEPTED)
    return answer.record.origin, frozenset(accepted)


def read_entry(data: bytes) -> tuple[LogEntry, Statement] | None:
    """An entry and its statement; None when it is none."""
    try:
        entry = LogEntry.FromString(data)
        statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
    except DecodeError:
        return None
    return (entry, statement) if is_instant(entry.logged_at) else None


def of_other_parties(log: LogName, statement: Statement) -> str:
    """What in a statement contradicts the log that it stands in; empty when nothing does."""
    if statement.origin != log.node:
        return f"stated by {statement.origin}"
    if statement.federation != log.domain:
        return f"of the federation {statement.federation}"
    if log.peer is not None and log.peer not in statement.addressees:
        return f"addressed to {', '.join(statement.addressees) or 'nobody'}"
    return ""


def body_problem(statement: Statement, body: bytes, salt: bytes) -> str:
    """Why a body is not the one that was signed; empty when it is."""
    if sealing.matches(statement, body, salt):
        return ""
    said = ", ".join(f"{each.algorithm} {each.digest.hex()}" for each in statement.commitments)
    found = sealing.ALGORITHMS[sealing.SHA_256](salt, body).hex()
    return f"signed {said} of {statement.body_size} bytes; SHA-256 {found} of {len(body)} bytes"


def announcement(body: bytes) -> KeyAnnouncement | None:
    """The announcement that the body of an entry of that kind makes; None where it can not be read."""
    try:
        return Record.FromString(body).key_announcement
    except DecodeError:
        return None


def vkeys_of(made: KeyAnnouncement) -> list[VerifierKey]:
    """The keys of logs and cosigners that an announcement names."""
    found = (verifier_of(key) for key in made.keys if key.use not in CERTIFIED)
    return [key for key in found if key is not None]


class SigningKeys:
    """The signing keys of every region whose roots are believed, as its logs announced them.

    A key of which a key before it tells is relied on. One that is told of out of turn, because the one before it is
    gone, needs its certificate and one of two more: the other side's officer relies on it, or none of the region's keys
    may sign then. Log and cosigner keys that their predecessor did not endorse need the other side's officer too.

    Args:
        believed: Roots and lists.
        announced: What the logs announced, in any order.
        answered: What peers said of it.
    """

    def __init__(self, believed: Believed, announced: Iterable[Announced], answered: Iterable[Answered] = ()) -> None:
        self._believed = believed
        self._keys = keys_of(believed)
        self._trust: dict[str, SigningTrust] = {}
        self.relied: list[VerifierKey] = []
        """Ed25519 keys that were learned: named by the key before them, in a statement of the region."""
        self.lists: dict[str, Revocations] = {}
        """Revocation lists that count for a region."""
        self.out_of_turn: set[str] = set()
        """Ids of signing keys that nothing but their certificate speaks for."""
        self._named: dict[tuple[str, int], frozenset[str]] = {}
        self._told: dict[tuple[str, str], datetime] = {}
        self._accepted: dict[str, set[str]] = {}
        self._unendorsed: list[tuple[str, AnnouncedKey]] = []
        self._in_order(announced, answered)

    def of(self, node: str, domain: str) -> SigningTrust | None:
        """The signing keys of a region; None where none of its roots is believed."""
        if node not in self._trust:
            roots = (self._keys.roots(node) or b"") + (self._believed.roots_of(node) or b"")
            if not roots:
                return None
            trust = SigningTrust.build(node=node, domain=domain, roots=roots, require=self._believed.required_of(node))
            self.lists[node] = self._lists(roots)
            self._trust[node] = trust.with_revocations(self.lists[node])
        return self._trust[node]

    def named_at(self, log: str, index: int) -> frozenset[str]:
        """Ids of the keys that an announcement named; none where it does not count."""
        return self._named.get((log, index), frozenset())

    def vouched(self, node: str, doubted: Collection[tuple[str, int]]) -> frozenset[str]:
        """Ids of a node's keys that something vouches for beside some announcements.

        Args:
            node: Whose.
            doubted: Log and index of the announcements that do not count.
        """
        found = set(self._accepted.get(node, ()))
        found.update(map(id_of, self._keys.of_node(node)))
        for (log, index), named in self._named.items():
            if LogName.parse(log).node == node and (log, index) not in doubted:
                found |= named
        return frozenset(found)

    def was_told(self, node: str, keys: Iterable[str], at: datetime) -> bool:
        """Whether a region had told of the revocation of one of some keys by an instant."""
        told = [self._told[node, key] for key in keys if (node, key) in self._told]
        return bool(told) and min(told) <= at

    def _in_order(self, announced: Iterable[Announced], answered: Iterable[Answered]) -> None:
        """What an announcement tells may be what another one, or an answer, is judged by: until nothing is new."""
        untold = sorted(announced, key=lambda a: (a.logged_at, a.log, a.index))
        unanswered = sorted(answered, key=lambda a: (a.logged_at, a.log))
        for _ in range(MAX_ROUNDS):
            before = len(untold) + len(unanswered)
            untold = [each for each in untold if not self._learn(each)]
            unanswered = [each for each in unanswered if not self._take(each)]
            if len(untold) + len(unanswered) == before:
                break
        for node, key in self._unendorsed:
            if key.key_id in self._accepted.get(node, ()):
                self._rely(verifier_of(key))

    def _lists(self, roots: bytes) -> Revocations:
        anchors = load_chain(roots)
        found = Revocations()
        for pem in self._believed.lists:
            try:
                loaded = Revocations.load(pem, anchors)
            except RevocationUnreadable:
                continue  # another region's, or rubbish: it counts for nobody
            found = Revocations.of(loaded.lists, found)
        return found

    def _learn(self, told: Announced) -> bool:
        """Take an announcement; False when it is signed by no key that is known by now.

        1. A region's first is signed by the key that it announces, later ones by a known key.
        2. Or by one that is announced out of turn, and may be.
        """
        log = LogName.parse(told.log)
        trust = self.of(log.node, log.domain)
        made = announcement(told.body)
        if trust is None or made is None:
            return True
        chains = [chain for chain in chains_of(made.keys) if trust.leads(chain)]
        at = datetime.fromtimestamp(told.logged_at / 1_000_000, UTC)
        # 1
        status = (trust if trust.keyids else trust.with_chains(chains)).verify(told.envelope, at).status
        # 2
        if status is VerdictStatus.KEY_UNKNOWN:
            own = [key for key in made.keys if self._may_follow(log.node, key, told.envelope, trust, at)]
            status = trust.with_chains(chains_of(own)).verify(told.envelope, at).status
        if status is not VerdictStatus.VALID:
            return status is not VerdictStatus.KEY_UNKNOWN
        self._trust[log.node] = trust.with_chains(chains)
        self._named[told.log, told.index] = frozenset(key.key_id for key in made.keys)
        for key in made.keys:
            if key.HasField("revoked_at"):
                self._told[log.node, key.key_id] = min(at, self._told.get((log.node, key.key_id), at))
        self._learn_notes(log, made.keys)
        return True

    def _may_follow(self, node: str, key: AnnouncedKey, envelope: bytes, trust: SigningTrust, at: datetime) -> bool:
        """Whether a key that nobody named before may speak for its region: it signed this, and leads to a root."""
        if not has_signed(key, envelope) or not all(trust.leads(chain) for chain in chains_of([key])):
            return False
        if key.key_id in self._accepted.get(node, ()) or algorithm_of(key) not in trust.algorithms_at(at):
            return True
        self.out_of_turn.add(key.key_id)
        return False

    def _take(self, told: Answered) -> bool:
        """Take what a region says of another one's keys; False when it is signed by no key that is known by now."""
        log = LogName.parse(told.log)
        trust = self.of(log.node, log.domain)
        if trust is None or told.about == log.node:
            return True
        at = datetime.fromtimestamp(told.logged_at / 1_000_000, UTC)
        status = trust.verify(told.envelope, at).status
        if status is VerdictStatus.VALID:
            self._accepted.setdefault(told.about, set()).update(told.accepted)
        return status is not VerdictStatus.KEY_UNKNOWN

    def _learn_notes(self, log: LogName, keys: Sequence[AnnouncedKey]) -> None:
        for key in keys:
            found = verifier_of(key) if key.use not in CERTIFIED else None
            if found is None or found.name.partition(".")[0] != log.node or found in self._keys.of(found.name):
                continue
            known = [*self._keys.of(found.name), *(each for each in self.relied if each.name == found.name)]
            in_turn = is_possessed(log.domain, log.node, key) and is_endorsed(log.domain, log.node, key, known)
            # The log of a new epoch has no older key: the region's own signature names the first one.
            if in_turn or (not known and _begins_later(found.name, log)):
                self._rely(found)
            else:
                self._unendorsed.append((log.node, key))

    def _rely(self, key: VerifierKey | None) -> None:
        if key is not None and key not in self.relied:
            self.relied.append(key)


def _begins_later(name: str, log: LogName) -> bool:
    """Whether the name is that of the log that announces it, or of another log of its node in a later epoch."""
    try:
        named = LogName.parse(name)
    except LogFormatError:
        return False  # a cosigner's: its card names the first key
    return named == log or (named.node == log.node and named.domain == log.domain and named.epoch > 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MirroredTimes:
    """When the entries of a log were first seen by somebody else.

    Attributes:
        sizes: Sizes of the cosigned checkpoints that hold, rising.
        times: Unix time of the earliest cosignature of each, or of a larger one.
    """

    sizes: tuple[int, ...] = ()
    times: tuple[int, ...] = ()

    @classmethod
    def of(cls, notes: Mapping[int, int]) -> MirroredTimes:
        """From the time of each size; whoever cosigned a larger tree earlier had seen the smaller one by then."""
        sizes = sorted(notes)
        times = [notes[size] for size in sizes]
        for at in range(len(times) - 2, -1, -1):
            times[at] = min(times[at], times[at + 1])
        return cls(sizes=tuple(sizes), times=tuple(times))

    def at(self, index: int) -> datetime | None:
        """When the first cosignature came that covers an entry; None where none does."""
        found = bisect_right(self.sizes, index)
        return _utc(self.times[found]) if found < len(self.times) else None

    def part(self, begin: int, end: int) -> MirroredTimes:
        """What is needed for some entries."""
        low, high = bisect_right(self.sizes, begin), bisect_right(self.sizes, end - 1) + 1
        return MirroredTimes(sizes=self.sizes[low:high], times=self.times[low:high])


@lru_cache(256)
def _utc(time: int) -> datetime:
    """Neighbours are mirrored by one cosignature."""
    return datetime.fromtimestamp(time, UTC)
