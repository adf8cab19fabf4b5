"""Verdicts on envelopes: verified once when they are mirrored, judged again by apply without the arithmetic."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from exchange.crypto.envelope_verifier import SigningTrust
from exchange.flows.instants import instant

KEPT = 65_536
"""Verdicts kept between mirroring and applying: a few full batches of every lane; about 50 MB at most."""

Verdict = tuple[str, str]
"""``VALID``, ``KEY_UNKNOWN`` or ``UNTRUSTED_SIGNATURE``, with the key id that it is about."""

_lock = threading.Lock()
_kept: OrderedDict[tuple[int, int, bytes], Verdict] = OrderedDict()


def verdict_of(trust: SigningTrust, envelope: bytes, logged_at: int) -> Verdict:
    """The verdict on one envelope at its logged time; a verdict of bytes, so it can be kept while trust stands."""
    key = (trust.edition, logged_at, envelope)
    with _lock:
        known = _kept.get(key)
    if known is not None:
        return known
    verdict = trust.verify(envelope, instant(logged_at))
    result = (str(verdict.status), verdict.keyids[0] if verdict.keyids else "")
    with _lock:
        _kept[key] = result
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return result


def verify_ahead(trust: SigningTrust, envelopes: Sequence[tuple[bytes, int]]) -> None:
    """Verify envelopes now, so that apply finds the verdicts."""
    for envelope, logged_at in envelopes:
        verdict_of(trust, envelope, logged_at)
