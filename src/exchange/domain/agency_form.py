"""An agency and its grants as a text: the form in which grants are brought in, and in which the journal keeps them.

name = "permit-office"
display_name = "演示行政审批局"
bound_keys = ["<hex SHA-256 of a public key>"]
authorities = ["<USCC>"]
valid_from = "2026-01-01"
valid_until = "2026-12-31"
signing_certificates = ["<base64 of DER>"]

[quotas]
records_per_minute = 6000
calls_in_flight = 16
watchers = 4

[[grant]]
verb = "READ"
kinds = ["CreditResult", "PenaltyNotice"]
areas = ["50"]

[[grant]]
verb = "SUBMIT"
kinds = ["CreditResult"]
areas = ["50"]
require_signature = true
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Final

from exchange.domain import kinds
from exchange.domain.catalogues.areas import EVERYWHERE, Areas
from exchange.domain.catalogues.table_file import Row, open_table
from exchange.domain.catalogues.tables import Tables
from exchange.domain.codes import uscc_reasons
from exchange.domain.problems import Problem
from exchange.domain.validation.findings import is_date
from exchange.v1.kind_pb2 import Kind
from exchange.v1.security_service_pb2 import Agency, Grant, Quotas, Verb

MAX_GRANTS: Final = 64
"""Grants of one agency: three verbs for every kind, twice over."""

MAX_AREAS: Final = 200
"""Areas of one grant: more than any province has counties."""

MAX_BOUND_KEYS: Final = 16
"""Keys bound to one agency: its systems, each with a successor."""

MAX_SIGNING_CERTIFICATES: Final = 8
"""Keys by which one agency signs: its systems, each with a successor."""

MAX_CERTIFICATE_BYTES: Final = 16_384
"""Bytes of one certificate; a usual one has 1,000."""

MAX_AUTHORITIES: Final = 500
"""Authorities that one agency submits for: a province's bureaus down to counties."""

MAX_DISPLAY_NAME: Final = 200
"""Characters of a display name."""

