"""One joined packet becomes one row: a monitoring batch with the source of every field, or what kept it from one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.adapter import MappedRow
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import Authority, FieldProvenance, Provenance, SaltedDigest
from exchange.v1.monitoring_batch_pb2 import (
    CRC_VERDICT_BAD,
    PROTOCOL_EDITION_HJ212_2005,
    PROTOCOL_EDITION_UNSPECIFIED,
    MonitoringBatch,
    Station,
)
from exchange.v1.record_pb2 import Record, RecordHeader
from exchange_hj212.decode import DecodedPacket, edition_name, instant
from exchange_hj212.join import Joined
from exchange_hj212.profiles import FILE_NAME, StationProfile, StationProfiles
from exchange_hj212.series import MappedSeries, Source, map_series, quoted
from exchange_hj212.tables import CatalogueEntry, MonitoringTables, commands

KIND_EDITION = 1
"""Edition of MonitoringBatch that this adapter writes."""

CONTENT_CHARACTERS = 4000
"""Characters of a row's text in quarantine: a whole joined packet of ordinary size."""

_STATION_ID = re.compile(r"[!-~]{1,64}")
_COMMAND = re.compile(r"[0-9]{4}")


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingContext:
    """What is the same for every row of a document.

    Attributes:
        authority: Who states the data where the profile of a station names nobody.
        document: Salted digest of the redacted document.
    """

    tables: MonitoringTables
    profiles: StationProfiles
    catalogue: CatalogueEntry
    adapter: str
    adapter_edition: str
    authority: Authority | None
    purpose: str
    document: SaltedDigest


def map_row(joined: Joined, number: int, context: MappingContext) -> MappedRow:
    """Map one joined packet.

    Args:
        joined: The packet, or the parts of one.
        number: Number of the row.
        context: What holds for the whole document.

    Returns:
        A row with a record, or with the problems that keep it from being one. Raises nothing.
    """
    first = joined.packets[0]
    place = f"byte {first.offset}"
    content = row_text(joined.packets)
    problems = _packet_problems(joined)
    if problems:
        return MappedRow(row=number, place=place, content=content, problems=tuple(problems))
    source = _source(joined, context, problems)
    if source is None:
        return MappedRow(row=number, place=place, content=content, problems=tuple(problems))
    mapped = map_series(joined, source, context.tables)
    if not mapped.series:
        found = mapped.left_out or (Problem("SERIES_MISSING", "CP"),)
        return MappedRow(row=number, place=place, content=content, problems=found)
    record = _record(joined, source, mapped, number=number, context=context)
    return MappedRow(row=number, place=place, content=content, record=record, left_out=mapped.left_out)


def row_text(packets: Sequence[DecodedPacket]) -> str:
    """A row as one line of text, without its password, for whoever looks into quarantine."""
    parts = []
    for packet in packets:
        if not packet.header:
            parts.append(packet.content or "")
            continue
        header = ";".join(f"{name}={value}" for name, value in packet.header.items())
        body = "" if packet.content is None else f"CP=&&{packet.content}&&"
        parts.append(";".join(part for part in (header, body) if part))
    return quoted(" | ".join(parts), CONTENT_CHARACTERS)


def _packet_problems(joined: Joined) -> list[Problem]:
    """What keeps the packet from being data at all."""
    first = joined.packets[0]
    words = first.problems
    if "bad_header" in words:
        return [Problem("FRAME_HEADER")]
    if "sm4_key_missing" in words:
        return [Problem("SM4_KEY_MISSING", "CP")]
    if first.crc_verdict == CRC_VERDICT_BAD:
        return [Problem("CRC_BAD", "CRC", quoted(", ".join(words)))]
    if "sm4_not_readable" in words:
        return [Problem("SM4_NOT_READABLE", "CP")]
    command = first.header.get("CN", "")
    if not command:
        return [Problem("FIELD_MISSING", "CN")]
    if command not in commands():
        # Commands that control devices end here for good: they never travel.
        other_data = _COMMAND.fullmatch(command) and command.startswith("2")
        return [Problem("DATA_KIND_NOT_SHARED" if other_data else "COMMAND_NOT_DATA", "CN", quoted(command))]
    if joined.ill_numbered:
        numbers = f"{first.header.get('PNO', '')}/{first.header.get('PNUM', '')}"
        return [Problem("PACKET_NUMBER", "PNO", quoted(numbers))]
    if joined.missing:
        numbers = ", ".join(str(number) for number in joined.missing)
        more = joined.expected - len(joined.packets) > len(joined.missing)
        return [Problem("PACKET_PARTS_MISSING", "PNO", f"{numbers}{' …' if more else ''} / {joined.expected}")]
    return []


