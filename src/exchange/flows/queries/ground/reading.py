"""What every query needs, and the rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.flows.access import AccessDenied, AgencyBook, Caller
from exchange.flows.context import Node
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.paging import Tokens
from exchange.flows.queries.ground.wording import Wording
from exchange.flows.readers import Readers
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import AreaLimit, RecordRow
from exchange.v1.common_pb2 import RecordRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: who, when, and in which language.

    Attributes:
        now: The one reading of the clock of this operation.
        still_served: Raises when the caller may not call any more; for what goes on longer than a call.
    """

    caller: Caller
    now: datetime
    words: Wording
    still_served: Callable[[], object] = lambda: None


class LogNames:
    """Origins of logs by their ids: given once and never changed, so each is read once."""

    def __init__(self) -> None:
        self._origins: dict[int, str] = {}

    def origin(self, connection: Connection, log_id: int) -> str:
        """The origin of a log that exists."""
        found = self._origins.get(log_id)
        if found is None:
            self._origins = records.origins(connection)
            found = self._origins[log_id]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What queries stand on."""

    node: Node
    book: AgencyBook
    freshness: FreshnessReader
    tokens: Tokens
    readers: Readers
    logs: LogNames = field(default_factory=LogNames)

    def allow(self, asked: Asked, row: RecordRow) -> None:
        """Let a single row be read.

        Raises:
            AccessDenied: No grant covers its kind and area.
        """
        if asked.caller.role is not Role.AGENCY:
            raise AccessDenied(Problem("ROLE_NOT_ALLOWED"))
        problem = self.book.may_read(asked.caller.name, row.kind, row.area, row.tombstone)
        if problem is not None:
            raise AccessDenied(problem)

    def area_limit(self, prefix: str) -> AreaLimit | None:
        """What a query tests for a prefix that the caller gave; None for an empty one.

        Raises:
            Refused: AREA_UNKNOWN.
        """
        if not prefix:
            return None
        if len(prefix) not in (2, 4, 6) or not (prefix.isascii() and prefix.isalnum()):
            raise Refused([Problem("AREA_UNKNOWN", "area", prefix[:8])])
        return AreaLimit(prefixes=(prefix,))


def record_id_of(ref: RecordRef, place: str) -> bytes:
    """The 16 bytes of a reference's record id.

    Raises:
        Refused: RECORD_REF_INVALID.
    """
    raw = raw_id(ref.record_id)
    if not raw or ref.revision < 0:
        raise Refused([Problem("RECORD_REF_INVALID", place, ref.record_id[:36])])
    return raw
