"""Errors ⇄ gRPC status: one table of codes, one way of telling every broken rule.

A caller switches on ``ErrorInfo.reason`` and never on text. ``BadRequest`` names every broken rule with its place,
``RetryInfo`` says when to come again.
"""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from exchange.crypto.signers.token import TokenUnavailable
from exchange.domain.catalogues.reasons import Reasons
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.rpc.limits import TooMany
from exchange.storage.engine.writer import DatabaseAwayError, OutcomeUnknownError, WriterBusyError, WriterClosedError

_Code = grpc.StatusCode

CODES: Final[Mapping[str, grpc.StatusCode]] = {
    # who and what
    "NO_CERTIFICATE": _Code.UNAUTHENTICATED,
    "IDENTITY_UNKNOWN": _Code.UNAUTHENTICATED,
    "CERTIFICATE_EXPIRED": _Code.UNAUTHENTICATED,
    "CERTIFICATE_NOT_YET_VALID": _Code.UNAUTHENTICATED,
    "CERTIFICATE_REVOKED": _Code.UNAUTHENTICATED,
    "REVOCATION_STALE": _Code.UNAUTHENTICATED,
    "CERTIFICATE_UNREADABLE": _Code.UNAUTHENTICATED,
    "ROLE_NOT_ALLOWED": _Code.PERMISSION_DENIED,
    "AGENCY_SUSPENDED": _Code.PERMISSION_DENIED,
    "SECOND_PERSON": _Code.PERMISSION_DENIED,
    "AGENCY_NOT_YET_VALID": _Code.PERMISSION_DENIED,
    "AGENCY_NO_LONGER_VALID": _Code.PERMISSION_DENIED,
    "NO_GRANT": _Code.PERMISSION_DENIED,
    "GRANT_AREA": _Code.PERMISSION_DENIED,
    "GRANT_AREA_MISSING": _Code.PERMISSION_DENIED,
    "GRANT_AUTHORITY": _Code.PERMISSION_DENIED,
    "SIGNATURE_REQUIRED": _Code.PERMISSION_DENIED,
    "SIGNATURE_KEY_UNKNOWN": _Code.PERMISSION_DENIED,
    "NOT_YOURS": _Code.PERMISSION_DENIED,
    "PEER_UNKNOWN": _Code.PERMISSION_DENIED,
    # what is not there, or there already
    "NOT_FOUND": _Code.NOT_FOUND,
    "IDEMPOTENCY_KEY_REUSED": _Code.ALREADY_EXISTS,
    "NATURAL_KEY_TAKEN": _Code.ALREADY_EXISTS,
    # what may work once something else happened
    "STATE_NOT_ALLOWED": _Code.FAILED_PRECONDITION,
    "REVISION_NOT_NEXT": _Code.FAILED_PRECONDITION,
    "ERASED": _Code.FAILED_PRECONDITION,
    "ACTION_CLOSED": _Code.FAILED_PRECONDITION,
    "ACTION_DIGEST": _Code.FAILED_PRECONDITION,
    "ACTIONS_FULL": _Code.FAILED_PRECONDITION,
    "LANE_NOT_STOPPED": _Code.FAILED_PRECONDITION,
    "LANE_UNKNOWN": _Code.NOT_FOUND,
    "QUARANTINE_CLOSED": _Code.FAILED_PRECONDITION,
    "RECEIPT_PENDING": _Code.FAILED_PRECONDITION,
    "ATTACHMENT_MISSING": _Code.FAILED_PRECONDITION,
    "ATTACHMENT_WITHHELD": _Code.FAILED_PRECONDITION,
    "ROTATION_STEP": _Code.FAILED_PRECONDITION,
    "ROTATION_OPEN": _Code.FAILED_PRECONDITION,
    "ROTATION_NEEDS_CERTIFICATE": _Code.FAILED_PRECONDITION,
    "KEY_IN_USE": _Code.FAILED_PRECONDITION,
    "KEY_UNCONFIRMED": _Code.FAILED_PRECONDITION,
    "KEY_AWAITS_OFFICER": _Code.FAILED_PRECONDITION,
    "KEY_REJECTED": _Code.FAILED_PRECONDITION,
    "KEY_NO_FRESH_CHECKPOINT": _Code.FAILED_PRECONDITION,
    "SEEN_ON_OLD_ONLY": _Code.FAILED_PRECONDITION,
    "SEEN_ON_OLD_STILL": _Code.FAILED_PRECONDITION,
    "PEER_NOT_SEEN_ON_NEW": _Code.FAILED_PRECONDITION,
    "ROOT_UNKNOWN_TO_PEER": _Code.FAILED_PRECONDITION,
    "CONTENDED": _Code.ABORTED,
    # later
    "DISK_WATERMARK": _Code.RESOURCE_EXHAUSTED,
    "ATTACHMENT_QUOTA": _Code.RESOURCE_EXHAUSTED,
    "RESOURCE_EXHAUSTED": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_RECORDS": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_CALLS": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_WATCHERS": _Code.RESOURCE_EXHAUSTED,
    "REQUEST_TOO_SLOW": _Code.DEADLINE_EXCEEDED,
    "OUTCOME_UNKNOWN": _Code.UNAVAILABLE,
    "TRY_AGAIN": _Code.UNAVAILABLE,
    "SHUTTING_DOWN": _Code.UNAVAILABLE,
    "RECOVERING": _Code.UNAVAILABLE,
    "AWAITING_ACKNOWLEDGEMENT": _Code.UNAVAILABLE,
    "PEER_AWAY": _Code.UNAVAILABLE,
    "UNIMPLEMENTED": _Code.UNIMPLEMENTED,
    "INTERNAL": _Code.INTERNAL,
}
"""Status code of each reason. What is not listed is the caller's data: INVALID_ARGUMENT, when a ``Refused`` carries it;
any other error is INTERNAL, and its own reason stays in the log."""

