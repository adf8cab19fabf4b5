"""Superior authorities."""

from __future__ import annotations

import pytest

from exchange.domain.catalogues.superiors import Superiors, load_superiors
from exchange.domain.catalogues.table_file import TableError, open_table

_LINE = '[[authority]]\nuscc = "{}"\nsuperior = "{}"\nsource = "演示"\n'


def _load(*pairs: tuple[str, str], overlay: tuple[str, str] | None = None) -> Superiors:
    text = "".join(_LINE.format(*pair) for pair in pairs)
    added = open_table("overlay", _LINE.format(*overlay).encode()) if overlay else None
    return load_superiors(open_table("superiors", text.encode()), added)


def test_whoever_stands_above_may_touch_what_stands_below() -> None:
    """Over any number of steps, and never the other way; everybody may touch what is its own."""
    found = _load(("district", "city"), overlay=("city", "state"))
    assert found.may_touch("city", "district")
    assert found.may_touch("state", "city")
    assert found.may_touch("state", "district")
    assert not found.may_touch("district", "city")
    assert found.may_touch("nobody", "nobody")


@pytest.mark.parametrize("pairs", [(("a", "a"),), (("a", "b"), ("b", "a")), (("a", "b"), ("a", "b"))])
def test_nobody_stands_above_itself(pairs: tuple[tuple[str, str], ...]) -> None:
    """A ring, or a line twice, is refused with its place."""
    with pytest.raises(TableError, match="authority"):
        _load(*pairs)
