"""HJ 212 packets, editions 2005, 2017 and 2025: read, decode, map to monitoring batches, write. No region in it."""

from __future__ import annotations

from exchange_hj212.decode import DecodedPacket, decode, to_json
from exchange_hj212.document import Part, cut, read_document, recognises
from exchange_hj212.profiles import StationProfile, StationProfiles
from exchange_hj212.tables import CatalogueEntry

__all__ = [
    "CatalogueEntry",
    "DecodedPacket",
    "Part",
    "StationProfile",
    "StationProfiles",
    "cut",
    "decode",
    "read_document",
    "recognises",
    "to_json",
]
