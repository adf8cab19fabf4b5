"""Dropped files: seen whole, submitted under keys that follow from them, answered, and moved beside the answer."""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.cli.folders.events import Events
from exchange.cli.folders.layout import Layout, write
from exchange.cli.folders.names import legal_name, passing, told_apart
from exchange.cli.folders.state import REFUSED, WAITING, Held, State
from exchange.cli.sending.answers import answer_document, sentence
from exchange.cli.sending.plan import ANSWER_INFIX
from exchange.domain.problems import Problem
from exchange.storage.files.spool import sync

if TYPE_CHECKING:
    from exchange.cli.sending.send import Sender
    from exchange.cli.sending.tally import FileResult

MAX_FILE_BYTES: Final = 1 << 30
"""Bytes of one file: a year of a big station's packets takes a tenth of it."""

_LATER: Final = {
    "OUTCOME_UNKNOWN", "CONTENDED", "RECOVERING", "TOO_MANY_CALLS", "TOO_MANY_RECORDS", "DISK_WATERMARK",
    "AWAITING_ACKNOWLEDGEMENT", "INTERNAL",
}  # fmt: skip
"""Reasons that say nothing about the row: the whole file is sent again, and rows that were taken answer as before."""

_REASON: Final = ".refused.txt"
"""Ends the name of the text that says why a file was refused."""

FIRST_PAUSE_S: Final = 4.0
"""Seconds until a file is sent again that could not be taken; doubled each time."""

LONGEST_PAUSE_S: Final = 120.0
"""Seconds between two tries at most."""

Seen = tuple[int, int, int]
"""Size, time of change and file number."""


@dataclass(slots=True)
class Drops:
    """Looks into ``drop/`` and handles what is whole."""

    layout: Layout
    state: State
    events: Events
    _before: dict[str, Seen] = field(default_factory=dict)
    _pauses: dict[str, tuple[float, float]] = field(default_factory=dict)

    def settled(self) -> list[tuple[Path, Seen]]:
        """Files that look as they did at the last look, oldest first; what was refused and is unchanged is left out."""
        now = self._look()
        whole = [name for name, seen in now.items() if self._before.get(name) == seen]
        known = self.state.files
        gone = [
            name
            for name, held in known.items()
            if name not in now or (held.state == REFUSED and held.seen != now[name])
        ]
        for name in gone:
            self._reason_file(name).unlink(missing_ok=True)
        self.state.forget(*gone)
        self._before = now
        held = {name for name, each in known.items() if each.state == REFUSED and name not in gone}
        self._pauses = {name: pause for name, pause in self._pauses.items() if name in now}
        held |= {name for name, (until, _) in self._pauses.items() if time.monotonic() < until}
        return sorted(
            ((self.layout.drop / name, now[name]) for name in whole if name not in held),
            key=lambda each: (each[1][1], each[0].name),
        )

    def reasons(self) -> set[str]:
        """Names in ``results/`` of the reasons why files are still in ``drop/``."""
        return {self._reason_file(name).name for name in self.state.files}

    def handle(self, path: Path, seen: Seen, sender: Sender) -> bool:
        """Submit one file and write its answer; False when it has to be sent again later.

        Raises:
            OSError: The answer can not be written; the file is still in ``drop/``.
        """
        name = path.name
        wrong = _unsendable(name, seen)
        if wrong is not None:
            self._refuse(name, seen, (wrong,))
            return True
        try:
            with path.open("rb") as file:
                mark = told_apart(name, file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return True
        result = sender.send(path)
        problem = _passing(result)
        if problem is not None:
            pause = min(2 * self._pauses.get(name, (0.0, FIRST_PAUSE_S / 2))[1], LONGEST_PAUSE_S)
            self._pauses[name] = (time.monotonic() + pause, pause)
            if self.state.hold(name, Held(state=WAITING, since=_now(), reason=problem.reason, detail=problem.detail)):
                self.events.waits(name, problem)
            return False
        if _seen(path) != seen:
            return False  # changed while it was sent: what it is now is another file, which gets an answer of its own
        if result.refused:
            self._refuse(name, seen, result.refused)
            return True
        self._finish(path, seen, mark, result)
        return True

    def _finish(self, path: Path, seen: Seen, mark: str, result: FileResult) -> None:
        stem = f"{path.stem}.{mark}"
        ending, content = answer_document(path, result)
        write(self.layout.results / legal_name(stem, f"{ANSWER_INFIX}{ending}"), content)
        target = self.layout.results / legal_name(stem, path.suffix)
        taken = self.layout.taken / path.name
        if taken.exists():
            return  # an earlier one of that name could not be put back: that first
        path.rename(taken)
        if _seen(taken) != seen:
            # Written over in the last moment: not what was sent.
            self.layout.put_back()
            return
        taken.rename(target)
        sync(self.layout.results)
        sync(self.layout.drop)
        self._reason_file(path.name).unlink(missing_ok=True)
        self.state.forget(path.name)
        self.events.answered(path.name, target.name, dict(result.counts))

    def _refuse(self, name: str, seen: Seen, problems: tuple[Problem, ...]) -> None:
        text = "\n".join(sentence(problem) for problem in problems) + "\n"
        # With a byte order mark, as the officer's editor expects it.
        write(self._reason_file(name), text.encode("utf-8-sig", "replace"))
        first = problems[0]
        held = Held(state=REFUSED, since=_now(), reason=first.reason, detail=first.detail, seen=seen)
        if self.state.hold(name, held):
            self.events.refused(name, first)

    def _reason_file(self, name: str) -> Path:
        plain = legal_name(name, _REASON)
        # Two names that are one after they were made legal stay two.
        return self.layout.results / (
            plain if plain == name + _REASON else legal_name(f"{name}.{told_apart(name, '')}", _REASON)
        )

    def _look(self) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        for path in self.layout.drop.iterdir():
            seen = None if passing(path.name) else _seen(path)
            if seen is not None:
                found[path.name] = seen
        return found


def _seen(path: Path) -> Seen | None:
    """How a plain file looks; None for what is none: links are not followed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _unsendable(name: str, seen: Seen) -> Problem | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return Problem("FILE_TYPE", ascii(name))
    return Problem("DOCUMENT_TOO_LARGE", name, f"{seen[0]} > {MAX_FILE_BYTES}") if seen[0] > MAX_FILE_BYTES else None


def _passing(result: FileResult) -> Problem | None:
    """Why a file has to be sent again; None when it was answered or refused for good."""
    if result.away:
        return Problem("NODE_AWAY", "")
    if result.later:
        return result.refused[0]
    problems = [problem for row in result.rows if row.result == "REFUSED" for problem in row.problems]
    return next((problem for problem in problems if problem.reason in _LATER), None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
