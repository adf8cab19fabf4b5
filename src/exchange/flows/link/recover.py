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

from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.sealing import matches
from exchange.domain.lanes import LANE_NUMBERS
from exchange.flows.apply.again.journaled import is_register_event
from exchange.flows.apply.again.recorded import RecordedDecision, RecordedDecisions
from exchange.flows.apply.again.replay import Replay, TakeEvent, epochs, events, write_replayed
from exchange.flows.apply.entry import read_entry
from exchange.flows.apply.loop import START_DIGEST, ApplyLoop
from exchange.flows.apply.steps import StepPlan
from exchange.flows.context import Node, Peer
from exchange.flows.intake.seal import seal
from exchange.flows.intake.submitted import submission_of
from exchange.flows.link.announce import log_announcement
from exchange.flows.link.hello import Findings
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.flows.status import RESTORED, UNACKNOWLEDGED, NodeStatus, read_flag, set_flags
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store, recovery
from exchange.storage.logs.log_store import StoredCheckpoint, StoredEntry
from exchange.storage.logs.recovery import AdoptedLog
from exchange.storage.queries import Connection, rules
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.origin import LogName, OriginUse
from exchange.tlog.tree import Frontier
from exchange.v1.journal_pb2 import EpochOpened, JournalEntry
from exchange.v1.key_announcement_pb2 import Continues
from exchange.v1.relay_service_pb2 import FetchEntriesRequest, FetchEntriesResponse
from exchange.v1.rule_pb2 import RedecisionState

FETCH_ENTRIES = 1_024
"""Entries of one FetchEntries call."""

UNKNOWN_SLOTS = 1 << 24
"""Slots of logs that the backup does not know: beyond every log's id."""

REPLAYING = "replaying"
"""Node state: registers are being replayed; a start goes on with it."""

