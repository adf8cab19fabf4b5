"""What a node says about itself while it runs: log lines and metrics.

A log line is an event name plus keys, one line per batch and never per record. Secrets and the numbers of natural
persons are taken out by a processor, so that no caller has to remember it. Metrics are served on a loopback port:

    exchange_lag_seconds{peer,lane}            age of the oldest entry that the peer has not cosigned
    exchange_backlog_entries{peer,lane}        entries that the peer has not cosigned
    exchange_delivery_retries_total{peer,lane} deliveries that had to be tried again
    exchange_refusals_total{reason}            calls and records refused at the door
    exchange_commit_batch_commands             commands in one transaction of the writer (histogram)
    exchange_certificate_days_left{use}        days until the node's own certificate of that use ends
    exchange_alarms_open{code}                 open alarms
    exchange_courier_waiting{peer}             calls that wait for an answer by courier
    exchange_courier_oldest_seconds{peer}      age of the oldest of them
    exchange_courier_parcels_total{peer,way}   files put out for a courier (out), good ones that came (in)
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

HIDDEN: Final = "[hidden]"
"""Stands where something was that must not be logged."""

MAX_VALUE_CHARACTERS: Final = 2_000
"""Characters of one logged text: a peer's error message must not fill the disk."""

BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Commands: powers of two up to the writer's bound."""

_CHATTY: Final = ("alembic", "sqlalchemy", "grpc", "asyncio")
"""Libraries that tell each step at level info, which says nothing to an operator."""

_SECRET_NAMES: Final = re.compile(
    r"(?:^|_)(?:pw|passwd|password|secret|token|seed|salt|private|private_key|authorization)(?:$|_)", re.IGNORECASE
)
_SECRET_TEXTS: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # The password of HJ 212 packets, wherever a packet is quoted.
    re.compile(r"(?<=\bPW=)[^;&\s]*", re.IGNORECASE),
    # The password in the URL of a database.
    re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)"),
    # Resident identity numbers, GB 11643: area, date of birth, order, check.
    re.compile(r"(?<!\d)[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)"),
)


def configure_logging(*, form: str, level: str, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; a second call replaces the first.

    Lines of other libraries go the same way, so that they are redacted too.

    Args:
        form: ``json`` for one object a line, ``console`` for people.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        stream: Where the lines go; standard error by default.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets and numbers of natural persons out of a log event, by the names of its keys and by shape."""
    for key, value in list(event.items()):
        event[key] = HIDDEN if _SECRET_NAMES.search(key) else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        for pattern in _SECRET_TEXTS:
            value = pattern.sub(HIDDEN, value)
        return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "…"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return {k: HIDDEN if _SECRET_NAMES.search(str(k)) else _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if isinstance(value, BaseException):
        return _clean(f"{type(value).__name__}: {value}")
    return value


class Metrics:
    """The metrics of one node, in a registry of their own so that two nodes may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lag = Gauge(
            "exchange_lag_seconds",
            "Age of the oldest entry that the peer has not cosigned, in seconds.",
            ("peer", "lane"),
            registry=self.registry,
        )
        self.backlog = Gauge(
            "exchange_backlog_entries",
            "Entries that the peer has not cosigned.",
            ("peer", "lane"),
            registry=self.registry,
        )
        self.retries = Counter(
            "exchange_delivery_retries",
            "Deliveries that had to be tried again.",
            ("peer", "lane"),
            registry=self.registry,
        )
        self.refusals = Counter(
            "exchange_refusals",
            "Calls and records refused at the door, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.commit_batch = Histogram(
            "exchange_commit_batch_commands",
            "Commands in one transaction of the writer.",
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self.certificate_days = Gauge(
            "exchange_certificate_days_left",
            "Days until the node's own certificate of that use ends.",
            ("use",),
            registry=self.registry,
        )
        self.feedback_overdue = Gauge(
            "exchange_feedback_overdue",
            "Measures about which an agency has said nothing in time, by agency.",
            ("agency",),
            registry=self.registry,
        )
        self.alerts = Gauge(
            "exchange_alerts_unanswered",
            "Alerts of other sides that no duty desk has answered, by sort (alert, exercise) and whether time is up.",
            ("sort", "late"),
            registry=self.registry,
        )
        self.courier_waiting = Gauge(
            "exchange_courier_waiting", "Calls that wait for an answer by courier.", ("peer",), registry=self.registry
        )
        self.courier_oldest = Gauge(
            "exchange_courier_oldest_seconds",
            "Age of the oldest call that waits for an answer by courier, in seconds; 0 when none waits.",
            ("peer",),
            registry=self.registry,
        )
        self.courier_parcels = Counter(
            "exchange_courier_parcels",
            "Files put out for a courier (out), and good ones that came by him (in).",
            ("peer", "way"),
            registry=self.registry,
        )
        self.alarms = Gauge("exchange_alarms_open", "Open alarms, by code.", ("code",), registry=self.registry)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve the metrics over HTTP in a thread.

        Args:
            host: A loopback address; there is no access control.
            port: Port; 0 lets the system choose.

        Returns:
            A function that stops serving.
        """
        server, thread = start_http_server(port, addr=host, registry=self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop
