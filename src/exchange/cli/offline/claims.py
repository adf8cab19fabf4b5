"""The claims that a piece of evidence makes, each checked on its own so that the reader sees where it stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError

from exchange.cli.envelope_file import ExportedEnvelope, read_envelope
from exchange.cli.offline.trusted import Trusted
from exchange.crypto import sealing
from exchange.crypto.ed25519 import spoiled_cosignature, verify_cosignature, verify_note
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.domain import kinds
from exchange.tlog import note as note_format
from exchange.tlog import proof
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName, mirror_name, witness_name
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

_TYPES: Final = {note_format.COSIGNATURE_V1: "Ed25519", note_format.COSIGNATURE_ML_DSA_44: "ML-DSA-44"}

MOST_AHEAD: Final = timedelta(minutes=5)
"""How far logged time may lie behind mirrored time: the protocol's bound."""


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


def check_receipt(data: bytes, trusted: Trusted) -> Iterator[Claim]:
    """The claims of a receipt, in the order in which each rests on the one before.

    1. The bytes are a tlog-proof in its one spelling, and carry their entry.
    2. The path leads from the entry to the checkpoint's root.
    3. The log's key signed the checkpoint.
    4. The log's addressee cosigned it: the entry is on its disk. Any other cosigner proves nothing.
    5. Statement and log name the same parties, and it was logged not later than the cosigner saw it.
    6. The region's signing key signed the statement, where roots and certificate are known.
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
    log_keys = [key for key in trusted.log_keys if key.name == checkpoint.origin]
    signed = any(verify_note(receipt.checkpoint_note, key) is not None for key in log_keys)
    yield Claim(name="LOG_SIGNATURE", verdict=_holds(signed, known=bool(log_keys)), detail=checkpoint.origin)
    # 4
    note = receipt.checkpoint_note
    rightful = [key for key in trusted.cosigners if _may_cosign(key.name, log)]
    found = [(key, time) for key in rightful if (time := verify_cosignature(note, key)) is not None]
    times = {key.name: time for key, time in found}
    named = {line.name for line in note_format.parse(note).signatures}
    # Without a line by its key the addressee did not sign; without its key nobody can say.
    known = bool(rightful) or not any(_may_cosign(name, log) for name in named)
    shown = ", ".join(f"{key.name} {_TYPES[key.alg]} {_instant(time)}" for key, time in found)
    spoiled = spoiled_cosignature(note, rightful)
    if spoiled:
        yield Claim(name="COSIGNATURE", verdict=Verdict.WRONG, detail=f"a line of {spoiled} does not verify")
    else:
        yield Claim(name="COSIGNATURE", verdict=_holds(bool(times), known=known), detail=shown)
    # 5, 6
    yield from _entry(receipt.extra, trusted, min(times.values(), default=None), log=log)


def check_envelope(data: bytes, trusted: Trusted) -> Iterator[Claim]:
    """The claims of an exported envelope.

    1. The file is whole, and its entry holds this envelope.
    2. The body matches every commitment of the statement.
    3. The region's signing key, certified at logged time, signed the statement.

    Raises:
        Refused: Not such a file.
    """
    # 1
    exported = read_envelope(data)
    yield Claim(name="FORM", verdict=Verdict.HOLDS, detail=f"{len(exported.entry)} bytes")
    # 2
    yield _body(exported)
    # 3
    yield from _entry(exported.entry, trusted, None, chains=exported.chains, required=True)


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
    if cosigned is not None:
        behind = logged_at <= datetime.fromtimestamp(cosigned, UTC) + MOST_AHEAD
        yield Claim(name="TIMES", verdict=_holds(behind), detail=f"{logged_at.isoformat()}")
    node, _, domain = statement.origin.partition(".")
    domain = domain or statement.federation
    roots = trusted.roots_of(node)
    chains = chains or ((trusted.chain,) if trusted.chain else ())
    missing = Verdict.UNDECIDED if required else Verdict.NOT_ASKED
    if roots is None or not chains:
        lacking = "no signing roots of " + node if roots is None else "no signing certificate"
        yield Claim(name="STATEMENT_SIGNATURE", verdict=missing, detail=lacking)
        return
    trust = SigningTrust.build(
        node=node,
        domain=domain,
        roots=roots,
        chains=[SigningChain(certificates=chain) for chain in chains],
        revocations=trusted.crls.get(node, b""),
    )
    verdict = trust.verify(entry.envelope, logged_at)
    if verdict.status is VerdictStatus.KEY_UNKNOWN:
        yield Claim(name="STATEMENT_SIGNATURE", verdict=missing, detail=verdict.detail)
        return
    holds = verdict.status is VerdictStatus.VALID
    revoked = verdict.revoked_at
    if holds and revoked is not None and (cosigned is None or datetime.fromtimestamp(cosigned, UTC) >= revoked):
        yield Claim(name="STATEMENT_SIGNATURE", verdict=Verdict.UNDECIDED, detail=f"revoked {revoked.isoformat()}")
        return
    signed = [f"{name} {keyid[:16]}" for name, keyid in zip(verdict.algorithms, verdict.keyids, strict=True)]
    signed += [f"? {keyid[:16]}" for keyid in verdict.unknown]
    detail = verdict.detail or ", ".join(signed)
    yield Claim(name="STATEMENT_SIGNATURE", verdict=_holds(holds), detail=detail)


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
