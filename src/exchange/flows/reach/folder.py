"""The port to a peer that is reached by files alone: a gap between networks, a diode, a disk in a courier's pocket.

A call is a file in ``out/``; its answer comes as a file into ``in/``, perhaps days later. What a courier loses is put
out again, what it doubles is answered once and again by the same bytes, what it shuffles is put in order, what it cuts
is not a parcel, and what anybody else put there is set aside. Effects are those of the flows, which verify everything
themselves; this file adds who speaks (a signature), and in which process (a run).

Hello through files. A session is of one process on each side, as over the network. A hello counts only when it names
the run of the process that it asks: it was then written after that process began, so that what it shows is not older
than a restored database. Whoever hears of a new run of the peer gives up the calls that carry a session of the old one.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.message import Message

from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros, timestamp
from exchange.flows.link.peer_port import PeerAwayError
from exchange.flows.reach.answering import OF_A_SESSION, Answering, DeliverCarried
from exchange.flows.reach.arrivals import Arrivals, order_of
from exchange.flows.reach.calls import DELIVER, HELLO, AskingPeer, Reach, Work, request_of, result_of
from exchange.flows.reach.parcel import ASK, ParcelName, began, name_of, seal, seal_anew, written_at
from exchange.flows.status import read_flag, set_flags
from exchange.storage.engine.writer import WorkClass
from exchange.storage.files.spool import OUT, SENT, Spool
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, Parcel, PeerAnswer, Run

log = structlog.get_logger("exchange.reach")

OVERDUE = "COURIER_OVERDUE"
"""Alarm: nothing came for longer than the node file says, while something waits."""

SET_ASIDE = "PARCEL_SET_ASIDE"
"""Alarm: a file that is no parcel for us was set aside."""

UNUSABLE = "FOLDER_UNUSABLE"
"""Alarm: the folders can not be made."""

UNUSABLE_SECONDS = 10.0
"""How often that is tried again: a disk may have to be mounted."""

GRACE_RUNS = 3
"""A delivery that came before those that it follows is kept for so many times the time after which these come again."""

MAX_ANSWERS = 1_024
"""Answers that wait in ``out/`` at most: the oldest goes, and its call is answered again when it comes again."""

MAX_ANSWER_BYTES = 256 << 20
"""Bytes of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """How a courier is dealt with; the node file sets it.

    Attributes:
        look: Seconds between two looks into ``in/``.
        again: Seconds after which a call that was taken away and has no answer is put out again.
        overdue: Seconds without anything from the peer after which the courier is missed.
        settle: Seconds for which a file that is no parcel must stand unchanged before it is set aside: some programs
            make a file in its full length first, and fill it then.
    """

    look: float = 2.0
    again: float = 600.0
    overdue: float = 26 * 3600.0
    settle: float = 60.0


