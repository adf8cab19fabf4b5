"""The two doors of a node: one for agencies and officers, one for peers."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from exchange import __version__
from exchange.app.core import Core
from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.x509.certificates import facts_of, load_der
from exchange.flows.access import AgencyBook
from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import ActionFlow
from exchange.flows.alarms import ALARM_ACKNOWLEDGED, Alarms
from exchange.flows.audit.keeping.retention import RetentionFlow
from exchange.flows.audit.reading.reads import ReadFolder
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.certificates.trust import TrustEdition
from exchange.flows.intake.documents import DocumentFlow, DocumentLimits
from exchange.flows.intake.quarantine import QuarantineFlow
from exchange.flows.intake.refusals import RefusalFolder
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.paging import Tokens
from exchange.flows.queries.node.status import ProcessFacts
from exchange.flows.rotation.forced import ForcedRetire
from exchange.flows.rules.diff import RedecideFlow, RuleDiff
from exchange.flows.rules.editions import RuleFlow
from exchange.flows.watermark import Watermark
from exchange.rpc.agency import CALL_THREADS, WATCH_THREADS, AgencyParts, agency_services
from exchange.rpc.door import OnRefusal
from exchange.rpc.identity import CallerGate
from exchange.rpc.limits import CallLimits
from exchange.rpc.relay import PeerGate, RelayServer, RelayServicer
from exchange.rpc.servers import Recycling, ServerCertificates, Shown, agency_server, server_credentials
from exchange.rpc.services.submission import authoriser
from exchange.settings import NodeSettings
from exchange.telemetry import Metrics

log = structlog.get_logger("exchange.doors")


class Doors:
    """Both servers of a node, with everything behind them."""

    def __init__(
        self,
        settings: NodeSettings,
        core: Core,
        *,
        live: LiveFiles,
        seen: SeenFlow,
        alarms: Alarms,
        refusals: RefusalFolder,
        metrics: Metrics,
        watermark: Watermark,
    ) -> None:
        self._core = core
        self._alarms = alarms
        self._calls = ThreadPoolExecutor(CALL_THREADS, thread_name_prefix="call")
        self._watchers = ThreadPoolExecutor(WATCH_THREADS, thread_name_prefix="watch")
        self._end_listening: Callable[[], None] = lambda: None
        node = core.node
        self._book = AgencyBook(node)
        self._reads = ReadFolder(node)
        self._live = live
        limits = CallLimits(
            message_bytes=settings.limits.message_bytes,
            batch_items=settings.limits.batch_items,
            batch_bytes=settings.limits.batch_bytes,
            document_bytes=settings.limits.document_bytes,
            calls_per_caller=settings.limits.calls_per_caller,
            watchers_per_caller=settings.limits.watchers_per_caller,
            watchers=settings.limits.watchers,
            calls=settings.limits.calls,
            records_per_minute=settings.limits.records_per_minute,
            calls_per_minute=settings.limits.calls_per_minute,
        )

        def refused(identity: str, reason: str, missing: Sequence[str]) -> None:
            refusals.count(identity, reason, missing)
            metrics.refusals.labels(reason=reason).inc()

        trust, tls = live.trust.edition, live.tls.now.server
        recycling = Recycling(max_age_s=settings.connections.max_age_s, grace_s=settings.connections.grace_s)
        self._gate = CallerGate(
            self._book, trust.own.tls_roots, node.clock, lists=core.revocations, owner=node.name, seen=seen
        )
        door, servicers = agency_services(self._parts(settings, self._gate, limits, watermark, refused))
        self._agencies_shown = Shown(ServerCertificates(key=tls.key, chain=tls.chain, client_roots=trust.own.tls_roots))
        self._agencies = agency_server(
            str(settings.listen.agencies),
            server_credentials(self._agencies_shown),
            door,
            servicers,
            limits,
            recycling,
        )
        self._peer_gate = PeerGate(node.peers, trust.peers, node.federation, core.revocations, seen)
        self._relay_shown = Shown(ServerCertificates(key=tls.key, chain=tls.chain, client_roots=_peer_roots(trust)))
        self._relay = RelayServer(
            str(settings.listen.peers), self._relay_shown, RelayServicer(core, self._peer_gate, node.clock), recycling
        )
        live.trust.listen(self._trust)
        live.tls.listen(shown=self._show, dialled=lambda _client: None)

    def _trust(self, _before: TrustEdition, now: TrustEdition) -> None:
        """Who is let in, and who counts as whom: of new connections and of those that stand."""
        self._agencies_shown.trust(now.own.tls_roots)
        self._relay_shown.trust(_peer_roots(now))
        self._gate.trust(now.own.tls_roots)
        self._peer_gate.trust(now.peers)

    def _show(self, server: TlsIdentity) -> None:
        self._agencies_shown.show(server.key, server.chain)
        self._relay_shown.show(server.key, server.chain)

    def _parts(
        self,
        settings: NodeSettings,
        gate: CallerGate,
        limits: CallLimits,
        watermark: Watermark,
        refused: OnRefusal,
    ) -> AgencyParts:
        core, node = self._core, self._core.node
        self._documents = documents = DocumentFlow(
            node,
            core.submit,
            watermark.admit,
            side=settings.adapters.side,
            limits=DocumentLimits(bytes=settings.limits.document_bytes, rows=settings.limits.document_rows),
        )
        quarantine = QuarantineFlow(node, core.submit, documents)
        erase = EraseFlow(node, core.submit)
        self.retention = retention = RetentionFlow(node, erase)
        rules = RuleFlow(node, core.apply.wake)
        redecide = RedecideFlow(node, RuleDiff(node, Tokens(node.keys.submission_key)), core.apply.wake)
        self._actions = ActionFlow(
            node,
            {
                "retire_lane": core.lanes.carry_out,
                "discard_quarantine": quarantine.carry_out_discard,
                "erase_record": erase.perform,
                "erase_due": retention.perform,
                "activate_rules": rules.carry_out,
                "redecide": redecide.carry_out,
                "remove_authority": self._live.listed.carry_out,
                "retire_authority": ForcedRetire(core.rotations, core.rotations.retire_by_two).carry_out,
            },
            self._alarms,
        )
        return AgencyParts(
            node=node,
            book=self._book,
            gate=gate,
            status=core.status,
            submit=core.submit,
            documents=documents,
            quarantine=quarantine,
            actions=self._actions,
            erase=erase,
            retention=retention,
            rules=rules,
            redecide=redecide,
            alarms=self._alarms,
            lanes=core.lanes,
            rotations=core.rotations,
            live=self._live,
            reads=self._reads,
            trust=core.trust,
            freshness=FreshnessReader(node, settings.freshness.stale_after_s, core.mirror.confirmed),
            facts=ProcessFacts(
                peers=core.peer_statuses,
                version=__version__,
                started_at=node.clock(),
                disk_free=watermark.free,
                certificate_days_left=self._certificate_days_left,
            ),
            calls=self._calls,
            watchers=self._watchers,
            limits=limits,
            lang=settings.node.lang,
            side=settings.adapters.side,
            on_refusal=refused,
        )

    def _certificate_days_left(self) -> int:
        now = self._core.node.clock()
        tls = self._live.tls.now
        signing = (load_der(signer.chain[0]) for signer in self._core.node.keys.signers)
        leaves = (tls.server.leaf, tls.client.leaf, *signing)
        return min((facts_of(leaf).not_after - now).days for leaf in leaves)

    async def open(self) -> None:
        """Serve. Peers first: an agency's record should find its way at once."""
        await self._relay.start()
        await self._agencies.start()
        self._end_listening = self._core.node.events.listen(ALARM_ACKNOWLEDGED, self._acknowledged)
        self._calls.submit(self._finish_documents)
        self._actions.start()
        self._reads.start()

    async def close(self, grace: float) -> None:
        """Take no new call; those in flight get ``grace`` seconds."""
        self._end_listening()
        await self._agencies.stop(grace)
        await self._relay.stop(min(grace, 2.0))
        await asyncio.to_thread(self._actions.close)
        await asyncio.to_thread(self._reads.close)
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._watchers.shutdown(wait=False, cancel_futures=True)

    def _finish_documents(self) -> None:
        """Documents that a crash left without an answer. A node that recovers leaves them to its next start."""
        if self._core.status.may_apply():
            now = self._core.node.clock()
            finished = self._documents.finish_pending(now, lambda agency: authoriser(self._book, agency, now))
            if finished:
                log.info("documents.finished", count=finished)

    def _acknowledged(self) -> None:
        self._calls.submit(self._look_at_restored)

    def _look_at_restored(self) -> None:
        """The security officer acknowledged RESTORED: agencies are served again."""
        for row in self._alarms.open_rows():
            if row.code == "RESTORED" and row.acknowledged_by:
                self._core.acknowledge_restore()
                self._alarms.clear("RESTORED", row.object)
                self._book.reload()


def _peer_roots(trust: TrustEdition) -> bytes:
    """Authorities whose clients are let in at the peers' door; without peers our own, so that nobody else is."""
    return b"".join(each.card.tls_roots for each in trust.peers.values()) or trust.own.tls_roots
