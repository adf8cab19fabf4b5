"""Alarms: one open row for each condition, journaled, told, and never in anybody's way."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.domain.problems import Refused
from exchange.flows.alarms import AlarmCommand, Alarms, CommandFailed, run_command
from exchange.flows.instants import instant
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs.verify import findings
from exchange.storage.node import alarms as alarm_table
from exchange.storage.node.alarms import CLEARED, OPENED, AlarmChange
from tests.flows.node import START, TestNode

OPERATOR = "spiffe://cq.exchange.example/operator/li"


@pytest.fixture
def bell(running: TestNode) -> Iterator[Alarms]:
    """The node's alarms, nobody told."""
    alarms = Alarms(running.node)
    alarms.start()
    yield alarms
    alarms.close()


def changes(running: TestNode) -> list[tuple[str, str, str]]:
    """What the journal says: code, object, change."""
    events = [event.alarm_changed for event in running.journal("alarm_changed")]
    return [(event.code, event.object, event.change) for event in events]


def test_a_condition_is_one_open_row(running: TestNode, bell: Alarms) -> None:
    """Raised a thousand times it is one alarm, opened once and cleared once."""
    for _ in range(1_000):
        bell.raise_("PEER_AWAY", "sc", "refused")
    running.clock.forward(5)
    bell.clear("PEER_AWAY", "sc")
    bell.clear("PEER_AWAY", "sc")
    assert bell.flush()
    (row,) = bell.list(include_cleared=True).rows
    assert (row.code, row.object, row.detail) == ("PEER_AWAY", "sc", "refused")
    assert instant(row.since) == START
    assert row.cleared_at == row.since + 5_000_000
    assert bell.list().rows == ()
    assert changes(running) == [("PEER_AWAY", "sc", "OPENED"), ("PEER_AWAY", "sc", "CLEARED")]


def test_last_seen_follows_in_minutes(running: TestNode, bell: Alarms) -> None:
    """A condition that goes on costs one update a minute, with the newest detail."""
    bell.raise_("DISK_LOW", "/data", "900 MiB")
    assert bell.flush()
    running.clock.forward(30)
    bell.raise_("DISK_LOW", "/data", "800 MiB")
    assert bell.flush()
    assert bell.open_rows()[0].detail == "900 MiB"
    running.clock.forward(31)
    bell.raise_("DISK_LOW", "/data", "700 MiB")
    assert bell.flush()
    (row,) = bell.open_rows()
    assert (row.detail, row.last_seen - row.since) == ("700 MiB", 61_000_000)
    assert len(changes(running)) == 1


def test_an_alarm_outlives_the_process(running: TestNode, bell: Alarms) -> None:
    """What is open in the table is open after a start: not opened twice, and cleared when it is over."""
    bell.raise_("LANE_STOPPED", "sc/urgent", "FORK")
    bell.close()
    again = Alarms(running.node)
    again.start()
    try:
        assert again.is_open("LANE_STOPPED", "sc/urgent")
        again.raise_("LANE_STOPPED", "sc/urgent", "FORK")
        again.clear("LANE_STOPPED", "sc/urgent")
        assert again.flush()
    finally:
        again.close()
    assert [change for _, _, change in changes(running)] == ["OPENED", "CLEARED"]


def test_an_alarm_that_comes_back_is_a_new_row(running: TestNode, bell: Alarms) -> None:
    """Cleared is over: the same condition later opens another alarm, also within one batch."""
    bell.raise_("PEER_AWAY", "sc")
    bell.clear("PEER_AWAY", "sc")
    bell.raise_("PEER_AWAY", "sc")
    assert bell.flush()
    assert [row.cleared_at is None for row in bell.list(include_cleared=True).rows] == [True, False]
    assert list(findings(running.node.database)) == []


def test_the_table_takes_a_change_twice(running: TestNode) -> None:
    """A change that was written before a failed answer is written again without effect."""
    opened = AlarmChange(change=OPENED, code="PEER_AWAY", object="sc", detail="", at=1)
    cleared = AlarmChange(change=CLEARED, code="PEER_AWAY", object="sc", detail="", at=2)
    for changes_again in ([cleared], [opened, opened], [opened], [cleared, cleared], [cleared]):
        running.node.writer.call(alarm_table.record, changes_again)
    assert changes(running) == [("PEER_AWAY", "sc", "OPENED"), ("PEER_AWAY", "sc", "CLEARED")]


def test_raising_never_waits_for_the_database(running: TestNode, bell: Alarms) -> None:
    """While the writer stands still, alarms are raised and cleared at once; later the table has them all."""
    gate = threading.Event()
    started = threading.Event()

    def hold(_tx: object, _payloads: object) -> list[None]:
        started.set()
        gate.wait(10)
        return [None]

    running.node.writer.submit(hold, None, WorkClass.URGENT)
    assert started.wait(5)
    begun = time.monotonic()
    for number in range(1_200):
        bell.raise_("EVIDENCE_KEPT", f"log {number}")
    for number in range(10, 1_200):
        bell.clear("EVIDENCE_KEPT", f"log {number}")
    assert time.monotonic() - begun < 2
    gate.set()
    assert bell.flush(60)
    assert {row.object for row in bell.open_rows()} == {f"log {number}" for number in range(10)}


