"""The data segment's header: fields, flag, and the password taken out (HJ 212-2017 section 6.3, tables 3 and 4).

The header leaves this module with a marker where the password stood; the bytes that held it stay behind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from exchange.v1.monitoring_batch_pb2 import (
    PROTOCOL_EDITION_HJ212_2005,
    PROTOCOL_EDITION_HJ212_2017,
    PROTOCOL_EDITION_HJ212_2025,
    PROTOCOL_EDITION_UNSPECIFIED,
    ProtocolEdition,
)

MARKER = "******"
"""What stands in place of a secret, in every output and in the redacted form of a document."""

_MARKER = MARKER.encode()

MAX_HEADER_FIELDS = 32
"""Fields of one header that are kept; the standard has ten."""

SECRET_COMMANDS = frozenset({"1072", "1014"})
"""Commands whose parameters are secrets: setting the password, changing the encryption key (2025)."""

EDITION_BY_VERSION = {
    0: PROTOCOL_EDITION_HJ212_2005,
    1: PROTOCOL_EDITION_HJ212_2017,
    2: PROTOCOL_EDITION_HJ212_2025,
}
"""Edition by bits V5..V0 of the Flag (HJ 212-2017 table 4 and HJ 212-2025)."""

MANDATORY = ("QN", "ST", "CN", "PW", "MN", "Flag")

_LABELS = {name.encode(): name for name in (*MANDATORY, "PNUM", "PNO", "RF")}

# A header as the standard orders it, without anything that would need a second look.
_IN_ORDER = re.compile(
    rb"(?:QN=([0-9]{17});)?ST=([0-9A-Z]{2});CN=([0-9]{4});PW=([0-9A-Za-z*]*);MN=([0-9A-Za-z_.\-]+);"
    rb"(?:Flag=([0-9]{1,3});)?(?:PNUM=([0-9]{1,6});PNO=([0-9]{1,6});)?(?:RF=([01]);)?CP=&&"
)
_SLOTS = ((1, "QN"), (2, "ST"), (3, "CN"), (4, "PW"), (5, "MN"), (6, "Flag"), (7, "PNUM"), (8, "PNO"), (9, "RF"))
_COMMA_MISPRINT = re.compile(rb"[^=]*,(?:QN|ST|CN|MN|Flag)=[^=]*")
_SECRET_ITEM = re.compile(rb"(?i)([0-9a-z_]*(?:PW|PWD|PASS|PASSWORD|KEY|SECRET)[0-9a-z_]*\s*=)[^;,&]*")
_SECRET_WORDS = (b"PW", b"PASS", b"KEY", b"SECRET")
_QN = re.compile(r"[0-9]{17}")
_ST = re.compile(r"[0-9A-Z]{2}")
_CN = re.compile(r"[0-9]{4}")
_MN = re.compile(r"[0-9A-F]{24}")
_NUMBER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """The Flag field.

    Attributes:
        value: 0 to 255.
        edition: By the version bits; unspecified for bits that no edition uses.
        has_packet_no: Bit D: PNUM and PNO are present.
        need_ack: Bit A: an answer is wanted.
    """

    value: int
    edition: ProtocolEdition.ValueType
    has_packet_no: bool
    need_ack: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A data segment without its password.

    Attributes:
        header: The standard's fields as received, in their order; ``PW`` holds the marker.
        head: Bytes up to and with ``CP=&&``, or all of them where there is none; the password is the marker.
        content: Bytes between ``CP=&&`` and the closing ``&&``, as received, so possibly with a secret that a
            command sets (``without_secrets``); None where there is no CP.
        tail: The closing ``&&``, or nothing.
        flag: None where the field is missing or no number.
        problems: Broken rules of structure.
        notes: What is common in the field and no fault of the data.
    """

    header: dict[str, str]
    head: bytes
    content: bytes | None = field(repr=False)
    tail: bytes
    flag: Flag | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def edition(self) -> ProtocolEdition.ValueType:
        """Edition by the Flag alone."""
        return self.flag.edition if self.flag else PROTOCOL_EDITION_UNSPECIFIED


_FLAGS = tuple(
    Flag(
        value=value,
        edition=EDITION_BY_VERSION.get(value >> 2, PROTOCOL_EDITION_UNSPECIFIED),
        has_packet_no=bool(value & 2),
        need_ack=bool(value & 1),
    )
    for value in range(256)
)


