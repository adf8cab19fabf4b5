"""The one way into every service: who calls, may it, can it be read, is there room; then the servicer.

The numbered walk of a call:
  1 identity   certificate → caller; an agency that is suspended or whose time is over gets no further
  2 role       the table of roles; what is not in it is refused
  3 state      agencies wait while the node recovers
  4 room       calls in flight, watchers, calls in this minute
  5 message    read in time; size and form: bytes that do not parse are the caller's mistake; large ones in turn
  6 servicer   answers, or raises; every error leaves by the table of errors
A refusal at any step is counted by caller and reason, and changes nothing.
"""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import ExchangeError, Problem
from exchange.flows.access import AccessDenied, AgencyBook, Caller, missing_grants
from exchange.flows.actions.pending import Officer
from exchange.flows.context import Node
from exchange.flows.queries.ground.reading import Asked
from exchange.flows.queries.ground.wording import Wording
from exchange.flows.queries.node.status import NodeStatusView
from exchange.rpc.errors import problems_of, wire_error
from exchange.rpc.identity import CallerGate
from exchange.rpc.limits import CallLimits, Room
from exchange.rpc.message import Desk, parsed, read_message
from exchange.rpc.roles import WATCHES, allowed, serves_agencies
from exchange.v1.operation_service_pb2 import NodeState

log = structlog.get_logger("exchange.door")

MAX_LANG = 16
"""Characters of a language name that are looked at."""

DESK_MESSAGES = 2
"""Messages of the largest size that are unpacked at one time: one is worked on while the next is read."""

