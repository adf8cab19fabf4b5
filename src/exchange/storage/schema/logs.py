"""Logs: heads, entries with their bodies, subtree hashes, cosigned notes, and the digest leaves of steps."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table, Text

from exchange.storage.schema.base import metadata

logs = Table(
    "logs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False, unique=True),
    Column("use", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("retired", Boolean, nullable=False),
)

# With row ids, where the tables beside it have none: where its key is the table, SQLite cuts a row of more than some
# 1,000 bytes in two, and the second part takes a page of its own. An entry of 1 KiB would take 4.7 KB, and takes 2.1.
entries = Table(
    "entries",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    # Erasing takes these two and leaves the entry.
    Column("salt", LargeBinary),
    Column("body", LargeBinary),
    # Submission that appended it; null for entries of peers and of the node itself.
    Column("submission", BigInteger),
)

tree_nodes = Table(
    "tree_nodes",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("cosigner", Text, primary_key=True),
    # The whole note with both signatures; signature lines stay opaque.
    Column("note", LargeBinary, nullable=False),
    # Time inside the cosignature.
    Column("cosigned_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# RFC 3161 tokens over cosigned checkpoints.
timestamps = Table(
    "timestamps",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    # The note as it was stamped: the stored one may gain lines later.
    Column("note", LargeBinary, nullable=False),
    # DER TimeStampResp.
    Column("token", LargeBinary, nullable=False),
    Column("stamped_at", BigInteger, nullable=False),
    # When the oldest entry that no earlier token covers was cosigned.
    Column("since", BigInteger, nullable=False),
    Column("service", Text, nullable=False),
    sqlite_with_rowid=False,
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

# Leaves of a step's row changes, so that replay can take those of erased bodies as kept.
steps = Table(
    "steps",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("leaves", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Entries of our own logs that a restore moved: they wait here until they are appended again.
moved_entries = Table(
    "moved_entries",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("salt", LargeBinary),
    Column("body", LargeBinary),
    Column("submission", BigInteger),
)
