"""A node as it is, but for dying by SIGKILL at one moment of a rotation's step.

``python -m tests.processes.dying_node NODE.toml``. Which moment stands in the file ``die-at`` beside the node file, as
``STEP MOMENT``. The file goes as the node dies, so that the next start goes through.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from exchange.app.process import run
from exchange.flows.rotation.driver import KeyDriver
from exchange.flows.rotation.steps import RotationFlow
from exchange.settings import load
from exchange.v1.rotation_pb2 import Rotation, RotationStep, RotationStepped

FILE = "die-at"


class Moment(StrEnum):
    """How far a step has come."""

    FILES = "FILES"
    """Keys and requests are on disk, nothing is journaled: the step is not taken."""
    JOURNALED = "JOURNALED"
    """The transaction is committed, and the process has not taken it up."""
    HALF = "HALF"
    """Of the files that follow from it the first is in its place."""
    DONE = "DONE"
    """Everything is done, and nobody was answered."""


class Death:
    """Ends the process at the moment that the file names."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._following = threading.local()

    def at(self, step: str, moment: Moment) -> None:
        """A moment has come."""
        if self._file.exists() and self._file.read_text() == f"{step} {moment}":
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def prepare(self) -> None:
        """Have every step, and every file that follows from one, tell its moments."""
        commit, replace = RotationFlow._commit, Path.replace
        death = self

        class Told:
            """A driver whose ``follow`` tells its moments."""

            def __init__(self, driver: KeyDriver, step: str) -> None:
                self._driver, self._step = driver, step

            def follow(self, rotation: Rotation) -> None:
                """As the driver does."""
                death.at(self._step, Moment.JOURNALED)
                death._following.step = self._step
                self._driver.follow(rotation)
                death._following.step = ""

        def told(
            flow: RotationFlow,
            driver: KeyDriver,
            rotation: Rotation | None,
            steps: Sequence[RotationStepped],
            append: Any,
            now: datetime,
        ) -> Rotation:
            step = RotationStep.Name(steps[0].step).removeprefix("ROTATION_STEP_")
            death.at(step, Moment.FILES)
            taken = commit(flow, Told(driver, step), rotation, steps, append, now)  # type: ignore[arg-type]
            death.at(step, Moment.DONE)
            return taken

        def replaced(path: Path, target: Any) -> Path:
            made = replace(path, target)
            death.at(getattr(death._following, "step", ""), Moment.HALF)
            return made

        setattr(RotationFlow, "_commit", told)  # noqa: B010 - mypy knows no assignment to a method
        setattr(Path, "replace", replaced)  # noqa: B010


if __name__ == "__main__":
    node_file = Path(sys.argv[1])
    Death(node_file.with_name(FILE)).prepare()
    sys.exit(run(load(node_file)))
