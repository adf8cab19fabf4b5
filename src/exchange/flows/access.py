"""Who calls, and what it may do. A caller is its certificate; whatever no grant allows is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exchange.crypto.agency_keys import AgencyKeys, AgencySignature
from exchange.crypto.x509.certificates import Identity, Role
from exchange.domain import kinds
from exchange.domain.catalogues.areas import EVERYWHERE, Areas
from exchange.domain.personal import contains_resident_id
from exchange.domain.problems import ExchangeError, Problem
from exchange.flows.context import LOCAL_TIME, Node
from exchange.storage.queries import agencies
from exchange.storage.queries.records import AreaLimit
from exchange.tlog.errors import LogFormatError
from exchange.v1.security_service_pb2 import Agency, Quotas, Verb
from exchange.v1.statement_pb2 import Envelope

AGENCIES_CHANGED = "agencies-changed"
"""Topic: an agency or its grants changed, and the book knows."""

GRANTS_REPLAYED = "grants-replayed"
"""Topic: the register of agencies was written by somebody else than the security officer: by replay."""


class AccessDenied(ExchangeError):
    """The caller may not do this."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reason = problem.reason
        super().__init__(f"{problem.reason} {problem.detail}".strip())


class NotFound(ExchangeError):
    """What was asked for does not exist."""

    reason = "NOT_FOUND"


CHECKS = frozenset((Verb.VERB_CHECK, Verb.VERB_CHECK_PERSON))
"""Verbs that go by the area of the matter, whatever kinds the answer is made of."""

_ABOUT_GRANTS = frozenset({"NO_GRANT", "GRANT_AREA", "GRANT_AREA_MISSING", "GRANT_AUTHORITY"})


