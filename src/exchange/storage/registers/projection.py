"""The edition of the projection: by which code, and into which columns, apply folds logs into registers.

The journal has it before a step names it, so that whoever walks the steps with another program knows that he does.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from exchange.storage.registers.canonical import REGISTERS

PROJECTION: Final = "PROJECTION"
"""What an ``Activated`` line, and an edition of a step, that names it is about."""

NAME: Final = "1"
"""Raised with every change of apply that gives another row for the same entries; columns tell themselves. A recorded
history (``tests/recorded``) fails where it was forgotten."""


def _described() -> bytes:
    lines = [f"projection {NAME}"]
    for name, table in sorted(REGISTERS.items()):
        lines += [
            f"{name} {column.name} {column.type.python_type.__name__}{' key' if column.primary_key else ''}"
            for column in table.columns
        ]
    return "\n".join([*lines, ""]).encode()


CONTENT: Final = _described()
"""Its name and every column of every register, a line each."""

DIGEST: Final = sha256(CONTENT).hexdigest()
"""What names it in steps."""
