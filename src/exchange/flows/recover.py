"""Recovering: a node that was restored from an older backup gets its own logs back from the peer's mirror.

The numbered walk (architecture §3):
  1 fetching   nothing is submitted, signed, cosigned or applied from here on
  2 fetch      the entries that the peer cosigned and we lack, verified against a checkpoint signed by our own key
  3 adopt      one transaction: logs cut where they stop agreeing, fetched entries, then our own tail again;
               the journal goes on in a new epoch, whose entry 0 says up to where the old one's steps hold
  4 replay     registers = those steps, then what apply makes of the rest with the decisions that were recorded
  5 healed     alarm RESTORED; the security officer acknowledges before agencies are served
A crash before 3 leaves everything as it was; behind it, the next start goes on with 4.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.mac import hmac_sha256
from exchange.domain import kinds
from exchange.flows.apply.entry import read_entry
from exchange.flows.apply.loop import START_DIGEST, ApplyLoop
from exchange.flows.apply.recorded import RecordedDecision, RecordedDecisions
from exchange.flows.apply.replay import epochs, events, replay, write_replayed
from exchange.flows.apply.steps import StepPlan
from exchange.flows.context import Node, Peer
from exchange.flows.hello import Findings
from exchange.flows.ids import parse_id
from exchange.flows.instants import micros_of
from exchange.flows.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.flows.status import RESTORED, UNACKNOWLEDGED, NodeStatus, read_flag, set_flags
from exchange.flows.submit import LANE_NAMES, TAG_SIZE
from exchange.storage import journal, log_store, recovery, registers
from exchange.storage.log_store import StoredCheckpoint, StoredEntry
from exchange.storage.recovery import AdoptedLog
from exchange.storage.registers import Change
from exchange.storage.submissions import NewSubmission
from exchange.storage.transaction import LogHead, NewEntry, Transaction
from exchange.storage.writer import WorkClass
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.origin import LogName
from exchange.tlog.tree import Frontier
from exchange.v1.journal_pb2 import EpochOpened, GrantChanged, JournalEntry
from exchange.v1.key_announcement_pb2 import Continues
from exchange.v1.kind_pb2 import Kind
from exchange.v1.relay_service_pb2 import FetchEntriesRequest
from exchange.v1.statement_pb2 import LogEntry
from exchange.v1.submission_service_pb2 import SubmitResult

FETCH_ENTRIES = 1_024
"""Entries of one FetchEntries call."""

REPLAYING = "replaying"
"""Node state: registers are being replayed; a start goes on with it."""

RECORDED_FROM = "recorded-from"
"""Node state: for each of our outbound logs, the index from which decisions were fetched back (JSON)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adoption:
    """Step 3 as one command."""

    logs: Sequence[AdoptedLog]
    epoch: JournalEntry
    new_local: bool
    flags: Sequence[tuple[str, str]]


