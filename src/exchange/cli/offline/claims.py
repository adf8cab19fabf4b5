"""The claims that a piece of evidence makes, each checked on its own so that the reader sees where it stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError

from exchange.cli.envelope_file import ExportedEnvelope, read_envelope
from exchange.cli.offline.trusted import Trusted
from exchange.crypto import sealing
from exchange.crypto.ed25519 import spoiled_cosignature, verify_cosignature, verify_note
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.receipts import MOST_AHEAD, Key, ReceiptRefused, in_use, plain, verify_receipt
from exchange.crypto.sm2.libcrypto import LibcryptoMissing
from exchange.crypto.trusted.node_card import TrustedKey
from exchange.domain import kinds
from exchange.tlog import note as note_format
from exchange.tlog import proof
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName, mirror_name, witness_name
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

_TYPES: Final = {note_format.COSIGNATURE_V1: "Ed25519", note_format.COSIGNATURE_ML_DSA_44: "ML-DSA-44"}


class Verdict(Enum):
    """About one claim."""

    HOLDS = "HOLDS"
    WRONG = "WRONG"
    UNDECIDED = "UNDECIDED"
    NOT_ASKED = "NOT_ASKED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One claim with its verdict.

    Attributes:
        name: Name in the group ``claim`` of the table of texts.
        detail: What was found; no text of the record's subject.
    """

    name: str
    verdict: Verdict
    detail: str = ""


def check_receipt(
    data: bytes, trusted: Trusted, chains: Mapping[bytes, tuple[tuple[bytes, ...], ...]]
) -> Iterator[Claim]:
    """The claims of a receipt, in the order in which each rests on the one before.

    1. The bytes are a tlog-proof in its one spelling, and carry their entry.
    2. The path leads from the entry to the checkpoint's root.
    3. The log's key signed the checkpoint.
    4. The log's addressee cosigned it: the entry is on its disk. Any other cosigner proves nothing.
    5. Both keys were in use at that time, by the bounds that cards and trust sets give them.
    6. Statement and log name the same parties, and it was logged not later than the cosigner saw it.
    7. The region's signing key signed the statement, where roots and certificate are known; it was not revoked before
       the cosigner saw the entry.

    Args:
        data: The receipt.
        trusted: What the caller believes.
        chains: Certificates that came with envelopes, by entry.
    """
    # 1
    try:
        receipt = proof.parse(data)
        checkpoint = receipt.checkpoint()
        log = LogName.parse(checkpoint.origin)
    except LogFormatError as error:
        yield Claim(name="FORM", verdict=Verdict.WRONG, detail=str(error))
        return
    if receipt.extra is None:
        yield Claim(name="FORM", verdict=Verdict.UNDECIDED, detail="the receipt does not carry its entry")
        return
    yield Claim(name="FORM", verdict=Verdict.HOLDS, detail=f"{checkpoint.origin} #{receipt.index}")
    # 2
    included = receipt.includes(receipt.extra)
    yield Claim(name="INCLUSION", verdict=_holds(included), detail=f"{receipt.index} < {checkpoint.size}")
    # 3
    note = receipt.checkpoint_note
    log_keys = [key for key in trusted.log_keys if plain(key).name == checkpoint.origin]
    signed = [key for key in log_keys if verify_note(note, plain(key)) is not None]
    yield Claim(name="LOG_SIGNATURE", verdict=_holds(bool(signed), known=bool(log_keys)), detail=checkpoint.origin)
    # 4
    rightful = [key for key in trusted.cosigners if _may_cosign(plain(key).name, log)]
    found = [(key, time) for key in rightful if (time := verify_cosignature(note, plain(key))) is not None]
    named = {line.name for line in note_format.parse(note).signatures}
    # Without a line by its key the addressee did not sign; without its key nobody can say.
    known = bool(rightful) or not any(_may_cosign(name, log) for name in named)
    shown = ", ".join(f"{plain(key).name} {_TYPES[plain(key).alg]} {_instant(time)}" for key, time in found)
    spoiled = spoiled_cosignature(note, [plain(key) for key in rightful])
    if spoiled:
        yield Claim(name="COSIGNATURE", verdict=Verdict.WRONG, detail=f"a line of {spoiled} does not verify")
    else:
        yield Claim(name="COSIGNATURE", verdict=_holds(bool(found), known=known), detail=shown)
    # 5
    mirrored = min((time for key, time in found if in_use(key, time)), default=None)
    yield _key_times(signed, found, mirrored)
    # 6, 7
    yield from _entry(receipt.extra, trusted, mirrored, log=log, chains=chains.get(receipt.extra, ()))


