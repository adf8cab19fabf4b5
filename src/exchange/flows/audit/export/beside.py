"""What lies beside the logs: editions that the journal brought in, trust material, attachments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from exchange.flows.apply.again.replay import events
from exchange.flows.audit.export.files import Target
from exchange.flows.audit.export.logs import LogPlan
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.editions import HISTORY, edition_line
from exchange.storage.engine.database import Database
from exchange.storage.intake import attachments
from exchange.v1.journal_pb2 import JournalEntry

PAGE: Final = 256
PIECE_BYTES: Final = 1 << 20


def write_editions(target: Target, database: Database, logs: list[LogPlan]) -> set[str]:
    """The bytes of every edition of the journals, and who brought it in when. Grants are editions by their agency.

    Returns:
        Paths that were written.
    """
    written = {HISTORY}
    with target.stream(HISTORY) as history:
        for log in logs:
            if log.head.use != "journal":
                continue
            for index, event in _events(database, log):
                told = edition_line(log.head.origin, index, event)
                if told is None:
                    continue
                edition, content = told
                target.put(edition.path, content)
                written.add(edition.path)
                history.write(edition.line)
    return written


def write_trust(target: Target, material: Mapping[str, bytes]) -> set[str]:
    """Copies of what the node trusts, by path below ``trust/``. Nothing that holds a private key is copied.

    Returns:
        Paths that were written.
    """
    written = set()
    for name, content in material.items():
        path = f"{names.TRUST}/{name}"
        if names.is_legal(path) and b"PRIVATE KEY" not in content:
            target.put(path, content)
            written.add(path)
    return written


def write_attachments(target: Target, database: Database, *, withheld: bool) -> set[str]:
    """Attachments that are whole and may be shown, by the first digest that their records list.

    Returns:
        Paths that were written.
    """
    written = set()
    after = b""
    while True:
        with database.read() as connection:
            page = attachments.whole_ones(connection, after, PAGE, withheld=withheld)
        for held in page:
            after = held.digest
            name = held.digest.hex()
            path = f"{names.ATTACHMENTS}/{name[:2]}/{name}"
            if target.disk.size(path) != held.size:
                target.put_pieces(path, _pieces(database, held.digest, held.size))
            written.add(path)
        if len(page) < PAGE:
            return written


def _pieces(database: Database, digest: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        with database.read() as connection:
            piece = attachments.read(connection, digest, at, PIECE_BYTES)
        if not piece:
            return
        yield piece
        at += len(piece)


def _events(database: Database, log: LogPlan) -> Iterator[tuple[int, JournalEntry]]:
    for start in range(0, log.head.size, PAGE):
        with database.read() as connection:
            yield from events(connection, log.head, start, min(log.head.size, start + PAGE))
