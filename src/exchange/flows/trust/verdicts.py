"""Verdicts on envelopes: verified once when they are mirrored, judged again by apply without the arithmetic."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from exchange.flows.context import Peer
from exchange.flows.instants import instant, micros
from exchange.v1.statement_pb2 import Envelope

_KEY_ID = re.compile(r"[0-9a-f]{64}")

KEPT = 65_536
"""Verdicts kept between mirroring and applying: a few full batches of every lane; about 50 MB at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of an envelope.

    Attributes:
        status: ``VALID``, ``KEY_UNKNOWN``, ``UNTRUSTED_SIGNATURE`` or ``SIGNATURE_MISSING``.
        key_id: Key that it is about.
        revoked_at: When its certificate was revoked, in microseconds; None when it was not.
    """

    status: str
    key_id: str
    revoked_at: int | None


_lock = threading.Lock()
_kept: OrderedDict[tuple[str, int, int, bytes], Verdict] = OrderedDict()


def verdict_of(peer: Peer, envelope: bytes, logged_at: int) -> Verdict:
    """The verdict on one envelope at its logged time; a verdict of bytes, so it can be kept while trust stands."""
    key = (peer.name, peer.edition, logged_at, envelope)
    with _lock:
        known = _kept.get(key)
    if known is not None:
        return known
    found = peer.signing.verify(envelope, instant(logged_at))
    verdict = Verdict(
        str(found.status),
        found.keyids[0] if found.keyids else _hinted_key(envelope, found.unknown),
        micros(found.revoked_at) if found.revoked_at else None,
    )
    with _lock:
        _kept[key] = verdict
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return verdict


def _hinted_key(envelope: bytes, unknown: Sequence[str]) -> str:
    """The key that an undecided envelope is about: the first unknown one that it names, else that it names at all."""
    try:
        named = [*unknown, *(signature.keyid for signature in Envelope.FromString(envelope).signatures[:1])]
    except DecodeError:
        return ""
    return next((keyid for keyid in named if _KEY_ID.fullmatch(keyid)), "")


def signing_keys(envelope: bytes) -> tuple[str, ...]:
    """Key ids that the signatures of an envelope name; empty when one of them names none."""
    try:
        named = tuple(each.keyid for each in Envelope.FromString(envelope).signatures)
    except DecodeError:
        return ()
    return named if all(_KEY_ID.fullmatch(each) for each in named) else ()


def verify_ahead(peer: Peer, envelopes: Sequence[tuple[bytes, int]]) -> None:
    """Verify envelopes now, so that apply finds the verdicts."""
    for envelope, logged_at in envelopes:
        verdict_of(peer, envelope, logged_at)
