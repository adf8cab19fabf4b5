"""The table of facts: what a fact's code says to an officer, in Chinese and English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.table_file import Row
from exchange.domain.recognising.facts import CUT, FACT_SET, SETS

_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class FactTexts:
    """What each fact is called, by code."""

    zh: Mapping[str, str]
    en: Mapping[str, str]

    def text(self, code: str, lang: str) -> str:
        """What a fact is called; the code itself where a peer of a newer edition names one that is not known.

        Args:
            code: Code of the fact.
            lang: ``zh``, ``en``, or a locale name that begins with one of them; anything else is read as ``en``.
        """
        table = self.zh if lang[:2].lower() == "zh" else self.en
        return table.get(code, code)


def load_fact_texts(file: Row) -> FactTexts:
    """Read ``facts.toml``: one table for each code, with ``zh`` and ``en``.

    Raises:
        TableError: A code is no code, a text is missing, or a fact that is looked for has none.
    """
    zh: dict[str, str] = {}
    en: dict[str, str] = {}
    for code in file.names():
        row = file.row(code)
        if not _CODE.fullmatch(code):
            raise row.wrong("", "a code is upper case words joined by _")
        zh[code], en[code] = row.text("zh"), row.text("en")
        row.end()
    for code in sorted(frozenset({CUT, FACT_SET}).union(*SETS.values())):
        if code not in zh:
            raise file.wrong(code, "missing")
    return FactTexts(zh=zh, en=en)
