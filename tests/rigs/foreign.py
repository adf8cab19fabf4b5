"""A client that is not Python, run against a node: ``tests/foreign/client.js`` under Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from exchange.v1.record_pb2 import Record

CLIENT = Path(__file__).parents[1] / "foreign"

INSTALL_SECONDS = 120
"""Three dozen small packages arrive in seconds; a slow mirror may take a minute."""

GRACE_SECONDS = 15
"""What the client may take on top of the time it was given: its start, and its last call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignRun:
    """What the client printed.

    Attributes:
        status: Its exit status: 0 decided, 1 refused, 3 not decided in time.
        submitted: The node's answer, ``SubmittedRecord`` with the schema's field names; empty when refused.
        submissions: Each change that the watch brought, ``Submission``.
        receipt: The receipt's text; empty when undecided.
        error: ``{code, message}`` when the call failed.
    """

    status: int
    submitted: dict[str, Any] = field(default_factory=dict)
    submissions: tuple[dict[str, Any], ...] = ()
    receipt: str = ""
    error: dict[str, str] = field(default_factory=dict)


def install() -> str:
    """Install what the client stands on, once, and return the Node.js to run it with; skips as ``node-missing``."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node-missing: neither node nor npm is on the path")
    # npm writes this file last, so an install that was cut off is done again.
    done = CLIENT / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (CLIENT / "package-lock.json").stat().st_mtime:
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=CLIENT,
            stdin=subprocess.DEVNULL,
            check=True,
            timeout=INSTALL_SECONDS,
        )
    return node


def submit_and_watch(partner: Path, record: Record, scratch: Path, *, seconds: int = 30) -> ForeignRun:
    """Let the client submit a record and follow it until it is decided.

    Args:
        partner: A folder as ``tools/partner.py`` writes it; all that the client knows.
        record: What to submit.
        scratch: An empty folder for the record's file.
        seconds: How long to wait for the decision.
    """
    node = install()
    record_file = scratch / "record.json"
    # int64 as text and bytes as base64, by the schema's own field names: what its loader takes.
    record_file.write_text(json_format.MessageToJson(record, preserving_proto_field_name=True), encoding="utf-8")
    done = subprocess.run(
        # The loopback's address is no name for SNI, which the library sends all the same and Node.js warns of.
        [node, "--no-deprecation", str(CLIENT / "client.js"), str(partner), str(record_file), str(seconds)],
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=seconds + GRACE_SECONDS,
    )
    assert not done.stderr, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    said = {key: value for line in lines for key, value in line.items()}
    return ForeignRun(
        status=done.returncode,
        submitted=said.get("submitted", {}),
        submissions=tuple(line["submission"] for line in lines if "submission" in line),
        receipt=said.get("receipt", ""),
        error=said.get("error", {}),
    )
