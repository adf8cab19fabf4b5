"""Files that appear whole or not at all: a run that is killed leaves nothing half-written under a final name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import UNFINISHED, is_legal


@dataclass(slots=True)
class Target:
    """The folder that is written.

    Attributes:
        root: The folder; made by ``begin``.
        disk: The same folder, to read back what an earlier run left.
        written: Bytes written by this run.
    """

    root: Path
    disk: Disk = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.disk = Disk(self.root)

    def begin(self) -> None:
        """Make the folder. What a killed run left unfinished goes with all else that is no part of the export.

        Raises:
            Refused: ``EXPORT_FOLDER``: something in it is a link, or nothing that an export writes.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            for _path in self.disk.files():
                pass
        except FolderUnreadable as error:
            raise Refused([Problem("EXPORT_FOLDER", error.file, error.detail)]) from None

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """Write a file piece by piece; it gets its name when the block ends without an error."""
        if not is_legal(path):
            raise ValueError(path)
        place = self.root / path
        if place.parent.is_file():
            raise Refused([Problem("EXPORT_FOLDER", path, "a file where a folder belongs")])
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(place.name + UNFINISHED)
        try:
            with unfinished.open("wb") as file:
                yield file
                self.written += file.tell()
            unfinished.replace(place)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise

    def put(self, path: str, content: bytes) -> None:
        """Write a file; one that holds these bytes already stays."""
        if self.disk.size(path) == len(content) and self.disk.read(path, len(content)) == content:
            return
        with self.stream(path) as file:
            file.write(content)

    def put_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """Write a file from pieces."""
        with self.stream(path) as file:
            for piece in pieces:
                file.write(piece)

    def remove(self, path: str) -> None:
        """Take a file away, and the folders that it leaves empty."""
        with suppress(FileNotFoundError):
            (self.root / path).unlink()
        parent = (self.root / path).parent
        while parent != self.root:
            try:
                parent.rmdir()
            except OSError:
                return
            parent = parent.parent

    def only(self, under: str, kept: set[str]) -> None:
        """Take away every file below a folder that is not among ``kept``."""
        for path in list(self.disk.files(under)):
            if path not in kept:
                self.remove(path)

    def drop_partial(self, room: str, name: str, kept: str = "") -> None:
        """Take partial files of a run away, once a fuller one stands.

        Args:
            room: Folder of the log's tiles, bundles or archives.
            name: The run's number as a path.
            kept: Path of the partial file that stays; empty when a full one stands.
        """
        folder = f"{room}/{name}.p"
        with suppress(FileNotFoundError):
            for entry in list(os.scandir(self.root / folder)):
                if f"{folder}/{entry.name}" != kept:
                    self.remove(f"{folder}/{entry.name}")
