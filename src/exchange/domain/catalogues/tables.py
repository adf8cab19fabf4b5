"""All tables of the domain, checked once: bytes come in, typed tables leave."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.alert_limits import AlertLimits, load_alert_limits
from exchange.domain.attachments import AttachmentTypes, load_attachment_types
from exchange.domain.catalogues.accepted_codes import AcceptedCodes, load_accepted_codes
from exchange.domain.catalogues.areas import Areas, load_areas
from exchange.domain.catalogues.calendars import Calendars, load_calendars
from exchange.domain.catalogues.fact_texts import FactTexts, load_fact_texts
from exchange.domain.catalogues.factors import Factors, load_factors
from exchange.domain.catalogues.flags import Flags, load_flags
from exchange.domain.catalogues.matters import Matters, load_matters
from exchange.domain.catalogues.measures import Measures, load_measures
from exchange.domain.catalogues.publicity import PublicityRules, load_publicity
from exchange.domain.catalogues.reasons import Reasons, load_reasons
from exchange.domain.catalogues.retention import Retention, load_retention
from exchange.domain.catalogues.schemes import Schemes, load_schemes
from exchange.domain.catalogues.sharing import SharingCatalogue, load_sharing
from exchange.domain.catalogues.superiors import Superiors, load_superiors
from exchange.domain.catalogues.table_file import Row, TableError, open_table
from exchange.domain.problems import Problem

__all__ = ["FILES", "TableError", "Tables", "digest_of", "load"]

FILES = (
    "reasons.toml",
    "facts.toml",
    "areas.toml",
    "areas_extension.toml",
    "factors.toml",
    "flags.toml",
    "schemes.toml",
    "measures.toml",
    "matters.toml",
    "accepted_codes.toml",
    "publicity.toml",
    "sharing_catalogue.toml",
    "superiors.toml",
    "attachment_types.toml",
    "alert_limits.toml",
    "retention.toml",
)
"""Files that :func:`load` reads, beside a calendar for each year; others in the mapping belong to somebody else."""

_ADDED = ("accepted_codes.toml", "superiors.toml")
_SHARING = "sharing_catalogue.toml"
_REPLACED = (_SHARING, "retention.toml")
_CALENDAR = re.compile(r"(?:calendars/)?(calendar_[0-9]{4}\.toml)")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tables:
    """The checked tables.

    Attributes:
        digest: SHA-256 in hex over names and bytes of everything that was read: names the edition.
    """

    reasons: Reasons
    facts: FactTexts
    areas: Areas
    factors: Factors
    flags: Flags
    schemes: Schemes
    measures: Measures
    matters: Matters
    accepted_codes: AcceptedCodes
    publicity: PublicityRules
    calendars: Calendars
    sharing: SharingCatalogue
    superiors: Superiors
    attachment_types: AttachmentTypes
    alert_limits: AlertLimits
    retention: Retention
    digest: str


def load(files: Mapping[str, bytes], overlays: Mapping[str, bytes] | None = None) -> Tables:
    """Check the tables.

    Args:
        files: Table files by name; all of :data:`FILES`, and ``calendars/calendar_YEAR.toml`` for each known year.
        overlays: The administrator's additions by name. Read here are ``accepted_codes.toml``, which adds exceptions,
            each with its evidence, ``superiors.toml``, which adds authorities above others, ``calendar_YEAR.toml``,
            which adds a year or replaces it, and ``sharing_catalogue.toml`` and ``retention.toml``, each of which
            replaces the shipped one.

    Raises:
        TableError: A file is missing or ill-formed; names file and place.
    """
    missing = [name for name in FILES if name not in files]
    if missing:
        raise TableError([Problem(TableError.reason, name, "missing") for name in missing])
    rows = {name: open_table(name, files[name]) for name in FILES}
    read = {name: files[name] for name in FILES}
    added: dict[str, Row] = {}
    for name in _ADDED:
        if overlays and name in overlays:
            added[name] = open_table(f"overlay/{name}", overlays[name])
            read[f"overlay/{name}"] = overlays[name]
    for name in _REPLACED:
        if overlays and name in overlays:
            rows[name] = open_table(f"overlay/{name}", overlays[name])
            read[f"overlay/{name}"] = overlays[name]
    years = {name: files[name] for name in files if _CALENDAR.fullmatch(name)}
    for name, content in (overlays or {}).items():
        if _CALENDAR.fullmatch(name):
            years.pop(f"calendars/{name}", None)
            years[f"overlay/{name}"] = content
    read |= years
    measures = load_measures(rows["measures.toml"])
    return Tables(
        reasons=load_reasons(rows["reasons.toml"]),
        facts=load_fact_texts(rows["facts.toml"]),
        areas=load_areas(rows["areas.toml"], rows["areas_extension.toml"]),
        factors=load_factors(rows["factors.toml"]),
        flags=load_flags(rows["flags.toml"]),
        schemes=load_schemes(rows["schemes.toml"]),
        measures=measures,
        matters=load_matters(rows["matters.toml"], measures),
        accepted_codes=load_accepted_codes(rows["accepted_codes.toml"], added.get("accepted_codes.toml")),
        publicity=load_publicity(rows["publicity.toml"]),
        calendars=load_calendars(open_table(name, content) for name, content in sorted(years.items())),
        sharing=load_sharing(rows[_SHARING]),
        superiors=load_superiors(rows["superiors.toml"], added.get("superiors.toml")),
        attachment_types=load_attachment_types(rows["attachment_types.toml"]),
        alert_limits=load_alert_limits(rows["alert_limits.toml"]),
        retention=load_retention(rows["retention.toml"]),
        digest=digest_of(read),
    )


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over a set of files: names and contents, each with its length in bytes, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(files):
        encoded = name.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
        digest.update(len(files[name]).to_bytes(8, "big") + files[name])
    return digest.hexdigest()
