"""``status``: what is the matter, first of all the alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Exit, Output, as_dict, finish, moment
from exchange.cli.texts import reason_text, t
from exchange.v1.operation_service_pb2 import GetStatusRequest

if TYPE_CHECKING:
    from exchange.v1.operation_service_pb2 import Alarm, GetStatusResponse, LaneStatus


def status(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Show the node's state; exit status 1 while an alarm is open."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.operation.GetStatus, GetStatusRequest())
    if out.as_json:
        out.value(as_dict(answer))
    else:
        _show(out, answer)
    finish(Exit.FINDING if answer.alarms else Exit.DONE)


def _show(out: Output, answer: GetStatusResponse) -> None:
    if answer.alarms:
        out.say(t("message.open_alarms", count=len(answer.alarms)), style="bold red")
        out.table(ALARM_HEADINGS, [alarm_cells(alarm) for alarm in answer.alarms])
    else:
        out.say(t("message.no_alarms"), style="green")
    out.facts(
        (
            ("node", f"{answer.node}.{answer.domain}"),
            ("state", words.node_state_word(answer.state)),
            ("version", answer.version),
            ("started", moment(answer.started_at)),
            ("submissions", answer.submissions),
            ("quarantined", answer.quarantined),
            ("journal", f"{answer.journal_witnessed}/{answer.journal_size}"),
            ("disk_free", f"{answer.disk_free / 2**30:.1f} GiB"),
            ("certificate_days", answer.certificate_days_left),
        )
    )
    out.table(LANE_HEADINGS, [lane_cells(lane) for lane in answer.lanes], title=t("title.lanes"))
    if answer.peers:
        out.table(
            ("peer", "transport", "last_hello", "clock_ahead", "last_given", "last_taken", "waiting"),
            [
                (
                    p.peer,
                    words.transport_word(p.transport),
                    moment(p.last_hello),
                    f"{p.clock_ahead_seconds:+.1f} s",
                    moment(p.last_given),
                    moment(p.last_taken),
                    p.waiting or "",
                )
                for p in answer.peers
            ],
            title=t("title.peers"),
        )
    if answer.missing_attachments:
        out.table(
            ("origin", "missing_attachments", "missing_bytes", "oldest"),
            [(m.origin, m.count, m.bytes, moment(m.oldest)) for m in answer.missing_attachments],
            title=t("title.missing_attachments"),
        )
    if answer.overdue:
        out.table(
            ("agency", "overdue", "oldest_due"),
            [(each.agency, each.count, each.oldest_due_on) for each in answer.overdue],
            title=t("title.overdue"),
        )
    if answer.alerts.open or answer.alerts.exercises:
        out.table(
            ("alerts_open", "late", "exercises", "late_exercises"),
            [(answer.alerts.open, answer.alerts.late, answer.alerts.exercises, answer.alerts.late_exercises)],
            title=t("title.alerts"),
        )
    if answer.unconfirmed:
        out.table(
            ("agency", "unconfirmed", "overdue"),
            [(each.agency, each.count, each.overdue) for each in answer.unconfirmed],
            title=t("title.unconfirmed"),
        )
    out.table(
        ("peer", "lane", "complete_until", "mirrored", "applied", "stale"),
        [
            (f.peer, words.lane_word(f.lane), moment(f.complete_until), f.mirrored, f.applied, f.stale)
            for f in answer.freshness
        ],
        title=t("title.freshness"),
    )
    out.table(
        COUNT_HEADINGS,
        [
            (
                c.peer,
                words.kind_word(c.kind),
                c.submitted,
                c.delivered,
                c.pending,
                c.unanswered,
                c.recognised,
                c.conditional,
                c.deferred,
                c.not_recognised,
            )
            for c in answer.counts
        ],
        title=t("title.counts"),
    )


COUNT_HEADINGS = (
    "peer",
    "kind",
    "submitted",
    "delivered",
    "pending",
    "unanswered",
    "recognised",
    "conditional",
    "deferred",
    "not_recognised",
)
"""Columns of the counting rule: submitted = delivered + pending; delivered = the rest."""

ALARM_HEADINGS = ("id", "code", "object", "since", "last_seen", "meaning", "remedy", "acknowledged_by")
"""Columns of alarms."""

LANE_HEADINGS = ("peer", "lane", "state", "size", "cosigned", "backlog", "oldest", "mirrored", "applied", "last_error")
"""Columns of lanes."""


def alarm_cells(alarm: Alarm) -> tuple[object, ...]:
    """One alarm as a row; text and remedy in the language of the run, where the table knows the code."""
    text = reason_text(alarm.code)
    message = text.message if text.remedy else alarm.message or alarm.code
    return (
        alarm.id,
        alarm.code,
        alarm.object,
        moment(alarm.since),
        moment(alarm.last_seen),
        "\n".join(filter(None, (message, alarm.detail))),
        text.remedy or alarm.remedy,
        alarm.acknowledged_by,
    )


def lane_cells(lane: LaneStatus) -> tuple[object, ...]:
    """One lane as a row."""
    return (
        lane.peer,
        words.lane_word(lane.lane),
        words.lane_state_word(lane.state),
        lane.size,
        lane.delivered,
        lane.size - lane.delivered,
        f"{lane.backlog_seconds:.0f} s" if lane.backlog_seconds else "",
        lane.mirrored,
        lane.applied,
        lane.last_error,
    )
