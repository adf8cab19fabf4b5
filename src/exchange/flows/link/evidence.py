"""Keeping what shows a contradiction: in the journal, where it can not be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exchange.flows.context import Node
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import EvidenceKept, JournalEntry

MAX_EVIDENCE_BYTES = 60_000
"""Bytes of evidence in one line of the journal, which has room for 65,535."""


def evidence_event(reason: str, log: str, evidence: Sequence[bytes], now: datetime) -> JournalEntry:
    """The journal's line about a contradiction; what shows it stands in it one behind the other."""
    event = JournalEntry(
        evidence_kept=EvidenceKept(reason=reason, log=log, evidence=b"\n\n".join(evidence)[:MAX_EVIDENCE_BYTES])
    )
    event.at.FromDatetime(now)
    return event


def keep_evidence(node: Node, reason: str, log: str, evidence: Sequence[bytes], now: datetime) -> None:
    """Write it; on disk when this returns."""
    node.writer.call(_keep, evidence_event(reason, log, evidence, now), WorkClass.URGENT)


def _keep(tx: Transaction, payloads: Sequence[JournalEntry]) -> list[int]:
    first = journal.append(tx, payloads)
    return [first + offset for offset in range(len(payloads))]
