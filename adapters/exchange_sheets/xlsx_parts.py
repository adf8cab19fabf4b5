"""The parts of a minimal workbook (ECMA-376 transitional), made by hand so that the same rows give the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from exchange_sheets.book import Cell, CellKind, column_letters

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
STYLE_TEXT: Final = 1
"""Text format with the quote prefix: stays text when it is edited, also when it begins with ``=``."""
STYLE_HEADING: Final = 2
STYLE_TITLE: Final = 3

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of every part: a workbook's bytes follow from its rows alone."""

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PKG = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STATES: Final = ("visible", "hidden")
_ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]|_(?=x[0-9A-Fa-f]{4}_)")
_SHEET_NAME_FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_MAX_SHEET_NAME: Final = 31
"""Characters of a sheet's name in spreadsheet programs."""

_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
    '<fonts count="3"><font><sz val="11"/><name val="宋体"/></font>'
    '<font><b/><sz val="11"/><name val="宋体"/></font><font><b/><sz val="14"/><name val="宋体"/></font></fonts>'
    '<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '<fill><patternFill patternType="solid"><fgColor rgb="FFDDEBF7"/></patternFill></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyFont="1" applyFill="1">'
    '<alignment horizontal="center" vertical="center" wrapText="1"/></xf>'
    '<xf numFmtId="49" fontId="2" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetPart:
    """What one sheet is made of.

    Attributes:
        rows: By row number from 1: cells by column number from 1, each with its style.
        widths: Column widths in characters, by column number.
        lists: By column number: the range that its drop-down takes its choices from, as in ``选项!$A$1:$A$4``.
        suggested: Columns whose drop-down refuses nothing that is typed.
        listed_rows: First and last row that drop-downs cover.
        frozen_rows: Rows that stay in sight.
        merges: Merged ranges.
    """

    name: str
    rows: Mapping[int, Mapping[int, tuple[Cell, int]]]
    hidden: bool = False
    widths: Mapping[int, int] = field(default_factory=dict)
    lists: Mapping[int, str] = field(default_factory=dict)
    suggested: Collection[int] = ()
    listed_rows: tuple[int, int] = (1, 1)
    frozen_rows: int = 0
    merges: Sequence[str] = ()


class _Strings:
    """The shared strings of a workbook, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def part(self) -> str:
        items = "".join(f'<si><t xml:space="preserve">{xml_text(text)}</t></si>' for text in self.numbers)
        return f'{_HEAD}<sst xmlns="{_MAIN}" uniqueCount="{len(self.numbers)}">{items}</sst>'


def xml_text(text: str) -> str:
    """Text of an element: what XML can not carry is written ``_x0001_`` (ST_Xstring)."""
    return escape(_ILLEGAL.sub(lambda match: f"_x{ord(match[0]):04X}_", text))


def sheet_name(name: str) -> str:
    """The name as spreadsheet programs allow it."""
    return _SHEET_NAME_FORBIDDEN.sub("_", name)[:_MAX_SHEET_NAME].strip("'") or "Sheet1"


def pack(sheets: Iterable[SheetPart]) -> bytes:
    """The workbook's bytes. The same sheets give the same bytes."""
    parts = list(sheets)
    strings = _Strings()
    files: dict[str, str] = {}
    for number, sheet in enumerate(parts, start=1):
        files[f"xl/worksheets/sheet{number}.xml"] = _sheet(sheet, strings)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for n in range(1, len(parts) + 1)
    )
    listed = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{n}" state="{_STATES[sheet.hidden]}" r:id="rId{n}"/>'
        for n, sheet in enumerate(parts, start=1)
    )
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{_REL}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(parts) + 1)
    )
    last = len(parts)
    head = {
        "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PKG}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_TYPE}.sharedStrings+xml"/>{overrides}</Types>',
        "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_PKG}/relationships">'
        f'<Relationship Id="rId1" Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{_HEAD}<Relationships xmlns="{_PKG}/relationships">{relations}'
        f'<Relationship Id="rId{last + 1}" Type="{_REL}/styles" Target="styles.xml"/>'
        f'<Relationship Id="rId{last + 2}" Type="{_REL}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": _STYLES,
        "xl/sharedStrings.xml": strings.part(),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (head | files).items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text.encode())
    return target.getvalue()


def _sheet(sheet: SheetPart, strings: _Strings) -> str:
    pieces = [f'{_HEAD}<worksheet xmlns="{_MAIN}">']
    if sheet.frozen_rows:
        pieces.append(
            f'<sheetViews><sheetView workbookViewId="0"><pane ySplit="{sheet.frozen_rows}" '
            f'topLeftCell="A{sheet.frozen_rows + 1}" state="frozen"/></sheetView></sheetViews>'
        )
    if sheet.widths:
        columns = "".join(
            f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>' for n, width in sorted(sheet.widths.items())
        )
        pieces.append(f"<cols>{columns}</cols>")
    pieces.append("<sheetData>")
    for number, cells in sorted(sheet.rows.items()):
        row = "".join(
            _cell(f"{column_letters(column)}{number}", *styled, strings) for column, styled in sorted(cells.items())
        )
        pieces.append(f'<row r="{number}">{row}</row>')
    pieces.append("</sheetData>")
    if sheet.merges:
        merges = "".join(f'<mergeCell ref="{each}"/>' for each in sheet.merges)
        pieces.append(f'<mergeCells count="{len(sheet.merges)}">{merges}</mergeCells>')
    if sheet.lists:
        first, last = sheet.listed_rows
        rules = "".join(
            f'<dataValidation type="list" allowBlank="1" showErrorMessage="{int(column not in sheet.suggested)}" '
            f'sqref="{column_letters(column)}{first}:{column_letters(column)}{last}">'
            f"<formula1>{escape(choices)}</formula1></dataValidation>"
            for column, choices in sorted(sheet.lists.items())
        )
        pieces.append(f'<dataValidations count="{len(sheet.lists)}">{rules}</dataValidations>')
    pieces.append("</worksheet>")
    return "".join(pieces)


def _cell(address: str, cell: Cell, style: int, strings: _Strings) -> str:
    if cell.kind is CellKind.NUMBER:
        return f'<c r="{address}"><v>{cell.text}</v></c>'
    if cell.kind is CellKind.NO_VALUE:
        return f'<c r="{address}"><f>0</f></c>'
    if cell.kind is CellKind.BOOLEAN:
        return f'<c r="{address}" t="b"><v>{int(cell.text == "TRUE")}</v></c>'
    if cell.kind in (CellKind.DATE, CellKind.ERROR):
        letter = "d" if cell.kind is CellKind.DATE else "e"
        return f'<c r="{address}" t="{letter}"><v>{xml_text(cell.text)}</v></c>'
    return f'<c r="{address}" s="{style}" t="s"><v>{strings.number(cell.text)}</v></c>'
