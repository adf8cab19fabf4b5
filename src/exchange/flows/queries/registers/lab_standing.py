"""What follows for a reading from how its laboratory stood on the day of sampling, by what is known now.

What was decided stays as it was signed; only answers say otherwise. So a suspension that is stated later with effect
in the past takes readings along, and one that is lifted for the past brings them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from exchange.domain.labs import REASONS, sampled_on
from exchange.domain.recognising.recognition import Decision, DecisionContext, part_holds
from exchange.flows.apply.deciding.labs import RegisteredLabs
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.instants import instant
from exchange.storage.queries import Connection, readings
from exchange.storage.queries.readings import BlockRow
from exchange.v1.kind_pb2 import Condition, Kind, Outcome
from exchange.v1.lab_qualification_pb2 import LabStanding
from exchange.v1.monitoring_batch_pb2 import Series, Usability
from exchange.v1.monitoring_service_pb2 import ReadingView
from exchange.v1.record_pb2 import Record

_COUNTS: Final = (Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL)
_USABLE: Final = (Usability.USABILITY_USABLE, Usability.USABILITY_MANUAL, Usability.USABILITY_LOWER_BOUND)
_HELD: Final = LabStanding.LAB_STANDING_HELD
_BY_LAB: Final = frozenset(REASONS.values())

_Address = tuple[str, bytes, int]


class LabJoin:
    """Joins the readings of one page with their laboratories.

    Args:
        connection: Where to read.
        node: The node.
        blocks: Where the readings stand.
    """

    def __init__(self, connection: Connection, node: Node, blocks: Iterable[BlockRow]) -> None:
        self._connection = connection
        self._node = node
        self._labs = RegisteredLabs(connection)
        self._labs.load((block.lab_cma_no, block.lab_uscc) for block in blocks if block.lab_cma_no)
        self._decisions: dict[_Address, Decision | None] = {}

    def put(self, view: ReadingView, block: BlockRow, series: Series) -> None:
        """Put the laboratory's standing into a reading, and what follows from it."""
        own = block.origin == self._node.name
        view.decided_outcome = view.outcome
        if block.lab_cma_no:
            view.lab_cma_no = block.lab_cma_no
            view.sampled_on = sampled_on(view.point)
            lab = self._labs.get((block.lab_cma_no, block.lab_uscc))
            view.lab_standing = lab.standing_on(view.sampled_on, series.factor_code, series.method_standard)
            if not own and view.lab_standing == _HELD:
                self._rise(view, block)
            elif not own:
                _fall(view)
        held = view.lab_standing in (LabStanding.LAB_STANDING_UNSPECIFIED, _HELD)
        view.usable = held and (own or view.outcome in _COUNTS) and view.point.usability in _USABLE

    def _rise(self, view: ReadingView, block: BlockRow) -> None:
        """Only its laboratory stood against a value, and did not as is known now: the other rules say what it is."""
        if not _by_lab_alone(view):
            return
        decision = self._anew(block)
        if decision is None:
            return
        holding = (each for each in decision.parts if part_holds(each.part, view.factor_code, view.point.source_flag))
        found = next(holding, None)
        if found is None:
            _say(view, decision.outcome, decision.reasons, decision.conditions)
        else:
            _say(view, found.outcome, found.reasons, found.conditions)

    def _anew(self, block: BlockRow) -> Decision | None:
        """What the edition that decided says of a batch by the laboratory as it is known now, for the day it came."""
        address = (block.origin, block.record_id, block.revision)
        if address not in self._decisions:
            self._decisions[address] = self._decide(address, block)
        return self._decisions[address]

    def _decide(self, address: _Address, block: BlockRow) -> Decision | None:
        edition = self._node.rules.book.find(read_decision(block.decision).edition)
        body = readings.bodies(self._connection, [address]).get(address)
        if edition is None or body is None or block.mirrored_at is None:
            return None
        context = DecisionContext(
            decided_on=instant(block.mirrored_at).astimezone(LOCAL_TIME).date(),
            origin=block.origin,
            receiver=self._node.name,
            require_approvals=self._node.require_approvals,
            kind=Kind.KIND_MONITORING_BATCH,
            labs=self._labs.of_batch,
        )
        return edition.decide(Record.FromString(body), context)


def _by_lab_alone(view: ReadingView) -> bool:
    return view.outcome == Outcome.OUTCOME_NOT_RECOGNISED and _BY_LAB.issuperset(view.reasons)


def _fall(view: ReadingView) -> None:
    """A value that was recognised counts no more; where no record states the laboratory any more, it waits for one.

    A batch that its laboratory alone stood against was decided by the best of its days: each value has its own reason.
    """
    if view.outcome not in _COUNTS and not _by_lab_alone(view):
        return
    unknown = view.lab_standing == LabStanding.LAB_STANDING_UNKNOWN
    outcome = Outcome.OUTCOME_DEFERRED if unknown else Outcome.OUTCOME_NOT_RECOGNISED
    _say(view, outcome, (REASONS[view.lab_standing],), ())


def _say(
    view: ReadingView, outcome: Outcome.ValueType, reasons: Sequence[str], conditions: Sequence[Condition.ValueType]
) -> None:
    view.outcome = outcome
    view.reasons[:] = reasons
    view.conditions[:] = conditions
