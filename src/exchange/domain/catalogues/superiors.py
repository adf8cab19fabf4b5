"""Superior authorities: who may repair, revoke or supersede what another authority has stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.table_file import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Superiors:
    """Authorities above others, by USCC."""

    above: Mapping[str, frozenset[str]]

    def may_touch(self, authority: str, stated_by: str) -> bool:
        """Whether an authority may touch what another one stated: its own, or that of one below it."""
        return authority == stated_by or authority in self.above.get(stated_by, ())


def load_superiors(file: Row, overlay: Row | None = None) -> Superiors:
    """Read ``superiors.toml``, and the administrator's own beside it.

    Raises:
        TableError: An authority stands above itself, or is listed twice under the same superior.
    """
    direct: dict[str, set[str]] = {}
    for table in (file, *((overlay,) if overlay is not None else ())):
        for row in table.rows("authority"):
            authority, superior = row.text("uscc"), row.text("superior")
            row.text("source")
            row.end()
            if superior in direct.setdefault(authority, set()):
                raise row.wrong("superior", "is listed twice")
            direct[authority].add(superior)
            if authority in _above(direct, authority):
                raise row.wrong("superior", "makes an authority stand above itself")
        table.end()
    return Superiors(above={authority: frozenset(_above(direct, authority)) for authority in direct})


def _above(direct: Mapping[str, set[str]], authority: str) -> set[str]:
    """Every authority above one, over all steps."""
    found: set[str] = set()
    pending = list(direct.get(authority, ()))
    while pending:
        superior = pending.pop()
        if superior not in found:
            found.add(superior)
            pending += direct.get(superior, ())
    return found
