"""Attachments between nodes: fetched after the mirror, piece by piece, and checked by the digests of the record.

The numbered walk of one attachment:
  1 missing   a record that was applied lists it, is not withheld, and its bytes are not here
  2 ask       the peer whose log lists it, for the piece that begins where ours ends
  3 store     the piece; a crash here or later goes on from its end
  4 verify    once all of it is there; what does not fit is thrown away whole, told, and asked for again later
Only whole, verified attachments are given to anybody. What a peer does not hold yet is asked for
again, ever less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node, Peer
from exchange.flows.events import ATTACHMENTS_LISTED
from exchange.flows.instants import micros
from exchange.flows.intake.attachments import store, verify
from exchange.flows.link.mirror import NotYourLogError
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import PART_BYTES, Missing, Piece
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import Attachment
from exchange.v1.kind_pb2 import Lane
from exchange.v1.relay_service_pb2 import FetchAttachmentRequest, FetchAttachmentResponse

log = structlog.get_logger("exchange.attachments")

AT_ONCE = 2
"""Attachments fetched from one peer at once: one more than a large one that is slow to come."""

LOOK_SECONDS = 10.0
"""How often a node looks for what is missing when nothing wakes it."""

LOOKED_AT = 64
"""Missing attachments that one look considers, the oldest first."""

AGAIN_SECONDS = 1.0
AGAIN_MOST_SECONDS = 60.0
"""When what a peer did not have is asked for again: at once after an upload, and seldom for what never comes."""

SPOILT = "ATTACHMENT_SPOILT"
"""Alarm: a peer sent bytes that are not what the record lists."""


def answer_attachment(node: Node, peer: Peer, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
    """A piece of an attachment that a record in a log between the two lists; not held where it is withheld.

    Raises:
        NotYourLogError: The log is neither ours towards the caller nor our mirror of the caller's.
    """
    limit = min(request.limit, PART_BYTES) if request.limit > 0 else PART_BYTES
    with node.database.read() as connection:
        source = log_store.head(connection, request.origin)
        if source is None or source.peer != peer.name or source.use not in ("outbound", "mirror"):
            raise NotYourLogError
        held = attachments.held(connection, request.digest)
        if (
            held is None
            or not held.complete
            or request.offset < 0
            or not attachments.listed_by(connection, source.id, request.index, request.digest)
        ):
            return FetchAttachmentResponse()
        content = attachments.read(connection, request.digest, request.offset, limit)
    return FetchAttachmentResponse(held=True, content=content)


@dataclass(slots=True)
class _Pause:
    """When something is tried again."""

    until: float = 0.0
    seconds: float = AGAIN_SECONDS

    def longer(self) -> None:
        self.until = time.monotonic() + self.seconds
        self.seconds = min(self.seconds * 2, AGAIN_MOST_SECONDS)


class AttachmentLoop:
    """Fetches from one peer what its records list, and what ours list and we lost.

    Args:
        node: The node.
        peer: Its name.
        port: The way there.
        allowed: Whether anything may be fetched now: not while the node fetches its own entries back.
        admit: Says for a lane why it takes nothing now (disk nearly full), or None.
        on_spoilt: Called with (where, reason) for bytes that are not what was listed, and with an empty reason once
            the right ones came.
    """

    def __init__(
        self,
        node: Node,
        peer: str,
        port: PeerPort,
        *,
        allowed: Callable[[], bool],
        admit: Callable[[int], Problem | None],
        on_spoilt: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._peer = peer
        self._port = port
        self._allowed = allowed
        self._admit = admit
        self._on_spoilt = on_spoilt
        self._pauses: dict[bytes, _Pause] = {}
        self._spoilt: set[str] = set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be gone while the node stops
                loop.call_soon_threadsafe(woken.set)

        end = self._node.events.listen(ATTACHMENTS_LISTED, wake)
        away = _Pause()
        try:
            while True:
                woken.clear()
                try:
                    await self.once()
                    away = _Pause()
                except (PeerAwayError, PeerRefusedError) as error:
                    log.info("attachments.away", peer=self._peer, reason=error.reason)
                    away.longer()
                except Exception as error:  # the loop outlives whatever a look raises
                    log.exception("attachments.failed", peer=self._peer, error=type(error).__name__)
                    away.longer()
                # Not wait_for: woken and cancelled at once, it would forget that it was cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rest(away)):
                        await woken.wait()
                await asyncio.sleep(max(away.until - time.monotonic(), 0.0))
        finally:
            end()

    def _rest(self, away: _Pause) -> float:
        now = time.monotonic()
        due = [pause.until for pause in self._pauses.values()]
        return max(min([*due, now + LOOK_SECONDS, *([away.until] if away.until > now else [])]) - now, 0.05)

    async def once(self) -> None:
        """Fetch everything that is missing and due.

        Raises:
            PeerAwayError: Not all of it, for the peer is away.
            PeerRefusedError: Or it refuses.
        """
        due = await asyncio.to_thread(self._due)
        for start in range(0, len(due), AT_ONCE):
            found = await asyncio.gather(
                *(self._fetch(each) for each in due[start : start + AT_ONCE]), return_exceptions=True
            )
            for result in found:
                if isinstance(result, BaseException):
                    raise result

    def _due(self) -> list[Missing]:
        # 1
        if not self._allowed() or self._admit(Lane.LANE_REGISTRY) is not None:
            return []
        with self._node.database.read() as connection:
            found = attachments.missing(connection, self._peer, LOOKED_AT)
        here = {each.digest for each in found}
        self._pauses = {digest: pause for digest, pause in self._pauses.items() if digest in here}
        now = time.monotonic()
        return [each for each in found if each.digest not in self._pauses or self._pauses[each.digest].until <= now]

    async def _fetch(self, wanted: Missing) -> None:
        listed = Attachment.FromString(wanted.listed)
        received = wanted.received
        while True:
            if received < listed.size:
                # 2
                request = FetchAttachmentRequest(
                    origin=wanted.origin, index=wanted.index, digest=wanted.digest, offset=received, limit=PART_BYTES
                )
                answer = await self._port.fetch_attachment(request)
                if not answer.held or not answer.content:
                    self._pauses.setdefault(wanted.digest, _Pause()).longer()
                    return
                content = answer.content[:PART_BYTES]
            else:
                content = b""  # all of it came before a crash, and was not looked at
            # 3, 4
            received, reason = await asyncio.to_thread(self._take, listed, received, content)
            where = f"{wanted.origin}#{wanted.index}"
            if reason:
                log.error("attachments.spoilt", where=where, reason=reason)
                self._on_spoilt(where, reason)
                self._spoilt.add(where)
                self._pauses.setdefault(wanted.digest, _Pause(seconds=AGAIN_MOST_SECONDS)).longer()
                return
            if received >= listed.size:
                self._pauses.pop(wanted.digest, None)
                if where in self._spoilt:
                    self._spoilt.discard(where)
                    self._on_spoilt(where, "")
                return

    def _take(self, listed: Attachment, offset: int, content: bytes) -> tuple[int, str]:
        piece = Piece(attachment=listed, offset=offset, content=content, agency="", at=micros(self._node.clock()))
        try:
            stored = store(self._node, piece)
        except Refused:
            return listed.size, ""  # erased meanwhile
        return stored.received, verify(self._node, stored, listed)
