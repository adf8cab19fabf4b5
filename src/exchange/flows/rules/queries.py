"""RuleService: editions and rules, equivalences, and each decision about a record in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from exchange.crypto.x509.certificates import Role
from exchange.domain import kinds
from exchange.domain.problems import Problem, Refused
from exchange.domain.recognising.facts import facts_of
from exchange.domain.recognising.recognition import RuleSet, legal_date
from exchange.domain.recognising.rule_book import RuleBook
from exchange.domain.recognising.rules import Approval, Rule
from exchange.flows.access import NotFound
from exchange.flows.apply.entry import ReadEntry, read_entry
from exchange.flows.context import LOCAL_TIME
from exchange.flows.instants import instant, micros_of, timestamp
from exchange.flows.queries.exchanged.records import check_enum
from exchange.flows.queries.ground.reading import Asked, Reading, record_id_of
from exchange.flows.queries.ground.views import ref_of
from exchange.flows.rules.decisions import Told, decisions_about
from exchange.flows.rules.stated import stated_equivalences
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.queries import records, rules
from exchange.storage.queries.records import RecordRow
from exchange.storage.registers import registers
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.rule_pb2 import RuleApproval, RuleEdition, RuleView
from exchange.v1.rule_service_pb2 import (
    Equivalence,
    ExplainedDecision,
    ExplainedFact,
    ExplainedPart,
    ExplainRecognitionRequest,
    ExplainRecognitionResponse,
    ListEquivalencesRequest,
    ListEquivalencesResponse,
    ListRulesRequest,
    ListRulesResponse,
    ReceiverVetoes,
)


class RuleQueries:
    """Queries of RuleService.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def editions(self, asked: Asked, request: ListRulesRequest) -> ListRulesResponse:
        """Editions with the rules of the kinds that the caller may read; officers see all.

        Raises:
            Refused: RULES_EDITION_UNKNOWN, or a kind that does not exist.
        """
        check_enum(Kind, request.kind, "kind")
        book = self._reading.node.rules.book
        wanted = [find_edition(book, request.edition)] if request.edition else book.editions
        with self._reading.node.database.read() as connection:
            brought = {row.edition: row for row in rules.everything(connection)}
        shown = self._kinds(asked, request.kind)
        answer = ListRulesResponse(require_approvals=self._reading.node.require_approvals)
        for edition in wanted:
            view = edition_view(book, edition)
            row = brought.get(edition.edition)
            if row is not None:
                view.activated_by = row.actor
                view.activated_at.CopyFrom(timestamp(row.activated_at))
            listed = (rule for kind in shown for rule in edition.rules.get(kind, ()))
            view.rules.extend(rule_view(rule, asked.words.lang) for rule in listed)
            if request.include_content:
                view.content = edition.content
            answer.editions.append(view)
        return answer

    def equivalences(self, asked: Asked, request: ListEquivalencesRequest) -> ListEquivalencesResponse:
        """Levels that count as the same, and the veto situations of each receiver.

        Raises:
            Refused: RULES_EDITION_UNKNOWN.
        """
        node = self._reading.node
        today = asked.now.astimezone(LOCAL_TIME).date()
        book = node.rules.book
        edition = find_edition(book, request.edition) if request.edition else book.edition_for(today)
        answer = ListEquivalencesResponse()
        kind = Kind.KIND_STANDARDS_EQUIVALENCE
        readable = (
            self._reading.book.readable(asked.caller.name, (kind,))
            if asked.caller.role is Role.AGENCY
            else {int(kind): None}
        )
        with node.database.read() as connection:
            answer.stated.extend(stated_equivalences(connection, readable, today.isoformat()))
        if edition is None:
            return answer
        approved = _approved(edition.approvals, node.name, node.peers.names(), today)
        for each in edition.equivalences:
            answer.equivalences.append(
                Equivalence(
                    equivalence_id=each.equivalence_id,
                    left=each.left,
                    right=each.right,
                    levels=each.levels,
                    relation=each.relation,
                    source=each.source,
                    edition=edition.edition,
                    approvals=_approvals(edition.approvals),
                    approved=approved,
                )
            )
        for receiver in edition.receivers.values():
            answer.vetoes.append(
                ReceiverVetoes(node=receiver.node, codes=sorted(receiver.vetoes), source=receiver.source)
            )
        if edition.receivers:
            answer.shared_vetoes.extend(
                sorted(frozenset.intersection(*(each.vetoes for each in edition.receivers.values())))
            )
        return answer

    def explain(self, asked: Asked, request: ExplainRecognitionRequest) -> ExplainRecognitionResponse:
        """Each decision about a record, the newest first.

        Raises:
            NotFound: No such record here.
            AccessDenied: No grant to read it.
            Refused: Its id is none.
        """
        node = self._reading.node
        raw = record_id_of(request.ref, "ref")
        with node.database.read() as connection:
            row = records.of_record(connection, request.ref.origin or node.name, raw, request.ref.revision)
            if row is None:
                raise NotFound(request.ref.record_id)
            self._reading.allow(asked, row)
            answer = ExplainRecognitionResponse(ref=ref_of(row), kind=row.kind)  # type: ignore[arg-type]
            for log, entry in _entries(connection, row):
                if entry.record is not None and not row.tombstone:
                    own = legal_date(entry.record)
                    answer.legal_date = own.isoformat() if own else ""
                told = decisions_about(connection, log, entry)
                shown = None if row.tombstone else entry
                by = node.name if log.use == "mirror" else log.peer
                answer.decisions.extend(self._decision(asked, each, shown, by) for each in told)
        return answer

    def _decision(self, asked: Asked, told: Told, entry: ReadEntry | None, by: str) -> ExplainedDecision:
        ruling, words = told.ruling, asked.words
        view = ExplainedDecision(
            decided_by=by,
            decided_at=told.message.decided_at,
            decision_revision=told.revision,
            cause=told.cause,  # type: ignore[arg-type]
            outcome=ruling.outcome,  # type: ignore[arg-type]
            reasons=words.reasons(ruling.reasons),
            conditions=ruling.conditions,  # type: ignore[arg-type]
            waits_for=ruling.waits_for,
            facts_listed=bool(ruling.facts),
            log=told.log,
            index=told.index,
        )
        facts: Iterable[tuple[str, str]] = ruling.facts
        if not ruling.facts and ruling.rules and entry is not None and entry.record is not None:
            facts = facts_of(entry.record, _day(told)).listed()
        view.facts.extend(self._facts(asked, facts))
        for part in ruling.parts:
            view.parts.append(
                ExplainedPart(
                    part=part.part,
                    outcome=part.outcome,  # type: ignore[arg-type]
                    reasons=words.reasons(part.reasons),
                    conditions=part.conditions,  # type: ignore[arg-type]
                    facts=self._facts(asked, part.facts),
                )
            )
        if not ruling.rules:
            return view
        view.rule_edition, view.rule_digest = ruling.edition, ruling.digest
        book = self._reading.node.rules.book
        edition = book.by_digest(ruling.digest)
        if edition is not None:
            view.edition.CopyFrom(edition_view(book, edition))
        known = {rule.rule_id: rule for listed in (edition.rules.values() if edition else ()) for rule in listed}
        for rule_id in ruling.rules:
            rule = known.get(rule_id)
            view.rules.append(rule_view(rule, words.lang) if rule is not None else RuleView(rule_id=rule_id))
        return view

    def _facts(self, asked: Asked, facts: Iterable[tuple[str, str]]) -> list[ExplainedFact]:
        texts = self._reading.node.tables.facts
        return [ExplainedFact(code=code, name=texts.text(code, asked.words.lang), value=value) for code, value in facts]

    def _kinds(self, asked: Asked, kind: int) -> Sequence[int]:
        """Kinds whose rules are shown, in the table's order."""
        wanted = [each for each in kinds.KINDS if kind in (Kind.KIND_UNSPECIFIED, each)]
        if asked.caller.role is not Role.AGENCY:
            return wanted
        readable = self._reading.book.readable(asked.caller.name, wanted)
        return [each for each in wanted if each in readable]


