"""The tables. Three sorts: *primary* facts, *logs*, and *projections*; only projections may be thrown away.

Instants are microseconds since 1970 (``BigInteger``), dates are ``YYYY-MM-DD`` text, record ids are the 16 bytes of
a UUIDv7 (time-ordered, so that the index grows at its right edge).
"""

from __future__ import annotations

from exchange.storage.schema.base import (
    metadata,
)
from exchange.storage.schema.exchanged import (
    IN_A_SECTION,
    blocks,
    decisions,
    dues,
    feedback,
    labs,
    made_decisions,
    records,
)
from exchange.storage.schema.logs import (
    checkpoints,
    entries,
    logs,
    moved_entries,
    steps,
    timestamps,
    tree_nodes,
    witnessed,
)
from exchange.storage.schema.own import (
    actions,
    agencies,
    copies,
    cursors,
    key_answers,
    key_decisions,
    keys,
    notice_readers,
    parked,
    rotation_steps,
    rotations,
    rule_editions,
    rule_orders,
    waits,
)
from exchange.storage.schema.primary import (
    alarms,
    attachment_parts,
    attachment_uses,
    attachments,
    document_repeats,
    documents,
    links,
    node_state,
    quarantine,
    revocation_lists,
    seen_calls,
    submissions,
)

PROJECTIONS = (
    cursors,
    records,
    decisions,
    made_decisions,
    blocks,
    keys,
    key_decisions,
    key_answers,
    agencies,
    actions,
    dues,
    feedback,
    labs,
    rotations,
    rotation_steps,
    waits,
    copies,
    notice_readers,
    parked,
)
"""Registers that a recovery clears and makes again.

Editions of the rules, and orders to decide again by one, stay: a start reads them before it goes on, no line that made
them is ever lost by a recovery, and walking those lines again leaves each row as its last line says.
"""

__all__ = [
    "IN_A_SECTION",
    "PROJECTIONS",
    "actions",
    "agencies",
    "alarms",
    "attachment_parts",
    "attachment_uses",
    "attachments",
    "blocks",
    "checkpoints",
    "copies",
    "cursors",
    "decisions",
    "document_repeats",
    "documents",
    "dues",
    "entries",
    "feedback",
    "key_answers",
    "key_decisions",
    "keys",
    "labs",
    "links",
    "logs",
    "made_decisions",
    "metadata",
    "moved_entries",
    "node_state",
    "notice_readers",
    "parked",
    "quarantine",
    "records",
    "revocation_lists",
    "rotation_steps",
    "rotations",
    "rule_editions",
    "rule_orders",
    "seen_calls",
    "steps",
    "submissions",
    "timestamps",
    "tree_nodes",
    "waits",
    "witnessed",
]
