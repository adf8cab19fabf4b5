"""Workbooks for tests, made by another program than the one that reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date, datetime

import openpyxl


def workbook() -> bytes:
    """A visible and a hidden sheet with every kind of cell."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "一"
    sheet.append(["名称", "数", "日", "式", "是", "错", "时", "码"])
    moment = datetime(2024, 3, 5, 10, 30)  # noqa: DTZ001 - spreadsheets have no time zone
    sheet.append(["甲", 80.1, date(2024, 3, 5), "=1+1", True, "#N/A", moment, 915000000000000000])
    hidden = book.create_sheet("二")
    hidden.sheet_state = "hidden"
    hidden["A1"] = "x"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def repacked(content: bytes, parts: Mapping[str, bytes]) -> bytes:
    """The same archive with some parts replaced or added."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name in source.namelist():
            made.writestr(name, parts.get(name, source.read(name)))
        for name in parts.keys() - set(source.namelist()):
            made.writestr(name, parts[name])
    return target.getvalue()
