"""Delivering: one loop per peer and lane carries our outbound log over, and brings the cosigned notes home.

A checkpoint is signed here and nowhere else, and only after a hello of this process has shown that what the peer
cosigned is a prefix of our committed log. The response is checked before anything is stored: a note that is not our
own text with the peer's valid cosignature advances nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tenacity import RetryCallState
from tenacity.wait import wait_random_exponential

from exchange.crypto.ed25519 import spoiled_cosignature, verify_cosignature, verify_note
from exchange.domain.lanes import LANE_NAMES
from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node, Peer
from exchange.flows.events import lane_grew
from exchange.flows.link.clocks import Clocks
from exchange.flows.link.deliver_limits import MAX_ENTRIES, MAX_LATE_BODIES
from exchange.flows.link.links import Link
from exchange.flows.link.pace import (
    FRUITLESS_ANSWERS,
    LATE_BYTES,
    MAX_GATHER_SECONDS,
    MAX_NOTE_BYTES,
    MAX_NOTES,
    REFUSED_SECONDS,
    UNVERIFIABLE_NOTES,
    WAKE_SECONDS,
    LanePace,
    LaneView,
)
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.node import links
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.note import VerifierKey, parse
from exchange.v1.kind_pb2 import Lane
from exchange.v1.operation_service_pb2 import LaneState
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, DeliverResult, LateBody
from exchange.v1.statement_pb2 import Body

Hello = Callable[[str], Awaitable[Link]]
"""Makes sure that the link to a peer has a session; raises what the port raises."""


class LaneStoppedError(ExchangeError):
    """A contradiction: an operator has to look."""

    def __init__(self, reason: str, evidence: Sequence[bytes] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.evidence = tuple(evidence)


@dataclass(slots=True)
class _Batch:
    """One call.

    Attributes:
        shown: The checkpoint, whose root was read from our log.
        offered: Entries whose late bodies ride on it, or are not here any more.
        may_be_followed: Whether what is new behind it may be sent before it is answered.
    """

    request: DeliverRequest
    log: LogHead
    shown: Checkpoint
    offered: Sequence[int] = ()
    may_be_followed: bool = False


class LaneSender:
    """One lane towards one peer.

    Args:
        node: The node.
        peer: Name of the peer.
        lane: Lane.
        port: The peer.
        hello: Makes sure of a session.
        may_sign: False while this node waits for its hello or fetches its own entries back.
        on_stop: Called with (peer, lane, reason, evidence) when the lane has to stop.
        on_try: Called with (peer, lane, reason) after a failed try, and with an empty reason after a success.
        clocks: Compares the peer's clock with ours.
    """

    def __init__(
        self,
        node: Node,
        peer: str,
        lane: int,
        port: PeerPort,
        hello: Hello,
        *,
        may_sign: Callable[[], bool],
        on_stop: Callable[[str, int, str, Sequence[bytes]], None],
        on_try: Callable[[str, int, str], None],
        clocks: Clocks,
        pace: LanePace | None = None,
    ) -> None:
        self.node = node
        self.peer = peer
        self.lane = lane
        self.view = LaneView()
        self._port = port
        self._hello = hello
        self._may_sign = may_sign
        self._on_stop = on_stop
        self._on_try = on_try
        self._clocks = clocks
        self._news = asyncio.Event()
        self._nudge = asyncio.Event()
        pace = pace or LanePace()
        self._pace = pace
        self._batch = self._pace.first_batch
        self._late: dict[str, list[int]] = {}
        self._shown_in: dict[str, bytes] = {}
        self._show: int | None = None
        self._more = False
        self._fruitless = 0
        self._unverifiable = 0
        self._confirm = False
        self._flying: set[asyncio.Task[None]] = set()
        self._taking = asyncio.Lock()
        self._ahead: tuple[str, int] | None = None
        self._shown_by: dict[str, tuple[int, VerifierKey]] = {}
        self._wait = wait_random_exponential(multiplier=pace.retry_min, max=pace.retry_max)

    # -- the loop --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        topic = lane_grew(self.peer, self.lane)
        end = self.node.events.listen(topic, lambda: _discard(loop.call_soon_threadsafe(self._news.set)))
        try:
            while True:
                self._news.clear()
                if await self._blocked():
                    continue
                try:
                    progressed = await self._deliver_once()
                    self._succeeded()
                    if not progressed:
                        await self._idle()
                    elif not self._more and self.lane != Lane.LANE_URGENT:
                        await self._pause(min(self._pace.gather * 2 ** len(self._flying), MAX_GATHER_SECONDS))
                except PeerAwayError as error:
                    await self._failed(error.reason, str(error), error.retry_after or 0.0)
                except PeerRefusedError as error:
                    await self._failed(error.reason, str(error), REFUSED_SECONDS)
                except LaneStoppedError as error:
                    self._land()
                    self.view.state = LaneState.LANE_STATE_STOPPED
                    self.view.last_error = error.reason
                    await asyncio.to_thread(self._on_stop, self.peer, self.lane, error.reason, error.evidence)
                except ExchangeError as error:
                    await self._failed(error.reason, type(error).__name__, 0.0)
                except Exception as error:  # noqa: BLE001 - a loop that ends delivers nothing until the next start
                    await self._failed("INTERNAL", f"{type(error).__name__}: {error}", REFUSED_SECONDS)
        finally:
            end()
            self._land()

    async def _idle(self) -> None:
        """Wait for news; an idle lane shows its checkpoint now and then, so that the peer knows it is complete."""
        try:
            async with asyncio.timeout(self._pace.confirm):
                await self._news.wait()
        except TimeoutError:
            self._confirm = True

    def nudge(self) -> None:
        """Try at once: an operator asked, or the peer came back. Called on the event loop."""
        self.view.tries = 0  # what follows is a new beginning: should it fail, the next try is soon
        self._confirm = True  # an idle lane has a reason to call, and learns whether its session still holds
        self._nudge.set()
        self._news.set()

    async def _blocked(self) -> bool:
        """Paused and stopped lanes, and a node that may not sign, wait for a nudge."""
        row = await asyncio.to_thread(self._link_row)
        if row[1]:
            self.view.state, self.view.last_error = LaneState.LANE_STATE_STOPPED, row[1]
        elif row[0]:
            self.view.state = LaneState.LANE_STATE_PAUSED
        elif not self._may_sign():
            self.view.state = LaneState.LANE_STATE_WAITING
            try:
                # The hello may be what is missing: it is made here, and what it shows decides.
                await self._hello(self.peer)
            except PeerAwayError as error:
                await self._failed(error.reason, str(error), error.retry_after or 0.0)
                return True
            except PeerRefusedError as error:
                await self._failed(error.reason, str(error), REFUSED_SECONDS)
                return True
            except Exception as error:  # noqa: BLE001 - as in run
                await self._failed("INTERNAL", f"{type(error).__name__}: {error}", REFUSED_SECONDS)
                return True
            if self._may_sign():
                return False
        else:
            return False
        self._nudge.clear()
        await self._pause(WAKE_SECONDS)
        return True

    def _link_row(self) -> tuple[bool, str]:
        with self.node.database.read() as connection:
            row = links.get(connection, self.peer, self.lane)
        return row.paused, row.own_stop

    async def _pause(self, seconds: float, ends: asyncio.Event | None = None) -> None:
        """Wait for a nudge, or for what else ends it; a nudge also sets the news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await (ends or self._nudge).wait()
        self._nudge.clear()

    def _succeeded(self) -> None:
        if self.view.state != LaneState.LANE_STATE_RUNNING or self.view.tries:
            self._on_try(self.peer, self.lane, "")
        self.view = LaneView(state=LaneState.LANE_STATE_RUNNING)

    async def _failed(self, reason: str, detail: str, at_least: float) -> None:
        self._land()
        self.view.tries += 1
        self.view.state = LaneState.LANE_STATE_WAITING
        self.view.last_error, self.view.detail = reason, detail[:300]
        self._batch = self._pace.first_batch
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
        state.attempt_number = min(self.view.tries, 30)
        wait = max(self._wait(state), self._pace.retry_min, at_least)
        self.view.next_try = self.node.clock() + timedelta(seconds=wait)
        self._on_try(self.peer, self.lane, reason)
        await self._pause(min(wait, WAKE_SECONDS))
        if wait > WAKE_SECONDS and self.view.tries:
            await self._pause(wait - WAKE_SECONDS, self._news)
        self.view.next_try = None

    # -- one batch -------------------------------------------------------------------------------------------

    async def _deliver_once(self) -> bool:
        """Deliver the next batch; returns False when the peer holds everything."""
        link = await self._hello(self.peer)
        if self._pace.window > 1:
            return await self._deliver_ahead(link)
        batch = await asyncio.to_thread(self._prepare, link)
        if batch is None:
            return False
        response = await self._call(batch)
        await asyncio.to_thread(self._take, link, batch, response)
        return True

    async def _call(self, batch: _Batch) -> DeliverResponse:
        asked = self.node.clock()
        response = await self._port.deliver(batch.request)
        self._clocks.compare(self.peer, response.at, asked, self.node.clock())
        return response

    async def _deliver_ahead(self, link: Link) -> bool:
        """The same where an answer takes a journey: batches follow each other before the first one is answered.

        What is new goes ahead, each batch from where the one before it ends. Whatever else has to be said, and whatever
        goes wrong with one of them, waits until nothing is under way, and goes on from what the peer holds.
        """
        for flight in [each for each in self._flying if each.done()]:
            self._flying.discard(flight)
            flight.result()
        if not self._flying:
            self._ahead = None
        if not self._flying or (self._ahead is not None and len(self._flying) < self._pace.window):
            batch = await asyncio.to_thread(self._prepare, link)
            if batch is not None:
                self._ahead = (batch.log.origin, batch.shown.size) if batch.may_be_followed else None
                self._flying.add(asyncio.create_task(self._fly(link, batch)))
                return True
        if not self._flying:
            return False
        news = asyncio.create_task(self._news.wait())
        try:
            full = self._ahead is None or len(self._flying) >= self._pace.window
            await asyncio.wait((*self._flying, *(() if full else (news,))), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return True

    async def _fly(self, link: Link, batch: _Batch) -> None:
        response = await self._call(batch)
        async with self._taking:
            await asyncio.to_thread(self._take, link, batch, response)
        if response.result != DeliverResult.DELIVER_RESULT_COSIGNED:
            self._ahead = None  # what follows goes on from what the peer says

    def _land(self) -> None:
        """Give up what is under way: it may still arrive, and does no harm."""
        for flight in self._flying:
            # What became of it is looked at, or the interpreter would complain that nobody did.
            flight.add_done_callback(lambda done: _discard(done.cancelled() or done.exception()))
            flight.cancel()
        self._flying.clear()
        self._ahead = None

    def _prepare(self, link: Link) -> _Batch | None:
        """The next batch: first what a restored peer lacks of older epochs, then where the newest stands."""
        if link.given is None:
            raise PeerAwayError("the link wants a hello", self._pace.retry_min)
        cosigner = self._peer().mirror.name
        with self.node.database.read() as connection:
            row = links.get(connection, self.peer, self.lane)
            if row.own_stop or row.paused:
                return None  # what hello showed may have stopped it
            if self._ahead is not None:
                return self._next_ahead(connection, link.given, *self._ahead)
            logs = log_store.of_lane(connection, "outbound", self.peer, self.lane)
            in_this_session = {log.origin for log in logs if self._shown_in.get(log.origin) == link.given}
            for log in logs:
                newest = log_store.last_checkpoint(connection, log.id, cosigner)
                delivered = newest.size if newest else 0
                start = link.held.get(log.origin, delivered)
                # Once in a session the checkpoint is shown, even if nothing is new: the peer lists bodies that it
                # lacks. Of an epoch that ended, only where hello found both sides at one, and once the peer has taken
                # up the newest: before, it may hold the lane stopped.
                confirm = self._confirm and not log.retired
                if log.origin not in in_this_session:
                    confirm = not log.retired or (log.origin in link.agreed and logs[-1].origin in in_this_session)
                if not log.retired and start >= log.size and newest is not None:
                    confirm = self._lacks_newest_key(log.origin, newest) or confirm
                if log.retired and start >= delivered and not self._late.get(log.origin) and not confirm:
                    continue
                end = delivered if log.retired or start < delivered else log.size
                restored = start < delivered
                batch = self._batch_of(connection, log, link.given, start, end, restored=restored, confirm=confirm)
                if batch is not None:
                    return batch
        return None

    def _next_ahead(self, connection: Connection, session: bytes, origin: str, start: int) -> _Batch | None:
        """What is new behind the batches that are under way; bodies that are asked for wait until these are landed."""
        log = log_store.head(connection, origin)
        if log is None or log.retired or self._late.get(origin) or start >= log.size:
            return None
        return self._batch_of(connection, log, session, start, log.size, restored=False, confirm=False)

    def _lacks_newest_key(self, origin: str, held: StoredCheckpoint) -> bool:
        """Whether our newest cosigned checkpoint was made before our newest key came into use: shown again, once."""
        newest = (held.size, self.node.keys.log_signer(origin).key)
        if self._shown_by.get(origin) == newest:
            return False
        self._shown_by[origin] = newest
        return not parse(held.note).by(newest[1])

    def _batch_of(
        self,
        connection: Connection,
        log: LogHead,
        session: bytes,
        start: int,
        end: int,
        *,
        restored: bool,
        confirm: bool,
    ) -> _Batch | None:
        """Entries from ``start`` on, not beyond ``end``: a restored peer is sent what it cosigned, and nothing new."""
        if self._show is not None:
            return self._checkpoint_only(connection, log, session, self._show)
        if start >= end and not self._late.get(log.origin) and not (confirm and start):
            return None
        all_there_is = end
        late, offered = self._late_bodies(connection, log)
        late_bytes = sum(len(each.body.record) for each in late)
        end = min(end, start + min(self._batch, MAX_ENTRIES))
        notes: Sequence[StoredCheckpoint] = ()
        if restored:
            notes = log_store.checkpoints_between(connection, log.id, start + 1, end)[:MAX_NOTES]
            end = min(end, notes[-1].size) if len(notes) == MAX_NOTES else end
        entries = log_store.entries(connection, log.id, start, end, max_bytes=self._pace.batch_bytes - late_bytes)
        size = start + len(entries)
        self._more = size < all_there_is
        request = DeliverRequest(
            session=session,
            origin=log.origin,
            start=start,
            entries=[each.entry for each in entries],
            lacking_notes=[note.note for note in notes if note.size <= size],
            late_bodies=late,
        )
        for each in entries:
            request.bodies.add(record=each.body or b"", salt=each.salt or b"")
        checkpoint = Checkpoint(log.origin, size, log_store.root(connection, log, size))
        request.checkpoint = self.node.keys.log_signer(log.origin).sign_checkpoint(checkpoint)
        follow = bool(entries) and not (restored or log.retired or late)
        return _Batch(request, log, checkpoint, offered, may_be_followed=follow)

    def _checkpoint_only(self, connection: Connection, log: LogHead, session: bytes, size: int) -> _Batch | None:
        """Shows our checkpoint of a size, so that the peer can tell a fault of the line from a fork."""
        self._show = None
        if not 0 < size <= log.size:
            return None
        checkpoint = Checkpoint(log.origin, size, log_store.root(connection, log, size))
        note = self.node.keys.log_signer(log.origin).sign_checkpoint(checkpoint)
        request = DeliverRequest(session=session, origin=log.origin, start=size, checkpoint=note)
        return _Batch(request, log, checkpoint)

    def _late_bodies(self, connection: Connection, log: LogHead) -> tuple[list[LateBody], list[int]]:
        """Bodies that the peer said it lacks, as many as ride on one call; and the entries that this settles."""
        wanted = self._late.get(log.origin, [])[:MAX_LATE_BODIES]
        found = log_store.entries_at(connection, log.id, wanted)
        late: list[LateBody] = []
        size = 0
        for at, index in enumerate(wanted):
            entry = found.get(index)
            # An erased body is not sent any more: its Erasure travels in this lane.
            if entry is not None and entry.body is not None and entry.salt is not None:
                size += len(entry.body)
                if late and size > LATE_BYTES:
                    return late, wanted[:at]
                late.append(LateBody(index=index, body=Body(record=entry.body, salt=entry.salt)))
        return late, wanted

    def _take(self, link: Link, batch: _Batch, response: DeliverResponse) -> None:
        """Check what came back, keep what it proves, and know where to go on."""
        origin, start = batch.log.origin, batch.request.start
        further = bool(batch.request.late_bodies)
        match response.result:
            case DeliverResult.DELIVER_RESULT_COSIGNED:
                kept = self._verified(link, batch, response.note)
                with self.node.database.read() as connection:
                    newest = log_store.last_checkpoint(connection, batch.log.id, kept.cosigner)
                # Of several under way a later one may have been answered first.
                further = further or newest is None or newest.size != kept.size or origin in link.held
                self.node.writer.call(
                    keep_cosigned, (batch.log.id, kept), WorkClass.URGENT if self.lane == 1 else WorkClass.REGISTRY
                )
                link.held.pop(origin, None)
                self._batch = min(MAX_ENTRIES, self._batch * 2)
            case DeliverResult.DELIVER_RESULT_STORED:
                further = further or start < response.size <= batch.log.size
                link.held[origin] = max(0, min(response.size, batch.log.size))
                self._batch = min(MAX_ENTRIES, self._batch * 2)
            case DeliverResult.DELIVER_RESULT_HELLO_REQUIRED:
                link.given = None
                raise PeerAwayError("the peer wants a hello", self._pace.retry_min)
            case DeliverResult.DELIVER_RESULT_OUT_OF_STEP:
                if not 0 <= response.size < start:
                    raise PeerRefusedError("PEER_ANSWER", "out of step, beyond where we stood")
                link.held[origin] = response.size
                self._batch = self._pace.first_batch
            case DeliverResult.DELIVER_RESULT_MISMATCH:
                self._show = response.show_checkpoint if 0 < response.show_checkpoint <= batch.log.size else None
                raise PeerAwayError("the entries did not hash to the signed root")
            case DeliverResult.DELIVER_RESULT_FORK | DeliverResult.DELIVER_RESULT_BAD_CHECKPOINT:
                name = DeliverResult.Name(response.result).removeprefix("DELIVER_RESULT_")
                raise LaneStoppedError(f"PEER_SAYS_{name}", (batch.request.checkpoint, response.note))
            case _:
                raise PeerRefusedError("PEER_ANSWER", "a result that does not exist")
        if response.result in (DeliverResult.DELIVER_RESULT_COSIGNED, DeliverResult.DELIVER_RESULT_STORED):
            self._shown_in[origin] = batch.request.session
            self._confirm = self._confirm and batch.log.retired
            self._want_late(link, batch, response.missing_bodies)
        self._fruitless = 0 if further or not batch.request.entries else self._fruitless + 1
        if self._fruitless >= FRUITLESS_ANSWERS:
            raise PeerRefusedError("PEER_ANSWER", "answers that bring the lane no further")

    def _want_late(self, link: Link, batch: _Batch, missing: Sequence[int]) -> None:
        """Bodies that the peer lacks. One that a call brought over and that is missing still does not fit there.

        It is offered again in the next session. What a failed call carried stays wanted.
        """
        origin = batch.log.origin
        link.offered.update((origin, index) for index in batch.offered)
        wanted = dict.fromkeys([*self._late.get(origin, []), *missing[:MAX_ENTRIES]])
        self._late[origin] = [
            index for index in wanted if 0 <= index < batch.log.size and (origin, index) not in link.offered
        ]

    def _verified(self, link: Link, batch: _Batch, note: bytes) -> StoredCheckpoint:
        """The receipt: our own checkpoint of a size that we have, with the peer's cosignature."""
        cosigner = self._peer().mirror
        checkpoint = verify_note(note, self.node.keys.log_signer(batch.log.origin).line.ever)
        time = verify_cosignature(note, cosigner)
        if time is None or spoiled_cosignature(note, self._peer().second_mirror.active):
            self._unverifiable += 1
            if self._unverifiable >= UNVERIFIABLE_NOTES:
                self._unverifiable = 0
                raise LaneStoppedError("BAD_COSIGNATURE", (batch.request.checkpoint, note[:MAX_NOTE_BYTES]))
            raise PeerRefusedError("PEER_ANSWER", "a note without a valid cosignature")
        self._unverifiable = 0
        if checkpoint is None:
            # The peer's own signature under what we never signed.
            raise LaneStoppedError("BAD_COSIGNATURE", (batch.request.checkpoint, note[:MAX_NOTE_BYTES]))
        if checkpoint.size < batch.shown.size:
            raise PeerRefusedError("PEER_ANSWER", "a note of an earlier size")
        if checkpoint != batch.shown and not self._holds(batch.log.id, checkpoint):
            # We signed it once and have it no more: hello finds out what that means.
            link.given = None
            raise PeerAwayError("the peer holds what we lack", self._pace.retry_min)
        return StoredCheckpoint(checkpoint.size, cosigner.name, note, time * 1_000_000)

    def _holds(self, log_id: int, checkpoint: Checkpoint) -> bool:
        """Whether our log has that root at that size."""
        with self.node.database.read() as connection:
            log = log_store.head_by_id(connection, log_id)
            if log is None or checkpoint.size > log.size:
                return False
            return log_store.root(connection, log, checkpoint.size) == checkpoint.root

    def _peer(self) -> Peer:
        peer = self.node.peers.get(self.peer)
        if peer is None:
            raise PeerRefusedError("PEER_UNKNOWN", self.peer)
        return peer

    @property
    def lane_name(self) -> str:
        """Name of the lane."""
        return LANE_NAMES[self.lane]


def _discard(_handle: object) -> None:
    """Takes what a call gives back and nobody needs."""


def keep_cosigned(tx: Transaction, payloads: Sequence[tuple[int, StoredCheckpoint]]) -> list[None]:
    """Store receipts; afterwards the entries they cover count as delivered."""
    for log_id, note in payloads:
        tx.touched(log_id)
        log_store.store_checkpoints(tx, log_id, [note])
    return [None] * len(payloads)
