"""The rig of node processes, with a program that is no node: it listens, and does as its file says."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rigs.processes import NodeFailedError, NodeProcess, free_port, listening_ports

PROGRAM = """
import signal, socket, sys, time, tomllib
settings = tomllib.load(open(sys.argv[1], "rb"))
print("run", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(settings.get("status", 0)) if settings.get("polite", True) else None)
if settings.get("broken"):
    sys.exit("no such key")
port = int(settings["listen"]["peers"].rpartition(":")[2])
plug = socket.create_server(("127.0.0.1", port))
while True:
    plug.accept()[0].close()
"""

MakeNode = Callable[..., NodeProcess]


@pytest.fixture
def make(tmp_path: Path) -> MakeNode:
    """Make a process out of lines for its file."""

    def make(*lines: str, ready: Callable[[], bool] | None = None) -> NodeProcess:
        node_file = tmp_path / "cq.toml"
        node_file.write_text("\n".join([*lines, "[listen]", f'peers = "127.0.0.1:{free_port()}"']))
        command = [sys.executable, "-c", PROGRAM]
        return NodeProcess(node_file, output=tmp_path / "cq.log", ready=ready, command=command)

    return make


def test_starts_waits_and_stops(make: MakeNode) -> None:
    """On entry the port is open and ``ready`` has held; on exit the process has ended with status 0."""
    answers = iter([False, False, True])
    with make(ready=lambda: next(answers)) as node:
        assert node.running
        assert node.resident_bytes() > 1_000_000
        assert list(answers) == []
        number = node.pid
    assert not node.running
    assert not Path(f"/proc/{number}").exists()


def test_a_killed_node_starts_again_and_its_output_goes_on(make: MakeNode) -> None:
    """SIGKILL ends it at once; the next start uses the same port and appends to the same file."""
    with make() as node:
        first = node.pid
        node.kill()
        assert not node.running
        node.start()
        assert node.pid != first
        assert (node.starts, node.text) == (2, "run\nrun\n")


def test_one_that_ends_by_itself_shows_its_last_words(make: MakeNode) -> None:
    """The error of a node that does not come up has the end of its output."""
    with pytest.raises(NodeFailedError, match=r"ended by itself(.|\n)*no such key"), make("broken = true"):
        pass


def test_one_that_is_never_ready_is_given_up(make: MakeNode) -> None:
    """Waiting has an end."""
    node = make(ready=lambda: False)
    node.start(wait=False)
    with pytest.raises(NodeFailedError, match="not ready"):
        node.wait_ready(0.3)
    node.kill()


@pytest.mark.parametrize(("line", "complaint"), [("status = 3", "status 3"), ("polite = false", "did not stop")])
def test_a_shutdown_that_is_not_clean_fails_the_test(make: MakeNode, line: str, complaint: str) -> None:
    """Another status than 0, or none in time, is an error, and nothing is left running."""
    node = make(line)
    node.start()
    number = node.pid
    with pytest.raises(NodeFailedError, match=complaint):
        node.stop(0.5)
    assert not Path(f"/proc/{number}").exists()


def test_a_frozen_node_is_silent_until_it_is_thawed(make: MakeNode) -> None:
    """A frozen process does not run, and goes on where it was."""

    def state() -> str:
        return Path(f"/proc/{node.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]

    with make() as node:
        node.freeze()
        until(lambda: state() == "T")
        node.thaw()
        until(lambda: state() == "S")


def test_a_node_dies_with_the_tests(tmp_path: Path) -> None:
    """SIGKILL of the test run leaves no node behind."""
    node_file = tmp_path / "cq.toml"
    node_file.write_text(f'[listen]\npeers = "127.0.0.1:{free_port()}"\n')
    script = (
        "import sys; from pathlib import Path; from tests.rigs.processes import NodeProcess\n"
        f"node = NodeProcess(Path({str(node_file)!r}), output=Path({str(tmp_path / 'cq.log')!r}),\n"
        f"                   command=[sys.executable, '-c', {PROGRAM!r}])\n"
        "with node:\n    print(node.pid, flush=True)\n    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": "src:adapters"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        number = int(owner.stdout.readline())
        owner.kill()
    until(lambda: not Path(f"/proc/{number}").exists())


def test_free_ports_differ_and_are_read_back(tmp_path: Path) -> None:
    """A hundred free ports are a hundred ports, and a node file's ports are found."""
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    node_file = tmp_path / "cq.toml"
    node_file.write_text(f'[listen]\nagencies = "0.0.0.0:{ports[0]}"\npeers = "[::1]:{ports[1]}"\n')
    assert listening_ports(node_file) == (ports[0], ports[1])


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