def test_a_database_that_fails_for_a_while_loses_no_alarm(
    running: TestNode, bell: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is written when it can be."""
    monkeypatch.setattr("exchange.flows.alarms.RETRY_S", 0.02)
    call, left = running.node.writer.call, [3]

    def failing(*args: object, **kwargs: object) -> object:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("database is gone")
        return call(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(running.node.writer, "call", failing)
    bell.raise_("PEER_AWAY", "sc")
    assert bell.flush()
    assert len(bell.open_rows()) == 1
    assert left == [0]


def test_pages_of_alarms(running: TestNode, bell: Alarms) -> None:
    """Newest first, without a gap."""
    for number in range(5):
        bell.raise_("PEER_AWAY", f"p{number}")
    assert bell.flush()
    first = bell.list(page_size=2)
    second = bell.list(page_size=2, page_token=first.next_page_token)
    third = bell.list(page_size=2, page_token=second.next_page_token)
    assert [row.object for page in (first, second, third) for row in page.rows] == ["p4", "p3", "p2", "p1", "p0"]
    assert third.next_page_token == ""
    for size, token in ((501, ""), (1, "x"), (1, "-1")):
        with pytest.raises(Refused):
            bell.list(page_size=size, page_token=token)


def test_the_first_who_acknowledges_stays(running: TestNode, bell: Alarms) -> None:
    """Acknowledging is journaled once; a second one changes nothing."""
    bell.raise_("PEER_AWAY", "sc")
    assert bell.flush()
    (row,) = bell.open_rows()
    now = running.clock()
    first = bell.acknowledge(row.id, actor=OPERATOR, role="operator", reason="called", now=now)
    second = bell.acknowledge(row.id, actor="other", role="operator", reason="", now=now)
    assert first.acknowledged_by == second.acknowledged_by == OPERATOR
    events = [event.alarm_changed for event in running.journal("alarm_changed")]
    assert [(event.change, event.actor, event.detail) for event in events[1:]] == [("ACKNOWLEDGED", OPERATOR, "called")]
    with pytest.raises(Refused, match="NOT_FOUND"):
        bell.acknowledge(99, actor=OPERATOR, role="operator", reason="", now=now)


def test_a_restore_is_acknowledged_by_security_only(running: TestNode, bell: Alarms) -> None:
    """RESTORED needs the security officer; whoever waits for it is woken."""
    woken = []
    running.node.events.listen("alarm-acknowledged", lambda: woken.append(1))
    bell.raise_("RESTORED", "cq")
    assert bell.flush()
    (row,) = bell.open_rows()
    with pytest.raises(Refused, match="ROLE_NOT_ALLOWED"):
        bell.acknowledge(row.id, actor=OPERATOR, role="operator", reason="ok", now=running.clock())
    assert woken == []
    done = bell.acknowledge(row.id, actor="officer", role="security", reason="ok", now=running.clock())
    assert done.acknowledged_by == "officer"
    assert woken == [1]


def test_an_alarm_speaks_both_languages(running: TestNode, bell: Alarms) -> None:
    """Message and remedy come from the table of reasons."""
    bell.raise_("DISK_LOW", "/data", "900 MiB")
    assert bell.flush()
    (row,) = bell.open_rows()
    words = running.node.tables.reasons.text("DISK_LOW", "zh")
    message = bell.to_message(row, "zh-CN")
    assert (message.message, message.remedy) == (words.message, words.remedy)
    assert bell.to_message(row, "en").message != message.message
    assert not message.HasField("cleared_at")


WRITE = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + sys.stdin.read())"


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_the_command_is_told_of_opening_and_clearing(running: TestNode, tmp_path: Path) -> None:
    """Each change is one JSON object on the program's input, with words in the node's language."""
    told = tmp_path / "told"
    told.touch()
    alarms = Alarms(running.node, AlarmCommand(argv=(sys.executable, "-c", WRITE, str(told)), lang="en"))
    alarms.start()
    alarms.raise_("PEER_AWAY", "sc; rm -rf /", "timeout")
    alarms.raise_("PEER_AWAY", "sc; rm -rf /", "timeout")
    alarms.clear("PEER_AWAY", "sc; rm -rf /")
    alarms.close()
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(line["change"], line["code"], line["object"]) for line in lines] == [
        ("OPENED", "PEER_AWAY", "sc; rm -rf /"),
        ("CLEARED", "PEER_AWAY", "sc; rm -rf /"),
    ]
    assert lines[0]["node"] == "cq"
    assert lines[0]["message"] == running.node.tables.reasons.text("PEER_AWAY", "en").message


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_command_that_hangs_or_fails_holds_nothing(running: TestNode) -> None:
    """It is killed after its time, and the alarm is in the table long before."""
    hanging = AlarmCommand(argv=(sys.executable, "-c", "import time; time.sleep(60)"), timeout_s=0.3)
    alarms = Alarms(running.node, hanging)
    alarms.start()
    begun = time.monotonic()
    alarms.raise_("PEER_AWAY", "sc")
    assert alarms.flush(2)
    assert len(alarms.open_rows()) == 1
    alarms.close()
    assert time.monotonic() - begun < 5
    with pytest.raises(CommandFailed, match="killed"):
        run_command(hanging, b"")
    with pytest.raises(CommandFailed, match="status 3"):
        run_command(AlarmCommand(argv=(sys.executable, "-c", "raise SystemExit(3)")), b"")
    with pytest.raises(OSError, match="nowhere"):
        run_command(AlarmCommand(argv=("/nowhere/at/all",)), b"")
