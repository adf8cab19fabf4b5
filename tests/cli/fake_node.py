"""A node that answers as a test tells it, over the same TLS as a real one."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from exchange.crypto.keys import KeyFile
from exchange.v1 import (
    audit_service_pb2,
    check_service_pb2,
    laboratory_service_pb2,
    operation_service_pb2,
    penalty_service_pb2,
    record_service_pb2,
    security_service_pb2,
    submission_service_pb2,
)

_FILES = (
    audit_service_pb2,
    check_service_pb2,
    laboratory_service_pb2,
    operation_service_pb2,
    penalty_service_pb2,
    record_service_pb2,
    security_service_pb2,
    submission_service_pb2,
)


class Abort(Exception):
    """Makes a call fail as a node lets it fail."""

    def __init__(
        self, status: str, reason: str, fields: tuple[tuple[str, str, str], ...] = (), retry_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status_pb2.Status(code=code_pb2.Code.Value(status), message=reason)
        self._add(error_details_pb2.ErrorInfo(reason=reason, domain="exchange.example"))
        if fields:
            bad = error_details_pb2.BadRequest()
            for code, place, said in fields:
                bad.field_violations.add(reason=code, field=place, description=said)
            self._add(bad)
        if retry_s is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(int(retry_s * 1000))
            self._add(retry)

    def _add(self, detail: Message) -> None:
        packed = AnyMessage()
        packed.Pack(detail)
        self.status.details.append(packed)


class FakeNode:
    """Answers by method name; what is not set is UNIMPLEMENTED.

    Attributes:
        answers: A message, a list of messages for a stream, or a function of the request; an :class:`Abort` fails.
        requests: What was asked, in order, as (method, request).
    """

    def __init__(self, tls: Path, client_roots: Path) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []
        file = KeyFile.parse(tls.read_bytes())
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        for file_module in _FILES:
            for service in file_module.DESCRIPTOR.services_by_name.values():
                handlers = {method.name: self._handler(method) for method in service.methods}
                self._server.add_generic_rpc_handlers(
                    (grpc.method_handlers_generic_handler(service.full_name, handlers),)
                )
        credentials = grpc.ssl_server_credentials(
            [(file.key, file.chain)], root_certificates=client_roots.read_bytes(), require_client_auth=True
        )
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop(None).wait()

    def asked(self, method: str) -> list[Any]:
        """Requests to one method."""
        return [request for name, request in self.requests if name == method]

    def _handler(self, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        made: Callable[..., Any] = grpc.unary_unary_rpc_method_handler
        act: Callable[..., Any] = self._unary
        if method.server_streaming:
            made, act = grpc.unary_stream_rpc_method_handler, self._stream

        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            return act(method.name, request, context)

        handler: grpc.RpcMethodHandler[Any, Any] = made(
            handle,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        return handler

    def _answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append((name, request))
        if name not in self.answers:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, name)
        answer = self.answers[name]
        try:
            answer = answer(request) if callable(answer) else answer
            if isinstance(answer, Abort):
                raise answer
        except Abort as abort:
            context.abort_with_status(rpc_status.to_status(abort.status))
        return answer

    def _unary(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        return self._answer(name, request, context)

    def _stream(self, name: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from self._answer(name, request, context)
