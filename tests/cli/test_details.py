"""What an audit tells beside a reason is told in both languages, whatever names and numbers stand in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli import details
from exchange.cli.texts import choose_language, forget_language

AUDIT = Path(details.__file__).parents[1] / "flows" / "audit"
PAPERS = {"extract.py", "papers/__init__.py", "scope_words.py", "evidence.py"}
"""Write files in both languages, or commands to be typed."""

APART = {
    "audit reads",  # a thread
    "bundles are numbered by the log's size",  # what never happens
    "it judged what the key signed",
    "system volume information",  # a folder
    "tlog-policy sha256 {}",  # facts
    "{} entries from #{}, {}",  # an alarm's, in a running node
    "too large",
}


def _said(tree: ast.AST) -> Iterator[str]:
    """Texts with words, f-strings with ``{}`` for what is put in; neither docstrings nor parts of f-strings."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            skipped |= set(node.values)
            parts = [str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.value


def _of_flows() -> set[str]:
    found: set[str] = set()
    for path in AUDIT.rglob("*.py"):
        if path.name not in PAPERS and "papers" not in path.parts:
            found.update(_said(ast.parse(path.read_text("utf-8"))))
    return {each for each in found if "\n" not in each and re.search(r"[a-z]{2,} [a-z]{2,}", each.replace("{}", ""))}


def test_everything_that_is_told_has_its_chinese() -> None:
    """What flows say beside a finding stands in the table, as it is said."""
    assert sorted(_of_flows() - details.templates().keys() - APART) == []


@pytest.mark.parametrize("said", sorted(details.templates()))
def test_names_and_numbers_stay(said: str) -> None:
    """Each is put in once, in whatever order the other language has them; English stays as it was said."""
    values = [f"v{number}" for number in range(said.count("{}"))]
    filled = said.format(*values)
    try:
        choose_language("zh", final=True)
        chinese = details.told(filled)
        choose_language("en", final=True)
        english = details.told(filled)
    finally:
        forget_language()
    assert english == filled
    assert re.search("[\u4e00-\u9fff]", chinese), chinese
    assert sorted(re.findall(r"v\d+", chinese)) == sorted(values)
