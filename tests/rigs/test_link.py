"""The faulty link."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.rigs.link import Fault, FaultyLink, Turn, schedule

PATIENCE_SECONDS = 5.0
"""Longer than anything here takes; a wait that reaches it is a failure."""


@contextmanager
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(plug: socket.socket) -> None:
            with plug:
                try:
                    while data := plug.recv(65_536):
                        plug.sendall(data)
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    plug, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(plug,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_SECONDS)


@pytest.fixture
def link() -> Iterator[FaultyLink]:
    """A link to an echo."""
    with echo() as target, FaultyLink(0, target) as link:
        yield link


@contextmanager
def call(link: FaultyLink) -> Iterator[socket.socket]:
    """A connection through the link."""
    with socket.create_connection(("127.0.0.1", link.port), PATIENCE_SECONDS) as plug:
        yield plug


def receive(plug: socket.socket, size: int) -> bytes:
    """Up to ``size`` bytes: fewer when the connection ends or nothing comes."""
    got = b""
    try:
        while len(got) < size and (data := plug.recv(size - len(got))):
            got += data
    except OSError:
        pass
    return got


def ended(plug: socket.socket) -> bool:
    """Whether the connection is over."""
    try:
        return plug.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def turned_away(link: FaultyLink) -> bool:
    """Whether a new connection is over at once, be it before the caller knew that it stood."""
    try:
        with call(link) as plug:
            return ended(plug)
    except ConnectionError:
        return True


def test_passes_bytes_and_the_end_both_ways(link: FaultyLink) -> None:
    """A megabyte comes back whole, then the end of the stream."""
    sent = bytes(range(256)) * 4096
    with call(link) as plug:

        def send() -> None:
            plug.sendall(sent)
            plug.shutdown(socket.SHUT_WR)

        threading.Thread(target=send).start()
        assert receive(plug, len(sent)) == sent
        assert ended(plug)
    assert link.forwarded == {"to_target": len(sent), "to_caller": len(sent)}


def test_drop_resets_running_and_new_connections(link: FaultyLink) -> None:
    """A dropped link ends what runs and what comes, and serves again afterwards."""
    with call(link) as running:
        running.sendall(b"a")
        assert receive(running, 1) == b"a"
        link.set("drop")
        assert ended(running)
        assert turned_away(link)
    link.set("pass")
    with call(link) as plug:
        plug.sendall(b"b")
        assert receive(plug, 1) == b"b"
    assert (link.accepted, link.resets) == (3, 2)


def test_delay_holds_bytes_without_slowing_the_rate(link: FaultyLink) -> None:
    """Fifty chunks sent in a row arrive one delay later, not fifty."""
    link.set("delay", seconds=0.2)
    with call(link) as plug:
        began = time.monotonic()
        for _ in range(50):
            plug.sendall(b"x" * 1000)
        assert receive(plug, 50_000) == b"x" * 50_000
        assert 0.4 <= time.monotonic() - began < 2


def test_throttle_limits_the_rate(link: FaultyLink) -> None:
    """At 100 kB/s, 30 kB take about a third of a second."""
    link.set("throttle", bytes_per_second=100_000)
    with call(link) as plug:
        began = time.monotonic()
        plug.sendall(b"x" * 30_000)
        assert len(receive(plug, 30_000)) == 30_000
        assert 0.25 <= time.monotonic() - began < 2


@pytest.mark.parametrize("after", [0, 1, 1234, 70_000])
def test_cut_ends_a_message_at_the_byte(link: FaultyLink, after: int) -> None:
    """Exactly so many bytes of an answer arrive before the reset."""
    link.set("cut", after_bytes=after, direction="to_caller")
    with call(link) as plug:
        try:
            plug.sendall(b"x" * 100_000)
        except ConnectionError:
            assert after == 0
        assert len(receive(plug, 100_000)) == after
        assert ended(plug)


def test_cut_counts_from_its_setting_and_can_happen_once(link: FaultyLink) -> None:
    """A running connection is cut by what follows; with ``once`` the next connection passes."""
    with call(link) as plug:
        plug.sendall(b"x" * 1000)
        assert len(receive(plug, 1000)) == 1000
        link.set("cut", after_bytes=10, direction="to_target", once=True)
        plug.sendall(b"y" * 1000)
        assert receive(plug, 1000) in (b"y" * 10, b"")
        assert ended(plug)
    assert link.fault.mode == "pass"
    with call(link) as plug:
        plug.sendall(b"z" * 1000)
        assert len(receive(plug, 1000)) == 1000


def test_half_open_accepts_and_says_nothing(link: FaultyLink) -> None:
    """Callers connect and wait; a frozen connection goes on afterwards, one that never got through is reset."""
    with call(link) as running:
        running.sendall(b"a")
        assert receive(running, 1) == b"a"
        link.set("half_open")
        running.sendall(b"b")
        with call(link) as new:
            new.sendall(b"c")
            for plug in (running, new):
                plug.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    plug.recv(1)
            link.set("pass")
            new.settimeout(PATIENCE_SECONDS)
            assert ended(new)
        running.settimeout(PATIENCE_SECONDS)
        assert receive(running, 1) == b"b"


def test_blackhole_swallows_and_the_loser_is_reset(link: FaultyLink) -> None:
    """Bytes vanish without a sign; when the mode ends, a stream with a gap does not go on."""
    link.set("blackhole", direction="to_target")
    with call(link) as loser, call(link) as idle:
        loser.sendall(b"a")
        loser.settimeout(0.1)
        with pytest.raises(TimeoutError):
            loser.recv(1)
        loser.settimeout(PATIENCE_SECONDS)
        link.set("pass")
        assert ended(loser)
        idle.sendall(b"b")
        assert receive(idle, 1) == b"b"


def test_corrupt_flips_one_bit(link: FaultyLink) -> None:
    """One byte of many comes back changed."""
    link.set("corrupt", after_bytes=500, direction="to_caller", once=True)
    with call(link) as plug:
        plug.sendall(bytes(1000))
        got = receive(plug, 1000)
    assert [(place, byte) for place, byte in enumerate(got) if byte] == [(500, 1)]
    assert len(got) == 1000


def test_a_target_that_is_away_resets_the_caller(link: FaultyLink) -> None:
    """Where nobody listens behind the link, the caller's connection ends."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with FaultyLink(0, address) as lonely:
        assert turned_away(lonely)


