"""Adapters and tables as the command line uses them: installed ones, with the administrator's own tables if named."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.app.adapters import find_adapters, read_overlays
from exchange.cli.texts import t
from exchange.domain.catalogues.tables import Tables, load
from exchange.tables import read_all

if TYPE_CHECKING:
    from exchange.domain.adapter import Adapter


def domain_tables(overlays: Path | None = None) -> Tables:
    """The domain's tables.

    Args:
        overlays: Folder of the administrator's additions.

    Raises:
        TableError: A table is ill-formed.
    """
    return _tables(overlays)


def adapters(overlays: Path | None = None) -> dict[str, Adapter]:
    """Every installed adapter by name.

    Raises:
        TableError: A table of an adapter is ill-formed.
    """
    return find_adapters(_tables(overlays), read_overlays(overlays))


def find_adapter(name: str, overlays: Path | None = None) -> Adapter:
    """One adapter.

    Raises:
        typer.BadParameter: Not installed.
    """
    found = adapters(overlays)
    if name not in found:
        raise typer.BadParameter(t("message.unknown_adapter", name=name, known=", ".join(found)))
    return found[name]


@cache
def _tables(overlays: Path | None) -> Tables:
    return load(read_all(), read_overlays(overlays))
