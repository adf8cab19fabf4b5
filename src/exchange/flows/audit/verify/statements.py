"""Entries of outbound, mirror and local logs: whose statement, of which body, by which key, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from google.protobuf.message import DecodeError

from exchange.crypto import sealing
from exchange.crypto.envelope_verifier import EnvelopeVerdict, SigningTrust, VerdictStatus
from exchange.crypto.receipts import MOST_AHEAD
from exchange.crypto.trusted.announced_chains import chains_of
from exchange.crypto.trusted.possession import CERTIFIED, is_endorsed, is_possessed, verifier_of
from exchange.crypto.x509.certificates import load_chain
from exchange.crypto.x509.revocation import Revocations, RevocationUnreadable
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.believed import Believed, keys_of
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.instants import is_instant
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LogName
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyAnnouncement
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement


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

    Args:
        believed: Roots and lists.
        announced: What the logs announced, in any order.
    """

    def __init__(self, believed: Believed, announced: Iterable[Announced]) -> None:
        self._believed = believed
        self._keys = keys_of(believed)
        self._trust: dict[str, SigningTrust] = {}
        self.relied: list[VerifierKey] = []
        """Ed25519 keys that were learned: named by the key before them, in a statement of the region."""
        self.lists: dict[str, Revocations] = {}
        """Revocation lists that count for a region."""
        for each in sorted(announced, key=lambda a: (a.logged_at, a.log, a.index)):
            self._learn(each)

    def of(self, node: str, domain: str) -> SigningTrust | None:
        """The signing keys of a region; None where none of its roots is believed."""
        if node not in self._trust:
            roots = self._keys.roots(node) or self._believed.roots_of(node)
            if roots is None:
                return None
            trust = SigningTrust.build(node=node, domain=domain, roots=roots, require=self._believed.require)
            self.lists[node] = self._lists(roots)
            self._trust[node] = trust.with_revocations(self.lists[node])
        return self._trust[node]

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

    def _learn(self, told: Announced) -> None:
        """Take an announcement: a region's first is signed by the key that it announces, later ones by a known key."""
        log = LogName.parse(told.log)
        trust = self.of(log.node, log.domain)
        made = announcement(told.body)
        if trust is None or made is None:
            return
        chains = [chain for chain in chains_of(made.keys) if trust.leads(chain)]
        at = datetime.fromtimestamp(told.logged_at / 1_000_000, UTC)
        grown = trust.with_chains(chains)
        judge = trust if trust.keyids else grown
        if judge.verify(told.envelope, at).status is not VerdictStatus.VALID:
            return
        self._trust[log.node] = grown
        self._learn_notes(log, made.keys)

    def _learn_notes(self, log: LogName, keys: Sequence[AnnouncedKey]) -> None:
        for key in keys:
            found = verifier_of(key) if key.use not in CERTIFIED else None
            if found is None or found.name.partition(".")[0] != log.node or found in self._keys.of(found.name):
                continue
            known = [*self._keys.of(found.name), *(each for each in self.relied if each.name == found.name)]
            in_turn = is_possessed(log.domain, log.node, key) and is_endorsed(log.domain, log.node, key, known)
            # The log of a new epoch has no older key: the region's own signature names the first one.
            if (in_turn or (not known and found.name == str(log))) and found not in self.relied:
                self.relied.append(found)


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


def judge_signature(
    verdict: EnvelopeVerdict, place: Place, logged_at: datetime, mirrored: datetime | None
) -> list[Against]:
    """What speaks against a signature, by both times; an unknown key is no finding.

    1. The region's key signed the statement.
    2. Its certificate was valid when the entry was logged.
    3. It was logged not later than mirrored, and five minutes.
    4. It was not revoked before it was logged. One that was revoked before somebody else had seen the entry is not
       proven either way: ``is_unproven``.
    """
    # 1
    if verdict.status is VerdictStatus.KEY_UNKNOWN:
        return []
    if not verdict.signed_by or verdict.status is VerdictStatus.SIGNATURE_MISSING:
        return [place.against(ClaimNo.SIGNED, str(verdict.status), verdict.detail)]
    # 2
    if verdict.status is not VerdictStatus.VALID:
        return [
            place.against(ClaimNo.KEYS_VALID, "CERTIFICATE_INVALID", verdict.detail, logged_at=logged_at.isoformat())
        ]
    found = []
    # 3
    if mirrored is not None and logged_at > mirrored + MOST_AHEAD:
        text = f"logged {logged_at.isoformat()}, mirrored {mirrored.isoformat()}"
        found.append(place.against(ClaimNo.KEYS_VALID, "LOGGED_TOO_LATE", text))
    # 4
    revoked = verdict.revoked_at
    if revoked is not None and logged_at >= revoked:
        text = f"revoked {revoked.isoformat()}, logged {logged_at.isoformat()}"
        found.append(place.against(ClaimNo.KEYS_VALID, "KEY_REVOKED_BEFORE", text, keys=", ".join(verdict.signed_by)))
    return found


def is_sound(verdict: EnvelopeVerdict, logged_at: datetime, mirrored: datetime | None) -> bool:
    """Whether nothing speaks against a signature: what ``judge_signature`` and ``is_unproven`` find for most."""
    valid = verdict.status is VerdictStatus.VALID and verdict.revoked_at is None
    return valid and mirrored is not None and logged_at <= mirrored + MOST_AHEAD


def is_unproven(verdict: EnvelopeVerdict, logged_at: datetime, mirrored: datetime | None) -> bool:
    """Whether a key was revoked after the entry was logged by its owner's word, and before anybody else had seen it."""
    revoked = verdict.revoked_at
    return revoked is not None and logged_at < revoked and (mirrored is None or mirrored >= revoked)
