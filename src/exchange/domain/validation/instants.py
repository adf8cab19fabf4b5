"""Instants of records against the day of the node that validates."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.kinds import NATIVE_TIME_ZONE
from exchange.domain.validation.findings import Findings
from exchange.domain.validation.limits import EARLIEST_SECOND

DAY: Final = 86_400
"""Seconds of a day."""


@lru_cache(maxsize=16)
def end_of_day(today: str) -> int:
    """Unix time at which a day ends in UTC+8."""
    start = datetime.combine(date.fromisoformat(today), time(), NATIVE_TIME_ZONE)
    return int(start.timestamp()) + DAY


def check_past(found: Findings, at: Timestamp, place: str, *, given: bool) -> None:
    """An instant of something that has happened: not before 1990, and not after tomorrow by the node's day.

    Args:
        found: Where broken rules go.
        at: The instant.
        place: Its field path.
        given: Whether the field is set.
    """
    if not given:
        found.add("TIME_MISSING", place)
    elif not EARLIEST_SECOND <= at.seconds <= end_of_day(found.today) + DAY:
        found.add("TIME_RANGE", place)
