"""The newest heads that a node can show: of its logs and mirrors, and of its peers' journals that it witnessed."""

from __future__ import annotations

from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store, witnessed


def newest_heads(database: Database) -> list[bytes]:
    """The newest cosigned checkpoint of every log, and the newest witnessed one of every log of a peer.

    Args:
        database: The node's.

    Returns:
        Signed notes in order of the log's number, those that were witnessed last.
    """
    with database.read() as connection:
        heads = log_store.heads(connection)
        stored = [log_store.last_checkpoint(connection, head.id) for head in heads]
        seen = witnessed.newest(connection)
    return [*(each.note for each in stored if each is not None), *(each.note for each in seen)]
