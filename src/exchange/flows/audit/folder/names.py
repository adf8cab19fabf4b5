"""Names in the folder. All of them are legal on exFAT and NTFS too."""

from __future__ import annotations

import re
from typing import Final

EXPORT: Final = "export.json"
MANIFEST: Final = "MANIFEST"
READ_ME: Final = "请先读我.txt"
SHEET: Final = "交接单.html"
LOGS: Final = "logs"
EDITIONS: Final = "editions"
TRUST: Final = "trust"
REGISTERS: Final = "registers"
POSITION: Final = "position.json"
ATTACHMENTS: Final = "attachments"

CHECKPOINT: Final = "checkpoint"
BODIES: Final = "bodies"
NOTES: Final = "notes"
TIMESTAMPS: Final = "timestamps"
STAMPED: Final = ".note"
STAMP: Final = ".tsr"
"""How files of time stamps end: what was stamped, and the answer."""
LEAVES: Final = "leaves"
PROMISED_ENTRIES: Final = "promised.entries"
PROMISED_BODIES: Final = "promised.tar"
PROMISED_LEAVES: Final = "promised.leaves"

UNLISTED: Final = frozenset({MANIFEST, SHEET})
"""Files that MANIFEST does not name: itself, and the sheet that tells its digest."""

ERASED: Final = "ERASED"
MISSING: Final = "MISSING"
WITHHELD: Final = "WITHHELD"
OUT_OF_SCOPE: Final = "OUT_OF_SCOPE"
ABSENT: Final = frozenset({ERASED, MISSING, WITHHELD, OUT_OF_SCOPE})
"""Why a body is not in the folder."""

UNFINISHED: Final = ".unfinished"
"""How the name of a file ends that was not written to its end; the next run takes it away."""

MAX_PATH: Final = 1_024
"""Bytes of a path within the folder."""

_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]")


def component(name: str) -> str:
    """A component of an origin as the name of a folder: Windows reads ``con.example`` as a device, so ``con_.example``.

    No two origins share a folder: an origin has no underscore.
    """
    base, dot, rest = name.partition(".")
    return f"{base}_{dot}{rest}" if _RESERVED.fullmatch(base) else name


def log_folder(origin: str) -> str:
    """Folder of a log."""
    return "/".join((LOGS, *(component(part) for part in origin.split("/"))))


def is_legal(path: str) -> bool:
    """Whether a path within the folder may be written on ext4, exFAT and NTFS, and read back as it was."""
    if not path or len(path.encode("utf-8", "surrogateescape")) > MAX_PATH:
        return False
    return all(_is_legal_name(name) for name in path.split("/"))


def _is_legal_name(name: str) -> bool:
    return bool(
        name
        and name not in (".", "..")
        and len(name.encode("utf-16-le", "surrogatepass")) <= 510
        and name[-1] not in ". "
        and not _FORBIDDEN.search(name)
        and not _RESERVED.fullmatch(name.partition(".")[0])
        and not any("\ud800" <= letter <= "\udfff" for letter in name)
    )
