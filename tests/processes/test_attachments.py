"""An attachment between two real nodes, by the command line: the fetching process is killed in the middle of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from exchange.storage.logs.verify import verify
from exchange.v1.operation_service_pb2 import MissingAttachments
from tests.flows.files import made_file
from tests.processes import laws
from tests.rigs.link import FaultyLink
from tests.rigs.pair import AUTHORITIES, Pair
from tests.rpc.facts import firm, penalty_of

SIZE = 6 << 20
SLOW_BYTES = 500_000
"""Bytes in a second, so few that the file takes some seconds: a look at the status falls between two of its pieces."""


def exchange(pair: Pair, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line with the certificate of an agency of a node."""
    return subprocess.run(
        [sys.executable, "-c", "from exchange.cli.main import main; main()", *map(str, arguments)],
        env={
            "EXCHANGE_PROFILE": str(pair.nodes[name].profiles["agency"]),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LANG": "en_GB.UTF-8",
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def lacking(pair: Pair, name: str) -> MissingAttachments | None:
    """What a node's status says is missing."""
    return next(iter(laws.status(pair, name).missing_attachments), None)


@contextmanager
def slow_pair(folder: Path) -> Iterator[tuple[Pair, FaultyLink]]:
    """Two nodes, of which sc dials cq over a link; killed at the end."""
    pair = Pair(folder)
    cq, sc = pair.nodes["cq"], pair.nodes["sc"]
    with FaultyLink(0, ("127.0.0.1", cq.peers_port)) as link:
        text = sc.node_file.read_text()
        assert str(cq.peers_port) in text
        sc.node_file.write_text(text.replace(str(cq.peers_port), str(link.port)))
        try:
            pair.start()
            for name in pair.nodes:
                pair.grant(name)
            yield pair, link
        finally:
            pair.kill()


@pytest.mark.timeout(240)
def test_a_killed_fetch_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Handed in with its record, fetched over a slow link, SIGKILL between two pieces, and whole in the end."""
    with slow_pair(tmp_path) as (pair, link):
        content = made_file(SIZE)
        decision = tmp_path / "决定书.pdf"
        decision.write_bytes(content)
        record = penalty_of(firm(710), "演环罚〔2025〕附710号")
        record.header.authority.uscc = AUTHORITIES["cq"]
        typed = tmp_path / "one.record.json"
        typed.write_text(MessageToJson(record), "utf-8")
        link.set("throttle", bytes_per_second=SLOW_BYTES)
        command = ("submit", typed, "--attach", decision, "--no-answers", "--json")
        done = exchange(pair, "cq", *command)
        assert done.returncode == 0, done.stderr
        record_id = json.loads(done.stdout)["files"][0]["rows"][0]["record_id"]
        assert lacking(pair, "cq") is None

        def begun() -> bool:
            found = lacking(pair, "sc")
            return found is not None and 0 < found.bytes < SIZE

        laws.wait("some pieces", begun)
        pair.kill("sc")
        pair.start("sc")
        laws.wait("the rest", lambda: lacking(pair, "sc") is not None)
        left = lacking(pair, "sc")
        assert left is not None
        assert left.bytes < SIZE
        link.set("pass")
        laws.wait("all of it", lambda: lacking(pair, "sc") is None)
        fetched = tmp_path / "fetched.pdf"
        got = exchange(pair, "sc", "records", "attachment", record_id, "--origin", "cq", "-o", fetched)
        assert got.returncode == 0, got.stderr
        assert fetched.read_bytes() == content
        # The same command is the same call: the file is listed under the same salt.
        assert json.loads(exchange(pair, "cq", *command).stdout)["files"][0]["rows"][0]["record_id"] == record_id
        laws.wait_at_rest(pair)
        pair.stop()
        for name in pair.nodes:
            assert verify(laws.url_of(pair, name)) == []
