"""Verdicts on envelopes: verified once when they are mirrored, judged again by apply without the arithmetic."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError

from exchange.flows.context import Peer
from exchange.flows.instants import instant, micros
from exchange.v1.statement_pb2 import Envelope

_KEY_ID = re.compile(r"[0-9a-f]{64}")

KEPT = 65_536
"""Verdicts kept between mirroring and applying: a few full batches of every lane; about 50 MB at most."""

VERDICTS = 256
"""Different verdicts kept: one or two for each key that signs."""


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
    # Reading one key needs no lock: whoever misses what another thread is about to keep finds the same.
    known = _kept.get((peer.name, peer.edition, logged_at, envelope))
    if known is not None:
        return known
    verdict = _found(peer, envelope, logged_at)
    _keep({(peer.name, peer.edition, logged_at, envelope): verdict})
    return verdict


def _found(peer: Peer, envelope: bytes, logged_at: int) -> Verdict:
    found = peer.signing.verify(envelope, instant(logged_at))
    return _verdict(
        found.status.value,
        found.keyids[0] if found.keyids else _hinted_key(envelope, found.unknown),
        micros(found.revoked_at) if found.revoked_at else None,
    )


@lru_cache(maxsize=VERDICTS)
def _verdict(status: str, key_id: str, revoked_at: int | None) -> Verdict:
    """Verdicts are few, and kept by the thousand: those of one key are one."""
    return Verdict(status, key_id, revoked_at)


def _keep(verdicts: Mapping[tuple[str, int, int, bytes], Verdict]) -> None:
    with _lock:
        _kept.update(verdicts)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)


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
    name, edition = peer.name, peer.edition
    wanted = [(name, edition, logged_at, envelope) for envelope, logged_at in envelopes]
    _keep({key: _found(peer, key[3], key[2]) for key in wanted if key not in _kept})
