"""Tells which fields of records are not in a document that was written."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.cli.output import Output
from exchange.cli.texts import reason_text, t
from exchange.domain.adapter import WrittenDocument

SHOWN_ROWS = 10
"""Rows of one field that are named; the others are counted."""


def show_losses(out: Output, written: WrittenDocument, rows: Sequence[object]) -> None:
    """Print each lost field once, with the rows or records that had it and the reason.

    Args:
        out: Where to.
        written: The document.
        rows: What the records are called, in their order.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, problems in zip(rows, written.lost_of, strict=False):
        for each in problems:
            found.setdefault((each.place, each.reason, each.detail), []).append(str(name))
    if found:
        out.table(
            ("field", "reason", "meaning", "detail", "in_rows"),
            [
                (place, reason, reason_text(reason).message, detail, _listed(names))
                for (place, reason, detail), names in found.items()
            ],
            title=t("title.lost"),
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_ROWS
    return ", ".join(names[:SHOWN_ROWS]) + (f" (+{more})" if more > 0 else "")
