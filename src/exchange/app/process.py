"""One node as a process: doors, loops, signals. A crash at any moment is repaired by the next start."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import structlog
import uvloop

from exchange import telemetry
from exchange.app import startup
from exchange.app.core import Core
from exchange.app.doors import Doors
from exchange.app.drivers import tls_drivers
from exchange.app.folder_lock import one_process
from exchange.app.live import LiveLoop, make_live, roots_of
from exchange.app.memory import keep_giving_back
from exchange.app.metrics import MetricsLoop
from exchange.app.passphrase import key_lock
from exchange.app.ports import PeerPorts
from exchange.app.revocations import RevocationFolder
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.trusted.trust import SIGNING_ROOTS
from exchange.flows.alarms import AlarmCommand, Alarms
from exchange.flows.audit.keeping.retention import RetentionWatch
from exchange.flows.audit.timestamping import TimestampLoop
from exchange.flows.certificates.peer_roots import PeerRoots
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.context import Node
from exchange.flows.intake.refusals import RefusalFolder
from exchange.flows.trust.revocations import Freshness, StalePolicy
from exchange.flows.watermark import Marks, Watermark
from exchange.rpc.peer import GrpcPeer
from exchange.rpc.time_service import HttpTimeService
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import write_peer
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.wal import WalCheckpointer

log = structlog.get_logger("exchange.process")

EXIT_DISK = 74
"""Exit status after an I/O error of the database (EX_IOERR): the service manager starts the node anew."""


SWITCH_INTERVAL_S = 0.001
"""How long a thread may hold the interpreter while another one waits for it. Python's own 5 ms is added to a call each
time that it comes back from the disk or from a signature while batches are being worked on."""

COLLECT_EVERY = 50_000
"""Objects that may be made before the collector looks for cycles. A batch makes some ten thousand and leaves no cycle;
at Python's own 700 the collector took a twentieth of the time or more."""


def run(settings: NodeSettings, lock: KeyLock | None = None) -> int:
    """Run a node until it is told to stop.

    Args:
        settings: The node file.
        lock: What opened the key files already; None: they are opened here.

    Returns:
        Exit status: 0 after a clean stop.
    """
    telemetry.configure_logging(form=settings.log.format, level=settings.log.level)
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(COLLECT_EVERY)
    folder = startup.data_folder(settings)
    with one_process(folder):
        lock = lock or key_lock(settings)
        files = startup.read_files(settings, lock)
        migrate(settings.database.url)
        return uvloop.run(_serve(settings, files, lock))


async def _serve(settings: NodeSettings, files: startup.Files, lock: KeyLock) -> int:
    metrics = telemetry.Metrics()
    database = Database(settings.database.url)
    node = startup.make_node(settings, files, database, on_commit=metrics.commit_batch.observe, on_fatal=_exit_now)
    alarms = Alarms(
        node,
        AlarmCommand(
            argv=settings.alarms.command, timeout_s=settings.alarms.command_timeout_s, lang=settings.node.lang[:2]
        ),
    )
    marks = Marks(
        telemetry=settings.disk.telemetry_below,
        registry=settings.disk.registry_below,
        urgent=settings.disk.urgent_below,
    )
    watermark = Watermark(settings.node.data, marks, alarms)
    refusals = RefusalFolder(node)
    seen = SeenFlow(node)
    running: list[Core] = []
    ports, live, announced = _live(settings, files, lock, node, alarms, seen, running)
    core = Core(
        node,
        ports.by_peer,
        alarms,
        pulling=ports.pulling,
        pull_seconds=settings.delivery.call_timeout_s // 2,
        drivers=(
            *tls_drivers(settings, lock, node, live, seen, ports),
            *startup.key_drivers(node, settings, lock, lambda: live.trust.edition.own.files[SIGNING_ROOTS]),
        ),
        admit=watermark.admit,
        pace=startup.lane_pace(settings),
        folder_pace=startup.folder_pace(settings),
        witness_seconds=settings.journal.witness_interval_s,
        witness_limit=settings.journal.witness_limit_s,
        carried_limit=settings.courier.overdue_h * 3600.0,
        skew_limit=settings.clock.skew_limit_s,
        roots=roots_of(node.name, live.trust),
        told_roots=live.told.tell,
        peer_roots=announced,
        freshness=Freshness(policy=StalePolicy(settings.trust.crl), grace=timedelta(hours=settings.trust.crl_grace_h)),
        on_retry=lambda peer, lane, reason: metrics.retries.labels(peer=peer, lane=lane).inc(),
    )
    startup.activate_editions(node, files)
    running.append(core)
    live.trust.listen(lambda _before, _now: core.trust_changed())
    live.trust.activate(f"node {node.name}", node.clock())
    live.trust.listen(lambda _before, _now: core.revocations.trust_changed())
    lists = RevocationFolder(settings.trust.folder, node, core.revocations, core.status.may_apply)
    await asyncio.to_thread(lists.look)
    wal = WalCheckpointer(database)
    doors = Doors(
        settings,
        core,
        live=live,
        seen=seen,
        alarms=alarms,
        refusals=refusals,
        metrics=metrics,
        watermark=watermark,
    )
    stop_metrics = metrics.serve(settings.listen.metrics.host, settings.listen.metrics.port)
    alarms.start()
    refusals.start()
    seen.start()
    wal.start()
    stopped = _on_signals()
    ports.start()
    await core.start()
    await doors.open()
    announced.start()
    watches = [
        asyncio.create_task(_watch_connection(port, core, peer), name=f"connection {peer}")
        for peer, port in ports.dialled.items()
    ]
    watches.append(asyncio.create_task(MetricsLoop(settings, core, alarms, metrics, live).run(), name="metrics"))
    watches += [
        asyncio.create_task(keep_giving_back(), name="memory"),
        asyncio.create_task(LiveLoop(settings, core, live).run(), name="live"),
        *_timestamping(settings, node, alarms),
        asyncio.create_task(
            RetentionWatch(doors.retention, node.clock, alarms.raise_, alarms.clear).run(), name="retention"
        ),
    ]
    watches.append(asyncio.create_task(lists.run(), name="revocation lists"))
    # What was read at the start stays: it is not looked at again.
    gc.collect()
    gc.freeze()
    log.info("node.started", node=node.name, agencies=str(settings.listen.agencies), peers=str(settings.listen.peers))
    try:
        await stopped.wait()
    finally:
        log.info("node.stopping", node=node.name)
        for task in watches:
            task.cancel()
        core.pull_door.close()
        await doors.close(settings.shutdown.drain_s)
        await core.stop()
        await ports.close()
        await asyncio.to_thread(_close_threads, node, announced, refusals, seen, alarms, wal, stop_metrics)
        database.dispose()
        log.info("node.stopped", node=node.name)
    return 0


