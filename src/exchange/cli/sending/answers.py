"""The caller's own file back, with an answer beside each row."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from exchange.cli.sending.plan import ANSWER_INFIX, is_records
from exchange.cli.sending.tally import FileResult, RowResult
from exchange.cli.texts import reason_text, t, word
from exchange.domain.problems import DocumentRefused, Problem
from exchange_sheets import RowAnswer, annotate

_SHEETS: Final = (".xlsx", ".csv", ".json")
_NEEDS_ATTENTION: Final = ("QUARANTINED", "REFUSED")


def write_answer(path: Path, result: FileResult, folder: Path | None) -> Path:
    """Write the answer to one file, beside it or into a folder.

    A workbook, CSV or JSON document comes back as it was with three more columns; for anything else (recordings of
    packets, typed records) a CSV with one line for each row is written.

    Args:
        path: The file as it was sent.
        result: What became of it.
        folder: Where to write; None: beside the file.
    """
    ending, content = answer_document(path, result)
    target = (folder or path.parent) / f"{path.stem.removesuffix(ANSWER_INFIX)}{ANSWER_INFIX}{ending}"
    target.write_bytes(content)
    return target


def answer_document(path: Path, result: FileResult) -> tuple[str, bytes]:
    """The answer to one file: how its name ends, and its content."""
    answers: dict[str, RowAnswer] = {}
    for row in result.rows:
        told = RowAnswer(
            result=word("result", row.result),
            reasons=reasons_of(row),
            record_id=row.record_id,
            attention=row.result in _NEEDS_ATTENTION or bool(row.left_out),
        )
        # Rows that belong to one record share its answer; the reasons stand once, beside the first.
        answers |= {row.place: told, **dict.fromkeys(row.joined, replace(told, reasons=""))}
    if path.suffix.lower() in _SHEETS and not is_records(path):
        # Readable enough for the node's adapter, and yet perhaps not to be written again: a list does as well.
        with suppress(DocumentRefused):
            return path.suffix, annotate(path.read_bytes(), answers)
    return ".csv", _as_list(result)


def reasons_of(row: RowResult) -> str:
    """Why, in the officer's words, with what to do."""
    return "\n".join(sentence(problem) for problem in (*row.problems, *row.left_out))


def sentence(problem: Problem) -> str:
    """One broken rule in the officer's words, with what to do."""
    text = reason_text(problem.reason)
    own = problem.detail if text.message == problem.reason else text.message
    return " ".join(filter(None, (f"[{problem.reason}]", problem.place, own, text.remedy)))


def _as_list(result: FileResult) -> bytes:
    made = io.StringIO(newline="")
    writer = csv.writer(made)
    writer.writerow([t(f"heading.{name}") for name in ("row", "place", "result", "reasons", "record_id")])
    for row in result.rows:
        cells = [str(row.row), row.place, word("result", row.result), reasons_of(row), row.record_id]
        # A text that a spreadsheet would take for a formula is written as text.
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell for cell in cells])
    # With a byte order mark: without one, the officer's spreadsheet shows Chinese as garbage.
    return made.getvalue().encode("utf-8-sig")
