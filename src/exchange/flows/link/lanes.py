"""Lanes under an operator's hand: pause, resume, retry, retire; and what stops one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.domain.lanes import LANE_NAMES
from exchange.domain.problems import Problem, Refused
from exchange.flows.actions.pending import Confirmed
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros_of
from exchange.flows.intake.seal import seal
from exchange.flows.link.announce import announcement
from exchange.flows.link.deliver import LaneSender
from exchange.flows.link.evidence import evidence_event
from exchange.flows.link.links import Links
from exchange.flows.link.pace import LaneView
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store
from exchange.storage.logs.recovery import move_tail
from exchange.storage.node import links
from exchange.storage.registers import registers
from exchange.tlog.origin import LogName
from exchange.v1.action_pb2 import ActionRequest
from exchange.v1.journal_pb2 import AdministratorAction, JournalEntry
from exchange.v1.key_announcement_pb2 import Continues
from exchange.v1.operation_service_pb2 import LaneState, LaneStatus
from exchange.v1.statement_pb2 import LogEntry

PAUSED, RESUMED, RETRIED = "lanes.pause", "lanes.resume", "lanes.retry"
RETIRED = "lanes.retire"
AGREED = "lanes.retire_mirror"
"""What operators do, as the journal has it; the last is the word that a peer's log goes on in its next epoch."""

RESTORED_BOTH = "RESTORED_BOTH"
"""Both sides were restored: the log goes on in a new epoch, and in no other way."""


