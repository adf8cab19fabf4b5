"""Bodies whose time is over by rule (tables/retention.toml): listed for officers, and erased once two of them agreed.

Nothing is erased by time alone: what a period makes due is computed when it is asked for, and each body goes by an
Erasure record in its lane, as any other does, so that peers erase it too and replay agrees. What the officers confirm
is the very list of records, with the rule and the legal ground of each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import merge

import structlog

from exchange.domain.catalogues.retention import DATE, RetentionRule
from exchange.domain.problems import Problem, Refused
from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import Confirmed
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.intake.ids import format_id
from exchange.storage.engine.database import DATABASE_ERRORS
from exchange.storage.queries import retention
from exchange.storage.queries.retention import OldRecord
from exchange.v1.action_pb2 import ActionRequest, EraseDueAction, EraseRecordAction, RetentionDue
from exchange.v1.common_pb2 import RecordRef

MOST = 500
"""Records of one list and of one action: two officers can look through it, and its line fits the journal."""

PAGE = 200
"""Rows read at a time."""

LOOK_SECONDS = 21_600.0
"""How often the node looks whether something is due: periods end at midnight, and officers come once a day."""

DUE = "RETENTION_DUE"


_log = structlog.get_logger(__name__)


class RetentionFlow:
    """What is due, and its erasing.

    Args:
        node: The node.
        erase: Erases one record on the node's own initiative.
    """

    def __init__(self, node: Node, erase: EraseFlow) -> None:
        self._node = node
        self._erase = erase

    @property
    def edition(self) -> str:
        """Edition of the table."""
        return self._node.tables.retention.edition

    def due(self, now: datetime, limit: int = MOST) -> list[RetentionDue]:
        """Records of this region whose period is over, by rule and then oldest first; each once, by the first rule.

        Raises:
            Refused: ``PAGE_SIZE``.
        """
        if not 0 <= limit <= MOST:
            raise Refused([Problem("PAGE_SIZE", "page_size", str(limit))])
        found: dict[str, RetentionDue] = {}
        for rule in self._node.tables.retention.rules:
            for each in self._of_rule(rule, now):
                found.setdefault(each.record.record_id, each)
                if len(found) == (limit or MOST):
                    return list(found.values())
        return list(found.values())

    def _of_rule(self, rule: RetentionRule, now: datetime) -> Iterator[RetentionDue]:
        by_kind = [self._of_kind(rule, kind, now) for kind in sorted(rule.kinds)]
        for row in merge(*by_kind, key=lambda row: (row.since, row.record_id)):
            yield RetentionDue(
                record=RecordRef(origin=self._node.name, record_id=format_id(row.record_id)),
                kind=row.kind,  # type: ignore[arg-type]
                since=row.since,
                rule=rule.id,
                ground_code=rule.ground_code,
                legal_ground=rule.legal_ground,
            )

    def _of_kind(self, rule: RetentionRule, kind: int, now: datetime) -> Iterator[OldRecord]:
        last = rule.last_day(now.astimezone(LOCAL_TIME).date())
        tombstone = "" if rule.since == DATE else rule.since
        after = ("", b"")
        while True:
            with self._node.database.read() as connection:
                rows = retention.older(
                    connection, rule.erasure_class, kind, last, tombstone=tombstone, after=after, limit=PAGE
                )
            yield from rows
            if len(rows) < PAGE:
                return
            after = (rows[-1].since, rows[-1].record_id)

    def ask(self, order: EraseDueAction, now: datetime) -> EraseDueAction:
        """The action that would erase what is due now, by whose order it is.

        Raises:
            Refused: Nothing is due; or the order lacks something, as the door for Erasures says of its first record.
        """
        due = self.due(now)
        if not due:
            raise Refused([Problem("NOTHING_DUE", "records")])
        asked = EraseDueAction(
            records=due,
            edition=self.edition,
            ordered_by=order.ordered_by,
            ordered_on=now.astimezone(LOCAL_TIME).date().isoformat(),
        )
        self._erase.check(_order(asked, due[0]), now)
        return asked

    def perform(self, request: ActionRequest, who: Confirmed) -> str:
        """Submit an Erasure for each; gives how many there are, and the reasons of those that the door did not take.

        Done again after a crash it submits each once: its key is made of the action and the record.
        """
        asked = request.erase_due
        refused: dict[str, int] = {}
        erased = 0
        for each in asked.records:
            try:
                self._erase.hand_in(_order(asked, each), f"{who.action_id}/{each.record.record_id[-12:]}", who.now)
            except Refused as error:
                reason = error.problems[0].reason
                # By this very action before a crash, or by somebody else since it was asked for: it is erased.
                erased += reason == "ERASED"
                if reason != "ERASED":
                    refused[reason] = refused.get(reason, 0) + 1
            else:
                erased += 1
        told = [f"{erased} of {len(asked.records)}", *(f"{reason} {n}" for reason, n in sorted(refused.items()))]
        return ", ".join(told)


class RetentionWatch:
    """Tells officers that something is due: once erased, or kept by another table, the alarm clears.

    Args:
        flow: What is due.
        clock: The node's clock.
        raise_: Opens an alarm: code, object, detail.
        clear: Clears it: code, object.
    """

    def __init__(
        self,
        flow: RetentionFlow,
        clock: Callable[[], datetime],
        raise_: Callable[[str, str, str], None],
        clear: Callable[[str, str], None],
    ) -> None:
        self._flow = flow
        self._clock = clock
        self._raise = raise_
        self._clear = clear

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except DATABASE_ERRORS as error:
                _log.warning("retention-unread", error=str(error)[:200])
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Look once."""
        due = self._flow.due(self._clock())
        if due:
            rules = Counter(each.rule for each in due)
            told = ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items()))
            self._raise(DUE, "records", f"{told}{' +' if len(due) == MOST else ''}")
        else:
            self._clear(DUE, "records")


def _order(asked: EraseDueAction, due: RetentionDue) -> EraseRecordAction:
    return EraseRecordAction(
        record=due.record,
        legal_ground=due.legal_ground,
        ground_code=due.ground_code,
        ordered_by=asked.ordered_by,
        ordered_on=asked.ordered_on,
    )