def _source(joined: Joined, context: MappingContext, problems: list[Problem]) -> Source | None:
    """Header fields and profile; lists everything that is missing."""
    first = joined.packets[0]
    header = first.header
    profile = _profile(header.get("MN", ""), context, problems)
    medium = header.get("ST", "") or (profile.medium if profile else "")
    if not medium:
        problems.append(Problem("FIELD_MISSING", "ST"))
    elif medium not in context.tables.factors.media:
        problems.append(Problem("MEDIUM_UNKNOWN", "ST", quoted(medium)))
    edition = first.edition
    if edition == PROTOCOL_EDITION_UNSPECIFIED:
        if "missing_Flag" in first.problems:
            # The version bits came with the 2017 edition, and uploads of the 2005 edition carry no Flag at all.
            edition = PROTOCOL_EDITION_HJ212_2005
        else:
            problems.append(Problem("EDITION_UNKNOWN", "Flag", quoted(header.get("Flag", ""))))
    at = instant(first.data_time)
    if not first.data_time:
        problems.append(Problem("TIME_MISSING", "DataTime"))
    elif at is None:
        problems.append(Problem("DATA_TIME_FORMAT", "DataTime", quoted(first.data_time)))
    authority = profile.authority if profile and profile.authority is not None else context.authority
    if authority is None:
        problems.append(Problem("FIELD_MISSING", "header.authority"))
    if problems or profile is None or at is None or authority is None:
        return None
    return Source(
        first=first,
        command=commands()[header["CN"]],
        profile=profile,
        authority=authority,
        medium=medium,
        edition=edition,
        at=Timestamp(seconds=int(at.timestamp())),
    )


def _profile(station: str, context: MappingContext, problems: list[Problem]) -> StationProfile | None:
    if not station:
        problems.append(Problem("FIELD_MISSING", "MN"))
    elif not _STATION_ID.fullmatch(station):
        problems.append(Problem("STATION_ID_FORMAT", "MN", quoted(station)))
    elif (profile := context.profiles.find(station)) is not None:
        return profile
    else:
        problems.append(Problem("STATION_UNKNOWN", "MN", station))
    return None


def _record(joined: Joined, source: Source, mapped: MappedSeries, *, number: int, context: MappingContext) -> Record:
    first, profile = source.first, source.profile
    # The worst verdict of all parts stands for the row.
    verdict = max((packet.crc_verdict for packet in joined.packets), key=int)
    batch = MonitoringBatch(
        station=Station(
            station_id=first.header["MN"],
            name=profile.name,
            section_id=profile.section_id,
            permit_code=profile.permit_code,
            outlet_code=profile.outlet_code,
            area_code=profile.area_code,
            uscc=profile.uscc,
        ),
        medium_code=source.medium,
        interval=source.command.interval,
        protocol_edition=source.edition,
        resend=any(packet.header.get("RF") == "1" for packet in joined.packets),
        time_semantics=source.command.semantics,
        crc_verdict=verdict,
        qa_level=profile.qa_level,
        qa_rule=profile.qa_rule,
        series=mapped.series,
    )
    header = RecordHeader(
        kind_edition=KIND_EDITION,
        authority=source.authority,
        area_code=profile.area_code,
        catalogue_no=context.catalogue.catalogue_no,
        share_class=context.catalogue.share_class,
        purpose=context.purpose,
        provenance=Provenance(
            adapter=context.adapter,
            adapter_edition=context.adapter_edition,
            dialect=f"hj212-{edition_name(source.edition)}",
            document=context.document,
            row=number,
            fields=[*_header_lines(source, batch, context), *mapped.lines],
        ),
    )
    return Record(header=header, monitoring_batch=batch)


def _header_lines(source: Source, batch: MonitoringBatch, context: MappingContext) -> list[FieldProvenance]:
    profile, first = source.profile, source.first
    made = "profile" if profile.authority is not None else "document"
    lines = [
        ("header.kind_edition", "", "hj212.constant"),
        ("header.authority", FILE_NAME if profile.authority is not None else "", f"hj212.authority.{made}"),
        ("header.area_code", FILE_NAME, "hj212.profile"),
        ("header.catalogue_no", "catalogue.toml", "hj212.catalogue"),
        ("header.share_class", "catalogue.toml", "hj212.catalogue"),
        ("header.purpose", "", "hj212.purpose.document"),
        ("monitoring_batch.station.station_id", "MN", "hj212.header"),
    ]
    lines += [
        (f"monitoring_batch.station.{name}", FILE_NAME, "hj212.profile")
        for name in ("name", "section_id", "permit_code", "outlet_code", "area_code", "uscc")
        if getattr(batch.station, name)
    ]
    lines += [
        (f"monitoring_batch.{name}", FILE_NAME, "hj212.profile")
        for name in ("qa_level", "qa_rule")
        if getattr(batch, name)
    ]
    by_flag = first.edition != PROTOCOL_EDITION_UNSPECIFIED
    lines += [
        ("monitoring_batch.medium_code", *(("ST", "hj212.header") if first.header.get("ST") else _BY_PROFILE)),
        ("monitoring_batch.interval", "CN", "hj212.command"),
        ("monitoring_batch.time_semantics", "CN", "hj212.command"),
        ("monitoring_batch.protocol_edition", "Flag", "hj212.flag" if by_flag else "hj212.flag.absent-is-2005"),
        ("monitoring_batch.crc_verdict", "CRC", "hj212.crc"),
    ]
    if batch.resend:
        lines.append(("monitoring_batch.resend", "RF", "hj212.header"))
    if not context.purpose:
        lines.remove(("header.purpose", "", "hj212.purpose.document"))
    # The verdict alone is kept of a checksum: the password went into it.
    return [FieldProvenance(field=f, source=s, rule=r, lossy=r == "hj212.crc") for f, s, r in lines]


_BY_PROFILE = (FILE_NAME, "hj212.profile")
