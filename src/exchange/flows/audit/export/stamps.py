"""Time stamps of a log's checkpoints as files: each token beside the very note that it is about, for ``openssl ts``."""

from __future__ import annotations

from exchange.flows.audit.export.files import Target
from exchange.flows.audit.folder import names
from exchange.storage.engine.database import Database
from exchange.storage.logs import timestamps

PAGE = 200
"""Tokens read at a time."""


def write_stamps(target: Target, database: Database, log_id: int, size: int, folder: str) -> None:
    """Write what there is up to the exported checkpoint.

    Args:
        target: The folder.
        database: Where the tokens are.
        log_id: The log.
        size: Entries of the exported checkpoint.
        folder: The log's own folder.
    """
    above = 0
    while True:
        with database.read() as connection:
            page = timestamps.of_log(connection, log_id, above, PAGE)
        for each in page:
            if each.size <= size:
                target.put(f"{folder}/{names.TIMESTAMPS}/{each.size}{names.STAMPED}", each.note)
                target.put(f"{folder}/{names.TIMESTAMPS}/{each.size}{names.STAMP}", each.token)
        if len(page) < PAGE:
            return
        above = page[-1].size
