"""One packet: frame, checksum, header, decrypted content and items, without its password.

Words for what is wrong (``problems``) and for what is only unusual (``notes``):

=============================== ====================================================================
``bad_header``                  a line with the fields of a packet that starts with no ``##``
``len_not_4_digits``            the declared length has not four digits
``length_mismatch``             the declared length is not that of the data
``truncated``                   the line ends before ``&&`` and the checksum
``no_crc``, ``crc_not_4_digits`` no checksum, or leading zeros are missing
``crc_not_hex``, ``crc_bad``    the checksum is no number, or none of those that devices send
``no_crlf``                     the frame does not end in CR LF
``no_cp``, ``cp_not_closed``    no ``CP=&&``, or no ``&&`` behind its content
``missing_…``, ``…_format``     a mandatory field is missing or ill-formed
``flag_not_numeric``            the Flag is no number from 0 to 255
``flag_version_unknown``        its version bits belong to no edition
``comma_in_header``             a comma where a semicolon belongs, as misprinted in tables C.22 and C.48
``missing_semicolon_before_cp`` as misprinted in table C.19
``cp_item_without_equals``      an item of CP is no name with a value
``flag_conflict``               one factor has two data flags
``sm4_key_missing``             the content is encrypted and no key was given: the checksum is not known
``sm4_not_readable``            the content is encrypted by another key
``text_encoding``               the content is neither ASCII nor UTF-8
=============================== ====================================================================

Notes: ``mn_format`` (not 24 hex digits; most devices in the field), ``crc_lower_case``, ``encrypted``,
``cp_param_repeated``, ``header_field_unknown`` (its value is masked: it may be a password behind a damaged name).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from exchange.v1.monitoring_batch_pb2 import (
    CRC_VERDICT_ANNEX_A,
    CRC_VERDICT_BAD,
    CRC_VERDICT_UNSPECIFIED,
    PROTOCOL_EDITION_HJ212_2005,
    PROTOCOL_EDITION_HJ212_2017,
    PROTOCOL_EDITION_HJ212_2025,
    PROTOCOL_EDITION_UNSPECIFIED,
    CrcVerdict,
    ProtocolEdition,
)
from exchange_hj212 import crc
from exchange_hj212.frame import Frame, Skipped, read_frames
from exchange_hj212.items import Items, Reading, parse_items
from exchange_hj212.segment import MARKER, Flag, Segment, parse_segment, text_of, without_secrets
from exchange_hj212.sm4 import Sm4

CHINA_TIME = timezone(timedelta(hours=8))
"""Packets carry local time without a zone; the zone is always this one (HJ 212-2017 section 6.3)."""

KeyOf = Callable[[str], Sm4 | None]
"""Key of a station, by its MN."""

_EDITION_NAMES = {
    PROTOCOL_EDITION_HJ212_2005: "2005",
    PROTOCOL_EDITION_HJ212_2017: "2017",
    PROTOCOL_EDITION_HJ212_2025: "2025",
}
_HARMLESS = re.compile(
    rb"[\s;]*(?:[0-9A-Za-z]{2,10}-[0-9A-Za-z_]{1,12}|DataTime|QN|QnRtn|ExeRtn|RtdInterval|MinInterval|OverTime|ReCount|WarnTime|PolId|BeginTime|EndTime"
    rb"|SystemTime|RestartTime|SB[0-9]+-R[ST])="
)
_NO_ITEMS = Items({}, (), (), ())


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedPacket:
    """A packet as received, less its password.

    Attributes:
        offset: Byte of the document at which the frame starts.
        length: Bytes of the document that it takes.
        declared_length: As the frame says; None where that is not four digits.
        actual_length: Bytes of the data segment.
        edition: By the version bits of the Flag; unspecified where there is no Flag or they belong to no edition.
        crc_verdict: Unspecified where it can not be known: no frame, or encrypted content without a key.
        problems: Broken rules, in the words of this module.
        notes: What is only unusual.
        header: Fields in their order, values as received.
        flag: The Flag field taken apart.
        params: Parameters of CP as received, ``DataTime`` among them.
        readings: Items of factors as received.
        content: Content of CP as text, decrypted; None where it could not be read.
        skipped: Runs of bytes around this packet that belong to none: before it, for the last one also after it.
    """

    offset: int
    length: int
    declared_length: int | None
    actual_length: int
    edition: ProtocolEdition.ValueType
    crc_verdict: CrcVerdict.ValueType
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    header: dict[str, str]
    flag: Flag | None
    params: dict[str, str]
    readings: tuple[Reading, ...]
    content: str | None
    skipped: tuple[Skipped, ...] = ()

    @property
    def data_time(self) -> str:
        """``DataTime`` as received; empty where there is none."""
        return self.params.get("DataTime", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A packet together with what its redacted form needs.

    Attributes:
        packet: The packet.
        redacted: Its data segment with a marker in place of the password; encrypted content stays encrypted.
        sealed_crc: See ``Frame.sealed_crc``.
    """

    packet: DecodedPacket
    redacted: bytes
    sealed_crc: int | None = None


