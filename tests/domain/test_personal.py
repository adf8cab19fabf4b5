"""Resident identity numbers in text, and masked names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.personal import contains_resident_id, name_is_masked, resident_ids
from tests.domain.bad_records import ID_NUMBER

_WORDS = st.text(alphabet="经查该公司，。：A-", max_size=20)


@given(_WORDS, _WORDS)
def test_an_id_number_is_found_wherever_it_stands(before: str, after: str) -> None:
    """Text around a number does not hide it, and only the number is marked."""
    text = f"{before}号{ID_NUMBER}号{after}"
    assert [text[begin:end] for begin, end in resident_ids(text)] == [ID_NUMBER]


@pytest.mark.parametrize(
    "written",
    [
        ID_NUMBER.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
        f"{ID_NUMBER[:6]}-{ID_NUMBER[6:14]}-{ID_NUMBER[14:]}",
        " ".join(ID_NUMBER),
        "11010519491231002X",
        "11010519491231002x",
        "11010519491231002Ｘ",
    ],
)
def test_spellings_of_an_id_number(written: str) -> None:
    """Full-width digits, separators and either letter case do not hide a number."""
    assert contains_resident_id(f"身份证：{written}。")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "短",
        "110105194912310021",
        "110105194913310021",
        "110105194900310022",
        "110105194912320025",
        "110105070012010027",
        "11010519491231002",
        f"{ID_NUMBER}0",
        "91500107MA5YTRH15X",
        "20160801085857223",
    ],
)
def test_what_is_no_id_number(text: str) -> None:
    """A wrong check character, an impossible date or another length is no identity number."""
    assert not contains_resident_id(text)


@given(st.text(max_size=60))
def test_any_text_is_searched(text: str) -> None:
    """Searching never fails, and both ways of asking agree."""
    assert contains_resident_id(text) == bool(list(resident_ids(text)))


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张**", True),
        ("欧阳**", True),
        ("张某某", True),
        ("张×", True),
        ("*", True),
        ("张三", False),
        ("张三丰", False),
        ("司马相如*", False),
        ("", False),
    ],
)
def test_masked_names_show_a_family_name_at_most(name: str, masked: bool) -> None:
    """A mask and at most two visible characters."""
    assert name_is_masked(name) is masked
