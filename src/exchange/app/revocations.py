"""Revocation lists in the trust folder: noticed while the node runs, by what the file system says of each file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from exchange.crypto.x509.revocation import RevocationUnreadable
from exchange.flows.context import Node
from exchange.flows.trust.revocations import RevocationBook
from exchange.settings.trust_folder import OWN, read_file, revocation_files

log = structlog.get_logger("exchange.revocations")

EVERY_SECONDS = 1.0
"""How often the files are looked at: a stat of each. A revoked caller's streams end within five seconds."""

_Identity = tuple[int, int, int]


class RevocationFolder:
    """Offers each list of the trust folder to the book when its file is another one than before.

    Args:
        folder: The trust folder.
        node: The node.
        book: Takes lists.
        may_take: False while the journal must not grow; then the files are looked at again later.
    """

    def __init__(
        self, folder: Path, node: Node, book: RevocationBook, may_take: Callable[[], bool] = lambda: True
    ) -> None:
        self._folder = folder
        self._node = node
        self._book = book
        self._may_take = may_take
        self._seen: dict[Path, _Identity] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await asyncio.to_thread(self.look)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look reads again
                log.warning("crl.unread", error=type(error).__name__, detail=str(error)[:200])

    def look(self) -> None:
        """Look once: at the files, and at the age of what is held."""
        now = self._node.clock()
        if self._may_take():
            for folder, owner in ((OWN, self._node.name), *((peer, peer) for peer in self._node.peers.names())):
                for use, path in revocation_files(self._folder, folder).items():
                    self._look_at(owner, use, path)
        self._book.look(now)

    def _look_at(self, owner: str, use: str, path: Path) -> None:
        about = f"{path.parent.name}/{path.name}"
        try:
            stat = path.stat()
            identity = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._seen.get(path) == identity:
                return
            self._book.offer(owner, use, read_file(path), f"file {about}", self._node.clock())
        except (OSError, RevocationUnreadable) as error:
            # Looked at again at every turn: a file that is being written is whole a moment later.
            self._book.refused(about, str(error))
            return
        self._seen[path] = identity
        self._book.accepted(about)