UNAVAILABLE_STATES: Mapping[int, str] = {
    NodeState.NODE_STATE_FETCHING: "RECOVERING",
    NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT: "AWAITING_ACKNOWLEDGEMENT",
}
"""States in which agencies are not served, with the reason that they are told."""

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Unavailable(ExchangeError):
    """The node serves no agencies for now."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Told(Protocol):
    """A broken rule of one item, as its answer carries it."""

    @property
    def reason(self) -> str:
        """Code."""
        ...

    @property
    def message(self) -> str:
        """What was found there."""
        ...


OnRefusal = Callable[[str, str, Sequence[str]], None]
"""Counts a refusal: identity, reason, and the grants that were missing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, past the door.

    Attributes:
        asked: Who, when, in which language.
        identity: The caller's identity as the journal names it.
    """

    asked: Asked
    identity: str
    _executor: Executor
    _refused: OnRefusal
    _room: Room

    @property
    def officer(self) -> Officer:
        """The caller as one who asks or decides."""
        return Officer(self.asked.caller, self.identity)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do synchronous work in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    async def each(self, items: Iterator[_T]) -> AsyncGenerator[_T, None]:
        """Items of a synchronous iterator, each taken in a thread."""
        loop = asyncio.get_running_loop()
        nothing = object()
        while (item := await loop.run_in_executor(self._executor, next, items, nothing)) is not nothing:
            yield cast("_T", item)

    def charge(self, records: int) -> None:
        """Take records from the caller's minute; with 0, only look whether anything is left.

        Raises:
            TooMany: TOO_MANY_RECORDS; nothing was taken.
        """
        self._room.charge(self.asked.caller, records)

    def count_refusal(self, problems: Sequence[_Told]) -> None:
        """One item of this call was refused, though the call as a whole was answered."""
        named = [Problem(each.reason, "", each.message) for each in problems]
        self._refused(self.identity, problems[0].reason, missing_grants(named))


class Servicer(Protocol):
    """Answers the rpcs of one service: a coroutine or an asynchronous generator for each, by its name in lower case."""

    descriptor: ServiceDescriptor


class Door:
    """Makes handlers that stand before every servicer.

    Args:
        node: The node.
        gate: Names callers.
        status: In which state the node is.
        executor: Threads for synchronous work.
        limits: What a caller may ask for, where its grants say nothing else.
        book: Agencies, their validity and quotas.
        lang: Language where the call names none.
        on_refusal: Counts refusals.
    """

    def __init__(
        self,
        node: Node,
        gate: CallerGate,
        status: NodeStatusView,
        executor: Executor,
        *,
        limits: CallLimits | None = None,
        book: AgencyBook,
        lang: str = "zh-CN",
        on_refusal: OnRefusal = lambda _identity, _reason, _missing: None,
    ) -> None:
        self._node = node
        self._gate = gate
        self._status = status
        self._executor = executor
        self._limits = limits or CallLimits()
        self._lang = lang
        self._on_refusal = on_refusal
        self._book = book
        self._room = Room(self._limits, book.quotas)
        self._desk = Desk(DESK_MESSAGES * self._limits.message_bytes)

    def unavailable(self) -> str:
        """Why agencies are not served now, as a reason code; empty while they are."""
        if self._node.stopping.is_set():
            return "SHUTTING_DOWN"
        return UNAVAILABLE_STATES.get(self._status.state, "")

    def handler(self, servicer: Servicer) -> grpc.GenericRpcHandler:
        """The handlers of one service."""
        service = servicer.descriptor
        handlers = {method.name: self._method(servicer, method) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _method(self, servicer: Servicer, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        work = getattr(servicer, _WORD.sub("_", method.name).lower())
        request_class = GetMessageClass(method.input_type)
        if method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(work, method, request_class))
        # For gRPC a stream of requests, so that the message is read by us.
        return grpc.stream_unary_rpc_method_handler(self._unary(work, method, request_class))

    def _unary(self, work: Any, method: MethodDescriptor, request_class: type[Message]) -> Any:
        async def handle(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            call, lang = None, self._lang_of(context)
            try:
                call = self._enter(context, method, lang)
                return await self._answer(call, work, context, request_class)
            except Exception as error:
                await self._abort(context, call, method, error, lang)
                raise

        return handle

    def _stream(self, work: Any, method: MethodDescriptor, request_class: type[Message]) -> Any:
        async def handle(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
            call, lang = None, self._lang_of(context)
            try:
                call = self._enter(context, method, lang)
                caller = call.asked.caller
                room = self._room.watcher(caller) if method.name in WATCHES else self._room.call(caller)
                with room:
                    raw = await read_message(context, self._limits)
                    async with contextlib.aclosing(
                        work(call, parsed(raw, request_class, self._limits.message_fields))
                    ) as messages:
                        async for message in messages:
                            call.asked.still_served()
                            yield message.SerializeToString()
            except Exception as error:
                await self._abort(context, call, method, error, lang)
                raise

        return handle

    def _enter(self, context: grpc.aio.ServicerContext[bytes, bytes], method: MethodDescriptor, lang: str) -> Call:
        # 1
        auth = context.auth_context()
        try:
            caller = self._gate.caller_of(auth)
        except AccessDenied as denied:
            self._gate.refused(auth, denied.reason)
            raise
        now = self._node.clock()
        ended = self._book.standing(caller.name, now) if caller.role is Role.AGENCY else None
        if ended is not None:
            raise _Known(caller, AccessDenied(ended))
        # 2
        service = method.containing_service.name
        if not allowed(service, method.name, caller.role):
            raise _Known(caller, AccessDenied(Problem("ROLE_NOT_ALLOWED", "", caller.role.value)))
        # 3
        if caller.role is Role.AGENCY and serves_agencies(service):
            reason = self.unavailable()
            if reason:
                raise _Known(caller, Unavailable(reason))
        asked = Asked(
            caller=caller,
            now=now,
            words=Wording(self._node.tables.reasons, lang),
            still_served=lambda: self._gate.caller_of(context.auth_context()),
        )
        return Call(asked, self._identity(caller), self._executor, self._on_refusal, self._room)

    async def _answer(
        self, call: Call, work: Any, context: grpc.aio.ServicerContext[bytes, bytes], request_class: type[Message]
    ) -> bytes:
        # Apart from its caller, whose frame outlives an error: this one, which holds the message, does not.
        with self._room.call(call.asked.caller):  # 4
            async with self._message(context, request_class) as request:  # 5
                answer: Message = await work(call, request)  # 6
                return answer.SerializeToString()

    @contextlib.asynccontextmanager
    async def _message(
        self, context: grpc.aio.ServicerContext[bytes, bytes], request_class: type[Message]
    ) -> AsyncIterator[Message]:
        """The call's message, unpacked in its turn; its bytes are not kept beside it."""
        raw = await read_message(context, self._limits)
        async with self._desk.place(len(raw)):
            request = parsed(raw, request_class, self._limits.message_fields)
            del raw
            yield request

    def _identity(self, caller: Caller) -> str:
        return f"spiffe://{self._node.name}.{self._node.federation}/{caller}"

    def _lang_of(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> str:
        for key, value in context.invocation_metadata() or ():
            if key == "lang" and isinstance(value, str) and value:
                return value[:MAX_LANG]
        return self._lang

    async def _abort(
        self,
        context: grpc.aio.ServicerContext[bytes, bytes],
        call: Call | None,
        method: MethodDescriptor,
        error: Exception,
        lang: str,
    ) -> None:
        """End the call with the error's status; this raises."""
        identity = call.identity if call else "unknown"
        if isinstance(error, _Known):
            identity, error = self._identity(error.caller), error.error
        wire = wire_error(error, self._node.tables.reasons, lang, self._node.federation)
        if wire.code is grpc.StatusCode.INTERNAL:
            log.error("call-failed", rpc=method.full_name, caller=identity, exc_info=error)
        else:
            self._on_refusal(identity, wire.reason, missing_grants(problems_of(error)))
        # Its frames hold the message, and the abort that follows would hold them until the next collection of cycles.
        error.__traceback__ = None
        await context.abort(wire.code, wire.message, wire.trailers)


class _Known(Exception):
    """A refusal before the servicer, of a caller who is known."""

    def __init__(self, caller: Caller, error: Exception) -> None:
        self.caller = caller
        self.error = error
        super().__init__(str(error))
