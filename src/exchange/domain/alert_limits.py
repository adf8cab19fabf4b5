"""How long a duty desk has to answer an alert, by level of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.v1.alert_pb2 import AlertLevel

MAX_MINUTES: Final = 24 * 60
"""A limit beyond a day is none."""

_LEVELS: Final = {AlertLevel.Name(level).removeprefix("ALERT_LEVEL_"): level for level in AlertLevel.values() if level}


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertLimits:
    """The limits of one edition.

    Attributes:
        by_level: Time from arrival, for every level.
    """

    edition: str
    source: str
    by_level: Mapping[int, timedelta]

    def of(self, level: int) -> timedelta:
        """The time for a level; the shortest one for a level that this edition does not know."""
        return self.by_level.get(level) or min(self.by_level.values())


def load_alert_limits(file: Row) -> AlertLimits:
    """Read ``alert_limits.toml``.

    Raises:
        TableError: A level is missing, unknown or listed twice, or its time is none.
    """
    by_level: dict[int, timedelta] = {}
    for row in file.rows("limit"):
        minutes = row.whole("minutes")
        if not 1 <= minutes <= MAX_MINUTES:
            raise row.wrong("minutes", f"must be 1 to {MAX_MINUTES}")
        for name in row.texts("levels"):
            level = _LEVELS.get(name)
            if level is None or level in by_level:
                raise row.wrong("levels", f"{name} is no level, or is listed twice")
            by_level[level] = timedelta(minutes=minutes)
        row.end()
    missing = [name for name, level in _LEVELS.items() if level not in by_level]
    if missing:
        raise file.wrong("limit", f"no time for {', '.join(missing)}")
    limits = AlertLimits(edition=file.text("edition"), source=file.text("source"), by_level=by_level)
    file.text("status")
    file.end()
    return limits
