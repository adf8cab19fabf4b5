"""A TCP link between two ports of this machine that can be made as bad as links are.

It works below TLS, so it knows no messages: what it can do is lose, hold, slow, cut and spoil bytes. Calls
that arrive twice, in another order or with wrong answers are made where messages are known, in the tests' world.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, get_args

Mode = Literal["pass", "drop", "delay", "throttle", "cut", "half_open", "blackhole", "corrupt"]
"""What the link does to bytes:

* ``pass``: nothing.
* ``drop``: resets every connection, and each new one as soon as it is accepted.
* ``delay``: each byte arrives ``seconds`` later; the rate stays.
* ``throttle``: ``bytes_per_second`` for each connection and direction.
* ``cut``: forwards ``after_bytes`` more of a connection and resets it there, inside a message or not.
* ``half_open``: accepts and forwards nothing; running connections freeze. Nothing of them is lost.
* ``blackhole``: connected, but bytes vanish. A connection that lost some is reset when the mode ends.
* ``corrupt``: flips one bit ``after_bytes`` later, then goes on.
"""

Direction = Literal["to_target", "to_caller"]

CHUNK_BYTES = 65_536
"""Bytes read at once."""

QUEUED_CHUNKS = 64
"""Chunks on their way in one direction of one connection (4 MiB): beyond it the sender feels the link."""

CONTROL_SECONDS = 10
"""The link's own loop answers at once; longer means that it hangs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One state of the link; which numbers count depends on the mode."""

    mode: Mode = "pass"
    seconds: float = 0.0
    bytes_per_second: int = 0
    after_bytes: int = 0
    direction: Direction | None = None
    """The direction that ``cut``, ``corrupt`` and ``blackhole`` act on; both when absent."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"no such mode: {self.mode}")
        if self.mode == "throttle" and self.bytes_per_second < 1:
            raise ValueError("throttle needs bytes_per_second")
        if self.mode == "delay" and self.seconds <= 0:
            raise ValueError("delay needs seconds")

    def acts_on(self, direction: Direction) -> bool:
        """Whether this direction is touched."""
        return self.direction in (None, direction)


PASS = Fault()


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One turn of a schedule: a fault and how long it lasts."""

    fault: Fault
    seconds: float


def schedule(seed: int, *, shortest: float = 0.05, longest: float = 0.5) -> Iterator[Turn]:
    """Endless turns, bad and good in alternation; the same seed gives the same turns."""
    chance = random.Random(seed)
    while True:
        mode: Mode = chance.choice(["drop", "delay", "throttle", "cut", "half_open", "blackhole", "corrupt"])
        fault = Fault(
            mode=mode,
            seconds=chance.uniform(0.01, 0.2),
            bytes_per_second=chance.randint(2_000, 200_000),
            after_bytes=chance.randint(0, 20_000),
            direction=chance.choice([None, "to_target", "to_caller"]),
        )
        yield Turn(fault=fault, seconds=chance.uniform(shortest, longest))
        yield Turn(fault=PASS, seconds=chance.uniform(shortest, longest))


@dataclass(eq=False, slots=True)
class _Connection:
    """One caller's connection through the link."""

    task: asyncio.Task[None]
    caller: asyncio.StreamWriter
    target: asyncio.StreamWriter | None = None
    lost: bool = False
    passed: Counter[Direction] = field(default_factory=Counter)
    """Bytes since the last change of mode."""

    def reset(self) -> None:
        for writer in (self.caller, self.target):
            if writer is not None:
                plug: socket.socket | None = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    if plug is not None:
                        # Linger of zero: the other end sees a reset, not an orderly end.
                        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()


