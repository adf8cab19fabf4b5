"""What a watcher remembers: how far arrivals were written, what waits or was refused, which attachments are to come.

It may be lost without harm: files are dropped still, calls have the same keys, arrivals are written once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Final

from exchange.cli.folders.layout import write
from exchange.domain.problems import Problem, Refused

MAX_STATE_BYTES: Final = 32 << 20
"""Bytes of the file: some ten thousand files that wait."""

WAITING: Final = "WAITING"
REFUSED: Final = "REFUSED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A file that is still in ``drop/``.

    Attributes:
        state: :data:`WAITING`: tried again by itself; :data:`REFUSED`: until somebody changes it.
        since: When it got into that state, ISO 8601.
        seen: Size and time of change of what was refused: anything else under the name is a new file.
    """

    state: str
    since: str
    reason: str
    detail: str = ""
    seen: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An attachment of an arrival that is not there yet."""

    origin: str
    record_id: str
    revision: int
    place: int


@dataclass(kw_only=True, slots=True)
class _Kept:
    cursor: str = ""
    paused_since: str = ""
    paused_detail: str = ""
    files: dict[str, Held] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)


class State:
    """The file, read once and written after every change."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            Refused: ``FOLDER_STATE``: it is there and not what a watcher wrote.
        """
        self._path = path
        self._lock = RLock()
        self._kept = _read(path) if path.exists() else _Kept()

    @property
    def cursor(self) -> str:
        """Cursor of the last arrival that was written."""
        return self._kept.cursor

    @property
    def paused(self) -> tuple[str, str]:
        """Since when the disk is too full, and how full; empty while it is not."""
        return self._kept.paused_since, self._kept.paused_detail

    @property
    def files(self) -> dict[str, Held]:
        """Files in ``drop/`` that wait or were refused, by name."""
        with self._lock:
            return dict(self._kept.files)

    @property
    def wanted(self) -> dict[str, Wanted]:
        """Attachments that are still to be fetched, by the name that they get."""
        with self._lock:
            return dict(self._kept.wanted)

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Attachments are to be fetched."""
        with self._lock:
            if not wanted.items() <= self._kept.wanted.items():
                self._kept.wanted.update(wanted)
                self._write()

    def got(self, *names: str) -> None:
        """Attachments are there, or wanted no more."""
        with self._lock:
            known = [name for name in names if self._kept.wanted.pop(name, None) is not None]
            if known:
                self._write()

    def keep_cursor(self, cursor: str) -> None:
        """Everything up to here is on disk."""
        with self._lock:
            if cursor != self._kept.cursor:
                self._kept.cursor = cursor
                self._write()

    def hold(self, name: str, held: Held) -> bool:
        """A file stays in ``drop/``; False when that is known already, since when too."""
        with self._lock:
            before = self._kept.files.get(name)
            if before is not None and (before.state, before.reason, before.seen) == (
                held.state, held.reason, held.seen,
            ):  # fmt: skip
                return False
            self._kept.files[name] = held
            self._write()
            return True

    def forget(self, *names: str) -> None:
        """Files were answered, changed or taken away."""
        with self._lock:
            known = [name for name in names if self._kept.files.pop(name, None) is not None]
            if known:
                self._write()

    def pause(self, since: str, detail: str) -> bool:
        """The disk is too full, or, with an empty ``since``, not any more; False when that is known already."""
        with self._lock:
            if bool(since) == bool(self._kept.paused_since):
                return False
            self._kept.paused_since, self._kept.paused_detail = since, detail
            # On a full disk this may fail as well: whoever looks is told by the log then.
            try:
                self._write()
            except OSError:
                if not since:
                    raise
            return True

    def _write(self) -> None:
        write(self._path, (json.dumps(asdict(self._kept), indent=1) + "\n").encode())


def _read(path: Path) -> _Kept:
    try:
        with path.open("rb") as file:
            # Cut, it is no JSON any more.
            tree: dict[str, Any] = json.loads(file.read(MAX_STATE_BYTES))
        files = {
            str(name): Held(
                state=str(each["state"]),
                since=str(each["since"]),
                reason=str(each["reason"]),
                detail=str(each["detail"]),
                seen=tuple(map(int, each["seen"])),  # type: ignore[arg-type]
            )
            for name, each in tree["files"].items()
        }
        wanted = {
            str(name): Wanted(
                origin=str(each["origin"]),
                record_id=str(each["record_id"]),
                revision=int(each["revision"]),
                place=int(each["place"]),
            )
            for name, each in tree.get("wanted", {}).items()
        }
        return _Kept(
            cursor=str(tree["cursor"]),
            paused_since=str(tree["paused_since"]),
            paused_detail=str(tree["paused_detail"]),
            files=files,
            wanted=wanted,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused([Problem("FOLDER_STATE", str(path), str(error)[:200])]) from None
