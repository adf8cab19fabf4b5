"""Chongqing's documents ⇄ shared records: credit results, 双公示 penalties, HJ 212 recordings.

All that is Chongqing's stands in ``tables/``: headings, names of levels, defaults, station profiles.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchange_forms import FormsAdapter, make_adapter


def create(tables: object, overlays: Mapping[str, bytes]) -> FormsAdapter:
    """The adapter; what the entry point ``exchange.adapters`` names.

    Args:
        tables: ``exchange.domain.catalogues.tables.Tables``.
        overlays: The administrator's ``aliases.toml``, ``stations.toml`` and ``sm4_keys.toml``.

    Raises:
        TableError: A table file is ill-formed; names file and place.
    """
    return make_adapter("exchange_chongqing", tables, overlays)
