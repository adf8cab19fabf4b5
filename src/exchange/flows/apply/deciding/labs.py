"""Laboratories as registers state them now, for whoever decides about their values or shows them."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.domain.labs import KnownLab, Slice, SliceKind, StatedLab
from exchange.storage.engine.database import Connection
from exchange.storage.queries import labs
from exchange.storage.queries.labs import Lab, SliceRow
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch


class RegisteredLabs:
    """Laboratories that were asked for, each read once.

    Args:
        connection: Where to read; nobody else writes to registers while a step is planned.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[Lab, KnownLab] = {}

    def load(self, wanted: Iterable[Lab]) -> None:
        """Read several together."""
        missing = set(wanted) - self._known.keys()
        found = labs.slices(self._connection, missing) if missing else {}
        for lab in missing:
            self._known[lab] = known_lab(found.get(lab, ()))

    def get(self, lab: Lab) -> KnownLab:
        """One laboratory, known or not."""
        self.load((lab,))
        return self._known[lab]

    def of_batch(self, batch: MonitoringBatch) -> StatedLab:
        """The laboratory that a batch names."""
        return self.get((batch.lab_cma_no, batch.lab_uscc))


def known_lab(rows: Iterable[SliceRow]) -> KnownLab:
    """A laboratory by the rows of all records that state it."""
    by_record: dict[tuple[str, bytes], list[Slice]] = {}
    for row in rows:
        by_record.setdefault((row.origin, row.record_id), []).append(_slice(row))
    return KnownLab(tuple(by_record.values()))


def _slice(row: SliceRow) -> Slice:
    return Slice(
        kind=SliceKind(row.slice),
        first=row.first_on,
        last=row.last_on,
        object=row.object,
        factor=row.factor,
        method=row.method,
    )
