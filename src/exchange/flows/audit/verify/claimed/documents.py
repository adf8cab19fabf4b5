"""Claim 8: every document that the journal says was received stands in the logs, in quarantine, or was refused.

A record names the document that it came from by the salted digest that the journal names it by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from exchange.flows.audit.folder.editions import EditionLine, edition_line
from exchange.flows.audit.verify.claims import ClaimNo, Docket
from exchange.flows.audit.verify.keys.statements import Place
from exchange.v1.journal_pb2 import DocumentReceived, JournalEntry
from exchange.v1.record_pb2 import Record

MAX_ROW = 1_000_000
"""Rows of one document that are told apart; a larger number is a made-up one."""


@dataclass(slots=True)
class Rows:
    """Row numbers by document, each set of them as the bits of one number: small, and quickly joined."""

    by_document: dict[bytes, int] = field(default_factory=dict)

    def add(self, document: bytes, row: int) -> None:
        """Note a row."""
        if 0 <= row <= MAX_ROW:
            self.by_document[document] = self.by_document.get(document, 0) | 1 << row

    def join(self, other: Rows) -> None:
        """Note what another part of the folder holds."""
        for document, rows in other.by_document.items():
            self.by_document[document] = self.by_document.get(document, 0) | rows

    def of(self, document: bytes) -> int:
        """The rows of a document."""
        return self.by_document.get(document, 0)


@dataclass(slots=True)
class DocumentBook:
    """What logs and journal hold of documents; made of one part of the folder, and joined.

    Attributes:
        received: The journal's lines, with where they stand.
        quarantined: Rows that went into quarantine, by document id.
        stated: Rows that became records of this node, by salted digest.
        unreadable: Entries of this node's own logs whose bodies are not here.
        editions: What the journal's lines say of editions.
        joined: Log and index of its lines that stand for several entries.
    """

    received: list[tuple[Place, bytes]] = field(default_factory=list)
    quarantined: Rows = field(default_factory=Rows)
    stated: Rows = field(default_factory=Rows)
    unreadable: int = 0
    editions: list[EditionLine] = field(default_factory=list)
    joined: list[tuple[str, int]] = field(default_factory=list)

    def join(self, other: DocumentBook) -> None:
        """Take in what another part of the folder holds."""
        self.received += other.received
        self.quarantined.join(other.quarantined)
        self.stated.join(other.stated)
        self.unreadable += other.unreadable
        self.editions += other.editions
        self.joined += other.joined

    def read_journal(self, data: bytes, place: Place) -> bool:
        """Take in a journal's entry; False when it is none."""
        try:
            line = JournalEntry.FromString(data)
        except DecodeError:
            return False
        if line.HasField("document_received"):
            self.received.append((place, line.document_received.SerializeToString()))
        elif line.HasField("quarantine_changed") and line.quarantine_changed.change == "IN":
            self.quarantined.add(line.quarantine_changed.document_id.encode(), line.quarantine_changed.row)
        elif line.HasField("joined"):
            self.joined.append((place.log, place.index))
        elif line.HasField("activated") or line.HasField("grant_changed"):
            brought = edition_line(place.log, place.index, line)
            if brought is not None:
                self.editions.append(brought[0])
        return True

    def read_body(self, body: bytes | None) -> None:
        """Take in the body of a record that this node stated."""
        if body is None:
            self.unreadable += 1
            return
        try:
            provenance = Record.FromString(body).header.provenance
        except DecodeError:
            return  # whoever signed it stated no record; another claim says so
        if provenance.document.digest:
            self.stated.add(provenance.document.digest, provenance.row)


def check(proven: DocumentBook, promised: DocumentBook, docket: Docket) -> None:
    """Claim 8.

    1. The counting rule: rows = accepted + revised + unchanged + quarantined + refused.
    2. As many rows stand in quarantine as the line says.
    3. As many rows became records as it says; one that left quarantine later is none of them.

    Args:
        proven: Of entries below the checkpoints.
        promised: Of those beyond: they explain what is not there yet, and prove nothing.
        docket: Where it is written down.
    """
    no = ClaimNo.DOCUMENTS
    counts: dict[str, int] = {}
    for place, line in _lines(proven):
        counts["documents"] = counts.get("documents", 0) + 1
        for name in ("rows", "accepted", "revised", "unchanged", "quarantined", "refused"):
            counts[name] = counts.get(name, 0) + getattr(line, name)
        # 1
        sum_of = line.accepted + line.revised + line.unchanged + line.quarantined + line.refused
        if sum_of != line.rows:
            text = f"document {line.document_id}: {line.rows} rows, {sum_of} accounted for"
            docket.find(place.against(no, "DOCUMENT_COUNT", text))
        # 2
        key = line.document_id.encode()
        _compare(
            docket, place, line, "DOCUMENT_QUARANTINE", line.quarantined,
            proven.quarantined.of(key), promised.quarantined.of(key), 0,
        )  # fmt: skip
        # 3
        waiting = proven.quarantined.of(key) | promised.quarantined.of(key)
        _compare(
            docket, place, line, "DOCUMENT_RECORDS", line.accepted + line.revised,
            proven.stated.of(line.digest) & ~waiting, promised.stated.of(line.digest) & ~waiting,
            proven.unreadable,
        )  # fmt: skip
    for name, count in counts.items():
        docket.fact(no, name, count)


def _lines(book: DocumentBook) -> Iterator[tuple[Place, DocumentReceived]]:
    for place, data in book.received:
        yield place, DocumentReceived.FromString(data)


def _compare(
    docket: Docket, place: Place, line: DocumentReceived, code: str, told: int, proven: int, promised: int, gone: int
) -> None:
    found = proven.bit_count()
    if found == told:
        return
    if found < told <= (proven | promised).bit_count():
        docket.lack(ClaimNo.DOCUMENTS, "CHECKPOINT", place.log)
    elif found < told <= found + gone:
        docket.lack(ClaimNo.DOCUMENTS, "BODIES", f"{line.document_id} {told - found}")
    else:
        text = f"document {line.document_id}: the journal says {told}, found {found}"
        docket.find(place.against(ClaimNo.DOCUMENTS, code, text))