def test_a_schedule_is_given_by_its_seed() -> None:
    """The same seed plays the same faults, another one others."""

    def first(seed: int) -> list[Turn]:
        return list(itertools.islice(schedule(seed), 50))

    assert first(7) == first(7) != first(8)
    assert len({turn.fault.mode for turn in first(7)}) > 5


def test_a_played_schedule_disturbs_and_ends(link: FaultyLink) -> None:
    """Under a schedule some calls fail; after it, all bytes pass again."""
    link.play(iter([Turn(fault=Fault(mode="drop"), seconds=0.1)]))
    assert turned_away(link)
    link.play(itertools.islice(schedule(3, shortest=0.01, longest=0.02), 40))
    stop = time.monotonic() + 0.8
    while time.monotonic() < stop:
        try:
            with call(link) as plug:
                plug.settimeout(0.05)
                plug.sendall(b"x" * 5000)
                receive(plug, 5000)
        except OSError:
            continue
    link.set("pass")
    with call(link) as plug:
        plug.sendall(b"after")
        assert receive(plug, 5) == b"after"


@pytest.mark.parametrize("broken", [{"mode": "nonsense"}, {"mode": "throttle"}, {"mode": "delay"}])
def test_a_fault_without_its_numbers_is_refused(broken: dict[str, str]) -> None:
    """A mode that does not exist or lacks its number is an error of the test that asks for it."""
    with pytest.raises(ValueError, match=r"no such mode|needs"):
        Fault(**broken)  # type: ignore[arg-type]
