"""Alerts of other sides that no duty desk of this one has answered, and whether their time has passed.

Nothing in a register changes by time: what is late is computed from the arrival, which the registers hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import DecodeError

from exchange.domain.requests import settling
from exchange.flows.context import Node
from exchange.flows.instants import instant
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordFilter, RecordRow, Waits
from exchange.v1.alert_pb2 import Alert
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import OpenAlerts
from exchange.v1.record_pb2 import Record

MOST = 1_000
"""Alerts looked at, the newest ones: far more than two regions have at once."""

WAITING = Waits(verbs=settling(Kind.KIND_ALERT))
"""What it is for an alert to wait."""


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that waits.

    Attributes:
        alert: Its content; empty where the body is not here.
        answer_by: When its time is over.
    """

    row: RecordRow
    alert: Alert
    answer_by: datetime
    late: bool


def answer_by(node: Node, level: int, arrived: int) -> datetime:
    """Until when an alert has to be answered: its level's time from its arrival, in microseconds."""
    return instant(arrived) + node.tables.alert_limits.of(level)


def open_alerts(connection: Connection, node: Node, now: datetime) -> Sequence[OpenAlert]:
    """Alerts that wait for this side, newest first."""
    wanted = RecordFilter(readable={Kind.KIND_ALERT: None}, not_origin=node.name, waits=WAITING)
    rows = records.page(connection, wanted, before=records.newest_seq(connection) + 1, after=0, limit=MOST)
    bodies = records.bodies(connection, rows) if rows else {}
    found = []
    for row in rows:
        arrived = row.mirrored_at if row.mirrored_at is not None else row.logged_at
        until = answer_by(node, row.level, arrived)
        found.append(OpenAlert(row, _alert(bodies.get((row.log_id, row.idx))), until, now > until))
    return found


def count_alerts(connection: Connection, node: Node, now: datetime) -> OpenAlerts:
    """How many wait; drills apart."""
    return counts_of(open_alerts(connection, node, now))


def counts_of(alerts: Sequence[OpenAlert]) -> OpenAlerts:
    """The same of alerts that were read."""
    real = [each for each in alerts if not each.alert.is_exercise]
    drills = [each for each in alerts if each.alert.is_exercise]
    return OpenAlerts(
        open=len(real),
        late=sum(each.late for each in real),
        exercises=len(drills),
        late_exercises=sum(each.late for each in drills),
    )


def _alert(body: bytes | None) -> Alert:
    try:
        return Record.FromString(body or b"").alert
    except DecodeError:
        return Alert()
