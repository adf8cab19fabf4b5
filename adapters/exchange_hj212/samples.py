"""The samples beside this file: recordings of each edition and of the field, with what must come out of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

from exchange.domain.adapter import NativeDocument, Sample
from exchange.v1.common_pb2 import Authority
from exchange.v1.kind_pb2 import Kind
from exchange_hj212.profiles import StationProfiles

RECEIVED_AT = datetime(2026, 3, 4, tzinfo=UTC)
"""When the samples arrived."""

_EXPECTED = {
    # Real time with sampling time, minute, hour with twelve decimals, day, stack gas, two parts with different QN,
    # surface water with a factor outside Annex B, air with one unit in the profile, state of facilities, an answer.
    "edition-2017.txt": (
        "RECORD",
        "RECORD",
        "RECORD",
        "RECORD",
        "RECORD",
        "RECORD",
        "RECORD",
        "RECORD",
        "DATA_KIND_NOT_SHARED",
        "COMMAND_NOT_DATA",
    ),
    # Neither QN nor Flag; old codes of air; 010 and 001 of water; private codes that are codes of water; an alias.
    "edition-2005.txt": ("RECORD", "RECORD", "RECORD", "LEGACY_CODE_OF_OTHER_MEDIUM", "RECORD"),
    # Plain, sent again, encrypted without a key, version bits of no edition.
    "edition-2025.bin": ("RECORD", "RECORD", "SM4_KEY_MISSING", "EDITION_UNKNOWN"),
    "field-recording.log": (
        "RECORD",  # lower-case checksum behind a log prefix
        "RECORD",  # MODBUS checksum, LF only
        "RECORD",  # wrong length, right checksum
        "CRC_BAD",
        "CRC_BAD",  # cut off
        "FRAME_HEADER",  # one # is missing
        "ITEM_CONFLICT",  # two values
        "DATA_TIME_FORMAT",
        "STATION_UNKNOWN",
        "RECORD",  # one value is no number, one lies below the detection limit
        "RECORD",  # the comma after QN of tables C.22 and C.48: ST comes from the profile
        "RECORD",  # the missing semicolon of table C.19
        "COMMAND_NOT_DATA",
        "COMMAND_NOT_DATA",  # sets a password, which must not be seen anywhere
        "PACKET_PARTS_MISSING",
    ),
}


@lru_cache(maxsize=1)
def _profiles() -> StationProfiles:
    return StationProfiles.load(_content("stations.toml"))


def sample_profiles(area_code: str) -> StationProfiles:
    """Profiles of the samples' stations, in one region's area.

    Args:
        area_code: GB/T 2260 code that every station gets.
    """
    stations = {mn: replace(profile, area_code=area_code) for mn, profile in _profiles().stations.items()}
    return StationProfiles(stations=MappingProxyType(stations))


def samples(authority: Authority, purpose: str) -> tuple[Sample, ...]:
    """The samples, as one region's documents. They need ``sample_profiles`` and no key.

    Args:
        authority: Who states the data.
        purpose: Purpose of every record.
    """
    return tuple(
        Sample(
            name=f"hj212/{name}",
            document=NativeDocument(
                file_name=name,
                content=_content(name),
                received_at=RECEIVED_AT,
                kind=Kind.KIND_MONITORING_BATCH,
                authority=authority,
                purpose=purpose,
            ),
            expected=expected,
        )
        for name, expected in _EXPECTED.items()
    )


def _content(name: str) -> bytes:
    return (files(__package__ or "exchange_hj212") / "samples" / name).read_bytes()
