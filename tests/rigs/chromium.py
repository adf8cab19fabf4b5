"""A real browser without a window: what a page shows, and what it looks like."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60.0


class ChromiumMissingError(Exception):
    """No browser is installed."""


@dataclass(frozen=True, slots=True)
class Chromium:
    """The browser.

    Attributes:
        program: Its command.
        profile: A folder for its files.
    """

    program: str
    profile: Path

    @classmethod
    def find(cls, profile: Path) -> Chromium:
        """The browser of this machine.

        Raises:
            ChromiumMissingError: There is none.
        """
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        if program is None:
            raise ChromiumMissingError("Debian's chromium")
        return cls(program, profile)

    def dom(self, page: Path) -> str:
        """The document as the browser holds it after loading, as HTML."""
        return self._run("--dump-dom", page).decode("utf-8")

    def picture(self, page: Path, target: Path) -> bytes:
        """A picture of the page's upper part, as PNG."""
        self._run(f"--screenshot={target}", page)
        return target.read_bytes()

    def _run(self, what: str, page: Path) -> bytes:
        command = [self.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={self.profile}", "--window-size=1100,1600", what, page.as_uri()]
        ran = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS)
        return ran.stdout