class RecoverFlow:
    """Heals this node.

    Args:
        node: The node.
        status: Its state.
        apply: The apply loop: it stands still meanwhile.
        on_restored: Called with a detail when the node has healed.
        grant: Takes a replayed change of grants into the register of agencies.
    """

    def __init__(
        self,
        node: Node,
        status: NodeStatus,
        apply: ApplyLoop,
        *,
        on_restored: Callable[[str], None],
        grant: Callable[[GrantChanged], None],
    ) -> None:
        self._node = node
        self._status = status
        self._apply = apply
        self._on_restored = on_restored
        self._grant = grant
        self._lock = asyncio.Lock()

    async def recover(self, peer: Peer, port: PeerPort, findings: Findings) -> None:
        """Walk 1 to 5 with one peer.

        Raises:
            PeerAwayError: It went away: the same is done again with the next hello.
            PeerRefusedError: What it sent does not add up to what it showed.
        """
        async with self._lock:
            self._status.fetching(peer.name)  # 1
            with self._apply.busy:
                pass  # the step that was under way is finished
            adopted = []
            shown = [(found.log, found.shown, found.note) for found in findings.restored if found.log.use == "outbound"]
            for origin, checkpoint, note in findings.unknown:
                log = await asyncio.to_thread(self._reopen, origin)
                if log is not None:
                    shown.append((log, checkpoint, note))
            for log, checkpoint, note in shown:
                adopted.append(await self._fetch(peer, port, log, checkpoint, note))  # 2
            new_local = any(found.log.use == "local" for found in findings.restored)
            await asyncio.to_thread(self._adopt, adopted, new_local)  # 3
            await asyncio.to_thread(self.finish)  # 4, 5

    # -- 2 ---------------------------------------------------------------------------------------------------

    def _reopen(self, origin: str) -> LogHead | None:
        """A log of ours that the backup does not even know: it is opened empty and fetched whole."""
        name = LogName.parse(origin)
        if name.use != "outbound" or name.node != self._node.name:
            return None
        opened: LogHead = self._node.writer.call(_open_log, name, WorkClass.URGENT)
        return opened

    async def _fetch(self, peer: Peer, port: PeerPort, log: LogHead, shown: Checkpoint, note: bytes) -> AdoptedLog:
        base, frontier = await asyncio.to_thread(self._base, peer, log)
        position, notes = base, {shown.size: note}
        while position < shown.size:
            request = FetchEntriesRequest(
                origin=log.origin,
                start=position,
                limit=min(FETCH_ENTRIES, shown.size - position),
                with_notes=True,
            )
            response = await port.fetch_entries(request)
            page = [
                StoredEntry(position + at, entry, body.salt or None, body.record or None, None)
                for at, (entry, body) in enumerate(zip(response.entries, response.bodies, strict=False))
            ]
            if not page:
                raise PeerAwayError("the peer sent no entries")
            frontier, _ = frontier.extend([NewEntry.of(each.entry).leaf for each in page])
            await asyncio.to_thread(
                self._node.writer.call, recovery.stage, (log.id, position, page), WorkClass.URGENT, rows=len(page)
            )
            position += len(page)
            for each in response.notes:
                checkpoint = verify_note(each, self._node.keys.log_signer(log.origin).key)
                if checkpoint is not None and checkpoint.size <= shown.size:
                    notes[checkpoint.size] = each
        if frontier.root() != shown.root:
            raise PeerRefusedError("FETCHED_ENTRIES_DIFFER", log.origin)
        return await asyncio.to_thread(self._compare, peer, log, base, shown.size, notes)

    def _base(self, peer: Peer, log: LogHead) -> tuple[int, Frontier]:
        with self._node.database.read() as connection:
            held = log_store.last_checkpoint(connection, log.id, peer.mirror_key.name)
            size = held.size if held else 0
            return size, log_store.frontier(connection, log, size)

    def _compare(self, peer: Peer, log: LogHead, base: int, size: int, notes: dict[int, bytes]) -> AdoptedLog:
        """Where our entries stop agreeing with what was fetched, and what only we had."""
        with self._node.database.read() as connection:
            log = log_store.head_by_id(connection, log.id) or log
            keep = recovery.first_difference(connection, log, base, min(log.size, size))
            tail = log_store.entries(connection, log.id, keep, log.size)
            fetched: set[tuple[str, int]] = set()
            rebuilt: list[tuple[int, NewSubmission]] = []
            for begin in range(base, size, recovery.PAGE):
                for raw in recovery.staged(connection, log.id, begin, min(size, begin + recovery.PAGE)):
                    read = read_entry(raw, 0)
                    if read.statement is not None:
                        fetched.add((read.statement.record_id, read.statement.revision))
                        new = self._submission(raw)
                        if new is not None:
                            rebuilt.append((raw.index, new))
        again = [entry for entry in tail if self._only_ours(entry, fetched)]
        stored = []
        for at, note in sorted(notes.items()):
            time = verify_cosignature(note, peer.mirror_key)
            if time is not None:
                stored.append(StoredCheckpoint(at, peer.mirror_key.name, note, time * 1_000_000))
        return AdoptedLog(log=log, keep=keep, notes=stored, rebuilt=rebuilt, again=again)

    @staticmethod
    def _only_ours(entry: StoredEntry, fetched: set[tuple[str, int]]) -> bool:
        """Submitted records go behind; the node's own decisions are made anew where they are missing."""
        read = read_entry(entry, 0)
        return (
            entry.submission is not None
            and read.statement is not None
            and (read.statement.record_id, read.statement.revision) not in fetched
        )

    def _submission(self, raw: StoredEntry) -> NewSubmission | None:
        """A submission from its entry: the tag is all that tells of agency and key."""
        entry = LogEntry.FromString(raw.entry)
        read = read_entry(raw, 0)
        if len(entry.submission_tag) != 64 or read.statement is None:
            return None
        k = self._node.keys.submission_key
        record = read.record
        natural = kinds.natural_key(record) if record is not None else None
        kind = read.statement.kind
        named = natural is not None and kind not in (Kind.KIND_ANSWER, Kind.KIND_ERASURE)
        content = kinds.content_bytes(record) if record is not None else b""
        return NewSubmission(
            key_tag=entry.submission_tag[:32],
            request_tag=entry.submission_tag[32:],
            agency="",
            idempotency_key="",
            record_id=parse_id(read.statement.record_id) or b"",
            revision=read.statement.revision,
            kind=kind,
            natural_tag=hmac_sha256(k, f"natural|{kind}|{natural}".encode())[:TAG_SIZE] if named else b"",
            content_tag=hmac_sha256(k, b"content|" + content)[:TAG_SIZE] if record is not None else b"",
            authority=record.header.authority.uscc if record is not None else "",
            state=kinds.state_of(record) if record is not None else 0,
            result=SubmitResult.SUBMIT_RESULT_ACCEPTED if read.statement.revision == 1 else (
                SubmitResult.SUBMIT_RESULT_REVISED
            ),
            accepted_at=micros_of(entry.logged_at),
            logs=(),
            entry=NewEntry(b"", b""),
        )

    # -- 3 ---------------------------------------------------------------------------------------------------

    def _adopt(self, adopted: Sequence[AdoptedLog], new_local: bool) -> None:  # noqa: FBT001 - a finding
        moved = {each.log.origin: each.keep for each in adopted}
        with self._node.database.read() as connection:
            book, holds, digest = self._steps_that_hold(connection, moved)
            root = log_store.root(connection, book, holds)
            recorded = json.loads(read_flag(connection, RECORDED_FROM) or "{}")
        for origin, keep in moved.items():
            recorded[origin] = min(keep, recorded.get(origin, keep))
        opened = EpochOpened(
            continues=Continues(origin=book.origin, size=holds, root=root, reason="RESTORED"), digest=digest
        )
        event = JournalEntry(opened=opened)
        event.at.FromDatetime(self._node.clock())
        adoption = _Adoption(
            logs=adopted,
            epoch=event,
            new_local=new_local,
            flags=((REPLAYING, "1"), (RECORDED_FROM, json.dumps(recorded)), (RESTORED, "1")),
        )
        self._node.writer.call(_carry_out, adoption, WorkClass.URGENT, rows=1)

    @staticmethod
    def _steps_that_hold(connection: Connection, moved: dict[str, int]) -> tuple[LogHead, int, bytes]:
        """Up to where the journal's steps hold: before the first that read, or appended, a moved entry."""
        book = journal.head(connection)
        digest = START_DIGEST
        for index, event in events(connection, book, 0, book.size):
            if event.HasField("opened"):
                digest = event.opened.digest or START_DIGEST
            if not event.HasField("step"):
                continue
            step = event.step
            read_moved = step.source_log in moved and (
                step.end > moved[step.source_log]
                or any(item.index >= moved[step.source_log] for item in step.redecisions)
            )
            if read_moved or any(each.log in moved and each.index >= moved[each.log] for each in step.decisions):
                return book, index, digest
            digest = step.digest
        return book, book.size, digest

    # -- 4 and 5 ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Replay what holds, then let apply go on. Also how an interrupted recovery goes on after a start."""
        self._status.replaying()
        node = self._node
        node.writer.call(_clear_registers, None, WorkClass.URGENT)

        def write(changes: Sequence[Change], next_seq: int, step: StepPlan | None) -> None:
            node.writer.call(write_replayed, (changes, next_seq, step), WorkClass.URGENT, rows=len(changes) + 2)

        with node.database.read() as connection:
            held = epochs(connection)
        for _step in replay(node, node.database, node.database, write, self._grant):
            pass
        self._apply.reload()
        self._apply.recorded = load_recorded(node)
        node.writer.call(_set_all, ((REPLAYING, ""), (RESTORED, ""), (UNACKNOWLEDGED, "1")), WorkClass.URGENT)
        self._on_restored("; ".join(f"{book.origin} < {end}" for book, end in held))
        self._status.replayed()
        self._status.healed()
        self._apply.wake()

    def nothing_missing(self) -> None:
        """A database was restored, and every peer showed that nothing is missing. Agencies may be as they were."""
        self._node.writer.call(_set_all, ((RESTORED, ""), (UNACKNOWLEDGED, "1")), WorkClass.URGENT)
        self._on_restored("nothing is missing")
        self._status.healed()


