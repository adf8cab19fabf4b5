"""Limits on documents. Whoever sends a document is an attacker until it has been read."""

from __future__ import annotations

from typing import Final

MAX_FILE_BYTES: Final = 3 * 1024 * 1024
"""Bytes of a file: what one SubmitDocument carries."""

MAX_UNPACKED_BYTES: Final = 32 * 1024 * 1024
"""Bytes of all parts of a workbook together: 20,000 rows of 20 columns take about 20 MiB."""

MAX_PACK_RATIO: Final = 250
"""Unpacked over packed size of a whole workbook: repetitive real sheets stay below 60, a bomb is above 1,000."""

MAX_PARTS: Final = 1_000
"""Parts of a workbook: a sheet, its relations and drawings are a handful each."""

MAX_ELEMENTS: Final = 3_000_000
"""XML elements of a workbook: as many cells as there may be with three elements each take 5 s to read, and no more."""

MAX_DEPTH: Final = 64
"""Levels of XML elements: real parts have below 20, and each level takes memory outside of Python's sight."""

MAX_SHEETS: Final = 64
"""Sheets of a workbook: one for each district of Chongqing, and some notes."""

MAX_SHEET_NAME_CHARS: Final = 64
"""Characters of a sheet's name: twice what most programs allow; it stands in every place of every row."""

MAX_KEY_CHARS: Final = 64
"""Characters of a key in JSON: it stands in the place of every value."""

MAX_ROWS: Final = 20_000
"""Rows with content in a document, over all sheets: each row gets an answer in one message of 4 MiB."""

MAX_COLUMNS: Final = 256
"""Columns with content: the widest layout has below 60."""

MAX_CELLS: Final = 500_000
"""Cells with content in a document: bounds memory at some 100 MB."""

MAX_CELL_CHARS: Final = 32_767
"""Characters of one cell: the limit of spreadsheet programs."""

MAX_TEXT_CHARS: Final = 16 * 1024 * 1024
"""Characters of all cells together: one shared string can stand in every cell, so bytes alone do not bound this."""

MAX_MERGES: Final = 20_000
"""Merged ranges in a document."""

MAX_SHEET_ROW: Final = 1_048_576
"""Highest row number of a sheet, ECMA-376."""

MAX_SHEET_COLUMN: Final = 16_384
"""Highest column number of a sheet, ECMA-376."""

HEADER_SEARCH_ROWS: Final = 60
"""Rows with content that are searched for the header: titles and notes above it are a few."""
