"""A node whose key files are encrypted, started as an administrator's program starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.processes import laws
from tests.rigs.pair import Pair
from tests.rigs.processes import NodeProcess, healthy

START = """
import os, sys
reading, writing = os.pipe()
os.write(writing, sys.argv.pop(1).encode())
os.close(writing)
os.dup2(reading, 3)
from exchange.cli.main import main
main()
"""
"""Hands the passphrase over in a pipe, once, and goes on as `exchange`."""


def test_a_node_takes_its_passphrase_from_a_descriptor_once(tmp_path: Path) -> None:
    """`exchange run` looks at its files and serves by one reading; the other node takes its own from a file."""
    pair = Pair(tmp_path / "pair", passphrase=b"correct horse")
    cq = pair.nodes["cq"]
    (cq.folder / "keys" / "passphrase").unlink()
    cq.node_file.write_text(cq.node_file.read_text().replace("file:keys/passphrase", "fd:3"))
    pair.processes["cq"] = NodeProcess(
        cq.node_file,
        output=tmp_path / "cq.log",
        ready=lambda: healthy(cq.profile("operator")),
        command=[sys.executable, "-c", START, "correct horse", "run"],
    )
    try:
        pair.start()
        laws.wait_at_rest(pair)
        assert "correct horse" not in pair.processes["cq"].text
    finally:
        pair.kill()