class FaultyLink:
    """A proxy from a port of its own to a target; a context manager that runs a loop in its own thread.

    Attributes:
        port: Where callers connect.
        accepted: Connections accepted so far: what a busy loop of redials would show in.
        resets: Connections that a fault reset.
        forwarded: Bytes forwarded in each direction.
    """

    def __init__(self, listen_port: int, target: tuple[str, int]) -> None:
        """Forward ``127.0.0.1:listen_port`` (0: any free port) to a host and port."""
        self.port = listen_port
        self.accepted = 0
        self.resets = 0
        self.forwarded: Counter[Direction] = Counter()
        self._target = target
        self._fault = PASS
        self._once = False
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._player: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(self._close())
        finally:
            self._end_loop()

    @property
    def address(self) -> str:
        """``host:port`` for a ``dial`` line."""
        return f"127.0.0.1:{self.port}"

    @property
    def fault(self) -> Fault:
        """What the link does now."""
        return self._fault

    def set(
        self,
        mode: Mode,
        *,
        seconds: float = 0.0,
        bytes_per_second: int = 0,
        after_bytes: int = 0,
        direction: Direction | None = None,
        once: bool = False,
    ) -> None:
        """Change what the link does, for running connections too, and stop a schedule that plays.

        Args:
            mode: See ``Mode``.
            seconds: See ``Fault``, as the next three.
            bytes_per_second: For ``throttle``.
            after_bytes: For ``cut`` and ``corrupt``.
            direction: For ``cut``, ``corrupt`` and ``blackhole``.
            once: Go back to ``pass`` after the first cut or flipped bit.
        """
        fault = Fault(
            mode=mode,
            seconds=seconds,
            bytes_per_second=bytes_per_second,
            after_bytes=after_bytes,
            direction=direction,
        )
        self._call(self._set(fault, once=once))

    def play(self, turns: Iterator[Turn]) -> None:
        """Follow a schedule in the background until ``set`` or the end of the turns; then bytes pass."""
        self._call(self._start_player(turns))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_SECONDS)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_SECONDS)
        self._loop.close()

    async def _open(self) -> None:
        self._changed = asyncio.Event()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        await self._stop_player()
        self._server.close()
        for connection in self._connections:
            connection.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # One turn of the loop for the aborted transports to close their sockets.
        await asyncio.sleep(0)

    async def _set(self, fault: Fault, *, once: bool) -> None:
        await self._stop_player()
        self._apply(fault, once=once)

    async def _start_player(self, turns: Iterator[Turn]) -> None:
        await self._stop_player()
        self._player = asyncio.create_task(self._follow(turns))

    async def _stop_player(self) -> None:
        if self._player is not None:
            self._player.cancel()
            await asyncio.gather(self._player, return_exceptions=True)
            self._player = None

    async def _follow(self, turns: Iterator[Turn]) -> None:
        for turn in turns:
            self._apply(turn.fault)
            await asyncio.sleep(turn.seconds)
        self._apply(PASS)

    def _apply(self, fault: Fault, *, once: bool = False) -> None:
        self._fault, self._once = fault, once
        for connection in list(self._connections):
            connection.passed.clear()
            # One without a target was held half open: it never got through, so its caller has to dial again.
            if fault.mode == "drop" or connection.lost or (connection.target is None and fault.mode != "half_open"):
                self._reset(connection)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _reset(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self.resets += 1
            connection.reset()
            if connection.task is not asyncio.current_task():
                connection.task.cancel()

    async def _rest(self, seconds: float | None) -> None:
        """Wait, but not beyond the next change of mode."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served in a task")
        self._tasks.add(task)
        self.accepted += 1
        connection = _Connection(task, writer)
        self._connections.add(connection)
        try:
            await self._serve(connection, reader)
        except OSError:
            self._reset(connection)
        finally:
            self._connections.discard(connection)
            connection.reset()
            self._tasks.discard(task)

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        while self._fault.mode == "half_open":
            await self._rest(None)
        if self._fault.mode == "drop":
            self._reset(connection)
            return
        from_target, connection.target = await asyncio.open_connection(*self._target, limit=CHUNK_BYTES)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(connection, reader, connection.target, "to_target"))
            both.create_task(self._pump(connection, from_target, connection.caller, "to_caller"))
        for writer in (connection.target, connection.caller):
            # Closing sends what is still buffered; the reset that follows would drop it.
            writer.close()
            await writer.wait_closed()

    async def _pump(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._take(source, queue))
            ends.create_task(self._give(connection, queue, sink, direction))

    async def _take(self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        while True:
            try:
                chunk = await source.read(CHUNK_BYTES)
            except OSError:
                chunk = b""
            due = self._loop.time() + (self._fault.seconds if self._fault.mode == "delay" else 0)
            await queue.put((due, chunk))
            if not chunk:
                return

    async def _give(
        self,
        connection: _Connection,
        queue: asyncio.Queue[tuple[float, bytes]],
        sink: asyncio.StreamWriter,
        direction: Direction,
    ) -> None:
        while True:
            due, chunk = await queue.get()
            while self._fault.mode == "delay" and (early := due - self._loop.time()) > 0:
                await self._rest(early)
            async for piece in self._through(connection, chunk, direction):
                sink.write(piece)
                with contextlib.suppress(OSError):
                    await sink.drain()
                self.forwarded[direction] += len(piece)
            if not chunk:
                while self._fault.mode == "half_open":
                    await self._rest(None)
                with contextlib.suppress(OSError):
                    sink.write_eof()
                return

    async def _through(self, connection: _Connection, chunk: bytes, direction: Direction) -> AsyncIterator[bytes]:
        """The pieces of a chunk that the current fault lets through; it may change between two pieces."""
        while chunk:
            fault = self._fault
            if fault.mode == "half_open":
                await self._rest(None)
                continue
            if fault.mode == "blackhole" and fault.acts_on(direction):
                connection.lost = True
                return
            if fault.mode == "throttle":
                # Twenty small pieces a second, so that a change of mode is felt soon.
                piece, chunk = (
                    chunk[: max(1, fault.bytes_per_second // 20)],
                    chunk[max(1, fault.bytes_per_second // 20) :],
                )
                yield piece
                await self._rest(len(piece) / fault.bytes_per_second)
                continue
            if fault.mode in ("cut", "corrupt") and fault.acts_on(direction):
                left = fault.after_bytes - connection.passed[direction]
                if 0 <= left < len(chunk):
                    if fault.mode == "cut":
                        if left:
                            yield chunk[:left]
                        self._reset(connection)
                        self._served()
                        return
                    chunk = chunk[:left] + bytes([chunk[left] ^ 1]) + chunk[left + 1 :]
                    connection.passed[direction] += len(chunk)
                    self._served()
                    yield chunk
                    return
                connection.passed[direction] += len(chunk)
            yield chunk
            return

    def _served(self) -> None:
        if self._once:
            self._apply(PASS)
