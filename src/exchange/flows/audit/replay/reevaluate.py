"""Deciding again what was decided, to compare: the edition that a decision names, and the facts that it lists.

A replay never does this: it takes each outcome as recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from exchange.domain.problems import Refused
from exchange.domain.recognising.facts import FactUnknown
from exchange.domain.recognising.recognition import Decision, RuleSet
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.findings import Finding
from exchange.flows.rules.compare import Case, cases, differs, mirrors
from exchange.flows.rules.editions import read_rules
from exchange.storage.engine.database import Connection
from exchange.storage.logs import log_store
from exchange.storage.queries import rules

RUN: Final = 256
"""Entries looked at together."""


@dataclass(slots=True)
class Reevaluated:
    """What came of it.

    Attributes:
        same: Decisions that the edition makes again from the same facts.
        unknown: Decisions whose facts or edition are not here.
    """

    same: int = 0
    unknown: int = 0
    findings: list[Finding] = field(default_factory=list)


def reevaluate(connection: Connection, node: ReplayedNode, shipped: Mapping[str, RuleSet]) -> Reevaluated:
    """Decide every entry again that rules decided about.

    Whether rules needed both approvals is a setting of the node and stands in no log: a decision is the same when it
    is so under either.

    Args:
        connection: Registers behind a walk, with their logs.
        node: Whose decisions they are.
        shipped: Editions that came with the program, by digest.
    """
    done = Reevaluated()
    editions = dict(shipped) | _brought_in(connection)
    for log in mirrors(log_store.heads(connection), ""):
        for first in range(0, log.size, RUN):
            for case in cases(connection, log, first, min(log.size, first + RUN)):
                _look(done, log.origin, case, node, editions.get(case.ruling.digest))
    return done


def _brought_in(connection: Connection) -> dict[str, RuleSet]:
    found = {}
    for row in rules.everything(connection):
        try:
            found[row.digest] = read_rules(row.content)
        except Refused:
            continue
    return found


def _look(done: Reevaluated, origin: str, case: Case, node: ReplayedNode, edition: RuleSet | None) -> None:
    if edition is None:
        done.unknown += 1
        return
    listed = bool(case.ruling.facts) and not case.ruling.parts
    try:
        for made in _decided(replace(case, by_facts=True) if listed else case, node, edition):
            if not differs(made, case.ruling):
                done.same += 1
                return
    except FactUnknown:
        done.unknown += 1
        return
    done.findings.append(
        Finding(
            code="DECISION_DIFFERS",
            log=origin,
            index=case.entry.index,
            detail=f"{edition.edition}: {case.ruling.outcome} {' '.join(case.ruling.reasons)}".rstrip(),
            evidence={"digest": case.ruling.digest, "facts": " ".join(f"{c}={v}" for c, v in case.ruling.facts)},
        )
    )


def _decided(case: Case, node: ReplayedNode, edition: RuleSet) -> Iterator[Decision]:
    for approvals in (True, False):
        yield case.under(replace(node, require_approvals=approvals), edition)
