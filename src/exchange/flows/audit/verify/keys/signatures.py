"""Who signed the statements of a log, by both times; what is in doubt is told apart, and may be stated again."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from google.protobuf.message import DecodeError

from exchange.crypto.envelope_verifier import EnvelopeVerdict, VerdictStatus
from exchange.crypto.receipts import MOST_AHEAD
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.keys.statements import MirroredTimes, Place, SigningKeys, read_entry
from exchange.flows.audit.verify.material.disk import Entries, Material
from exchange.flows.audit.verify.material.tree_check import WIDTH
from exchange.flows.instants import instant, is_instant, micros_of
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import run_of
from exchange.v1.statement_pb2 import Envelope, LogEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """An entry under a region's key of which the times do not prove that the key was good when it signed.

    Attributes:
        payload: SHA-256 of the statement's bytes: by these it is found again where it was stated anew.
        kind: What it states.
        mirrored: When somebody else had seen it first; None where nobody is known to have.
        revoked: When the key was revoked; None where the entry claims a time behind its own mirroring.
        keys: Whose signatures verify.
    """

    place: Place
    payload: bytes
    kind: int
    logged_at: datetime
    mirrored: datetime | None
    revoked: datetime | None
    keys: tuple[str, ...]


@dataclass(slots=True)
class SignatureResult:
    """What the signatures of some bundles came to.

    Attributes:
        signed: How many statements the region's keys signed.
        unknown: Key ids of no known certificate, each with the first place.
        doubts: Entries that their times do not prove.
        unmirrored: How many no cosignature covers.
        rootless: Whether the region's roots are not believed.
        last: The last entry that each key signed.
    """

    against: list[Against] = field(default_factory=list)
    signed: int = 0
    unknown: dict[str, Place] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    unmirrored: int = 0
    rootless: bool = False
    algorithms: set[str] = field(default_factory=set)
    last: dict[str, int] = field(default_factory=dict)


def check_signatures(
    disk: Material,
    log: LogAbout,
    numbers: Sequence[int],
    keys: SigningKeys,
    times: MirroredTimes,
    digests: Sequence[bytes],
) -> SignatureResult:
    """Judge the envelopes of some bundles.

    1. The region's key signed the statement. By an unknown key is no finding.
    2. Its certificate was valid when the entry was logged.
    3. It was logged not later than mirrored, and five minutes.
    4. Where the key was revoked, somebody else had seen the entry before.

    What 3 and 4 find is in doubt: the region may have stated it again.

    Args:
        disk: The folder.
        log: The log.
        numbers: Bundles.
        keys: The regions' signing keys.
        times: When entries were mirrored.
        digests: Of each bundle as it was read first: what is signed has to be what hashes to the root.
    """
    result = SignatureResult()
    name = LogName.parse(log.origin)
    trust = keys.of(name.node, name.domain)
    if trust is None:
        result.rootless = True
        return result
    for number, entries, is_same in _bundles(disk, log, numbers, digests):
        if not is_same:
            place = Place(log=log.origin, index=number * WIDTH, file=entries.file, byte=0)
            result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "READ_AGAIN_DIFFERS"))
            continue
        for at, (byte, data) in enumerate(entries.found):
            index = number * WIDTH + at
            entry = _entry(data)
            if entry is None:
                continue  # told when it was read
            logged_at, mirrored = instant(micros_of(entry.logged_at)), times.at(index)
            verdict = trust.verify(entry.envelope, logged_at)
            result.last.update(dict.fromkeys(verdict.keyids, index))
            if is_sound(verdict, logged_at, mirrored):
                result.signed += 1
                result.algorithms.update(verdict.algorithms)
                continue
            place = Place(log=log.origin, index=index, file=entries.file, byte=byte)
            if verdict.statement is None:
                # What holds no statement was told when it was read.
                if read_entry(data) is not None:
                    result.against.append(place.against(ClaimNo.SIGNED, str(verdict.status), verdict.detail))
                continue
            result.unmirrored += mirrored is None
            # 1
            if verdict.status is VerdictStatus.KEY_UNKNOWN:
                result.unknown.setdefault(next(iter(verdict.unknown), ""), place)
            elif not verdict.signed_by or verdict.status is VerdictStatus.SIGNATURE_MISSING:
                result.against.append(place.against(ClaimNo.SIGNED, str(verdict.status), verdict.detail))
            # 2
            elif verdict.status is not VerdictStatus.VALID:
                found = place.against(
                    ClaimNo.KEYS_VALID, "CERTIFICATE_INVALID", verdict.detail, logged_at=logged_at.isoformat()
                )
                result.against.append(found)
            else:
                result.signed += 1
                result.algorithms.update(verdict.algorithms)
                # 3, 4
                if _is_ahead(logged_at, mirrored) or _is_revoked(verdict, mirrored):
                    result.doubts.append(_doubt(verdict, entry.envelope, place, logged_at, mirrored))
    return result


def find_again(
    disk: Material,
    log: LogAbout,
    numbers: Sequence[int],
    keys: SigningKeys,
    times: MirroredTimes,
    digests: Sequence[bytes],
    sought: Container[bytes],
) -> set[bytes]:
    """Which of some statements stand in some bundles with nothing against them, by digest of their bytes."""
    name = LogName.parse(log.origin)
    trust = keys.of(name.node, name.domain)
    found: set[bytes] = set()
    if trust is None:
        return found
    for number, entries, is_same in _bundles(disk, log, numbers, digests):
        if not is_same:
            continue  # told when it was judged, or changed since: then it confirms nothing
        for at, (_, data) in enumerate(entries.found):
            entry = _entry(data)
            payload = _payload(entry.envelope) if entry is not None else b""
            if entry is None or payload not in sought:
                continue
            logged_at, mirrored = instant(micros_of(entry.logged_at)), times.at(number * WIDTH + at)
            if is_sound(trust.verify(entry.envelope, logged_at), logged_at, mirrored):
                found.add(payload)
    return found


def _bundles(
    disk: Material, log: LogAbout, numbers: Sequence[int], digests: Sequence[bytes]
) -> Iterator[tuple[int, Entries, bool]]:
    """Bundles by number, and whether each still holds the bytes that were read first."""
    for number, digest in zip(numbers, digests, strict=True):
        run = run_of(log.size, number)
        assert run is not None, "bundles are numbered by the log's size"
        entries = disk.entries(log, run)
        yield number, entries, entries.digest == digest


def is_sound(verdict: EnvelopeVerdict, logged_at: datetime, mirrored: datetime | None) -> bool:
    """Whether nothing speaks against a signature, nor leaves it in doubt."""
    return (
        verdict.status is VerdictStatus.VALID
        and mirrored is not None
        and not _is_ahead(logged_at, mirrored)
        and not _is_revoked(verdict, mirrored)
    )


def _is_ahead(logged_at: datetime, mirrored: datetime | None) -> bool:
    return mirrored is not None and logged_at > mirrored + MOST_AHEAD


def _is_revoked(verdict: EnvelopeVerdict, mirrored: datetime | None) -> bool:
    """Whether a key was revoked before anybody else had seen the entry; what its owner's clock says proves nothing."""
    return verdict.revoked_at is not None and (mirrored is None or mirrored >= verdict.revoked_at)


def _doubt(
    verdict: EnvelopeVerdict, envelope: bytes, place: Place, logged_at: datetime, mirrored: datetime | None
) -> Doubt:
    assert verdict.statement is not None
    return Doubt(
        place=place,
        payload=_payload(envelope),
        kind=verdict.statement.kind,
        logged_at=logged_at,
        mirrored=mirrored,
        revoked=verdict.revoked_at if _is_revoked(verdict, mirrored) else None,
        keys=verdict.signed_by,
    )


def _entry(data: bytes) -> LogEntry | None:
    try:
        entry = LogEntry.FromString(data)
    except DecodeError:
        return None
    return entry if is_instant(entry.logged_at) else None


def _payload(envelope: bytes) -> bytes:
    try:
        return sha256(Envelope.FromString(envelope).payload).digest()
    except DecodeError:
        return b""
