"""The disk watermark refuses telemetry first and urgent last, and says so in an alarm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.flows.alarms import Alarms
from exchange.flows.watermark import Marks, Watermark, free_bytes
from exchange.v1.kind_pb2 import Lane
from tests.flows.node import TestNode

MIB = 1 << 20
MARKS = Marks(telemetry=2_000 * MIB, registry=1_000 * MIB, urgent=100 * MIB)
LANES = (Lane.LANE_TELEMETRY, Lane.LANE_REGISTRY, Lane.LANE_URGENT)


class Disk:
    """A disk whose free space a test sets."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.looks = 0
        self.broken = False

    def __call__(self, _folder: Path) -> int:
        """Free bytes."""
        self.looks += 1
        if self.broken:
            raise OSError("no such disk")
        return self.mib * MIB


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question looks at the disk."""
    monkeypatch.setattr("exchange.flows.watermark.LOOK_EVERY_S", -1.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("mib", "refused"), [(2_000, 0), (1_999, 1), (1_000, 1), (999, 2), (100, 2), (99, 3), (0, 3)])
def test_lanes_are_refused_one_after_the_other(mib: int, refused: int) -> None:
    """At each mark one lane more."""
    watermark = Watermark(Path("/data"), MARKS, measure=Disk(mib))
    answers = [watermark.admit(lane) for lane in LANES]
    assert [answer is not None for answer in answers] == [True] * refused + [False] * (3 - refused)
    assert all(answer is None or answer.reason == "DISK_WATERMARK" for answer in answers)


def test_asking_is_cheap() -> None:
    """A thousand questions look at the disk once."""
    disk = Disk(500)
    watermark = Watermark(Path("/data"), MARKS, measure=disk)
    assert all(watermark.admit(Lane.LANE_REGISTRY) for _ in range(1_000))
    assert disk.looks == 1


@pytest.fixture
def bell(running: TestNode) -> Iterator[Alarms]:
    """The node's alarms."""
    alarms = Alarms(running.node)
    alarms.start()
    yield alarms
    alarms.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_low_disk_is_an_alarm_until_there_is_room_again(bell: Alarms) -> None:
    """It opens below the first mark, stays just above it, and clears beyond."""
    disk = Disk(3_000)
    watermark = Watermark(Path("/data"), MARKS, bell, disk)
    for mib, is_open in ((3_000, False), (1_999, True), (2_001, True), (2_100, False)):
        disk.mib = mib
        watermark.admit(Lane.LANE_URGENT)
        assert bell.is_open("DISK_LOW", "/data") is is_open


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_disk_that_can_not_be_measured_keeps_its_last_word(bell: Alarms) -> None:
    """It is an alarm; what was taken before is still taken."""
    disk = Disk(1_500)
    watermark = Watermark(Path("/data"), MARKS, bell, disk)
    assert watermark.admit(Lane.LANE_REGISTRY) is None
    disk.broken = True
    assert watermark.admit(Lane.LANE_REGISTRY) is None
    assert watermark.admit(Lane.LANE_TELEMETRY) is not None
    assert bell.is_open("DISK_LOW", "/data")


def test_a_real_disk_is_measured(tmp_path: Path) -> None:
    """The system says how much this user may still write."""
    assert free_bytes(tmp_path) > 0
