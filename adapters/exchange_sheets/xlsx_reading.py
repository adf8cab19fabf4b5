"""Reads a workbook (ECMA-376, transitional and strict) in one pass over each sheet.

The program reads the parts itself and not through openpyxl: a formula and its saved value, merged ranges and hidden
sheets are all needed, which openpyxl gives only when it loads the whole workbook twice, and the limits hold before
memory is taken.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

from exchange.domain.problems import Problem
from exchange_sheets import limits
from exchange_sheets.book import Book, Cell, CellKind, Sheet, SheetRow, column_letters
from exchange_sheets.counting import DAMAGED, TOO_LARGE, Budget, refused
from exchange_sheets.dates import NotADate, from_serial
from exchange_sheets.numbers import NotANumber, shortest
from exchange_sheets.package import Package

HIDDEN_SHEET: Final = "SHEET_HIDDEN"

_ADDRESS = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DATE_FORMATS: Final = frozenset({14, 15, 16, 17, 22, *range(27, 32), 36, *range(50, 55), 57, 58})
"""Built-in number formats that show a day; 27 to 36 and 50 to 58 are those of Chinese editions."""
_MAX_FORMAT_CHARS: Final = 255
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class _Styles:
    dates: frozenset[int]
    epoch_1904: bool


def read_xlsx(content: bytes) -> Book:
    """Read a workbook.

    Raises:
        DocumentRefused: It is no ``.xlsx`` workbook, is damaged, or is over a limit.
    """
    return read_parts(Package(content))


def read_parts(package: Package) -> Book:
    """Read the parts of an opened workbook.

    Raises:
        DocumentRefused: A part is missing or damaged, or the workbook is over a limit.
    """
    main = next((path for kind, path in package.targets("").values() if kind == "officeDocument"), "xl/workbook.xml")
    relations = package.targets(main)
    listed: list[tuple[str, str, bool]] = []
    epoch = [False]

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "workbookPr":
            epoch[0] = attributes.get("date1904", "0") in ("1", "true")
        elif name == "sheet":
            relation = next((value for key, value in attributes.items() if key.rpartition(" ")[2] == "id"), "")
            hidden = attributes.get("state", "visible") != "visible"
            listed.append((attributes.get("name", ""), relation, hidden))

    package.parse(main, start)
    if len(listed) > limits.MAX_SHEETS:
        raise refused(TOO_LARGE, f"more than {limits.MAX_SHEETS} sheets")
    by_kind = dict(relations.values())
    strings = _shared_strings(package, by_kind["sharedStrings"]) if "sharedStrings" in by_kind else []
    dates = _date_styles(package, by_kind["styles"]) if "styles" in by_kind else frozenset()
    styles = _Styles(dates=dates, epoch_1904=epoch[0])
    names = [name for name, _, _ in listed]
    if len(set(names)) != len(names) or not all(0 < len(name) <= limits.MAX_SHEET_NAME_CHARS for name in names):
        raise refused(DAMAGED, "a sheet without a name or with a very long one, or two of one name")
    budget = Budget()
    sheets: list[Sheet] = []
    remarks: list[Problem] = []
    for name, relation, hidden in listed:
        kind, path = relations.get(relation, ("", ""))
        if kind != "worksheet":  # a chart or dialogue sheet holds no rows
            continue
        if hidden:
            remarks.append(Problem(HIDDEN_SHEET, name))
        sheets.append(_SheetReader(name, strings, styles, budget).read(package, path, hidden=hidden))
    return Book(form="xlsx", sheets=tuple(sheets), remarks=tuple(remarks))


def _unescape(text: str) -> str:
    """Undo ``_x000D_`` of ECMA-376 ST_Xstring; halves of surrogate pairs stay as they are written."""
    if "_x" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return match[0] if 0xD800 <= code <= 0xDFFF else chr(code)

    return _ESCAPED.sub(character, text)


def _shared_strings(package: Package, path: str) -> list[str]:
    strings: list[str] = []
    pieces: list[str] = []
    state = {"text": False, "phonetic": 0}

    def start(name: str, _: Mapping[str, str]) -> None:
        if name == "si":
            pieces.clear()
        elif name == "rPh":  # how a word is read aloud, which is no part of it
            state["phonetic"] += 1
        elif name == "t":
            state["text"] = not state["phonetic"]

    def end(name: str) -> None:
        if name == "si":
            strings.append(_unescape("".join(pieces)))
        elif name == "rPh":
            state["phonetic"] -= 1
        elif name == "t":
            state["text"] = False

    def text(data: str) -> None:
        if state["text"]:
            pieces.append(data)

    package.parse(path, start, end, text)
    return strings


def _date_styles(package: Package, path: str) -> frozenset[int]:
    formats: dict[str, str] = {}
    styles: list[str] = []
    inside = [False]

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside[0] = True
        elif name == "xf" and inside[0]:
            styles.append(attributes.get("numFmtId", "0"))

    def end(name: str) -> None:
        if name == "cellXfs":
            inside[0] = False

    package.parse(path, start, end)
    return frozenset(number for number, format_id in enumerate(styles) if _shows_day(format_id, formats))


def _shows_day(format_id: str, formats: Mapping[str, str]) -> bool:
    code = formats.get(format_id)
    if code is not None:
        plain = code[:_MAX_FORMAT_CHARS]
        return bool(is_date_format(plain)) and any(letter in plain.lower() for letter in "yd年日")
    number = int(format_id) if format_id.isascii() and format_id.isdigit() and len(format_id) <= 4 else 0
    return number in _DATE_FORMATS and (number not in BUILTIN_FORMATS or bool(is_date_format(BUILTIN_FORMATS[number])))


class _SheetReader:
    """Handlers of one sheet: ``row`` > ``c`` > ``f``, ``v``, ``is``; then ``mergeCell``."""

    def __init__(self, name: str, strings: list[str], styles: _Styles, budget: Budget) -> None:
        self._name = name
        self._strings = strings
        self._styles = styles
        self._budget = budget
        self._rows: dict[int, dict[int, Cell]] = {}
        self._merges: list[tuple[int, int, int, int]] = []
        self._row = 0
        self._column = 0
        self._type = "n"
        self._style = 0
        self._formula = False
        self._value: list[str] | None = None
        self._pieces: list[str] = []
        self._collect = False
        self._phonetic = 0

    def read(self, package: Package, path: str, *, hidden: bool) -> Sheet:
        package.parse(path, self._start, self._end, self._text)
        self._fill_merges()
        rows: list[SheetRow] = []
        for number in sorted(self._rows):
            cells = dict(sorted(self._rows[number].items()))
            rows.append(SheetRow(number=number, place=f"{self._name}!A{number}", cells=cells))
        return Sheet(name=self._name, rows=tuple(rows), hidden=hidden)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._begin_cell(attributes)
        elif name == "row":
            number = attributes.get("r")
            self._row = self._row + 1 if number is None else _whole(number, limits.MAX_SHEET_ROW)
            self._column = 0
        elif name == "f":
            self._formula = True
        elif name in ("v", "t"):
            self._collect = not self._phonetic
            if name == "v":
                self._pieces = []
        elif name == "is":
            self._pieces = []
        elif name == "rPh":
            self._phonetic += 1
        elif name == "mergeCell":
            self._budget.merge()
            self._merges.append(_range(attributes.get("ref", "")))

    def _begin_cell(self, attributes: Mapping[str, str]) -> None:
        address = attributes.get("r")
        if address is None:
            self._column += 1
        else:
            self._column, row = _position(address)
            if row != self._row:
                raise refused(DAMAGED, "a cell stands in another row than it says", f"{self._name}!{address[:12]}")
        self._type = attributes.get("t", "n")
        self._style = _whole(attributes.get("s", "0"), 1_000_000, least=0)
        self._formula = False
        self._value = None

    def _text(self, data: str) -> None:
        if self._collect:
            self._pieces.append(data)

    def _end(self, name: str) -> None:
        if name == "v":
            self._collect = False
            self._value = self._pieces
            self._pieces = []
        elif name == "t":
            self._collect = False
        elif name == "is":
            self._value = self._pieces
            self._pieces = []
        elif name == "rPh":
            self._phonetic -= 1
        elif name == "c":
            self._finish_cell()

    def _finish_cell(self) -> None:
        value = "".join(self._value) if self._value is not None else ""
        # The formula comes first in most cells: a text result that is empty is a value, a missing one is not.
        if self._formula and (self._value is None or (not value and self._type != "str")):
            self._put("", CellKind.NO_VALUE)
        elif value:
            self._put(*self._meaning(value))

    def _meaning(self, value: str) -> tuple[str, CellKind]:
        if self._type == "s":
            index = _whole(value.strip(), len(self._strings) - 1, least=0)
            return self._strings[index], CellKind.TEXT
        if self._type in ("str", "inlineStr"):
            return _unescape(value), CellKind.TEXT
        if self._type == "b":
            return ("TRUE" if value.strip() in ("1", "true") else "FALSE"), CellKind.BOOLEAN
        if self._type == "e":
            return value, CellKind.ERROR
        if self._type == "d":
            return value.removesuffix("T00:00:00"), CellKind.DATE
        try:
            number = shortest(value.strip())
        except NotANumber:
            raise refused(DAMAGED, "a number can not be read", self._address()) from None
        if self._style in self._styles.dates:
            shown = _date_text(number, epoch_1904=self._styles.epoch_1904)
            if shown:
                return shown, CellKind.DATE
        return number, CellKind.NUMBER

    def _address(self) -> str:
        return f"{self._name}!{column_letters(self._column)}{self._row}"

    def _put(self, text: str, kind: CellKind) -> None:
        if not text.strip() and kind is CellKind.TEXT:
            return
        address = self._address()
        self._budget.cell(self._column, text, address)
        if self._row not in self._rows:
            if self._row == 0:
                raise refused(DAMAGED, "a cell outside of rows", address)
            self._budget.row()
        cells = self._rows.setdefault(self._row, {})
        if self._column in cells:
            raise refused(DAMAGED, "one cell twice", address)
        cells[self._column] = Cell(address, text, kind)

    def _fill_merges(self) -> None:
        """Show the text of a merged range in each of its cells, within the rows and columns in use."""
        if not self._rows:
            return
        used = sorted(self._rows)
        last_column = max(max(cells) for cells in self._rows.values())
        visited = 0
        for left, top, right, bottom in self._merges:
            source = self._rows.get(top, {}).get(left)
            if source is None:
                continue
            columns = range(left, min(right, last_column) + 1)
            for number in used[bisect_left(used, top) : bisect_right(used, bottom)]:
                # Ranges that overlap would visit the same cells again and again.
                visited += len(columns)
                if visited > limits.MAX_CELLS:
                    raise refused(TOO_LARGE, f"merged ranges over more than {limits.MAX_CELLS} cells", self._name)
                self._fill(number, columns, source)

    def _fill(self, number: int, columns: range, source: Cell) -> None:
        cells = self._rows[number]
        for column in columns:
            if column not in cells:
                address = f"{self._name}!{column_letters(column)}{number}"
                self._budget.cell(column, source.text, address)
                cells[column] = Cell(address, source.text, source.kind)


def _whole(text: str, most: int, *, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise refused(DAMAGED, "a number in the workbook's structure is out of range")
    return int(text)


def _position(address: str) -> tuple[int, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise refused(DAMAGED, "an ill-formed cell address")
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    if column > limits.MAX_SHEET_COLUMN or int(match[2]) > limits.MAX_SHEET_ROW:
        raise refused(DAMAGED, "a cell address outside of a sheet")
    return column, int(match[2])


def _range(reference: str) -> tuple[int, int, int, int]:
    first, _, last = reference.replace("$", "").partition(":")
    left, top = _position(first)
    right, bottom = _position(last or first)
    return left, top, right, bottom


def _date_text(number: str, *, epoch_1904: bool) -> str:
    """The day and time of a serial number; empty where the calendar has none, so that it stays a number."""
    whole, _, fraction = number.partition(".")
    if not whole.isdigit() or len(whole) > 7:
        return ""
    try:
        day = from_serial(int(whole), epoch_1904=epoch_1904)
    except NotADate:
        return ""
    if not fraction:
        return day.isoformat()
    seconds = round(float(f"0.{fraction}") * _SECONDS_A_DAY)
    try:
        return (datetime.combine(day, time()) + timedelta(seconds=seconds)).isoformat().removesuffix("T00:00:00")
    except OverflowError:
        return ""
