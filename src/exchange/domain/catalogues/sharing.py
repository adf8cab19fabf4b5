"""The sharing catalogue (政务数据共享目录): which kinds are shared, by whom, how often, and for which uses."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.domain.kinds import KINDS, kind_by_name, kind_of, spec
from exchange.domain.problems import Problem
from exchange.domain.validation.limits import PURPOSE_CHARACTERS
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import SHARE_CLASS_CONDITIONAL, SHARE_CLASS_UNCONDITIONAL, Record, ShareClass

FREQUENCIES: Final = (
    "REALTIME",
    "DAILY",
    "WEEKLY",
    "MONTHLY",
    "QUARTERLY",
    "HALF_YEARLY",
    "YEARLY",
    "IRREGULAR",
)
"""How often a kind is brought up to date (更新频率)."""

SHARED_KINDS: Final = tuple(
    kind for kind in KINDS if spec(kind).submittable and not spec(kind).is_answer and kind != Kind.KIND_ERASURE
)
"""Kinds that share data under 政务数据共享条例 (国务院令第809号). Answers and erasures follow what they answer."""

_SHARED = frozenset(SHARED_KINDS)

PURPOSES_KEPT = 1_024
"""Purposes kept as they are compared: an agency states the same ones for all that it submits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharingEntry:
    """One kind's row.

    Attributes:
        catalogue_no: 目录编号.
        provider: 提供单位.
        share_class: 共享属性; a record may be shared more narrowly, never more widely.
        condition: On what condition it is shared; empty where there is none.
        frequency: 更新频率, one of :data:`FREQUENCIES`.
        uses: 使用范围: words of which a purpose has to name one.
    """

    kind: Kind.ValueType
    catalogue_no: str
    title: str
    summary: str
    provider: str
    share_class: ShareClass.ValueType
    condition: str
    frequency: str
    uses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SharingCatalogue:
    """The rows, and what no purpose may name.

    Attributes:
        excluded: Words that put a purpose outside every row's scope.
    """

    edition: str
    source: str
    entries: Mapping[int, SharingEntry]
    excluded: tuple[str, ...]

    def covers(self, kind: int, purpose: str) -> bool:
        """Whether a purpose lies within the scope of a kind; of a kind without a row nothing does."""
        entry = self.entries.get(kind)
        return entry is not None and self._within(entry, _plain(purpose))

    def _within(self, entry: SharingEntry, text: str) -> bool:
        return any(use in text for use in entry.uses) and not any(word in text for word in self.excluded)

    def problems(self, record: Record) -> tuple[Problem, ...]:
        """Why a record may not be sent: its kind has no row, is shared too widely, or for a purpose out of scope.

        A purpose that is missing is for validation to name.
        """
        kind = kind_of(record)
        if kind not in _SHARED:
            return ()
        entry = self.entries.get(kind)
        if entry is None:
            return (Problem("CATALOGUE_ROW_MISSING", "record", spec(kind).name),)
        header = record.header
        found = []
        if header.share_class == SHARE_CLASS_UNCONDITIONAL and entry.share_class == SHARE_CLASS_CONDITIONAL:
            found.append(Problem("SHARE_CLASS_WIDER", "header.share_class", entry.catalogue_no))
        purpose = header.purpose
        if not purpose.isspace() and purpose and not self.covers(kind, purpose):
            found.append(Problem("PURPOSE_OUT_OF_SCOPE", "header.purpose", entry.catalogue_no))
        return tuple(found)

    def use_problem(self, kinds: tuple[int, ...], purpose: str, place: str) -> Problem | None:
        """Why records of these kinds may not be looked at for a purpose; None when they may.

        Kinds without a row are passed over: what is not shared is not there to be looked at.
        """
        text = _plain(purpose)
        for kind in kinds:
            entry = self.entries.get(kind)
            if entry is not None and not self._within(entry, text):
                return Problem("PURPOSE_OUT_OF_SCOPE", place, entry.catalogue_no)
        return None


def _plain(text: str) -> str:
    """For comparison: NFKC, no case, no blanks."""
    return _kept(text) if len(text) <= PURPOSE_CHARACTERS else _bare(text)


@lru_cache(maxsize=PURPOSES_KEPT)
def _kept(text: str) -> str:
    return _bare(text)


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def load_sharing(file: Row) -> SharingCatalogue:
    """Read ``sharing_catalogue.toml``.

    Raises:
        TableError: A kind is not one that is shared or has two rows, two rows have one number, a row names no use, or a
            conditional one no condition.
    """
    edition, source = file.text("edition"), file.text("source")
    file.text("status")
    excluded = tuple(_plain(word) for word in file.texts("excluded_uses"))
    entries: dict[int, SharingEntry] = {}
    numbers: set[str] = set()
    for row in file.rows("entry"):
        entry = _entry(row)
        if entry.kind in entries or entry.catalogue_no in numbers:
            raise row.wrong("kind", "a kind has two rows, or two rows have one number")
        entries[entry.kind] = entry
        numbers.add(entry.catalogue_no)
    file.end()
    return SharingCatalogue(edition=edition, source=source, entries=entries, excluded=excluded)


def _entry(row: Row) -> SharingEntry:
    name = row.text("kind")
    kind = kind_by_name(name)
    if kind is None or kind not in SHARED_KINDS:
        raise row.wrong("kind", f"must be one of {', '.join(spec(each).name for each in SHARED_KINDS)}")
    share_class = row.one_of("share_class", ("UNCONDITIONAL", "CONDITIONAL"))
    condition = row.text("condition") if share_class == "CONDITIONAL" or row.has("condition") else ""
    uses = tuple(_plain(use) for use in row.texts("uses"))
    if not uses:
        raise row.wrong("uses", "names no use")
    entry = SharingEntry(
        kind=kind,
        catalogue_no=row.text("catalogue_no"),
        title=row.text("title"),
        summary=row.text("summary"),
        provider=row.text("provider"),
        share_class=ShareClass.Value(f"SHARE_CLASS_{share_class}"),
        condition=condition,
        frequency=row.one_of("frequency", FREQUENCIES),
        uses=uses,
    )
    row.end()
    return entry
