"""The rows that a step touches, loaded set-based, and the changes made to them so far, each with its number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.flows.apply.changes import ending
from exchange.flows.apply.deciding.waiting import CONFIRMED, UNPROVEN
from exchange.flows.apply.entry import ReadEntry, payload_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.registers import registers
from exchange.storage.registers.registers import NO_ENTRY, Change
from exchange.v1.record_pb2 import Record

PLACES = 256
"""Entries of one step that row changes can be numbered for."""

MAX_REVISION = (1 << 31) - 1
"""Stands for every revision of a record."""

CHANGES_PER_ENTRY = 1 << 16
"""Numbers kept free for the row changes of one entry: a body of 1 MiB has fewer series."""

OWN_NUMBERS = CHANGES_PER_ENTRY // 2
"""Where those of an entry's own rows begin. The rows of earlier revisions that it changes come before, and how many
they are depends on bodies that may be gone when the step is computed again."""

NUMBERS_PER_STEP = PLACES * CHANGES_PER_ENTRY
"""A row's number is made of step, place of the entry and count within it, never of how many rows came before: what an
erased body no longer shows shifts no other number when the step is computed again."""


def number_of_parts(first: int, place: int) -> int:
    """The number that the first part of a record gets in a step.

    Args:
        first: First number of the step's row changes.
        place: Place of the entry.
    """
    return first + place * CHANGES_PER_ENTRY + OWN_NUMBERS + 1


@dataclass(frozen=True, slots=True)
class ErasedRow:
    """A record revision whose body is to be destroyed, with where it stands."""

    origin: str
    record_id: bytes
    revision: int
    log_id: int
    idx: int


class RegisterOverlay:
    """The rows that a step touches, loaded set-based, and every change made to them so far.

    Args:
        logs: Where the logs are read.
        state: Where the registers are read.
        entries: The step's entries.
        origin: Node whose log they stand in.
        next_seq: First number of the step's row changes.
        log_id: That log.
    """

    def __init__(
        self,
        logs: Connection,
        state: Connection,
        entries: Sequence[ReadEntry],
        origin: str,
        next_seq: int,
        log_id: int = 0,
    ) -> None:
        self._logs = logs
        self._state = state
        self.log_id = log_id
        self._base = next_seq
        self._place = 0
        self._taken = 0
        self.changes: list[Change] = []
        self.erasures: list[ErasedRow] = []
        wanted = {(origin, entry.record_id) for entry in entries if entry.record_id}
        natural_keys: list[str] = []
        for entry in entries:
            facts = entry.facts
            wanted.update(facts.named)
            natural_keys += [facts.natural_key, facts.before]
        self._holders = registers.holders_of(state, natural_keys)
        before = {entry.facts.before for entry in entries} - {""}
        wanted |= {(origin, self._holders[origin, key]) for key in before if (origin, key) in self._holders}
        loaded = registers.records_of(state, wanted)
        # Acts bring the notice that they are about; notices bring the acts on them.
        loaded |= registers.records_of(state, ending.notices_of(loaded) - loaded.keys())
        acts = registers.acts_on(state, loaded, tuple(ending.ENDS))
        self._acts: dict[tuple[str, bytes], set[tuple[str, bytes]]] = defaultdict(set, acts)
        missing = {key for keys in acts.values() for key in keys} - loaded.keys()
        loaded |= registers.records_of(state, missing)
        self._rows: dict[tuple[str, bytes], list[dict[str, Any]]] = defaultdict(list, loaded)
        self._stated_by: dict[bytes, set[str]] = defaultdict(set)
        for stated_by, record_id in loaded:
            self._stated_by[record_id].add(stated_by)
        self._copies = {
            record_id: [ErasedRow(origin, record_id, row.revision, row.log_id, row.idx) for row in rows]
            for record_id, rows in registers.copies_of(state, origin, (each for _, each in wanted)).items()
        }
        self._keys: dict[str, dict[str, Mapping[str, Any]]] = {}

    def begin(self, place: int) -> None:
        """The changes from here on are those of the entry at a place of the step."""
        self._place, self._taken = place, 0

    def stated_elsewhere(self, origin: str, record_id: bytes) -> bool:
        """Whether another origin has stated a record of this id."""
        return not self._stated_by.get(record_id, set()) <= {origin}

    def copies(self, record_id: bytes) -> Sequence[ErasedRow]:
        """Entries of a record of the step's origin that no register row points at."""
        return self._copies.get(record_id, ())

    def unproven(self, entry: ReadEntry) -> list[tuple[int, int, int]]:
        """Entries (log, index, decision revision) that wait until this one's statement is confirmed: the same bytes."""
        places = [
            (copy.log_id, copy.idx)
            for copy in self._copies.get(entry.record_id, ())
            if copy.revision == entry.facts.revision
        ]
        places += [
            (row["log_id"], row["idx"])
            for rows in ([self._rows[key] for key in self._rows if key[1] == entry.record_id])
            for row in rows
            if row["revision"] == entry.facts.revision
        ]
        found = []
        for log_id, index in dict.fromkeys(places):
            if (log_id, index) == (self.log_id, entry.index):
                continue
            waits = registers.waits_at(self._state, log_id, [index]).get(index)
            if waits is None or waits.token not in (UNPROVEN, CONFIRMED):
                continue
            raw = log_store.entries_at(self._logs, log_id, [index])[index]
            if payload_of(raw.entry) == payload_of(entry.raw.entry):
                found.append((log_id, index, waits.decision_revision))
        return found

    def waiting(self, log_id: int, index: int) -> int:
        """Decision revision of a deferred entry; 0 when it does not wait."""
        for change in reversed(self.changes):
            if change.table == "waits" and change.key == (log_id, index):
                return change.row["decision_revision"] if change.row is not None else 0
        row = registers.waits_at(self._state, log_id, [index]).get(index)
        return row.decision_revision if row is not None else 0

    def revisions(self, origin: str, record_id: bytes) -> Sequence[Mapping[str, Any]]:
        """Register rows of a record, in order of revision."""
        return self._rows.get((origin, record_id), ())

    def acts_on(self, origin: str, record_id: bytes) -> Iterator[Mapping[str, Any]]:
        """Rows of repairs and revocations of a record, whatever their standing."""
        for key in self._acts.get((origin, record_id), ()):
            yield from self._rows.get(key, ())

    def standing(self, origin: str, entry: ReadEntry, log_id: int) -> Mapping[str, Any] | None:
        """The register row that an entry made; None when it made none."""
        rows = self._rows.get((origin, entry.record_id), ())
        found = (row for row in rows if (row["log_id"], row["idx"]) == (log_id, entry.index))
        return next((row for row in found if row["tombstone"] != "ERASED"), None)

    def announced(self, origin: str, key_id: str) -> bytes | None:
        """What was announced of a key last."""
        for change in reversed(self.changes):
            if change.table == "keys" and change.key == (origin, key_id) and change.row is not None:
                found: bytes = change.row["announced"]
                return found
        return registers.announced_key(self._state, origin, key_id)

    def holder(self, origin: str, natural_key: str) -> bytes | None:
        """Record that states a natural key now."""
        return self._holders.get((origin, natural_key))

    def stated(self, row: Mapping[str, Any]) -> Record | None:
        """The record of a row; None where its body is not here."""
        found = log_store.entries_at(self._logs, row["log_id"], [row["idx"]]).get(row["idx"])
        return Record.FromString(found.body) if found is not None and found.body is not None else None

    def log(self, origin: str) -> LogHead | None:
        """A log by its origin."""
        return log_store.head(self._logs, origin)

    def put_record(self, row: dict[str, Any], *, salt: bytes, place: int, follows: bool = False) -> None:
        """Put a register row of a record; its number says when it changed last."""
        row["seq"] = self._take_seq()
        rows = self._rows[row["origin"], row["record_id"]]
        self._stated_by[row["record_id"]].add(row["origin"])
        revision = row["revision"]
        known = next((at for at, old in enumerate(rows) if old["revision"] == revision), None) if rows else None
        if known is not None:
            rows[known] = row
        else:
            rows.append(row)
            if len(rows) > 1:
                rows.sort(key=lambda each: each["revision"])
        if row["kind"] in ending.ENDS and row["about"]:
            self._acts[row["about_origin"], row["about"]].add((row["origin"], row["record_id"]))
        if row["natural_key"] and row["newest"]:
            self._holders[row["origin"], row["natural_key"]] = row["record_id"]
        key = (row["origin"], row["record_id"], revision)
        self.changes.append(Change("records", key, row, salt, place, known is None, follows))

    def keys(self, origin: str) -> Mapping[str, Mapping[str, Any]]:
        """What an origin announced of its keys, by key id."""
        if origin not in self._keys:
            self._keys[origin] = registers.keys_announced_by(self._state, origin)
        return self._keys[origin]

    def put_key(self, row: Mapping[str, Any], *, place: int) -> None:
        """Put what was announced of one key."""
        held = dict(self.keys(row["origin"]))
        self._keys[row["origin"]] = held | {row["key_id"]: row}
        self.put("keys", (row["origin"], row["key_id"]), dict(row), salt=b"", place=place)

    def decided_on(self, origin: str) -> Mapping[str, bool]:
        """What our officers decided on an origin's keys, by fingerprint."""
        return registers.key_decisions_on(self._state, origin)

    def said(self, peer: str, key_id: str) -> int:
        """When a peer last said something of a key of ours, in microseconds; 0 when it never did."""
        for change in reversed(self.changes):
            if change.table == "key_answers" and change.key == (peer, key_id) and change.row is not None:
                return int(change.row["answered_at"])
        return registers.key_answered_at(self._state, peer, key_id)

    def release(self, origin: str, natural_key: str) -> None:
        """A natural key that no live record states any more."""
        self._holders.pop((origin, natural_key), None)

    def put(self, table: str, key: tuple[Any, ...], row: dict[str, Any], *, salt: bytes, place: int) -> None:
        """Put a row of another register."""
        self.changes.append(Change(table, key, row, salt, place))

    def put_numbered(
        self, table: str, row: dict[str, Any], *, salt: bytes, place: int, made: tuple[int, bytes] = (0, b"")
    ) -> None:
        """Put a new row of a register whose rows have only a number.

        Args:
            table: The register.
            row: The row without its number.
            salt: Salt of the body that it is made of.
            place: Place of the entry.
            made: The leaf that it has if it gets this number; empty where none was made.
        """
        seq = self._take_seq()
        leaf = made[1] if made[0] == seq else b""
        self.changes.append(Change(table, (seq,), row | {"seq": seq}, salt, place, fresh=True, made=leaf))

    def put_copy(self, entry: ReadEntry, origin: str, log_id: int) -> None:
        """Remember an entry that no register row points at, for an Erasure that may come."""
        copy = ErasedRow(origin, entry.record_id, entry.facts.revision, log_id, entry.index)
        self._copies.setdefault(entry.record_id, []).append(copy)
        row = {
            "log_id": log_id,
            "idx": entry.index,
            "origin": origin,
            "record_id": entry.record_id,
            "revision": entry.facts.revision,
        }
        self.put("copies", (log_id, entry.index), row, salt=b"", place=entry.place)

    def drop(self, table: str, key: tuple[Any, ...], *, place: int = NO_ENTRY) -> None:
        """Drop a row."""
        self.changes.append(Change(table, key, None, b"", place))

    def skip_to_own_numbers(self) -> None:
        """What follows is numbered alike, however many rows were changed before."""
        if self._taken > OWN_NUMBERS:
            raise OverflowError("more earlier revisions than one entry has numbers")
        self._taken = OWN_NUMBERS

    def _take_seq(self) -> int:
        if self._taken == CHANGES_PER_ENTRY:
            raise OverflowError("more row changes than one entry has numbers")
        self._taken += 1
        return self._base + self._place * CHANGES_PER_ENTRY + self._taken - 1