def missing_grants(problems: Iterable[Problem]) -> tuple[str, ...]:
    """The grants that a refusal names as missing, each once; without what a person's number stands in."""
    named = (each.detail for each in problems if each.reason in _ABOUT_GRANTS and each.detail)
    return tuple(dict.fromkeys(each for each in named if not contains_resident_id(each)))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: one identity holds one role."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role.value}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Areas of one verb and kind, over all grants."""

    prefixes: frozenset[str]

    @property
    def everywhere(self) -> bool:
        return EVERYWHERE in self.prefixes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An agency, ready to be asked."""

    name: str
    suspended: bool
    authorities: frozenset[str]
    valid_from: str
    valid_until: str
    quotas: Quotas
    keys: AgencyKeys
    signed: frozenset[int]
    """Kinds that it may submit only signed."""
    allowed: Mapping[tuple[int, int], _Allowed]
    """By verb and kind; CHECK stands under kind 0."""


@dataclass(frozen=True, slots=True)
class _Book:
    entries: Mapping[str, _Entry] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


class AgencyBook:
    """Agencies and their grants as the register has them, kept in memory.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._book = _Book()
        self._edition = 0
        self._outdated = threading.Event()
        node.events.listen(GRANTS_REPLAYED, self._outdated.set)
        self.reload()

    @property
    def edition(self) -> int:
        """Counts reloads: what was concluded under an older one has to be concluded again."""
        self._look()
        return self._edition

    def reload(self) -> None:
        """Read the register again: after every change, and after the registers were made anew."""
        with self._lock:
            self._outdated.clear()
            with self._node.database.read() as connection:
                rows = agencies.everything(connection)
            entries: dict[str, _Entry] = {}
            keys: dict[str, str] = {}
            for name, raw in rows.items():
                agency = Agency.FromString(raw)
                entries[name] = _entry(agency)
                keys |= dict.fromkeys(agency.bound_keys, name)
            self._book = _Book(entries, keys)
            self._edition += 1
        self._node.events.notify(AGENCIES_CHANGED)

    def _look(self) -> None:
        if self._outdated.is_set():
            self.reload()

    @property
    def _current(self) -> _Book:
        self._look()
        return self._book

    # -- who -------------------------------------------------------------------------------------------------

    def identify(self, uri: str | None, key_hash: str) -> Caller:
        """The caller that a certificate stands for.

        Args:
            uri: Identity in the certificate, given only when its issuer is trusted for identities.
            key_hash: Hex SHA-256 of the certificate's public key.

        Raises:
            AccessDenied: IDENTITY_UNKNOWN. Whether an agency may call now is said by ``standing``.
        """
        caller = self._by_uri(uri) if uri else None
        if caller is None:
            bound = self._current.keys.get(key_hash)
            if bound is None:
                raise AccessDenied(Problem("IDENTITY_UNKNOWN"))
            caller = Caller(Role.AGENCY, bound)
        if caller.role is Role.AGENCY and caller.name not in self._current.entries:
            raise AccessDenied(Problem("IDENTITY_UNKNOWN", "", caller.name))
        return caller

    def _by_uri(self, uri: str) -> Caller | None:
        try:
            identity = Identity.parse(uri)
        except LogFormatError:
            return None
        if identity.domain != self._node.federation:
            return None
        if identity.role is not Role.NODE and identity.node != self._node.name:
            # Officers and agencies of another region have nothing to say here.
            return None
        return Caller(identity.role, identity.name if identity.role is not Role.NODE else identity.node)

    def identity_of(self, caller: Caller) -> str:
        """A caller as the journal names it."""
        return f"spiffe://{self._node.name}.{self._node.federation}/{caller}"

    def standing(self, agency: str, now: datetime) -> Problem | None:
        """Why an agency may do nothing at all now, or None: it is suspended, or its time has not come or is over."""
        entry = self._current.entries.get(agency)
        if entry is None:
            return Problem("IDENTITY_UNKNOWN", "", agency)
        if entry.suspended:
            return Problem("AGENCY_SUSPENDED", "", agency)
        if not entry.valid_from and not entry.valid_until:
            return None
        today = now.astimezone(LOCAL_TIME).date().isoformat()
        if today < entry.valid_from:
            return Problem("AGENCY_NOT_YET_VALID", "", f"{agency} {entry.valid_from}")
        if entry.valid_until and today > entry.valid_until:
            return Problem("AGENCY_NO_LONGER_VALID", "", f"{agency} {entry.valid_until}")
        return None

    def quotas(self, agency: str) -> Quotas:
        """How much an agency was granted; a number that is 0 leaves the node's own limit."""
        entry = self._current.entries.get(agency)
        return entry.quotas if entry is not None else Quotas()

    # -- what ------------------------------------------------------------------------------------------------

    def require(self, agency: str, verb: int, kind: int, area: str, authority: str = "") -> Problem | None:
        """Why an agency may not do something, or None when a grant allows it.

        Args:
            agency: Its name.
            verb: ``VERB_SUBMIT``, ``VERB_READ``, ``VERB_CHECK`` or ``VERB_CHECK_PERSON``.
            kind: Kind of the record; ignored for CHECK.
            area: Area of authority or station for SUBMIT, of subject or station for READ, of the matter for CHECK.
            authority: USCC of the stating authority, for SUBMIT.
        """
        entry = self._current.entries.get(agency)
        if entry is None:
            return Problem("NO_GRANT", "", agency)
        if entry.suspended:
            return Problem("AGENCY_SUSPENDED", "", agency)
        allowed = entry.allowed.get((verb, 0 if verb in CHECKS else kind))
        if allowed is None:
            return Problem("NO_GRANT", "", _named(verb, kind, area))
        if not allowed.everywhere:
            if not area:
                return Problem("GRANT_AREA_MISSING", "area_code", _named(verb, kind, area))
            if not _covers(self._node.tables.areas, allowed.prefixes, area):
                return Problem("GRANT_AREA", "area_code", _named(verb, kind, area))
        if verb == Verb.VERB_SUBMIT and entry.authorities and authority not in entry.authorities:
            return Problem("GRANT_AUTHORITY", "header.authority.uscc", f"{_named(verb, kind, area)} {authority[:18]}")
        return None

    def submits(self, agency: str) -> bool:
        """Whether an agency may submit anything at all: only then may it hand in attachments."""
        entry = self._current.entries.get(agency)
        return entry is not None and not entry.suspended and any(verb == Verb.VERB_SUBMIT for verb, _ in entry.allowed)

    def signature_problem(self, agency: str, kind: int, envelope: Envelope | None, now: datetime) -> Problem | None:
        """What is wrong with the agency's own signature, or None.

        Args:
            agency: Its name.
            kind: Kind of the record.
            envelope: The finished envelope that the agency brought; None for a record that the node is to seal.
            now: Aware instant of the call.
        """
        entry = self._current.entries.get(agency)
        if entry is None:
            return Problem("NO_GRANT", "", agency)
        if envelope is None:
            return Problem("SIGNATURE_REQUIRED", "record", _named(0, kind, "")) if kind in entry.signed else None
        verdict = entry.keys.check(envelope, now)
        if verdict is AgencySignature.VALID:
            return None
        return Problem(verdict.value, "sealed.signatures", agency)

    def readable(self, agency: str, wanted: Iterable[int] = ()) -> Mapping[int, AreaLimit | None]:
        """Kinds that an agency may read, each with its areas; None means any area.

        Args:
            agency: Its name.
            wanted: Only these kinds; empty means all.
        """
        entry = self._current.entries.get(agency)
        if entry is None or entry.suspended:
            return {}
        only = frozenset(wanted)
        found: dict[int, AreaLimit | None] = {}
        for (verb, kind), allowed in entry.allowed.items():
            if verb == Verb.VERB_READ and (not only or kind in only):
                found[kind] = None if allowed.everywhere else area_limit(self._node.tables.areas, allowed.prefixes)
        return found

    def may_read(self, agency: str, kind: int, area: str, tombstone: str = "") -> Problem | None:
        """Why an agency may not read a row, or None. Erasing takes the area, so a row erased is shown to any reader."""
        problem = self.require(agency, Verb.VERB_READ, kind, area)
        if problem is not None and tombstone == "ERASED" and problem.reason == "GRANT_AREA_MISSING":
            return None
        return problem


