"""Lists as files: each list's own columns as CSV or as a workbook, in the language of the run."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from exchange.cli.calls.shown.pages import Cells, lines_of, show
from exchange.cli.options import DEFAULT_LIMIT
from exchange.cli.output import Output, clean
from exchange.cli.texts import t
from exchange_sheets import OutSheet, write_xlsx
from exchange_sheets.writing import guard

if TYPE_CHECKING:
    from google.protobuf.message import Message

CsvOption = Annotated[Path | None, typer.Option("--csv", help=t("option.csv"), show_default=False, dir_okay=False)]
XlsxOption = Annotated[Path | None, typer.Option("--xlsx", help=t("option.xlsx"), show_default=False, dir_okay=False)]
FileLimitOption = Annotated[
    int | None, typer.Option("--limit", "-l", help=t("option.limit_or_all"), min=1, show_default=False)
]

MAX_SHEET_ROWS: Final = 100_000
"""Rows of one workbook: it is made in memory, and a spreadsheet program opens no more with ease."""

Row = TypeVar("Row", bound="Message")
Line = TypeVar("Line")
_WITHOUT_END: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Files:
    """Where a list goes beside the screen: into a file, then whole unless a limit was given."""

    csv: Path | None
    xlsx: Path | None

    @property
    def wanted(self) -> bool:
        """Whether any file is."""
        return self.csv is not None or self.xlsx is not None

    def limit(self, given: int | None) -> int:
        """Rows to ask for: a screen or two, but all for a file."""
        if given is not None:
            return given
        return _WITHOUT_END if self.wanted else DEFAULT_LIMIT

    def show(
        self,
        out: Output,
        field: str,
        headings: tuple[str, ...],
        rows: Iterable[Row],
        cells: Callable[[Row], Cells],
        finding: Callable[[Row], bool] = lambda _row: False,
    ) -> bool:
        """Write the files that are wanted, row by row as pages come; otherwise, and with ``--json``, print the list.

        Gives whether any row is a finding.

        Raises:
            typer.BadParameter: A workbook would hold more than ``MAX_SHEET_ROWS`` rows; no file is left then.
        """
        printed: list[Row] = []
        found = False
        for row in self._written(out, field, headings, rows, cells) if self.wanted else rows:
            found = found or finding(row)
            if out.as_json or not self.wanted:
                printed.append(row)
        if out.as_json or not self.wanted:
            show(out, field, printed, headings, cells)
        return found

    def write(self, out: Output, name: str, headings: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> None:
        """Write the files that are wanted from lines that are all there: an answer that is no list of pages.

        Raises:
            typer.BadParameter: A workbook would hold more than ``MAX_SHEET_ROWS`` rows; no file is left then.
        """
        for _line in self._written(out, name, headings, lines, lambda line: line):
            pass

    def _written(
        self,
        out: Output,
        name: str,
        headings: tuple[str, ...],
        rows: Iterable[Line],
        cells: Callable[[Line], Cells],
    ) -> Iterator[Line]:
        """Pass rows on while they are written; a file takes its name when the last one is in it."""
        titles = [t(f"heading.{heading}") for heading in headings]
        kept: list[list[str]] = []
        count = 0
        with _whole(self.csv) as stream:
            writer = csv.writer(stream, lineterminator="\r\n") if stream is not None else None
            if writer is not None:
                writer.writerow(titles)
            for row in rows:
                for line in lines_of(cells(row)):
                    texts = [clean(cell) for cell in line]
                    if writer is not None:
                        writer.writerow([guard(text) for text in texts])
                    if self.xlsx is not None:
                        if len(kept) == MAX_SHEET_ROWS:
                            message = t("message.too_many_rows", most=MAX_SHEET_ROWS)
                            raise typer.BadParameter(message, param_hint="--xlsx")
                        kept.append(texts)
                    count += 1
                yield row
        if self.xlsx is not None:
            _replace(self.xlsx, write_xlsx([OutSheet(name=name, headings=titles, rows=kept)]))
        for path in filter(None, (self.csv, self.xlsx)):
            out.say(t("message.rows_written", count=count, file=path))


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(content)
    _put(Path(part.name), path)


@contextmanager
def _whole(path: Path | None) -> Iterator[IO[str] | None]:
    """A text file that takes its name when it is whole, with the mark by which spreadsheets know UTF-8."""
    if path is None:
        yield None
        return
    part = tempfile.NamedTemporaryFile(  # noqa: SIM115  (closed below, before it is renamed)
        "w", encoding="utf-8-sig", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    )
    try:
        with part:
            yield part
        _put(Path(part.name), path)
    finally:
        Path(part.name).unlink(missing_ok=True)


def _put(part: Path, path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    part.chmod(0o666 & ~umask)
    part.replace(path)
