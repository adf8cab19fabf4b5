"""Catalogues of measures against dishonesty, and of incentives for honesty, by edition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.table_file import Row

_CODE = re.compile(r"[ABCI][1-9][0-9]?")


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueMeasure:
    """One measure of one edition of a catalogue.

    Attributes:
        measure_class: ``A`` and ``B`` are ordered by public bodies and need a legal basis; ``C`` is left to other
            organisations and may only be recommended. ``I`` are incentives, granted by public bodies.
    """

    catalogue: str
    edition: str
    code: str
    name: str
    measure_class: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """All editions of all catalogues."""

    by_key: Mapping[tuple[str, str, str], CatalogueMeasure]
    editions: frozenset[tuple[str, str]]

    def find(self, catalogue: str, edition: str, code: str) -> CatalogueMeasure | None:
        """The measure, or None where that edition of that catalogue does not have it."""
        return self.by_key.get((catalogue, edition, code))


def load_measures(file: Row) -> Measures:
    """Read ``measures.toml``.

    Raises:
        TableError: A code is ill-formed, listed twice, or stands in another class than its letter says.
    """
    by_key: dict[tuple[str, str, str], CatalogueMeasure] = {}
    editions: set[tuple[str, str]] = set()
    for block in file.rows("catalogue"):
        catalogue, edition = block.text("catalogue"), block.text("edition")
        block.text("source")
        block.text("status")
        if (catalogue, edition) in editions:
            raise block.wrong("edition", "is listed twice")
        editions.add((catalogue, edition))
        for row in block.rows("measure"):
            code = row.text("code")
            measure_class = row.one_of("class", ("A", "B", "C", "I"))
            if not _CODE.fullmatch(code) or code[0] != measure_class or (catalogue, edition, code) in by_key:
                raise row.wrong("code", "is no code of its class, or is listed twice")
            by_key[catalogue, edition, code] = CatalogueMeasure(
                catalogue=catalogue, edition=edition, code=code, name=row.text("name"), measure_class=measure_class
            )
            row.end()
        block.end()
    file.end()
    return Measures(by_key=by_key, editions=frozenset(editions))
