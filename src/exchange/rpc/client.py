"""The synchronous client by which the command line calls a node as anybody else would: mTLS, typed errors."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from exchange.domain.problems import Problem
from exchange.rpc.failure import CallFailed
from exchange.rpc.profile import Profile, ProfileInvalid
from exchange.v1.audit_service_pb2_grpc import AuditServiceStub
from exchange.v1.check_service_pb2_grpc import CheckServiceStub
from exchange.v1.credit_service_pb2_grpc import CreditServiceStub
from exchange.v1.laboratory_service_pb2_grpc import LaboratoryServiceStub
from exchange.v1.monitoring_service_pb2_grpc import MonitoringServiceStub
from exchange.v1.operation_service_pb2_grpc import OperationServiceStub
from exchange.v1.penalty_service_pb2_grpc import PenaltyServiceStub
from exchange.v1.record_service_pb2_grpc import RecordServiceStub
from exchange.v1.request_service_pb2_grpc import RequestServiceStub
from exchange.v1.rule_service_pb2_grpc import RuleServiceStub
from exchange.v1.security_service_pb2_grpc import SecurityServiceStub
from exchange.v1.submission_service_pb2_grpc import SubmissionServiceStub

CALL_TIMEOUT_S: Final = 30.0
"""Seconds for one call: a full batch on a busy node takes a tenth of it."""

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one answer: 500 records of the largest usual size; the node's own limit is smaller."""

KEEPALIVE_MS: Final = 30_000
"""Milliseconds between pings of a silent connection, so that a watcher sees that its node is gone."""

_NOT_DECIDABLE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Client:
    """One connection to a node; close it or use it as a context.

    The attributes are the services' stubs; hand their methods to :meth:`call` and :meth:`stream`.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._channel = connect(profile)
        self.submissions = SubmissionServiceStub(self._channel)
        self.records = RecordServiceStub(self._channel)
        self.credit = CreditServiceStub(self._channel)
        self.monitoring = MonitoringServiceStub(self._channel)
        self.laboratories = LaboratoryServiceStub(self._channel)
        self.penalties = PenaltyServiceStub(self._channel)
        self.requests = RequestServiceStub(self._channel)
        self.checks = CheckServiceStub(self._channel)
        self.rules = RuleServiceStub(self._channel)
        self.audit = AuditServiceStub(self._channel)
        self.operation = OperationServiceStub(self._channel)
        self.security = SecurityServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        timeout: float = CALL_TIMEOUT_S,
    ) -> _Response:
        """Make one call.

        Args:
            method: A unary method of one of the stubs.
            request: Its request.
            timeout: Seconds.

        Raises:
            CallFailed: Refused, or no answer.
        """
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[_Request, _Response], request: _Request
    ) -> Iterator[_Response]:
        """Messages of a streaming method, until the node or the caller ends it.

        Raises:
            CallFailed: Refused, or the connection was lost.
        """
        call = method(request)
        try:
            yield from call
        except grpc.RpcError as error:
            raise failure_of(error) from None
        finally:
            call.cancel()


def connect(profile: Profile) -> grpc.Channel:
    """A channel with our certificate. No connection is made before the first call.

    Raises:
        ProfileInvalid: A file of the profile can not be read.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(profile.ca),
        private_key=_read(profile.key),
        certificate_chain=_read(profile.cert),
    )
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if profile.server_name:
        options.append(("grpc.ssl_target_name_override", profile.server_name))
    return grpc.secure_channel(profile.address, credentials, options=options)


def failure_of(error: grpc.RpcError) -> CallFailed:
    """A gRPC error as ours: the reason out of ``ErrorInfo``, every ``FieldViolation``, the delay of ``RetryInfo``."""
    # Every error that a finished call raises is also its grpc.Call; the published types do not say so.
    call: object = error
    code = call.code() if isinstance(call, grpc.Call) else grpc.StatusCode.UNKNOWN
    text = (call.details() if isinstance(call, grpc.Call) else None) or code.name
    reason = ""
    problems: list[Problem] = []
    retry_after: float | None = None
    try:
        status = rpc_status.from_call(call) if isinstance(call, grpc.Call) else None
    except ValueError:
        status = None  # the details do not agree with the status: nothing in them is to be believed
    for detail in status.details if status is not None else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            problems += [Problem(v.reason or reason, v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    away = not reason and code in _NOT_DECIDABLE
    return CallFailed(
        status=code.name,
        reason=reason or ("NODE_AWAY" if away else _REASON_OF_STATUS.get(code, "INTERNAL")),
        message=text,
        problems=problems,
        retry_after=retry_after,
        away=away or code is grpc.StatusCode.DEADLINE_EXCEEDED,
    )


_REASON_OF_STATUS: Final = {
    grpc.StatusCode.UNIMPLEMENTED: "UNIMPLEMENTED",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    grpc.StatusCode.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    grpc.StatusCode.NOT_FOUND: "NOT_FOUND",
    grpc.StatusCode.PERMISSION_DENIED: "ROLE_NOT_ALLOWED",
    grpc.StatusCode.UNAUTHENTICATED: "NO_CERTIFICATE",
}
"""What a status without details means: gRPC itself answers so."""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProfileInvalid(f"{path}: {error.strerror}") from None
