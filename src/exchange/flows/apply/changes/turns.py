"""How a key was announced: what the register of keys says beside the announcement itself."""

from __future__ import annotations

from enum import IntEnum


class Turn(IntEnum):
    """How a key was announced."""

    OWN_CARD = 0
    """Not a signing key: card, predecessor and officer decide."""
    FIRST = 1
    """The first signing key of the region that the logs tell of."""
    IN_TURN = 2
    """Named by the ACTIVE signing key."""
    OUT_OF_TURN = 3
    """Named by nobody who may."""
    UNPROVEN = 4
    """Whoever named it does not hold it."""
