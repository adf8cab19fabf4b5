"""Parts that name what was decided elsewhere: measures of a catalogue, fields of a record."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from exchange.domain.catalogues.measures import CatalogueMeasure as Listed
from exchange_forms.flat.cells import Field
from exchange_forms.flat.part import Context, Part
from exchange_forms.row import RowMapping
from exchange_forms.sides.vocabulary import text_key
from exchange_sheets.book import in_words

_MEASURE: Final = re.compile(
    r"(?:《(?P<catalogue>[^》]+)》 ?[（(](?P<edition>[^）)]+)[）)] ?)?"
    r"(?P<code>[ABCI][1-9][0-9]?)(?:[ :：、](?P<name>.*))?",
    re.DOTALL,
)
"""``B1 限制申请财政性资金项目``, or with its catalogue: ``《全国失信惩戒措施基础清单》（2022）B1``."""

_PATH: Final = re.compile(r"[a-z][a-z0-9_]*(?:\[[0-9]{1,5}\])?(?:\.[a-z][a-z0-9_]*(?:\[[0-9]{1,5}\])?)*")


@dataclass(frozen=True, slots=True)
class CatalogueMeasure(Part):
    """A measure by its code; a code alone is of the catalogue that the side's penalties use.

    Attributes:
        addressed: The item says as well who is to act: class C is recommended to the market, the others are ordered.
    """

    column: str = "measure"
    addressed: bool = False

    def columns(self) -> Collection[str]:
        """The one column."""
        return (self.column,)

    def read(self, row: RowMapping, context: Context) -> None:
        """A measure that the named edition has, or a fault."""
        cell = row.cell(self.column)
        if cell is None:
            return
        known = self._find(cell.text.strip(), context)
        if known is None:
            row.fault("MEASURE_UNMAPPED", cell, in_words(cell.text, 40))
            return
        row.put("catalogue", known.catalogue, cell.address, "measure-code")
        row.put("edition", known.edition, cell.address, "measure-code")
        row.put("code", known.code, cell.address, "measure-code")
        if self.addressed:
            recommended = known.measure_class == "C"
            row.put("addressee", "MARKET" if recommended else "GOVERNMENT", cell.address, "measure-class")
            row.put("recommendation", recommended, cell.address, "measure-class")

    @staticmethod
    def _find(text: str, context: Context) -> Listed | None:
        match = _MEASURE.fullmatch(text)
        if match is None:
            return None
        catalogue, edition = context.side.penalty.measures
        if match["catalogue"]:
            catalogue, edition = match["catalogue"], match["edition"]
        known = context.side.domain.measures.find(catalogue, edition, match["code"])
        name = match["name"]
        # The same code is another measure in another catalogue: a name beside it has to be its own.
        return None if known is not None and name and text_key(name) != text_key(known.name) else known

    def write(self, message: Message, context: Context) -> Mapping[str, str]:
        """Code and name, with the catalogue where it is another one."""
        catalogue, edition, code = (str(getattr(message, name)) for name in ("catalogue", "edition", "code"))
        known = context.side.domain.measures.find(catalogue, edition, code)
        if known is None:
            return {self.column: code}
        own = (catalogue, edition) == context.side.penalty.measures
        return {self.column: ("" if own else f"《{catalogue}》（{edition}）") + f"{code} {known.name}"}


class FieldPath(Field):
    """A field of a record: by one of the side's names for it, or by its path; blank where all of it is meant."""

    def words(self) -> Mapping[str, Collection[str] | None]:
        """A side gives names to the fields that its officers speak of."""
        return {self.column: None}

    def suggested(self) -> Collection[str]:
        """A path may stand there as well."""
        return (self.column,)

    def read(self, row: RowMapping, context: Context) -> None:
        """A name that is not listed is never guessed at."""
        cell = row.cell(self.column)
        if cell is None:
            return
        path = context.tables.words[self.column].find(cell.text)
        if path is not None:
            row.put(self.target, path, cell.address, "alias")
        elif _PATH.fullmatch(cell.text.strip()):
            row.text(self.column, self.target)
        else:
            row.fault("WORD_UNMAPPED", cell, in_words(cell.text, 40))

    def text_of(self, value: str, context: Context) -> str:
        """The side's name, or the path."""
        return context.tables.words[self.column].texts.get(value, value)
