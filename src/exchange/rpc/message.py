"""The one message of a call, read by the door and not by gRPC: only when the caller may call and there is room.

gRPC itself would take in, and unpack, a message before anybody has asked whose it is. To the caller nothing changes: on
the wire a call with one message is the same, whatever the server calls it.
"""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import DecodeError, Message

from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.rpc.limits import CallLimits

ROOM_BEYOND_LIMIT = 1 << 20
"""Bytes beyond our own limit up to which a message is read, to be refused by name; beyond, gRPC cuts it off."""

SMALL_BYTES = 16 * 1024
"""Messages up to this size are unpacked at once: somebody waits for the answer, and they take little memory."""

NO_COMPRESSION = ("grpc.compression_enabled_algorithms_bitset", 1)
"""gRPC unpacks a compressed message without any bound: 4 MiB become 4 GiB. So it is told to take none."""

HANDSHAKE_MS = 20_000
"""How long a client may take for its TLS handshake."""

IDLE_MS = 600_000
"""Connections without any call end after this."""

CONNECTION_OPTIONS = (
    NO_COMPRESSION,
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.max_connection_idle_ms", IDLE_MS),
)
"""What both servers ask of every connection."""

_M = TypeVar("_M", bound=Message)


class RequestTooSlow(ExchangeError):
    """The message did not come in time."""

    reason = "REQUEST_TOO_SLOW"


async def read_message(context: grpc.aio.ServicerContext[Any, Any], limits: CallLimits) -> bytes:
    """Read the call's message.

    Args:
        context: The call, whose handler was made for a stream of requests.
        limits: How many bytes it may have, and how long it may take.

    Raises:
        RequestTooSlow: It did not come in time.
        Refused: MESSAGE_TOO_LARGE, or MALFORMED_MESSAGE when none came.
    """
    try:
        async with asyncio.timeout(limits.read_seconds):
            raw = await context.read()
    except TimeoutError:
        raise RequestTooSlow from None
    if raw is grpc.aio.EOF:
        raise Refused([Problem("MALFORMED_MESSAGE")])
    if len(raw) > limits.message_bytes:
        raise Refused([Problem("MESSAGE_TOO_LARGE", "", f"{len(raw)} > {limits.message_bytes}")])
    return bytes(raw)


def parsed(raw: bytes, kind: type[_M], most: int) -> _M:
    """Unpack a message.

    Args:
        raw: Its bytes.
        kind: What it is.
        most: Fields that it may have, each repetition counted, those of messages within it not.

    Raises:
        Refused: MALFORMED_MESSAGE: no such message, nested too deep, or a text that is not UTF-8; TOO_MANY_ITEMS.
    """
    if _has_more_fields(raw, most):
        raise Refused([Problem("TOO_MANY_ITEMS", "", f"> {most}")])
    # Raised behind the block: an error that is its context would hold the bytes for as long as it lives.
    with contextlib.suppress(DecodeError, UnicodeDecodeError):
        return kind.FromString(raw)
    raise Refused([Problem("MALFORMED_MESSAGE")])


def _has_more_fields(raw: bytes, most: int) -> bool:
    """Whether a message has more fields than that, without unpacking it: two bytes each may take forty in memory.

    Looks at no more than it counts. What is no message is left to the parser.
    """
    if len(raw) <= 2 * most:
        return False
    at = count = 0
    try:
        while at < len(raw):
            count += 1
            if count > most:
                return True
            tag, at = _varint(raw, at)
            match tag & 7:
                case 0:
                    _, at = _varint(raw, at)
                case 1:
                    at += 8
                case 2:
                    size, at = _varint(raw, at)
                    at += size
                case 5:
                    at += 4
                case _:
                    return False
    except (IndexError, ValueError):
        return False
    return False


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a varint")


class Desk:
    """Bounds what is unpacked at one time: two bytes on the wire may be a hundred in memory.

    Large messages wait their turn, in order of arrival, as the bytes that they came as.

    Args:
        budget: Bytes on the wire that may be unpacked at one time; one message always may.
    """

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._budget = budget
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def place(self, size: int) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        if size <= SMALL_BYTES:
            yield
            return
        size = min(size, self._budget)
        if self._waiting or size > self._left:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(size)
                else:
                    self._waiting.remove((size, turn))
                    self._next()
                raise
        else:
            self._left -= size
        try:
            yield
        finally:
            self._give_back(size)

    def _give_back(self, size: int) -> None:
        self._left += size
        self._next()

    def _next(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._left -= size
                turn.set_result(None)