def mirrored_entry(data: bytes, trusted: Trusted) -> tuple[bytes, int] | None:
    """The entry of a receipt that holds, with its mirrored time in seconds; None where it proves nothing."""
    try:
        proven = verify_receipt(data, trusted.log_keys, _rightful(data, trusted))
    except (ReceiptRefused, LogFormatError):
        return None
    return proven.entry, int(proven.cosigned_at.timestamp())


def _rightful(data: bytes, trusted: Trusted) -> list[Key]:
    log = LogName.parse(proof.parse(data).checkpoint().origin)
    return [key for key in trusted.cosigners if _may_cosign(plain(key).name, log)]


def _key_times(signed: list[Key], found: list[tuple[Key, int]], mirrored: int | None) -> Claim:
    """Whether both keys were in use when the checkpoint was cosigned: the only time that it has."""
    name = "KEY_TIMES"
    if not signed or not found:
        return Claim(name=name, verdict=Verdict.NOT_ASKED, detail="a signature is missing")
    if mirrored is None:
        bounds = ", ".join(f"{plain(key).name} {_bounds(key)}" for key, _ in found)
        return Claim(name=name, verdict=Verdict.WRONG, detail=f"cosigned at a time that is not in {bounds}")
    if not any(in_use(key, mirrored, MOST_AHEAD) for key in signed):
        bounds = ", ".join(f"{plain(key).name} {_bounds(key)}" for key in signed)
        return Claim(name=name, verdict=Verdict.WRONG, detail=f"{_instant(mirrored)} is not in {bounds}")
    keys = [*signed, *(key for key, _ in found)]
    loose = sorted({plain(key).name for key in keys if not isinstance(key, TrustedKey)})
    if loose:
        detail = f"no [from, until) was given for {', '.join(loose)}"
        return Claim(name=name, verdict=Verdict.NOT_ASKED, detail=detail)
    return Claim(name=name, verdict=Verdict.HOLDS, detail=_instant(mirrored))


def _bounds(key: Key) -> str:
    if not isinstance(key, TrustedKey):
        return ""
    return f"[{key.valid_from.isoformat()}, {key.valid_until.isoformat() if key.valid_until else '-'})"


def check_envelope(data: bytes, trusted: Trusted, mirrored: Mapping[bytes, int]) -> Iterator[Claim]:
    """The claims of an exported envelope.

    1. The file is whole, and its entry holds this envelope.
    2. The body matches every commitment of the statement.
    3. It was logged not later than mirrored, where a receipt of the same entry says when that was.
    4. The region's signing key, certified at logged time, signed the statement, and was not revoked before the entry
       was mirrored.

    Args:
        data: The file.
        trusted: What the caller believes.
        mirrored: Mirrored time in seconds of entries whose receipts hold.

    Raises:
        Refused: Not such a file.
    """
    # 1
    exported = read_envelope(data)
    yield Claim(name="FORM", verdict=Verdict.HOLDS, detail=f"{len(exported.entry)} bytes")
    # 2
    yield _body(exported)
    # 3, 4
    yield from _entry(exported.entry, trusted, mirrored.get(exported.entry), chains=exported.chains, required=True)


def _body(exported: ExportedEnvelope) -> Claim:
    if exported.record is None:
        return Claim(name="BODY", verdict=Verdict.NOT_ASKED, detail="withheld or erased")
    try:
        statement = Statement.FromString(Envelope.FromString(exported.envelope).payload)
    except DecodeError:
        return Claim(name="BODY", verdict=Verdict.WRONG, detail="no statement")
    matches = sealing.matches(statement, exported.record, exported.salt)
    algorithms = ", ".join(each.algorithm for each in statement.commitments if each.algorithm in sealing.ALGORITHMS)
    return Claim(name="BODY", verdict=_holds(matches), detail=f"{len(exported.record)} bytes, {algorithms}")


def _entry(
    data: bytes,
    trusted: Trusted,
    cosigned: int | None,
    *,
    log: LogName | None = None,
    chains: tuple[tuple[bytes, ...], ...] = (),
    required: bool = False,
) -> Iterator[Claim]:
    """What the entry says: when it was logged, what was stated, and who signed it."""
    try:
        entry = LogEntry.FromString(data)
        statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
        logged_at = entry.logged_at.ToDatetime(UTC)
    except (DecodeError, ValueError, OverflowError):
        yield Claim(name="STATEMENT", verdict=Verdict.WRONG, detail="the entry holds no statement")
        return
    kind = kinds.spec(statement.kind).name if statement.kind in kinds.KINDS else str(int(statement.kind))
    what = f"{statement.origin} → {', '.join(statement.addressees)}: {kind} {statement.record_id}/{statement.revision}"
    yield Claim(name="STATEMENT", verdict=Verdict.HOLDS, detail=what)
    if log is not None:
        same = statement.origin.partition(".")[0] == log.node and (log.peer is None or log.peer in statement.addressees)
        yield Claim(name="PARTIES", verdict=_holds(same), detail=str(log))
    seen = datetime.fromtimestamp(cosigned, UTC) if cosigned is not None else None
    if seen is not None:
        times = f"{logged_at.isoformat()} ≤ {seen.isoformat()} + 5 min"
        yield Claim(name="TIMES", verdict=_holds(logged_at <= seen + MOST_AHEAD), detail=times)
    else:
        detail = f"{logged_at.isoformat()}; when it was mirrored, no receipt that holds says here"
        yield Claim(name="TIMES", verdict=Verdict.NOT_ASKED, detail=detail)
    yield from _signature(entry.envelope, statement, logged_at, seen, trusted, chains=chains, required=required)