def area_limit(areas: Areas, prefixes: Iterable[str]) -> AreaLimit:
    """What a query tests for areas within prefixes: abolished codes whose successors lie within are added."""
    wanted = tuple(sorted(prefixes))
    codes = tuple(
        sorted(
            code
            for code, area in areas.by_code.items()
            if area.successors and not code.startswith(wanted) and _covers(areas, wanted, code)
        )
    )
    return AreaLimit(prefixes=wanted, codes=codes)


def _covers(areas: Areas, prefixes: Iterable[str], code: str) -> bool:
    return any(areas.covers(prefix, code) for prefix in prefixes)


def _named(verb: int, kind: int, area: str) -> str:
    """The grant that is missing: verb, kind and area, as the form writes them."""
    name = Verb.Name(verb).removeprefix("VERB_") if verb else ""  # type: ignore[arg-type]
    of = kinds.spec(kind).name if verb not in CHECKS and kind in kinds.KINDS else ""  # type: ignore[arg-type]
    return " ".join(filter(None, (name, of, area[:6])))


def _entry(agency: Agency) -> _Entry:
    areas: dict[tuple[int, int], set[str]] = {}
    for grant in agency.grants:
        granted = (0,) if grant.verb in CHECKS else tuple(grant.kinds)
        for kind in granted:
            areas.setdefault((grant.verb, kind), set()).update(grant.areas)
    return _Entry(
        name=agency.name,
        suspended=agency.suspended,
        authorities=frozenset(agency.authorities),
        valid_from=agency.valid_from,
        valid_until=agency.valid_until,
        quotas=agency.quotas,
        keys=AgencyKeys.load(agency.signing_certificates),
        signed=frozenset(kind for grant in agency.grants if grant.require_signature for kind in grant.kinds),
        allowed={key: _Allowed(frozenset(prefixes)) for key, prefixes in areas.items()},
    )
