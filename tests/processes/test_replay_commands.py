"""``audit replay`` by command beside real node processes: against a running one, for one firm, and as it grows."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitRecordRequest
from tests.cli.conftest import Run, run
from tests.processes import laws
from tests.rigs.pair import NodeFolder, Pair, running_pair
from tests.rpc.facts import credit_of, firm

FIRMS = [firm(4_100 + number) for number in range(6)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes; Chongqing has stated something of each firm."""
    with running_pair(tmp_path_factory.mktemp("pair")) as pair:
        for at, about in enumerate(FIRMS):
            _submit(pair, credit_of(about), f"first-{at}")
        laws.wait_at_rest(pair)
        yield pair


@pytest.fixture(scope="module")
def folder(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of Sichuan's logs, made while it runs."""
    folder = tmp_path_factory.mktemp("export") / "sc"
    assert run("audit", "export", folder, "-n", pair.nodes["sc"].node_file).status == 0
    return folder


def _submit(pair: Pair, record: Record, key: str) -> None:
    with pair.nodes["cq"].client() as client:
        submission = RecordSubmission(idempotency_key=key, record=record)
        client.call(client.submissions.SubmitRecord, SubmitRecordRequest(submission=submission))


def _against(folder: Path, node: NodeFolder, *more: object) -> Run:
    return run("audit", "replay", folder, "--against", node.profiles["auditor"], "--json", *more)


@contextmanager
def _changed(node: NodeFolder, about: str) -> Iterator[tuple[str, int]]:
    """The row of one firm's result, changed in the live database and put back; yields the entry that made it."""
    with closing(sqlite3.connect(node.database, timeout=10)) as connection:
        seq, level, log, index = connection.execute(
            "SELECT r.seq, r.level, l.origin, r.idx FROM reg_records r JOIN logs l ON l.id = r.log_id "
            "WHERE r.subject = ?",
            (about,),
        ).fetchone()
        with connection:
            connection.execute("UPDATE reg_records SET level = ? WHERE seq = ?", (level + 1, seq))
        yield log, index
        with connection:
            connection.execute("UPDATE reg_records SET level = ? WHERE seq = ?", (level, seq))


def test_a_running_node_has_what_its_logs_give(pair: Pair, folder: Path) -> None:
    """Row by row, by an auditor's certificate; the reading itself stands in the journal and changes no register."""
    done = _against(folder, pair.nodes["sc"])
    assert (done.status, done.json["findings"]) == (0, [])
    assert done.json["entries"] > len(FIRMS)


def test_a_row_changed_in_the_live_database_is_found_by_the_entry_that_made_it(pair: Pair, folder: Path) -> None:
    """The row, what the logs give, what stands there, the entry, and the step of the journal that read it."""
    node = pair.nodes["sc"]
    with _changed(node, FIRMS[2]) as (log, index):
        done = _against(folder, node)
        concerned = _against(folder, node, "--subject", FIRMS[2])
        others = _against(folder, node, "--subject", FIRMS[3])
    (finding,) = done.json["findings"]
    assert (done.status, finding["code"], finding["log"], finding["index"]) == (1, "REGISTER_ROW_DIFFERS", log, index)
    assert "level:" in finding["text"]
    made, found = (json.loads(finding["evidence"][name]) for name in ("made", "found"))
    assert (made["subject"], found["level"] - made["level"]) == (FIRMS[2], 1)
    journal, _, at = finding["evidence"]["journal"].partition("#")
    assert (journal, int(at) > 0) == ("sc.exchange.example/journal/1", True)
    assert (concerned.status, concerned.json["findings"]) == (1, [finding])
    assert (others.status, others.json["findings"]) == (0, [])
    assert [each["entry"] for each in concerned.json["subject"]] == [f"{log}#{index}"]
    assert _against(folder, node).status == 0


def test_two_replays_of_one_export_are_the_same(folder: Path) -> None:
    """To the last character of what is printed, and so for each firm."""
    for more in ((), ("--subject", FIRMS[0]), ("--re-evaluate",)):
        first, second = (run("audit", "replay", folder, "--registers", folder, "--json", *more) for _ in range(2))
        assert first.status == 0
        assert first.out == second.out


def test_a_replay_follows_a_node_that_goes_on(pair: Pair) -> None:
    """What is stated meanwhile is walked and compared as it comes; a row changed by hand then is told."""
    node = pair.nodes["sc"]
    command = [
        sys.executable, "-c", "from exchange.cli.main import main; main()", "--lang", "en", "audit", "replay",
        str(node.node_file), "--follow", "--against", str(node.profiles["auditor"]), "--json",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            first = _next(process)
            assert first["findings"] == []
            _submit(pair, credit_of(firm(4_200)), "followed-1")
            second = _walked(process, first["steps"])
            assert second["findings"] == []
            with _changed(node, FIRMS[4]) as (log, index):
                _submit(pair, credit_of(firm(4_201)), "followed-2")
                third = _walked(process, second["steps"])
            assert [(each["code"], each["log"], each["index"]) for each in third["findings"] if each["proven"]] == [
                ("REGISTER_ROW_DIFFERS", log, index)
            ]
        finally:
            process.send_signal(signal.SIGKILL)


def _next(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the command ended"
    return json.loads(line)  # type: ignore[no-any-return]


def _walked(process: subprocess.Popen[str], steps: int) -> dict[str, Any]:
    while True:
        told = _next(process)
        if told["steps"] > steps:
            return told
