"""Laboratories in time: on which days certificate, scope and standing held, so that what was sampled then counts.

Pure arithmetic of days. A laboratory's record is cut into slices, each with its first and last day, both included; a
day is asked of them. A suspension with effect in the past is one more slice, so nothing that was decided is edited.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from exchange.domain.kinds.spec import day_of
from exchange.v1.lab_qualification_pb2 import (
    LAB_STANDING_EXPIRED,
    LAB_STANDING_HELD,
    LAB_STANDING_NOT_IN_SCOPE,
    LAB_STANDING_NOT_YET_VALID,
    LAB_STANDING_REMOVED,
    LAB_STANDING_SUSPENDED,
    LAB_STANDING_UNKNOWN,
    LAB_STATE_REMOVED,
    LAB_STATE_SUSPENDED,
    LabQualification,
    LabStanding,
)
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch, Point, Series

REASONS: Final[Mapping[int, str]] = {
    LAB_STANDING_NOT_IN_SCOPE: "LAB_NOT_IN_SCOPE",
    LAB_STANDING_NOT_YET_VALID: "LAB_NOT_YET_CERTIFIED",
    LAB_STANDING_EXPIRED: "LAB_CERTIFICATE_EXPIRED",
    LAB_STANDING_SUSPENDED: "LAB_SUSPENDED",
    LAB_STANDING_REMOVED: "LAB_REMOVED",
    LAB_STANDING_UNKNOWN: "LAB_UNKNOWN",
}
"""Why a value does not count, by the standing of its laboratory on the day of sampling."""

_DASHES: Final = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
_CODE_CHARACTERS: Final = 32


class SliceKind(IntEnum):
    """What held, or did not, on the days of a slice."""

    CERTIFICATE = 1
    SCOPE = 2
    SUSPENSION = 3
    REMOVAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One run of days.

    Attributes:
        first: First day, ``YYYY-MM-DD``.
        last: Last day; empty: open.
        object: Of a line of scope, as written.
        factor: Factor code of a line of scope; empty where it has none.
        method: Method of a line of scope, as :func:`method_key` writes it.
    """

    kind: SliceKind
    first: str
    last: str = ""
    object: str = ""
    factor: str = ""
    method: str = ""

    def holds_on(self, day: str) -> bool:
        """Whether a day is among its days: the first and the last are."""
        return self.first <= day and (not self.last or day <= self.last)


def method_key(method: str) -> str:
    """A method standard in one spelling: ``HJ 828—2017`` and ``HJ828-2017`` are one."""
    return "".join(unicodedata.normalize("NFKC", method).translate(_DASHES).split()).upper()


def slices_of(body: LabQualification) -> Iterator[Slice]:
    """The slices of a laboratory's record.

    A roster that calls it suspended since a day that none of its suspensions covers suspends it from that day on.
    """
    yield Slice(kind=SliceKind.CERTIFICATE, first=body.valid_from, last=body.valid_until)
    for line in body.scope:
        yield Slice(
            kind=SliceKind.SCOPE,
            first=line.valid_from,
            last=line.valid_until,
            object=line.object,
            factor=line.factor_code,
            method=method_key(line.method_standard),
        )
    suspensions = [
        Slice(kind=SliceKind.SUSPENSION, first=each.suspended_from, last=each.suspended_until)
        for each in body.suspensions
    ]
    yield from suspensions
    if body.state == LAB_STATE_SUSPENDED and not any(each.holds_on(body.state_since) for each in suspensions):
        yield Slice(kind=SliceKind.SUSPENSION, first=body.state_since)
    if body.state == LAB_STATE_REMOVED:
        yield Slice(kind=SliceKind.REMOVAL, first=body.state_since)


def standing_on(slices: Iterable[Slice], day: str, factor: str = "", method: str = "") -> LabStanding.ValueType:
    """How a laboratory stood on a day by one record of it.

    Args:
        slices: Of that record.
        day: ``YYYY-MM-DD``.
        factor: Factor that was measured; empty: scope is not asked for.
        method: Method that it was measured by, in any spelling; empty where it is not stated: the factor alone counts.
    """
    held: dict[SliceKind, list[Slice]] = {}
    certificate: Slice | None = None
    for each in slices:
        if each.kind is SliceKind.CERTIFICATE:
            certificate = each
        elif each.holds_on(day):
            held.setdefault(each.kind, []).append(each)
    if SliceKind.REMOVAL in held:
        return LAB_STANDING_REMOVED
    if SliceKind.SUSPENSION in held:
        return LAB_STANDING_SUSPENDED
    if certificate is None:
        return LAB_STANDING_UNKNOWN
    if day < certificate.first:
        return LAB_STANDING_NOT_YET_VALID
    if not certificate.holds_on(day):
        return LAB_STANDING_EXPIRED
    wanted = method_key(method)
    lines = held.get(SliceKind.SCOPE, ())
    if factor and not any(line.factor == factor and wanted in ("", line.method) for line in lines):
        return LAB_STANDING_NOT_IN_SCOPE
    return LAB_STANDING_HELD


def together(standings: Iterable[LabStanding.ValueType]) -> LabStanding.ValueType:
    """The standing of a laboratory that several records state: a suspension by any of them counts, else the best."""
    found = set(standings)
    if LAB_STANDING_SUSPENDED in found:
        return LAB_STANDING_SUSPENDED
    return min(found, default=LAB_STANDING_UNKNOWN)


def sampled_on(point: Point) -> str:
    """The day of sampling in UTC+8: that of the sample where it is stated, else that of the data time."""
    return day_of(point.sample_time if point.HasField("sample_time") else point.data_time)


def lab_code(cma_no: str, uscc: str = "") -> str:
    """What a decision that waits calls a laboratory by: says only whether two are the same."""
    return hashlib.sha256(f"LAB|{cma_no}|{uscc}".encode()).hexdigest()[:_CODE_CHARACTERS]


class StatedLab(Protocol):
    """The laboratory that a batch names, as it is known where something is decided."""

    @property
    def known(self) -> bool:
        """Whether any record states it."""
        ...

    def standing(self, series: Series, point: Point) -> LabStanding.ValueType:
        """How it stood for one value on its day of sampling."""
        ...


LabSource = Callable[[MonitoringBatch], StatedLab]
"""Gives the laboratory of a batch that names one."""


@dataclass(frozen=True, slots=True)
class KnownLab:
    """A laboratory by the records that state it now.

    Attributes:
        records: The slices of each.
    """

    records: Sequence[Sequence[Slice]] = ()
    _asked: dict[tuple[str, str, str], LabStanding.ValueType] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether any record states it."""
        return bool(self.records)

    def standing(self, series: Series, point: Point) -> LabStanding.ValueType:
        """How it stood for one value on its day of sampling."""
        return self.standing_on(sampled_on(point), series.factor_code, series.method_standard)

    def standing_on(self, day: str, factor: str = "", method: str = "") -> LabStanding.ValueType:
        """How it stood on a day, by all records together."""
        key = (day, factor, method)
        if key not in self._asked:
            self._asked[key] = together(standing_on(slices, day, factor, method) for slices in self.records)
        return self._asked[key]


def no_labs(_batch: MonitoringBatch) -> StatedLab:
    """Where no laboratory is known."""
    return KnownLab()
