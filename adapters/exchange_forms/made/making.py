"""Made-up firms and documents for samples, demonstrations and benchmarks.

Nothing here is real, and the same numbers give the same bytes. Codes are sound by their arithmetic, but their digits 3
to 8 name a registration authority that does not exist: no real firm can have one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import openpyxl
from openpyxl.cell.cell import Cell
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from exchange.domain.codes import organisation_code_holds, uscc_check_character

ORGANISATION: Final = "91"
SOLE_TRADER: Final = "92"
AUTHORITY: Final = "11"

_NO_SUCH_PLACE: Final = {"chongqing": "509901", "sichuan": "519901"}
_CHECKS: Final = "0123456789X"
_WHEN: Final = datetime(2026, 1, 1)  # noqa: DTZ001 - a zip archive and a workbook's properties have no time zone
_PLACES: Final = ("江岸", "云岭", "青溪", "石桥", "金沙", "竹海", "白鹤", "龙泉", "锦屏", "松林", "古渡", "南坪")
_NAMES: Final = ("恒远", "明泽", "瑞丰", "佳禾", "宏图", "清源", "晟达", "博雅", "天成", "绿野", "星河", "长青", "和顺")
_TRADES: Final = (
    "化工",
    "纸业",
    "水泥",
    "电镀",
    "食品",
    "制药",
    "机械",
    "印染",
    "建材",
    "治水",
    "金属制品",
    "新材料",
)


def made_uscc(side: str, number: int, kind: str = ORGANISATION) -> str:
    """A sound USCC of nobody: the code of a number.

    Args:
        side: Name of the adapter.
        number: Below 1,000,000; one code for each.
        kind: First two characters: ``91`` a firm, ``92`` a sole trader, ``11`` an authority.
    """
    begin = f"MA{number:06d}"
    organisation = next(begin + check for check in _CHECKS if organisation_code_holds(begin + check))
    body = f"{kind}{_NO_SUCH_PLACE[side]}{organisation}"
    return body + uscc_check_character(body)


def made_firm(number: int) -> str:
    """A made-up firm's name; every one says that it is made up."""
    place, rest = _PLACES[number % len(_PLACES)], number // len(_PLACES)
    name, rest = _NAMES[rest % len(_NAMES)], rest // len(_NAMES)
    trade, rest = _TRADES[rest % len(_TRADES)], rest // len(_TRADES)
    return f"演示{place}{name}{trade}{'' if rest == 0 else rest}有限公司"


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as spreadsheet programs save it; without a value as other programs do."""

    text: str
    value: str = ""


Value = str | int | float | date | Formula | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeSheet:
    """A sheet as officers make them.

    Attributes:
        above: Title and note rows.
        merged: Ranges.
    """

    name: str
    rows: Sequence[Sequence[Value]]
    above: Sequence[str] = ()
    merged: Sequence[str] = ()
    hidden: bool = False
    widths: Mapping[str, int] = field(default_factory=dict)


def made_workbook(sheets: Iterable[MadeSheet]) -> bytes:
    """A workbook of another program's making: openpyxl writes it, so that readers do not only meet their own writer."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    workbook.properties.created = workbook.properties.modified = _WHEN
    values: dict[str, str] = {}
    for sheet in sheets:
        target: Worksheet = workbook.create_sheet(sheet.name)
        if sheet.hidden:
            target.sheet_state = "hidden"
        for text in sheet.above:
            target.append([text])
            target.cell(row=target.max_row, column=1).font = Font(bold=True, size=14)
        for row in sheet.rows:
            if any(value is not None for value in row):
                target.append([f"={each.text}" if isinstance(each, Formula) else each for each in row])
            else:
                target.append([""])  # a blank row that was touched once
            for cell, each in zip(target[target.max_row], row, strict=False):
                if isinstance(each, str) and each.startswith("=") and isinstance(cell, Cell):
                    cell.data_type = "s"  # a text that only looks like a formula
            for each in row:
                if isinstance(each, Formula) and each.value:
                    values[each.text] = each.value
        for merged in sheet.merged:
            target.merge_cells(merged)
    made = io.BytesIO()
    workbook.save(made)
    return _again(made.getvalue(), values)


def _again(content: bytes, values: Mapping[str, str]) -> bytes:
    """The same workbook with the times of its parts fixed, and with saved values of formulas, which openpyxl leaves."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(source.namelist(), key=lambda each: (each != "[Content_Types].xml", each)):
            part = source.read(name)
            if name == "docProps/core.xml":
                part = _fixed_times(part)
            if name.startswith("xl/worksheets/"):
                for text, value in values.items():
                    for empty in ("<v></v>", "<v/>", "<v />"):
                        part = part.replace(f"<f>{text}</f>{empty}".encode(), f"<f>{text}</f><v>{value}</v>".encode())
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, part)
    return target.getvalue()


def _fixed_times(part: bytes) -> bytes:
    begin, end = b"<dcterms:modified", b"</dcterms:modified>"
    head, _, rest = part.partition(begin)
    _, _, tail = rest.partition(end)
    return head + tail


def made_csv(rows: Iterable[Sequence[str]], encoding: str) -> bytes:
    """CSV as a spreadsheet program saves it."""
    lines = [",".join(f'"{value}"' if any(c in value for c in ',"\n') else value for value in row) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode(encoding)
