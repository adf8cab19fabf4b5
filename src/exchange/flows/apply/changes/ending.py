"""Acts that end another record: a repair or a revocation puts a tombstone in the place of the notice that it names.

What an act did follows from rows alone, so that it can be undone, and is the same when the notice's body comes later.
Law: an act can be erased only after its notice, so that an Erasure never brings a repaired notice back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from exchange.flows.apply.deciding.ruling import read_decision
from exchange.v1.kind_pb2 import KIND_REPAIR_NOTICE, KIND_REVOCATION_NOTICE

ERASED: Final = "ERASED"

ENDS: Final[Mapping[int, str]] = {KIND_REPAIR_NOTICE: "REPAIRED", KIND_REVOCATION_NOTICE: "REVOKED"}
"""What each kind of act leaves of its notice; the later in this order stands over the earlier."""

_WEIGHT: Final = {"": 0, "WITHDRAWN": 1, "REPAIRED": 1, "REVOKED": 2, ERASED: 3}


class End(NamedTuple):
    """How a record ended."""

    reason: str
    on: str


class Revisions(Protocol):
    """Register rows of records."""

    def revisions(self, origin: str, record_id: bytes) -> Sequence[Mapping[str, Any]]:
        """Rows of a record, in order of revision."""
        ...


class Rows(Revisions, Protocol):
    """The register rows of a step."""

    def acts_on(self, origin: str, record_id: bytes) -> Iterable[Mapping[str, Any]]:
        """Rows of repairs and revocations of a record, whatever their standing."""
        ...

    def put_record(self, row: dict[str, Any], *, salt: bytes, place: int, follows: bool = False) -> None:
        """Put a row."""
        ...


def is_act(row: Mapping[str, Any]) -> bool:
    """Whether a row is of an act that ended a notice, and still does."""
    return row["kind"] in ENDS and row["newest"] and not row["tombstone"] and bool(read_decision(row["decision"]).rules)


def ended_by_acts(rows: Rows, origin: str, record_id: bytes) -> End | None:
    """What acts in force leave of a record; None where there are none."""
    ends = [End(ENDS[row["kind"]], row["sort_on"]) for row in rows.acts_on(origin, record_id) if is_act(row)]
    return min(ends, key=lambda end: (-_WEIGHT[end.reason], end.on), default=None)


def end_row(row: dict[str, Any], end: End | None) -> None:
    """Put an end into a row, unless a weightier one stands there."""
    if end is not None and _WEIGHT[end.reason] > _WEIGHT[row["tombstone"]]:
        row |= {"tombstone": end.reason, "tombstone_on": end.on}


def carry_out(rows: Rows, origin: str, target: bytes, place: int) -> None:
    """Put tombstones into every row of a notice as the acts on it and its own ends have it by now."""
    act = ended_by_acts(rows, origin, target)
    own: End | None = None
    for old in reversed(list(rows.revisions(origin, target))):
        if old["tombstone"] == ERASED:
            continue
        if old["own_end"]:
            own = End(old["own_end"], old["own_end_on"])
        row = {**old, "tombstone": "", "tombstone_on": ""}
        end_row(row, own)
        end_row(row, act)
        if row != old:
            rows.put_record(row, salt=b"", place=place, follows=True)


def notices_of(loaded: Mapping[tuple[str, bytes], Sequence[Mapping[str, Any]]]) -> set[tuple[str, bytes]]:
    """The notices that acts among some rows are about, by (origin, record id)."""
    rows = (row for rows in loaded.values() for row in rows if row["kind"] in ENDS and row["about"])
    return {(row["about_origin"], row["about"]) for row in rows}


def outlives(rows: Revisions, origin: str, record_id: bytes) -> bool:
    """Whether a record is an act whose notice is not erased yet: it can not be erased before that."""
    acts = [row for row in rows.revisions(origin, record_id) if row["kind"] in ENDS and row["about"]]
    notices = {(row["about_origin"], row["about"]) for row in acts}
    return any(each["tombstone"] != ERASED for notice in notices for each in rows.revisions(*notice))
