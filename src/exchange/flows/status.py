"""In which state the node is, and what it may do in it (architecture §3, Recovering)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import Transaction
from exchange.storage.node import node_state
from exchange.v1.operation_service_pb2 import NodeState

RESTORED = "restored"
"""Set by ``db restore``, and when a hello shows it; cleared when the node has healed."""

UNACKNOWLEDGED = "unacknowledged"
"""Set when the node has healed; the security officer's acknowledgement clears it."""


def read_flag(connection: Connection, key: str) -> str:
    """A value of the node's state; empty when it is not set."""
    return node_state.get(connection, key)


def set_flags(tx: Transaction, payloads: Sequence[tuple[str, str]]) -> list[None]:
    """Set values of the node's state; an empty one removes it."""
    for key, value in payloads:
        node_state.put(tx, key, value)
    return [None] * len(payloads)


class NodeStatus:
    """The node's state.

    Args:
        peers: Gives the names of all peers.
        restored: The database was restored and has not healed.
        unacknowledged: The node has healed, and nobody acknowledged it.
    """

    def __init__(self, peers: Callable[[], Sequence[str]], *, restored: bool, unacknowledged: bool) -> None:
        self._peers = peers
        self._lock = threading.Lock()
        self._greeted: set[str] = set()
        self._fetching: set[str] = set()
        self._replaying = False
        self._forked: set[str] = set()
        self._restored = restored
        self._unacknowledged = unacknowledged

    @property
    def state(self) -> NodeState.ValueType:
        """What status shows."""
        with self._lock:
            if self._fetching or self._replaying:
                return NodeState.NODE_STATE_FETCHING
            if self._unacknowledged:
                return NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT
            if not self._greeted.issuperset(self._peers()):
                return NodeState.NODE_STATE_AWAITING_HELLO
            return NodeState.NODE_STATE_SERVING

    @property
    def restored(self) -> bool:
        """Whether the node says in hello that it was restored and has not healed."""
        return self._restored

    def may_sign(self, peer: str) -> bool:
        """Whether checkpoints may be signed towards a peer: only behind a hello of this process."""
        with self._lock:
            return peer in self._greeted and not self._fetching and not self._replaying

    def may_apply(self) -> bool:
        """Whether registers may change."""
        return not self._fetching and not self._replaying

    def may_cosign(self) -> bool:
        """Whether a peer's log may be cosigned."""
        return not self._fetching and not self._replaying

    def forked(self, origin: str) -> None:
        """A journal or local log of ours contradicts what was witnessed: its heads are signed no more."""
        with self._lock:
            self._forked.add(origin)

    def may_witness(self, origin: str) -> bool:
        """Whether heads of a journal or local log may be signed."""
        return origin not in self._forked

    def greeted(self, peer: str) -> bool:
        """A hello showed that what the peer cosigned is a prefix of our log.

        Returns:
            Whether all peers have shown that by now of a node that calls itself restored: nothing is missing.
        """
        with self._lock:
            self._greeted.add(peer)
            self._fetching.discard(peer)
            return self._restored and not self._replaying and self._greeted.issuperset(self._peers())

    def fetching(self, peer: str) -> None:
        """A peer showed that we were restored: until that is healed nothing is submitted, signed, cosigned, applied."""
        with self._lock:
            self._fetching.add(peer)
            self._restored = True
            self._greeted.clear()

    def replaying(self) -> None:
        """Registers are being made anew."""
        with self._lock:
            self._replaying = True
            self._greeted.clear()

    def replayed(self) -> None:
        """Registers are what the journal says."""
        with self._lock:
            self._replaying = False

    def healed(self) -> None:
        """The node has its own entries back; the security officer has not looked yet."""
        with self._lock:
            self._fetching.clear()
            self._restored = False
            self._unacknowledged = True

    def acknowledged(self) -> None:
        """The security officer looked at the agencies."""
        with self._lock:
            self._unacknowledged = False
