"""Private keys on disk, one generation beside the other.

    keys/mirror.pem      generation 1: the file that the node file names
    keys/mirror.2.pem    generation 2, made by a rotation
    keys/mirror.lives    what each generation is now, for whoever reads the folder while the node does not run

A private key is written once, for its owner alone, and is on disk when the call returns. No generation is ever
written over or removed: what an older one signed has to be recognised, and a restored database may need it again.
Where the node file names a passphrase, what is written is encrypted; callers see keys in the open only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from exchange.crypto.key_lock import OPEN, KeyLock

KEY_MODE: Final = 0o600
LIVES: Final = ".lives"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """Where one generation stands.

    Attributes:
        generation: From 1.
        state: NEXT, ACTIVE, RETIRED or ABORTED.
        valid_from: First moment of use in microseconds; 0 for the first key: nothing came before it.
        valid_until: End of its use; 0 while open.
    """

    generation: int
    state: str
    valid_from: int = 0
    valid_until: int = 0


FIRST = KeyLife(generation=1, state="ACTIVE")
"""A node's first key, before any rotation."""


class KeyFiles:
    """The generations of one key.

    Args:
        first: File of generation 1.
        lock: What opens and closes the files.
    """

    def __init__(self, first: Path, lock: KeyLock = OPEN) -> None:
        self.first = first
        self.lock = lock

    def path(self, generation: int) -> Path:
        """File of a generation."""
        if generation == 1:
            return self.first
        return self.first.with_name(f"{self.first.stem}.{generation}{self.first.suffix}")

    def beside(self, generation: int, suffix: str) -> Path:
        """A file that belongs to a generation, as its certificate request."""
        return self.path(generation).with_suffix(suffix)

    def generations(self) -> list[int]:
        """Every generation that has a file, in order."""
        pattern = re.compile(rf"{re.escape(self.first.stem)}\.([1-9]\d{{0,8}}){re.escape(self.first.suffix)}", re.ASCII)
        names = (file.name for file in self.first.parent.iterdir())
        found = [int(match.group(1)) for match in map(pattern.fullmatch, names) if match]
        return sorted({*found, *([1] if self.first.exists() else [])})

    def read(self, generation: int) -> bytes | None:
        """Content of a generation's file, opened; None when there is none.

        Raises:
            KeyUnreadable: The passphrase does not open it.
        """
        try:
            content = self.path(generation).read_bytes()
        except FileNotFoundError:
            return None
        return self.lock.open(content, str(self.path(generation)))

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in place whole, readable by nobody else; one that is there is replaced by a single rename.

        A private key in it is encrypted where a passphrase is named.
        """
        content = self.lock.close(content)
        fresh = path.with_name(f".{path.name}.new")
        handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, KEY_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def make(self, generation: int, content: bytes) -> bytes:
        """Write a generation's private key, unless it is there already: what a crash left is gone on with.

        Returns:
            What the file holds, opened.
        """
        held = self.read(generation)
        if held is not None:
            return held
        self.write(self.path(generation), content)
        return content

    def lives(self) -> list[KeyLife]:
        """What each generation is, as last written; a folder without the file has its first key and nothing else."""
        try:
            told = json.loads(self._lives_path().read_text("ascii"))
        except FileNotFoundError:
            return [FIRST]
        return [KeyLife(**each) for each in told]

    def tell(self, lives: Sequence[KeyLife]) -> None:
        """Write what each generation is."""
        text = json.dumps([asdict(each) for each in lives], indent=1) + "\n"
        try:
            if self._lives_path().read_text("ascii") == text:
                return
        except FileNotFoundError:
            if list(lives) == [FIRST]:
                return
        self.write(self._lives_path(), text.encode("ascii"))

    def _lives_path(self) -> Path:
        return self.first.with_suffix(LIVES)


def merged(told: Sequence[KeyLife], changes: Mapping[int, KeyLife]) -> list[KeyLife]:
    """Lives with some of them changed, in order of generation."""
    return [each for _, each in sorted({**{life.generation: life for life in told}, **changes}.items())]