def rule_view(rule: Rule, lang: str) -> RuleView:
    """A rule as callers see it."""
    return RuleView(
        rule_id=rule.rule_id,
        kind=rule.kind,
        text=rule.zh if lang[:2].lower() == "zh" else rule.en,
        outcome=rule.outcome or Outcome.OUTCOME_UNSPECIFIED,
        reason=rule.reason,
        condition=rule.condition or 0,  # type: ignore[arg-type]
        fact=rule.fact,
        part=rule.part,
        approvals=_approvals(rule.approvals),
    )


def edition_view(book: RuleBook, edition: RuleSet) -> RuleEdition:
    """An edition as callers see it, without its rules."""
    last = book.last_day(edition)
    return RuleEdition(
        edition=edition.edition,
        digest=edition.digest,
        effective_from=edition.effective_from.isoformat(),
        effective_until=edition.effective_until.isoformat() if edition.effective_until else "",
        applies_until=last.isoformat() if last else "",
        replaces=edition.replaces,
        replaced=book.is_replaced(edition),
        status=edition.status,
        legal_basis=edition.legal_basis,
        approvals=_approvals(edition.approvals),
    )


def _approvals(approvals: Iterable[Approval]) -> list[RuleApproval]:
    return [
        RuleApproval(node=each.node, document_no=each.document_no, approved_on=each.approved_on.isoformat())
        for each in approvals
    ]


def _approved(approvals: Iterable[Approval], me: str, peers: Iterable[str], today: date) -> bool:
    nodes = {each.node for each in approvals if each.approved_on <= today}
    return me in nodes and any(peer in nodes for peer in peers)


def find_edition(book: RuleBook, name: str, place: str = "edition") -> RuleSet:
    """An edition that is in use, by its name.

    Raises:
        Refused: RULES_EDITION_UNKNOWN.
    """
    edition = book.find(name)
    if edition is None:
        raise Refused([Problem("RULES_EDITION_UNKNOWN", place, name[:32])])
    return edition


def _day(told: Told) -> date:
    return instant(micros_of(told.message.decided_at)).astimezone(LOCAL_TIME).date()


def _entries(connection: Connection, row: RecordRow) -> list[tuple[LogHead, ReadEntry]]:
    """The entry of a record in the mirror, or each of its entries in our logs towards the peers."""
    copies = registers.copies_of(connection, row.origin, [row.record_id]).get(row.record_id, ())
    places = [(row.log_id, row.idx), *((copy.log_id, copy.idx) for copy in copies if copy.revision == row.revision)]
    found = []
    for log_id, index in dict.fromkeys(places):
        log = log_store.head_by_id(connection, log_id)
        raw = log_store.entries_at(connection, log_id, [index]).get(index)
        if log is not None and raw is not None and log.use in ("mirror", "outbound"):
            found.append((log, read_entry(raw, 0)))
    return found
