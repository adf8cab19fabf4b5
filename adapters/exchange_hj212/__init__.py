"""HJ 212 packets, editions 2005, 2017 and 2025: read, decode, map to monitoring batches, write. No region in it."""

from __future__ import annotations

from exchange_hj212.decode import DecodedPacket, decode, to_json
from exchange_hj212.document import Part, cut, read_document, recognises
from exchange_hj212.profiles import StationProfile, StationProfiles
from exchange_hj212.samples import sample_profiles, samples
from exchange_hj212.tables import CatalogueEntry
from exchange_hj212.write import frame_bytes, write_document

__all__ = [
    "CatalogueEntry",
    "DecodedPacket",
    "Part",
    "StationProfile",
    "StationProfiles",
    "cut",
    "decode",
    "frame_bytes",
    "read_document",
    "recognises",
    "sample_profiles",
    "samples",
    "to_json",
    "write_document",
]
