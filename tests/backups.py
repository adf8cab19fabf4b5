"""Older copies of a node's database, put back as if nothing had happened since. SQLite only."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tests.world import World


def _path(world: World, name: str) -> Path:
    return Path(world.urls[name].removeprefix("sqlite:///"))


def copy_of(world: World, name: str) -> Path:
    """A copy of a node's database as of now, taken while the node runs."""
    source = _path(world, name)
    number = len(list(source.parent.glob(f"{name}-copy-*.db")))
    copy = source.with_name(f"{name}-copy-{number}.db")
    with contextlib.closing(sqlite3.connect(source)) as reader, contextlib.closing(sqlite3.connect(copy)) as writer:
        reader.backup(writer)
    return copy


def put_back(world: World, name: str, copy: Path, *, say_so: bool = False) -> None:
    """Stop a node and replace its database by a copy; the node is not started.

    Args:
        world: The world.
        name: The node.
        copy: What ``copy_of`` returned.
        say_so: As ``db restore`` does it: the database knows that it was restored.
    """
    world.stop(name)
    target = _path(world, name)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)
    target.write_bytes(copy.read_bytes())
    if say_so:
        with contextlib.closing(sqlite3.connect(target)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO node_state (key, value) VALUES ('restored', '1')")
