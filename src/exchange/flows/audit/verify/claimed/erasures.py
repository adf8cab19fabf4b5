"""Bodies that are said to be erased, and the Erasures that name them: whoever took a body away has to name its cause.

Whatever erases (a repair, personal data, a period that is over) does so by an Erasure of the region that stated the
record, in its own logs; both nodes keep Erasures for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from exchange.domain.record_index import raw_id
from exchange.flows.audit.verify.claims import ClaimNo, Docket
from exchange.flows.audit.verify.keys.statements import Place
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Statement

_EVERY_REVISION = 1 << 31
"""More than any revision is."""


@dataclass(frozen=True, slots=True)
class ErasedBody:
    """An entry whose body is said to be erased.

    Attributes:
        node: Region that stated it.
        record_id: Sixteen bytes.
        place: The archive that says so, and the entry.
    """

    node: str
    record_id: bytes
    revision: int
    place: Place

    @classmethod
    def of(cls, node: str, statement: Statement, place: Place) -> ErasedBody:
        """That of an entry."""
        return cls(node, raw_id(statement.record_id), statement.revision, place)


@dataclass(slots=True)
class Erasures:
    """What Erasures name.

    Attributes:
        until: Last revision that is erased of a record, by the region that stated it and its id.
        unread: Erasures whose own bodies are not here: they may name anything.
    """

    until: dict[tuple[str, bytes], int] = field(default_factory=dict)
    unread: int = 0

    def take(self, node: str, body: bytes | None) -> None:
        """Take an Erasure in.

        Args:
            node: Region in whose log it stands: it erases what that region stated.
            body: Its body; None where it is not here, or not the one that was signed.
        """
        try:
            named = Record.FromString(body).erasure.record if body is not None else None
        except DecodeError:
            named = None
        if named is None:
            self.unread += 1
            return
        key = node, raw_id(named.record_id)
        # A revision is erased together with all before it; 0 stands for every one.
        self.until[key] = max(self.until.get(key, 0), named.revision or _EVERY_REVISION)

    def join(self, other: Erasures) -> None:
        """Take in what another part of the folder holds."""
        for key, revision in other.until.items():
            self.until[key] = max(self.until.get(key, 0), revision)
        self.unread += other.unread

    def names(self, erased: ErasedBody) -> bool:
        """Whether one names the record of that entry."""
        return erased.revision <= self.until.get((erased.node, erased.record_id), 0)


def judge(erased: list[ErasedBody], proven: Erasures, promised: Erasures, docket: Docket, *, whole: bool) -> None:
    """Every body that is said to be erased has an Erasure.

    Args:
        erased: What is said to be.
        proven: Of entries below the checkpoints.
        promised: Of those beyond.
        docket: Where it is written down.
        whole: Whether all logs are here, and readable: only then one that is not found does not exist.
    """
    no = ClaimNo.NONE_MISSING
    for each in erased:
        if proven.names(each):
            continue
        of = f"{each.place.log}#{each.place.index}"
        if promised.names(each):
            docket.lack(no, "CHECKPOINT", of)
        elif not whole or proven.unread or promised.unread:
            docket.lack(no, "ERASURE", of)
        else:
            docket.find(each.place.against(no, "ERASED_BY_NOBODY"))
