"""Kinds that the mechanism itself needs: decisions, answers, keys and erasures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.domain.kinds.keys import joined
from exchange.domain.kinds.spec import KindSpec, Reach, day_of
from exchange.v1.kind_pb2 import ErasureClass, Kind

if TYPE_CHECKING:
    from exchange.v1.common_pb2 import RecordRef
    from exchange.v1.record_pb2 import Record

KEY_EFFECTS: Final = ("KEY_ACCEPTED", "KEY_WAITING", "KEY_REJECTED")
"""What is said of a peer's keys; only nodes say it."""


def _ref_parts(ref: RecordRef) -> tuple[str, str, str]:
    return ref.origin, ref.record_id, str(ref.revision)


def _answer_key(record: Record) -> str:
    body = record.answer
    return joined(*_ref_parts(body.record), str(body.verb), body.effect, body.answered_by)


def _first_key_day(record: Record) -> str:
    starts = [key.valid_from for key in record.key_announcement.keys if key.HasField("valid_from")]
    return day_of(min(starts, key=lambda at: (at.seconds, at.nanos))) if starts else ""


MECHANISM: Final = (
    # A recognition made anew after a restore says the same under another record id, so it has no natural key here.
    KindSpec(
        kind=Kind.KIND_RECOGNITION,
        field="recognition",
        name="Recognition",
        zh="互认决定",
        en="recognition",
        lane=None,
        answered_by=None,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
        is_answer=True,
        submittable=False,
        fact=False,
        sort_date=lambda record: day_of(record.recognition.decided_at),
    ),
    KindSpec(
        kind=Kind.KIND_ERASURE,
        field="erasure",
        name="Erasure",
        zh="销毁",
        en="erasure",
        lane=None,
        answered_by=None,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
        fact=False,
        natural_key=lambda record: joined(*_ref_parts(record.erasure.record)),
        sort_date=lambda record: record.erasure.ordered_on,
        about=lambda record: record.erasure.record,
        reach=Reach.OWN,
    ),
    KindSpec(
        kind=Kind.KIND_ANSWER,
        field="answer",
        name="Answer",
        zh="答复",
        en="answer",
        lane=None,
        answered_by=None,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
        is_answer=True,
        fact=False,
        natural_key=_answer_key,
        level=lambda record: record.answer.verb,
        sort_date=lambda record: day_of(record.answer.answered_at),
        about=lambda record: record.answer.record,
        reach=Reach.KNOWN,
    ),
    # One key is announced in every lane, and again with each new state: several records, one key id.
    KindSpec(
        kind=Kind.KIND_KEY_ANNOUNCEMENT,
        field="key_announcement",
        name="KeyAnnouncement",
        zh="密钥公告",
        en="key announcement",
        lane=None,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
        effects=KEY_EFFECTS,
        submittable=False,
        fact=False,
        sort_date=_first_key_day,
    ),
)
"""Made by nodes, or about records."""
