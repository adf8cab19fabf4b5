"""Instants as an officer types them."""

from __future__ import annotations

from datetime import datetime

import typer

from exchange.cli.texts import t
from exchange.flows.context import LOCAL_TIME


def read_moment(text: str, option: str) -> datetime | None:
    """A day, or an instant; without a zone in the time of both regions. A day begins at midnight. None for no text.

    Raises:
        typer.BadParameter: It is neither.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t("message.moment_wanted"), param_hint=option) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=LOCAL_TIME)
