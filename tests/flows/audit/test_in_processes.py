"""A replay that other processes read for gives what one process gives, and tells what is wrong as it does."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from multiprocessing import active_children, current_process, parent_process
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from exchange.flows.apply.again.ahead import Ahead
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.processes import Helpers, in_order, pool
from exchange.flows.audit.replay.loading import Loader
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.replay.walk import Walk
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.stored import StoredRegisters
from exchange.storage.engine.scratch import Scratch
from tests.flows.audit.past import NAMES, Past
from tests.flows.audit.test_exported import folders
from tests.world import tables

__all__ = ["folders"]


@pytest.mark.parametrize("name", NAMES)
def test_processes_give_what_one_gives(past: Past, folders: dict[str, Path], name: str) -> None:
    """Steps, digests and rows; of a folder, whose parts they read, and of a database, whose parts they can not."""
    for source in (ExportedLogs(folders[name]), past.logs(name)):
        with ReplayRun(source, tables(), jobs=1) as run:
            assert list(run.go()) == []
            alone = run.done
        with ReplayRun(source, tables(), jobs=3) as run:
            assert list(run.go()) == []
            assert run.done == alone
            assert list(run.compare(StoredRegisters(past.database(name)))) == []


def test_a_broken_bundle_is_told_from_another_process(folders: dict[str, Path], tmp_path: Path) -> None:
    """With its file and place, as where this process reads it."""
    folder = shutil.copytree(folders["cq"], tmp_path / "cq")
    archive = next(each for each in (folder / "logs").rglob("*.tar") if "bodies" in str(each))
    archive.write_bytes(archive.read_bytes()[:-2048])
    told = []
    for jobs in (1, 2):
        with ReplayRun(ExportedLogs(folder), tables(), jobs=jobs) as run, pytest.raises(FolderUnreadable) as unreadable:
            list(run.go())
        told.append((unreadable.value.file, unreadable.value.detail, unreadable.value.byte, str(unreadable.value)))
    assert told[0] == told[1]


def test_a_part_ends_where_it_is_too_large(folders: dict[str, Path]) -> None:
    """What another process gives back is bounded, however large bodies are: this process goes on from there."""
    source = ExportedLogs(folders["sc"])
    log = max(source.logs(), key=lambda each: each.proven)
    entries = [each for each in source.entries(log, 0) if each.index < log.proven]
    (part,) = source.parts(log, 0)
    assert part.read(1 << 30) == (entries, None)
    sizes = [len(each.entry) + len(each.body or b"") for each in entries]
    assert part.read(sum(sizes[:3])) == (entries[:3], 3)
    assert part.read(sizes[0] - 1) == ([], 0)
    (rest,) = source.parts(log, 2)
    assert rest.read(1 << 30) == (entries[2:], None)


def test_parts_that_are_too_large_are_read_here(
    past: Past, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out or put twice where each part ends early."""
    monkeypatch.setattr("exchange.flows.audit.replay.loading.CHUNK_BYTES", 2_000)
    with ReplayRun(ExportedLogs(folders["sc"]), tables(), jobs=2) as run:
        assert list(run.go()) == []
        assert list(run.compare(StoredRegisters(past.database("sc")))) == []


class _Counting(ThreadPoolExecutor):
    """Counts what it is given."""

    given = 0

    def submit(self, *args: Any, **named: Any) -> Any:
        """Take one more."""
        self.given += 1
        return super().submit(*args, **named)


def test_a_walk_reads_itself_what_nobody_has_begun(past: Past) -> None:
    """While the others are busy, the walk does not wait for what it can read."""
    busy, source = Event(), past.logs("sc")
    with Scratch() as scratch, _Counting(1) as executor:
        executor.submit(busy.wait)
        list(Loader(source, scratch.change, trees=False).load())
        scratch.share()
        node = ReplayedNode(name="sc", federation=source.domain, tables=tables())
        walk = Walk(node, scratch, Ahead("sc", executor, scratch.entries_file))
        release = Timer(1.0, busy.set)
        release.start()
        try:
            assert list(walk.on(lambda *_line: False)) == []
        finally:
            busy.set()
            release.cancel()
        assert 1 < executor.given <= walk.done.steps
    with past.run("sc") as run:
        list(run.go())
        assert walk.done == run.done


def test_helpers_help_once_they_have_begun() -> None:
    """Until then each part is worked on here; none is left out or done twice, whoever does it."""
    begin, here = Event(), current_process().name
    with ThreadPoolExecutor(1) as executor, pool(1) as processes:
        executor.submit(begin.wait)
        late = Helpers(executor)
        assert list(late.in_order(abs, [-1, -2], 2)) == [1, 2]
        assert not late.have_begun
        begin.set()
        soon = Helpers(processes, "exchange.flows.audit.processes")
        seen = soon.in_order(_who, count(), 2)
        worked = [next(seen)]
        while worked[-1][1] == here:
            worked.append(next(seen))
        worked += islice(seen, 3)
    assert [part for part, _ in worked] == list(range(len(worked)))
    assert {who for _, who in worked[-4:]}.isdisjoint({here})


def _who(part: int) -> tuple[int, str]:
    return part, current_process().name


def test_parts_of_a_process_that_is_killed_are_done_here() -> None:
    """Whatever it had begun, and all that comes after."""
    with pool(1) as executor:
        assert list(in_order(executor, _dies_at_three, range(8), 3)) == list(range(8))


def _dies_at_three(part: int) -> int:
    if part == 3 and parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def test_a_walk_goes_on_when_its_process_is_killed(past: Past) -> None:
    """It reads by itself what the process had begun, and what comes after."""
    source = past.logs("sc")
    with Scratch() as scratch, pool(1) as executor:
        list(Loader(source, scratch.change, trees=False).load())
        scratch.share()
        node = ReplayedNode(name="sc", federation=source.domain, tables=tables())
        walk = Walk(node, scratch, Ahead("sc", executor, scratch.entries_file))
        killed = False

        def kill(_step: object) -> None:
            nonlocal killed
            if not killed and walk.done.steps == 3:
                killed = True
                for process in active_children():
                    process.kill()

        assert list(walk.on(lambda *_line: False, kill)) == []
        assert killed
    with past.run("sc") as run:
        list(run.go())
        assert walk.done == run.done


def test_results_come_in_the_order_of_the_parts() -> None:
    """However long each takes; and an error comes at its place."""
    with pool(2) as executor:
        assert list(in_order(executor, abs, iter(range(-9, 0)), 3)) == list(range(9, 0, -1))
        results = in_order(executor, int, ["1", "2", "x", "4"], 2)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="invalid literal"):
            next(results)
