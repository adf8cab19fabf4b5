"""Looking for bytes in files as they lie on disk: tables, freed pages, write-ahead logs, what else lies there."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from exchange.domain.problems import Problem, Refused

CHUNK_BYTES = 8 << 20
"""Bytes read at a time."""

OVERLAP_BYTES = 4_096
"""Bytes of a chunk that are looked at again with the next one: longer than any needle."""

PIECE_BYTES = 48
"""Bytes of one piece of a body: short enough that one lies whole between the borders of SQLite's pages, long enough
that it stands in no other record by chance."""

MAX_PIECES = 32
"""Pieces of one body: each is a pass over every file."""

MAX_BEHIND = 4
"""Bytes before a record's id at the begin of its body: a field's tag, and a length of at most three."""

_HEADER = re.compile(rb"\x0a(?:[\x00-\x7f]|[\x80-\xff]{1,2}[\x00-\x7f])\Z", re.DOTALL)

MAX_FINDS = 100
"""Finds that are told of each needle: more say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """Bytes that must not be there.

    Attributes:
        name: What they are, in words without the bytes themselves.
        exact: Any of these.
        behind: What stands right before them, where that is asked for.
    """

    name: str
    exact: tuple[bytes, ...]
    behind: re.Pattern[bytes] | None = None

    def places(self, window: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of each in some bytes."""
        for each in self.exact:
            at = window.find(each)
            while at >= 0:
                start = at
                if self.behind is not None:
                    before = self.behind.search(window[max(0, at - MAX_BEHIND) : at])
                    start = -1 if before is None else at - len(before.group())
                if start >= 0:
                    yield start, at + len(each)
                at = window.find(each, at + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """Where a needle is."""

    needle: str
    file: Path
    byte: int


def body_head(record_id: str) -> Needle:
    """How the body of a record begins, whatever it says: its header, and first in it the record's own id.

    What refers to the record names it in another field, and does not match.
    """
    field = b"\x0a" + bytes([len(record_id)]) + record_id.encode()
    return Needle(name="BODY_HEAD", exact=(field,), behind=_HEADER)


def pieces_of(body: bytes) -> tuple[bytes, ...]:
    """Pieces of a body, spread over all of it: a copy of a part is found by those that lie in it."""
    last = max(0, len(body) - PIECE_BYTES)
    step = max(PIECE_BYTES // 2, last // MAX_PIECES)
    whole = [body[start : start + PIECE_BYTES] for start in range(0, last + 1, step)]
    return tuple(dict.fromkeys(piece for piece in whole if len(piece) >= PIECE_BYTES // 2))


def scan(files: Sequence[Path], needles: Sequence[Needle]) -> Iterator[Find]:
    """Every place where a needle is, by file and byte; memory stays flat whatever the size of a file."""
    for path in files:
        counts = dict.fromkeys((needle.name for needle in needles), 0)
        with path.open("rb") as file:
            start, kept = 0, b""
            while chunk := file.read(CHUNK_BYTES):
                window = kept + chunk
                base = start - len(kept)
                # What ended within the part that comes again was told with the chunk before.
                for needle in needles:
                    for begin, end in needle.places(window):
                        if end > len(kept) and counts[needle.name] < MAX_FINDS:
                            counts[needle.name] += 1
                            yield Find(needle=needle.name, file=path, byte=base + begin)
                start += len(chunk)
                kept = window[-OVERLAP_BYTES:]


def files_below(folder: Path) -> list[Path]:
    """Every regular file below a folder, sorted; links are not followed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A SQLite file after everything that is not a live row was written over.

    Attributes:
        secure_delete: The library overwrites what it deletes.
        free_pages: Pages that belong to nothing.
        wal_bytes: Bytes in the write-ahead log.
    """

    secure_delete: bool
    free_pages: int
    wal_bytes: int

    @property
    def whole(self) -> bool:
        """Nothing but live rows is in the files."""
        return self.secure_delete and self.free_pages == 0 and self.wal_bytes == 0


def clean(path: Path) -> Cleaned:
    """Empty the write-ahead log, write the database anew from its live rows, and empty the log again.

    The node must not run. A crash leaves the database as it was, or cleaned.

    Raises:
        Refused: ``DATABASE_IN_USE``: another process has it open; ``DATABASE_ERROR``: no room for a second copy, …
    """
    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute("PRAGMA secure_delete=ON").fetchall()
            _truncate(connection, path)
            connection.execute("VACUUM")
            _truncate(connection, path)
            secure = connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            wal = Path(f"{path}-wal")
            return Cleaned(secure_delete=secure, free_pages=free, wal_bytes=wal.stat().st_size if wal.exists() else 0)
    except sqlite3.OperationalError as error:
        raise Refused([Problem("DATABASE_ERROR", str(path), str(error))]) from error


def _truncate(connection: sqlite3.Connection, path: Path) -> None:
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise Refused([Problem("DATABASE_IN_USE", str(path))])
