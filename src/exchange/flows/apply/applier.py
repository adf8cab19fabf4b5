"""What planning a step reads of its node: names and tables. A replay has them without keys, clock or peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from exchange.domain.catalogues.tables import Tables
from exchange.domain.recognising.rule_book import RuleShelf
from exchange.flows.context import PeerBook


class Applier(Protocol):
    """A node as far as registers are made by it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def federation(self) -> str:
        """Domain."""
        ...

    @property
    def tables(self) -> Tables:
        """The tables of the domain."""
        ...

    @property
    def rules(self) -> RuleShelf:
        """Editions of the rules."""
        ...

    @property
    def require_approvals(self) -> bool:
        """Whether rules need both approvals."""
        ...

    @property
    def peers(self) -> PeerBook:
        """What it believes of its peers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedNode:
    """A node that is only replayed: every outcome was recorded, so it believes nothing and has no rules."""

    name: str
    federation: str
    tables: Tables
    rules: RuleShelf = field(default_factory=RuleShelf)
    require_approvals: bool = True
    peers: PeerBook = field(default_factory=lambda: PeerBook({}))
