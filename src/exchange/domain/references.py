"""Other records that a record names: which of them it touches, and whether it fits what it is about."""

from __future__ import annotations

from typing import Final, NamedTuple

from exchange.domain import kinds
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Record


class Named(NamedTuple):
    """The records that a record names.

    Attributes:
        touched: Those that it supersedes, erases, repairs or revokes: only who stated them, or a superior, may.
        spoken_of: The one of anyone that it answers, corrects or gives feedback on; None where it is about none.
        about: The one that it is about, in either way or as a mere link.
    """

    touched: tuple[RecordRef, ...]
    spoken_of: RecordRef | None
    about: RecordRef | None


NOTHING_NAMED: Final = Named((), None, None)


def named_by(record: Record) -> Named:
    """The records that a record names."""
    header, line = record.header, kinds.spec_of(record)
    superseded = (header.supersedes,) if header.HasField("supersedes") else ()
    about = line.about(record) if line is not None else None
    if line is None or about is None:
        return Named(superseded, None, None) if superseded else NOTHING_NAMED
    touched = (*superseded, about) if line.reach is kinds.Reach.OWN else superseded
    return Named(touched, about if line.reach is kinds.Reach.KNOWN else None, about)


def disagrees(before: Record | None, record: Record) -> bool:
    """Whether a record says otherwise than the one before it where all of a succession have to agree.

    Args:
        before: The record before it, or its own earlier revision; None where the text is not here.
        record: The record.
    """
    line = kinds.spec_of(record)
    if before is None or line is None or kinds.spec_of(before) is not line:
        return False
    return line.agrees(before) != line.agrees(record)


def misfit(record: Record, kind: int, subject: str) -> str:
    """Why a record can not be about another one; empty when it can.

    Args:
        record: The record.
        kind: Kind of the one that it is about.
        subject: USCC of that one's subject; empty where it has none, or none is known.
    """
    line = kinds.spec_of(record)
    if line is None or kind not in kinds.KINDS:
        return ""
    if line.about_kinds and kind not in line.about_kinds:
        return "REFERENCE_KIND"
    if record.HasField("answer") and record.answer.effect not in kinds.spec(kind).effects:  # type: ignore[arg-type]
        return "ANSWER_EFFECT_UNKNOWN"
    own = line.subject(record)
    if subject and own is not None and own.uscc != subject:
        return "REFERENCE_SUBJECT"
    return ""