def load_recorded(node: Node) -> RecordedDecisions | None:
    """Decisions of ours that came back from a peer's mirror and that apply takes instead of deciding again."""
    with node.database.read() as connection:
        recorded = json.loads(read_flag(connection, RECORDED_FROM) or "{}")
        found = []
        for origin, start in recorded.items():
            log = log_store.head(connection, origin)
            if log is None:
                continue
            for begin in range(start, log.size, 256):
                for raw in log_store.entries(connection, log.id, begin, min(log.size, begin + 256)):
                    read = read_entry(raw, 0)
                    if read.record is not None and read.record.HasField("recognition"):
                        found.append(RecordedDecision(read.record, origin, raw.index))
    return RecordedDecisions(found) if found else None


def _open_log(tx: Transaction, payloads: Sequence[LogName]) -> list[LogHead]:
    lanes = {name: lane for lane, name in LANE_NAMES.items()}
    return [
        tx.open_log(str(name), use="outbound", peer=name.peer or "", lane=lanes[name.lane or ""], epoch=name.epoch)
        for name in payloads
    ]


def _carry_out(tx: Transaction, payloads: Sequence[_Adoption]) -> list[None]:
    for adoption in payloads:
        recovery.adopt(tx, adoption.logs)
        book = journal.head_in(tx)
        tx.retire_log(book.id)
        name = LogName.parse(book.origin).next_epoch()
        opened = tx.open_log(str(name), use="journal", peer="", lane=0, epoch=name.epoch)
        adoption.epoch.version = journal.JOURNAL_VERSION
        tx.append(opened.id, [NewEntry.of(adoption.epoch.SerializeToString(deterministic=True))])
        if adoption.new_local:
            local = max((log for log in tx.heads.values() if log.use == "local"), key=lambda log: log.epoch)
            tx.retire_log(local.id)
            following = LogName.parse(local.origin).next_epoch()
            tx.open_log(str(following), use="local", peer="", lane=0, epoch=following.epoch)
        set_flags(tx, adoption.flags)
    return [None] * len(payloads)


def _set_all(tx: Transaction, payloads: Sequence[Sequence[tuple[str, str]]]) -> list[None]:
    for flags in payloads:
        set_flags(tx, flags)
    return [None] * len(payloads)


def _clear_registers(tx: Transaction, payloads: Sequence[None]) -> list[None]:
    registers.clear(tx)
    return [None] * len(payloads)

