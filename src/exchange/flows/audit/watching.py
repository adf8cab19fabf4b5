"""Long work is watched: somebody is told which part of it begins, how much that is, and as it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

WRITING: Final = "WRITING"
"""Entries that are exported."""
HASHING: Final = "HASHING"
"""Files whose digests are computed."""
READING: Final = "READING"
"""Entries that are read and looked at."""
SIGNATURES: Final = "SIGNATURES"
"""Entries whose signatures are verified."""
WALKING: Final = "WALKING"
"""Lines of the journal that are walked."""

Seen = Callable[[int], None]
"""Told how much more was done."""

Watch = Callable[[str, int], Seen]
"""Told that a part begins, and how much it is."""


def unwatched(_part: str, _total: int) -> Seen:
    """Nobody looks."""
    return _nothing


def _nothing(_count: int) -> None:
    pass
