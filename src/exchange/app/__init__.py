"""The only place where parts are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exchange.crypto.key_lock import KeyLock
    from exchange.settings import NodeSettings


def run(settings: NodeSettings, lock: KeyLock | None = None) -> int:
    """Run a node until it is told to stop; returns the exit status."""
    from exchange.app.process import run as serve  # noqa: PLC0415 - the command line starts without gRPC

    return serve(settings, lock)
