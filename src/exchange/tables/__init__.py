"""The tables shipped with the program. This is their only contact with the disk."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable


def read_all() -> dict[str, bytes]:
    """Every ``*.toml`` of this package, by its path relative to the package with ``/`` as separator.

    ``reasons.toml``, ``areas.toml``, …, ``rules/recognition.toml``. The bytes are as shipped: whoever parses
    them also digests them.
    """
    found: dict[str, bytes] = {}
    _collect(files(__name__), "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    for item in sorted(folder.iterdir(), key=lambda each: each.name):
        if item.is_dir():
            _collect(item, f"{prefix}{item.name}/", found)
        elif item.name.endswith(".toml"):
            found[prefix + item.name] = item.read_bytes()