def _signature(
    envelope: bytes,
    statement: Statement,
    logged_at: datetime,
    mirrored: datetime | None,
    trusted: Trusted,
    *,
    chains: tuple[tuple[bytes, ...], ...],
    required: bool,
) -> Iterator[Claim]:
    """Who signed the statement, by both times: certified when it was logged, not revoked when it was mirrored."""
    node, _, domain = statement.origin.partition(".")
    domain = domain or statement.federation
    roots = trusted.roots_of(node)
    chains = chains or ((trusted.chain,) if trusted.chain else ())
    missing = Verdict.UNDECIDED if required or trusted.require_asked else Verdict.NOT_ASKED
    if roots is None or not chains:
        lacking = "no signing roots of " + node if roots is None else "no signing certificate"
        yield Claim(name="STATEMENT_SIGNATURE", verdict=missing, detail=lacking)
        return
    lists = trusted.crls.get(node, b"")
    try:
        trust = SigningTrust.build(
            node=node,
            domain=domain,
            roots=roots,
            chains=[SigningChain(certificates=chain) for chain in chains],
            revocations=lists,
            require=trusted.require,
        )
        verdict = trust.verify(envelope, logged_at)
    except LibcryptoMissing as error:
        yield Claim(name="STATEMENT_SIGNATURE", verdict=Verdict.UNDECIDED, detail=str(error))
        return
    if verdict.status is VerdictStatus.KEY_UNKNOWN:
        yield Claim(name="STATEMENT_SIGNATURE", verdict=missing, detail=verdict.detail)
        return
    if verdict.status is not VerdictStatus.VALID:
        yield Claim(name="STATEMENT_SIGNATURE", verdict=Verdict.WRONG, detail=verdict.detail)
        return
    signed = [f"{name} {keyid[:16]}" for name, keyid in zip(verdict.algorithms, verdict.keyids, strict=True)]
    signed += [f"? {keyid[:16]}" for keyid in verdict.unknown]
    asked = ", ".join(trusted.require)
    yield Claim(name="STATEMENT_SIGNATURE", verdict=Verdict.HOLDS, detail=f"{', '.join(signed)}; required: {asked}")
    yield _revocation(verdict.revoked_at, logged_at, mirrored, given=bool(lists))
    # Which keys a region let sign, and from when to when, stands in its logs, of which nothing is here.
    yield Claim(name="ANNOUNCED", verdict=Verdict.NOT_ASKED)


def _revocation(revoked: datetime | None, logged_at: datetime, mirrored: datetime | None, *, given: bool) -> Claim:
    """A certificate that was revoked at R is believed for what was mirrored before R."""
    name = "NOT_REVOKED"
    if not given:
        return Claim(name=name, verdict=Verdict.NOT_ASKED, detail="no revocation list was given")
    if revoked is None:
        return Claim(name=name, verdict=Verdict.HOLDS)
    detail = f"revoked {revoked.isoformat()}, mirrored {mirrored.isoformat() if mirrored else '?'}"
    if mirrored is not None and mirrored < revoked:
        return Claim(name=name, verdict=Verdict.HOLDS, detail=detail)
    # Logged before and mirrored after, or nobody here knows when: a thief could have set that time.
    return Claim(name=name, verdict=Verdict.UNDECIDED if logged_at < revoked else Verdict.WRONG, detail=detail)


def _may_cosign(name: str, log: LogName) -> bool:
    """Whether a cosignature by that key says something: the addressee's mirror, or another node's witness."""
    if log.peer is not None:
        return name == mirror_name(log.peer, log.domain)
    return name.endswith(f".{log.domain}/witness") and name != witness_name(log.node, log.domain)


def _holds(true: bool, *, known: bool = True) -> Verdict:  # noqa: FBT001  (a verdict in the making)
    if true:
        return Verdict.HOLDS
    return Verdict.WRONG if known else Verdict.UNDECIDED


def _instant(time: int) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"@{time}"
