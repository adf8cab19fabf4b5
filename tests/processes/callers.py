"""Starting the agency's system beside two nodes, and asking what it counted; what a port shows to who dials it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tests.rigs.orphans import end_with_parent
from tests.rigs.pair import NodeFolder

ROOT = Path(__file__).parents[2]

CALLS_SECONDS = 60.0
"""Until a caller has made some dozen calls, also where both cores are busy."""

CALLS = 10
"""Calls before and after what a test does."""

END_SECONDS = 60.0
"""Until a caller has finished its last calls and its watcher has seen them."""


@dataclass
class Counted:
    """What a caller counted; filled when it has ended. While it runs, only calls made and streams that were cut."""

    made: int = 0
    broken: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    submitted: int = 0
    records: list[str] = field(default_factory=list)
    unseen: int = 0
    cuts: dict[str, int] = field(default_factory=dict)

    def wait(self, calls: int) -> None:
        """Until so many more calls were made."""
        target, deadline = self.made + calls, time.monotonic() + CALLS_SECONDS
        while self.made < target:
            assert time.monotonic() < deadline, f"only {self.made} of {target} calls were made"
            time.sleep(0.02)

    def wait_cut(self) -> None:
        """Until a stream was cut once more: some of the calls around it met a connection that was being recycled."""
        target, deadline = self.broken + 1, time.monotonic() + CALLS_SECONDS
        while self.broken < target:
            assert time.monotonic() < deadline, "no stream was cut: the connection was never recycled"
            time.sleep(0.02)

    def listen(self, output: IO[bytes]) -> None:
        """Count the dots and the bars."""
        while mark := output.read(1):
            self.made += mark == b"."
            self.broken += mark == b"|"


@contextlib.contextmanager
def calling(node: NodeFolder, report: Path, caller: str = "agency") -> Iterator[Counted]:
    """A caller at work; what it counted is there after the block."""
    counted = Counted()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.caller", str(node.profiles[caller]), str(report)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one prctl call, resolved before the fork
    )
    assert process.stdin is not None
    assert process.stdout is not None
    listening = threading.Thread(target=counted.listen, args=(process.stdout,), daemon=True)
    listening.start()
    try:
        counted.wait(CALLS)
        yield counted
        counted.wait(CALLS)
        process.stdin.close()
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        listening.join()
        process.stdout.close()
    found: dict[str, Any] = json.loads(report.read_text())
    for name, value in found.items():
        setattr(counted, name, value)


def shown_at(node: NodeFolder, port: int) -> str:
    """Fingerprint of the certificate that a port shows to the next who dials it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    callers = node.folder / "callers"
    context.load_cert_chain(callers / "agency.pem", callers / "agency.key")
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    return sha256(der).hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one move, as administrators are told to."""
    made = path.with_name(f".{path.name}.new")
    made.write_bytes(content)
    made.chmod(0o600)
    made.replace(path)
