"""What must hold on both disks once two nodes have come to rest, whatever happened to them before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.request import urlopen

from exchange.app import startup
from exchange.crypto.key_lock import OPEN
from exchange.crypto.receipts import verify_receipt
from exchange.crypto.trusted.node_card import KeyRole, NodeCard
from exchange.crypto.trusted.trust import TrustSet
from exchange.flows.apply.again.rebuild import rebuild
from exchange.flows.context import Node
from exchange.rpc.failure import CallFailed
from exchange.settings import load as load_settings
from exchange.settings.trust_folder import read_peer
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.logs.verify import verify
from exchange.v1.operation_service_pb2 import (
    Alarm,
    GetStatusRequest,
    GetStatusResponse,
    ListAlarmsRequest,
    NodeState,
)
from exchange.v1.statement_pb2 import Envelope, LogEntry
from exchange.v1.submission_service_pb2 import GetReceiptRequest
from tests.evidence import empty_database, registers, statement_of
from tests.processes.load import Acknowledged
from tests.rigs.pair import NodeFolder, Pair

REST_SECONDS = 60.0
"""A backlog of some thousand entries is gone in a tenth of it."""


def url_of(pair: Pair, name: str) -> str:
    """A node's database."""
    return f"sqlite:///{pair.nodes[name].database}"


def other_of(pair: Pair, name: str) -> str:
    """The node on the other side."""
    return next(each for each in pair.nodes if each != name)


def status(pair: Pair, name: str) -> GetStatusResponse:
    """A node's state, as its operator sees it."""
    with pair.nodes[name].client("operator") as client:
        return client.call(client.operation.GetStatus, GetStatusRequest())


def alarms(pair: Pair, name: str) -> list[Alarm]:
    """A node's open alarms."""
    with pair.nodes[name].client("operator") as client:
        return list(client.call(client.operation.ListAlarms, ListAlarmsRequest()).alarms)


def metric(node: NodeFolder, name: str, labels: str = "") -> float:
    """Sum of a metric over its labels, or of those that say something; 0 while there is none."""
    with urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{") and labels in line)


def wait(what: str, condition: Callable[[], bool], seconds: float = REST_SECONDS) -> None:
    """Wait until something holds; a node that does not answer yet is asked again."""
    deadline = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if condition():
                return
        except CallFailed as failure:
            last = str(failure)
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}; {last}"
        time.sleep(0.1)


def wait_at_rest(pair: Pair) -> None:
    """Until both serve, and everything is delivered, applied and answered."""

    def rests(name: str) -> bool:
        seen = status(pair, name)
        return (
            seen.state == NodeState.NODE_STATE_SERVING
            and all(lane.delivered == lane.size and lane.applied == lane.mirrored for lane in seen.lanes)
            and all(row.pending == 0 and row.unanswered == 0 for row in seen.counts)
        )

    # Twice: an answer of the one is an entry for the other.
    wait("both at rest", lambda: all(rests(name) for name in (*pair.nodes, *pair.nodes)))


def card_of(pair: Pair, name: str) -> NodeCard:
    """A node's card, as its peer keeps it."""
    return TrustSet.load(read_peer(pair.nodes[other_of(pair, name)].folder / "trust", name)).card


def assert_receipts(
    pair: Pair, name: str, acknowledged: Sequence[Acknowledged], cards: tuple[NodeCard, NodeCard] | None = None
) -> None:
    """Each has a receipt that verifies with the cards' keys alone and holds the envelope that was acknowledged.

    Args:
        pair: The two nodes.
        name: Whose records.
        acknowledged: The records.
        cards: Its card and its peer's; those of the beginning when none are given.
    """
    own, others = cards or (card_of(pair, name), card_of(pair, other_of(pair, name)))
    log_keys, cosigners = own.keys_of(KeyRole.LOG), others.keys_of(KeyRole.MIRROR)
    with pair.nodes[name].client() as client:
        for each in acknowledged:
            answer = client.call(
                client.submissions.GetReceipt, GetReceiptRequest(record_id=each.record_id, revision=each.revision)
            )
            verified = verify_receipt(answer.receipt.encode(), log_keys, cosigners, answer.entry)
            envelope = Envelope.FromString(LogEntry.FromString(verified.entry).envelope)
            assert envelope.payload == Envelope.FromString(each.envelope).payload


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database of a node that does not run."""
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def outbound(pair: Pair, name: str, holder: str) -> dict[str, list[StoredEntry]]:
    """The logs of a node towards its peer, as one of the two holds them."""
    prefix = f"{name}."
    with opened(url_of(pair, holder)) as database, database.read() as connection:
        return {
            log.origin: log_store.entries(connection, log.id, 0, log.size)
            for log in log_store.heads(connection)
            if log.origin.startswith(prefix) and "/to/" in log.origin
        }


def assert_mirrored_once(pair: Pair, name: str, acknowledged: Sequence[Acknowledged]) -> None:
    """Each acknowledged record stands exactly once on both disks, byte for byte, in the order of the answers."""
    mine = outbound(pair, name, name)
    theirs = outbound(pair, name, other_of(pair, name))
    assert {origin: [each.entry for each in log] for origin, log in mine.items() if log} == {
        origin: [each.entry for each in log] for origin, log in theirs.items() if log
    }
    places: dict[tuple[str, int], tuple[str, int]] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for origin, log in theirs.items():
        for index, stored in enumerate(log):
            statement = statement_of(stored.entry)
            address = statement.record_id, statement.revision
            seen[address] += 1
            places[address] = origin, index
    wanted = [(each.record_id, each.revision) for each in acknowledged]
    assert len(set(wanted)) == len(wanted), "one record was acknowledged for two submissions"
    assert [each for each in wanted if seen[each] != 1] == []
    assert [places[each] for each in wanted] == sorted(places[each] for each in wanted)


def assert_sound(pair: Pair) -> None:
    """Both databases agree with themselves, byte by byte. The nodes may run."""
    for name in pair.nodes:
        assert verify(url_of(pair, name)) == [], name


def assert_replays(pair: Pair) -> None:
    """Walking each journal over its logs gives the registers, row by row. The nodes must not run."""
    for name in pair.nodes:
        with stopped_node(pair, name) as node, empty_database() as target:
            steps = list(rebuild(node, node.database, target))
            live, made = registers(node.database), registers(target)
        assert [f"{step.journal}#{step.index}" for step in steps if not step.agrees] == [], name
        for table, rows in live.items():
            assert made[table] == rows, f"{name}: {table}"


@contextmanager
def stopped_node(pair: Pair, name: str) -> Iterator[Node]:
    """A node's files and database without its process, which must not run."""
    settings = load_settings(pair.nodes[name].node_file)
    with opened(settings.database.url) as database:
        node = startup.make_node(
            settings, startup.read_files(settings, OPEN), database, on_commit=lambda _n: None, on_fatal=lambda _e: None
        )
        try:
            yield node
        finally:
            node.writer.close()