RECORDED = "recorded"
"""Node state: for each of our outbound logs, from where to where it was fetched back (JSON): decisions among these
entries are taken and not made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A log of ours that a peer holds more of than we do, or another epoch of.

    Attributes:
        slot: Where its fetched entries wait.
        base: From where on entries are fetched: up to there we hold the peer's cosignature.
        notes: Cosigned notes beyond it, by size, each in agreement with what was fetched.
    """

    name: LogName
    slot: int
    base: int
    size: int
    notes: Sequence[StoredCheckpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adoption:
    """Step 3 as one command.

    Attributes:
        book: The journal as it was read.
        journal: Entries of its new epoch.
        names: Names of new epochs of journal and, perhaps, local log.
        local: Index from which the local log's entries go to its new epoch.
        announced: Their keys, for the urgent log towards each peer.
    """

    logs: Sequence[AdoptedLog]
    book: LogHead
    journal: Sequence[JournalEntry]
    names: Sequence[LogName]
    local: int
    announced: Sequence[tuple[str, NewEntry]]
    flags: Sequence[tuple[str, str]]
    node: Node


class RecoverFlow:
    """Heals this node.

    Args:
        node: The node.
        status: Its state.
        apply: The apply loop: it stands still meanwhile.
        on_restored: Called with a detail when the node has healed.
        take: Carries out a replayed line of the journal that changes registers by itself.
    """

    def __init__(
        self,
        node: Node,
        status: NodeStatus,
        apply: ApplyLoop,
        *,
        on_restored: Callable[[str], None],
        take: TakeEvent,
    ) -> None:
        self._node = node
        self._status = status
        self._apply = apply
        self._on_restored = on_restored
        self._take_event = take
        self._lock = asyncio.Lock()

    async def recover(self, peer: Peer, port: PeerPort, findings: Findings) -> None:
        """Walk 1 to 5 with one peer.

        Raises:
            PeerAwayError: It went away: the same is done again with the next hello.
            PeerRefusedError: What it sent does not add up to what it showed.
        """
        async with self._lock:
            self._status.fetching(peer.name)  # 1
            await asyncio.to_thread(self._stand_still)
            shown = []
            for slot, name, checkpoint, note in await asyncio.to_thread(self._wanted, findings):
                shown.append(await self._fetch(peer, port, slot, name, checkpoint, note))  # 2
            others = [name for name in map(LogName.parse, _origins(findings)) if name.use is not OriginUse.OUTBOUND]
            # What was appended between comparing and adopting is compared too.
            while not await asyncio.to_thread(self._adopt, shown, others):  # 3
                pass
            await asyncio.to_thread(self.finish)  # 4, 5

    def _stand_still(self) -> None:
        """The step that is under way is finished, and there is no next one."""
        with self._apply.busy:
            pass

    # -- 2 ---------------------------------------------------------------------------------------------------

    def _wanted(self, findings: Findings) -> list[tuple[int, LogName, Checkpoint, bytes]]:
        """Outbound logs to fetch. The epoch before an unknown one ends where the peer cosigned it: it was retired."""
        wanted = [
            (found.log.id, LogName.parse(found.log.origin), found.shown, found.note)
            for found in findings.restored
            if found.log.use == "outbound"
        ]
        for at, (origin, checkpoint, note) in enumerate(findings.unknown):
            name = LogName.parse(origin)
            if name.use is not OriginUse.OUTBOUND or name.node != self._node.name or name.peer is None:
                continue
            wanted.append((UNKNOWN_SLOTS + at, name, checkpoint, note))
            with self._node.database.read() as connection:
                older = log_store.current(connection, "outbound", name.peer, LANE_NUMBERS[name.lane or ""])
                newest = log_store.last_checkpoint(connection, older.id) if older else None
            if older and newest and all(each[0] != older.id for each in wanted):
                held = Checkpoint(older.origin, newest.size, self._root(older, newest.size))
                wanted.append((older.id, LogName.parse(older.origin), held, newest.note))
        return wanted

    def _root(self, log: LogHead, size: int) -> bytes:
        with self._node.database.read() as connection:
            return log_store.root(connection, log, size)

    async def _fetch(
        self, peer: Peer, port: PeerPort, slot: int, name: LogName, shown: Checkpoint, note: bytes
    ) -> _Shown:
        base, frontier = await asyncio.to_thread(self._base, peer, name)
        position, notes = base, []
        while position < shown.size:
            request = FetchEntriesRequest(
                origin=str(name),
                start=position,
                limit=min(FETCH_ENTRIES, shown.size - position),
                with_notes=True,
            )
            response = await port.fetch_entries(request)
            if not response.entries:
                raise PeerAwayError("the peer sent no entries")
            page = _page(response, position)
            notes += _agreeing(self._node, peer, name, response.notes, frontier, page)
            frontier, _ = frontier.extend([NewEntry.of(each.entry).leaf for each in page])
            await asyncio.to_thread(
                self._node.writer.call, recovery.stage, (slot, position, page), WorkClass.URGENT, rows=len(page)
            )
            position += len(page)
        if frontier.root() != shown.root:
            raise PeerRefusedError("FETCHED_ENTRIES_DIFFER", str(name))
        time = verify_cosignature(note, peer.mirror)
        if time is not None:
            notes.append(StoredCheckpoint(shown.size, peer.mirror.name, note, time * 1_000_000))
        kept = list({each.size: each for each in notes}.values())
        return _Shown(name=name, slot=slot, base=base, size=shown.size, notes=kept)

    def _base(self, peer: Peer, name: LogName) -> tuple[int, Frontier]:
        with self._node.database.read() as connection:
            log = log_store.head(connection, str(name))
            held = log_store.last_checkpoint(connection, log.id, peer.mirror.name) if log else None
            if log is None or held is None:
                return 0, Frontier()
            return held.size, log_store.frontier(connection, log, held.size)

    # -- 3 ---------------------------------------------------------------------------------------------------

    def _adopt(self, shown: Sequence[_Shown], others: Sequence[LogName]) -> bool:
        now = self._node.clock()
        with self._node.database.read() as connection:
            adopted = [self._compared(connection, each) for each in shown]
            moved = {str(each.name): each.keep for each in adopted}
            book = journal.head(connection)
            holds, digest = _steps_that_hold(connection, book, moved)
            root = log_store.root(connection, book, holds)
            kept = [event for _, event in events(connection, book, holds, book.size) if _stays(event)]
            recorded = _read_recorded(connection)
            local = log_store.current(connection, "local")
            witnessed = log_store.last_checkpoint(connection, local.id) if local else None
            logs = log_store.heads(connection)
        for each in shown:
            start = moved[str(each.name)]
            recorded[str(each.name)] = (min(start, recorded.get(str(each.name), (start, 0))[0]), each.size)
        opened = JournalEntry(
            opened=EpochOpened(
                continues=Continues(origin=book.origin, size=holds, root=root, reason="RESTORED"), digest=digest
            )
        )
        opened.at.FromDatetime(now)
        names = [_next_epoch(logs, others, "journal", OriginUse.JOURNAL)]
        if local is not None and any(name.use is OriginUse.LOCAL for name in others):
            names.append(_next_epoch(logs, others, "local", OriginUse.LOCAL))
        announced = [
            (
                str(LogName.outbound(self._node.name, self._node.federation, peer, "urgent")),
                seal(self._node, log_announcement(self._node, [str(name) for name in names], now), [peer], now).entry,
            )
            for peer in self._node.peers.names()
        ]
        adoption = _Adoption(
            logs=adopted,
            book=book,
            journal=[opened, *kept],
            names=names,
            local=witnessed.size if witnessed else 0,
            announced=announced,
            flags=((REPLAYING, "1"), (RECORDED, json.dumps(recorded)), (RESTORED, "1")),
            node=self._node,
        )
        done: bool = self._node.writer.call(_carry_out, adoption, WorkClass.URGENT, rows=1)
        return done

    @staticmethod
    def _compared(connection: Connection, shown: _Shown) -> AdoptedLog:
        """Where our entries stop agreeing with what was fetched."""
        log = log_store.head(connection, str(shown.name))
        keep = 0
        if log is not None:
            end = min(log.size, shown.size)
            keep = recovery.first_difference(connection, log, shown.slot, shown.base, end) if end > shown.base else end
        return AdoptedLog(
            name=shown.name,
            lane=LANE_NUMBERS[shown.name.lane or ""],
            slot=shown.slot,
            log=log,
            keep=keep,
            notes=shown.notes,
        )

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
        detail = [f"{book.origin} < {end}" for book, end in held]
        for step in Replay(node, node.database, node.database, write, self._take_event).steps():
            if not step.agrees:
                detail.append(f"{step.journal}#{step.index} gives other registers")
                break
        self._apply.reload()
        self._apply.recorded = load_recorded(node)
        node.writer.call(_set_all, ((REPLAYING, ""), (RESTORED, ""), (UNACKNOWLEDGED, "1")), WorkClass.URGENT)
        self._on_restored("; ".join(detail))
        self._status.replayed()
        self._status.healed()
        self._apply.wake()

    def nothing_missing(self) -> None:
        """A database was restored, and every peer showed that nothing is missing. Agencies may be as they were."""
        self._node.writer.call(_set_all, ((RESTORED, ""), (UNACKNOWLEDGED, "1")), WorkClass.URGENT)
        self._on_restored("nothing is missing")
        self._status.healed()


def _origins(findings: Findings) -> list[str]:
    return [*(found.log.origin for found in findings.restored), *(origin for origin, *_ in findings.unknown)]


def _page(response: FetchEntriesResponse, position: int) -> list[StoredEntry]:
    """Fetched entries; a body that is not the one committed to counts as absent."""
    page = []
    for at, entry in enumerate(response.entries):
        raw = StoredEntry(position + at, entry, None, None, None)
        body = response.bodies[at] if at < len(response.bodies) else None
        statement = read_entry(raw, 0).statement if body is not None and body.record else None
        if body is not None and statement is not None and matches(statement, body.record, body.salt):
            raw = StoredEntry(position + at, entry, body.salt, body.record, None)
        page.append(raw)
    return page


def _agreeing(
    node: Node, peer: Peer, name: LogName, notes: Sequence[bytes], frontier: Frontier, page: Sequence[StoredEntry]
) -> list[StoredCheckpoint]:
    """Cosigned notes that cover part of a page and are of the tree that the page makes."""
    keys, first = node.keys.log_signer(str(name)).line.ever, page[0].index
    found: dict[int, StoredCheckpoint] = {}
    roots: dict[int, bytes] = {}
    for note in notes:
        checkpoint, time = verify_note(note, keys), verify_cosignature(note, peer.mirror)
        if checkpoint is not None and time is not None and first < checkpoint.size <= first + len(page):
            found[checkpoint.size] = StoredCheckpoint(checkpoint.size, peer.mirror.name, note, time * 1_000_000)
            roots[checkpoint.size] = checkpoint.root
    kept = []
    at = first
    for size in sorted(found):
        frontier, _ = frontier.extend([NewEntry.of(each.entry).leaf for each in page[at - first : size - first]])
        at = size
        if frontier.root() == roots[size]:
            kept.append(found[size])
    return kept


def _steps_that_hold(connection: Connection, book: LogHead, moved: dict[str, int]) -> tuple[int, bytes]:
    """Up to where the journal's steps hold: before the first that read, or appended, a moved entry."""
    digest = START_DIGEST
    for index, event in events(connection, book, 0, book.size):
        if event.HasField("opened"):
            digest = event.opened.digest or START_DIGEST
        if not event.HasField("step"):
            continue
        step = event.step
        read_moved = step.source_log in moved and (
            step.end > moved[step.source_log] or any(item.index >= moved[step.source_log] for item in step.redecisions)
        )
        if read_moved or any(each.log in moved and each.index >= moved[each.log] for each in step.decisions):
            return index, digest
        digest = step.digest
    return book.size, digest


def _stays(event: JournalEntry) -> bool:
    """What officers did to agencies and keys, and which editions are active, does not depend on any moved entry.

    That an order to decide again was carried out does: its steps are gone, so it opens again, and apply closes it anew.
    """
    if event.HasField("redecision_ordered"):
        return event.redecision_ordered.order.state == RedecisionState.REDECISION_STATE_OPEN
    return is_register_event(event) or event.HasField("activated")


def _next_epoch(logs: Sequence[LogHead], shown: Sequence[LogName], use: str, origin_use: OriginUse) -> LogName:
    """Beyond every epoch that we or the peer know of."""
    ours = [LogName.parse(log.origin) for log in logs if log.use == use]
    newest = max((*ours, *(name for name in shown if name.use is origin_use)), key=lambda name: name.epoch)
    return newest.next_epoch()


def _read_recorded(connection: Connection) -> dict[str, tuple[int, int]]:
    return {
        origin: (start, end) for origin, (start, end) in json.loads(read_flag(connection, RECORDED) or "{}").items()
    }


def load_recorded(node: Node) -> RecordedDecisions | None:
    """Decisions of ours that came back from a peer's mirror and that apply takes instead of deciding again.

    None once apply stands behind everything that they are about.
    """
    with node.database.read() as connection:
        ranges = _read_recorded(connection)
        positions = registers.next_indices(connection)
        sizes = {log.origin: positions.get(log.id, 0) for log in log_store.heads(connection)}
        waiting = bool(registers.wait_tokens(connection) or rules.open_orders(connection))
    found = []
    ahead = False
    for origin, (start, end) in ranges.items():
        for begin in range(start, end, recovery.PAGE):
            with node.database.read() as connection:
                log = log_store.head(connection, origin)
                page = log_store.entries(connection, log.id, begin, min(end, begin + recovery.PAGE)) if log else []
            for raw in page:
                record = read_entry(raw, 0).record
                if record is None or not (record.HasField("recognition") or record.HasField("answer")):
                    continue
                found.append(RecordedDecision(record, origin, raw.index))
                message = record.recognition
                ahead = ahead or message.end > sizes.get(message.answered_log, 0)
    if ranges and not ahead and not waiting:
        node.writer.call(set_flags, (RECORDED, ""), WorkClass.URGENT)
        return None
    return RecordedDecisions(found) if found else None


def _carry_out(tx: Transaction, payloads: Sequence[_Adoption]) -> list[bool]:
    return [_adopted(tx, adoption) for adoption in payloads]


def _adopted(tx: Transaction, adoption: _Adoption) -> bool:
    """False, with nothing written, where a log or the journal has grown since it was read."""
    book = journal.head_in(tx)
    if (book.origin, book.size) != (adoption.book.origin, adoption.book.size):
        return False
    if not recovery.still_as_compared(tx, adoption.logs):
        return False
    recovery.adopt(tx, adoption.logs, lambda raw: submission_of(adoption.node.keys.submission_key, raw))
    for name in adoption.names:
        use = name.use.value
        old = max((log for log in tx.heads.values() if log.use == use), key=lambda log: log.epoch)
        opened = tx.open_log(str(name), use=use, peer="", lane=0, epoch=name.epoch)
        if name.use is OriginUse.JOURNAL:
            tx.retire_log(old.id)
            # The epoch begins with the line that opens it, also where pieces of a large event follow.
            journal.append(tx, adoption.journal[:1])
            journal.append(tx, adoption.journal[1:])
        else:
            recovery.move_tail(tx, old, adoption.local, opened.id)
    for origin, entry in adoption.announced:
        log = _current(tx, origin)
        tx.append(log.id, [entry])
    set_flags(tx, adoption.flags)
    return True


def _current(tx: Transaction, origin: str) -> LogHead:
    """The newest epoch of an outbound log."""
    name = LogName.parse(origin)
    lane = LANE_NUMBERS[name.lane or ""]
    return max(
        (log for log in tx.heads.values() if (log.use, log.peer, log.lane) == ("outbound", name.peer, lane)),
        key=lambda log: log.epoch,
    )


def _set_all(tx: Transaction, payloads: Sequence[Sequence[tuple[str, str]]]) -> list[None]:
    for flags in payloads:
        set_flags(tx, flags)
    return [None] * len(payloads)


def _clear_registers(tx: Transaction, payloads: Sequence[None]) -> list[None]:
    registers.clear(tx)
    return [None] * len(payloads)
