"""A wire that leaves bodies out."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import DeliverRequest


class Withholding:
    """Leaves bodies out as long as it is told to; the entries pass.

    Args:
        withhold: Whether to leave out the body of an entry, by its index and what it says.
        late: Whether to leave it out, too, when it is offered once more.
    """

    def __init__(self, withhold: Callable[[int, Record], bool], *, late: bool = True) -> None:
        self.withhold = withhold
        self.late = late

    async def __call__(self, verb: str, request: Message) -> Message:
        """Passes a changed copy on."""
        if not isinstance(request, DeliverRequest):
            return request
        changed = DeliverRequest.FromString(request.SerializeToString())
        for at, body in enumerate(changed.bodies):
            if self.withhold(changed.start + at, Record.FromString(body.record)):
                body.Clear()
        kept = [
            late
            for late in changed.late_bodies
            if not self.late or not self.withhold(late.index, Record.FromString(late.body.record))
        ]
        del changed.late_bodies[:]
        changed.late_bodies.extend(kept)
        return changed
