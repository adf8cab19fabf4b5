"""Processes that look at parts of a folder. What they are given and give back is small; each reads the disk itself."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.processes import in_order, pool
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.keys.signatures import SignatureResult, check_signatures, find_again
from exchange.flows.audit.verify.keys.statements import Announced, Answered, MirroredTimes, SigningKeys
from exchange.flows.audit.verify.material.disk import Material
from exchange.flows.audit.verify.parts import (
    NotesResult,
    PartResult,
    check_notes,
    read_bundles,
)

BUNDLES: Final = 8
"""Bundles that a process takes at once: 2,048 entries, some tenths of a second."""

AHEAD: Final = 4
"""Parts for each process that wait or are done and not yet taken: so much is in memory."""

_T = TypeVar("_T")


class Crew:
    """Processes, or this one alone.

    Args:
        jobs: How many.
    """

    def __init__(self, jobs: int) -> None:
        self._stack = ExitStack()
        self._ahead = AHEAD * jobs
        self._pool = self._stack.enter_context(pool(jobs)) if jobs > 1 else None

    def __enter__(self) -> Self:
        disk_of.cache_clear()  # the folder may have changed since this process looked at it
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def map(self, work: Callable[[Any], _T], parts: Iterable[Any]) -> Iterator[_T]:
        """Results in the order of the parts."""
        if self._pool is None:
            yield from map(work, parts)
        else:
            yield from in_order(self._pool, work, parts, self._ahead)


@dataclass(frozen=True, slots=True)
class Part:
    """Some bundles of a log, or one tar of its notes.

    Attributes:
        numbers: Which.
        node: Whose folder it is.
    """

    folder: Path
    log: LogAbout
    numbers: tuple[int, ...]
    node: str = ""


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Some bundles of a log, with when they were mirrored and by what their signatures are judged (``context``).

    Attributes:
        digests: Of the bundles as they were read before.
    """

    part: Part
    times: MirroredTimes
    context: bytes
    digests: tuple[bytes, ...]
    sought: bytes = b""
    """Digests of statements to be found again, one behind the other."""


@dataclass(frozen=True, slots=True)
class NotesPart:
    """A tar of notes, and whose keys count."""

    part: Part
    believed: Believed


def context_of(believed: Believed, announced: Iterable[Announced], answered: Iterable[Answered]) -> bytes:
    """What signatures are judged by, in one piece."""
    return pickle.dumps((believed, tuple(announced), tuple(answered)))


@lru_cache(1)
def disk_of(folder: Path) -> Material:
    """The folder, opened once in a process."""
    return Material(folder)


@lru_cache(1)
def _keys_of(context: bytes) -> SigningKeys:
    # Written by ``context_of`` in the process that started this.
    believed, announced, answered = pickle.loads(context)  # noqa: S301
    return SigningKeys(believed, announced, answered)


@lru_cache(1)
def _digests(joined: bytes) -> frozenset[bytes]:
    size = sha256().digest_size
    return frozenset(joined[at : at + size] for at in range(0, len(joined), size))


def read_part(part: Part) -> PartResult:
    """``parts.read_bundles`` in whichever process."""
    return read_bundles(disk_of(part.folder), part.log, part.numbers, part.node)


def sign_part(signed: SignedPart) -> SignatureResult:
    """``signatures.check_signatures`` in whichever process."""
    part = signed.part
    disk, keys = disk_of(part.folder), _keys_of(signed.context)
    return check_signatures(disk, part.log, part.numbers, keys, signed.times, signed.digests)


def again_part(signed: SignedPart) -> set[bytes]:
    """``signatures.find_again`` in whichever process."""
    part = signed.part
    disk, keys = disk_of(part.folder), _keys_of(signed.context)
    return find_again(disk, part.log, part.numbers, keys, signed.times, signed.digests, _digests(signed.sought))


def note_part(noted: NotesPart) -> NotesResult | None:
    """``parts.check_notes`` in whichever process."""
    part = noted.part
    return check_notes(disk_of(part.folder), part.log, part.numbers[0], noted.believed)
