"""The table of reasons: what a code says to an officer, in Chinese and English, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.table_file import Row

_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonText:
    """What a reason says in one language.

    Attributes:
        message: What is wrong or what happened, one sentence.
        remedy: What to do about it, one sentence.
    """

    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """All reasons, by code."""

    zh: Mapping[str, ReasonText]
    en: Mapping[str, ReasonText]

    @property
    def codes(self) -> frozenset[str]:
        """Every code of the table."""
        return frozenset(self.zh)

    def text(self, code: str, lang: str) -> ReasonText:
        """The texts of a code.

        Args:
            code: A reason code. One that the table does not know, as a peer of a newer edition may send, is
                shown as it stands.
            lang: ``zh``, ``en``, or a locale name that begins with one of them; anything else is read as ``en``.
        """
        table = self.zh if lang[:2].lower() == "zh" else self.en
        return table.get(code) or ReasonText(message=code, remedy="")


def load_reasons(file: Row) -> Reasons:
    """Read ``reasons.toml``: one table for each code, with ``zh``, ``en``, ``remedy_zh`` and ``remedy_en``.

    Raises:
        TableError: A code is no code, or a text is missing.
    """
    zh: dict[str, ReasonText] = {}
    en: dict[str, ReasonText] = {}
    for code in file.names():
        row = file.row(code)
        if not _CODE.fullmatch(code):
            raise row.wrong("", "a code is upper case words joined by _")
        zh[code] = ReasonText(message=row.text("zh"), remedy=row.text("remedy_zh"))
        en[code] = ReasonText(message=row.text("en"), remedy=row.text("remedy_en"))
        row.end()
    return Reasons(zh=zh, en=en)
