"""What an entry waits for whose signature is good and whose time is not proven."""

from __future__ import annotations

UNPROVEN = "TIME"
"""Its origin is asked to confirm the statement: the same bytes in a new envelope, under a key that is valid now."""

CONFIRMED = "CONFIRMED"
"""The confirmation is there: the entry, and the confirmation as its duplicate, are decided in one step."""
