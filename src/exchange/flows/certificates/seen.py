"""Who was seen by which certificate: counted at the doors for next to nothing, kept per day, asked before a root goes.

A door counts on a ``Tally`` that belongs to one certificate: one addition for a call. A thread writes what has come
together every few seconds; a crash loses what was counted since.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from exchange.crypto.x509.certificates import Certificate, fingerprint
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros
from exchange.storage.engine.writer import WorkClass
from exchange.storage.node import seen
from exchange.storage.node.seen import SeenCount
from exchange.v1.rotation_pb2 import Waiting

AGENCIES: Final = "agencies"
PEERS: Final = "peers"
DIALLED: Final = "dialled"
"""Doors: the two ports, and our own calls."""

SERVED: Final = "SERVED"

FLUSH_SECONDS = 5.0
"""How often counts are written: what a crash loses."""

MAX_TALLIES = 4_096
"""Certificates and outcomes counted apart between two flushes; beyond, they are counted under no name."""

WINDOW = timedelta(days=30)
"""Whoever called within this is waited for before an authority is dropped."""

MAX_CALLER = 256
"""Characters of an identity that are kept."""

log = structlog.get_logger("exchange.seen")


class Tally:
    """Calls by one certificate with one outcome. Counted on the event loop alone; read from any thread."""

    __slots__ = ("caller", "calls", "door", "fingerprint", "outcome", "roots", "valid")

    def __init__(self, door: str, caller: str, fingerprint: str, outcome: str, roots: tuple[str, ...]) -> None:
        self.door = door
        self.caller = caller
        self.fingerprint = fingerprint
        self.outcome = outcome
        self.roots = roots
        self.calls = 0
        self.valid = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A caller within the window.

    Attributes:
        caller: Its identity.
        last_at: Its last call by any certificate.
        calls: All of its calls by certificates that lead to the root in question.
        last_on_it: The last one of those; None when there was none.
    """

    caller: str
    last_at: datetime
    calls: int
    last_on_it: datetime | None


class SeenFlow:
    """Counts calls by certificate. The thread runs between ``start`` and ``close``.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._tallies: dict[tuple[str, str, str, str], Tally] = {}
        self._written: dict[tuple[str, str, str, str], int] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seen", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write everything and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    # -- counting --------------------------------------------------------------------------------------------

    def tally(
        self,
        door: str,
        caller: str,
        leaf: str,
        outcome: str = SERVED,
        roots: Iterable[Certificate] = (),
        valid: tuple[datetime, datetime] | None = None,
    ) -> Tally:
        """Where calls by one certificate are counted: asked for once, counted on with ``calls += 1``.

        Args:
            door: One of the doors.
            caller: Identity.
            leaf: Fingerprint of the certificate.
            outcome: ``SERVED`` or a reason code.
            roots: Roots that the certificate leads to.
            valid: Its first and last instant.
        """
        key = (door, caller[:MAX_CALLER], leaf, outcome)
        with self._lock:
            known = self._tallies.get(key)
            if known is None and len(self._tallies) >= MAX_TALLIES:
                key = (door, "", "", outcome)
                known = self._tallies.get(key)
            if known is None:
                known = self._tallies[key] = Tally(key[0], key[1], key[2], key[3], ())
            known.roots = tuple(sorted({fingerprint(root) for root in roots})) or known.roots
            if valid is not None and known.fingerprint:
                known.valid = (micros(valid[0]), micros(valid[1]))
            return known

    def flush(self) -> None:
        """Write what was counted since the last time; what could not be written stays counted."""
        at = micros(self._node.clock())
        day = at // (86_400 * 1_000_000)
        with self._lock:
            now = {key: tally.calls for key, tally in self._tallies.items()}
            due = [
                SeenCount(
                    day=day,
                    door=tally.door,
                    caller=tally.caller,
                    fingerprint=tally.fingerprint,
                    outcome=tally.outcome,
                    roots=tally.roots,
                    calls=now[key] - self._written.get(key, 0),
                    first_at=at,
                    last_at=at,
                    not_before=tally.valid[0],
                    not_after=tally.valid[1],
                )
                for key, tally in self._tallies.items()
                if now[key] > self._written.get(key, 0)
            ]
        if not due:
            return
        try:
            self._node.writer.call(seen.add, tuple(due), WorkClass.BACKGROUND, rows=len(due))
        except Exception as error:  # noqa: BLE001 - whatever the database says, counting goes on
            log.warning("seen.unwritten", rows=len(due), error=str(error)[:200])
            return
        with self._lock:
            self._written.update(now)

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            self.flush()

    # -- asking ----------------------------------------------------------------------------------------------

    def counts(self, now: datetime, window: timedelta = WINDOW) -> list[SeenCount]:
        """What was seen within the window, up to this moment."""
        self.flush()
        with self._node.database.read() as connection:
            return seen.since(connection, _day(now - window))

    def on_root(self, counts: Sequence[SeenCount], doors: Iterable[str], root: str) -> list[Sighting]:
        """Every caller that was served within the window, and whether it came on a certificate under a root.

        Args:
            counts: From ``counts``.
            doors: Which doors count.
            root: Fingerprint of the root.
        """
        wanted = frozenset(doors)
        found: dict[str, Sighting] = {}
        for count in counts:
            if count.door not in wanted or count.outcome != SERVED or not count.caller:
                continue
            before = found.get(count.caller)
            last = instant(count.last_at)
            on_it = root in count.roots
            last_on_it = before.last_on_it if before else None
            if on_it and (last_on_it is None or last > last_on_it):
                last_on_it = last
            found[count.caller] = Sighting(
                caller=count.caller,
                last_at=max(last, before.last_at) if before else last,
                calls=(before.calls if before else 0) + (count.calls if on_it else 0),
                last_on_it=last_on_it,
            )
        return [found[name] for name in sorted(found)]

    def alone_on(self, door: str, root: str, now: datetime) -> list[Waiting]:
        """Who was served within the window under a root, and not behind that under another one."""
        rows = [each for each in self.counts(now) if each.door == door and each.outcome == SERVED and each.caller]
        found = []
        for caller in sorted({each.caller for each in rows if root in each.roots}):
            mine = [each for each in rows if each.caller == caller]
            alone = max((each.last_at for each in mine if each.roots == (root,)), default=0)
            other = max((each.last_at for each in mine if set(each.roots) - {root}), default=0)
            if alone and alone >= other:
                reason = "SEEN_ON_OLD_STILL" if other else "SEEN_ON_OLD_ONLY"
                who = "/".join(caller.split("/")[-2:])
                found.append(Waiting(reason=reason, who=who, detail=instant(alone).isoformat()[:19]))
        return found


def _day(at: datetime) -> int:
    return micros(at) // (86_400 * 1_000_000)
