"""What sample rows of the kinds of :mod:`exchange_forms.flat` are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.generate import authority_of
from exchange_forms.made.making import Value, made_firm, made_uscc
from exchange_forms.made.sampling import Case
from exchange_forms.sides.side import Side


def record_id(number: int) -> str:
    """A made-up record id: UUIDv7 in form, of no record."""
    return f"019573a0-6c00-7000-8000-{number:012x}"


def word(side: Side, kind: Kind.ValueType, column: str, *meanings: str) -> str:
    """The side's own words for some meanings of a column."""
    return "；".join(side.forms[kind].words[column].texts[meaning] for meaning in meanings)


def firm(side: Side, number: int) -> dict[str, Value]:
    """A made-up firm and the authority that speaks of it."""
    uscc, name = authority_of(side)
    return {
        "name": made_firm(number),
        "uscc": made_uscc(side.name, number),
        "authority_name": name,
        "authority_uscc": uscc,
    }


def person(side: Side, number: int) -> dict[str, Value]:
    """A made-up natural person: no code, and a name that has to be masked."""
    return {**firm(side, number), "name": "李演示", "uscc": None, "subject_kind": "自然人"}


def joined(case: Case, columns: Sequence[str]) -> Case:
    """The case with what joins its rows in every one of them."""
    keys = {column: case.values[column] for column in columns}
    return replace(case, more=[{**keys, **row} for row in case.more])
