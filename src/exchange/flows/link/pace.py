"""How a lane goes about it: batches, waiting, and what status shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.v1.operation_service_pb2 import LaneState

FIRST_BATCH = 256
"""Entries of the first batch after a start or a fault: small enough to find out quickly."""

BATCH_BYTES = 3 << 20
"""Bytes of entries and bodies in one batch: leaves room below the protocol's 4 MiB."""

LATE_BYTES = 512 << 10
"""Bytes of late bodies that ride on one batch."""

MIN_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 30.0
"""Waiting between tries: exponential with jitter between these two, for ever."""

CONFIRM_SECONDS = 60.0
"""An idle lane shows its checkpoint again after this long: a small part of the limit beyond which data is stale."""

REFUSED_SECONDS = 1.0
"""Least waiting after a refusal: the same call will hardly fare better at once."""

FRUITLESS_ANSWERS = 3
"""Answers in a row that bring the lane no further before it waits: a peer that has been restored needs one or two."""

UNVERIFIABLE_NOTES = 3
"""Notes in a row without a valid cosignature before the lane stops: one may be a fault of the line."""

MAX_NOTES = 1_000
"""Cosigned notes given back in one call: about 400 kB, beside the batch."""

MAX_NOTE_BYTES = 20_000
"""Bytes of a refused note that are kept as evidence: ours and sixteen signatures are shorter."""

GATHER_SECONDS = 0.025
"""What comes within this time after a batch that took all there was goes into the next one: a call costs both sides
several milliseconds, whatever it carries."""

MAX_GATHER_SECONDS = 600.0
"""Longest gathering: with each batch that is under way it doubles, for a courier does not go for each."""

WAKE_SECONDS = 1.0
"""While a peer is away, new entries wake the loop at most this often: a peer that is down stays cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePace:
    """How a lane goes about it; the node file sets it.

    Attributes:
        first_batch: Entries of the first batch after a start or a fault.
        batch_bytes: Bytes of entries and bodies in one batch.
        retry_min: Shortest wait between tries, in seconds.
        retry_max: Longest one.
        confirm: Seconds after which an idle lane shows its checkpoint again.
        gather: Seconds between a batch that took all there was and the next one; the urgent lane does not wait.
        window: Batches that may be under way at once: more than one where an answer takes a journey.
    """

    first_batch: int = FIRST_BATCH
    batch_bytes: int = BATCH_BYTES
    retry_min: float = MIN_RETRY_SECONDS
    retry_max: float = MAX_RETRY_SECONDS
    confirm: float = CONFIRM_SECONDS
    gather: float = GATHER_SECONDS
    window: int = 1


@dataclass(slots=True)
class LaneView:
    """What status shows of a lane."""

    state: int = LaneState.LANE_STATE_WAITING
    last_error: str = ""
    detail: str = ""
    next_try: datetime | None = None
    tries: int = 0
