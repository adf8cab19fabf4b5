"""What one ``Deliver`` may hold (architecture §3): known to both sides, and checked before anything is read."""

from exchange.domain.problems import Problem, Refused
from exchange.flows.intake.seal import MAX_BODY_BYTES, MAX_ENTRY_BYTES
from exchange.v1.relay_service_pb2 import DeliverRequest

MAX_ENTRIES = 4_096
"""Protocol constant: entries of one call."""

MAX_BYTES = 4 << 20
"""Protocol constant: bytes of the entries and bodies of one call."""

MAX_LATE_BODIES = 256
"""Bodies of earlier entries in one call: bounds what is compared with the disk before the answer."""


def check_limits(request: DeliverRequest) -> None:
    """Whether the sizes of a call agree with each other and stay within the protocol's.

    Raises:
        Refused: They do not; each limit that is passed is named with its field.
    """
    problems = []
    if request.start < 0 or len(request.entries) > MAX_ENTRIES:
        problems.append(Problem("TOO_MANY_ENTRIES", "entries", str(len(request.entries))))
    if len(request.bodies) != len(request.entries):
        problems.append(Problem("SIZE_MISMATCH", "bodies", str(len(request.bodies))))
    if any(len(entry) > MAX_ENTRY_BYTES for entry in request.entries):
        problems.append(Problem("ENTRY_TOO_LARGE", "entries"))
    if any(len(body.record) > MAX_BODY_BYTES for body in request.bodies):
        problems.append(Problem("BODY_TOO_LARGE", "bodies"))
    if any(len(late.body.record) > MAX_BODY_BYTES for late in request.late_bodies):
        problems.append(Problem("BODY_TOO_LARGE", "late_bodies"))
    if len(request.late_bodies) > MAX_LATE_BODIES:
        problems.append(Problem("TOO_MANY_ENTRIES", "late_bodies", str(len(request.late_bodies))))
    size = sum(len(entry) for entry in request.entries)
    size += sum(len(body.record) + len(body.salt) for body in request.bodies)
    size += sum(len(late.body.record) + len(late.body.salt) for late in request.late_bodies)
    if size > MAX_BYTES:
        problems.append(Problem("MESSAGE_TOO_LARGE", "entries", f"{size} > {MAX_BYTES}"))
    if problems:
        raise Refused(problems)
