"""Results of formulas, put back into a workbook that openpyxl saved: it keeps the formula and leaves the result out.

Without its result a formula is quarantined when the workbook is sent again, unless somebody opens and saves it first.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import Final

from exchange_sheets.book import Cell, CellKind
from exchange_sheets.xlsx_parts import xml_text

_FORMULA: Final = re.compile(
    r'<c r="(?P<address>[A-Z]{1,3}[0-9]{1,7})"(?P<rest>[^>]*)>'
    r"(?P<formula><f(?:\s[^>]*)?(?:/>|>[^<]*</f>))<v\s*(?:/>|></v>)</c>"
)
_TYPE: Final = re.compile(r'\st="[^"]*"')
_TYPES: Final = {
    CellKind.TEXT: ' t="str"',
    CellKind.NUMBER: "",
    CellKind.DATE: ' t="d"',
    CellKind.BOOLEAN: ' t="b"',
    CellKind.ERROR: ' t="e"',
}


def with_saved_values(content: bytes, values: Mapping[str, Mapping[str, Cell]]) -> bytes:
    """The workbook with the results of its formulas.

    Args:
        content: As openpyxl saved it.
        values: By name of a sheet's part, as in ``xl/worksheets/sheet1.xml``: cells by address within the sheet.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for part in source.infolist():
            data = source.read(part)
            cells = values.get(part.filename)
            if cells:
                data = _with_values(data.decode(), cells).encode()
            made.writestr(part, data)
    return target.getvalue()


def _with_values(text: str, cells: Mapping[str, Cell]) -> str:
    def filled(match: re.Match[str]) -> str:
        cell = cells.get(match["address"])
        if cell is None or cell.kind not in _TYPES:
            return match[0]
        value = str(int(cell.text == "TRUE")) if cell.kind is CellKind.BOOLEAN else xml_text(cell.text)
        rest = _TYPE.sub("", match["rest"]) + _TYPES[cell.kind]
        return f'<c r="{match["address"]}"{rest}>{match["formula"]}<v>{value}</v></c>'

    return _FORMULA.sub(filled, text)
