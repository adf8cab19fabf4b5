"""What one line of the table of kinds says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from exchange.v1.common_pb2 import SUBJECT_KIND_NATURAL_PERSON, SUBJECT_KIND_SOLE_TRADER
from exchange.v1.kind_pb2 import ERASURE_CLASS_PERSONAL, ErasureClass, Kind, Lane

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from exchange.v1.common_pb2 import RecordRef, Subject
    from exchange.v1.record_pb2 import Record

NATIVE_TIME_ZONE: Final = timezone(timedelta(hours=8))
"""Dates of records are days of UTC+8, the legal time of both regions."""

_AHEAD: Final = 8 * 3600
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
"""Of the years 1 to 9999 in UTC: what a protobuf timestamp may say."""


SOLE_TRADER_PREFIX: Final = "92"
"""How the USCC of a sole trader begins."""


def day_of(at: Timestamp) -> str:
    """The day of an instant in UTC+8; empty when the instant is outside the years 1 to 9999."""
    if not _FIRST_SECOND <= at.seconds <= _LAST_SECOND or not 0 <= at.nanos < 1_000_000_000:
        return ""
    return _day((at.seconds + _AHEAD) // _DAY)


@lru_cache(4096)
def _day(number: int) -> str:
    """A day by its number from 1970-01-01."""
    ordinal = _EPOCH + number
    return date.fromordinal(ordinal).isoformat() if ordinal <= date.max.toordinal() else ""


class Reach(Enum):
    """What a record may be about."""

    OWN = "own"
    """Only what the same origin, and the same authority or its listed superior, has stated; it goes wherever that went.
    """
    KNOWN = "known"
    """Whatever this node knows; it goes to the origin of that, too."""
    LINK = "link"
    """A link that nothing depends on: what it names may be unknown here."""


def is_personal(subject: Subject) -> bool:
    """Whether one person stands behind a subject: by its kind, by a USCC of sole traders, or by who is named in it."""
    return (
        subject.kind in (SUBJECT_KIND_SOLE_TRADER, SUBJECT_KIND_NATURAL_PERSON)
        or subject.uscc.startswith(SOLE_TRADER_PREFIX)
        or subject.legal_representative != ""
    )


def _no_parts(_record: Record) -> tuple[object, ...]:
    return ()


def _no_text(_record: Record) -> str:
    return ""


def _no_number(_record: Record) -> int:
    return 0


def _nothing(_record: Record) -> None:
    return None


def _nobody(_record: Record) -> bool:
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class KindSpec:
    """One line of the table of kinds: all that the program knows of a kind beside its fields and its rules.

    Attributes:
        field: Alternative of ``Record.body``.
        name: Name on the wire and in commands, as in ``CreditResult``.
        lane: Lane it travels in; None: the lane of what it answers, erases or corrects, or every lane.
        answered_by: Kind of the first answer; None: never answered.
        effects: What an Answer to it may be about; empty where nothing is answered by an Answer.
        is_answer: It answers another record, so it is never answered itself.
        submittable: Agencies may submit it; others are made by nodes.
        fact: An authority states it: competence, natural key and life cycle are looked at, and it is shared under a
            purpose. False for what the mechanism itself needs.
        erasure_class: Class by which bodies may be destroyed, where nothing in the record asks for another one.
        natural_key: What makes the fact unique within its origin; None where the mechanism makes the kind unique.
        succeeds: Natural key of the record of the same origin that has to be stated before; empty where it begins.
        agrees: What all records that succeed one another agree in.
        subject: Whom it is about.
        persons: Whether persons stand in it beside its subject.
        uscc: USCC that it is found by where it has no subject.
        area: Area that reading and checking are granted by where it has no subject; empty: that of the header.
        state: Number of its state in its life cycle.
        level: Number that lists of this kind are filtered by: level, kind of notice, kind of list.
        year: Year that lists of this kind are filtered by.
        sort_date: Its own date, ``YYYY-MM-DD``: what lists are sorted by and rule editions chosen by.
        ended: ``REPAIRED``, ``REVOKED`` or ``WITHDRAWN`` when by its own words a tombstone takes its place.
        ended_on: Date of that end, where it is not that of the header's legal act.
        about: The record that it is about.
        about_kinds: Kinds that such a record may be of; empty: any.
        reach: What else holds of that record.
    """

    kind: Kind.ValueType
    field: str
    name: str
    zh: str
    en: str
    lane: Lane.ValueType | None
    answered_by: Kind.ValueType | None
    erasure_class: ErasureClass.ValueType
    effects: tuple[str, ...] = ()
    is_answer: bool = False
    submittable: bool = True
    fact: bool = True
    natural_key: Callable[[Record], str] | None = None
    succeeds: Callable[[Record], str] = _no_text
    agrees: Callable[[Record], tuple[object, ...]] = _no_parts
    subject: Callable[[Record], Subject | None] = _nothing
    persons: Callable[[Record], bool] = _nobody
    uscc: Callable[[Record], str] = _no_text
    area: Callable[[Record], str] = _no_text
    state: Callable[[Record], int] = _no_number
    level: Callable[[Record], int] = _no_number
    year: Callable[[Record], int] = _no_number
    sort_date: Callable[[Record], str] = _no_text
    ended: Callable[[Record], str] = _no_text
    ended_on: Callable[[Record], str] = _no_text
    about: Callable[[Record], RecordRef | None] = _nothing
    about_kinds: frozenset[int] = frozenset()
    reach: Reach = Reach.LINK

    def erasure_class_of(self, record: Record) -> ErasureClass.ValueType:
        """Class by which the body of one of its records may be destroyed: PERSONAL where a person stands in it."""
        subject = self.subject(record)
        personal = (subject is not None and is_personal(subject)) or self.persons(record)
        return ERASURE_CLASS_PERSONAL if personal else self.erasure_class
