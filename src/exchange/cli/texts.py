"""What the command line says, in Chinese and English, from one table each for texts and for reasons."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from exchange.domain.catalogues.reasons import Reasons, ReasonText, load_reasons
from exchange.domain.catalogues.table_file import open_table

CHINESE: Final = "zh"
ENGLISH: Final = "en"
_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")

_chosen: list[str] = []


def language_of(environment: Mapping[str, str]) -> str:
    """``zh`` or ``en``: the first locale variable that is set decides, as POSIX orders them."""
    for name in _VARIABLES:
        if value := environment.get(name):
            return CHINESE if value.lower().startswith(CHINESE) else ENGLISH
    return ENGLISH


def language() -> str:
    """The language of this run."""
    return _chosen[-1] if _chosen else language_of(os.environ)


def choose_language(lang: str, *, final: bool = False) -> None:
    """Take a language from a profile or node file; one that was given on the command line (``final``) stays.

    Args:
        lang: A locale name that begins with ``zh`` or ``en``; empty changes nothing.
        final: Given on the command line.
    """
    if lang and (final or not _chosen):
        _chosen[:] = [CHINESE if lang.lower().startswith(CHINESE) else ENGLISH]


def forget_language() -> None:
    """Go back to the environment's language: a new run begins."""
    _chosen.clear()


def t(key: str, **values: object) -> str:
    """A text of the table, filled in.

    Args:
        key: ``group.name``.
        values: What its placeholders stand for.

    Raises:
        KeyError: The table has no such text.
    """
    group, _, name = key.partition(".")
    text = _texts()[group][name][language()]
    return text.format(**values) if values else text


def word(group: str, name: str, lang: str = "") -> str:
    """The text for a name of a closed list (a state, an outcome); the name itself where the table does not know it.

    Args:
        group: The list.
        name: The name in it.
        lang: ``zh`` or ``en`` for a document whose language is fixed; empty: the language of this run.
    """
    entry = _texts().get(group, {}).get(name)
    return entry[lang or language()] if entry else name


def reason_text(code: str) -> ReasonText:
    """Message and remedy of a reason code, in the language of this run."""
    return reasons().text(code, language())


def detail_of(code: str, said: str) -> str:
    """What a node's sentence about a reason adds to the table's own texts.

    A node writes message, detail in brackets and remedy, in its own language; here only the detail is news.

    Args:
        code: Reason code.
        said: The node's sentence.
    """
    for lang in (CHINESE, ENGLISH):
        text = reasons().text(code, lang)
        if said.startswith(text.message):
            rest = said.removeprefix(text.message).strip().removesuffix(text.remedy).strip()
            return rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest
    return said


@cache
def reasons() -> Reasons:
    """The table of reasons."""
    return load_reasons(open_table("reasons.toml", (files("exchange.tables") / "reasons.toml").read_bytes()))


@cache
def _texts() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((files("exchange.cli") / "tables" / "texts.toml").read_text("utf-8"))
