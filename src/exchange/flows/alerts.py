"""The operator is told of each alert that waits for a duty desk, and told again when its time has passed.

Both are alarms: raised, cleared and written into the journal as every other, also over a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exchange.flows.alarms import Alarms
from exchange.flows.context import Node
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.registers.open_alerts import OpenAlert, counts_of, open_alerts
from exchange.v1.alert_pb2 import AlertLevel
from exchange.v1.operation_service_pb2 import OpenAlerts

OPEN = "ALERT_OPEN"
UNANSWERED = "ALERT_UNANSWERED"
DRILL = "EXERCISE"
"""What the object and detail of a drill's alarm begin with."""


class AlertWatch:
    """Keeps the alarms about alerts as the registers have it.

    Args:
        node: The node.
        alarms: Where they are raised.
        allowed: Whether the registers are whole; not while they are rebuilt.
    """

    def __init__(self, node: Node, alarms: Alarms, allowed: Callable[[], bool] = lambda: True) -> None:
        self._node = node
        self._alarms = alarms
        self._allowed = allowed

    def look(self, now: datetime) -> OpenAlerts | None:
        """Look once; None while the registers are not whole."""
        if not self._allowed():
            return None
        with self._node.database.read() as connection:
            alerts = open_alerts(connection, self._node, now)
        standing = set()
        for each in alerts:
            about = _object(each)
            for code in (OPEN, UNANSWERED) if each.late else (OPEN,):
                standing.add((code, about))
                self._alarms.raise_(code, about, _detail(each))
        for code, about in self._alarms.open_names():
            if code in (OPEN, UNANSWERED) and (code, about) not in standing:
                self._alarms.clear(code, about)
        return counts_of(alerts)


def _object(each: OpenAlert) -> str:
    alert = each.alert
    name = f"{alert.event_id}/{alert.sequence}" if alert.event_id else format_id(each.row.record_id)
    return " ".join(filter(None, (DRILL if alert.is_exercise else "", each.row.origin, name)))


def _detail(each: OpenAlert) -> str:
    level = AlertLevel.Name(each.row.level).removeprefix("ALERT_LEVEL_")  # type: ignore[arg-type]
    parts = (DRILL if each.alert.is_exercise else "", level, each.row.area, f"{each.answer_by:%Y-%m-%d %H:%M:%SZ}")
    return " ".join(filter(None, parts))
