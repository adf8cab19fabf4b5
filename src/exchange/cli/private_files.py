"""Writing files that must not be read by others, and never over one that is there."""

from __future__ import annotations

import os
from pathlib import Path

from exchange.domain.problems import Problem, Refused

KEY_MODE = 0o600
FOLDER_MODE = 0o700


def make_private_folder(path: Path) -> None:
    """A folder for its owner only; one that is there is closed to others."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)


def write_new(path: Path, content: bytes, *, mode: int = KEY_MODE) -> None:
    """Write a file that was not there, durably.

    Raises:
        Refused: ``FILE_EXISTS``.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    except FileExistsError:
        raise Refused([Problem("FILE_EXISTS", str(path))]) from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_existing(*paths: Path) -> None:
    """Raises before anything is written.

    Raises:
        Refused: ``FILE_EXISTS`` for each of the files that is there.
    """
    there = [Problem("FILE_EXISTS", str(path)) for path in paths if path.exists()]
    if there:
        raise Refused(there)