QUOTAS: Final = {"records_per_minute": 10_000_000, "calls_in_flight": 1_024, "watchers": 64}
"""Quotas by name, each with the most that may be granted: beyond it a typing error is likelier than a need."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_KEY_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{4}X[0-9]")
_VERBS = {name.removeprefix("VERB_"): value for name, value in Verb.items() if value}


def format_agency(agency: Agency) -> str:
    """Write the form. ``read_agency`` of it gives an equal message."""
    lines = [f"name = {_text(agency.name)}", f"display_name = {_text(agency.display_name)}"]
    if agency.suspended:
        lines.append("suspended = true")
    if agency.bound_keys:
        lines.append(f"bound_keys = {_texts(agency.bound_keys)}")
    if agency.authorities:
        lines.append(f"authorities = {_texts(agency.authorities)}")
    lines += [f"{name} = {_text(day)}" for name, day in _days(agency) if day]
    if agency.signing_certificates:
        lines.append(f"signing_certificates = {_texts(b64encode(der).decode() for der in agency.signing_certificates)}")
    if agency.HasField("quotas"):
        lines += ["", "[quotas]"]
        lines += [f"{name} = {number}" for name in QUOTAS if (number := getattr(agency.quotas, name))]
    for grant in agency.grants:
        lines += ["", "[[grant]]", f'verb = "{Verb.Name(grant.verb).removeprefix("VERB_")}"']
        if grant.kinds:
            lines.append(f"kinds = {_texts(kinds.spec(kind).name for kind in grant.kinds)}")
        lines.append(f"areas = {_texts(grant.areas)}")
        if grant.require_signature:
            lines.append("require_signature = true")
    return "\n".join([*lines, ""])


def read_agency(name: str, content: bytes) -> Agency:
    """Read the form.

    Args:
        name: File name, for the place of errors.
        content: UTF-8 TOML.

    Raises:
        TableError: Not TOML, or a key is missing, unknown or of another type.
    """
    file = open_table(name, content)
    agency = Agency(
        name=file.text("name"),
        display_name=file.text("display_name"),
        suspended=file.flag("suspended", default=False),
        bound_keys=file.texts("bound_keys"),
        authorities=file.texts("authorities"),
        valid_from=file.text("valid_from", ""),
        valid_until=file.text("valid_until", ""),
    )
    for text in file.texts("signing_certificates"):
        try:
            agency.signing_certificates.append(b64decode(text, validate=True))
        except ValueError:
            raise file.wrong("signing_certificates", "must be base64") from None
    if file.has("quotas"):
        agency.quotas.CopyFrom(_quotas(file.row("quotas")))
    agency.grants.extend(_grant(row) for row in file.rows("grant"))
    file.end()
    return agency


def _quotas(row: Row) -> Quotas:
    quotas = Quotas()
    for name in QUOTAS:
        if row.has(name):
            number = row.whole(name)
            if not 0 < number <= QUOTAS[name]:
                raise row.wrong(name, f"must be 1 to {QUOTAS[name]}")
            setattr(quotas, name, number)
    row.end()
    return quotas


def _grant(row: Row) -> Grant:
    grant = Grant(verb=_VERBS[row.one_of("verb", _VERBS)])
    for text in row.texts("kinds"):
        kind = kinds.kind_by_name(text)
        if kind is None:
            raise row.wrong("kinds", f"no such kind: {text}")
        grant.kinds.append(kind)
    grant.areas.extend(row.texts("areas"))
    grant.require_signature = row.flag("require_signature", default=False)
    row.end()
    return grant


def check_agency(agency: Agency, tables: Tables) -> tuple[Problem, ...]:
    """Every rule that an agency breaks; empty when it is sound."""
    return tuple(_problems(agency, tables))


def _problems(agency: Agency, tables: Tables) -> Iterator[Problem]:
    if not _NAME.fullmatch(agency.name):
        yield Problem("AGENCY_NAME", "agency.name", agency.name[:64])
    if not agency.display_name.strip():
        yield Problem("FIELD_MISSING", "agency.display_name")
    elif len(agency.display_name) > MAX_DISPLAY_NAME:
        yield Problem("TEXT_TOO_LONG", "agency.display_name", str(len(agency.display_name)))
    elif not agency.display_name.isprintable():
        yield Problem("TEXT_CONTROL_CHARACTER", "agency.display_name")
    yield from _lists(agency)
    for place, key in enumerate(agency.bound_keys):
        if not _KEY_HASH.fullmatch(key):
            yield Problem("KEY_HASH_FORMAT", f"agency.bound_keys[{place}]", key[:64])
    for place, uscc in enumerate(agency.authorities):
        for reason in uscc_reasons(uscc, tables.accepted_codes):
            yield Problem(reason, f"agency.authorities[{place}]", uscc[:18])
    yield from _bounds(agency)
    for place, grant in enumerate(agency.grants):
        yield from _grant_problems(grant, f"agency.grants[{place}]", tables.areas)


def _days(agency: Agency) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("valid_from", agency.valid_from), ("valid_until", agency.valid_until)


def _bounds(agency: Agency) -> Iterator[Problem]:
    """How long and how much."""
    wrong = [name for name, day in _days(agency) if day and not is_date(day)]
    for name in wrong:
        yield Problem("DATE_FORMAT", f"agency.{name}", getattr(agency, name)[:20])
    if not wrong and agency.valid_until and agency.valid_until < agency.valid_from:
        yield Problem("DATES_REVERSED", "agency.valid_until", f"{agency.valid_until} < {agency.valid_from}")
    for name, most in QUOTAS.items():
        number = getattr(agency.quotas, name)
        if not 0 <= number <= most:
            yield Problem("QUOTA_RANGE", f"agency.quotas.{name}", f"{number} > {most}" if number > 0 else str(number))


def _lists(agency: Agency) -> Iterator[Problem]:
    for name, values, limit in (
        ("grants", agency.grants, MAX_GRANTS),
        ("bound_keys", agency.bound_keys, MAX_BOUND_KEYS),
        ("authorities", agency.authorities, MAX_AUTHORITIES),
        ("signing_certificates", agency.signing_certificates, MAX_SIGNING_CERTIFICATES),
    ):
        if len(values) > limit:
            yield Problem("TOO_MANY_ITEMS", f"agency.{name}", f"{len(values)} > {limit}")
    for name in ("bound_keys", "authorities", "signing_certificates"):
        values = getattr(agency, name)
        if len(set(values)) != len(values):
            yield Problem("DUPLICATE_ITEM", f"agency.{name}")
    for place, der in enumerate(agency.signing_certificates):
        if not 0 < len(der) <= MAX_CERTIFICATE_BYTES:
            yield Problem("SIGNING_CERTIFICATE", f"agency.signing_certificates[{place}]", f"{len(der)} bytes")


def _grant_problems(grant: Grant, place: str, areas: Areas) -> Iterator[Problem]:
    if grant.verb == Verb.VERB_UNSPECIFIED:
        yield Problem("ENUM_UNSPECIFIED", f"{place}.verb")
    elif grant.verb not in Verb.values():
        yield Problem("ENUM_UNKNOWN", f"{place}.verb", str(int(grant.verb)))
    if not grant.kinds and grant.verb not in (Verb.VERB_CHECK, Verb.VERB_CHECK_PERSON):
        yield Problem("FIELD_MISSING", f"{place}.kinds")
    for at, kind in enumerate(grant.kinds):
        if kind == Kind.KIND_UNSPECIFIED:
            yield Problem("ENUM_UNSPECIFIED", f"{place}.kinds[{at}]")
        elif kind not in kinds.KINDS:
            yield Problem("ENUM_UNKNOWN", f"{place}.kinds[{at}]", str(int(kind)))
        elif grant.verb == Verb.VERB_SUBMIT and not kinds.spec(kind).submittable:
            yield Problem("KIND_NOT_SUBMITTABLE", f"{place}.kinds[{at}]", kinds.spec(kind).name)
    if grant.require_signature and grant.verb != Verb.VERB_SUBMIT:
        yield Problem("INVALID_ARGUMENT", f"{place}.require_signature", "SUBMIT")
    if not grant.areas:
        yield Problem("FIELD_MISSING", f"{place}.areas")
    if len(grant.areas) > MAX_AREAS:
        yield Problem("TOO_MANY_ITEMS", f"{place}.areas", f"{len(grant.areas)} > {MAX_AREAS}")
    for at, area in enumerate(grant.areas):
        if area != EVERYWHERE and not (_PREFIX.fullmatch(area) and _is_known(area, areas)):
            yield Problem("AREA_UNKNOWN", f"{place}.areas[{at}]", area[:8])


def _is_known(prefix: str, areas: Areas) -> bool:
    """Whether a prefix leads to an area of the table, or is plausible where the table has no detail."""
    return prefix[:2] in areas.provinces and areas.plausible(prefix.ljust(6, "0"))


def _text(value: str) -> str:
    # Every escape of JSON is one of TOML's basic strings.
    return json.dumps(value, ensure_ascii=False)


def _texts(values: Iterable[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"
