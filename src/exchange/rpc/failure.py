"""What a caller learns of a call that failed. Free of gRPC, so that the command line starts fast."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.domain.problems import ExchangeError, Problem


class CallFailed(ExchangeError):
    """A call was refused or did not get through.

    Attributes:
        status: Name of the gRPC status, as in ``INVALID_ARGUMENT``.
        reason: Reason code of the node; ``NODE_AWAY`` when no answer came.
        problems: Every broken rule that the node named.
        retry_after: Seconds after which the node wants to be asked again; None: it did not say.
        away: True when the outcome is not known: the node did not answer.
    """

    def __init__(
        self,
        *,
        status: str,
        reason: str,
        message: str,
        problems: Sequence[Problem] = (),
        retry_after: float | None = None,
        away: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.problems = tuple(problems)
        self.retry_after = retry_after
        self.away = away
