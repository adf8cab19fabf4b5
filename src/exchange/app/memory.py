"""Giving memory back: what a burst of large messages took returns to the system soon after."""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import suppress

GIVE_BACK_S = 15.0
"""Seconds between two times: well within the minute after which a node under attack is to be as it was."""


def give_back() -> None:
    """Have the C library return what it keeps free; nothing where it is another one than glibc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def keep_giving_back() -> None:
    """Give memory back now and then, until cancelled."""
    while True:
        await asyncio.sleep(GIVE_BACK_S)
        await asyncio.to_thread(give_back)
