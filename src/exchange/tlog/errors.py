"""What was wrong with a text or number of a log."""

from __future__ import annotations

from exchange.domain.problems import ExchangeError


class LogFormatError(ExchangeError):
    """Bytes that should be a note, checkpoint, receipt, verifier key, log name or tree part are none."""

    reason = "LOG_FORMAT"
