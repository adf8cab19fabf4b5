"""Ranges that overlap, walked so that each index comes once: many decisions about one long log stay linear."""

from __future__ import annotations

from array import array
from collections.abc import Iterator


class Skips:
    """Indices of a log that no range has had yet.

    Args:
        size: Entries of the log.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._next = array("q", range(size + 1))

    def fresh(self, first: int, end: int) -> Iterator[int]:
        """Indices of a range that no earlier one had, rising; those are had then."""
        index, end = self._from(max(0, first)), min(end, self._size)
        while index < end:
            self._next[index] = index + 1
            yield index
            index = self._from(index + 1)

    def _from(self, index: int) -> int:
        """The first index from here on that was not had; every step on the way is shortened."""
        at = index = min(index, self._size)
        while self._next[at] != at:
            at = self._next[at]
        while self._next[index] != at:
            index, self._next[index] = self._next[index], at
        return at
