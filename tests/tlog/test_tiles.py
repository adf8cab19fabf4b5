"""C2SP tlog-tiles: which files a log has, how they are called, how entries lie in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tiles import Run


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (67, "067"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_numbers_are_spelled_as_the_specification_does(number: int, path: str) -> None:
    """Groups of three digits, all but the last behind an x."""
    assert tiles.number_path(number) == path
    assert tiles.parse_number(path) == number


def test_the_specification_s_example() -> None:
    """A tree of 70,000 entries has these tiles, and no others."""
    found = [tiles.tile_path(level, run) for level in tiles.levels(70_000) for run in tiles.runs(70_000 >> 8 * level)]
    assert found == [
        *(f"tile/0/{n:03d}" for n in range(273)),
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [tiles.bundle_path(run) for run in tiles.runs(70_000, 272)] == [
        "tile/entries/272",
        "tile/entries/273.p/112",
    ]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536])
def test_no_level_is_empty(size: int) -> None:
    """Each level has hashes, and the one above the highest has none."""
    assert all(tiles.hashes_at(size, level) for level in tiles.levels(size))
    assert not tiles.hashes_at(size, len(tiles.levels(size)))


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/1234", "tile/0/x000/001", "tile/0/x01/001", "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/08",
        "tile/8/001", "tile/entries/../001", "tile/0/٠٠١", "tile/00/001", "tile/0/001/", "/tile/0/001", "tile/0/001.p",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(path: str) -> None:
    """A file has one name."""
    with pytest.raises(LogFormatError):
        tiles.parse_path(path)


@given(st.integers(0, 2**55 - 1), st.integers(1, 256), st.one_of(st.none(), st.integers(0, 7)))
def test_names_come_back(number: int, width: int, level: int | None) -> None:
    """Every path reads as what it was made of."""
    run = Run(number, width)
    path = tiles.bundle_path(run) if level is None else tiles.tile_path(level, run)
    assert tiles.parse_path(path) == (level, run)


@given(st.lists(st.binary(max_size=70), max_size=40), st.data())
def test_bundles_come_back_or_are_refused(entries: list[bytes], data: st.DataObject) -> None:
    """Entries are read as they were packed; a bundle that is cut anywhere never gives the same entries."""
    packed = tiles.pack(entries)
    assert tiles.unpack(packed, len(entries)) == entries
    if packed:
        cut = data.draw(st.integers(0, len(packed) - 1))
        with pytest.raises(LogFormatError):
            tiles.unpack(packed[:cut], len(entries))


def test_what_does_not_fit_two_bytes_is_refused() -> None:
    """The largest entry has 65,535 bytes."""
    assert len(tiles.pack([bytes(65_535)])) == 65_537
    with pytest.raises(LogFormatError):
        tiles.pack([bytes(65_536)])
