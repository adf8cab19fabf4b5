"""What a courier put into ``in/``: whole parcels of the peer's, in the order of their writing; the rest is set aside.

A file is read when it is first seen, for a parcel proves itself. One that proves nothing may still be written: it is
read again when it changed, and is set aside once it has stood unchanged for long enough.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.flows.reach.parcel import (
    ASK,
    MAX_PARCEL_BYTES,
    ParcelIncompleteError,
    ParcelName,
    ParcelRefusedError,
    open_parcel,
)
from exchange.storage.files.spool import Found, Spool
from exchange.v1.relay_service_pb2 import Parcel

log = structlog.get_logger("exchange.reach")

INCOMPLETE_SECONDS = 600.0
"""A file that is shorter than it says has so long to grow, from when it last did."""


@dataclass(slots=True)
class _Seen:
    """A file of ``in/``.

    Attributes:
        since: Since when it stands so, by the steady clock.
        due: When it is looked at again.
    """

    found: Found
    since: float
    due: float


class Arrivals:
    """Files that came from one peer.

    Args:
        node: The node.
        peer: Name of the peer.
        spool: The folders.
        settle: Seconds for which a file that is no parcel must stand unchanged before it is set aside.
        waits: Whether a file is to be left where it is for now.
    """

    def __init__(self, node: Node, peer: str, spool: Spool, settle: float, waits: Callable[[str], bool]) -> None:
        self._node = node
        self._name = peer
        self._spool = spool
        self._settle = settle
        self._waits = waits
        self._seen: dict[str, _Seen] = {}

    @property
    def names(self) -> set[str]:
        """Names that the last look saw."""
        return set(self._seen)

    def due(self) -> list[Found]:
        """Files that are to be read, in order: new ones, changed ones, and those whose time has come."""
        now, arrived, due = time.monotonic(), self._spool.arrived(), []
        for found in arrived:
            seen = self._seen.get(found.name)
            if seen is None or seen.found != found:
                self._seen[found.name] = _Seen(found, now, now)
                due.append(found)
            elif now >= seen.due and not self._waits(found.name):
                due.append(found)
        names = {found.name for found in arrived}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        return sorted(due, key=_order)

    def open(self, found: Found) -> Parcel | None:
        """A file's parcel. None when it is none: it is looked at again, and set aside when it stands so for long."""
        seen = self._seen[found.name]
        patience = self._settle
        try:
            return self._read(found)
        except FileNotFoundError:
            return None
        except ParcelIncompleteError as error:
            patience, reason, detail = max(INCOMPLETE_SECONDS, patience), error.reason, ""
        except ParcelRefusedError as error:
            reason, detail = error.reason, str(error)
        except OSError as error:
            reason, detail = ParcelRefusedError.reason, error.strerror or ""
        seen.due = seen.since + patience
        if time.monotonic() >= seen.due:
            self._aside(found.name, reason, detail)
        return None

    def _read(self, found: Found) -> Parcel:
        peer = self._node.peers.get(self._name)
        if peer is None or ParcelName.parse(found.name) is None:
            raise ParcelRefusedError("its name is none of ours")
        data = self._spool.read(found.name, MAX_PARCEL_BYTES + 1_024)
        if data is None:
            raise ParcelRefusedError("no plain file, or too large")
        return open_parcel(
            data, federation=self._node.federation, receiver=self._node.name, peer=peer, now=self._node.clock()
        )

    def _aside(self, name: str, reason: str, detail: str) -> None:
        with contextlib.suppress(OSError):
            self._spool.set_aside(name, reason, micros(self._node.clock()))
        log.warning("folder.set-aside", peer=self._name, file=name[:100], reason=reason, detail=detail)


def _order(found: Found) -> tuple[bool, int, str]:
    return order_of(found.name)


def order_of(name: str) -> tuple[bool, int, str]:
    """Answers first, then in the order of writing; names that are none come last."""
    parsed = ParcelName.parse(name)
    return (parsed is None or parsed.kind == ASK, parsed.at if parsed else 0, name)
