"""What a layout can not carry: every field of a kind is carried by a column, or listed with the reason.

Derived from the schema and from what a layout does, never from a list: a field that the schema gains is without a
place until a layout has one for it, and a column that fills no field is ignored and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exchange.domain.kinds import spec
from exchange.domain.problems import Problem
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

NO_PLACE: Final = "LOSS_NO_PLACE"
ONLY_READ: Final = "LOSS_ONLY_READ"
FOLLOWS: Final = "LOSS_FOLLOWS"
FROM_TABLES: Final = "LOSS_FROM_TABLES"
WITH_DOCUMENT: Final = "LOSS_WITH_DOCUMENT"
OF_NODE: Final = "LOSS_OF_NODE"
OF_READING: Final = "LOSS_OF_READING"
SOME_VALUES: Final = "LOSS_SOME_VALUES"
COLUMN_IGNORED: Final = "LOSS_COLUMN_IGNORED"
COLUMN_REMOVED: Final = "LOSS_COLUMN_REMOVED"

_OWN: Final[Mapping[str, str]] = {
    "header.record_id": OF_NODE,
    "header.revision": OF_NODE,
    "header.provenance": OF_READING,
}
"""Fields that no document states by their meaning."""

_HEADER: Final = "header"


@dataclass(frozen=True, kw_only=True, slots=True)
class Treatment:
    """How a layout treats one field.

    Attributes:
        reason: Why it is not carried; empty: it is.
        by: Column, item or table that makes it.
        values: Values of an enumeration that have no word in the layout.
    """

    reason: str = ""
    by: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LossReport:
    """What one layout of a kind carries and what it can not.

    Attributes:
        layout: Dialect and edition, as in ``chongqing-credit-2021``.
        carried: Column or item by field path, in the order of the schema.
        fields: Fields that are not carried or not in every value: place is the field path, or that of a message none
            of whose fields is carried, for one reason.
        columns: Columns that fill no field: place is the heading.
    """

    kind: Kind.ValueType
    layout: str
    carried: Mapping[str, str]
    fields: tuple[Problem, ...]
    columns: tuple[Problem, ...]

    def why(self, path: str) -> Problem:
        """Why a field of one record did not arrive; ``FIELD_NOT_CARRIED`` where only its value stands against it.

        Args:
            path: Field path without the numbers of list items.
        """
        for problem in self.fields:
            if problem.reason != SOME_VALUES and is_within(path, problem.place):
                return Problem(problem.reason, path, problem.detail)
        return Problem("FIELD_NOT_CARRIED", path)


def report(
    kind: Kind.ValueType,
    layout: str,
    treatments: Mapping[str, Treatment],
    columns: Sequence[Problem] = (),
    *,
    schema: Descriptor | None = None,
) -> LossReport:
    """Hold what a layout does against the schema.

    Args:
        kind: The kind.
        layout: Dialect and edition.
        treatments: How it treats the fields that it knows, by path; one for a message is meant for all its fields.
        columns: Columns that fill no field.
        schema: Schema of a record, where it is not the shipped one.
    """
    carried: dict[str, str] = {}
    found: list[tuple[str, Problem]] = []
    for path, field in fields_of(_roots(kind, schema)):
        treatment = _treatment(path, treatments)
        if treatment.reason:
            found.append((path, Problem(treatment.reason, path, treatment.by)))
            continue
        carried[path] = treatment.by
        known = {each.name for each in field.enum_type.values} if field.enum_type is not None else set[str]()
        missing = [name for name in treatment.values if name in known]
        if missing:
            found.append((path, Problem(SOME_VALUES, path, ", ".join(missing))))
    return LossReport(
        kind=kind, layout=layout, carried=carried, fields=tuple(_collapsed(found, carried)), columns=tuple(columns)
    )


def fields_of(roots: Iterable[FieldDescriptor], prefix: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    """Every field that holds a value, by its path from the given ones; an instant is one value."""
    for field in roots:
        path = f"{prefix}{field.name}"
        inner = field.message_type
        if inner is None or inner.full_name.startswith("google.protobuf."):
            yield path, field
        else:
            yield from fields_of(inner.fields, f"{path}.")


def paths_of(kind: Kind.ValueType, schema: Descriptor | None = None) -> list[str]:
    """Paths of all fields of a kind and of the header, in the order of the schema."""
    return [path for path, _ in fields_of(_roots(kind, schema))]


def _roots(kind: Kind.ValueType, schema: Descriptor | None) -> list[FieldDescriptor]:
    schema = schema or Record.DESCRIPTOR
    return [schema.fields_by_name[_HEADER], schema.fields_by_name[spec(kind).field]]


def is_within(path: str, place: str) -> bool:
    """Whether a field is what stands at a place, or a part of it."""
    return path == place or path.startswith(f"{place}.")


def _treatment(path: str, treatments: Mapping[str, Treatment]) -> Treatment:
    for place, reason in _OWN.items():
        if is_within(path, place):
            return Treatment(reason=reason)
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        known = treatments.get(".".join(parts[:length]))
        if known is not None:
            return known
    return Treatment(reason=NO_PLACE)


def _collapsed(found: Sequence[tuple[str, Problem]], carried: Mapping[str, str]) -> Iterator[Problem]:
    """One line for a message none of whose fields is carried, all for the same reason and by the same thing."""
    by_path = dict(found)
    done: set[str] = set()
    for path, problem in found:
        if path in done:
            continue
        parts = path.split(".")
        for length in range(2, len(parts) + 1):
            place = ".".join(parts[:length])
            inside = [each for each in by_path if is_within(each, place)]
            same = all(
                (by_path[each].reason, by_path[each].detail) == (problem.reason, problem.detail) for each in inside
            )
            if length == len(parts) or (same and not any(is_within(each, place) for each in carried)):
                done.update(inside)
                yield Problem(problem.reason, place, problem.detail)
                break
