"""Finds the table in a sheet: the header row below titles and notes, and the rows above totals and signatures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from exchange.domain.problems import Problem
from exchange_sheets.annotating import is_answer_heading
from exchange_sheets.book import Cell, Sheet, SheetRow, in_words
from exchange_sheets.limits import HEADER_SEARCH_ROWS

ROW_SKIPPED: Final = "ROW_SKIPPED"
"""Remark: a total, note, signature, repeated header, column-number or example row."""

ROW_EMPTY: Final = "ROW_EMPTY"
"""Remark: a row that has nothing in any column that a field was found for, but perhaps its number."""

IGNORED: Final = "ignored"
"""Field of columns that say nothing of a fact, such as 序号."""

EXAMPLE_MARK: Final = "示例"
"""First cell of an example row in a form."""

_REMEMBERED_CHARS: Final = 64
"""Characters of a text that is remembered: a longer one is no heading, and takes memory."""

_SPACES = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_TAIL = r"(?:[:(0-9共].*)?"
_TOTAL = re.compile(r"(?:本页)?(?:合计|总计|小计|共计|汇总)" + _TAIL, re.DOTALL)
_NOTE = re.compile(
    r"(?:注|备注|说明|填表说明|填表人|填报人|制表人|审核人|负责人|单位负责人|填报单位|填报日期|联系人|联系电话)"
    + _TAIL,
    re.DOTALL,
)
_ORDINAL = re.compile(r"\(?([0-9]{1,3})\)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row of facts.

    Attributes:
        number: As in :class:`SheetRow`.
        cells: Cells that are not blank, by the caller's field.
        source: The whole row, with columns that no field was found for, without answers of an earlier round.
    """

    number: int
    place: str
    cells: Mapping[str, Cell]
    source: SheetRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table of a sheet.

    Attributes:
        sheet: Name of the sheet.
        header: Number of the header row.
        headings: By field: the header cell.
        columns: By field: the column number.
        unknown: Header cells that no field was found for.
        twice: Header cells of a field that an earlier column has already.
        remarks: Rows that are no facts.
    """

    sheet: str
    header: int
    headings: Mapping[str, Cell]
    columns: Mapping[str, int]
    unknown: tuple[Cell, ...]
    twice: tuple[Cell, ...]
    rows: tuple[TableRow, ...]
    remarks: tuple[Problem, ...]


def heading_key(text: str) -> str:
    """A heading for comparison: NFKC, upper case, no blanks, no mark of a mandatory column, no final colon.

    What stands in parentheses stays: it is often the unit.
    """
    return _short_key(text) if len(text) <= _REMEMBERED_CHARS else _key(text)


def _key(text: str) -> str:
    return _SPACES.sub("", unicodedata.normalize("NFKC", text)).strip("*").rstrip(":").upper()


# A header is looked for by the headings of every layout that a side has: the same few rows again and again.
_short_key = lru_cache(maxsize=4096)(_key)


def find_table(
    sheet: Sheet,
    aliases: Mapping[str, str],
    *,
    required: Collection[Collection[str]],
    identifying: Collection[str],
) -> Table | None:
    """Find the table of a sheet.

    The header is the row among the first ones with content that names the most fields; of equals the first. Of a
    header of two rows with merged cells that is the lower one, because it has the detail.

    Args:
        sheet: A sheet.
        aliases: Field by heading, as :func:`heading_key` makes them.
        required: Groups of fields; a header has at least one of each group.
        identifying: Fields of which a row of facts has at least one: a total or signature has none.

    Returns:
        The table, or None when the sheet has no such header.
    """
    best: tuple[int, int] | None = None
    for index, row in enumerate(sheet.rows[:HEADER_SEARCH_ROWS]):
        fields = {aliases[key] for key in map(heading_key, _texts(row)) if key in aliases}
        if all(any(field in fields for field in group) for group in required) and (
            best is None or len(fields) > best[0]
        ):
            best = (len(fields), index)
    if best is None:
        return None
    header = sheet.rows[best[1]]
    headings: dict[str, Cell] = {}
    columns: dict[str, int] = {}
    unknown: list[Cell] = []
    twice: list[Cell] = []
    for column, cell in header.cells.items():
        field = aliases.get(heading_key(cell.text))
        if field is None:
            if not is_answer_heading(cell.text):
                unknown.append(cell)
        elif field in headings:
            twice.append(cell)
        else:
            headings[field] = cell
            columns[field] = column
    rows, remarks = _rows(sheet.rows[best[1] + 1 :], header, columns, identifying)
    return Table(
        sheet=sheet.name,
        header=header.number,
        headings=headings,
        columns=columns,
        unknown=tuple(unknown),
        twice=tuple(twice),
        rows=tuple(rows),
        remarks=tuple(remarks),
    )


def _rows(
    below: Sequence[SheetRow], header: SheetRow, columns: Mapping[str, int], identifying: Collection[str]
) -> tuple[list[TableRow], list[Problem]]:
    """Rows of facts below a header, and a remark for each other one."""
    rows: list[TableRow] = []
    remarks: list[Problem] = []
    answers = {column for column, cell in header.cells.items() if is_answer_heading(cell.text)} - set(columns.values())
    for row in below:
        source = replace(row, cells={n: cell for n, cell in row.cells.items() if n not in answers}) if answers else row
        if not source.cells:
            continue
        cells = {field: source.cells[column] for field, column in columns.items() if column in source.cells}
        if _is_facts(source, cells, header, identifying):
            if any(field != IGNORED for field in cells):
                rows.append(TableRow(number=source.number, place=source.place, cells=cells, source=source))
            else:
                remarks.append(Problem(ROW_EMPTY, source.place))
        else:
            remarks.append(Problem(ROW_SKIPPED, source.place, in_words(next(iter(source.cells.values())).text)))
    return rows, remarks


def _texts(row: SheetRow) -> list[str]:
    return [cell.text for cell in row.cells.values()]


def _is_facts(source: SheetRow, cells: Mapping[str, Cell], header: SheetRow, identifying: Collection[str]) -> bool:
    texts = _texts(source)
    first = unicodedata.normalize("NFKC", texts[0]).strip()
    if first == EXAMPLE_MARK:
        return False
    if all(column in header.cells and header.cells[column].text == cell.text for column, cell in source.cells.items()):
        return False  # the header again, as at the top of each printed page
    if len(texts) > 1 and all(_is_ordinal(column, cell.text) for column, cell in source.cells.items()):
        return False  # (1) (2) (3) below the headings
    # A merged total shows its text in the identifying columns as well, so the same text there identifies nothing.
    named = sum(field in cells and cells[field].text != texts[0] for field in identifying)
    squeezed = _squeezed(first)
    if _TOTAL.fullmatch(squeezed):
        return named > 1  # a count of firms may stand below their names
    return named > 0 or not _NOTE.fullmatch(squeezed)


def _squeezed(text: str) -> str:
    return _SPACES.sub("", unicodedata.normalize("NFKC", text))


def _is_ordinal(column: int, text: str) -> bool:
    match = _ORDINAL.fullmatch(_squeezed(text))
    return match is not None and int(match[1]) in (column, column - 1)
