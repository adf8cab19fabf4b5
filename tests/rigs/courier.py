"""A courier between two nodes' folders, who loses, doubles, shuffles, cuts and delays what he carries."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

PATIENCE_S = 0.01
"""Seconds between two walks."""


class Courier:
    """A thread that carries files from each ``out/`` to the other's ``in/``; a context manager.

    Attributes:
        loss: Chance that a file is lost on the way.
        double: Chance that it is carried twice, the second time later.
        cut: Chance that a cut copy arrives under its name first.
        late: Chance that it is left for a later walk.
        moves: Whether it takes files away, as with a disk, or copies them.
        carried: Names of what arrived whole.
    """

    def __init__(self, folders: Mapping[str, Path], seed: int = 1) -> None:
        self.loss = self.double = self.cut = self.late = 0.0
        self.moves = True
        self.carried: list[str] = []
        self._resting = threading.Event()
        self._walking = threading.Lock()
        self._folders = dict(folders)
        self._moments = random.Random(seed)
        self._again: list[tuple[Path, str, bytes]] = []
        self._copied: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def rest(self) -> None:
        """Go no more by himself; the walk that is under way is over when this returns."""
        self._resting.set()
        with self._walking:
            pass

    def go(self) -> None:
        """Go by himself again."""
        self._resting.clear()

    def honest(self) -> None:
        """From now on all arrives."""
        self.loss = self.double = self.cut = self.late = 0.0

    def walk(self) -> None:
        """Go once, in both directions."""
        with self._walking:
            self._walk()

    def _walk(self) -> None:
        names = sorted(self._folders)
        for sender, receiver in (names, names[::-1]):
            out, into = self._folders[sender] / "out", self._folders[receiver] / "in"
            if not out.is_dir() or not into.is_dir():
                continue
            files = [path for path in out.iterdir() if path.suffix in (".ask", ".ans")]
            self._moments.shuffle(files)
            for path in files:
                self._carry(path, into)
        for into, name, data in self._again:
            self._put(into, name, data)
        self._again.clear()

    def _carry(self, path: Path, into: Path) -> None:
        if path.name in self._copied or self._moments.random() < self.late:
            return
        try:
            data = path.read_bytes()
            if self.moves:
                path.unlink()
            else:
                self._copied.add(path.name)
        except FileNotFoundError:
            return
        if self._moments.random() < self.loss:
            return
        if self._moments.random() < self.cut:
            (into / path.name).write_bytes(data[: self._moments.randrange(len(data))])
            self._again.append((into, path.name, data))
            return
        self._put(into, path.name, data)
        if self._moments.random() < self.double:
            self._again.append((into, path.name, data))

    def _put(self, into: Path, name: str, data: bytes) -> None:
        (into / name).write_bytes(data)
        self.carried.append(name)

    def _run(self) -> None:
        while not self._stop.wait(PATIENCE_S):
            if not self._resting.is_set():
                self.walk()
