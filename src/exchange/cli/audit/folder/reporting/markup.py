"""Markup by construction: what is not markup already is escaped, so that no text of a disk becomes part of a page."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_VOID: Final = frozenset({"meta", "br"})
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of what follows, and what no UTF-8 has."""


class Markup(str):
    """Text that is part of a page as it stands. Made by ``tag`` and ``joined``, and nowhere else."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: Its name.
        children: Markup stands as it is, None is left out, everything else is escaped.
        attributes: Values are escaped; a trailing underscore is dropped, others become hyphens; None is left out.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{joined(*children)}</{name}>")


def joined(*children: object) -> Markup:
    """Several pieces one behind the other."""
    return Markup(
        "".join(each if isinstance(each, Markup) else _escaped(each) for each in children if each is not None)
    )


def _escaped(value: object) -> str:
    return escape(_UNSEEN.sub("\ufffd", str(value)))
