"""What an edition would change: listed for officers, and ordered by two of them where it is to be done."""

from __future__ import annotations

from collections.abc import Callable

from exchange.domain.problems import Problem, Refused
from exchange.domain.recognising.facts import FactUnknown
from exchange.domain.recognising.recognition import Decision, RuleSet
from exchange.domain.record_index import raw_id
from exchange.flows.access import NotFound
from exchange.flows.actions.pending import Confirmed
from exchange.flows.apply.again.ordered import would_change
from exchange.flows.apply.deciding.ruling import Ruling
from exchange.flows.context import Node
from exchange.flows.queries.exchanged.records import check_enum
from exchange.flows.queries.ground.paging import Tokens
from exchange.flows.rules.compare import Case, cases, differs, mirrors
from exchange.flows.rules.editions import read_rules
from exchange.flows.rules.queries import find_edition
from exchange.storage.engine.transaction import LogHead
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store
from exchange.storage.queries import rules
from exchange.storage.registers import registers
from exchange.v1.action_pb2 import ActionRequest, RedecideAction
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import JournalEntry, RedecisionOrdered
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import (
    DecisionChange,
    DiffRulesRequest,
    DiffRulesResponse,
    RedecideRecordsRequest,
    RuleDecision,
)
from exchange.v1.rule_pb2 import RedecisionOrder, RedecisionState

PAGE = 256
"""Entries read at once: a read transaction is a short one, and memory holds no more."""

PAGES = 8
"""Pages of one answer."""

_LOG_BITS = 40
"""A place in history as one number: log id, then index."""


class RuleDiff:
    """Looks at history under other rules. Nothing is decided.

    Args:
        node: The node.
        tokens: Makes page tokens.
    """

    def __init__(self, node: Node, tokens: Tokens) -> None:
        self._node = node
        self._tokens = tokens

    def stretch(self, request: DiffRulesRequest) -> DiffRulesResponse:
        """What differs in the next stretch of history.

        Both editions are asked for the day of the decision that stands; a record whose own date is not a day of both
        is left out. So what merely became old is no difference, and neither is what an edition is not for.

        Raises:
            Refused: An edition is not known or ill-formed, or the token is another question's.
        """
        check_enum(Kind, request.kind, "kind")
        book = self._node.rules.book
        first = find_edition(book, request.edition_a, "edition_a")
        second = (
            read_rules(request.content_b) if request.content_b else find_edition(book, request.edition_b, "edition_b")
        )
        question = f"diff|{first.digest}|{second.digest}|{request.kind}|{request.origin}"
        place = self._tokens.read(question, request.page_token) or 0
        answer = DiffRulesResponse()
        for _page in range(PAGES):
            found, after = self._page(place, request.origin)
            for case in found:
                self._compare(answer, case, first, second, request.kind)
            if after is None:
                return answer
            place = after
        answer.next_page_token = self._tokens.make(question, place)
        return answer

    def count(self, edition: RuleSet, kind: int, origin: str) -> int:
        """Decisions that an order to decide again by an edition would change now."""
        found, place = 0, 0
        while True:
            page, after = self._page(place, origin)
            found += sum(1 for case in page if _is_of(case, kind) and would_change(self._node, case, edition))
            if after is None:
                return found
            place = after

    def _page(self, place: int, origin: str) -> tuple[list[Case], int | None]:
        """The decisions of one page of one mirror, and where the next one begins; None behind the last."""
        log_id, index = place >> _LOG_BITS, place & ((1 << _LOG_BITS) - 1)
        with self._node.database.read() as connection:
            cursors = registers.next_indices(connection)
            for log in mirrors(log_store.heads(connection), origin):
                begin = index if log.id == log_id else 0
                end = min(cursors.get(log.id, 0), begin + PAGE)
                if log.id >= log_id and begin < end:
                    return list(cases(connection, log, begin, end)), _place(log, end)
        return [], None

    def _compare(self, answer: DiffRulesResponse, case: Case, first: RuleSet, second: RuleSet, kind: int) -> None:
        if not _is_of(case, kind):
            return
        day = case.legal_date
        if day is not None and not (first.applies_on(day) and second.applies_on(day)):
            answer.outside += 1
            return
        answer.examined += 1
        statement = case.entry.statement
        assert statement is not None
        change = DecisionChange(
            ref=RecordRef(origin=case.origin, record_id=statement.record_id, revision=statement.revision),
            kind=statement.kind,
            legal_date=day.isoformat() if day else "",
            decided_on=case.decided_on.isoformat(),
            recorded=_told(case.ruling),
            by_facts=case.by_facts,
        )
        try:
            before, after = case.under(self._node, first), case.under(self._node, second)
        except FactUnknown as unknown:
            change.missing_fact = unknown.name
        else:
            if not differs(before, after):
                return
            change.before.CopyFrom(_told(before))
            change.after.CopyFrom(_told(after))
        answer.changes.append(change)


