"""Levels of credit schemes as approved equivalences compare them, for whoever decides about a result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.domain.recognising.facts import LEVEL_EQUAL, LEVEL_UNEQUAL, code_of
from exchange.flows.rules.stated import stated_equivalences
from exchange.storage.engine.database import Connection
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import KIND_STANDARDS_EQUIVALENCE
from exchange.v1.record_pb2 import Record
from exchange.v1.rule_service_pb2 import StatedEquivalence
from exchange.v1.standards_equivalence_pb2 import EquivalenceKind, EquivalenceRelation


class ApprovedLevels:
    """Equivalences of levels that stand as records, are in effect and have the approvals of both sides.

    They are read once, with the first result that is asked for.

    Args:
        connection: Where to read; nobody else writes to registers while a step is planned.
        me: The receiver.
        today: Local day of the decision, ``YYYY-MM-DD``.
    """

    def __init__(self, connection: Connection, me: str, today: str) -> None:
        self._connection = connection
        self._me = me
        self._today = today
        self._approved: Sequence[StatedEquivalence] | None = None

    def facts(self, record: Record) -> Iterator[tuple[str, str]]:
        """The equivalences that speak of a result's level, as facts of a decision: their record ids."""
        if not record.HasField("credit_result"):
            return
        if self._approved is None:
            self._approved = self._read()
        scheme = code_of(record.credit_result.scheme_id)
        level = CreditLevel.Name(record.credit_result.shared_level).removeprefix("CREDIT_LEVEL_")
        for each in self._approved:
            body = each.equivalence
            other = body.right if body.left.node == self._me else body.left
            if code_of(other.standard_no) == scheme and body.shared_code in ("", level):
                exact = body.relation == EquivalenceRelation.EQUIVALENCE_RELATION_EXACT
                yield LEVEL_EQUAL if exact else LEVEL_UNEQUAL, each.ref.record_id

    def _read(self) -> Sequence[StatedEquivalence]:
        stated = stated_equivalences(self._connection, {KIND_STANDARDS_EQUIVALENCE: None}, self._today)
        return [
            each
            for each in stated
            if each.approved
            and each.equivalence.equivalence_kind == EquivalenceKind.EQUIVALENCE_KIND_CREDIT_LEVEL
            and self._me in (each.equivalence.left.node, each.equivalence.right.node)
        ]
