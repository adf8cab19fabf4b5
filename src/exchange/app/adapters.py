"""Adapters, found through the entry-point group ``exchange.adapters``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from exchange.domain.adapter import Adapter
from exchange.domain.catalogues.tables import Tables

GROUP = "exchange.adapters"


def read_overlays(folder: Path | None) -> dict[str, bytes]:
    """The administrator's own tables by file name; none when no folder is named."""
    if folder is None:
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.toml")) if path.is_file()}


def find_adapters(tables: Tables, overlays: Mapping[str, bytes]) -> dict[str, Adapter]:
    """Every installed adapter by name."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        adapter: Adapter = entry.load()(tables, overlays)
        found[adapter.name] = adapter
    return found
