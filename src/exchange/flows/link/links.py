"""What this process knows of its links to peers: sessions, what was shown in hello, where each lane stands.

Nothing here outlives the process: after a start everything is learned again by a hello, before anything is signed.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from exchange.flows.instants import timestamp
from exchange.v1.operation_service_pb2 import PeerStatus

SESSION_BYTES = 16
"""Random bytes of a hello session: gRPC reconnects silently, so the connection itself can not be observed."""


@dataclass(slots=True)
class Link:
    """One peer, as this process sees it.

    Attributes:
        issued: Session that the peer's newest hello got from us; its ``Deliver`` calls must carry it.
        given: Session that our newest hello got from the peer; None before it, and when the peer wants another.
        shown: Per log of the peer: the largest size for which it showed our own cosignature.
        held: Per log of ours: entries that the peer holds, when fewer than it cosigned (it was restored).
        agreed: Logs of ours of which hello found that what the peer cosigned is a prefix.
        offered: Bodies (log of ours, index) that were brought over late in this session: once is enough.
        last_hello: When the last hello in either direction succeeded, in microseconds; 0 before the first.
        clock_skew: Peer's clock minus ours when they were last compared, in seconds: at least so much.
        carried: Whether calls travel for an unknown time: then only a clock that is ahead can be told.
    """

    peer: str
    issued: bytes | None = None
    given: bytes | None = None
    shown: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    agreed: set[str] = field(default_factory=set)
    offered: set[tuple[str, int]] = field(default_factory=set)
    last_hello: int = 0
    clock_skew: float = 0.0
    version: str = ""
    carried: bool = False


class Links:
    """The links of a node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}

    def of(self, peer: str) -> Link:
        """The link to a peer."""
        with self._lock:
            return self._links.setdefault(peer, Link(peer))

    def statuses(self) -> list[PeerStatus]:
        """What the last hello showed of each peer, in order of name."""
        with self._lock:
            links = sorted(self._links.values(), key=lambda link: link.peer)
        found = []
        for link in links:
            status = PeerStatus(peer=link.peer, clock_ahead_seconds=link.clock_skew)
            if link.last_hello:
                status.last_hello.CopyFrom(timestamp(link.last_hello))
            found.append(status)
        return found

    def issue(self, peer: str) -> bytes:
        """A new session for a peer's hello; every older one is void from here on."""
        link = self.of(peer)
        link.issued = secrets.token_bytes(SESSION_BYTES)
        return link.issued

    def is_current(self, peer: str, session: bytes) -> bool:
        """Whether a call carries the newest session of this process."""
        issued = self.of(peer).issued
        return issued is not None and secrets.compare_digest(issued, session)
