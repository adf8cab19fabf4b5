"""Events of the journal fit the log, however large they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from exchange.domain.journal_parts import MAX_ENTRY_BYTES, PartsUnreadable, join, pieces_of
from exchange.flows.apply.again.replay import events
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import journal, log_store
from exchange.v1.journal_pb2 import Activated, AlarmChanged, Edition, JournalEntry

BOOK = "cq.exchange.example/journal/1"


def _append(tx: Transaction, payloads: Sequence[Sequence[JournalEntry]]) -> list[int]:
    tx.open_log(BOOK, use=journal.USE, peer="", lane=0, epoch=1)
    return [journal.append(tx, payload) for payload in payloads]


def _edition(content: bytes) -> JournalEntry:
    event = JournalEntry(activated=Activated(edition=Edition(what="TRUST"), content=content, actor="li"))
    event.at.FromSeconds(1_700_000_000)
    return event


def test_a_large_event_is_read_back_as_it_was(database: Database, writer: Writer) -> None:
    """Its pieces stand before the line that joins them; lines of one append follow one another all the same."""
    large = [_edition(bytes([number]) * 150_000) for number in range(2)]
    writer.call(_append, [_edition(b"small")])
    first = writer.call(_append, [_edition(b"one"), large[0], large[1], _edition(b"two")])
    with database.read() as connection:
        book = journal.head(connection)
        stored = log_store.entries(connection, book.id, 0, book.size, bodies=False)
        assert max(len(each.entry) for each in stored) <= MAX_ENTRY_BYTES
        read = dict(events(connection, book, 0, book.size))
    lines = [read[first + place] for place in range(4)]
    assert [line.activated.content for line in lines] == [b"one", bytes(150_000), b"\1" * 150_000, b"two"]
    assert all(line.at.seconds == 1_700_000_000 and line.version == 1 for line in read.values())
    assert [index for index, line in read.items() if line.HasField("part")] == list(range(1, first))


def test_pieces_of_something_else_are_refused(database: Database, writer: Writer) -> None:
    """A piece that is changed, left out or no piece makes no event, nor does a line that names what comes behind it."""
    index = writer.call(_append, [_edition(bytes(150_000))])
    with database.read() as connection:
        stored = [each.entry for each in log_store.entries(connection, journal.head(connection).id, 0, index + 1)]
    line, pieces = JournalEntry.FromString(stored[index]), stored[:index]
    assert join(line, pieces).activated.content == bytes(150_000)
    changed = JournalEntry.FromString(pieces[1])
    changed.part.content = changed.part.content[:-1] + b"\1"
    other = JournalEntry(alarm_changed=AlarmChanged()).SerializeToString()
    for wrong in ([pieces[0], changed.SerializeToString(), *pieces[2:]], pieces[1:], [*pieces, other]):
        with pytest.raises(PartsUnreadable):
            join(line, wrong)
    line.joined.first = 1
    with pytest.raises(PartsUnreadable):
        pieces_of(line, index)
