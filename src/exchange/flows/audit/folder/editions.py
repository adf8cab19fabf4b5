"""editions/history.tsv: which edition came when and by whom. Each line says again what a line of the journal says.

origin TAB index TAB instant TAB what TAB name TAB sha256 of the edition TAB actor
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import write_instant
from exchange.flows.instants import instant, is_instant, micros_of
from exchange.v1.journal_pb2 import JournalEntry

HISTORY: Final = f"{names.EDITIONS}/history.tsv"
GRANTS: Final = "GRANTS"

MAX_HISTORY_BYTES: Final = 64 << 20
"""Bytes of the history: some hundred thousand grants."""


@dataclass(frozen=True, slots=True)
class EditionLine:
    """One line of the history.

    Attributes:
        log: Origin of the journal.
        index: Of the line that brought the edition in.
        path: Where its bytes lie in the folder.
        digest: SHA-256 of them, in hex.
        line: The line with its end.
    """

    log: str
    index: int
    path: str
    digest: str
    line: bytes


def edition_line(origin: str, index: int, event: JournalEntry) -> tuple[EditionLine, bytes] | None:
    """What the history says of a line of the journal, and the edition's bytes; None for one that brings none in."""
    told = _edition(event)
    if told is None or not is_instant(event.at):
        return None
    what, name, content, actor = told
    digest = sha256(content).hexdigest()
    at = write_instant(instant(micros_of(event.at)))
    line = "\t".join((origin, str(index), at, what, _plain(name), digest, _plain(actor)))
    return EditionLine(origin, index, f"{names.EDITIONS}/{what}/{digest}", digest, f"{line}\n".encode()), content


def _edition(event: JournalEntry) -> tuple[str, str, bytes, str] | None:
    """What, name, content and actor."""
    if event.HasField("activated") and event.activated.edition.what.isidentifier():
        said = event.activated
        return said.edition.what, said.edition.name, said.content, said.actor
    if event.HasField("grant_changed"):
        changed = event.grant_changed
        return GRANTS, changed.agency, changed.grant.encode("utf-8"), changed.actor
    return None


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
