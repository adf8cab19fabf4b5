"""What is told beside a reason, in the language of this run: flows say it in English, a table has it in Chinese."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from exchange.cli.texts import CHINESE, language, reason_text, word


def told(said: str) -> str:
    """A detail for a person; facts without words, and what the table does not have, stay as they are."""
    if language() != CHINESE or not said:
        return said
    for pattern, text in _patterns():
        found = pattern.fullmatch(said)
        if found is not None:
            return text.format(*found.groups())
    return said


def needed(name: str) -> str:
    """What would be needed to decide a claim; a replay names it by its reason."""
    text = word("material", name)
    return text if text != name else reason_text(name).message


@cache
def templates() -> dict[str, str]:
    """The table: the Chinese by what the program says."""
    return tomllib.loads((files("exchange.cli") / "tables" / "details.toml").read_text("utf-8"))


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """What has most words of its own first: an open place takes anything."""
    ordered = sorted(templates().items(), key=lambda item: -len(item[0].replace("{}", "")))
    return [(re.compile("(.*)".join(map(re.escape, said.split("{}"))), re.DOTALL), text) for said, text in ordered]
