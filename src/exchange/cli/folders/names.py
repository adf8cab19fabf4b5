"""Names of files that every file system takes on which an office keeps its folders, NTFS among them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

MAX_NAME_BYTES: Final = 200
"""UTF-8 bytes of a name: 255 are allowed, less what is put in front of or behind one while it is written."""

DIGEST_DIGITS: Final = 10
"""Hex digits by which files of one name are told apart: 40 bits."""

_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_DEVICES: Final = re.compile(r"(?i)(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\.|$)")
_PASSING: Final = (".tmp", ".part", ".partial", ".crdownload", ".download", ".swp", ".lock", "~")
_OF_THE_SYSTEM: Final = {"desktop.ini", "thumbs.db"}


def legal_name(stem: str, ending: str) -> str:
    """A name that NTFS takes as well; a legal one stays as it is.

    Args:
        stem: What comes from outside; too long, it is cut.
        ending: How the name ends, at most 100 bytes of it; kept where there is room for it.
    """
    tail = _FORBIDDEN.sub("_", ending).rstrip(" .")
    tail = _cut(tail, MAX_NAME_BYTES // 2)
    head = _cut(_FORBIDDEN.sub("_", stem), MAX_NAME_BYTES - 1 - len(tail.encode()))
    name = (head + tail).rstrip(" .") or "_"
    # Neither a device of the system nor a hidden file, which a watcher of folders passes over.
    return f"_{name}" if _DEVICES.match(name) or name.startswith(".") else name


def told_apart(name: str, content: str) -> str:
    """Digits for name and content: the same file has the same ones, and no other file has."""
    return sha256(name.encode("utf-8", "surrogateescape") + b"\0" + content.encode()).hexdigest()[:DIGEST_DIGITS]


def passing(name: str) -> bool:
    """Whether a name says that its file is hidden, being written, or an office program's own."""
    lower = name.lower()
    return lower.startswith((".", "~$")) or lower.endswith(_PASSING) or lower in _OF_THE_SYSTEM


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
