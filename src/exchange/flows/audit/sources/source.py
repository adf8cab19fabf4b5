"""Where logs are read for a walk: a folder that was exported, or a node's own database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLog:
    """One log of a source.

    Attributes:
        number: The node's number of the log: registers name it by that.
        use: ``outbound``, ``mirror``, ``local`` or ``journal``.
        proven: Entries below the last cosigned or witnessed checkpoint.
        size: All entries, with those beyond it.
    """

    number: int
    origin: str
    use: str
    peer: str
    lane: int
    epoch: int
    retired: bool
    proven: int
    size: int


# Not frozen: a frozen one takes four times as long to make, and one is made for every entry.
@dataclass(slots=True)
class SourceEntry:
    """One entry.

    Attributes:
        salt: None where the source has no body.
        body: Likewise.
        absent: Why it has none, where the source says so: ``ERASED``, ``MISSING``, ``WITHHELD``, ``OUT_OF_SCOPE``.
    """

    index: int
    entry: bytes
    salt: bytes | None
    body: bytes | None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class SourceStamp:
    """A time stamp.

    Attributes:
        size: Of the checkpoint.
        note: The very note that was stamped.
        token: The answer of the service, DER.
    """

    size: int
    note: bytes
    token: bytes


class Part(Protocol):
    """Some entries of a log, which any process can read by itself."""

    def read(self, limit: int) -> PartRead:
        """The entries in order."""
        ...


class PartRead(NamedTuple):
    """What was read of a part.

    Attributes:
        rest: Index of the first entry that was left off, because they have more bytes than were asked for; or None.
    """

    entries: list[SourceEntry]
    rest: int | None = None


@runtime_checkable
class Apart(Protocol):
    """A source whose logs can be read by other processes."""

    def parts(self, log: SourceLog, start: int) -> Iterator[Part]:
        """What is proven of a log from ``start`` on, in parts of some hundred entries."""
        ...


class Source(Protocol):
    """Logs of one node. What it holds may grow between calls; it never takes back what it gave."""

    @property
    def node(self) -> str:
        """Name of the node."""
        ...

    @property
    def domain(self) -> str:
        """Domain of its origins."""
        ...

    def logs(self) -> list[SourceLog]:
        """Every log, in order of number."""
        ...

    def entries(self, log: SourceLog, start: int) -> Iterator[SourceEntry]:
        """Entries from ``start`` to the log's size, in order."""
        ...

    def notes(self, log: SourceLog, above: int) -> Iterator[bytes]:
        """Its stored cosigned notes of sizes beyond ``above``, smallest first."""
        ...

    def leaves(self, log: SourceLog, start: int) -> Iterator[tuple[int, bytes]]:
        """Of a journal: the digest leaves that were kept beside its steps, from an index on."""
        ...

    def stamps(self, log: SourceLog) -> Iterator[SourceStamp]:
        """The time stamps of its checkpoints, smallest first, unverified."""
        ...

    def attachment(self, digest: bytes) -> bytes | None:
        """The bytes of an attachment by the first digest that its record lists, unverified; None where it has none."""
        ...