def parse_segment(data: bytes) -> Segment:
    """Read the header of a data segment.

    Args:
        data: The data segment; nothing in it is trusted.

    Returns:
        What could be read. Raises nothing, whatever the bytes.
    """
    found = _IN_ORDER.match(data)
    if found is None:
        return _parse_disordered(data)
    header = {name: found[slot].decode("ascii") for slot, name in _SLOTS if found[slot] is not None}
    header["PW"] = MARKER
    begin, end = found.span(4)
    problems: list[str] = []
    notes: list[str] = []
    flag = _check_fields(header, problems, notes)
    content, tail = _content(data[found.end() :], problems)
    return Segment(
        header=header,
        head=data[:begin] + _MARKER + data[end : found.end()],
        content=content,
        tail=tail,
        flag=flag,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _content(rest: bytes, problems: list[str]) -> tuple[bytes, bytes]:
    if rest.endswith(b"&&"):
        return rest[:-2], b"&&"
    problems.append("cp_not_closed")
    return rest, b""


def without_secrets(command: str, content: bytes) -> bytes:
    """The content of CP with a marker in place of passwords and keys that a command sets.

    Args:
        command: CN of the packet.
        content: Not encrypted.
    """
    if command in SECRET_COMMANDS:
        return _MARKER if content else content
    upper = content.upper()
    if any(word in upper for word in _SECRET_WORDS) and b"=" in content:
        return _SECRET_ITEM.sub(rb"\1" + _MARKER, content)
    return content


_FORMATS = (("QN", _QN), ("ST", _ST), ("CN", _CN), ("PNUM", _NUMBER), ("PNO", _NUMBER))


def _check_fields(header: dict[str, str], problems: list[str], notes: list[str]) -> Flag | None:
    problems += [f"missing_{name}" for name in MANDATORY if not header.get(name)]
    problems += [
        f"{name.lower()}_format" for name, form in _FORMATS if (text := header.get(name)) and not form.fullmatch(text)
    ]
    if (station := header.get("MN")) and not _MN.fullmatch(station):
        notes.append("mn_format")
    text = header.get("Flag")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < len(_FLAGS)):
        problems.append("flag_not_numeric")
        return None
    flag = _FLAGS[int(text)]
    if flag.edition == PROTOCOL_EDITION_UNSPECIFIED:
        problems.append("flag_version_unknown")
    if flag.has_packet_no:
        problems += [f"missing_{name}" for name in ("PNUM", "PNO") if not header.get(name)]
    return flag


def _parse_disordered(data: bytes) -> Segment:
    problems: list[str] = []
    notes: list[str] = []
    start = data.find(b"CP=&&")
    content: bytes | None = None
    tail = b""
    if start < 0:
        problems.append("no_cp")
        # What follows a misprinted CP is no header; without its delimiters it can not be read as data either.
        stop = data.find(b"CP=")
        fields, rest = (data, b"") if stop < 0 else (data[:stop], data[stop:])
    else:
        fields, rest = data[:start], data[start : start + 5]
        if start > 0 and not fields.rstrip().endswith(b";"):
            problems.append("missing_semicolon_before_cp")
    header, kept = _header_fields(fields, problems, notes)
    flag = _check_fields(header, problems, notes)
    if start >= 0:
        content, tail = _content(data[start + 5 :], problems)
    return Segment(
        header=header,
        head=kept + rest[:3] + (rest[3:] if start >= 0 else without_secrets(header.get("CN", ""), rest[3:])),
        content=content,
        tail=tail,
        flag=flag,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _header_fields(fields: bytes, problems: list[str], notes: list[str]) -> tuple[dict[str, str], bytes]:
    """Header fields of an irregular header, and its bytes with everything masked that may be the password.

    A damaged line turns ``PW=`` into anything, so only the fields of the standard keep their values.
    """
    header: dict[str, str] = {}
    kept: list[bytes] = []
    pieces = fields.split(b";")
    if len(pieces) > MAX_HEADER_FIELDS:
        # The marker keeps the header too long in its redacted form, so that reading that says the same.
        problems.append("header_too_long")
        pieces = [*pieces[:MAX_HEADER_FIELDS], _MARKER, b"" if not pieces[-1].strip() else _MARKER]
    found: set[str] = set()
    for piece in pieces:
        name, equals, value = piece.partition(b"=")
        key = name.strip()
        if not piece.strip():
            kept.append(piece)
            continue
        if b"," in piece:
            found.add("comma_in_header")
        label = _LABELS.get(key)
        if not equals:
            found.add("header_item_without_equals")
            kept.append(_masked(piece))
        elif label is None:
            if "header_field_unknown" not in notes:
                notes.append("header_field_unknown")
            kept.append(_MARKER + b"=" + _masked(piece))
        elif label in header:
            found.add("header_field_repeated")
            kept.append(key + b"=" + _masked(piece))
        elif label == "PW":
            header[label] = MARKER
            kept.append(key + b"=" + _masked(value))
        else:
            shown = _shown(label, value)
            header[label] = text_of(shown).strip()
            kept.append(key + b"=" + shown)
    problems.extend(sorted(found))
    return header, b";".join(kept)


def _shown(label: str, value: bytes) -> bytes:
    """The value of a field of the standard, less what a damaged line may have let run into it."""
    if b"=" in value and not _COMMA_MISPRINT.fullmatch(value):
        return _masked(value)
    # Only a station's id may have these two letters in it.
    near = -1 if label == "MN" else value.upper().find(b"PW")
    return value if near < 0 else value[:near] + _masked(value[near:])


def _masked(secret: bytes) -> bytes:
    """The marker, and a comma where there was one: it is a problem that must not go unseen in the redacted form."""
    return _MARKER + b"," if b"," in secret else _MARKER


def text_of(data: bytes) -> str:
    """Text of received bytes: ASCII or UTF-8 as the standard says, GB18030 as many devices do, else escapes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError:
        return data.decode("ascii", "backslashreplace")