class RedecideFlow:
    """How two officers order that records are decided again.

    Args:
        node: The node.
        diff: Counts what would change.
        wake: Makes apply look for what is due.
    """

    def __init__(self, node: Node, diff: RuleDiff, wake: Callable[[], None]) -> None:
        self._node = node
        self._diff = diff
        self._wake = wake

    def check(self, request: RedecideRecordsRequest) -> RedecideAction:
        """What exactly would be ordered, with how many decisions it would change. Nothing is stored.

        Raises:
            Refused: The edition is not known.
        """
        check_enum(Kind, request.kind, "kind")
        edition = find_edition(self._node.rules.book, request.edition, "edition")
        return RedecideAction(
            edition=edition.edition,
            digest=edition.digest,
            kind=request.kind,
            origin=request.origin,
            would_change=self._diff.count(edition, request.kind, request.origin),
        )

    def carry_out(self, request: ActionRequest, who: Confirmed) -> str:
        """Order it; apply carries it out in bounded steps. The order's id is the outcome.

        Raises:
            Refused: The edition is not in use any more.
        """
        wanted = request.redecide
        if self._node.rules.book.by_digest(wanted.digest) is None:
            raise Refused([Problem("RULES_EDITION_UNKNOWN", "edition", wanted.edition)])
        with self._node.database.read() as connection:
            known = rules.order_of(connection, who.action_id)
        if known is None:
            order = RedecisionOrder(
                order_id=who.action_id,
                edition=wanted.edition,
                digest=wanted.digest,
                kind=wanted.kind,
                origin=wanted.origin,
                ordered_by=who.actors,
                reason=who.reason,
                state=RedecisionState.REDECISION_STATE_OPEN,
            )
            order.ordered_at.FromDatetime(who.now)
            event = JournalEntry(redecision_ordered=RedecisionOrdered(order=order))
            event.at.FromDatetime(who.now)
            self._node.writer.call(rules.put_orders, event, WorkClass.INTERACTIVE)
        self._wake()
        return who.action_id

    def order(self, order_id: str) -> RedecisionOrder:
        """How far an order is.

        Raises:
            NotFound: No such order.
        """
        with self._node.database.read() as connection:
            found = rules.order_of(connection, order_id) if raw_id(order_id) else None
        if found is None:
            raise NotFound(order_id[:36])
        return found


def _place(log: LogHead, index: int) -> int:
    return (log.id << _LOG_BITS) | index


def _is_of(case: Case, kind: int) -> bool:
    assert case.entry.statement is not None
    return kind in (Kind.KIND_UNSPECIFIED, case.entry.statement.kind)


def _told(decision: Decision | Ruling) -> RuleDecision:
    return RuleDecision(
        outcome=decision.outcome,  # type: ignore[arg-type]
        reasons=decision.reasons,
        conditions=decision.conditions,  # type: ignore[arg-type]
        rules=decision.rules,
    )
