"""Records of a later edition of the schema in the layouts of this one."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from exchange.domain import kinds
from exchange.v1.kind_pb2 import Kind
from tests.domain.records import SOUND
from tests.world import adapters


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_record_of_a_later_edition_is_written_as_far_as_it_is_understood(name: str) -> None:
    """Enumerators that nobody here knows yet, anywhere in it: each is told as lost, and nothing else is."""
    record = SOUND[name]()
    places = _set_unknown(record, "")
    for side, adapter in adapters().items():
        kind = kinds.kind_of(record)
        if kind not in adapter.kinds or kind == Kind.KIND_MONITORING_BATCH:
            continue
        for form in ("xlsx", "csv", "json"):
            (lost,) = adapter.write([record], kind=kind, form=form).lost_of
            told = {each.place for each in lost if each.reason == "LOSS_SOME_VALUES"}
            assert places <= told, (side, form)


def _set_unknown(message: Message, prefix: str) -> set[str]:
    """Give every enumeration that is set a value of a later edition; their paths."""
    places = set()
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                places |= _set_unknown(each, f"{path}.")
        elif field.enum_type is not None and not field.is_repeated:
            setattr(message, field.name, 9_999)
            places.add(path)
    return places
