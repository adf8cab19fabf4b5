"""What an operator sees of the node: what is stuck, since when and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from exchange.domain.problems import Problem, Refused
from exchange.flows.alarms import Alarms
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.wording import Wording
from exchange.flows.queries.node.counts import Counts
from exchange.flows.queries.registers.effects import unconfirmed_by_agency
from exchange.flows.queries.registers.feedback import overdue_by_agency
from exchange.flows.queries.registers.open_alerts import count_alerts
from exchange.storage.intake import attachments, quarantine
from exchange.storage.logs import journal, log_store
from exchange.storage.queries import Connection, standing
from exchange.v1.operation_service_pb2 import (
    GetStatusResponse,
    LaneStatus,
    MissingAttachments,
    NodeState,
    OverdueFeedback,
    PeerStatus,
    UnconfirmedActs,
)

MAX_REASON = 500
"""Characters of a reason: two sentences."""


class NodeStatusView(Protocol):
    """In which state the node is."""

    @property
    def state(self) -> NodeState.ValueType:
        """The state that status shows."""
        ...


class LaneControl(Protocol):
    """What operators may do with lanes. Every verb is journaled before it takes effect."""

    def lane_statuses(self) -> Sequence[LaneStatus]:
        """Every lane, in order of peer and lane."""
        ...

    def lane_status(self, peer: str, lane: int) -> LaneStatus:
        """One lane."""
        ...

    def pause(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Stop sending on a lane."""
        ...

    def resume(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Go on sending on a paused lane."""
        ...

    def retry(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Try a waiting or stopped lane at once."""
        ...

    def retirable(self, peer: str, lane: int, *, mirror: bool) -> str:
        """Origin of the log that retiring a stopped lane would end: the peer's when ``mirror``, else ours."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What only the process knows.

    Attributes:
        version: Version of the software.
        disk_free: Gives the free bytes of the data disk.
        certificate_days_left: Gives the days until the first certificate of ours ends.
        peers: Gives what the last hello showed of each peer.
    """

    version: str
    started_at: datetime
    disk_free: Callable[[], int]
    certificate_days_left: Callable[[], int]
    peers: Callable[[], Sequence[PeerStatus]] = tuple


class StatusQueries:
    """Queries of OperationService that change nothing."""

    def __init__(
        self,
        node: Node,
        *,
        status: NodeStatusView,
        lanes: LaneControl,
        alarms: Alarms,
        freshness: FreshnessReader,
        facts: ProcessFacts,
    ) -> None:
        self._node = node
        self._status = status
        self._lanes = lanes
        self._alarms = alarms
        self._freshness = freshness
        self._facts = facts
        self._counts = Counts(node)

    def status(self, now: datetime, words: Wording) -> GetStatusResponse:
        """The node's state."""
        fresh = self._freshness.read(now)
        counts = self._counts.rows()
        # Each of these reads by itself: none may hold two views of the database at once.
        alarms = [self._alarms.to_message(row, words.lang) for row in self._alarms.open_rows()]
        lanes = self._lanes.lane_statuses()
        with self._node.database.read() as connection:
            book = journal.head(connection)
            answer = GetStatusResponse(
                node=self._node.name,
                domain=self._node.federation,
                version=self._facts.version,
                state=self._status.state,
                alarms=alarms,
                lanes=lanes,
                freshness=fresh,
                submissions=standing.submission_count(connection),
                quarantined=quarantine.count_open(connection),
                journal_size=book.size,
                journal_witnessed=self._witnessed(connection, book.id),
                disk_free=self._facts.disk_free(),
                certificate_days_left=self._facts.certificate_days_left(),
                counts=counts,
                peers=self._facts.peers(),
                overdue=[
                    OverdueFeedback(agency=each.agency, count=each.count, oldest_due_on=each.oldest)
                    for each in overdue_by_agency(connection, now)
                ],
                alerts=count_alerts(connection, self._node, now),
                unconfirmed=[
                    UnconfirmedActs(agency=each.agency, count=each.count, overdue=each.overdue)
                    for each in unconfirmed_by_agency(connection, self._node, now)
                ],
                missing_attachments=[self._missing(each) for each in attachments.missing_counts(connection)],
            )
        answer.started_at.FromDatetime(self._facts.started_at)
        return answer

    def _missing(self, counted: attachments.MissingCount) -> MissingAttachments:
        shown = MissingAttachments(origin=counted.peer or self._node.name, count=counted.count, bytes=counted.size)
        shown.oldest.CopyFrom(timestamp(counted.since))
        return shown

    def _witnessed(self, connection: Connection, log_id: int) -> int:
        """Entries of the journal that every peer witnessed."""
        sizes = []
        for name in self._node.peers.names():
            peer = self._node.peers.get(name)
            note = log_store.last_checkpoint(connection, log_id, peer.witness.name) if peer else None
            sizes.append(note.size if note else 0)
        return min(sizes, default=0)


def checked_reason(reason: str) -> str:
    """Why an officer does something.

    Raises:
        Refused: REASON_MISSING, or it is too long.
    """
    stripped = reason.strip()
    if not stripped:
        raise Refused([Problem("REASON_MISSING", "reason")])
    if len(stripped) > MAX_REASON:
        raise Refused([Problem("TEXT_TOO_LONG", "reason", str(len(stripped)))])
    return stripped
