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
import contextlib
import secrets
import threading
import time
from collections import OrderedDict
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
from exchange.flows.reach.calls import (
    COSIGN,
    DELIVER,
    HELLO,
    AskingPeer,
    Reach,
    Work,
    answer,
    failed,
    request_of,
    result_of,
)
from exchange.flows.reach.parcel import (
    ASK,
    MAX_PARCEL_BYTES,
    ParcelIncompleteError,
    ParcelName,
    ParcelRefusedError,
    began,
    name_of,
    open_parcel,
    seal,
    written_at,
)
from exchange.flows.status import read_flag, set_flags
from exchange.storage.spool import OUT, SENT, Found, Spool
from exchange.storage.writer import WorkClass
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, DeliverResult, Parcel, PeerAnswer, Run

log = structlog.get_logger("exchange.reach")

HELLO_STALE = "HELLO_STALE"
"""A hello was written before the process that it asks began, or before a newer one: the same is asked again."""

OVERDUE = "COURIER_OVERDUE"
"""Alarm: nothing came for longer than the node file says, while something waits."""

SET_ASIDE = "PARCEL_SET_ASIDE"
"""Alarm: a file that is no parcel for us was set aside."""

UNUSABLE = "FOLDER_UNUSABLE"
"""Alarm: the folders can not be made."""

UNUSABLE_SECONDS = 10.0
"""How often that is tried again: a disk may have to be mounted."""

_OF_A_SESSION = (HELLO, DELIVER, COSIGN)
"""Calls that are worth nothing to another process of the peer."""

MAX_ANSWERS = 1_024
"""Answers that wait in ``out/`` at most: the oldest goes, and its call is answered again when it comes again."""

MAX_ANSWER_BYTES = 256 << 20
"""Bytes of them."""

MAX_REMEMBERED = 4_096
"""Calls of the peer's that are known to have been answered."""

INCOMPLETE_SECONDS = 600.0
"""A file that is shorter than it says has so long to grow, from when it last did."""

_SAYS_SIZE = (
    DeliverResult.DELIVER_RESULT_COSIGNED,
    DeliverResult.DELIVER_RESULT_STORED,
    DeliverResult.DELIVER_RESULT_OUT_OF_STEP,
)

GRACE_RUNS = 3
"""A delivery that came before those that it follows is kept for so many times the time after which these come again."""


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


