"""Matters and measures (奖惩到位): which measure applies while which matter is handled, and what a level brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.measures import CatalogueMeasure, Measures
from exchange.domain.catalogues.table_file import Row
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.matter_pb2 import MatterKind

MAX_FEEDBACK_DAYS = 365

_MATTER = "MATTER_KIND_"
_LEVEL = "CREDIT_LEVEL_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Matters:
    """Where measures apply.

    Attributes:
        edition: Edition of the table.
        feedback_days: Days from a check until what was done about its measures has to be reported.
        where: Matter kinds by catalogue and code, whatever the catalogue's edition.
        by_level: Measures that follow from a level.
    """

    edition: str
    feedback_days: int
    where: Mapping[tuple[str, str], frozenset[int]]
    by_level: Mapping[int, tuple[CatalogueMeasure, ...]]

    def applies(self, catalogue: str, code: str, matter_kind: int) -> bool:
        """Whether a measure matters while such a matter is handled.

        A measure that the table lacks applies to all: what was ordered is rather shown once too often than left out.
        """
        kinds = self.where.get((catalogue, code))
        return kinds is None or matter_kind in kinds

    def of_level(self, level: int, matter_kind: int) -> tuple[CatalogueMeasure, ...]:
        """Measures that a level brings for such a matter."""
        measures = self.by_level.get(level, ())
        return tuple(each for each in measures if self.applies(each.catalogue, each.code, matter_kind))


def load_matters(file: Row, measures: Measures) -> Matters:
    """Read ``matters.toml``.

    Raises:
        TableError: It names a matter kind, level or measure that does not exist, or one twice.
    """
    edition = file.text("edition")
    file.text("status")
    days = file.whole("feedback_days")
    if not 1 <= days <= MAX_FEEDBACK_DAYS:
        raise file.wrong("feedback_days", f"must be 1 to {MAX_FEEDBACK_DAYS}")
    known = {(catalogue, code) for catalogue, _, code in measures.by_key}
    where: dict[tuple[str, str], frozenset[int]] = {}
    for block in file.rows("catalogue"):
        catalogue = block.text("catalogue")
        for row in block.rows("measure"):
            key = (catalogue, row.text("code"))
            if key not in known or key in where:
                raise row.wrong("code", "is in no catalogue, or is listed twice")
            where[key] = frozenset(_matter(row, name) for name in row.texts("in"))
            row.end()
        block.end()
    by_level: dict[int, tuple[CatalogueMeasure, ...]] = {}
    for block in file.rows("level"):
        name = block.one_of("level", ("GREEN", "BLUE", "YELLOW", "RED"))
        level = CreditLevel.Value(_LEVEL + name)
        if level in by_level:
            raise block.wrong("level", "is listed twice")
        by_level[level] = _measures(block, measures)
        block.end()
    file.end()
    return Matters(edition=edition, feedback_days=days, where=where, by_level=by_level)


def _matter(row: Row, name: str) -> int:
    try:
        return MatterKind.Value(_MATTER + name)
    except ValueError:
        raise row.wrong("in", f"{name} is no kind of matter") from None


def _measures(block: Row, measures: Measures) -> tuple[CatalogueMeasure, ...]:
    catalogue, edition = block.text("catalogue"), block.text("edition")
    found = []
    for code in block.texts("codes"):
        measure = measures.find(catalogue, edition, code)
        if measure is None:
            raise block.wrong("codes", f"{code} is not in that edition of that catalogue")
        found.append(measure)
    return tuple(found)
