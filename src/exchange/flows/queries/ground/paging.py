"""Opaque tokens for pages and watch cursors: authenticated, and good only for the question that they came from."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from exchange.domain.problems import Problem, Refused

MAX_PAGE = 500
"""Most rows of one page (contract §5)."""

DEFAULT_PAGE = 100
"""Rows of a page when the caller does not say."""

MAX_TOKEN = 2_048
"""Characters of a token: a cursor names one position for each log, at most a few dozen."""

_TAG_SIZE = 16


def page_size(asked: int) -> int:
    """Rows to return.

    Raises:
        Refused: PAGE_SIZE.
    """
    if not 0 <= asked <= MAX_PAGE:
        raise Refused([Problem("PAGE_SIZE", "page_size", str(asked))])
    return asked or DEFAULT_PAGE


class Tokens:
    """Makes and reads tokens.

    Args:
        secret: Secret of the node; the same one after a restart.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"page and cursor tokens", "sha256")

    def make(self, question: str, position: Any) -> str:
        """A token for a position, which is anything that JSON can hold."""
        content = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._tag(question, content) + content).decode().rstrip("=")

    def read(self, question: str, token: str, *, reason: str = "PAGE_TOKEN", place: str = "page_token") -> Any:
        """The position of a token; None for an empty one.

        Raises:
            Refused: Not one of ours, or from another question.
        """
        if not token:
            return None
        refused = Refused([Problem(reason, place)])
        if len(token) > MAX_TOKEN or not token.isascii():
            raise refused
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise refused from None
        tag, content = raw[:_TAG_SIZE], raw[_TAG_SIZE:]
        if not hmac.compare_digest(tag, self._tag(question, content)):
            raise refused
        return json.loads(content)

    def _tag(self, question: str, content: bytes) -> bytes:
        named = question.encode()
        return hmac.digest(self._key, len(named).to_bytes(4, "big") + named + content, "sha256")[:_TAG_SIZE]
