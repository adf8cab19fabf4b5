"""Where the passphrase of the key files comes from, as the node file may say it. Never the passphrase itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LEAST_DESCRIPTOR: Final = 3
"""0 to 2 are input, output and errors."""

_DESCRIPTOR: Final = re.compile(r"[1-9][0-9]{0,2}")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseSource:
    """A source.

    Attributes:
        scheme: ``file``, ``fd``, ``credential`` or ``prompt``.
        path: The file; None otherwise.
        name: Number of the descriptor, or name of the systemd credential.
    """

    scheme: str
    path: Path | None = None
    name: str = ""

    def __str__(self) -> str:
        return self.scheme if self.scheme == "prompt" else f"{self.scheme}:{self.path or self.name}"


def read_passphrase_source(text: str) -> PassphraseSource:
    """Read ``file:PATH``, ``fd:NUMBER``, ``credential:NAME`` or ``prompt``.

    Raises:
        ValueError: Another form. What the text says is not repeated: it may be a passphrase.
    """
    scheme, _, rest = text.partition(":")
    if text == "prompt":
        return PassphraseSource(scheme=scheme)
    if scheme == "file" and rest:
        return PassphraseSource(scheme=scheme, path=Path(rest))
    if scheme == "fd" and _DESCRIPTOR.fullmatch(rest) and int(rest) >= LEAST_DESCRIPTOR:
        return PassphraseSource(scheme=scheme, name=rest)
    if scheme == "credential" and _CREDENTIAL.fullmatch(rest):
        return PassphraseSource(scheme=scheme, name=rest)
    raise ValueError(f"must be file:PATH, fd:NUMBER from {LEAST_DESCRIPTOR}, credential:NAME or prompt")
