"""A peer that is away for long: what waits for it lies on disk, and not in the node's memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from exchange.crypto.keys import submission_tag
from exchange.domain.record_index import raw_id
from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.seal import seal
from exchange.storage import schema
from exchange.storage.engine.database import PAGE_CACHE_KIB
from exchange.storage.engine.writer import WorkClass
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import NewSubmission
from exchange.storage.registers import registers
from exchange.v1.kind_pb2 import KIND_PENALTY_NOTICE
from exchange.v1.penalty_notice_pb2 import PENALTY_STATE_ISSUED
from exchange.v1.submission_service_pb2 import SUBMIT_RESULT_ACCEPTED
from tests.domain.records import make_uscc, penalty
from tests.processes import laws
from tests.rigs.pair import Pair, running_pair
from tests.test_walk import of_region

BATCH = 1_000
FEW = 10_000
"""Entries after which every cache of the node is warm."""

ROOM = (PAGE_CACHE_KIB << 10) + (16 << 20)
"""Bytes that the rest of a backlog may add: SQLite's page cache, which a small database does not fill, and some air.
Two hundred bytes kept of each entry would be more."""

DRAINING_SECONDS = 10.0
"""How long a backlog is watched while it goes over: some tens of full batches."""


def fill(pair: Pair, first: int, end: int) -> None:
    """Put records into cq's log towards sc, sealed as its door seals them; the process does not run."""
    with laws.stopped_node(pair, "cq") as node:
        for start in range(first, end, BATCH):
            made = [sealed(node, number) for number in range(start, min(start + BATCH, end))]
            stored = node.writer.call(submissions.store, made, WorkClass.REGISTRY, rows=len(made))
            assert all(isinstance(each, submissions.Stored) for each in stored)


def sealed(node: Node, number: int) -> NewSubmission:
    """One penalty notice, ready to be appended."""
    now = node.clock()
    record = of_region(penalty(), node.name)
    record.penalty_notice.subject.uscc = make_uscc(number)
    record.penalty_notice.decision_no = f"演环罚〔2025〕{number:07d}号"
    record.header.record_id, record.header.revision = str(new_id(now)), 1
    tag = submission_tag(node.keys.submission_key, "agency", f"backlog-{number}", b"")
    entry = seal(node, record, ["sc"], now, tag=tag).entry
    return NewSubmission(
        key_tag=tag[:32],
        request_tag=tag[32:],
        agency="agency",
        idempotency_key=f"backlog-{number}",
        record_id=raw_id(record.header.record_id),
        revision=1,
        kind=KIND_PENALTY_NOTICE,
        natural_tag=b"",
        content_tag=b"content",
        authority=record.header.authority.uscc,
        state=PENALTY_STATE_ISSUED,
        result=SUBMIT_RESULT_ACCEPTED,
        accepted_at=micros(now),
        logs=(node.origin_to("sc", "registry", 1),),
        entry=entry,
    )


def wait_applied(pair: Pair) -> None:
    """Wait until cq's registers hold everything that its own logs say."""

    def applied() -> bool:
        with laws.opened(laws.url_of(pair, "cq")) as database, database.read() as connection:
            ahead = registers.next_indices(connection)
            logs = connection.execute(select(schema.logs).where(schema.logs.c.use == "outbound")).all()
            return all(ahead.get(log.id, 0) == log.size for log in logs)

    deadline = time.monotonic() + 1_800
    while not applied():
        assert time.monotonic() < deadline, "the registers never caught up"
        time.sleep(0.5)


def resident(pair: Pair, name: str) -> int:
    """A node's memory once it has answered an officer who asks how it stands."""
    laws.status(pair, name)
    return pair.processes[name].resident_bytes()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_backlog_waits_on_disk(tmp_path: Path, waiting: int) -> None:
    """A node's memory is the same with ten times the entries waiting, and while they go over."""
    with running_pair(tmp_path) as pair:
        pair.stop()
        memory = []
        for first, end in ((0, FEW), (FEW, waiting)):
            fill(pair, first, end)
            pair.start("cq")
            wait_applied(pair)
            memory.append(resident(pair, "cq"))
            row = next(each for each in laws.status(pair, "cq").counts if each.submitted)
            assert (row.submitted, row.delivered) == (end, 0)
            if end < waiting:
                pair.stop("cq")
        assert memory[1] - memory[0] <= ROOM, [each >> 20 for each in memory]

        pair.start("sc")
        before = resident(pair, "cq")
        end_at = time.monotonic() + DRAINING_SECONDS
        while time.monotonic() < end_at:
            time.sleep(0.5)
            added = pair.processes["cq"].resident_bytes() - before
            assert added <= 2 * ROOM, added >> 20
        assert next(each for each in laws.status(pair, "cq").counts if each.submitted).delivered > 0
