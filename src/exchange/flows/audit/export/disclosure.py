"""Who exports bodies that are withheld from everybody else says why; the journal keeps it before a byte is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from exchange.flows.actions.pending import said_reason
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder.about import write_json
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import WorkClass, Writer
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import AdministratorAction, JournalEntry

ACTION: Final = "audit.export"


def disclose(database: Database, actor: str, scope: Scope, reason: str, now: datetime) -> None:
    """Enter into the journal that withheld bodies are exported. The node stands still: a journal has one writer.

    Args:
        database: The node's.
        actor: Who.
        scope: What is exported.
        reason: Why.
        now: When.

    Raises:
        Refused: ``REASON_MISSING``, ``TEXT_TOO_LONG`` or ``TEXT_CONTROL_CHARACTER``.
    """
    told = write_json(scope.to_json()).decode("utf-8").strip()
    action = AdministratorAction(actor=actor, action=ACTION, object=told, reason=said_reason(reason))
    event = JournalEntry(administrator_action=action)
    event.at.FromDatetime(now)
    writer = Writer(database)
    try:
        writer.call(_append, event, WorkClass.INTERACTIVE)
    finally:
        writer.close()


def _append(tx: Transaction, payloads: Sequence[JournalEntry]) -> list[None]:
    journal.append(tx, payloads)
    return [None] * len(payloads)
