"""Real node processes: started, waited for, killed at any moment, started again; their output kept in files."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from exchange.rpc.client import connect
from exchange.rpc.profile import Profile
from tests.rigs.orphans import end_with_parent

READY_SECONDS = 30.0
"""A node is up in two; while both cores are busy, and with a log to read back, it may take ten times that."""

STOP_SECONDS = 20.0
"""A clean shutdown drains what is in flight; a call that is in flight lasts seconds."""

LOG_TAIL_CHARACTERS = 4_000
"""What an error shows of a node's output: the last traceback fits."""

FIRST_PORT, PORTS = 20_000, 12_000
"""Below the kernel's range for outgoing connections (from 32,768), so that none of those takes a free port first."""


class NodeFailedError(AssertionError):
    """A node did not start, ended by itself or did not stop; the message has the end of its output."""


class NodeProcess:
    """One node as its own process, ``exchange run NODE.toml``.

    A context manager: started on entry, stopped on exit, and dead when this process dies.

    Attributes:
        name: For the file of its output, and for errors.
        output: File that all its runs append to.
        starts: How often it was started.
    """

    def __init__(
        self,
        node_file: Path,
        *,
        output: Path,
        ready: Callable[[], bool] | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        outlive: bool = False,
    ) -> None:
        """Prepare a node.

        Args:
            node_file: Its settings; their ``[listen]`` ports are waited for.
            output: Where its output is appended to.
            ready: What else must hold before it counts as ready, say ``lambda: healthy(profile)``.
            command: What to run in place of ``exchange run``; the node file is added to it.
            environment: Variables on top of ours.
            outlive: It goes on when this process ends.
        """
        run = command or [sys.executable, "-c", "from exchange.cli.main import main; main()", "run"]
        self.name = node_file.stem
        self.output = output
        self.starts = 0
        self._command = [*run, str(node_file)]
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._ports = listening_ports(node_file)
        self._process: subprocess.Popen[bytes] | None = None
        self._outlive = outlive

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # The test has its own error to show.
            self.kill()
        else:
            self.stop()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            NodeFailedError: It does not run.
        """
        if self._process is None:
            raise NodeFailedError(f"{self.name} does not run")
        return self._process.pid

    @property
    def text(self) -> str:
        """What it has written so far, over all its runs."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it serves.

        Raises:
            NodeFailedError: It runs already, ended by itself, or is not ready in time.
        """
        if self.running:
            raise NodeFailedError(f"{self.name} runs already")
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the tests; they stop the node themselves.
                start_new_session=True,
                # One prctl call, resolved before the fork.
                preexec_fn=None if self._outlive else end_with_parent(signal.SIGKILL),  # noqa: PLW1509
            )
        self.starts += 1
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until its ports are open and ``ready`` holds.

        Raises:
            NodeFailedError: It ended by itself, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not (all(map(_open, self._ports)) and (self._ready is None or self._ready())):
            if not self.running:
                raise self._failure("ended by itself")
            if time.monotonic() > deadline:
                raise self._failure(f"is not ready after {seconds:.0f} s")
            time.sleep(0.02)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to shut down (SIGTERM) and wait for exit status 0; nothing when it does not run.

        Raises:
            NodeFailedError: It did not end in time, or with another status.
        """
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failure(f"did not stop within {seconds:.0f} s") from None
        self._process = None
        if status != 0:
            raise self._failure(f"ended with status {status}")

    def kill(self) -> None:
        """SIGKILL: what was not on its disk is gone. Nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP): its ports stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after ``freeze``."""
        os.kill(self.pid, signal.SIGCONT)

    def resident_bytes(self) -> int:
        """Its resident memory; Linux only."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise NodeFailedError(f"{self.name} has no memory any more")

    def _failure(self, what: str) -> NodeFailedError:
        return NodeFailedError(f"{self.name} {what}; the end of {self.output}:\n{self.text[-LOG_TAIL_CHARACTERS:]}")


def listening_ports(node_file: Path) -> tuple[int, ...]:
    """The ports of a node file's ``[listen]`` table."""
    listen = tomllib.loads(node_file.read_text(encoding="utf-8")).get("listen", {})
    return tuple(int(str(address).rpartition(":")[2]) for address in listen.values())


def healthy(profile: Profile, seconds: float = 1.0) -> bool:
    """Whether a node answers its health service over mTLS as SERVING."""
    with connect(profile) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def free_port() -> int:
    """A port of the loopback that nobody listens on now; a process is given each one once in a long while."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports never end")


def _open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _round_the_ports() -> Iterator[int]:
    # Each process starts elsewhere, so that runs side by side rarely meet.
    start = random.SystemRandom().randrange(PORTS)
    return (FIRST_PORT + step % PORTS for step in itertools.count(start))


_ports = _round_the_ports()
