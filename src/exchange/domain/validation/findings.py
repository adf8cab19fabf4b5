"""Collects every broken rule of one record, and holds the checks that all kinds share."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence, Sized
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from exchange.domain.catalogues.tables import Tables
from exchange.domain.codes import permit_is_fallback, permit_is_of, permit_reasons, uscc_problem
from exchange.domain.personal import RESIDENT_ID_LENGTH, contains_resident_id
from exchange.domain.problems import Problem
from exchange.domain.validation.limits import EARLIEST_DATE, SENTENCE_CHARACTERS
from exchange.v1.common_pb2 import RecordRef, SaltedDigest

_BLANK_CHARACTERS = str.maketrans("", "", "\u3000\u00a0\u2002\u2003\u2009")
_LINE_CHARACTERS = str.maketrans("", "", "\n\r\t")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_RECORD_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NODE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_LOG = re.compile(r"[a-z0-9][a-z0-9.-]{0,251}(?:/[a-z0-9][a-z0-9._-]{0,63}){1,6}/[1-9][0-9]{0,8}")
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_CODE_CHARACTERS = 64
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?")
_SALT_BYTES = range(16, 33)
_DIGEST_BYTES = 32


class EnumWrapper(Protocol):
    """What a generated enum offers here."""

    def values(self) -> Sequence[int]:
        """Every number."""
        ...


def numbers(enum: EnumWrapper) -> frozenset[int]:
    """The numbers of a generated enum that may stand in a record: all but 0."""
    return frozenset(enum.values()) - {0}


@lru_cache(maxsize=8192)
def is_date(text: str) -> bool:
    """Whether the text is a real date, written ``YYYY-MM-DD`` and no other way."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-" or not text.isascii():
        return False
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_record_id(text: str) -> bool:
    """Whether the text is a UUIDv7 in its 36-character lower case form."""
    return _RECORD_ID.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether the text is a code of upper case words joined by underscores, at most 64 characters."""
    return len(text) <= _CODE_CHARACTERS and _CODE.fullmatch(text) is not None


def is_log_origin(text: str) -> bool:
    """Whether the text is the origin of a log, ending in its epoch."""
    return _LOG.fullmatch(text) is not None


def is_node(text: str) -> bool:
    """Whether the text can be a node's name."""
    return _NODE.fullmatch(text) is not None


def _has_invisible(text: str, *, lines: bool) -> bool:
    rest = text.translate(_BLANK_CHARACTERS)
    if lines:
        rest = rest.translate(_LINE_CHARACTERS)
    # isprintable is also false for characters newer than this Python's tables and for the private area that GB 18030
    # maps into; both occur in names.
    return not rest.isprintable() and any(unicodedata.category(char) in _INVISIBLE for char in rest)


