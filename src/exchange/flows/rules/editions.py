"""Editions of the recognition rules: file, journal, use. In this order: what is not in the journal is not used.

An edition alone changes nothing that was decided. It decides what arrives from now on, and what waited for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from exchange.domain.catalogues.table_file import TableError
from exchange.domain.problems import Problem, Refused
from exchange.domain.recognising.recognition import RuleSet
from exchange.domain.recognising.rule_book import RuleBook
from exchange.flows.actions.pending import Confirmed
from exchange.flows.context import Node
from exchange.storage.engine.writer import WorkClass
from exchange.storage.queries import rules
from exchange.storage.queries.rules import RULES, EditionChange, EditionsChangedError
from exchange.v1.action_pb2 import ActionRequest
from exchange.v1.journal_pb2 import Activated, Edition, JournalEntry

MAX_ROUNDS = 4
"""How often an edition is brought in again because another one came first."""


def load_rules(node: Node) -> None:
    """Decide by the editions that the register has: at the start, and after the registers were made anew.

    Raises:
        TableError: This program does not understand an edition that is in use.
    """
    with node.database.read() as connection:
        found = rules.everything(connection)
    if found:
        node.rules.put(RuleSet.load(row.content) for row in found)


def read_rules(content: bytes) -> RuleSet:
    """A rule file that somebody hands in.

    Raises:
        Refused: It is ill-formed, with the place.
    """
    try:
        return RuleSet.load(content)
    except TableError as error:
        raise Refused(error.problems) from None


def bring_in(node: Node, edition: RuleSet, actor: str, now: datetime) -> RuleBook:
    """Enter an edition into the journal and use it from then on. One that is there already changes nothing.

    Raises:
        Refused: It does not go with the others, with every reason.
    """
    for _round in range(MAX_ROUNDS):
        load_rules(node)
        book = node.rules.book
        after = book.with_edition(edition)
        if after is book:
            return book
        activated = Activated(
            edition=Edition(what=RULES, digest=edition.digest, name=edition.edition),
            content=edition.content,
            actor=actor,
        )
        event = JournalEntry(activated=activated)
        event.at.FromDatetime(now)
        expected = frozenset(each.digest for each in book.editions)
        try:
            node.writer.call(rules.put, EditionChange(event=event, expected=expected), WorkClass.URGENT)
        except EditionsChangedError:
            continue
        node.rules.put(after.editions)
        return after
    raise EditionsChangedError


class RuleFlow:
    """How officers bring in an edition: one asks, one of the other role confirms.

    Args:
        node: The node.
        wake: Makes apply look at what waits: an edition may be what it waited for.
    """

    def __init__(self, node: Node, wake: Callable[[], None]) -> None:
        self._node = node
        self._wake = wake

    def check(self, content: bytes) -> tuple[RuleSet, RuleBook]:
        """Say what bringing it in would say. Nothing is stored.

        Returns:
            The edition, and the book as it would be.

        Raises:
            Refused: It is ill-formed, is there already, or does not go with the others.
        """
        edition = read_rules(content)
        book = self._node.rules.book
        after = book.with_edition(edition)
        if after is book:
            raise Refused([Problem("RULES_EDITION_TAKEN", "rules.edition", edition.edition)])
        return edition, after

    def carry_out(self, request: ActionRequest, who: Confirmed) -> str:
        """Bring in the edition that two officers agreed on; its name and digest are the outcome.

        Raises:
            Refused: It does not go with the editions that are there by now.
        """
        edition = read_rules(request.activate_rules.content)
        bring_in(self._node, edition, who.actors, who.now)
        self._wake()
        return f"{edition.edition} {edition.digest[:16]}"