@dataclass(slots=True, eq=False)
class _Ask:
    """A call of ours that has no answer yet.

    Attributes:
        name: Of its file.
        put: When it was last put out, by the steady clock.
        gone: Whether it was taken away since.
    """

    verb: str
    name: str
    put: float
    gone: bool = False
    answer: asyncio.Future[PeerAnswer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FolderPeer(AskingPeer):
    """A peer behind a courier. ``run`` looks into the folder; calls wait for what it finds.

    Args:
        node: The node.
        name: The peer.
        folder: Where ``out/`` and ``in/`` are.
        courier: How the courier is dealt with.
        raise_: Raises an alarm (code, about, detail).
        clear: Clears one (code, about).
    """

    def __init__(
        self,
        node: Node,
        name: str,
        folder: Path,
        courier: Courier,
        *,
        raise_: Callable[[str, str, str], None],
        clear: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._name = name
        self._spool = Spool(folder)
        self._courier = courier
        self._raise = raise_
        self._clear = clear
        self._asks: dict[str, _Ask] = {}
        self._tickets: set[str] = set()
        self._answers: dict[str, tuple[str, int]] = {}
        self._left: set[str] = set()
        self._signed: dict[str, str] = {}
        self._ready = asyncio.Event()
        self._writing = threading.Lock()
        self._missed = False
        self._set_aside = 0
        self._last_given = 0
        self._last_taken = 0
        self._put_out = 0
        self._taken = 0
        self._started = micros(node.clock())
        self._written = 0
        self._run = Run(id=secrets.token_bytes(16))
        self._heard = b""
        self._heard_began = 0
        self._answering = Answering(self._run.id, GRACE_RUNS * courier.again, self._deliver_now)
        self._arrivals = Arrivals(node, name, self._spool, courier.settle, self._answering.waits)
        self._deliver: DeliverCarried | None = None
        self.on_new_run: Callable[[], None] = lambda: None

    # -- our calls -------------------------------------------------------------------------------------------

    async def ask(self, verb: str, message: Message) -> Any:
        """Put a call out, and wait for its answer, however long it takes.

        A delivery stays out when this node stops: what it brings is signed and counts at the peer, whoever asks then.
        """
        await self._ready.wait()
        request = request_of(verb, message)
        ticket = request.ticket.hex()
        # Before it is written: no parcel of ours may say that we do not wait for it.
        self._tickets.add(ticket)
        name = ""
        try:
            name = await asyncio.to_thread(self._put, Parcel(request=request), keep=True)
            ask = self._asks[ticket] = _Ask(verb, name, time.monotonic())
            result = result_of(verb, await ask.answer)
        finally:
            self._tickets.discard(ticket)
            self._asks.pop(ticket, None)
            if name and not (verb == DELIVER and self._node.stopping.is_set()):
                self._drop(name)
        if verb == HELLO:
            # Deliveries go on from what the peer holds now: those of an earlier run are out of date.
            for left in self._left:
                self._drop(left)
            self._left.clear()
        return result

    def reach(self) -> Reach:
        """How it goes."""
        waiting = [ask.name for ask in tuple(self._asks.values())]
        # A name keeps the instant at which the call was first written, however often it is put out.
        written = [parsed.at for parsed in map(ParcelName.parse, waiting) if parsed is not None]
        return Reach(
            transport="folder",
            last_given=self._last_given,
            last_taken=self._last_taken,
            waiting=len(waiting),
            set_aside=self._set_aside,
            oldest_waiting=min(written, default=0),
            parcels_out=self._put_out,
            parcels_in=self._taken,
        )

    def _put(self, parcel: Parcel, *, keep: bool) -> str:
        """Sign a parcel and write it. Names are given in order of time, also within one microsecond.

        Raises:
            PeerAwayError: It can not be written.
        """
        with self._writing:
            self._written = max(micros(self._node.clock()), self._written + 1)
            parcel.at.CopyFrom(timestamp(self._written))
        parcel.federation, parcel.sender, parcel.receiver = self._node.federation, self._node.name, self._name
        parcel.run.CopyFrom(self._run)
        parcel.heard = self._heard
        parcel.waiting.extend(bytes.fromhex(ticket) for ticket in tuple(self._tickets))
        name = str(name_of(parcel))
        try:
            signer = self._node.keys.signers[0]
            self._signed[name] = signer.keyid
            self._spool.put(name, seal(parcel, signer), keep=keep)
        except OSError as error:
            self._signed.pop(name, None)
            raise PeerAwayError(f"out/ can not be written: {error.strerror}") from None
        with self._writing:
            self._put_out += 1
        return name

    def _drop(self, name: str) -> None:
        """A file need not be carried any more."""
        self._signed.pop(name, None)
        self._spool.drop(name)

    # -- the look --------------------------------------------------------------------------------------------

    async def run(self, work: Work, deliver: DeliverCarried) -> None:
        """Answer the peer's calls and take its answers until cancelled.

        Args:
            work: By what its calls are answered.
            deliver: By what its deliveries are taken: they were written some time ago.
        """
        self._deliver = deliver
        while not self._ready.is_set():
            try:
                await asyncio.to_thread(self._begin)
                self._ready.set()
            except OSError as error:
                log.warning("folder.unusable", peer=self._name, error=error.strerror)
                self._raise(UNUSABLE, self._name, f"{self._spool.folder}: {error.strerror}")
                await asyncio.sleep(UNUSABLE_SECONDS)
        self._clear(UNUSABLE, self._name)
        while True:
            try:
                await self.look(work)
            except Exception as error:  # a loop that ends carries nothing until the next start
                log.exception("folder.failed", peer=self._name, error=type(error).__name__)
            await asyncio.sleep(self._courier.look)

    def _deliver_now(self, peer: Peer, request: DeliverRequest, written: datetime) -> DeliverResponse:
        if self._deliver is None:
            raise PeerAwayError("not begun")
        return self._deliver(peer, request, written)

    def _begin(self) -> None:
        """A new run. Calls of the one before are asked anew, but for deliveries: they count whoever asks."""
        self._spool.prepare()
        with self._node.database.read() as connection:
            heard, _, at = read_flag(connection, f"heard/{self._name}").partition(" ")
            before = int(read_flag(connection, f"run/{self._name}") or 0)
        self._heard, self._heard_began = bytes.fromhex(heard), int(at or 0)
        start = max(micros(self._node.clock()), before + 1)
        self._run.began.CopyFrom(timestamp(start))
        self._node.writer.call(set_flags, (f"run/{self._name}", str(start)), WorkClass.BACKGROUND)
        for name in {*self._spool.written(), *self._spool.written(SENT)}:
            parsed = ParcelName.parse(name)
            if parsed is None or parsed.kind != ASK:
                continue
            if parsed.verb == DELIVER:
                self._left.add(name)
                self._signed[name] = ""  # by whom is not known: it is signed again
            else:
                self._drop(name)

    async def look(self, work: Work) -> None:
        """Look once: at what came, at what was taken away, and at whether the courier is missed.

        Answers come first, then calls in the order in which they were written, whatever the courier made of it.
        """
        for found in await asyncio.to_thread(self._arrivals.due):
            parcel = await asyncio.to_thread(self._arrivals.open, found)
            if parcel is not None:
                await self._take(work, found.name, parcel)
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        self._answering.forget(self._arrivals.names)
        self._sign_again()
        self._put_again()
        self._bound_answers()
        self._watch_courier()

    # -- what came -------------------------------------------------------------------------------------------

    async def _take(self, work: Work, name: str, parcel: Parcel) -> None:
        self._last_taken = micros(self._node.clock())
        self._taken += 1
        await self._hear(parcel)
        self._forget_answers(parcel)
        if parcel.HasField("answer"):
            ask = self._asks.get(parcel.answer.ticket.hex())
            if ask is not None and not ask.answer.done():
                self._last_given = self._last_taken
                ask.answer.set_result(parcel.answer)
            await asyncio.to_thread(self._spool.take, name)
            return
        peer = self._node.peers.get(self._name)
        made = await asyncio.to_thread(self._answering.answered, work, peer, name, parcel) if peer is not None else None
        if made is None:
            return
        # The answer first, then the call goes: a crash between the two answers it once more.
        await asyncio.to_thread(self._give, made, micros(written_at(parcel)))
        await asyncio.to_thread(self._spool.take, name)

    async def _hear(self, parcel: Parcel) -> None:
        """A newer process of the peer: what carries a session of an older one is given up and asked anew."""
        if parcel.run.id == self._heard or began(parcel) <= self._heard_began:
            return
        self._heard, self._heard_began = parcel.run.id, began(parcel)
        flag = (f"heard/{self._name}", f"{self._heard.hex()} {self._heard_began}")
        await asyncio.to_thread(self._node.writer.call, set_flags, flag, WorkClass.BACKGROUND)
        self._answering.new_run()
        self.on_new_run()
        for ask in tuple(self._asks.values()):
            if ask.verb in OF_A_SESSION and not ask.answer.done():
                ask.answer.set_exception(PeerAwayError("the peer was started anew"))

    def _give(self, made: PeerAnswer, asked: int) -> None:
        """Put an answer out. One that is still there is not written twice."""
        ticket = made.ticket.hex()
        before = self._answers.get(ticket)
        if before is None or not self._spool.is_out(before[0]):
            if before is not None:
                self._drop(before[0])
            self._answers[ticket] = (self._put(Parcel(answer=made), keep=False), asked)

    def _forget_answers(self, parcel: Parcel) -> None:
        """Answers to calls that the peer had made, and did not wait for any more, when it wrote this parcel."""
        at, waiting = micros(written_at(parcel)), {ticket.hex() for ticket in parcel.waiting}
        for ticket, (name, asked) in tuple(self._answers.items()):
            if asked < at and ticket not in waiting:
                self._drop(name)
                del self._answers[ticket]

    # -- what waits ------------------------------------------------------------------------------------------

    def _sign_again(self) -> None:
        """What waits and was signed by a key that signs no more: a peer that heard of its end would take none of it.

        The lanes tell of that end one by one, so that one lane's deliveries may wait for it in vain.
        """
        signer = self._node.keys.signers[0]
        for name, keyid in tuple(self._signed.items()):
            if keyid == signer.keyid:
                continue
            data = self._spool.waiting(name)
            if data is not None:
                self._spool.replace(name, seal_anew(data, signer))
                self._signed[name] = signer.keyid

    def _put_again(self) -> None:
        """Calls that were taken away: given, and after a while without an answer put out once more."""
        now = time.monotonic()
        for ask in tuple(self._asks.values()):
            if self._spool.is_out(ask.name):
                continue
            if not ask.gone:
                ask.gone = True
                self._last_given = micros(self._node.clock())
            if now - ask.put >= self._courier.again and self._spool.again(ask.name):
                ask.put, ask.gone = now, False
                with self._writing:
                    self._put_out += 1
        for name in tuple(self._left):
            if not self._spool.is_out(name):
                self._left.discard(name)
                self._drop(name)
        for name in self._spool.written(SENT):
            # Given up while it was being written.
            parsed = ParcelName.parse(name)
            if name not in self._left and (parsed is None or parsed.ticket not in self._tickets):
                self._drop(name)

    def _bound_answers(self) -> None:
        """Answers that nobody took: the oldest go first."""
        names = [name for name in self._spool.written(OUT) if name.endswith(".ans")]
        names.sort(key=order_of)
        sizes = [self._spool.size_out(name) for name in names]
        left, total = len(names), sum(sizes)
        for name, size in zip(names, sizes, strict=True):
            if left <= MAX_ANSWERS and total <= MAX_ANSWER_BYTES:
                return
            self._drop(name)
            left, total = left - 1, total - size

    def _watch_courier(self) -> None:
        """Whether the courier is missed, and whether somebody has to look at what was set aside."""
        since = max(self._last_taken, self._started)
        missed = bool(self._asks) and micros(self._node.clock()) - since > self._courier.overdue * 1_000_000
        if not missed:
            self._clear(OVERDUE, self._name)
        elif not self._missed:
            self._raise(OVERDUE, self._name, f"{len(self._asks)}")
        self._missed = missed
        aside = sum(1 for _ in self._spool.set_aside_names())
        if not aside:
            self._clear(SET_ASIDE, self._name)
        elif aside != self._set_aside:
            self._raise(SET_ASIDE, self._name, f"{self._spool.folder / 'set-aside'}: {aside}")
        self._set_aside = aside
