"""TLS key files on disk. The file that the node file names always holds what is in use, for whoever else reads it.

    keys/tls.pem                  key and certificates in use
    keys/tls.2.pem                made by a rotation, generation 2
    keys/tls.2.request.pem        request for its certificate
    keys/tls.kept-<digits>.pem    what a rotation took out of use, until it is retired

Every file is written whole, for its owner alone, and is on disk when the call returns. Where the node file names a
passphrase, private keys in them are encrypted; callers see keys in the open only.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from exchange.crypto.key_lock import OPEN, KeyLock

KEY_MODE: Final = 0o600

KEPT_DIGITS: Final = 16
"""Hex digits of a fingerprint in a file's name."""


class LeafFiles:
    """The files of one TLS key.

    Args:
        in_use: The file that the node file names.
        lock: What opens and closes the files.
    """

    def __init__(self, in_use: Path, lock: KeyLock = OPEN) -> None:
        self.in_use = in_use
        self.lock = lock

    def path(self, generation: int) -> Path:
        """File of a generation that a rotation made."""
        return self.in_use.with_name(f"{self.in_use.stem}.{generation}{self.in_use.suffix}")

    def request_path(self, generation: int) -> Path:
        """File of a generation's certificate request."""
        return self.in_use.with_name(f"{self.in_use.stem}.{generation}.request.pem")

    def kept_path(self, fingerprint: str) -> Path:
        """Where a certificate with its key is kept, by its fingerprint."""
        return self.in_use.with_name(f"{self.in_use.stem}.kept-{fingerprint[:KEPT_DIGITS]}{self.in_use.suffix}")

    def generations(self) -> list[int]:
        """Every generation that a rotation made a file for, in order."""
        pattern = re.compile(
            rf"{re.escape(self.in_use.stem)}\.([1-9]\d{{0,8}}){re.escape(self.in_use.suffix)}", re.ASCII
        )
        names = (file.name for file in self.in_use.parent.iterdir())
        return sorted(int(match.group(1)) for match in map(pattern.fullmatch, names) if match)

    def read(self, path: Path) -> bytes:
        """Content of a file, opened; empty when there is none.

        Raises:
            KeyUnreadable: The passphrase does not open it.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return b""
        return self.lock.open(content, str(path))

    def make(self, generation: int, content: bytes) -> bytes:
        """Write a generation's file unless it is there already: what a crash left is gone on with.

        Returns:
            What the file holds, opened.
        """
        held = self.read(self.path(generation))
        if held:
            return held
        self.write(self.path(generation), content)
        return content

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in place whole; one that is there is replaced by a single rename."""
        content = self.lock.close(content)
        fresh = path.with_name(f".{path.name}.new")
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, KEY_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self._sync()

    def forget(self, path: Path) -> None:
        """Remove a file; nothing when there is none."""
        path.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self.in_use.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
