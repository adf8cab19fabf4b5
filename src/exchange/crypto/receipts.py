"""Verifying a receipt alone: entry, path, log's signature, cosignature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.trusted.node_card import TrustedKey
from exchange.domain.problems import ExchangeError
from exchange.tlog import proof
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey

MAX_UNIX_TIME = 253_402_300_799
"""Seconds: the last second of the year 9999, beyond which no instant can be shown."""

MOST_AHEAD = timedelta(minutes=5)
"""How far the clocks of a log's owner and its mirror may lie apart: the protocol's bound on logged time."""

Key = VerifierKey | TrustedKey
"""A verifier key, or one with the time of its use: then it counts within [from, until) alone."""


class ReceiptRefused(ExchangeError):
    """A receipt proves nothing; the text says which step failed."""

    reason = "RECEIPT_INVALID"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedReceipt:
    """Proof that an entry is in a log and on the cosigner's disk. Made by ``verify_receipt`` and nowhere else.

    Attributes:
        entry: The entry's bytes.
        index: Its index.
        checkpoint: The head that both signed.
        cosigner: Name of the cosigning key.
        cosigned_at: When it cosigned: the entry's mirrored time by that cosigner.
    """

    entry: bytes
    index: int
    checkpoint: Checkpoint
    cosigner: str
    cosigned_at: datetime


def verify_receipt(
    data: bytes, log_keys: Iterable[Key], cosigners: Iterable[Key], entry: bytes | None = None
) -> VerifiedReceipt:
    """Verify a receipt with keys that the caller trusts.

    1. The bytes are a tlog-proof in its one spelling.
    2. The entry is the one asked for, or the one that the receipt carries.
    3. The path leads from the entry to the checkpoint's root.
    4. A log key of that origin signed the checkpoint.
    5. A cosigner's key signed it too, at a time at which that key was in use.
    6. The log's key was in use at that time: a checkpoint has none of its own.

    Args:
        data: The receipt.
        log_keys: Keys of logs; the checkpoint's origin chooses among them.
        cosigners: Mirror keys of the addressee.
        entry: The entry's bytes where they are known; ``None`` takes the receipt's own.

    Raises:
        ReceiptRefused: A step failed.
    """
    # 1
    try:
        receipt = proof.parse(data)
        checkpoint = receipt.checkpoint()
    except LogFormatError as error:
        raise ReceiptRefused(str(error)) from None
    # 2
    if entry is None:
        entry = receipt.extra
    if entry is None:
        raise ReceiptRefused("the receipt does not carry its entry, and none was given")
    if receipt.extra is not None and receipt.extra != entry:
        raise ReceiptRefused("the receipt is for another entry")
    # 3
    if not receipt.includes(entry):
        raise ReceiptRefused("the path does not lead from the entry to the checkpoint")
    # 4
    named = [key for key in log_keys if plain(key).name == checkpoint.origin]
    if not named:
        raise ReceiptRefused(f"no key of the log {checkpoint.origin} is trusted")
    signed = [key for key in named if verify_note(receipt.checkpoint_note, plain(key)) is not None]
    if not signed:
        raise ReceiptRefused("the log's key did not sign the checkpoint")
    # 5
    found = [
        (time, key)
        for key in cosigners
        if (time := verify_cosignature(receipt.checkpoint_note, plain(key))) is not None
    ]
    if not found:
        raise ReceiptRefused("no trusted cosigner signed the checkpoint")
    times = [(time, plain(key)) for time, key in found if in_use(key, time)]
    if not times:
        raise ReceiptRefused("the cosigner's key was not in use when it signed")
    time, key = min(times, key=lambda pair: pair[0])
    # 6
    if not any(in_use(each, time, MOST_AHEAD) for each in signed):
        raise ReceiptRefused("the log's key was not in use when the checkpoint was cosigned")
    return VerifiedReceipt(
        entry=entry,
        index=receipt.index,
        checkpoint=checkpoint,
        cosigner=key.name,
        cosigned_at=datetime.fromtimestamp(time, UTC),
    )


def plain(key: Key) -> VerifierKey:
    """The verifier key alone."""
    return key.key if isinstance(key, TrustedKey) else key


def in_use(key: Key, time: int, tolerance: timedelta = timedelta(0)) -> bool:
    """Whether a key was in use at a time; one without bounds always was.

    Args:
        key: With or without bounds.
        time: Seconds of unix time, as cosignatures have it.
        tolerance: How far the clock that bounded the key may lie apart from the one that gave the time.
    """
    if not isinstance(key, TrustedKey):
        return True
    if not 0 <= time <= MAX_UNIX_TIME:
        return False
    at = datetime.fromtimestamp(time, UTC)
    return key.valid_from - tolerance <= at and (key.valid_until is None or at < key.valid_until + tolerance)
