"""The hashes of one log against one another: entries, tiles of every level, and the root of the checkpoint.

Of three that should agree (what lies below a tile, the tile, its hash one level up) the odd one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from exchange.tlog.tree import HASH_SIZE, Frontier

WIDTH = 256
"""Hashes in a full tile."""

ReadTile = Callable[[int, int, int], bytes | None]
"""A tile's bytes by level, number and width; None when it is not there. Asked for levels from 1 on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleHashes:
    """256 entries, or the last ones, against their tile of level 0.

    Attributes:
        number: Which.
        below: Root over the entries, when they are all there and in their form.
        tile: Root over the tile's hashes, when it is there and of the right size.
        differing: Positions within the tile whose entry has another hash.
        leaves: Hashes of the entries of the last, partial bundle; None where they are not all there.
        hashes: Hashes of its tile, likewise.
        digest: Of the bundle's file as it was read: whoever reads it again compares.
        bodies: Likewise of the bodies beside it (``ArchiveDigest``).
    """

    number: int
    below: bytes | None
    tile: bytes | None
    differing: tuple[int, ...] = ()
    leaves: tuple[bytes, ...] | None = None
    hashes: tuple[bytes, ...] | None = None
    digest: bytes = b""
    bodies: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """One place at which the hashes disagree.

    Attributes:
        what: ENTRY (what lies below the tile is wrong), TILE (a hash of the tile), TILE_MISSING, or ROOT.
        level: Level of the tile.
        number: Number of the tile.
        position: Which hash of it; 0 for ROOT and TILE_MISSING.
        found: What is there, as far as it is known.
        expected: What the others say.
    """

    what: str
    level: int
    number: int
    position: int = 0
    found: bytes = b""
    expected: bytes = b""


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Root over hashes of one level, the left ones in complete subtrees."""
    return Frontier().extend(hashes)[0].root()


def split(data: bytes) -> tuple[bytes, ...]:
    """A tile's hashes."""
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))


