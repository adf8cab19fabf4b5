"""Every few seconds: lag, backlog and certificate days as metrics, and the alarms that time alone brings."""

from __future__ import annotations

import asyncio
from datetime import UTC

import structlog

from exchange.app.core import Core
from exchange.crypto.x509.certificates import facts_of, load_der
from exchange.domain.lanes import LANE_NAMES
from exchange.domain.problems import ExchangeError
from exchange.flows.alarms import Alarms
from exchange.flows.alerts import AlertWatch
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.queries.registers.feedback import overdue_by_agency
from exchange.settings import NodeSettings
from exchange.telemetry import Metrics

log = structlog.get_logger("exchange.metrics")

EVERY_SECONDS = 5.0
"""How often lanes are looked at: one query for each."""


class MetricsLoop:
    """Keeps the gauges current."""

    def __init__(self, settings: NodeSettings, core: Core, alarms: Alarms, metrics: Metrics, live: LiveFiles) -> None:
        self._settings = settings
        self._core = core
        self._alarms = alarms
        self._metrics = metrics
        self._live = live
        self._alerts = AlertWatch(core.node, alarms, core.status.may_apply)
        self._open: set[str] = set()
        self._owing: set[str] = set()
        self._parcels: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except ExchangeError as error:
                log.warning("metrics.failed", reason=error.reason)
            await asyncio.sleep(EVERY_SECONDS)

    def look(self) -> None:
        """Look once."""
        for lane in self._core.lanes.lane_statuses():
            labels = {"peer": lane.peer, "lane": LANE_NAMES[lane.lane]}
            self._metrics.lag.labels(**labels).set(lane.backlog_seconds)
            self._metrics.backlog.labels(**labels).set(lane.size - lane.delivered)
        for use, days in self.certificate_days().items():
            self._metrics.certificate_days.labels(use=use).set(days)
            if days <= self._settings.certificates.warn_days:
                self._alarms.raise_("CERTIFICATE_EXPIRING", use, f"{days} d")
            else:
                self._alarms.clear("CERTIFICATE_EXPIRING", use)
        self._look_at_couriers()
        self._look_at_feedback()
        self._look_at_alerts()
        codes = [code for code, _ in self._alarms.open_names()]
        for code in self._open | set(codes):
            self._metrics.alarms.labels(code=code).set(codes.count(code))
        self._open |= set(codes)

    def _look_at_couriers(self) -> None:
        now = self._core.node.clock()
        for status in self._core.peer_statuses():
            if status.transport != "folder":
                continue
            age = 0.0
            if status.HasField("oldest_waiting"):
                age = max(0.0, (now - status.oldest_waiting.ToDatetime(UTC)).total_seconds())
            self._metrics.courier_waiting.labels(peer=status.peer).set(status.waiting)
            self._metrics.courier_oldest.labels(peer=status.peer).set(age)
            for way, count in (("out", status.parcels_out), ("in", status.parcels_in)):
                counted = self._parcels.get((status.peer, way), 0)
                self._metrics.courier_parcels.labels(peer=status.peer, way=way).inc(count - counted)
                self._parcels[status.peer, way] = count

    def _look_at_feedback(self) -> None:
        node = self._core.node
        with node.database.read() as connection:
            overdue = {each.agency: each.count for each in overdue_by_agency(connection, node.clock())}
        for agency in self._owing | set(overdue):
            self._metrics.feedback_overdue.labels(agency=agency).set(overdue.get(agency, 0))
        self._owing |= set(overdue)

    def _look_at_alerts(self) -> None:
        counts = self._alerts.look(self._core.node.clock())
        if counts is None:
            return
        for sort, late, count in (
            ("alert", "no", counts.open - counts.late),
            ("alert", "yes", counts.late),
            ("exercise", "no", counts.exercises - counts.late_exercises),
            ("exercise", "yes", counts.late_exercises),
        ):
            self._metrics.alerts.labels(sort=sort, late=late).set(count)

    def certificate_days(self) -> dict[str, int]:
        """Days until each certificate of ours ends."""
        now = self._core.node.clock()
        tls = self._live.tls.now
        leaves = {"tls-server": tls.server.leaf, "tls-client": tls.client.leaf}
        for place, signer in enumerate(self._core.node.keys.signers):
            leaves["signing" if place == 0 else f"signing-{signer.algorithm.lower()}"] = load_der(signer.chain[0])
        return {use: (facts_of(leaf).not_after - now).days for use, leaf in leaves.items()}
