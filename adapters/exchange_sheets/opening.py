"""Opens a document by what its bytes are; its name is a hint that decides nothing."""

from __future__ import annotations

from exchange.domain.problems import DocumentRefused
from exchange_sheets.book import Book
from exchange_sheets.counting import FILE_TYPE, refused
from exchange_sheets.csv_reading import UTF8_MARK, read_csv
from exchange_sheets.json_reading import read_json
from exchange_sheets.package import OLE_MAGIC, ZIP_MAGIC
from exchange_sheets.xlsx_reading import read_xlsx

_OTHER_FORMS = (b"%PDF", b"{\\rtf", b"<?xml", b"<html", b"<HTML", b"<!DOC", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")
"""Files that carry a table in the eyes of their sender: PDF, RTF, web pages saved as .xls, archives."""


def open_book(content: bytes) -> Book:
    """Read a workbook, CSV or JSON document into rows of text.

    Raises:
        DocumentRefused: ``FILE_TYPE`` (``.xls``, ``.et``, password, macros, no table at all), ``FILE_DAMAGED``,
            ``ENCODING_UNKNOWN`` or ``DOCUMENT_TOO_LARGE``. Nothing else is raised, whatever the bytes are.
    """
    if content.startswith((ZIP_MAGIC, OLE_MAGIC)):
        return read_xlsx(content)
    start = content.removeprefix(UTF8_MARK)[:64].lstrip()
    if not start:
        raise refused(FILE_TYPE, "an empty file")
    if start.startswith(_OTHER_FORMS):
        raise refused(FILE_TYPE, "neither a workbook nor CSV nor JSON")
    if start[:1] in (b"[", b"{"):
        return read_json(content)
    return read_csv(content)


def is_readable(content: bytes) -> bool:
    """Whether :func:`open_book` would read it. Costs as much as reading it."""
    try:
        open_book(content)
    except DocumentRefused:
        return False
    return True
