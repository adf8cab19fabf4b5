"""The container of a workbook: a zip archive, opened as if an attacker had packed it."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers import expat

from exchange_sheets import limits
from exchange_sheets.counting import DAMAGED, FILE_TYPE, TOO_LARGE, refused

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]

ZIP_MAGIC: Final = b"PK\x03\x04"
OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Compound files: .xls, .et, and workbooks with a password."""

_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others are no part of ECMA-376, and LZMA takes as much memory as the archive asks for."""

_ENCRYPTED_BIT: Final = 0x1
_MAIN_TYPES: Final = frozenset(
    {
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml",
    }
)


class Package:
    """The parts of a workbook by name, within the limits."""

    def __init__(self, content: bytes) -> None:
        """Open and check the container.

        Raises:
            DocumentRefused: It is too large or a bomb, has macros or a password, is no ``.xlsx``, or is damaged.
        """
        if len(content) > limits.MAX_FILE_BYTES:
            raise refused(TOO_LARGE, f"more than {limits.MAX_FILE_BYTES} bytes")
        if content.startswith(OLE_MAGIC):
            raise refused(FILE_TYPE, "an .xls, .et or password-protected workbook")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
            parts = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
            raise refused(DAMAGED, f"no zip archive: {type(error).__name__}") from None
        if len(parts) > limits.MAX_PARTS:
            raise refused(TOO_LARGE, f"more than {limits.MAX_PARTS} parts")
        unpacked = sum(part.file_size for part in parts)
        if unpacked > limits.MAX_UNPACKED_BYTES or unpacked > limits.MAX_PACK_RATIO * len(content):
            raise refused(TOO_LARGE, f"{unpacked} bytes when unpacked")
        if any(part.flag_bits & _ENCRYPTED_BIT for part in parts):
            raise refused(FILE_TYPE, "an archive with a password")
        self._parts = {part.filename: part for part in parts}
        if len(self._parts) != len(parts):
            # Two parts of one name: programs would disagree about which one counts.
            raise refused(DAMAGED, "two parts of one name")
        if any(part.compress_type not in _COMPRESSIONS for part in parts):
            raise refused(FILE_TYPE, "an archive that is packed in another way than workbooks are")
        self._left = limits.MAX_UNPACKED_BYTES
        self._elements = 0
        self._check_type()

    def _check_type(self) -> None:
        names = {name.lower() for name in self._parts}
        if any(name.rpartition("/")[2] == "vbaproject.bin" for name in names):
            raise refused(FILE_TYPE, "a workbook with macros")
        if "[Content_Types].xml" not in self._parts:
            raise refused(FILE_TYPE, "a zip archive that is no workbook")
        types: set[str] = set()

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name in ("Override", "Default"):
                types.add(attributes.get("ContentType", ""))

        self.parse("[Content_Types].xml", start)
        if any("macroEnabled" in each for each in types):
            raise refused(FILE_TYPE, "a workbook with macros")
        if not types & _MAIN_TYPES:
            raise refused(FILE_TYPE, "an office file that is no .xlsx workbook")

    def has(self, name: str) -> bool:
        """Whether there is such a part."""
        return name in self._parts

    def read(self, name: str) -> bytes:
        """The bytes of a part.

        Raises:
            DocumentRefused: It is missing or damaged, or more is unpacked than the archive promised.
        """
        part = self._parts.get(name)
        if part is None:
            raise refused(DAMAGED, "a part is missing", name)
        try:
            with self._zip.open(part) as stream:
                content = stream.read(self._left + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError):
            raise refused(DAMAGED, "a part can not be unpacked", name) from None
        self._left -= len(content)
        if self._left < 0:
            raise refused(TOO_LARGE, f"more than {limits.MAX_UNPACKED_BYTES} bytes when unpacked", name)
        return content

    def parse(self, name: str, start: Start, end: End | None = None, text: Text | None = None) -> None:
        """Walk through an XML part. Names reach the handlers without their namespace.

        A document type declaration is refused: without one there are no entities, and so no entity bombs and no
        references to files.

        Raises:
            DocumentRefused: The part is missing, damaged or no well-formed XML.
        """
        content = self.read(name)
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True

        def doctype(*_: object) -> None:
            raise refused(DAMAGED, "a document type declaration", name)

        depth = 0

        def on_start(tag: str, attributes: Mapping[str, str]) -> None:
            nonlocal depth
            depth += 1
            self._elements += 1
            if depth > limits.MAX_DEPTH or self._elements > limits.MAX_ELEMENTS:
                raise refused(TOO_LARGE, f"more than {limits.MAX_DEPTH} levels or {limits.MAX_ELEMENTS} elements", name)
            start(tag.rpartition(" ")[2], attributes)

        def on_end(tag: str) -> None:
            nonlocal depth
            depth -= 1
            if end is not None:
                end(tag.rpartition(" ")[2])

        parser.StartDoctypeDeclHandler = doctype
        parser.StartElementHandler = on_start
        parser.EndElementHandler = on_end
        if text is not None:
            parser.CharacterDataHandler = text
        try:
            parser.Parse(content, True)  # noqa: FBT003 the C function has no keywords
        except (expat.ExpatError, ValueError) as error:
            raise refused(DAMAGED, f"no well-formed XML: {in_short(error)}", name) from None

    def targets(self, part: str) -> dict[str, tuple[str, str]]:
        """Relations of a part: id → (last word of the relation's type, name of the part that it leads to)."""
        folder, _, file_name = part.rpartition("/")
        relations = posixpath.join(folder, "_rels", f"{file_name}.rels") if part else "_rels/.rels"
        found: dict[str, tuple[str, str]] = {}
        if not self.has(relations):
            return found

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name != "Relationship" or attributes.get("TargetMode") == "External":
                return
            target = attributes.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, posixpath.normpath(path))

        self.parse(relations, start)
        return found


def in_short(error: Exception) -> str:
    """The first words of a library's message; it names no content of the document."""
    return str(error)[:80]
