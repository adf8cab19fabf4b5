"""Codes of firms, permits, laboratories and areas: GB 32100, GB 11714, HJ 608, CMA numbers, GB/T 2260.

A code is text. It is never read as a number, and never repaired: letter case, full-width characters and blanks
are the only things that :func:`normalise` takes away.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from operator import mul

from exchange.domain.catalogues.accepted_codes import USCC_SHAPE, AcceptedCodes
from exchange.domain.catalogues.tables import Tables

USCC_CACHE_SIZE = 8192
"""Entries of the verdict cache, about 2 MB: the firms of one round of evaluation in one province."""

_PERMIT_TAIL = re.compile(r"[0-9]{3}[0-9A-Z]")
_PERMIT_FALLBACK = re.compile(r"[0-9A-Z]{22}")
_CMA = re.compile(r"[0-9]{12}")
_CMA_NO = re.compile(r"[0-9A-Z][0-9A-Z\-]{5,31}")
_AREA = re.compile(r"[0-9]{4}(?:[0-9]{2}|X[0-9])")
_AREA_PREFIX = re.compile(r"[0-9]{2}(?:[0-9]{2})?")
_OUTLET = re.compile(r"D[AW][0-9]{3}")
_BLANKS = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_UPPER = {ord(char): char.upper() for char in "abcdefghijklmnopqrstuvwxyz"}
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUES = {char: value for value, char in enumerate(_USCC_ALPHABET)}
_USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_VALUES = {char: value for value, char in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_ORGANISATION_CHECKS = "0X987654321"

USCC_LENGTH = 18
PERMIT_LENGTH = 22


class CodeKind(Enum):
    """What a code is, by its shape."""

    USCC = "USCC"
    PERMIT = "PERMIT"
    CMA = "CMA"
    AREA = "AREA"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeVerdict:
    """What :func:`inspect` found.

    Attributes:
        code: The code after normalisation.
        reasons: Every check that failed, as reason codes; empty exactly when ``valid``.
    """

    code: str
    kind: CodeKind
    valid: bool
    reasons: tuple[str, ...]


def normalise(text: str) -> str:
    """The code without what typing adds: NFKC, upper case, no blanks and no zero-width characters.

    Only ASCII letters change their case: no code has others. NFKC comes again at the end, because what stood apart
    may now compose; so normalising twice changes nothing.
    """
    bare = _BLANKS.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", bare.translate(_UPPER))


def uscc_check_character(body: str) -> str:
    """The 18th character that GB 32100 gives to 17 characters of its alphabet: weights 3^i, modulo 31.

    Written out because python-stdnum, which the tests hold it against, takes four times as long.
    """
    total = sum(map(mul, map(_USCC_VALUES.__getitem__, body), _USCC_WEIGHTS))
    return _USCC_ALPHABET[-total % 31]


def organisation_code_holds(code: str) -> bool:
    """Whether nine characters pass the check of GB 11714: weights 3 7 9 10 5 8 4 2, modulo 11."""
    total = sum(map(mul, map(_ORGANISATION_VALUES.__getitem__, code[:8]), _ORGANISATION_WEIGHTS))
    return code[8] == _ORGANISATION_CHECKS[total % 11]


@lru_cache(maxsize=USCC_CACHE_SIZE)
def _uscc_arithmetic(text: str) -> tuple[str, ...]:
    """Reasons that need no table, in the order of the checks."""
    if not USCC_SHAPE.fullmatch(text):
        return ("USCC_FORMAT",)
    reasons = []
    if uscc_check_character(text[:17]) != text[17]:
        reasons.append("USCC_CHECK")
    if not organisation_code_holds(text[8:17]):
        reasons.append("USCC_ORG_CODE")
    return tuple(reasons)


def uscc_reasons(text: str, accepted: AcceptedCodes) -> tuple[str, ...]:
    """Every check of GB 32100 that a normalised code fails; empty when it holds or is a listed exception."""
    reasons = _uscc_arithmetic(text)
    if reasons != ("USCC_FORMAT",) and text[2:4] not in accepted.uscc_regions:
        reasons = (*reasons, "USCC_REGION")
    return () if reasons and text in accepted.exceptions else reasons


def uscc_problem(text: str, accepted: AcceptedCodes) -> str | None:
    """The first check of GB 32100 that fails, as a reason code; None when all hold.

    Args:
        text: The code, already normalised: lower case or blanks are ``USCC_FORMAT``.
        accepted: Listed exceptions and regions.
    """
    reasons = uscc_reasons(text, accepted)
    return reasons[0] if reasons else None


def permit_reasons(text: str, accepted: AcceptedCodes) -> tuple[str, ...]:
    """Every check of HJ 608-2017 that a normalised permit code fails.

    18 characters of a USCC, 3 digits and one special mark, which is no check character. Units without a USCC have a
    fallback prefix; of theirs only the shape is checked.
    """
    if len(text) != PERMIT_LENGTH or not _PERMIT_TAIL.fullmatch(text, USCC_LENGTH):
        return ("PERMIT_FORMAT",)
    if permit_is_fallback(text, accepted):
        return () if _PERMIT_FALLBACK.fullmatch(text) else ("PERMIT_FORMAT",)
    return uscc_reasons(text[:USCC_LENGTH], accepted)


def permit_is_of(text: str, uscc: str) -> bool:
    """Whether a permit code is a firm's USCC with a sound tail: the usual case, when the USCC itself was checked."""
    return (
        len(text) == PERMIT_LENGTH
        and text.startswith(uscc)
        and len(uscc) == USCC_LENGTH
        and _PERMIT_TAIL.fullmatch(text, USCC_LENGTH) is not None
    )


