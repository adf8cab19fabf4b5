"""First things of a node: its logs, each with its first entry, and the editions that decisions may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from exchange.domain.lanes import LANE_NAMES
from exchange.flows.context import Node
from exchange.flows.intake.seal import seal
from exchange.flows.link.announce import announcement
from exchange.flows.status import read_flag, set_flags
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store
from exchange.storage.registers import projection
from exchange.tlog.origin import LogName
from exchange.v1.journal_pb2 import Activated, Edition, EpochOpened, JournalEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstLogs:
    """Logs to open: (name, use, peer, lane, first entry)."""

    logs: Sequence[tuple[LogName, str, str, int, NewEntry | None]]


def open_logs(node: Node) -> None:
    """Make sure that journal, local log and one outbound log for each peer and lane exist; name the code that reads."""
    now = node.clock()
    with node.database.read() as connection:
        known = {(log.use, log.peer, log.lane) for log in log_store.heads(connection)}
    wanted: list[tuple[LogName, str, str, int, NewEntry | None]] = []
    if ("journal", "", 0) not in known:
        event = JournalEntry(version=journal.JOURNAL_VERSION, opened=EpochOpened())
        event.at.FromDatetime(now)
        first = NewEntry.of(event.SerializeToString(deterministic=True))
        wanted.append((LogName.journal(node.name, node.federation), "journal", "", 0, first))
    if ("local", "", 0) not in known:
        wanted.append((LogName.local(node.name, node.federation), "local", "", 0, None))
    for peer in node.peers.names():
        for lane, lane_name in LANE_NAMES.items():
            if ("outbound", peer, lane) not in known:
                name = LogName.outbound(node.name, node.federation, peer, lane_name)
                first = seal(node, announcement(node, str(name), now), [peer], now).entry
                wanted.append((name, "outbound", peer, lane, first))
    if wanted:
        node.writer.call(_open_all, _FirstLogs(logs=wanted), WorkClass.URGENT)
    _activate_projection(node, now)


def _open_all(tx: Transaction, payloads: Sequence[_FirstLogs]) -> list[None]:
    for payload in payloads:
        for name, use, peer, lane, first in payload.logs:
            log = tx.open_log(str(name), use=use, peer=peer, lane=lane, epoch=name.epoch)
            if log.size == 0 and first is not None:
                tx.append(log.id, [first])
    return [None] * len(payloads)


@dataclass(frozen=True, slots=True)
class _NewEdition:
    what: str
    digest: str
    event: JournalEntry


def _activate_projection(node: Node, now: datetime) -> None:
    """Enter the edition of the code that makes the registers into the journal: every step names it from here on."""
    node.editions[projection.PROJECTION] = activate(
        node, projection.PROJECTION, projection.CONTENT, f"node {node.name}", now, name=projection.NAME
    )


def activate(node: Node, what: str, content: bytes, actor: str, now: datetime, *, name: str = "") -> str:
    """Enter a file that decisions read into the journal, unless it is the active edition already.

    Returns:
        Its digest, SHA-256 in hex.
    """
    digest = sha256(content).hexdigest()
    with node.database.read() as connection:
        if read_flag(connection, f"edition:{what}") == digest:
            return digest
    edition = Edition(what=what, digest=digest, name=name)
    event = JournalEntry(activated=Activated(edition=edition, content=content, actor=actor))
    event.at.FromDatetime(now)
    node.writer.call(_activate, _NewEdition(what, digest, event), WorkClass.URGENT)
    return digest


def _activate(tx: Transaction, payloads: Sequence[_NewEdition]) -> list[None]:
    journal.append(tx, [each.event for each in payloads])
    return set_flags(tx, [(f"edition:{each.what}", each.digest) for each in payloads])


def pack(files: Mapping[str, bytes]) -> bytes:
    """Several files as one edition: name, size and bytes of each, in order of name."""
    return b"".join(f"{name} {len(content)}\n".encode() + content + b"\n" for name, content in sorted(files.items()))