def _live(
    settings: NodeSettings,
    files: startup.Files,
    lock: KeyLock,
    node: Node,
    alarms: Alarms,
    seen: SeenFlow,
    running: Sequence[Core],
) -> tuple[PeerPorts, LiveFiles, PeerRoots]:
    """Connections to peers, and what is taken from files while the node runs; ``running`` gets the core later."""
    ports = PeerPorts(settings, files.tls.client, files.trust, alarms, seen, node)
    # What a rotation left undone is finished while the core is put together: no step runs then.
    live = make_live(
        settings,
        files,
        lock,
        node,
        alarms,
        seen,
        lambda: running[0].apply.busy if running else contextlib.nullcontext(),
        lambda owner, use: running[0].revocations.of(owner, use).lists if running else (),
    )
    live.trust.listen(ports.trust)
    live.tls.listen(shown=lambda _server: None, dialled=ports.dial_by)
    folder = settings.trust.folder
    announced = PeerRoots(node, live.trust, lambda peer, made: write_peer(folder, peer, made), seen, alarms)
    return ports, live, announced


def _timestamping(settings: NodeSettings, node: Node, alarms: Alarms) -> Iterator[asyncio.Task[None]]:
    """The loop that has checkpoints stamped, where the node file names an authority."""
    stamps = settings.timestamps
    if stamps.url is not None and stamps.roots is not None:
        service = HttpTimeService(stamps.url)
        loop = TimestampLoop(node, service, stamps.roots.read_bytes, stamps.interval_s, alarms.raise_, alarms.clear)
        yield asyncio.create_task(loop.run(), name="timestamps")


async def _watch_connection(port: GrpcPeer, core: Core, peer: str) -> None:
    """The peer coming back wakes its lanes at once."""
    await port.watch_connection(lambda: core.peer_is_back(peer))


def _on_signals() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _close_threads(
    node: Node,
    announced: PeerRoots,
    refusals: RefusalFolder,
    seen: SeenFlow,
    alarms: Alarms,
    wal: WalCheckpointer,
    stop_metrics: Callable[[], None],
) -> None:
    announced.close()
    refusals.close()
    seen.close()
    alarms.close()
    wal.close()
    node.writer.close()
    stop_metrics()


def _exit_now(error: BaseException) -> None:
    """The disk lied: nothing in memory can be trusted. What is on disk is read again by the next start."""
    log.critical("database.failed", error=type(error).__name__, detail=str(error)[:200])
    threading.Thread(target=lambda: os._exit(EXIT_DISK), daemon=True).start()
