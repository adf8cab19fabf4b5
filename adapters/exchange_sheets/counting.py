"""Keeps a document within the limits while it is read."""

from __future__ import annotations

from typing import Final

from exchange.domain.problems import DocumentRefused, Problem
from exchange_sheets import limits

TOO_LARGE: Final = "DOCUMENT_TOO_LARGE"
DAMAGED: Final = "FILE_DAMAGED"
FILE_TYPE: Final = "FILE_TYPE"
ENCODING: Final = "ENCODING_UNKNOWN"


def refused(reason: str, detail: str, place: str = "") -> DocumentRefused:
    """The refusal of a whole document for one reason."""
    return DocumentRefused([Problem(reason, place, detail)])


class Budget:
    """What a document has used of the limits, over all of its sheets."""

    def __init__(self) -> None:
        self._rows = 0
        self._cells = 0
        self._chars = 0
        self._merges = 0

    def row(self) -> None:
        """Count a row with content.

        Raises:
            DocumentRefused: There are too many.
        """
        self._rows += 1
        if self._rows > limits.MAX_ROWS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_ROWS} rows")

    def cell(self, column: int, text: str, place: str) -> None:
        """Count a cell with content.

        Raises:
            DocumentRefused: There are too many, it stands too far right, or there is too much text.
        """
        if column > limits.MAX_COLUMNS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_COLUMNS} columns", place)
        if len(text) > limits.MAX_CELL_CHARS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_CELL_CHARS} characters in a cell", place)
        self._cells += 1
        self._chars += len(text)
        if self._cells > limits.MAX_CELLS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_CELLS} cells")
        if self._chars > limits.MAX_TEXT_CHARS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_TEXT_CHARS} characters of text")

    def merge(self) -> None:
        """Count a merged range.

        Raises:
            DocumentRefused: There are too many.
        """
        self._merges += 1
        if self._merges > limits.MAX_MERGES:
            raise refused(TOO_LARGE, f"more than {limits.MAX_MERGES} merged ranges")
