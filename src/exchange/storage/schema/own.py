"""Registers of the node itself: how far it came, keys, agencies, rules, actions, rotations, and what waits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from exchange.storage.schema.base import metadata

cursors = Table(
    "cursors",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

keys = Table(
    "reg_keys",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("use", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # Serialized AnnouncedKey as last announced.
    Column("announced", LargeBinary, nullable=False),
    # Whether a signing key came in turn.
    Column("turn", Integer, nullable=False),
    # Of the keys that are confirmed together.
    Column("fingerprint", Text, nullable=False),
    Column("announced_at", BigInteger, nullable=False),
    # The announcement that told of it first.
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
)

# What our officers decided on keys that peers announced.
key_decisions = Table(
    "reg_key_decisions",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("accepted", Boolean, nullable=False),
)

# What peers say of keys of ours.
key_answers = Table(
    "reg_key_answers",
    metadata,
    Column("peer", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("verdict", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("answered_at", BigInteger, nullable=False),
    Column("log_id", Integer, nullable=False),
    Column("idx", BigInteger, nullable=False),
)

agencies = Table(
    "reg_agencies",
    metadata,
    Column("name", Text, primary_key=True),
    # Serialized Agency.
    Column("agency", LargeBinary, nullable=False),
)

# Editions of the recognition rules, each as it was brought in.
rule_editions = Table(
    "reg_rule_editions",
    metadata,
    Column("edition", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("activated_at", BigInteger, nullable=False),
)

# Orders to decide again by an edition of the rules.
rule_orders = Table(
    "reg_rule_orders",
    metadata,
    Column("order_id", LargeBinary, primary_key=True),
    # False once everything that it is about was looked at.
    Column("open", Boolean, nullable=False),
    # Serialized RedecisionOrder.
    Column("order", LargeBinary, nullable=False),
)

# Actions that need two officers.
actions = Table(
    "reg_actions",
    metadata,
    Column("action_id", LargeBinary, primary_key=True),
    Column("state", Integer, nullable=False),
    # Serialized Action.
    Column("action", LargeBinary, nullable=False),
    Index("reg_actions_state", "state"),
)

rotations = Table(
    "reg_rotations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    # False once it has ended.
    Column("open", Boolean, nullable=False),
    # Serialized Rotation.
    Column("rotation", LargeBinary, nullable=False),
)

# Where the journal has each step of a rotation.
rotation_steps = Table(
    "reg_rotation_steps",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("log_id", Integer, nullable=False),
    Column("idx", BigInteger, nullable=False),
)

waits = Table(
    "reg_waits",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    # KEY:<id>, BODY, TIME or REFERENCE:<what>.
    Column("token", Text, nullable=False),
    Column("decision_revision", Integer, nullable=False),
    Index("reg_waits_token", "log_id", "token", "idx"),
)

# Entries of a record that no register row points at: what an Erasure has to destroy beside the row's own entry.
copies = Table(
    "reg_copies",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("reg_copies_record", "record_id"),
)

parked = Table(
    "reg_parked",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("trace", Text, nullable=False),
)

# Which agency was shown which notice or list entry: who is asked to confirm when it is repaired or revoked.
notice_readers = Table(
    "reg_notice_readers",
    metadata,
    Column("record_id", LargeBinary, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("agency", Text, primary_key=True),
    # When it was first shown.
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