def decode(data: bytes, *, key: bytes | None = None) -> Iterator[DecodedPacket]:
    """Decode every packet of a recording.

    Args:
        data: Frames, with anything between them.
        key: SM4 key of 16 bytes for encrypted packets of the 2025 edition, whatever their station.

    Yields:
        One packet for each frame, in order. A recording that has bytes and no frame yields one packet with the
        problem ``no_frame``, so that nothing goes unsaid.

    Raises:
        ValueError: The key has not 16 bytes.
    """
    cipher = Sm4(key) if key is not None else None
    skipped: list[Skipped] = []
    waiting: DecodedPacket | None = None
    for event in read_frames(data):
        if isinstance(event, Skipped):
            skipped.append(event)
            continue
        if waiting is not None:
            yield waiting
        waiting = decode_frame(event, lambda _: cipher).packet
        if skipped:
            waiting = replace(waiting, skipped=tuple(skipped))
            skipped.clear()
    if waiting is not None:
        yield replace(waiting, skipped=waiting.skipped + tuple(skipped)) if skipped else waiting
    elif skipped:
        yield _unread(skipped[0].offset, skipped[-1].offset + skipped[-1].length, "no_frame", tuple(skipped))


def _unread(offset: int, end: int, problem: str, skipped: tuple[Skipped, ...] = (), text: str = "") -> DecodedPacket:
    return DecodedPacket(
        offset=offset,
        length=end - offset,
        declared_length=None,
        actual_length=0,
        edition=PROTOCOL_EDITION_UNSPECIFIED,
        crc_verdict=CRC_VERDICT_UNSPECIFIED,
        problems=(problem,),
        notes=(),
        header={},
        flag=None,
        params={},
        readings=(),
        content=text or None,
        skipped=skipped,
    )


def decode_frame(frame: Frame, key_of: KeyOf) -> Decoded:
    """Decode one frame.

    Args:
        frame: As read from a stream or from a redacted document.
        key_of: Gives the key of a station.

    Returns:
        The packet and its redacted data. Raises nothing, whatever the frame holds.
    """
    segment = parse_segment(frame.segment)
    command = segment.header.get("CN", "")
    content = segment.content
    if "bad_header" in frame.problems:
        redacted = segment.head + _shown(command, content or b"", CRC_VERDICT_UNSPECIFIED) + segment.tail
        end = frame.offset + frame.length
        return Decoded(packet=_unread(frame.offset, end, "bad_header", text=text_of(redacted)), redacted=redacted)
    verdict = frame.taken if frame.taken is not None else crc.verdict(frame.segment, frame.crc_given)
    sealed: int | None = None
    notes = segment.notes
    problems = frame.problems
    kept = content or b""
    if content and _is_encrypted(segment, content):
        cipher = key_of(segment.header.get("MN", ""))
        notes += ("encrypted",)
        if cipher is None:
            sealed = _seal(frame, segment, content)
            verdict, content = CRC_VERDICT_UNSPECIFIED, None
            problems += ("sm4_key_missing",)
        else:
            plain = cipher.decrypt_whole_blocks(content)
            verdict = _verdict_of_plain(frame, segment, plain, verdict)
            content = plain if _is_text(plain) else None
            if content is None:
                problems += ("sm4_not_readable",)
            else:
                content = without_secrets(command, content)
    elif content:
        kept = content = _shown(command, content, verdict)
    if verdict == CRC_VERDICT_BAD:
        problems += ("crc_bad",)
    if frame.crc_given != frame.crc_given.upper():
        notes += ("crc_lower_case",)
    text: str | None = None
    items = _NO_ITEMS
    if content is not None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = text_of(content)
            problems += ("text_encoding",)
        items = _NO_ITEMS if text == MARKER else parse_items(text)
    return Decoded(
        packet=DecodedPacket(
            offset=frame.offset,
            length=frame.length,
            declared_length=frame.declared,
            actual_length=frame.actual,
            edition=segment.edition,
            crc_verdict=verdict,
            problems=problems + segment.problems + items.problems,
            notes=notes + items.notes,
            header=segment.header,
            flag=segment.flag,
            params=items.params,
            readings=items.readings,
            content=text,
        ),
        redacted=segment.head + kept + segment.tail,
        sealed_crc=sealed,
    )


