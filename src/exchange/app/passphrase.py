"""The passphrase of a node's key files, from where its node file says: never from an argument or a variable."""

from __future__ import annotations

import contextlib
import getpass
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from exchange.crypto.key_lock import MAX_PASSPHRASE, KeyLock, PassphraseMissing
from exchange.settings import NodeSettings
from exchange.settings.passphrase import PassphraseSource

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what `LoadCredential=` names."""

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def key_lock(settings: NodeSettings) -> KeyLock:
    """What opens the key files of a node. Nothing is read, and nobody asked, before a file needs it."""
    source = settings.keys.passphrase
    return KeyLock(asker(source) if source is not None else None)


def asker(source: PassphraseSource, *, twice: bool = False) -> Callable[[], bytes]:
    """What gets the passphrase from its source.

    Where a descriptor or a credential is not there, as when an officer runs a command by hand, a terminal is asked.

    Args:
        source: Where it comes from.
        twice: Whether a terminal is asked twice: keys are made by what is typed.
    """

    def ask() -> bytes:
        with contextlib.suppress(_NotHere):
            return _trimmed(_read(source))
        if not sys.stdin.isatty():
            raise PassphraseMissing(f"keys.passphrase = {source}: not there, and no terminal to ask")
        typed = getpass.getpass("keys.passphrase: ")
        if twice and getpass.getpass("keys.passphrase (2): ") != typed:
            raise PassphraseMissing("typed twice, and not the same")
        return typed.encode()

    return ask


class _NotHere(Exception):
    """The source has nothing to say in this process."""


def _read(source: PassphraseSource) -> bytes:
    if source.scheme == "fd":
        return _from_descriptor(int(source.name))
    if source.scheme == "credential":
        return _from_file(_credential(source.name, os.environ), private=False)
    if source.path is not None:
        return _from_file(source.path, private=True)
    raise _NotHere


def _credential(name: str, environment: Mapping[str, str]) -> Path:
    folder = environment.get(CREDENTIALS)
    path = Path(folder) / name if folder else None
    if path is None or not path.exists():
        raise _NotHere
    return path


def _from_descriptor(number: int) -> bytes:
    """Everything that stands in a pipe; it is read once, and closed."""
    try:
        with open(number, "rb") as pipe:
            return pipe.read(MAX_PASSPHRASE + 2)
    except OSError:
        raise _NotHere from None


def _from_file(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_PASSPHRASE + 2)
    except OSError as error:
        raise PassphraseMissing(f"keys.passphrase {path}: {error.strerror}") from None
    if private and mode & OTHERS:
        raise PassphraseMissing(f"keys.passphrase {path}: mode {stat.S_IMODE(mode):04o}, must be 0600")
    return content


def _trimmed(content: bytes) -> bytes:
    """Without the line end that editors and `echo` write."""
    return content.removesuffix(b"\n").removesuffix(b"\r")
