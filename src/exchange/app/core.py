"""A node without its doors: the flows, their loops, and how they tell each other that something happened."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from exchange.crypto.trusted.possession import USES
from exchange.domain.lanes import LANE_NAMES, LANE_NUMBERS
from exchange.flows import bootstrap
from exchange.flows.access import GRANTS_REPLAYED
from exchange.flows.apply.again.journaled import changes_of
from exchange.flows.apply.again.replay import write_replayed
from exchange.flows.apply.loop import ApplyLoop
from exchange.flows.audit.witness_watch import LIMIT_SECONDS, WitnessWatch
from exchange.flows.context import Node, Peer
from exchange.flows.intake.attachments import expire
from exchange.flows.intake.submit import SubmitFlow
from exchange.flows.link.attachments import SPOILT, AttachmentLoop, answer_attachment
from exchange.flows.link.clocks import Clocks
from exchange.flows.link.deliver import LaneSender
from exchange.flows.link.fetch import fetch_entries
from exchange.flows.link.hello import Findings
from exchange.flows.link.lanes import RESTORED_BOTH, LaneControl
from exchange.flows.link.links import Links
from exchange.flows.link.mirror import MirrorFlow
from exchange.flows.link.pace import LanePace
from exchange.flows.link.peer_port import PeerPort
from exchange.flows.link.recover import REPLAYING, RecoverFlow, load_recorded
from exchange.flows.link.session import HelloFlow
from exchange.flows.link.witness import WITNESS_SECONDS, WitnessFlow, WitnessLoop
from exchange.flows.reach import calls
from exchange.flows.reach.calls import AskingPeer
from exchange.flows.reach.folder import FolderPeer
from exchange.flows.reach.pulled import PullDoor
from exchange.flows.reach.pulling import NOT_PULLED, WAIT_SECONDS, Puller, PullPort
from exchange.flows.rotation.driver import KeyDriver
from exchange.flows.rotation.steps import RotationFlow
from exchange.flows.status import RESTORED, UNACKNOWLEDGED, NodeStatus, read_flag, set_flags
from exchange.flows.trust.confirm import PendingTrust
from exchange.flows.trust.revocations import REVOCATIONS_CHANGED, Freshness, RevocationBook, Roots, no_roots
from exchange.flows.trust.trust_material import TRUST_CHANGED, TrustMaterialFlow
from exchange.storage.engine.transaction import LogHead
from exchange.storage.engine.writer import WorkClass
from exchange.storage.node import links
from exchange.storage.registers import registers
from exchange.storage.registers.registers import SEQ_CURSOR
from exchange.tlog.origin import LogName
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.operation_service_pb2 import PeerStatus
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchAttachmentRequest,
    FetchAttachmentResponse,
    GetTrustMaterialRequest,
    GetTrustMaterialResponse,
    HelloRequest,
    HelloResponse,
)

log = structlog.get_logger("exchange.core")

SKEW_LIMIT_SECONDS = 10.0
"""Clocks further apart than this raise an alarm: signatures are judged by time."""


DUE_SECONDS = 1.0
"""How often the node looks for a new key whose time has come: one row is read."""

EXPIRE_SECONDS = 600.0
"""How often attachments without a record are looked for: they are kept for a day."""

AWAY_TRIES = 6
"""Tries in a row that fail before a peer counts as away: some seconds, longer than a restart."""


class AlarmBell(Protocol):
    """Where alarms are raised and cleared; called from any thread, never blocks."""

    def raise_(self, code: str, about: str, detail: str) -> None:
        """Open an alarm, or see it again."""
        ...

    def clear(self, code: str, about: str) -> None:
        """The condition is gone."""
        ...


class AnnouncedRoots(Protocol):
    """What brings a peer's set to the authorities that it announced."""

    def wake(self, peer: str) -> None:
        """What is known of a peer's keys changed."""
        ...

    def follow(self, peer: str) -> bool:
        """Do it now; False when something is left for later."""
        ...