def _shown(command: str, content: bytes, verdict: CrcVerdict.ValueType) -> bytes:
    """The content without secrets. Of a damaged packet, nothing that may be a header or any command is shown."""
    if verdict in (CRC_VERDICT_BAD, CRC_VERDICT_UNSPECIFIED) and not _is_harmless(content):
        return MARKER.encode() if content else content
    return without_secrets(command, content)


def _is_harmless(content: bytes) -> bool:
    """Whether content shows by itself that it sets no secret: the command's number may be the damaged part."""
    return _HARMLESS.match(content) is not None and b"CP=&&" not in content and b";MN=" not in content


def _is_encrypted(segment: Segment, content: bytes) -> bool:
    """Whether the content is encrypted: nothing in the frame says so, only data commands of 2025 may be."""
    return (
        segment.edition == PROTOCOL_EDITION_HJ212_2025
        and segment.header.get("CN", "").startswith("2")
        and not content.startswith(b"DataTime=")
        and not _is_text(content)
    )


def _is_text(content: bytes) -> bool:
    try:
        return content.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _seal(frame: Frame, segment: Segment, content: bytes) -> int | None:
    """The checksum that the plaintext will have once the marker stands in the password's place.

    The checksum is linear, so it moves by what the header's change alone contributes; without the key it says
    nothing about the password.
    """
    if frame.taken is not None:
        return frame.sealed_crc
    if not 1 <= len(frame.crc_given) <= 4 or not crc.HEX_DIGITS.issuperset(frame.crc_given):
        return None
    before = frame.segment[: len(frame.segment) - len(content) - len(segment.tail)]
    change = crc.annex_a(before) ^ crc.annex_a(segment.head)
    return int(frame.crc_given, 16) ^ crc.run_on(change, len(content) + len(segment.tail))


def _verdict_of_plain(
    frame: Frame, segment: Segment, plain: bytes, taken: CrcVerdict.ValueType
) -> CrcVerdict.ValueType:
    """Verdict over the plaintext, as HJ 212-2025 Annex A asks for."""
    rest = plain + segment.tail
    if frame.taken is None:
        before = frame.segment[: len(frame.segment) - len(rest)]
        return crc.verdict(before + rest, frame.crc_given)
    if taken != CRC_VERDICT_UNSPECIFIED:
        return taken
    return CRC_VERDICT_ANNEX_A if crc.annex_a(segment.head + rest) == frame.sealed_crc else CRC_VERDICT_BAD


def edition_name(edition: ProtocolEdition.ValueType) -> str:
    """``2005``, ``2017``, ``2025``, or nothing where the edition is not known."""
    return _EDITION_NAMES.get(edition, "")


def verdict_name(verdict: CrcVerdict.ValueType) -> str:
    """``ANNEX_A``, ``MODBUS``, ``MODBUS_BYTESWAPPED``, ``BAD``, or nothing where the verdict is not known."""
    return "" if verdict == CRC_VERDICT_UNSPECIFIED else CrcVerdict.Name(verdict).removeprefix("CRC_VERDICT_")


def instant(text: str) -> datetime | None:
    """The aware instant of a time as packets write it; None where it is no 14-digit time of the calendar."""
    if len(text) != 14 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return datetime(
            int(text[:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[8:10]),
            int(text[10:12]),
            int(text[12:14]),
            tzinfo=CHINA_TIME,
        )
    except ValueError:
        return None


def to_json(packet: DecodedPacket) -> dict[str, object]:
    """A packet as ``exchange hj212 decode --json`` prints it. Holds no password and no checksum made over one.

    Returns:
        ``offset`` and ``length`` in bytes; ``edition`` and ``crc_verdict`` as names or null; ``problems`` and
        ``notes`` as words; ``header`` and ``params`` as received; ``data_time`` as received or null and ``time``
        as RFC 3339 with offset or null; ``readings`` with factor, item, value as received and flag or null;
        ``skipped`` as runs of bytes.
    """
    at = instant(packet.data_time)
    return {
        "offset": packet.offset,
        "length": packet.length,
        "declared_length": packet.declared_length,
        "actual_length": packet.actual_length,
        "edition": edition_name(packet.edition) or None,
        "crc_verdict": verdict_name(packet.crc_verdict) or None,
        "problems": list(packet.problems),
        "notes": list(packet.notes),
        "header": dict(packet.header),
        "data_time": packet.data_time or None,
        "time": at.isoformat() if at else None,
        "params": dict(packet.params),
        "readings": [
            {"factor": reading.factor, "item": reading.item, "value": reading.value, "flag": reading.flag or None}
            for reading in packet.readings
        ],
        "skipped": [{"offset": run.offset, "length": run.length} for run in packet.skipped],
    }
