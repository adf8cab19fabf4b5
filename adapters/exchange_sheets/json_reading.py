"""Reads JSON: a list of objects, or an object with such a list under ``rows``."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Final

from exchange.domain.problems import Problem
from exchange_sheets import limits
from exchange_sheets.book import Book, Cell, CellKind, Sheet, SheetRow, in_words
from exchange_sheets.counting import DAMAGED, TOO_LARGE, Budget, refused
from exchange_sheets.csv_reading import decode
from exchange_sheets.numbers import MAX_DIGITS

SHEET_NAME: Final = "json"
ROWS: Final = "rows"
LIST_SEPARATOR: Final = "；"
"""Stands between the items of a list of scalars, as people write lists in a cell."""

KEY_IGNORED: Final = "KEY_IGNORED"


class _Number(str):
    """A number as it is written in the document."""

    __slots__ = ()


def read_json(content: bytes) -> Book:
    """Read JSON. Keys are headings, objects are rows; the rows count from 0 in places, as in ``rows[0].CF_WSH``.

    Raises:
        DocumentRefused: It is over a limit, no JSON (RFC 8259), has a key twice, or is no list of objects.
    """
    if len(content) > limits.MAX_FILE_BYTES:
        raise refused(TOO_LARGE, f"more than {limits.MAX_FILE_BYTES} bytes")
    text, encoding = decode(content)
    objects, remarks = _objects(_parse(text))
    budget = Budget()
    headings: dict[str, int] = {}
    rows: list[SheetRow] = []
    for index, each in enumerate(objects):
        cells: dict[int, Cell] = {}
        for key, value in each.items():
            if len(key) > limits.MAX_KEY_CHARS or not key.isprintable():
                raise refused(DAMAGED, "a key is too long or no text", f"{ROWS}[{index}]")
            column = headings.setdefault(key, len(headings) + 1)
            place = f"{ROWS}[{index}].{key}"
            cell = _cell(value, place)
            if column > limits.MAX_COLUMNS:
                raise refused(TOO_LARGE, f"more than {limits.MAX_COLUMNS} keys")
            if cell is not None:
                budget.cell(column, cell.text, place)
                cells[column] = cell
        if cells:
            budget.row()
            rows.append(SheetRow(number=index + 1, place=f"{ROWS}[{index}]", cells=dict(sorted(cells.items()))))
    header = {column: Cell(f"keys.{key}", key) for key, column in headings.items() if key.strip()}
    if header:
        rows.insert(0, SheetRow(number=0, place="keys", cells=header))
    sheet = Sheet(name=SHEET_NAME, rows=tuple(rows))
    return Book(form="json", sheets=(sheet,), encoding=encoding, remarks=tuple(remarks))


def _parse(text: str) -> object:
    try:
        value: object = json.loads(
            text, object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
        )
        # A lone half of a surrogate pair is no text in any encoding.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise refused(DAMAGED, f"no JSON: {type(error).__name__}") from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _objects(value: object) -> tuple[list[dict[str, object]], list[Problem]]:
    remarks: list[Problem] = []
    if isinstance(value, dict):
        remarks = [Problem(KEY_IGNORED, in_words(key)) for key in list(value)[: limits.MAX_COLUMNS] if key != ROWS]
        value = value.get(ROWS)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise refused(DAMAGED, f"neither a list of objects nor an object with such a list under {ROWS}")
    if len(value) > limits.MAX_ROWS:
        raise refused(TOO_LARGE, f"more than {limits.MAX_ROWS} rows")
    return value, remarks


def _cell(value: object, place: str) -> Cell | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return Cell(place, "TRUE" if value else "FALSE", CellKind.BOOLEAN)
    if isinstance(value, _Number):
        return Cell(place, _plain(value, place), CellKind.NUMBER)
    if isinstance(value, str):
        return Cell(place, value) if value.strip() else None
    if isinstance(value, list) and all(isinstance(each, str) and not isinstance(each, _Number) for each in value):
        joined = LIST_SEPARATOR.join(str(each) for each in value)
        return Cell(place, joined) if joined.strip() else None
    return Cell(place, "", CellKind.NESTED)


def _plain(literal: str, place: str) -> str:
    try:
        number = Decimal(literal[: MAX_DIGITS + 1])
    except InvalidOperation:
        raise refused(DAMAGED, "a number can not be read", place) from None
    if len(literal) > MAX_DIGITS or abs(number.adjusted()) > MAX_DIGITS:
        raise refused(DAMAGED, "a number can not be read", place)
    return format(number, "f")
