"""Names in a watched folder: legal wherever an office keeps its files."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.folders.names import MAX_NAME_BYTES, legal_name, passing
from tests.cli.conftest import run

ANY = st.text(st.characters(exclude_categories=())) | st.text('<>:"/\\|?*. \x00\x1fAZaz09水', max_size=300)
DEVICES = st.sampled_from(["CON", "prn", "Aux", "NUL", "com1", "LPT9", "COM²", "CONIN$"])


@given(stem=ANY | DEVICES, ending=ANY | st.sampled_from([".xlsx", ".answer.csv", ""]))
def test_every_name_is_legal_on_ntfs(stem: str, ending: str) -> None:
    """No forbidden character, no device, no point or space at the end, short enough, not hidden, and never empty."""
    name = legal_name(stem, ending)
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(ord(each) < 32 or ord(each) == 127 for each in name)
    assert name[-1] not in " ."
    assert not name.startswith(".")
    device = name.split(".")[0].rstrip().upper()
    assert not re.fullmatch(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]", device)
    assert legal_name(name, "") == name


def test_a_legal_name_stays_as_it_is() -> None:
    """An officer finds the own file again."""
    assert legal_name("2024年度 信用评价(终稿)", ".xlsx") == "2024年度 信用评价(终稿).xlsx"


def test_files_of_programs_are_passed_over() -> None:
    """What is hidden, half written or an office program's own is no drop."""
    for name in (".a.xlsx", "~$a.xlsx", "a.xlsx.tmp", "a.part", "a.crdownload", "a.xlsx~", "Thumbs.db"):
        assert passing(name)
    assert not passing("a.xlsx")


def test_a_state_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    """Nothing is guessed from it, and the texts say that it may be moved away."""
    (tmp_path / ".state.json").write_text('{"cursor": 3')
    done = run("folder", "status", tmp_path, "--json")
    assert (done.status, done.json["error"]["reason"]) == (1, "FOLDER_STATE")
