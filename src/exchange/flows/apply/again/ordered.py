"""What two officers ordered to be decided again by an edition of the rules (cause RULE_REDECIDE).

Only what the edition decides otherwise is decided again; the new decision stands beside the old one. The search walks
each mirror up to where apply stands. It is forgotten with the process and begins anew: what is decided by the edition
already is not decided twice.
"""

from __future__ import annotations

from exchange.domain.recognising.facts import FactUnknown
from exchange.domain.recognising.recognition import RuleSet
from exchange.flows.apply.changes.overlay import PLACES
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.apply.steps import Redecide
from exchange.flows.context import Node
from exchange.flows.rules.compare import Case, cases, differs, mirrors
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store
from exchange.storage.queries import rules
from exchange.storage.registers import registers
from exchange.v1.journal_pb2 import JournalEntry, RedecisionOrdered
from exchange.v1.kind_pb2 import Kind
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.rule_pb2 import RedecisionOrder, RedecisionState

PAGE = 256
"""Entries looked at together: a read transaction is a short one."""


class OrderedSweep:
    """Finds what has to be decided again, and says when an order is carried out.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._at: dict[str, tuple[int, int]] = {}

    def forget(self) -> None:
        """Begin anew: a step may not have been committed."""
        self._at.clear()

    def due(self, connection: Connection) -> tuple[LogHead, list[Redecide]] | RedecisionOrder | bool:
        """What to do next.

        Returns:
            A mirror and those of its entries that one step decides again; an order that is carried out; True when a
            page was looked at in vain; False when there is no order.
        """
        order = next(iter(rules.open_orders(connection)), None)
        if order is None:
            return False
        edition = self._node.rules.book.by_digest(order.digest)
        if edition is None:
            return order
        cursors = registers.next_indices(connection)
        place = self._at.get(order.order_id, (0, 0))
        for log in mirrors(log_store.heads(connection), order.origin):
            if log.id < place[0]:
                continue
            position = place[1] if log.id == place[0] else 0
            end = min(cursors.get(log.id, 0), position + PAGE)
            if position >= end:
                continue
            found = self._changed(connection, log, position, end, order, edition)
            self._at[order.order_id] = (log.id, end)
            return (log, found[:PLACES]) if found else True
        return order

    def finish(self, order: RedecisionOrder) -> None:
        """An order is carried out: the journal says so."""
        order.state = RedecisionState.REDECISION_STATE_DONE
        event = JournalEntry(redecision_ordered=RedecisionOrdered(order=order))
        event.at.FromDatetime(self._node.clock())
        self._node.writer.call(rules.put_orders, event, WorkClass.REGISTRY)
        self._at.pop(order.order_id, None)

    def _changed(
        self, connection: Connection, log: LogHead, first: int, end: int, order: RedecisionOrder, edition: RuleSet
    ) -> list[Redecide]:
        found = [
            each
            for each in cases(connection, log, first, end)
            if self._wanted(each, order)
            and (each.ruling.digest == edition.digest or would_change(self._node, each, edition))
        ]
        rows = registers.records_of(connection, [(log.peer, each.entry.record_id) for each in found])
        waiting = registers.waits_at(connection, log.id, [each.entry.index for each in found])
        due = []
        for each in found:
            listed = rows.get((log.peer, each.entry.record_id), ())
            row = next((row for row in listed if (row["log_id"], row["idx"]) == (log.id, each.entry.index)), None)
            has_effect = row is not None and bool(read_decision(row["decision"]).rules) and row["tombstone"] != "ERASED"
            # By the edition already: decided, and only taken again where a restore lost the step that decided it.
            taken = (
                row is not None and each.ruling.digest == edition.digest and row["decision_revision"] >= each.revision
            )
            if row is not None and has_effect and not taken and each.entry.index not in waiting:
                cause = DecisionCause.DECISION_CAUSE_RULE_REDECIDE
                due.append(Redecide(each.entry.index, cause, row["decision_revision"]))
        return due

    @staticmethod
    def _wanted(case: Case, order: RedecisionOrder) -> bool:
        assert case.entry.statement is not None
        return order.kind in (Kind.KIND_UNSPECIFIED, case.entry.statement.kind)


def would_change(node: Node, case: Case, edition: RuleSet) -> bool:
    """Whether an edition is now the one for a record, did not decide it, and decides otherwise.

    It is asked for the day of the decision that stands: what merely became old since is not what the rules changed.
    """
    if case.by_facts or case.ruling.digest == edition.digest:
        return False
    book = node.rules.book
    if book.edition_for(case.legal_date or case.decided_on) is not edition:
        return False
    try:
        return differs(case.ruling, case.under(node, edition))
    except FactUnknown:
        return False
