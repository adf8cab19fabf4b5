"""A scratch database whose entries other processes read while this one goes on writing registers."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import text

from exchange.storage import schema
from exchange.storage.engine.scratch import Scratch, entries_in
from exchange.storage.engine.transaction import NewEntry
from exchange.storage.logs import log_store


def test_entries_are_read_by_others_whatever_is_written_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers that outgrow the cache lock nobody out of the entries: they lie in another file."""
    monkeypatch.setattr("exchange.storage.engine.scratch.CACHE_KIB", 64)
    with Scratch() as scratch:
        with scratch.change() as tx:
            log = tx.open_log("cq/log", use="outbound", peer="sc", lane=1, epoch=1)
            tx.append(log.id, [NewEntry.of(b"%d" % number) for number in range(300)], trees=False)
        scratch.share()
        with scratch.change() as tx:
            tx.insert(schema.steps, [{"log_id": 1, "idx": at, "leaves": bytes(4_096)} for at in range(500)])
        with closing(entries_in(scratch.entries_file)) as others:
            others.execute(text("PRAGMA busy_timeout=100"))
            assert [each.entry for each in log_store.entries(others, log.id, 7, 9)] == [b"7", b"8"]
        with scratch.read() as connection:
            assert len(log_store.entries(connection, log.id, 0, 300)) == 300
            files = {row.name: row.file for row in connection.execute(text("PRAGMA database_list"))}
            assert files["entries_file"] == str(scratch.entries_file)
            of_entries = connection.execute(text("SELECT name FROM entries_file.sqlite_master WHERE type = 'table'"))
            assert list(of_entries.scalars()) == ["entries"]


def test_what_is_written_later_is_read_once_it_is_shared() -> None:
    """Others see entries as they were shared last."""
    with Scratch() as scratch:
        with scratch.change() as tx:
            log = tx.open_log("cq/log", use="outbound", peer="sc", lane=1, epoch=1)
            tx.append(log.id, [NewEntry.of(b"1")], trees=False)
        scratch.share()
        with closing(entries_in(scratch.entries_file)) as others:
            assert len(log_store.entries(others, log.id, 0, 9)) == 1
            with scratch.change() as tx:
                tx.append(log.id, [NewEntry.of(b"2")], trees=False)
            assert len(log_store.entries(others, log.id, 0, 9)) == 1
            scratch.share()
            assert len(log_store.entries(others, log.id, 0, 9)) == 2
