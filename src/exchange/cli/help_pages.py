"""``--help`` for whoever reads Chinese: words of the page in the language of the run, and no line cut off.

Rich takes a run of characters without blanks for one word, and cuts a word that is wider than its column: a Chinese
sentence would end in an ellipsis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.columns import Columns
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from exchange.cli.texts import t

_WORDS: Final = {
    "ARGUMENTS_PANEL_TITLE": "panel.arguments",
    "OPTIONS_PANEL_TITLE": "panel.options",
    "COMMANDS_PANEL_TITLE": "panel.commands",
    "DEFAULT_STRING": "panel.default",
    "REQUIRED_LONG_STRING": "panel.required",
}
"""Names in typer's module of help pages, with the texts that stand for them."""


class _Folding(Table):
    """A table whose cells go on in the next line wherever they have to."""

    def add_row(self, *renderables: Any, **options: Any) -> None:
        """Add a row of cells."""
        super().add_row(*renderables, **options)
        for column in self.columns:
            if not column.no_wrap:
                column.overflow = "fold"


def _line(parts: Sequence[Any]) -> Text | Columns:
    """Help, default and whether it is required, behind one another: one text, which a cell can fold."""
    return Text(" ").join(parts) if all(isinstance(each, Text) for each in parts) else Columns(parts)


def install() -> None:
    """Have every command write its help page so."""
    for kind in (TyperCommand, TyperGroup):
        kind.format_help = _told(kind.format_help)  # type: ignore[method-assign]


def _told(write: Callable[..., None]) -> Callable[..., None]:
    def format_help(command: Any, ctx: Any, formatter: Any) -> None:
        from typer import rich_utils  # noqa: PLC0415  (slow, and only for --help)

        page: Any = rich_utils
        page.Table, page.Columns = _Folding, _line
        for name, text in _WORDS.items():
            setattr(page, name, t(text))
        for option in command.get_params(ctx):
            if option.name == "help":
                option.help = t("option.help")
        write(command, ctx, formatter)

    return format_help
