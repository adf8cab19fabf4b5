"""Walking the pages of a list, and how a list is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from exchange.cli.output import Output, as_dict

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from exchange.rpc.client import Client

LARGEST_PAGE: Final = 500
"""Rows that a node gives at once."""


Cells = tuple[object, ...] | list[tuple[object, ...]]
"""One row of a list as a line of a table, or as several."""


def lines_of(cells: Cells) -> list[tuple[object, ...]]:
    """The lines of one row."""
    return cells if isinstance(cells, list) else [cells]


def walk(client: Client, method: Any, request: Any, field: str, limit: int) -> Iterator[Any]:
    """Rows of a paged list, newest first, page by page.

    Args:
        client: The connection.
        method: A unary method of a stub whose request has ``page_size`` and ``page_token``.
        request: Its request; the page fields are set here.
        field: The answer's field with the rows.
        limit: Rows to give at most.

    Raises:
        CallFailed: Refused, or no answer.
    """
    left = limit
    while left > 0:
        request.page_size = min(left, LARGEST_PAGE)
        answer = client.call(method, request)
        rows = getattr(answer, field)
        yield from rows[:left]
        left -= len(rows)
        request.page_token = answer.next_page_token
        # A page may be empty: where few of very many fit, a node looks on from the token.
        if not answer.next_page_token:
            return


def show(
    out: Output,
    field: str,
    rows: Sequence[Message],
    headings: tuple[str, ...],
    cells: Callable[[Any], Cells],
) -> None:
    """Print a list: JSON under the schema's field name, or a table."""
    if out.as_json:
        out.value({field: [as_dict(row) for row in rows]})
    else:
        out.table(headings, [line for row in rows for line in lines_of(cells(row))])
