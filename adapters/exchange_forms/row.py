"""Builds one record from one row: every value with its source and rule, every fault with its cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from datetime import date
from decimal import Decimal
from typing import Final, Self

from google.protobuf.message import Message

from exchange.domain.codes import normalise, uscc_reasons
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import FieldProvenance
from exchange.v1.record_pb2 import Record
from exchange_forms.privacy import ID_REMOVED
from exchange_forms.sides.side import Side
from exchange_forms.sides.vocabulary import Vocabulary, text_key
from exchange_sheets import Cell, CellKind, NotADate, NotANumber, TableRow, read_date, read_decimal
from exchange_sheets.book import in_words

QUARANTINED_USCC_REASONS: Final = frozenset({"USCC_CHECK", "USCC_ORG_CODE", "USCC_REGION"})
"""Checks that real codes are known to fail: the row waits for a listed exception. A wrong shape has none."""

_OUTER = " \t\r\n\u3000\u00a0\ufeff\u200b"
_BROKEN: Final = {
    CellKind.ERROR: "CELL_ERROR",
    CellKind.NO_VALUE: "CELL_FORMULA_NO_VALUE",
    CellKind.NESTED: "CELL_NESTED",
}


def divided(text: str, dividers: str = "；;|\n") -> list[str]:
    """The parts of a list in one cell, without outer blanks and without empty ones."""
    parts = re.split(f"[{re.escape(dividers)}]+", text)
    return [part for part in (part.strip(_OUTER) for part in parts) if part]


def joined_texts(texts: Sequence[str]) -> str:
    """A list in one cell. An item that holds a divider itself is divided when it is read: it is counted as lost."""
    return "；".join(texts)


class RowMapping:
    """One row, or several that are joined, on the way to a record.

    A method that finds a fault notes it and answers as if the cell were empty: all faults of a row are listed.

    Attributes:
        row: The row that is read: the first one, or that of an item.
        rows: Every row of the record.
        person: Masked name of the subject where it is a natural person: a text that has it was masked.
    """

    def __init__(self, row: TableRow, side: Side, body: str, rows: Sequence[TableRow] = ()) -> None:
        """Start a record.

        Args:
            row: The row.
            side: The side's tables.
            body: Name of the body's field, as in ``credit_result``.
            rows: Every row of the record, where there are several.
        """
        self.row = row
        self.rows = tuple(rows) or (row,)
        self.side = side
        self.person = ""
        self.record = Record()
        self.problems: list[Problem] = []
        self.lines: list[FieldProvenance] = []
        self._prefix = f"{body}."
        body_message = getattr(self.record, body)
        body_message.SetInParent()
        self._body: object = body_message
        self._of_items: dict[tuple[str, str], tuple[FieldProvenance, str]] = {}
        self._is_item = False

    @property
    def body(self) -> Message:
        """What is filled: the record's body, or an item of one of its lists."""
        assert isinstance(self._body, Message)
        return self._body

    def item(self, row: TableRow, path: str) -> Self:
        """A new item of a list, read from a row of its own; faults and provenance go where those of the record go.

        All items of a list have one line of provenance for each field: its source is the first and the last cell.
        """
        view = copy(self)
        view.row = row
        view._prefix = f"{self._prefix}{path}."  # noqa: SLF001 - a copy of its own
        view._body = getattr(self._body, path).add()  # noqa: SLF001 - the same
        view._is_item = True  # noqa: SLF001 - the same
        return view

    def note(self, path: str, source: str, rule: str, *, lossy: bool = False) -> None:
        """Say where a field came from."""
        field = self._path(path)
        if self._is_item and (field, rule) in self._of_items:
            line, first = self._of_items[field, rule]
            line.source = f"{first}…{source}"
            line.lossy = line.lossy or lossy
            return
        self.lines.append(FieldProvenance(field=field, source=source, rule=rule, lossy=lossy))
        if self._is_item:
            self._of_items[field, rule] = (self.lines[-1], source)

    def fault(self, reason: str, cell: Cell | None, detail: str = "") -> None:
        """Note why the row can not be mapped."""
        problem = Problem(reason, cell.address if cell is not None else self.row.place, detail)
        if problem not in self.problems:
            self.problems.append(problem)

    def _path(self, path: str) -> str:
        return path if path.startswith("header.") else self._prefix + path

    def put(self, path: str, value: object, source: str, rule: str, *, lossy: bool = False) -> None:
        """Set a field, or add to a repeated one, and say where it came from."""
        target = self.record if path.startswith("header.") else self._body
        *parents, name = path.split(".")
        for parent in parents:
            target = getattr(target, parent)
        if isinstance(value, list):
            getattr(target, name).extend(value)
        else:
            setattr(target, name, value)
        self.note(path, source, rule, lossy=lossy)

    def cell(self, field: str, *, may_be_blank: bool = True) -> Cell | None:
        """The cell of a field; None where there is none, or it stands for an empty one, or is broken.

        Args:
            field: The field.
            may_be_blank: Words such as 无 stand for an empty cell.
        """
        cell = self.row.cells.get(field)
        if cell is None:
            return None
        if cell.kind in _BROKEN:
            self.fault(_BROKEN[cell.kind], cell)
            return None
        return None if may_be_blank and self.is_blank(cell) else cell

    def is_blank(self, cell: Cell) -> bool:
        """Whether a cell says that there is nothing, with a word such as 无. A broken one says nothing of the kind."""
        return cell.kind not in _BROKEN and text_key(cell.text) in self.side.blank

    def text(self, field: str, path: str, *, may_be_blank: bool = True) -> str:
        """A text as written, without outer blanks."""
        cell = self.cell(field, may_be_blank=may_be_blank)
        if cell is None:
            return ""
        text = cell.text.strip(_OUTER)
        if text:
            masked = self.person != "" and self.person in text
            rule = "masked" if masked else "as-written"
            self.put(path, text, cell.address, rule, lossy=masked or ID_REMOVED in text)
        return text

    def texts(self, field: str, path: str) -> list[str]:
        """A list of texts, divided by ；, | or line breaks."""
        cell = self.cell(field)
        if cell is None:
            return []
        found = divided(cell.text)
        if found:
            masked = self.person != "" and self.person in cell.text
            self.put(path, found, cell.address, "list", lossy=masked or ID_REMOVED in cell.text)
        return found

    def code(self, field: str, path: str) -> str:
        """A code: normalised text. A number has lost digits, and which ones is never guessed."""
        cell = self.code_cell(field)
        if cell is None:
            return ""
        code = normalise(cell.text)
        self.put(path, code, cell.address, "code", lossy=code != cell.text)
        return code

    def code_cell(self, field: str) -> Cell | None:
        """The cell of a code; a fault where it is a number or date."""
        cell = self.cell(field)
        if cell is not None and cell.kind is not CellKind.TEXT:
            self.fault("CELL_NUMERIC_CODE", cell)
            return None
        return cell

    def uscc(self, field: str, path: str) -> str:
        """A USCC; a fault where a check fails that only a listed exception can lift."""
        code = self.code(field, path)
        if code:
            for reason in uscc_reasons(code, self.side.domain.accepted_codes):
                if reason in QUARANTINED_USCC_REASONS:
                    self.fault(reason, self.row.cells[field])
        return code

    def day(self, field: str, path: str) -> date | None:
        """A date; the texts for no end leave the field empty and are noted."""
        cell = self.cell(field)
        if cell is None:
            return None
        if text_key(cell.text) in self.side.no_end:
            self.note(path, cell.address, "no-end", lossy=True)
            return None
        try:
            day = read_date(cell)
        except NotADate:
            self.fault("DATE_FORMAT", cell, in_words(cell.text, 20))
            return None
        if text_key(day.isoformat()) in self.side.no_end:
            self.note(path, cell.address, "no-end", lossy=True)
            return None
        self.put(path, day.isoformat(), cell.address, "date")
        return day

    def number(self, field: str) -> tuple[Decimal, Cell] | None:
        """A plain decimal number and its cell."""
        cell = self.cell(field)
        if cell is None:
            return None
        try:
            return read_decimal(cell), cell
        except NotANumber:
            self.fault("DECIMAL_FORMAT", cell, in_words(cell.text, 20))
            return None

    def choice(self, field: str, words: Vocabulary, reason: str) -> tuple[str, Cell] | None:
        """The meaning of a text from a closed list and its cell; a fault with ``reason`` where it is not listed."""
        cell = self.cell(field)
        if cell is None:
            return None
        value = words.find(cell.text)
        if value is None:
            self.fault(reason, cell, in_words(cell.text, 40))
            return None
        return value, cell
