"""No process that a test started outlives the test run, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a child does before its program starts, so that the kernel signals it when this process dies; Linux only.

    For ``preexec_fn``: one call that is looked up before the fork, so it is safe beside threads.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number)

    return ask
