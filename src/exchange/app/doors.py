"""The two doors of a node: one for agencies and officers, one for peers."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from exchange import __version__
from exchange.app.core import Core
from exchange.app.startup import Files
from exchange.crypto.certificates import facts_of, load_chain
from exchange.flows.access import AgencyBook
from exchange.flows.alarms import ALARM_ACKNOWLEDGED, Alarms
from exchange.flows.documents import DocumentFlow, DocumentLimits
from exchange.flows.quarantine import QuarantineFlow
from exchange.flows.queries.freshness import FreshnessReader
from exchange.flows.queries.status import ProcessFacts
from exchange.flows.refusals import RefusalFolder
from exchange.flows.watermark import Watermark
from exchange.rpc.agency import CALL_THREADS, WATCH_THREADS, AgencyParts, agency_services
from exchange.rpc.identity import CallerGate
from exchange.rpc.limits import CallLimits
from exchange.rpc.relay import PeerGate, RelayServer, RelayServicer
from exchange.rpc.servers import ServerCertificates, agency_server, server_credentials
from exchange.rpc.services.submission import authoriser
from exchange.settings import NodeSettings
from exchange.telemetry import Metrics

log = structlog.get_logger("exchange.doors")


class Doors:
    """Both servers of a node, with everything behind them."""

    def __init__(
        self,
        settings: NodeSettings,
        files: Files,
        core: Core,
        *,
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
        self._leaves = (load_chain(files.tls.chain)[0], files.keys.signer.certificate)
        limits = CallLimits(
            message_bytes=settings.limits.message_bytes,
            batch_items=settings.limits.batch_items,
            batch_bytes=settings.limits.batch_bytes,
            document_bytes=settings.limits.document_bytes,
            calls_per_caller=settings.limits.calls_per_caller,
            watchers_per_caller=settings.limits.watchers_per_caller,
            watchers=settings.limits.watchers,
        )

        def refused(identity: str, reason: str) -> None:
            refusals.count(identity, reason)
            metrics.refusals.labels(reason=reason).inc()

        gate = CallerGate(self._book, files.own.tls_roots, node.clock)
        door, servicers = agency_services(self._parts(settings, gate, limits, watermark, refused))
        shown = ServerCertificates(key=files.tls.key, chain=files.tls.chain, client_roots=files.own.tls_roots)
        self._agencies = agency_server(
            str(settings.listen.agencies),
            server_credentials(lambda: shown),
            door,
            servicers,
            limits,
        )
        roots = b"".join(trust.card.tls_roots for trust in files.trust.values()) or files.own.tls_roots
        peer_gate = PeerGate(node.peers, files.trust, node.federation)
        self._relay = RelayServer(
            str(settings.listen.peers),
            ServerCertificates(key=files.tls.key, chain=files.tls.chain, client_roots=roots),
            RelayServicer(core, peer_gate, node.clock),
        )

    def _parts(
        self,
        settings: NodeSettings,
        gate: CallerGate,
        limits: CallLimits,
        watermark: Watermark,
        refused: Callable[[str, str], None],
    ) -> AgencyParts:
        core, node = self._core, self._core.node
        self._documents = documents = DocumentFlow(
            node,
            core.submit,
            watermark.admit,
            side=settings.adapters.side,
            limits=DocumentLimits(bytes=settings.limits.document_bytes, rows=settings.limits.document_rows),
        )
        return AgencyParts(
            node=node,
            book=self._book,
            gate=gate,
            status=core.status,
            submit=core.submit,
            documents=documents,
            quarantine=QuarantineFlow(node, core.submit, documents),
            alarms=self._alarms,
            lanes=core.lanes,
            rotations=core.rotations,
            freshness=FreshnessReader(node, settings.freshness.stale_after_s, core.mirror.confirmed),
            facts=ProcessFacts(
                peers=core.links.statuses,
                version=__version__,
                started_at=node.clock(),
                disk_free=watermark.free,
                certificate_days_left=self._certificate_days_left,
            ),
            calls=self._calls,
            watchers=self._watchers,
            limits=limits,
            lang=settings.node.lang,
            on_refusal=refused,
        )

    def _certificate_days_left(self) -> int:
        now = self._core.node.clock()
        return min((facts_of(leaf).not_after - now).days for leaf in self._leaves)

    async def open(self) -> None:
        """Serve. Peers first: an agency's record should find its way at once."""
        await self._relay.start()
        await self._agencies.start()
        self._end_listening = self._core.node.events.listen(ALARM_ACKNOWLEDGED, self._acknowledged)
        self._calls.submit(self._finish_documents)

    async def close(self, grace: float) -> None:
        """Take no new call; those in flight get ``grace`` seconds."""
        self._end_listening()
        await self._agencies.stop(grace)
        await self._relay.stop(min(grace, 2.0))
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._watchers.shutdown(wait=False, cancel_futures=True)

    def _finish_documents(self) -> None:
        """Documents that a crash left without an answer. A node that recovers leaves them to its next start."""
        if self._core.status.may_apply():
            finished = self._documents.finish_pending(
                self._core.node.clock(), lambda agency: authoriser(self._book, agency)
            )
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
