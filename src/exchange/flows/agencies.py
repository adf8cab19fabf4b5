"""Agencies and their grants: every change is in the journal together with the register that it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.crypto.agency_keys import check_certificate
from exchange.crypto.x509.certificates import CertificateUnreadable
from exchange.domain.agency_form import check_agency, format_agency
from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AgencyBook, NotFound
from exchange.flows.context import Node
from exchange.storage.engine.writer import WorkClass
from exchange.storage.queries import agencies
from exchange.storage.queries.agencies import AgencyChange, AgencyChangedError, KeyBoundError
from exchange.v1.journal_pb2 import GrantChanged, JournalEntry
from exchange.v1.security_service_pb2 import Agency

MAX_REASON = 500
"""Characters of a reason: two sentences."""

MAX_ROUNDS = 4
"""How often a change is made again because another one came first."""


@dataclass(frozen=True, slots=True)
class ChangedAgency:
    """An agency as it is now, and where the journal says so."""

    agency: Agency
    journal_index: int


class AgencyFlow:
    """What security officers do with agencies.

    Args:
        node: The node.
        book: What callers are checked by; it knows a change before the change is answered.
    """

    def __init__(self, node: Node, book: AgencyBook) -> None:
        self._node = node
        self._book = book

    def page(self, after: str, limit: int) -> list[Agency]:
        """Agencies beyond a name, in order of name."""
        with self._node.database.read() as connection:
            return agencies.page(connection, after, limit)

    def put(self, agency: Agency, reason: str, actor: str, now: datetime) -> ChangedAgency:
        """Create or replace an agency.

        Raises:
            Refused: The agency breaks rules, or no reason was given.
        """
        problems = [*_broken(agency, self._node.tables), *about_reason(reason)]
        if problems:
            raise Refused(problems)
        for _round in range(MAX_ROUNDS):
            with self._node.database.read() as connection:
                standing = agencies.get(connection, agency.name)
            changed = self._change(agency, standing, reason, actor, now)
            if changed is not None:
                return changed
        raise AgencyChangedError

    def suspend(self, name: str, reason: str, actor: str, now: datetime, *, suspended: bool) -> ChangedAgency:
        """Suspend or reinstate an agency: its next call is refused, its watchers end within a second or two.

        Raises:
            NotFound: No such agency.
            Refused: No reason was given.
        """

        def edit(agency: Agency) -> None:
            agency.suspended = suspended

        return self._edit(name, edit, reason, actor, now)

    def bind(
        self, name: str, key: str | bytes, reason: str, actor: str, now: datetime, *, remove: bool
    ) -> ChangedAgency:
        """Bind a key to an agency, or let go of it. Open connections feel it at their next call.

        Args:
            name: The agency.
            key: Hash of the public key of a client certificate; or the certificate (DER) by whose key it signs.
            reason: Why.
            actor: Identity of the officer.
            now: Aware instant.
            remove: Let go of it.

        Raises:
            NotFound: No such agency, or (``remove``) it does not hold the key.
            Refused: No reason, not a key, too many keys, or another agency holds it.
        """

        def edit(agency: Agency) -> None:
            held: Any = agency.bound_keys if isinstance(key, str) else agency.signing_certificates
            if not remove:
                held.append(key)
            elif key in held:
                held.remove(key)
            else:
                raise NotFound

        return self._edit(name, edit, reason, actor, now)

    def _edit(self, name: str, edit: Callable[[Agency], None], reason: str, actor: str, now: datetime) -> ChangedAgency:
        """Change one thing of a known agency, on whatever it is by then."""
        problems = about_reason(reason)
        if problems:
            raise Refused(problems)
        for _round in range(MAX_ROUNDS):
            with self._node.database.read() as connection:
                standing = agencies.get(connection, name)
            if standing is None:
                raise NotFound
            agency = Agency.FromString(standing)
            edit(agency)
            broken = _broken(agency, self._node.tables)
            if broken:
                raise Refused(broken)
            changed = self._change(agency, standing, reason, actor, now)
            if changed is not None:
                return changed
        raise AgencyChangedError

    def _change(
        self, agency: Agency, standing: bytes | None, reason: str, actor: str, now: datetime
    ) -> ChangedAgency | None:
        """One transaction: journal and register. None when another change came first."""
        event = JournalEntry(
            grant_changed=GrantChanged(
                agency=agency.name, grant=format_agency(agency), actor=actor, reason=reason.strip()
            )
        )
        event.at.FromDatetime(now)
        try:
            index = self._node.writer.call(
                agencies.put, AgencyChange(agency=agency, event=event, expected=standing), WorkClass.INTERACTIVE
            )
        except KeyBoundError:
            raise Refused([Problem("KEY_BOUND_TWICE", "agency.bound_keys")]) from None
        except AgencyChangedError:
            return None
        self._book.reload()
        return ChangedAgency(agency, index)


def about_reason(reason: str) -> list[Problem]:
    """What is wrong with the reason that an officer gives."""
    if not reason.strip():
        return [Problem("REASON_MISSING", "reason")]
    if len(reason) > MAX_REASON:
        return [Problem("TEXT_TOO_LONG", "reason", str(len(reason)))]
    if any(not char.isprintable() and char != "\n" for char in reason):
        return [Problem("TEXT_CONTROL_CHARACTER", "reason")]
    return []


def _broken(agency: Agency, tables: Tables) -> list[Problem]:
    """Every rule that an agency breaks, those about its certificates too."""
    problems = list(check_agency(agency, tables))
    for place, der in enumerate(agency.signing_certificates):
        try:
            check_certificate(der)
        except CertificateUnreadable as error:
            problems.append(Problem("SIGNING_CERTIFICATE", f"agency.signing_certificates[{place}]", str(error)[:100]))
    return problems
