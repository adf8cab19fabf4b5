"""What a node says about itself, and what it never says."""

from __future__ import annotations

import io
import json
import logging
import urllib.request
from collections.abc import Iterator

import pytest
import structlog

from exchange.telemetry import HIDDEN, Metrics, configure_logging


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log lines go, JSON."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(form="json", level="info", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_line_is_an_event_with_keys(lines: io.StringIO) -> None:
    """One object a line, with the instant in UTC and Chinese as it is."""
    structlog.get_logger().info("delivered", peer="sc", entries=256, text="已送达")
    line = json.loads(lines.getvalue())
    assert (line["event"], line["peer"], line["entries"], line["level"]) == ("delivered", "sc", 256, "info")
    assert line["at"].endswith("Z")
    assert "已送达" in lines.getvalue()


def test_debug_is_left_out_at_info(lines: io.StringIO) -> None:
    """The level filters."""
    structlog.get_logger().debug("nothing")
    assert lines.getvalue() == ""


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"password": "geheim"}, "geheim"),
        ({"log_seed": "geheim"}, "geheim"),
        ({"nested": {"api_token": "geheim"}}, "geheim"),
        ({"packet": "QN=20240101;ST=32;PW=geheim;MN=A1"}, "geheim"),
        ({"error": ValueError("postgresql://node:geheim@db/exchange")}, "geheim"),
        ({"file": "-----BEGIN PRIVATE KEY-----\ngeheim\n-----END PRIVATE KEY-----"}, "geheim"),
        ({"file": ["-----BEGIN EC PRIVATE KEY-----\ngeheim"]}, "geheim"),
        ({"detail": "当事人510104199003074512"}, "199003074512"),
        ({"content": b"geheim"}, "geheim"),
    ],
)
def test_secrets_are_taken_out(lines: io.StringIO, fields: dict[str, object], secret: str) -> None:
    """Keys, passwords, tokens and numbers of natural persons never reach a line."""
    structlog.get_logger().warning("seen", **fields)
    assert "seen" in lines.getvalue()
    assert secret not in lines.getvalue()


def test_other_libraries_are_redacted_too(lines: io.StringIO) -> None:
    """Lines of the standard library's loggers go the same way."""
    logging.getLogger("sqlalchemy").warning("connect postgresql://node:geheim@db/exchange")
    line = json.loads(lines.getvalue())
    assert HIDDEN in line["event"]
    assert "geheim" not in lines.getvalue()


def test_codes_of_firms_are_not_mistaken_for_persons(lines: io.StringIO) -> None:
    """An all-digit USCC stays readable: operators search for it."""
    structlog.get_logger().info("checked", uscc="915101005849827804")
    assert "915101005849827804" in lines.getvalue()


def test_metrics_are_served_on_loopback() -> None:
    """Each metric that the operators were promised is there under its name."""
    metrics = Metrics()
    metrics.lag.labels("sc", "registry").set(1.5)
    metrics.backlog.labels("sc", "registry").set(3)
    metrics.retries.labels("sc", "registry").inc()
    metrics.refusals.labels("USCC_CHECK").inc()
    metrics.commit_batch.observe(17)
    metrics.certificate_days.labels("tls").set(80)
    metrics.alarms.labels("PEER_AWAY").set(1)
    stop = metrics.serve("127.0.0.1", 9464 + 20_000)
    try:
        with urllib.request.urlopen("http://127.0.0.1:29464/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        stop()
    for expected in (
        'exchange_lag_seconds{lane="registry",peer="sc"} 1.5',
        'exchange_backlog_entries{lane="registry",peer="sc"} 3.0',
        'exchange_delivery_retries_total{lane="registry",peer="sc"} 1.0',
        'exchange_refusals_total{reason="USCC_CHECK"} 1.0',
        'exchange_commit_batch_commands_bucket{le="32.0"} 1.0',
        'exchange_certificate_days_left{use="tls"} 80.0',
        'exchange_alarms_open{code="PEER_AWAY"} 1.0',
    ):
        assert expected in text
