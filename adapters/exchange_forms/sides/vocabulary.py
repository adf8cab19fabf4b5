"""Closed lists of texts: what a cell may say, and what it means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from exchange.domain.catalogues.table_file import Row

_REMEMBERED_CHARS: Final = 64
"""Characters of a text that is remembered: a longer one is no word of a list, and takes memory."""

_SPACES = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_BRACKETS = str.maketrans("[]()<>{}【】〈〉《》", "〔〕〔〕〔〕〔〕〔〕〔〕〔〕")


def text_key(text: str) -> str:
    """A text for comparison: NFKC, upper case, no blanks, every bracket as 〔〕. Never for display."""
    return _short_key(text) if len(text) <= _REMEMBERED_CHARS else _key(text)


def _key(text: str) -> str:
    return _SPACES.sub("", unicodedata.normalize("NFKC", text)).upper().translate(_BRACKETS)


# Levels, dates and names of places are the same in thousands of rows.
_short_key = lru_cache(maxsize=4096)(_key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Texts and their meaning.

    Attributes:
        values: Meaning by :func:`text_key`.
        texts: The text that is written for a meaning.
    """

    values: Mapping[str, str]
    texts: Mapping[str, str]

    def find(self, text: str) -> str | None:
        """The meaning of a text, or None: a text that is not listed is never guessed at."""
        return self.values.get(text_key(text))

    def with_aliases(self, aliases: Iterable[tuple[str, str]]) -> Vocabulary:
        """The same with more texts, as pairs of text and meaning; they win over those that are there."""
        added = {text_key(text): value for text, value in aliases}
        return Vocabulary(values={**self.values, **added}, texts=self.texts) if added else self

    def merged(self, other: Vocabulary) -> Vocabulary:
        """This list and another one, which wins."""
        return Vocabulary(values={**self.values, **other.values}, texts={**self.texts, **other.texts})


def read_vocabulary(file: Row, key: str, allowed: Iterable[str] | None = None) -> Vocabulary:
    """Read ``[[key]]`` tables with ``value``, ``text`` and ``aliases``.

    Args:
        file: The file.
        key: Name of the array.
        allowed: Meanings that exist; None where anything may stand.

    Raises:
        TableError: A meaning does not exist, or one text has two.
    """
    choices = None if allowed is None else tuple(allowed)
    values: dict[str, str] = {}
    texts: dict[str, str] = {}
    for row in file.rows(key):
        value = row.text("value") if choices is None else row.one_of("value", choices)
        text = row.text("text")
        for each in (text, *row.texts("aliases")):
            if values.setdefault(text_key(each), value) != value:
                raise row.wrong("aliases", f"{each} has two meanings")
        texts.setdefault(value, text)
        row.end()
    return Vocabulary(values=values, texts=texts)