class Findings:
    """The broken rules of one record, in the order of its fields.

    Attributes:
        problems: Every broken rule that was found.
        tables: The tables of the node that validates.
        today: Its day in UTC+8, ``YYYY-MM-DD``.
    """

    __slots__ = ("problems", "tables", "today")

    def __init__(self, tables: Tables, today: str) -> None:
        self.problems: list[Problem] = []
        self.tables = tables
        self.today = today

    def add(self, reason: str, place: str, detail: str = "") -> None:
        """Note a broken rule. ``detail`` must not repeat text of the record that may name a person."""
        self.problems.append(Problem(reason, place, detail))

    def text(self, value: str, place: str, limit: int, *, required: bool = False, lines: bool = False) -> None:
        """A text for people: at most ``limit`` characters, no invisible ones, no resident identity number.

        Args:
            value: The text.
            place: Its field path.
            limit: Characters.
            required: Refuse it when it is empty or blank.
            lines: Line breaks and tabs are allowed.
        """
        if not value:
            if required:
                self.add("FIELD_MISSING", place)
            return
        size = len(value)
        if size > limit:
            self.add("TEXT_TOO_LONG", place, f"{size} > {limit}")
            return
        if not value.isprintable() and _has_invisible(value, lines=lines):
            self.add("TEXT_CONTROL_CHARACTER", place)
        if size >= RESIDENT_ID_LENGTH and contains_resident_id(value):
            self.add("PERSONAL_ID_PRESENT", place)
        if required and value.isspace():
            self.add("FIELD_MISSING", place)

    def legal_bases(self, values: Sequence[str], place: str, limit: int) -> None:
        """Legal bases: each a sentence, none empty, at most ``limit``."""
        if len(values) > limit:
            self.add("TOO_MANY_ITEMS", place, f"{len(values)} > {limit}")
            return
        for number, value in enumerate(values):
            self.text(value, f"{place}[{number}]", SENTENCE_CHARACTERS, required=True, lines=True)

    def day(self, value: str, place: str, *, required: bool = False, future: bool = False) -> str:
        """A date; the text again when it is sound, and empty otherwise.

        Args:
            value: The text.
            place: Its field path.
            required: Refuse it when it is empty.
            future: It may lie after today.
        """
        if not value:
            if required:
                self.add("FIELD_MISSING", place)
            return ""
        if not is_date(value):
            self.add("DATE_FORMAT", place)
            return ""
        if value < EARLIEST_DATE:
            self.add("DATE_TOO_OLD", place, value)
            return ""
        if not future and value > self.today:
            self.add("DATE_IN_FUTURE", place, value)
            return ""
        return value

    def ordered(self, first: str, last: str, place: str, reason: str = "DATES_REVERSED") -> None:
        """Two dates in order, where both are there; the later one stands at ``place``."""
        if first and last and first > last:
            self.add(reason, place, f"{first} > {last}")

    def number(self, value: str, place: str, *, required: bool = False, signed: bool = False) -> Decimal | None:
        """A decimal number written plainly; None when it is empty or not one."""
        if not value:
            if required:
                self.add("FIELD_MISSING", place)
            return None
        if not _DECIMAL.fullmatch(value):
            self.add("DECIMAL_FORMAT", place)
            return None
        if value.startswith("-") and not signed:
            self.add("VALUE_NEGATIVE", place)
            return None
        return Decimal(value)

    def count(self, items: Sized, place: str, limit: int, *, required: bool = False) -> bool:
        """A list of at most ``limit`` items; False when it is too long to be looked at."""
        if required and not items:
            self.add("FIELD_MISSING", place)
        if len(items) > limit:
            self.add("TOO_MANY_ITEMS", place, f"{len(items)} > {limit}")
            return False
        return True

    def choice(self, value: int, allowed: frozenset[int], place: str) -> bool:
        """A number of an enum; True when it is one."""
        if value in allowed:
            return True
        self.add("ENUM_UNKNOWN" if value else "ENUM_UNSPECIFIED", place, str(value) if value else "")
        return False

    def uscc(self, value: str, place: str, *, required: bool = False) -> None:
        """A USCC of GB 32100, already normalised."""
        if not value:
            if required:
                self.add("FIELD_MISSING", place)
            return
        reason = uscc_problem(value, self.tables.accepted_codes)
        if reason is not None:
            self.add(reason, place)

    def permit(self, value: str, uscc: str, place: str) -> None:
        """A permit code of HJ 608 that belongs to the firm beside it; empty is sound."""
        if not value or permit_is_of(value, uscc):
            return
        accepted = self.tables.accepted_codes
        reasons = permit_reasons(value, accepted)
        if reasons:
            self.add(reasons[0], place)
        elif uscc and not permit_is_fallback(value, accepted) and not value.startswith(uscc):
            self.add("PERMIT_OTHER_SUBJECT", place)

    def area(self, value: str, place: str) -> None:
        """An area code that can be one; empty is sound."""
        if value and not self.tables.areas.plausible(value):
            self.add("AREA_UNKNOWN", place, value if value.isascii() and len(value) <= 6 else "")

    def reference(self, ref: RecordRef, place: str) -> None:
        """A reference to a record: origin, record id, revision not negative."""
        if not (is_node(ref.origin) and is_record_id(ref.record_id) and ref.revision >= 0):
            self.add("RECORD_REF_INVALID", place)

    def salted_digest(self, digest: SaltedDigest, place: str) -> None:
        """SHA-256 with its salt."""
        if digest.algorithm != "SHA-256" or len(digest.digest) != _DIGEST_BYTES or len(digest.salt) not in _SALT_BYTES:
            self.add("DIGEST_INVALID", place)

    def codes(self, values: Iterable[str], place: str, limit: int) -> int:
        """A list of codes, each once; returns how many there are."""
        seen: set[str] = set()
        count = 0
        for value in values:
            count += 1
            if not is_code(value):
                self.add("REASON_CODE_FORMAT", f"{place}[{count - 1}]")
            elif value in seen:
                self.add("DUPLICATE_ITEM", f"{place}[{count - 1}]", value)
            seen.add(value)
        if count > limit:
            self.add("TOO_MANY_ITEMS", place, f"{count} > {limit}")
        return count
