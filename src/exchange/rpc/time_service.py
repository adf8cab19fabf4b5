"""A time-stamping authority over HTTP (RFC 3161 section 3.4): one question, one bounded answer, within a time."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from exchange.domain.problems import ExchangeError

TIMEOUT_S = 10.0
"""Seconds to connect, and between two pieces of the answer: who is slower is away."""

MAX_ANSWER_BYTES = 64 << 10
"""Bytes of an answer that are read."""

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"


class TimeServiceAway(ExchangeError):
    """It does not answer, or not as RFC 3161 says."""

    reason = "TIMESTAMPS_AWAY"


class HttpTimeService:
    """Asks one authority. Redirections are not followed: whom we ask stands in the node file.

    Args:
        url: ``http://…`` or ``https://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def ask(self, request: bytes) -> bytes:
        """The answer's bytes, whatever they say.

        Raises:
            TimeServiceAway: No connection, no answer in time, another status than 200, another type, too long.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", self._path, body=request, headers={"Content-Type": QUERY, "Accept": REPLY})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise TimeServiceAway(f"HTTP {answer.status}")
            if answer.headers.get_content_type() != REPLY:
                raise TimeServiceAway("the answer is no time-stamp reply")
            body = answer.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise TimeServiceAway(f"{type(error).__name__} {error}"[:200]) from None
        finally:
            connection.close()
        if len(body) > MAX_ANSWER_BYTES:
            raise TimeServiceAway("the answer is too long")
        return body
