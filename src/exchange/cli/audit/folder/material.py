"""What offline audits read: a folder that was exported, or a node's own database by its node file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.options import read_settings
from exchange.cli.texts import t
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.source import Source
from exchange.flows.audit.sources.stored import StoredLogs
from exchange.storage.engine.database import Database

MaterialArgument = Annotated[Path, typer.Argument(help=t("option.material"), exists=True, metavar="FOLDER|NODE.toml")]


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The logs at a path.

    Raises:
        SettingsError: The node file has mistakes.
        FolderUnreadable: No exported folder, or one that was not finished.
        Refused: ``EXPORT_NOT_WHOLE``.
    """
    if path.is_dir():
        yield ExportedLogs(path)
        return
    settings = read_settings(path)
    database = Database(settings.database.url)
    try:
        yield StoredLogs(settings.node.name, settings.node.domain, database)
    finally:
        database.dispose()
