"""A node is killed right behind its answer to an auditor: the journal on its disk tells of the reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchange.rpc.client import Client
from exchange.storage.logs import journal, log_store
from exchange.v1 import audit_service_pb2 as pb
from exchange.v1.journal_pb2 import AuditRead, JournalEntry
from tests.processes import laws
from tests.rigs.pair import Pair, running_pair

JOURNAL = "cq.exchange.example/journal/1"

Call = Callable[[Client], object]

CALLS: dict[str, tuple[Call, tuple[str, str, int, int]]] = {
    "a page of the journal": (
        lambda client: client.call(client.audit.ListEntries, pb.ListEntriesRequest(origin=JOURNAL, page_size=2)),
        ("ENTRIES", JOURNAL, 0, 2),
    ),
    "the first message of a stream": (
        lambda client: next(
            iter(client.stream(client.audit.StreamEntries, pb.StreamEntriesRequest(origin=JOURNAL, start=1, end=4)))
        ),
        ("ENTRIES", JOURNAL, 1, 4),
    ),
    "digests of a register": (
        lambda client: client.call(
            client.audit.ListRegisterDigests, pb.ListRegisterDigestsRequest(register="reg_agencies", salt=bytes(16))
        ),
        ("REGISTER_DIGESTS", "reg_agencies", 0, 0),
    ),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes."""
    with running_pair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


def _reads(database: Path) -> list[AuditRead]:
    with laws.opened(f"sqlite:///{database}") as opened, opened.read() as connection:
        book = journal.head(connection)
        lines = log_store.entries(connection, book.id, 0, book.size, bodies=False)
    events = [JournalEntry.FromString(line.entry) for line in lines]
    return [event.audit_read for event in events if event.HasField("audit_read")]


@pytest.mark.parametrize("what", CALLS)
def test_a_reading_survives_the_node_that_answered_it(pair: Pair, what: str) -> None:
    """The answer came, so the line is on the disk of the killed process, with who asked and what he was given."""
    call, told = CALLS[what]
    node = pair.nodes["cq"]
    before = len(_reads(node.database))
    with node.client("auditor") as client:
        call(client)
        pair.kill("cq")
    new = _reads(node.database)[before:]
    assert [(read.what, read.log, read.first, read.end) for read in new] == [told]
    assert new[0].caller == "spiffe://cq.exchange.example/auditor/auditor"
    pair.start("cq")
