"""Comparing clocks: a peer tells its time in every hello and with every answer, and how far it is from ours is known.

An answer was made between the call and its arrival, so it shows between which two values the peer's lead lies. What
that does not decide is left as it was: a slow call is no wrong clock, and no proof of a right one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.flows.instants import is_instant, micros, micros_of
from exchange.flows.link.links import Links

CLOCK_SKEW = "CLOCK_SKEW"


class Clocks:
    """How far the peers' clocks are from ours.

    Args:
        links: Where the newest comparison is kept, for status.
        limit: Seconds beyond which two clocks differ too much.
        raise_: Opens the alarm.
        clear: Ends it.
    """

    def __init__(
        self,
        links: Links,
        limit: float,
        raise_: Callable[[str, str, str], None],
        clear: Callable[[str, str], None],
    ) -> None:
        self._links = links
        self._limit = limit
        self._raise = raise_
        self._clear = clear

    def compare(self, peer: str, told: Timestamp, asked: datetime, came: datetime) -> None:
        """Take up what time a peer told. From any thread; never blocks.

        Args:
            peer: Its name.
            told: Its time; not set by a node of an earlier edition.
            asked: Our time when we called it; for its own call, when that came.
            came: Our time when its time came.
        """
        if (not told.seconds and not told.nanos) or not is_instant(told) or came < asked:
            return
        at, link = micros_of(told), self._links.of(peer)
        least, most = (at - micros(came)) / 1e6, (at - micros(asked)) / 1e6
        if link.carried:
            # What travelled for long was written long ago; what seems to come from the future tells of a clock.
            least = most = max(0.0, least)
        ahead = min(max(0.0, least), most)  # of all that it can be, the nearest to none
        if abs(ahead) > self._limit:
            link.clock_skew = ahead
            self._raise(CLOCK_SKEW, peer, f"{ahead:+.0f} s")
        elif max(most, -least) <= self._limit:
            link.clock_skew = ahead
            self._clear(CLOCK_SKEW, peer)