class Core:
    """One node's flows and loops.

    Args:
        node: The node.
        ports: A port for each peer.
        pulling: Of these the ones that can not dial us: what they would send is fetched from them.
        pull_seconds: Longest time for which a fetch is held open.
        alarms: Where alarms go.
        admit: Says for a lane why it takes nothing now, or None.
        drivers: Of each kind of key that this node can rotate.
        on_retry: Called with (peer, lane name, reason) for each failed try.
        pace: How lanes go about it.
        folder_pace: How they do towards a peer that is reached by files.
        witness_seconds: How often grown journals are shown to witnesses.
        witness_limit: Seconds that an entry of ours may wait to be witnessed, before it is an alarm.
        carried_limit: The same where a courier goes between.
        skew_limit: Seconds between two clocks beyond which an alarm is raised.
        roots: Whose revocation lists count.
        freshness: How old revocation lists may be.
        told_roots: Called with a peer's name and the roots under which it takes our TLS certificates.
        peer_roots: Brings the peers' sets to what they announced.
    """

    def __init__(
        self,
        node: Node,
        ports: Mapping[str, PeerPort],
        alarms: AlarmBell,
        *,
        pulling: Mapping[str, PullPort] | None = None,
        pull_seconds: int = WAIT_SECONDS,
        on_retry: Callable[[str, str, str], None] = lambda peer, lane, reason: None,
        admit: Callable[[int], object] = lambda lane: None,
        drivers: Sequence[KeyDriver] = (),
        pace: LanePace | None = None,
        folder_pace: LanePace | None = None,
        witness_seconds: float = WITNESS_SECONDS,
        witness_limit: float = LIMIT_SECONDS,
        carried_limit: float = LIMIT_SECONDS,
        skew_limit: float = SKEW_LIMIT_SECONDS,
        roots: Roots = no_roots,
        freshness: Freshness | None = None,
        told_roots: Callable[[str, Sequence[str]], None] = lambda _peer, _roots: None,
        peer_roots: AnnouncedRoots | None = None,
    ) -> None:
        self._peer_roots = peer_roots
        self._witness_seconds = witness_seconds
        self.node = node
        self.ports = dict(ports)
        self._alarms = alarms
        self._on_retry = on_retry
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        with node.database.read() as connection:
            restored = bool(read_flag(connection, RESTORED))
            unacknowledged = bool(read_flag(connection, UNACKNOWLEDGED))
            self._replaying = bool(read_flag(connection, REPLAYING))
        self.links = Links()
        self.clocks = Clocks(self.links, skew_limit, alarms.raise_, alarms.clear)
        self.status = NodeStatus(node.peers.names, restored=restored, unacknowledged=unacknowledged)
        self.revocations = RevocationBook(node, alarms, roots, freshness, between_steps=lambda: self.apply.busy)
        self.trust_material = TrustMaterialFlow(node, self.revocations, self.status.may_apply, told_roots)
        self.rotations = RotationFlow(node, drivers, may_append=self.status.may_apply)
        bootstrap.open_logs(node)  # sealed by the keys that the rotations left
        self.trust = PendingTrust(
            node, self._keys_changed, may_append=self.status.may_apply, on_decided=self._key_decided
        )
        self.load_keys()
        self.apply = ApplyLoop(
            node,
            allowed=self.status.may_apply,
            on_keys=self._keys_changed,
            on_note=self._noted,
            on_proven=lambda origin: self._alarms.clear("UNPROVEN_TIME", origin),
            on_error=lambda error: log.error("apply.failed", error=type(error).__name__, detail=str(error)[:200]),
        )
        self.apply.recorded = load_recorded(node)
        self.submit = SubmitFlow(node, admit=admit)  # type: ignore[arg-type]
        self.mirror = MirrorFlow(
            node,
            self.links,
            may_cosign=self.status.may_cosign,
            on_contradiction=self._contradicted,
            on_bodies=self.apply.wake,
        )
        self.witness = WitnessFlow(node, self.links, self._contradicted, may_cosign=self.status.may_cosign)
        self.recover = RecoverFlow(node, self.status, self.apply, on_restored=self._restored, take=self._take_event)
        self.hello = HelloFlow(
            node,
            self.links,
            self.status,
            self.ports,
            recover=self.recover.recover,
            on_forks=self._forked,
            on_both_restored=self._both_restored,
            on_sound=self.recover.nothing_missing,
            clocks=self.clocks,
        )
        self.senders = {
            (peer, lane): LaneSender(
                node,
                peer,
                lane,
                self.ports[peer],
                self.hello.ensure,
                may_sign=lambda peer=peer: self.status.may_sign(peer),  # type: ignore[misc]
                on_stop=self._stopped,
                on_try=self._tried,
                clocks=self.clocks,
                pace=folder_pace if isinstance(self.ports[peer], FolderPeer) else pace,
            )
            for peer in node.peers.names()
            if peer in self.ports
            for lane in LANE_NAMES
        }
        self.pull_door = PullDoor(node, self.ports)
        self.pull_door.on_return(self.peer_is_back)
        self.pullers = {
            peer: Puller(
                node, peer, port, self.work, on_refused=self._not_pulled, wait_seconds=min(pull_seconds, WAIT_SECONDS)
            )
            for peer, port in (pulling or {}).items()
        }
        self.folders = {peer: port for peer, port in self.ports.items() if isinstance(port, FolderPeer)}
        for peer, folder in self.folders.items():
            self.links.of(peer).carried = True
            folder.on_new_run = lambda peer=peer: self._peer_began_anew(peer)  # type: ignore[misc]
        self.lanes = LaneControl(node, self.links, self.senders, self._nudge)
        self._watches = {
            peer: WitnessWatch(
                node,
                peer,
                alarms.raise_,
                alarms.clear,
                limit=carried_limit if isinstance(port, FolderPeer) else witness_limit,
            )
            for peer, port in self.ports.items()
        }
        # Asked here, for as long as the node lives: what a list or announcement revokes is decided again.
        node.events.listen(REVOCATIONS_CHANGED, self.apply.wake)
        self._apply_thread = threading.Thread(target=self.apply.run, name="apply", daemon=True)

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start every loop."""
        self._loop = asyncio.get_running_loop()
        if self._replaying:
            await asyncio.to_thread(self.recover.finish)
        self._apply_thread.start()
        for (peer, lane), sender in self.senders.items():
            self._tasks.append(asyncio.create_task(sender.run(), name=f"deliver {peer} {LANE_NAMES[lane]}"))
        for peer, port in self.ports.items():
            witness = WitnessLoop(
                self.node,
                peer,
                port,
                self.hello.ensure,
                self.status,
                clocks=self.clocks,
                seconds=self._witness_seconds,
            )
            self._tasks.append(asyncio.create_task(witness.run(), name=f"witness {peer}"))
            watching = self._watches[peer].run(self._witness_seconds)
            self._tasks.append(asyncio.create_task(watching, name=f"watch of witness {peer}"))
            lists = self.trust_material.run(peer, port)
            self._tasks.append(asyncio.create_task(lists, name=f"lists {peer}"))
            fetching = AttachmentLoop(
                self.node,
                peer,
                port,
                allowed=self.status.may_apply,
                admit=self.submit.admit,
                on_spoilt=self._spoilt,
            )
            self._tasks.append(asyncio.create_task(fetching.run(), name=f"attachments {peer}"))
        for peer, port in self.folders.items():
            self._tasks.append(asyncio.create_task(port.run(self.work, self._deliver_carried), name=f"folder {peer}"))
        for peer, puller in self.pullers.items():
            for name in LANE_NUMBERS:
                self._tasks.append(asyncio.create_task(puller.run_lane(name), name=f"pull {peer} {name}"))
            self._tasks.append(asyncio.create_task(puller.run_requests(), name=f"pull {peer}"))
        self._tasks.append(asyncio.create_task(self._activate_due(), name="rotations"))
        self._tasks.append(asyncio.create_task(self._expire_staged(), name="staged attachments"))
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Stop the loops; what is under way is finished or repeated after the next start."""
        self.node.stopping.set()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        self.apply.wake()
        if self._apply_thread.is_alive():
            await asyncio.to_thread(self._apply_thread.join)

    def peer_is_back(self, peer: str) -> None:
        """The peer can be reached again: try its lanes at once. Called on the event loop."""
        if peer in self.pullers:
            self.pullers[peer].nudge()
        for (name, _lane), sender in self.senders.items():
            if name == peer:
                sender.nudge()

    # -- the relay door --------------------------------------------------------------------------------------

    def answer_hello(self, peer: Peer, request: HelloRequest) -> HelloResponse:
        """A peer says hello."""
        response = self.hello.answer(peer, request)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.peer_is_back, peer.name)
        return response

    def answer_deliver(self, peer: Peer, request: DeliverRequest) -> DeliverResponse:
        """A peer delivers."""
        return self.mirror.deliver(peer, request, self.node.clock())

    def answer_attachment(self, peer: Peer, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
        """A peer fetches a piece of an attachment."""
        return answer_attachment(self.node, peer, request)

    def answer_cosign(self, peer: Peer, request: CosignJournalRequest) -> CosignJournalResponse:
        """A peer shows the head of its journal or local log."""
        return self.witness.cosign(peer, request, self.node.clock())

    def answer_trust_material(self, peer: Peer, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """A peer exchanges revocation lists."""
        return self.trust_material.answer(peer, request)

    @property
    def work(self) -> calls.Work:
        """By what each call of a peer is answered, however it came."""
        return {
            calls.HELLO: self.answer_hello,
            calls.DELIVER: self.answer_deliver,
            calls.ATTACHMENT: self.answer_attachment,
            calls.FETCH: lambda peer, request: fetch_entries(self.node, peer, request),
            calls.COSIGN: self.answer_cosign,
            calls.LISTS: self.answer_trust_material,
        }

    def peer_statuses(self) -> list[PeerStatus]:
        """What status shows of each peer, in order of name."""
        for peer in self.ports:
            self.links.of(peer)
        statuses = self.links.statuses()
        for status in statuses:
            port = self.ports.get(status.peer)
            if isinstance(port, AskingPeer):
                port.reach().show(status)
            elif port is not None:
                status.transport = "pull" if status.peer in self.pullers else "push"
        return statuses

    # -- what the flows tell ---------------------------------------------------------------------------------

    def acknowledge_restore(self) -> None:
        """The security officer looked at the agencies after a restore."""
        self.node.writer.call(set_flags, (UNACKNOWLEDGED, ""), WorkClass.URGENT)
        self.status.acknowledged()

    def _nudge(self, sender: LaneSender) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(sender.nudge)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("loop.ended", loop=task.get_name(), error=repr(task.exception())[:300])
            self._alarms.raise_("LOOP_ENDED", task.get_name(), type(task.exception()).__name__)

    def _tried(self, peer: str, lane: int, reason: str) -> None:
        if reason:
            self._on_retry(peer, LANE_NAMES[lane], reason)
            if self.senders[peer, lane].view.tries >= AWAY_TRIES:
                self._alarms.raise_("PEER_AWAY", peer, reason)
        else:
            self._alarms.clear("PEER_AWAY", peer)

    def _stopped(self, peer: str, lane: int, reason: str, evidence: Sequence[bytes]) -> None:
        self.lanes.stop(peer, lane, reason, evidence, self.node.clock())
        log.error("lane.stopped", peer=peer, lane=LANE_NAMES[lane], reason=reason)
        self._alarms.raise_("LANE_STOPPED", f"{peer}/{LANE_NAMES[lane]}", reason)

    def _contradicted(self, peer: str, origin: str, reason: str) -> None:
        log.error("mirror.contradiction", peer=peer, origin=origin, reason=reason)
        name = LogName.parse(origin)
        if reason in ("FORK", "BAD_CHECKPOINT") and name.lane:
            self.lanes.stop(peer, LANE_NUMBERS[name.lane], links.MIRROR_STOP + reason, (), self.node.clock())
        self._alarms.raise_(reason, origin, peer)

    def _deliver_carried(self, peer: Peer, request: DeliverRequest, written: datetime) -> DeliverResponse:
        return self.mirror.deliver(peer, request, self.node.clock(), shown_at=written)

    def _peer_began_anew(self, peer: str) -> None:
        """The session that it gave us was of a process that is no more."""
        self.links.of(peer).given = None
        self.peer_is_back(peer)

    def _not_pulled(self, peer: str, reason: str) -> None:
        if reason:
            self._alarms.raise_(NOT_PULLED, peer, reason)
        else:
            self._alarms.clear(NOT_PULLED, peer)

    def _forked(self, peer: str, findings: Findings) -> None:
        for found in findings.forks:
            if found.log.use == "outbound":
                self.lanes.stop(peer, found.log.lane, "FORK", (found.note,), self.node.clock())
            else:
                self.status.forked(found.log.origin)
            self._alarms.raise_("FORK", found.log.origin, peer)

    def _both_restored(self, peer: str) -> None:
        for lane in LANE_NAMES:
            self.lanes.stop(peer, lane, RESTORED_BOTH, (), self.node.clock())
            self.lanes.stop(peer, lane, links.MIRROR_STOP + RESTORED_BOTH, (), self.node.clock())
        self._alarms.raise_(RESTORED_BOTH, peer, "")

    async def _activate_due(self) -> None:
        """Activates new keys whose time has come."""
        while True:
            await asyncio.sleep(DUE_SECONDS)
            if self.status.may_apply():
                await asyncio.to_thread(self.rotations.activate_due, self.node.clock())

    async def _expire_staged(self) -> None:
        """Drops attachments that no record came to list."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            dropped = await asyncio.to_thread(expire, self.node, self.node.clock())
            if dropped:
                log.info("attachments.expired", files=dropped)

    def _spoilt(self, where: str, reason: str) -> None:
        if reason:
            self._alarms.raise_(SPOILT, where, reason)
        else:
            self._alarms.clear(SPOILT, where)

    def _restored(self, detail: str) -> None:
        self.rotations.follow()
        self.load_keys()
        log.warning("node.restored", detail=detail)
        self._alarms.raise_("RESTORED", self.node.name, detail)

    def _noted(self, reason: str, origin: str, index: int) -> None:
        """One alarm for a log, however many of its entries give cause: a wrong clock dates thousands."""
        log.warning("apply.noted", reason=reason, log=origin, index=index)
        self._alarms.raise_(reason, origin, f"#{index}")

    # -- keys and grants -------------------------------------------------------------------------------------

    def _keys_changed(self, peer: str) -> None:
        self.load_keys(peer)
        self.apply.wake()
        if self._peer_roots is not None:
            self._peer_roots.wake(peer)

    def _key_decided(self, peer: str) -> None:
        if self._peer_roots is not None:
            self._peer_roots.follow(peer)

    def trust_changed(self) -> None:
        """The trust folder gave the peers other cards."""
        self.load_keys()
        self.apply.wake()
        self.node.events.notify(TRUST_CHANGED)

    def load_keys(self, only: str = "") -> None:
        """Put what peers announced, and what our officers decided, beside what their cards say.

        Called whenever one of the three changed: also behind ``PeerBook.replace``.
        """
        for peer in (only,) if only else self.node.peers.names():
            pending = self.trust.look(peer)
            for use in USES.values():
                waiting = [each for each in pending if USES[each.use] == use]
                if waiting:
                    self._alarms.raise_("KEY_WAITING", f"{peer}/{use}", ", ".join(each.id for each in waiting))
                else:
                    self._alarms.clear("KEY_WAITING", f"{peer}/{use}")

    def _take_event(self, book: LogHead, index: int, event: JournalEntry) -> None:
        with self.node.database.read() as connection:
            changes = changes_of(connection, event, book.id, index)
            next_seq = registers.next_indices(connection).get(SEQ_CURSOR, 1)
        self.node.writer.call(write_replayed, (changes, next_seq, None), WorkClass.URGENT)
        self.node.events.notify(GRANTS_REPLAYED)
