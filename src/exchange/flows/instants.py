"""Instants as the tables keep them: microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799


def micros(at: datetime) -> int:
    """Microseconds of an aware instant."""
    return (at - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """The aware instant."""
    return _EPOCH + timedelta(microseconds=value)


def timestamp(value: int) -> Timestamp:
    """As a protobuf message."""
    seconds, rest = divmod(value, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def micros_of(value: Timestamp) -> int:
    """Microseconds of a protobuf message."""
    return value.seconds * 1_000_000 + value.nanos // 1000


def is_instant(value: Timestamp) -> bool:
    """Whether a message from outside is an instant of the years 1 to 9999, as its own rules want it."""
    return _FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < 1_000_000_000
