"""Parts that several of these tests build from: packets, tables, a document and a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from exchange import tables as table_files
from exchange.domain.adapter import DocumentReading, NativeDocument
from exchange.domain.catalogues import tables
from exchange.v1.common_pb2 import Authority
from exchange_hj212 import StationProfiles, frame_bytes, read_document

AUTHORITY = Authority(uscc="11500000MB1614741U", name="演示生态环境局")
STATION = "01000001000A000000000A01"
PASSWORD = "q7Zk9x"
ANYWHERE = StationProfiles.load(b'[default]\narea_code = "500112"\n')


@lru_cache(maxsize=1)
def packets() -> dict[str, Any]:
    """The recorded packets with what must be read in them."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("packets.json").read_text("utf-8"))
    return loaded


@lru_cache(maxsize=1)
def domain_tables() -> tables.Tables:
    """The tables shipped with the program."""
    return tables.load(table_files.read_all())


def segment(
    content: str = "DataTime=20260301080000;w01018-Avg=40.1,w01018-Flag=N",
    *,
    st: str = "32",
    cn: str = "2061",
    mn: str = STATION,
    flag: str = "4",
    qn: str = "20260301090000001",
    more: str = "",
) -> bytes:
    """A data segment in the order of the standard; ``more`` stands between Flag and CP."""
    return f"QN={qn};ST={st};CN={cn};PW={PASSWORD};MN={mn};Flag={flag};{more}CP=&&{content}&&".encode()


def frame(content: str = "DataTime=20260301080000;w01018-Avg=40.1,w01018-Flag=N", **fields: str) -> bytes:
    """A frame in good order around :func:`segment`."""
    return frame_bytes(segment(content, **fields))


def document(content: bytes) -> NativeDocument:
    """A recording as an agency sends it."""
    return NativeDocument(
        file_name="packets.txt",
        content=content,
        received_at=datetime(2026, 3, 4, tzinfo=UTC),
        authority=AUTHORITY,
        purpose="演示",
        salt=bytes(range(32)),
    )


def read(
    content: bytes, *, profiles: StationProfiles = ANYWHERE, keys: Mapping[str, bytes] | None = None
) -> DocumentReading:
    """Read a recording with the shipped tables."""
    return read_document(
        document(content),
        tables=domain_tables(),
        profiles=profiles,
        adapter_name="hj212-test",
        adapter_edition="1",
        sm4_keys=keys,
    )


def outcomes(reading: DocumentReading) -> list[str]:
    """For each row ``RECORD`` or its first reason."""
    return [row.problems[0].reason if row.problems else "RECORD" for row in reading.rows]
