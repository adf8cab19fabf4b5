"""One outbound log and its mirror: what was cosigned is on both disks, in one order, and no two signed heads disagree.

Who holds a side's disk could have changed anything on it, but for what the other side's key signed. So each check is
of a signed head against a disk: what the head covers and the disk lacks was cut off, what hashes to another root was
exchanged, and two heads under one log key that no one tree satisfies are a fork.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.flows.audit.reconcile.reading import ReadLog
from exchange.flows.audit.verify.keys.believed import Keys
from exchange.tlog.checkpoint import Checkpoint

CLOCK_LIMIT_S: Final = 300
"""Seconds that two clocks may be apart: what is logged later than that after its cosignature is unproven, too."""


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head of a log.

    Attributes:
        shown_by: Name of the node whose folder shows it.
        cosigned_at: Unix time in seconds; None where the other side's signature is not there or does not verify.
    """

    note: bytes
    checkpoint: Checkpoint
    shown_by: str
    cosigned_at: int | None

    @property
    def size(self) -> int:
        """Entries that it covers."""
        return self.checkpoint.size


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What a signed head says, and a disk or another head does not.

    Attributes:
        code: ``TAIL_CUT``, ``ENTRIES_EXCHANGED`` or ``LOG_FORKED``.
        side: Node whose disk, or whose log, it is about.
        index: First entry that is not as the head says: the first one cut off, or the first one that differs.
        head: The head that shows it.
        against: The other head of a fork; None otherwise.
        tree: The side whose entries the proofs are made of; None where neither side's entries satisfy the head.
    """

    code: str
    side: str
    index: int
    head: Head
    against: Head | None = None
    tree: ReadLog | None = None


@dataclass(slots=True)
class LanePair:
    """An outbound log on its owner's disk, and its mirror on the other's; either may be missing.

    Attributes:
        origin: Of the log.
        owner: Node whose log it is.
        other: Node that mirrors it.
        heads: What either side shows, signed by the log's key, smallest first.
        unsigned: Notes that no believed key of the log signed.
        lacking: Names of keys of which none is believed: without them nothing is known of the log's heads. Of keys that
            took over from believed ones: both ids.
    """

    origin: str
    owner: str
    other: str
    own: ReadLog
    mirror: ReadLog
    heads: Sequence[Head] = ()
    unsigned: int = 0
    lacking: tuple[str, ...] = ()

    @property
    def cosigned(self) -> int:
        """Entries that the other side cosigned."""
        return max((head.size for head in self.heads if head.cosigned_at is not None), default=0)

    @property
    def longer(self) -> ReadLog:
        """The side that shows more entries."""
        return self.own if self.own.size >= self.mirror.size else self.mirror

    def add(self, shown_by: str, notes: Iterable[bytes], keys: Keys) -> None:
        """Take the notes that one side shows.

        Args:
            shown_by: The node.
            notes: Signed notes about this log.
            keys: Whose signatures count. That the other side cosigned is enough, whatever quorum a policy asks for.
        """
        heads = list(self.heads)
        for note in notes:
            seen = keys.look(note, self.origin)
            if seen is None or seen.signed is False:
                self.unsigned += 1
            elif seen.signed:
                heads.append(Head(note, seen.checkpoint, shown_by, seen.cosigned))
            if seen is not None:
                self.lacking = tuple(dict.fromkeys((*self.lacking, *seen.lacking, *seen.rotated)))
        self.heads = sorted(heads, key=lambda head: head.size)

    def contradictions(self) -> Iterator[Contradiction]:
        """Everything that a signed head proves against a disk or another head; of each sort the telling one."""
        sizes = {head.size for head in self.heads}
        roots = {self.owner: self.own.roots(sizes), self.other: self.mirror.roots(sizes)}
        disks = {self.owner: self.own, self.other: self.mirror}
        yield from self._forks(roots, disks)
        for side, disk in disks.items():
            # The owner signed every head; the other side only those that it cosigned.
            signed = [head for head in self.heads if side == self.owner or head.cosigned_at is not None]
            exchanged = next(
                (h for h in signed if h.size <= disk.size and roots[side][h.size] != h.checkpoint.root), None
            )
            if exchanged is not None:
                satisfying = self._satisfying(exchanged, roots, disks)
                at = satisfying.difference(disk) if satisfying is not None else None
                index = at if at is not None else self._last_sound(signed, exchanged, roots[side])
                yield Contradiction("ENTRIES_EXCHANGED", side, index, exchanged, tree=satisfying)
            beyond = signed[-1] if signed and signed[-1].size > disk.size else None
            if beyond is not None:
                yield Contradiction("TAIL_CUT", side, disk.size, beyond, tree=self._satisfying(beyond, roots, disks))

    def _satisfying(self, head: Head, roots: dict[str, dict[int, bytes]], disks: dict[str, ReadLog]) -> ReadLog | None:
        return next((disks[side] for side in disks if roots[side].get(head.size) == head.checkpoint.root), None)

    @staticmethod
    def _last_sound(signed: Sequence[Head], exchanged: Head, roots: dict[int, bytes]) -> int:
        """Size of the largest head before the exchanged one that the disk satisfies: it was changed behind it."""
        sound = [h.size for h in signed if h.size < exchanged.size and roots.get(h.size) == h.checkpoint.root]
        return max(sound, default=0)

    def _forks(self, roots: dict[str, dict[int, bytes]], disks: dict[str, ReadLog]) -> Iterator[Contradiction]:
        by_size: dict[int, Head] = {}
        for head in self.heads:
            known = by_size.setdefault(head.size, head)
            if known.checkpoint.root != head.checkpoint.root:
                yield Contradiction("LOG_FORKED", self.owner, head.size, known, head)
                return
        for side, disk in disks.items():
            sound = [head for head in self.heads if roots[side].get(head.size) == head.checkpoint.root]
            for head in self.heads:
                if roots[side].get(head.size, head.checkpoint.root) == head.checkpoint.root:
                    continue
                above = next((each for each in sound if each.size > head.size), None)
                if above is not None:
                    yield Contradiction("LOG_FORKED", self.owner, head.size, head, above, disk)
                    return

    def skew(self) -> tuple[int, Head] | None:
        """Most seconds by which the owner's clock was provably ahead of the other's, with the head that shows it.

        An entry is logged before it is cosigned, so a later logged time is the clocks' doing. What is earlier may have
        waited, and shows nothing.
        """
        worst: tuple[int, Head] | None = None
        for head in self.heads:
            if head.cosigned_at is None or not 0 < head.size <= self.longer.size:
                continue
            ahead = self.longer.logged[head.size - 1] // 1_000_000 - head.cosigned_at
            if worst is None or ahead > worst[0]:
                worst = (ahead, head)
        return worst
