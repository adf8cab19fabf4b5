"""Takes away what has lain in ``results/`` and ``arrivals/`` for longer than an office wants to keep it there."""

from __future__ import annotations

import stat
from collections.abc import Collection
from datetime import datetime, timedelta

from exchange.cli.folders.layout import Layout
from exchange.storage.files.spool import PART, sync


def prune(layout: Layout, keep: timedelta, now: datetime, spared: Collection[str]) -> int:
    """Remove plain files that came there before ``now - keep``.

    A file that was answered came there when it was moved, whenever its content was last changed. Folders, links and
    hidden files are not ours to remove. What is gone is with the node still, and is not written again.

    Args:
        layout: The folders.
        keep: How long a file stays.
        now: Aware instant.
        spared: Names in ``results/`` that stay: reasons of files that are still in ``drop/``.

    Returns:
        How many files were removed.

    Raises:
        OSError: One can not be removed.
    """
    limit = (now - keep).timestamp()
    removed = 0
    for folder in (layout.results, layout.arrivals):
        count = removed
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.endswith(PART):
                continue
            if folder == layout.results and path.name in spared:
                continue
            try:
                seen = path.lstat()
            except FileNotFoundError:
                continue
            # A move keeps the time of the content; only the time of change of the file itself tells it.
            if stat.S_ISREG(seen.st_mode) and max(seen.st_mtime, seen.st_ctime) < limit:
                path.unlink(missing_ok=True)
                removed += 1
        if removed > count:
            sync(folder)
    return removed
