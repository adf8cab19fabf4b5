"""Running the revisions of the tables, with Alembic, without its command line."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from exchange.storage.engine.migrate import SCRIPTS

UnknownRevisionError = CommandError
"""A database stands at a revision that this program does not have."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration: our revisions, on that connection."""
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def to_newest(connection: Connection) -> None:
    """Bring a database to the newest revision, in the transaction that is open.

    Raises:
        UnknownRevisionError: It stands at a revision that is not ours.
    """
    command.upgrade(config(connection), "head")