class TreeCheck:
    """The tree of one log.

    Args:
        size: Of the checkpoint.
        root: Of the checkpoint.
        read: Brings tiles from level 1 on.
    """

    def __init__(self, size: int, root: bytes, read: ReadTile) -> None:
        self._size = size
        self._root = root
        self._read = read
        self._edges: list[_Edge] = []
        self.holds = False
        """Whether entries or tiles lead to the root. False until ``findings`` has run."""

    def findings(self, bundles: Sequence[BundleHashes]) -> Iterator[Wrong]:
        """Every place at which the hashes disagree.

        Args:
            bundles: Every bundle in order, the partial one last.
        """
        full = self._size // WIDTH
        upper = self._tile(1, 0, full) if full else None
        row: list[bytes | None] = []
        for bundle in bundles[:full]:
            if full and bundle.number % WIDTH == 0:
                upper = self._tile(1, bundle.number // WIDTH, full)
            said = upper[bundle.number % WIDTH] if upper else None
            yield from self._judge(0, bundle.number, bundle.below, bundle.tile, said, bundle.differing)
            row.append(_agreed(bundle.below, bundle.tile, said))
        if self._size % WIDTH:
            last = bundles[full]
            self._edges.append(_Edge(0, full, last.leaves, last.hashes, last.differing))
            if last.hashes is None:
                yield Wrong(what="TILE_MISSING", level=0, number=full)
        yield from self._upwards(row)
        yield from self._edge()

    def _upwards(self, row: list[bytes | None]) -> Iterator[Wrong]:
        level = 1
        while row:
            above: list[bytes | None] = []
            full = len(row) // WIDTH
            for number in range(-(-len(row) // WIDTH)):
                below = row[number * WIDTH : (number + 1) * WIDTH]
                known = tuple(each for each in below if each is not None)
                whole = known if len(known) == len(below) else None
                hashes = self._tile(level, number, len(row))
                if hashes is None:
                    yield Wrong(what="TILE_MISSING", level=level, number=number)
                differing = tuple(
                    at for at, each in enumerate(below) if hashes and each is not None and each != hashes[at]
                )
                if number < full:
                    upper = self._tile(level + 1, number // WIDTH, full)
                    said = upper[number % WIDTH] if upper else None
                    one, other = (root_of(each) if each else None for each in (whole, hashes))
                    yield from self._judge(level, number, one, other, said, differing)
                    above.append(_agreed(one, other, said))
                else:
                    self._edges.append(_Edge(level, number, whole, hashes, differing))
            row = above
            level += 1

    def _tile(self, level: int, number: int, hashes: int) -> tuple[bytes, ...] | None:
        """A tile of a level that has so many hashes."""
        width = min(WIDTH, hashes - number * WIDTH)
        data = self._read(level, number, width)
        return split(data) if data is not None and len(data) == width * HASH_SIZE else None

    def _judge(
        self,
        level: int,
        number: int,
        below: bytes | None,
        tile: bytes | None,
        said: bytes | None,
        differing: Sequence[int],
    ) -> Iterator[Wrong]:
        if level == 0 and tile is None:
            yield Wrong(what="TILE_MISSING", level=0, number=number)
        if tile is None or below in (tile, None):
            # The tile against what stands above it is seen one level up, except that nothing else vouches for it.
            if below is None and tile is not None and said is not None and tile != said:
                yield Wrong(what="TILE", level=level, number=number, found=tile, expected=said)
            return
        what = "TILE" if said == below else "ENTRY"
        for position in differing:
            yield Wrong(what=what, level=level, number=number, position=position, found=tile, expected=below)

    def _edge(self) -> Iterator[Wrong]:
        """The partial tiles at the right edge have nothing above them but the root."""
        edges = sorted(self._edges, key=lambda edge: -edge.level)
        doubtful = [at for at, edge in enumerate(edges) if edge.below is None or edge.differing]
        for chosen in product((True, False), repeat=len(doubtful)):
            below = dict(zip(doubtful, chosen, strict=True))
            peaks = [edge.peaks(below=below.get(at, True)) for at, edge in enumerate(edges)]
            if any(each is None for each in peaks):
                continue
            hashes = tuple(peak for each in peaks if each is not None for peak in each)
            if Frontier(self._size, hashes).root() != self._root:
                continue
            self.holds = True
            for at in doubtful:
                what = "TILE" if below[at] else "ENTRY"
                for position in edges[at].differing:
                    yield Wrong(what=what, level=edges[at].level, number=edges[at].number, position=position)
            return
        for at in doubtful:
            for position in edges[at].differing:
                yield Wrong(what="ENTRY", level=edges[at].level, number=edges[at].number, position=position)
        if all(edge.peaks(below=True) or edge.peaks(below=False) for edge in edges):
            yield Wrong(what="ROOT", level=0, number=0, expected=self._root)


@dataclass(frozen=True, slots=True)
class _Edge:
    """A partial tile: what lies below it, and its hashes."""

    level: int
    number: int
    below: tuple[bytes, ...] | None
    hashes: tuple[bytes, ...] | None
    differing: tuple[int, ...]

    def peaks(self, *, below: bool) -> tuple[bytes, ...] | None:
        chosen = self.below if below else self.hashes
        return Frontier().extend(chosen)[0].hashes if chosen is not None else None


def _differing(below: Sequence[bytes | None], hashes: Sequence[bytes] | None) -> tuple[int, ...]:
    """Positions of a tile at which what lies below has another hash."""
    if hashes is None:
        return ()
    return tuple(at for at, each in enumerate(below) if each is not None and each != hashes[at])


def _agreed(below: bytes | None, tile: bytes | None, said: bytes | None) -> bytes | None:
    """What at least two of the three say; what is there where they do not."""
    if below is not None and below in (tile, said):
        return below
    if tile is not None and tile == said:
        return tile
    return below if below is not None else tile
