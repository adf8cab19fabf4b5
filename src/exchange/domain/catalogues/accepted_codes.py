"""Real codes that fail a check of their standard, with the evidence for each, and what the checks allow by table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from exchange.domain.catalogues.table_file import Row

USCC_SHAPE: Final = re.compile(r"[1-9ANY][1-9][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
"""GB 32100, 4: what a code has to look like before any of its checks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedCode:
    """A real code that fails a check, with the evidence for it."""

    code: str
    reason: str
    evidence: str
    author: str
    added_on: date | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AcceptedCodes:
    """What is accepted beside the arithmetic.

    Attributes:
        uscc_regions: Allowed positions 3 and 4 of a USCC.
        permit_fallback_prefixes: Begin of permit codes of units without a USCC.
        cma_issuers: Allowed digits 3 and 4 of a CMA number.
        exceptions: Real codes that fail a check, by code.
    """

    uscc_regions: frozenset[str]
    permit_fallback_prefixes: tuple[str, ...]
    cma_issuers: frozenset[str]
    exceptions: Mapping[str, AcceptedCode] = field(default_factory=dict)


def load_accepted_codes(file: Row, overlay: Row | None = None) -> AcceptedCodes:
    """Read ``accepted_codes.toml`` and the administrator's additions, which may only add exceptions.

    Raises:
        TableError: An exception lacks its evidence or author, or stands for no check of :mod:`exchange.domain.codes`.
    """
    for key in ("edition", "source", "status"):
        file.text(key)
    regions = frozenset(file.texts("uscc_regions"))
    prefixes = file.texts("permit_fallback_prefixes")
    issuers = frozenset(file.texts("cma_issuers"))
    exceptions: dict[str, AcceptedCode] = {}
    for table in (file, overlay):
        if table is None:
            continue
        for row in table.rows("exception"):
            accepted = AcceptedCode(
                code=row.text("code"),
                reason=row.one_of("reason", ("USCC_CHECK", "USCC_ORG_CODE", "USCC_REGION")),
                evidence=row.text("evidence"),
                author=row.text("author"),
                added_on=row.day("added_on"),
            )
            row.end()
            if not USCC_SHAPE.fullmatch(accepted.code) or accepted.code in exceptions:
                raise row.wrong("code", "has not the shape of a USCC, or is listed twice")
            exceptions[accepted.code] = accepted
        table.end()
    return AcceptedCodes(
        uscc_regions=regions, permit_fallback_prefixes=prefixes, cma_issuers=issuers, exceptions=exceptions
    )