RETRY_AFTER: Final[Mapping[str, timedelta]] = {
    "RESOURCE_EXHAUSTED": timedelta(milliseconds=200),
    "OUTCOME_UNKNOWN": timedelta(milliseconds=500),
    "TRY_AGAIN": timedelta(seconds=1),
    "CONTENDED": timedelta(milliseconds=50),
    "SHUTTING_DOWN": timedelta(seconds=5),
    "RECOVERING": timedelta(seconds=5),
    "AWAITING_ACKNOWLEDGEMENT": timedelta(seconds=60),
    "DISK_WATERMARK": timedelta(seconds=60),
    "RECEIPT_PENDING": timedelta(seconds=1),
    "ATTACHMENT_MISSING": timedelta(seconds=10),
    "ATTACHMENT_QUOTA": timedelta(hours=1),
    "PEER_AWAY": timedelta(seconds=5),
}
"""When to come again: how long each condition lasts at least."""

_WIRE_REASONS: Final[Mapping[type[ExchangeError], str]] = {
    WriterBusyError: "RESOURCE_EXHAUSTED",
    OutcomeUnknownError: "OUTCOME_UNKNOWN",
    WriterClosedError: "SHUTTING_DOWN",
    DatabaseAwayError: "TRY_AGAIN",
    TokenUnavailable: "TRY_AGAIN",
}
"""Errors of lower layers by what they mean to a caller."""

MAX_VIOLATIONS: Final = 200
"""Broken rules told in one status: with their texts about 60 kB, what HTTP/2 trailers still carry by our settings."""

MAX_STATUS_BYTES: Final = 7_000
"""Bytes of a serialized status: gRPC allows 8 KiB of trailers by default, and base64 is not used for binary ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """An error as it leaves.

    Attributes:
        reason: What is counted and switched on.
        status: Goes into ``grpc-status-details-bin``.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    status: status_pb2.Status = field(repr=False)

    @property
    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        """Trailing metadata with the details."""
        return (("grpc-status-details-bin", self.status.SerializeToString()),)


def wire_error(error: BaseException, reasons: Reasons, lang: str, domain: str) -> WireError:
    """Translate an error.

    Args:
        error: Whatever was raised; what is not ours says INTERNAL and nothing else.
        reasons: The table of reasons.
        lang: Language of the texts.
        domain: Federation's domain, for ``ErrorInfo``.
    """
    problems = problems_of(error)
    reason = leading_reason(error, problems)
    after = error.retry_after if isinstance(error, TooMany) else RETRY_AFTER.get(reason)
    code = CODES.get(reason, _Code.INVALID_ARGUMENT if isinstance(error, Refused | AccessDenied) else _Code.INTERNAL)
    if code is _Code.INTERNAL:
        reason, problems = "INTERNAL", ()
    text = reasons.text(reason, lang)
    status = status_pb2.Status(code=code.value[0], message=text.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    if after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(after)
        _pack(status, retry)
    violations = _violations(problems, reasons, lang, MAX_STATUS_BYTES - status.ByteSize())
    if violations.field_violations:
        _pack(status, violations)
    return WireError(code=code, reason=reason, message=text.message, status=status)


def problems_of(error: BaseException) -> Sequence[Problem]:
    """Every broken rule that an error names."""
    if isinstance(error, Refused):
        return error.problems
    if isinstance(error, AccessDenied | TooMany):
        return (error.problem,)
    return ()


def leading_reason(error: BaseException, problems: Sequence[Problem]) -> str:
    """The reason that a caller switches on: what it may not do goes before what it did wrong."""
    for problem in problems:
        if CODES.get(problem.reason) in (_Code.PERMISSION_DENIED, _Code.UNAUTHENTICATED):
            return problem.reason
    if problems:
        return problems[0].reason
    if isinstance(error, ExchangeError):
        for kind, reason in _WIRE_REASONS.items():
            if isinstance(error, kind):
                return reason
        return error.reason
    return "INTERNAL"


def _violations(problems: Sequence[Problem], reasons: Reasons, lang: str, room: int) -> error_details_pb2.BadRequest:
    """Broken rules with their texts, as many as fit: a trailer that is too large would lose the whole status."""
    message = error_details_pb2.BadRequest()
    for problem in problems[:MAX_VIOLATIONS]:
        text = reasons.text(problem.reason, lang)
        said = f"{text.message} ({problem.detail[:100]})" if problem.detail else text.message
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=problem.place,
            reason=problem.reason,
            description=f"{said} {text.remedy}".strip(),
        )
        room -= violation.ByteSize() + 8
        if room < 100:
            break
        message.field_violations.append(violation)
    return message


def _pack(status: status_pb2.Status, detail: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]
    status.details.append(packed)
