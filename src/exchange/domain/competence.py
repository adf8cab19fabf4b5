"""Whose facts a node may state: those of its own areas."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.domain.catalogues.areas import EVERYWHERE
from exchange.v1.record_pb2 import Record


def in_competence(record: Record, areas: Sequence[str]) -> bool:
    """Whether the stating authority lies in a node's areas.

    Args:
        record: ``header.area_code`` is the area of the authority.
        areas: The node's area prefixes, 2, 4 or 6 characters each, or ``*``. None covers nothing.
    """
    code = record.header.area_code
    return any(prefix == EVERYWHERE or (len(prefix) in (2, 4, 6) and code.startswith(prefix)) for prefix in areas)
