"""What an export was narrowed to, in words of both languages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

COMMA: Final = {"zh": "，", "en": ", "}


def scope_words(scope: Mapping[str, Any], language: str) -> str:
    """A scope as export.json has it, for a person.

    Args:
        scope: ``kind``, what it was narrowed to, and ``withheld``. Names that are not known are left as they are: the
            file comes from the audited unit.
        language: ``zh`` or ``en``.
    """
    return COMMA[language].join(_words(scope, language))


def _words(scope: Mapping[str, Any], language: str) -> Iterator[str]:
    tables = _tables()
    kind = str(scope.get("kind", ""))
    yield tables["kind"].get(kind, {}).get(language, kind)
    known = tables["narrowed"]
    for name in [*known, *sorted(scope.keys() - known.keys() - {"kind", "withheld"})]:
        if name in scope:
            yield f"{known[name][language] if name in known else name} {scope[name]}"
    yield tables["withheld"]["shown" if scope.get("withheld") is True else "left_out"][language]


@cache
def _tables() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return tomllib.loads((files(__package__ or "") / "scope.toml").read_text("utf-8"))
