"""Signing chains as key announcements carry them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.crypto.envelope_verifier import SigningChain
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyUse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def chains_of(keys: Iterable[AnnouncedKey]) -> list[SigningChain]:
    """The signing chains among announced keys."""
    return [
        SigningChain(
            certificates=tuple(key.chain),
            valid_from=_instant(key.valid_from) if key.HasField("valid_from") else None,
            valid_until=_instant(key.valid_until) if key.HasField("valid_until") else None,
            revoked_at=_instant(key.revoked_at) if key.HasField("revoked_at") else None,
        )
        for key in keys
        if key.use == KeyUse.KEY_USE_SIGNING and key.chain
    ]


def _instant(value: Timestamp) -> datetime:
    """As tables keep instants, in microseconds: an announcement is judged alike from its bytes and from its row.

    A day that no calendar has counts as the nearest one that it has.
    """
    since = max(_FIRST, min(value.seconds * 1_000_000 + value.nanos // 1000, _LAST))
    return _EPOCH + timedelta(microseconds=since)