def _continue_reason(stopped: str) -> str:
    """Why a log goes on in a new epoch, as its first entry says it."""
    if stopped == RESTORED_BOTH:
        return RESTORED_BOTH
    return "FORKED" if "FORK" in stopped else "RETIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change of one lane with its line in the journal.

    Attributes:
        own: New reason why our log is stopped; None leaves it.
        mirror: New reason why the peer's log is stopped; None leaves it.
    """

    peer: str
    lane: int
    event: JournalEntry
    paused: bool | None = None
    own: str | None = None
    mirror: str | None = None
    mirror_epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retire:
    """Our own log goes on in a new epoch."""

    change: _Change
    old: str
    new: str
    first: NewEntry


class LaneControl:
    """What operators do with lanes.

    Args:
        node: The node.
        links: What this process knows of its links.
        senders: The delivery loop of each (peer, lane).
        nudge: Wakes a sender from any thread.
    """

    def __init__(
        self,
        node: Node,
        links: Links,
        senders: Mapping[tuple[str, int], LaneSender],
        nudge: Callable[[LaneSender], None],
    ) -> None:
        self._node = node
        self._links = links
        self._senders = senders
        self._nudge = nudge

    # -- verbs -----------------------------------------------------------------------------------------------

    def pause(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Stop sending until resumed."""
        self._change(PAUSED, peer, lane, actor, reason, paused=True)

    def resume(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Go on sending."""
        self._change(RESUMED, peer, lane, actor, reason, paused=False)

    def retry(self, peer: str, lane: int, actor: str, reason: str) -> None:
        """Try at once; a stopped lane is started again, and stops again when the contradiction stands.

        Raises:
            Refused: Both sides were restored: only a new epoch helps.
        """
        self._known(peer, lane)
        if RESTORED_BOTH in self._row(peer, lane).stopped:
            raise Refused([Problem("LANE_NEEDS_RETIRE", "lane", f"{peer} {LANE_NAMES[lane]}")])
        self._links.of(peer).given = None
        self._change(RETRIED, peer, lane, actor, reason, own="", mirror="")

    def retirable(self, peer: str, lane: int, *, mirror: bool) -> str:
        """Origin of the log that ``retire`` would end.

        Raises:
            Refused: The lane is not stopped, so nothing has to be retired.
        """
        self._known(peer, lane)
        with self._node.database.read() as connection:
            row = links.get(connection, peer, lane)
            log = log_store.current(connection, "outbound", peer, lane)
        if mirror:
            return str(self._mirrored(peer, lane, row.mirror_epoch))
        if not row.own_stop or log is None:
            raise Refused([Problem("LANE_NOT_STOPPED", "lane", f"{peer} {LANE_NAMES[lane]}")])
        return log.origin

    def carry_out(self, request: ActionRequest, who: Confirmed) -> str:
        """Retire the log that two officers agreed on; nothing is done when it has ended already.

        Raises:
            Refused: The lane is not stopped any more.
        """
        asked = request.retire_lane
        if self._epoch_of(asked.peer, asked.lane, mirror=asked.mirror) == LogName.parse(asked.log).epoch:
            self.retire(asked.peer, asked.lane, who.actors, who.reason, mirror=asked.mirror)
        return asked.log

    def _epoch_of(self, peer: str, lane: int, *, mirror: bool) -> int:
        with self._node.database.read() as connection:
            if mirror:
                return links.get(connection, peer, lane).mirror_epoch
            log = log_store.current(connection, "outbound", peer, lane)
        return log.epoch if log is not None else 0

    def _mirrored(self, peer: str, lane: int, epoch: int) -> LogName:
        first = LogName.outbound(peer, self._node.federation, self._node.name, LANE_NAMES[lane])
        return replace(first, epoch=epoch)

    def retire(self, peer: str, lane: int, actor: str, reason: str, *, mirror: bool) -> None:
        """Go on in a new epoch: our own log, or (``mirror``) agree that the peer's log does.

        Two officers agreed on it: who calls this has seen to that.

        Raises:
            Refused: The lane is not stopped, so nothing has to be retired.
        """
        self._known(peer, lane)
        with self._node.database.read() as connection:
            row = links.get(connection, peer, lane)
            log = log_store.current(connection, "outbound", peer, lane)
            newest = log_store.last_checkpoint(connection, log.id) if log else None
            root = log_store.root(connection, log, newest.size if newest else 0) if log else b""
        stopped = row.own_stop
        event = self._event(AGREED if mirror else RETIRED, peer, lane, actor, reason)
        if mirror:
            epoch = row.mirror_epoch + 1
            change = _Change(peer=peer, lane=lane, event=event, mirror="", mirror_epoch=epoch)
            self._node.writer.call(_apply_change, change, WorkClass.URGENT)
            return
        if not stopped or log is None:
            raise Refused([Problem("LANE_NOT_STOPPED", "lane", f"{peer} {LANE_NAMES[lane]}")])
        name = LogName.parse(log.origin).next_epoch()
        now = self._node.clock()
        continues = Continues(
            origin=log.origin, size=newest.size if newest else 0, root=root, reason=_continue_reason(stopped)
        )
        record = announcement(self._node, str(name), now, continues)
        first = seal(self._node, record, [peer], now).entry
        change = _Change(peer=peer, lane=lane, event=event, own="")
        retire = _Retire(change=change, old=log.origin, new=str(name), first=first)
        self._node.writer.call(_retire, retire, WorkClass.URGENT)
        self._links.of(peer).given = None
        self._wake(peer, lane)

    def stop(self, peer: str, lane: int, reason: str, evidence: Sequence[bytes], now: datetime) -> None:
        """A contradiction: the lane stops with its evidence in the journal; other lanes go on.

        A lane that is stopped for that reason stays as it is: the same contradiction, seen again, is no news.
        """
        if reason in self._row(peer, lane).stopped.split():
            return
        event = evidence_event(reason, f"{peer}/{LANE_NAMES[lane]}", evidence, now)
        ours = not reason.startswith(links.MIRROR_STOP)
        change = _Change(
            peer=peer,
            lane=lane,
            event=event,
            own=reason if ours else None,
            mirror=None if ours else reason.removeprefix(links.MIRROR_STOP),
        )
        self._node.writer.call(_apply_change, change, WorkClass.URGENT)

    def _row(self, peer: str, lane: int) -> links.LinkRow:
        with self._node.database.read() as connection:
            return links.get(connection, peer, lane)

    def _change(
        self,
        action: str,
        peer: str,
        lane: int,
        actor: str,
        reason: str,
        *,
        paused: bool | None = None,
        own: str | None = None,
        mirror: str | None = None,
    ) -> None:
        self._known(peer, lane)
        event = self._event(action, peer, lane, actor, reason)
        change = _Change(peer=peer, lane=lane, event=event, paused=paused, own=own, mirror=mirror)
        self._node.writer.call(_apply_change, change, WorkClass.URGENT)
        self._wake(peer, lane)

    def _event(self, action: str, peer: str, lane: int, actor: str, reason: str) -> JournalEntry:
        event = JournalEntry(
            administrator_action=AdministratorAction(
                actor=actor, action=action, object=f"{peer}/{LANE_NAMES[lane]}", reason=reason
            )
        )
        event.at.FromDatetime(self._node.clock())
        return event

    def _known(self, peer: str, lane: int) -> None:
        if (peer, lane) not in self._senders:
            raise Refused([Problem("LANE_UNKNOWN", "lane", f"{peer}/{LANE_NAMES.get(lane, lane)}")])

    def _wake(self, peer: str, lane: int) -> None:
        sender = self._senders.get((peer, lane))
        if sender is not None:
            self._nudge(sender)

    # -- status ----------------------------------------------------------------------------------------------

    def lane_statuses(self) -> list[LaneStatus]:
        """Every lane as it stands now."""
        return [self.lane_status(peer, lane) for peer, lane in sorted(self._senders)]

    def lane_status(self, peer: str, lane: int) -> LaneStatus:
        """One lane.

        Raises:
            Refused: There is no such lane.
        """
        self._known(peer, lane)
        view = self._senders[peer, lane].view
        now = self._node.clock()
        status = LaneStatus(peer=peer, lane=lane, last_error=view.last_error, tries=view.tries, detail=view.detail)  # type: ignore[arg-type]
        with self._node.database.read() as connection:
            row = links.get(connection, peer, lane)
            log = log_store.current(connection, "outbound", peer, lane)
            mirror = log_store.current(connection, "mirror", peer, lane)
            if log is not None:
                newest = log_store.last_checkpoint(connection, log.id)
                status.log, status.size = log.origin, log.size
                status.delivered = newest.size if newest else 0
                if status.delivered < log.size:
                    oldest = log_store.entries(connection, log.id, status.delivered, status.delivered + 1, bodies=False)
                    since = instant(micros_of(LogEntry.FromString(oldest[0].entry).logged_at))
                    status.backlog_seconds = max(0.0, (now - since).total_seconds())
            if mirror is not None:
                status.mirrored = mirror.size
                status.applied = registers.next_indices(connection).get(mirror.id, 0)
                status.missing_bodies = registers.count_waiting(connection, mirror.id, "BODY")
        status.state = _state(view, row)  # type: ignore[assignment]
        if row.stopped:
            status.last_error = row.stopped
        if view.next_try is not None:
            status.next_try.FromDatetime(view.next_try)
        return status


def _state(view: LaneView, row: links.LinkRow) -> int:
    if row.stopped:
        return LaneState.LANE_STATE_STOPPED
    if row.paused:
        return LaneState.LANE_STATE_PAUSED
    return view.state


def _apply_change(tx: Transaction, payloads: Sequence[_Change]) -> list[int]:
    for change in payloads:
        row = links.get(tx.connection, change.peer, change.lane).with_stops(change.own, change.mirror)
        paused = row.paused if change.paused is None else change.paused
        links.put(tx, replace(row, paused=paused, mirror_epoch=change.mirror_epoch or row.mirror_epoch))
    first = journal.append(tx, [change.event for change in payloads])
    return [first + offset for offset in range(len(payloads))]


def _retire(tx: Transaction, payloads: Sequence[_Retire]) -> list[None]:
    """Entries that the peer never cosigned go on in the new epoch, same bytes, behind its announcement."""
    for retire in payloads:
        old = tx.head(retire.old)
        if old is None or old.retired:
            continue
        newest = log_store.last_checkpoint(tx.connection, old.id)
        name = LogName.parse(retire.new)
        opened = tx.open_log(retire.new, use="outbound", peer=old.peer, lane=old.lane, epoch=name.epoch)
        tx.append(opened.id, [retire.first])
        move_tail(tx, old, max(newest.size if newest else 0, 1), opened.id)
        _apply_change(tx, [retire.change])
    return [None] * len(payloads)