def permit_is_fallback(text: str, accepted: AcceptedCodes) -> bool:
    """Whether the permit code is of a unit without USCC, so that its first 18 characters name no firm."""
    return text.startswith(accepted.permit_fallback_prefixes) if accepted.permit_fallback_prefixes else False


def cma_no_holds(text: str) -> bool:
    """Whether the text may be the number of a CMA certificate as records state it.

    The usual form has 12 digits; numbers after the change of forms of 2023 may differ, so that only their alphabet
    and length hold.
    """
    return text.isascii() and _CMA_NO.fullmatch(text) is not None


def cma_reasons(text: str, accepted: AcceptedCodes) -> tuple[str, ...]:
    """Every check that a CMA certificate number fails: 12 digits, digits 3 and 4 of a known issuer."""
    if not (text.isascii() and _CMA.fullmatch(text)):
        return ("CMA_FORMAT",)
    return () if text[2:4] in accepted.cma_issuers else ("CMA_ISSUER",)


def outlet_holds(text: str) -> bool:
    """Whether the text is an outlet code of HJ 608-2017: ``DA`` or ``DW`` and three digits."""
    return text.isascii() and _OUTLET.fullmatch(text) is not None


def inspect(text: str, tables: Tables) -> CodeVerdict:
    """Say what a code is and whether it is valid.

    The kind follows from the shape alone, so that a wrong code still says what it was meant to be.
    """
    code = normalise(text)
    accepted = tables.accepted_codes
    kind = _kind(code)
    reasons: tuple[str, ...]
    if kind is CodeKind.USCC:
        reasons = uscc_reasons(code, accepted)
    elif kind is CodeKind.PERMIT:
        reasons = permit_reasons(code, accepted)
    elif kind is CodeKind.CMA:
        reasons = cma_reasons(code, accepted)
    elif kind is CodeKind.AREA:
        reasons = _area_reasons(code, tables)
    else:
        reasons = ("CODE_UNKNOWN",)
    return CodeVerdict(code=code, kind=kind, valid=not reasons, reasons=reasons)


def _kind(code: str) -> CodeKind:
    if not (code.isascii() and code.isalnum()):
        return CodeKind.UNKNOWN
    if _AREA.fullmatch(code) or _AREA_PREFIX.fullmatch(code):
        return CodeKind.AREA
    if _CMA.fullmatch(code):
        return CodeKind.CMA
    if USCC_LENGTH - 2 <= len(code) <= USCC_LENGTH + 1 and any(char.isdigit() for char in code):
        return CodeKind.USCC
    if PERMIT_LENGTH - 2 <= len(code) <= PERMIT_LENGTH + 1 and any(char.isdigit() for char in code):
        return CodeKind.PERMIT
    return CodeKind.UNKNOWN


def _area_reasons(code: str, tables: Tables) -> tuple[str, ...]:
    if _AREA_PREFIX.fullmatch(code):
        # Grants and cards name all below an area by it; a fact stands in one area of six digits.
        return ("AREA_UNKNOWN",) if tables.areas.find(code.ljust(6, "0")) is None else ("AREA_PREFIX",)
    area = tables.areas.find(code)
    if area is None:
        return ("AREA_NOT_LISTED",) if tables.areas.plausible(code) else ("AREA_UNKNOWN",)
    return ("AREA_ABOLISHED",) if area.valid_to is not None else ()
