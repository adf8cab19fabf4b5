"""Entries of coming steps, read in other processes while this one walks.

What an entry's bytes say depends on no register, so it can be read before its step's turn; everything that a step does
is still computed in order, by the same apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from exchange.flows.apply.changes.overlay import NUMBERS_PER_STEP, number_of_parts
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.apply.facts import EntryFacts, facts_of
from exchange.flows.apply.steps import is_run, read_run, run_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.scratch import entries_in
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import Step

STEPS: Final = 6
"""Steps that are read ahead: 1,536 entries."""

_NO_LOGS: Final[Mapping[int, str]] = {}
"""Rows of parts name no log."""

_Key = tuple[int, int, int]
"""Log, first index, and the one to stop before."""


class Ahead:
    """Reads the entries of steps.

    No future is ever cancelled: where a process dies, the pool's own thread fails on those (InvalidStateError), and
    nobody is told of the others. What nobody shall begin is not handed over.

    Args:
        name: The node whose own logs are walked.
        executor: Where they are read ahead.
        entries: The file of a scratch database that was shared: where the executor reads them.
        processes: How many runs the executor works on at once.
        is_ready: Whether it begins at once what it is given.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        entries: Path,
        processes: int = 1,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._executor = executor
        self._entries = entries
        self._in_hand = processes + 1
        self._is_ready = is_ready
        self._planned: dict[_Key, tuple[str, int]] = {}
        self._runs: dict[_Key, Future[list[EntryFacts]]] = {}
        self._read: dict[_Key, list[ReadEntry]] = {}

    def look(self, heads: Mapping[str, LogHead], steps: Iterable[Step], next_seq: int) -> None:
        """Let what coming steps read be read, the nearest first.

        Args:
            heads: The logs, by origin.
            steps: The steps.
            next_seq: Number of the first one's row changes.
        """
        if not self._is_ready():
            return
        for number, step in zip(count(next_seq, NUMBERS_PER_STEP), steps, strict=False):
            if len(self._planned) + len(self._runs) + len(self._read) >= STEPS:
                break
            source = heads.get(step.source_log)
            if step.redecisions or source is None or not is_run(source, step.first, step.end):
                continue
            key = source.id, step.first, step.end
            if key not in self._planned and key not in self._runs and key not in self._read:
                self._planned[key] = source.peer if source.use == "mirror" else self._name, number
        self._hand_over()

    def take(self, logs: Connection, log_id: int, first: int, end: int) -> list[ReadEntry]:
        """The entries of a step."""
        key = log_id, first, end
        run = self._runs.pop(key, None)
        if run is None:
            self._planned.pop(key, None)
            return self._read.pop(key, None) or read_run(logs, log_id, first, end)
        while not run.done() and self._planned:
            # Rather than wait: what stands last is read here.
            last, _ = self._planned.popitem()
            self._read[last] = read_run(logs, *last)
            self._hand_over()
        try:
            found = run.result()
        except BrokenExecutor:
            return read_run(logs, log_id, first, end)
        raw = partial(_entry_at, logs, log_id)
        return [ReadEntry(facts, place, raw) for place, facts in enumerate(found)]

    def _hand_over(self) -> None:
        """Give the executor what it can begin; one more waits, so that it need not."""
        begun = sum(not run.done() for run in self._runs.values())
        for key in list(self._planned)[: max(0, self._in_hand - begun)]:
            origin, number = self._planned[key]
            try:
                self._runs[key] = self._executor.submit(facts_of_run, self._entries, key, origin, number)
            except BrokenExecutor:
                return  # a process was killed: entries are read in turn
            del self._planned[key]


def facts_of_run(entries: Path, key: _Key, origin: str, first: int) -> list[EntryFacts]:
    """What the entries of a step say, in whichever process, with the leaves of what stands within their records.

    Args:
        entries: The file where they lie.
        key: Which entries.
        origin: Whose log it is.
        first: Number that the step's row changes begin with.
    """
    raws = run_of(entries_in(entries), *key)
    return [_with_leaves(facts_of(raw, origin), number_of_parts(first, place)) for place, raw in enumerate(raws)]


def _with_leaves(facts: EntryFacts, number: int) -> EntryFacts:
    said = facts.description
    if said is None or not said.parts:
        return facts
    leaves = tuple(
        Change(table, (seq,), row, facts.salt).leaf(_NO_LOGS) for seq, (table, row) in enumerate(said.parts, number)
    )
    return facts._replace(description=said._replace(numbered=number, leaves=leaves))


def _entry_at(logs: Connection, log_id: int, index: int) -> StoredEntry:
    return log_store.entries_at(logs, log_id, [index])[index]