@dataclass(slots=True)
class _Seen:
    """A file of ``in/``.

    Attributes:
        since: Since when it stands so, by the steady clock.
        due: When it is looked at again.
    """

    found: Found
    since: float
    due: float


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
        self._remembered: OrderedDict[str, PeerAnswer] = OrderedDict()
        self._answers: dict[str, tuple[str, int]] = {}
        self._left: set[str] = set()
        self._ready = asyncio.Event()
        self._writing = threading.Lock()
        self._missed = False
        self._seen: dict[str, _Seen] = {}
        self._early: dict[str, tuple[str, int, float]] = {}
        self._sizes: dict[str, int] = {}
        self._newest_hello = 0
        self._set_aside = 0
        self._last_given = 0
        self._last_taken = 0
        self._started = micros(node.clock())
        self._written = 0
        self._run = Run(id=secrets.token_bytes(16))
        self._heard = b""
        self._heard_began = 0
        self.deliver_carried: Callable[[Peer, DeliverRequest, datetime], DeliverResponse] | None = None
        self.on_new_run: Callable[[], None] = lambda: None

    # -- our calls -------------------------------------------------------------------------------------------

    async def ask(self, verb: str, message: Message) -> Any:
        """Put a call out, and wait for its answer, however long it takes.

        A delivery stays out when this node stops: what it brings is signed and counts at the peer, whoever asks then.
        """
        await self._ready.wait()
        request = request_of(verb, message)
        ticket = request.ticket.hex()
        name = await asyncio.to_thread(self._put, Parcel(request=request), keep=True)
        ask = self._asks[ticket] = _Ask(verb, name, time.monotonic())
        try:
            result = result_of(verb, await ask.answer)
        finally:
            del self._asks[ticket]
            if not (verb == DELIVER and self._node.stopping.is_set()):
                self._spool.drop(name)
        if verb == HELLO:
            # Deliveries go on from what the peer holds now: those of an earlier run are out of date.
            for left in self._left:
                self._spool.drop(left)
            self._left.clear()
        return result

    def reach(self) -> Reach:
        """How it goes."""
        return Reach(
            transport="folder",
            last_given=self._last_given,
            last_taken=self._last_taken,
            waiting=len(self._asks),
            set_aside=self._set_aside,
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
        parcel.waiting.extend(bytes.fromhex(ticket) for ticket in tuple(self._asks))
        name = str(name_of(parcel))
        try:
            self._spool.put(name, seal(parcel, self._node.keys.signers[0]), keep=keep)
        except OSError as error:
            raise PeerAwayError(f"out/ can not be written: {error.strerror}") from None
        return name

    # -- the look --------------------------------------------------------------------------------------------

    async def run(self, work: Work) -> None:
        """Answer the peer's calls and take its answers until cancelled.

        Args:
            work: By what its calls are answered.
        """
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
            else:
                self._spool.drop(name)

    async def look(self, work: Work) -> None:
        """Look once: at what came, at what was taken away, and at whether the courier is missed.

        Answers come first, then calls in the order in which they were written, whatever the courier made of it.
        """
        for found in await asyncio.to_thread(self._due):
            parcel = await asyncio.to_thread(self._open, found)
            if parcel is not None:
                await self._take(work, found.name, parcel)
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        self._put_again()
        self._bound_answers()
        self._watch_courier()

    def _due(self) -> list[Found]:
        """Files that are to be read, in order: new ones, changed ones, and those whose time has come."""
        now, arrived, due = time.monotonic(), self._spool.arrived(), []
        for found in arrived:
            seen = self._seen.get(found.name)
            if seen is None or seen.found != found:
                self._seen[found.name] = _Seen(found, now, now)
                due.append(found)
            elif now >= seen.due and not self._waits(found.name, now):
                due.append(found)
        names = {found.name for found in arrived}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._early = {name: early for name, early in self._early.items() if name in names}
        return sorted(due, key=_order)

    def _waits(self, name: str, now: float) -> bool:
        """Whether a delivery still waits for those before it."""
        early = self._early.get(name)
        return early is not None and self._sizes.get(early[0], 0) < early[1] and now < early[2]

    def _open(self, found: Found) -> Parcel | None:
        """A file's parcel. None when it is none: it is looked at again, and set aside when it stands so for long."""
        seen = self._seen[found.name]
        patience = self._courier.settle
        try:
            return self._read(found)
        except FileNotFoundError:
            return None
        except ParcelIncompleteError as error:
            patience, reason, detail = max(INCOMPLETE_SECONDS, patience), error.reason, ""
        except ParcelRefusedError as error:
            reason, detail = error.reason, str(error)
        except OSError as error:
            reason, detail = ParcelRefusedError.reason, error.strerror or ""
        seen.due = seen.since + patience
        if time.monotonic() >= seen.due:
            self._aside(found.name, reason, detail)
        return None

    def _read(self, found: Found) -> Parcel:
        peer = self._node.peers.get(self._name)
        if peer is None or ParcelName.parse(found.name) is None:
            raise ParcelRefusedError("its name is none of ours")
        data = self._spool.read(found.name, MAX_PARCEL_BYTES + 1_024)
        if data is None:
            raise ParcelRefusedError("no plain file, or too large")
        return open_parcel(
            data, federation=self._node.federation, receiver=self._node.name, peer=peer, now=self._node.clock()
        )

    def _aside(self, name: str, reason: str, detail: str) -> None:
        with contextlib.suppress(OSError):
            self._spool.set_aside(name, reason, micros(self._node.clock()))
        log.warning("folder.set-aside", peer=self._name, file=name[:100], reason=reason, detail=detail)

    # -- what came -------------------------------------------------------------------------------------------

    async def _take(self, work: Work, name: str, parcel: Parcel) -> None:
        self._last_taken = micros(self._node.clock())
        await self._hear(parcel)
        self._forget_answers(parcel)
        if parcel.HasField("answer"):
            ask = self._asks.get(parcel.answer.ticket.hex())
            if ask is not None and not ask.answer.done():
                self._last_given = self._last_taken
                ask.answer.set_result(parcel.answer)
            await asyncio.to_thread(self._spool.take, name)
            return
        made = await asyncio.to_thread(self._answered, work, name, parcel)
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
        self._newest_hello = 0
        self.on_new_run()
        for ask in tuple(self._asks.values()):
            if ask.verb in _OF_A_SESSION and not ask.answer.done():
                ask.answer.set_exception(PeerAwayError("the peer was started anew"))

    def _answered(self, work: Work, name: str, parcel: Parcel) -> PeerAnswer | None:
        """The answer to a call: the one that it had, when it came before. None while it waits for those before it."""
        ticket, peer = parcel.request.ticket.hex(), self._node.peers.get(self._name)
        known = self._remembered.get(ticket)
        if known is not None:
            return known
        if peer is None:
            return None
        verb = parcel.request.WhichOneof("request")
        if verb == HELLO and (parcel.heard != self._run.id or micros(written_at(parcel)) <= self._newest_hello):
            # Not remembered: it costs nothing, and the same call is never asked again.
            return failed(parcel.request, HELLO_STALE)
        carried = self.deliver_carried
        if verb == DELIVER and carried is not None:
            at = written_at(parcel)
            work = {**work, DELIVER: lambda of, request: carried(of, request, at)}
        made = answer(work, peer, parcel.request)
        if verb == HELLO:
            self._newest_hello = micros(written_at(parcel))
        if verb == DELIVER and made.HasField("deliver"):
            if made.deliver.result in _SAYS_SIZE:
                self._sizes[parcel.request.deliver.origin] = made.deliver.size
            if self._is_early(name, parcel.request.deliver, made.deliver):
                return None
        if verb in _OF_A_SESSION and not made.HasField("failure"):
            self._remembered[ticket] = made
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return made

    def _is_early(self, name: str, request: DeliverRequest, response: DeliverResponse) -> bool:
        """A delivery beyond what we hold: those before it are on their way, or lost and put out again."""
        if response.result != DeliverResult.DELIVER_RESULT_OUT_OF_STEP:
            return False
        now = time.monotonic()
        until = self._early[name][2] if name in self._early else now + GRACE_RUNS * self._courier.again
        self._early[name] = (request.origin, request.start, until)
        return now < until

    def _give(self, made: PeerAnswer, asked: int) -> None:
        """Put an answer out. One that is still there is not written twice."""
        ticket = made.ticket.hex()
        before = self._answers.get(ticket)
        if before is None or not self._spool.is_out(before[0]):
            self._answers[ticket] = (self._put(Parcel(answer=made), keep=False), asked)

    def _forget_answers(self, parcel: Parcel) -> None:
        """Answers to calls that the peer had made, and did not wait for any more, when it wrote this parcel."""
        at, waiting = micros(written_at(parcel)), {ticket.hex() for ticket in parcel.waiting}
        for ticket, (name, asked) in tuple(self._answers.items()):
            if asked < at and ticket not in waiting:
                self._spool.drop(name)
                del self._answers[ticket]

    # -- what waits ------------------------------------------------------------------------------------------

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
        for name in tuple(self._left):
            if not self._spool.is_out(name):
                self._left.discard(name)
                self._spool.drop(name)

    def _bound_answers(self) -> None:
        """Answers that nobody took: the oldest go first."""
        names = [name for name in self._spool.written(OUT) if name.endswith(".ans")]
        names.sort(key=_order_of_name)
        sizes = [self._spool.size_out(name) for name in names]
        left, total = len(names), sum(sizes)
        for name, size in zip(names, sizes, strict=True):
            if left <= MAX_ANSWERS and total <= MAX_ANSWER_BYTES:
                return
            self._spool.drop(name)
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


def _order(found: Found) -> tuple[bool, int, str]:
    return _order_of_name(found.name)


def _order_of_name(name: str) -> tuple[bool, int, str]:
    """Answers first, then in the order of writing; names that are none come last."""
    parsed = ParcelName.parse(name)
    return (parsed is None or parsed.kind == ASK, parsed.at if parsed else 0, name)
