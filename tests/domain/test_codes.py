"""USCC, permit, CMA and area codes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum.cn import uscc as oracle

from exchange.domain.catalogues.table_file import TableError
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.codes import (
    CodeKind,
    inspect,
    normalise,
    organisation_code_holds,
    outlet_holds,
    uscc_check_character,
    uscc_problem,
)
from exchange.tables import read_all
from tests.domain.records import FIRM, make_uscc

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

# Codes of public material: enterprises and public bodies, none beside any fact.
VALID = [
    "91350100M000100Y43",
    "91330421739237858X",
    "91230500MA1B3N1N2M",
    "91110000802100433B",
    "112302070019030687",
    "911101077776591113",
    "91440300359143307G",
    "1134082855783407XL",
    "91110228397176695A",
    "51100000500019541K",
    "92510100MA61WJ3204",
    "91510000779827684C",
    "91440300311906854A",
    "913101135696449862",
    "11991000010647510A",
    "121526004609138637",
    "91330200750364874C",
    "91500107MA5YTRH15X",
    "11500000MB1670604W",
    "91500107MA5U7T2R4T",
    "91500107MA5U3RA07H",
    "91500107MA61CB1W2F",
    "91510100MA67G71FX6",
    "91510100MAACFD839W",
    "91510100MA61UNAB99",
    "915101005849827804",
    "91500000059926748X",
    "11500000MB1614741U",
    "11500000MB0Q40209N",
    "91130200699229617X",
]

INVALID = {
    "91350100M000100Y4Z": "USCC_FORMAT",
    "91510100MA6C2W9H4K": "USCC_CHECK",
    "91510100MA0000000X": "USCC_CHECK",
    "91310115MA1H8R7C6D": "USCC_CHECK",
    "91500107MA5YTRH15Y": "USCC_CHECK",
    "91500107MA5YTRH15": "USCC_FORMAT",
    "91500107MA5YTRH15X0": "USCC_FORMAT",
    "9150O107MA5YTRH15X": "USCC_FORMAT",
    "123456789012345678": "USCC_ORG_CODE",
    "91350200M000000510": "USCC_CHECK",
    "91350128M00000019A": "USCC_CHECK",
    "91500107ma5ytrh15x": "USCC_FORMAT",
    "": "USCC_FORMAT",
}


@pytest.mark.parametrize("code", VALID)
def test_codes_of_public_material_hold(code: str, tables: Tables) -> None:
    """Codes as registered hold, whatever mixture of digits and letters they are."""
    assert uscc_problem(code, tables.accepted_codes) is None
    verdict = inspect(code, tables)
    assert (verdict.kind, verdict.valid, verdict.reasons) == (CodeKind.USCC, True, ())


@pytest.mark.parametrize(("code", "reason"), INVALID.items())
def test_wrong_codes_name_the_check_they_fail(code: str, reason: str, tables: Tables) -> None:
    """A wrong code is refused by the first check that it fails."""
    assert uscc_problem(code, tables.accepted_codes) == reason


def test_a_code_that_passes_modulo_31_by_chance_is_invalid(tables: Tables) -> None:
    """123456789012345678 passes modulo 31 and is caught by the organisation code alone."""
    assert oracle.is_valid("123456789012345678")
    assert inspect("123456789012345678", tables).reasons == ("USCC_ORG_CODE",)


def test_inspect_names_every_failed_check(tables: Tables) -> None:
    """Inspecting lists all failed checks, not only the first."""
    body = "91980000MX0000018"
    wrong = body + ("A" if uscc_check_character(body) != "A" else "B")
    assert inspect(wrong, tables).reasons == ("USCC_CHECK", "USCC_ORG_CODE", "USCC_REGION")


@given(st.text(ALPHABET, min_size=17, max_size=17))
def test_check_character_agrees_with_an_independent_implementation(body: str) -> None:
    """The check character is the one that python-stdnum computes."""
    assert uscc_check_character(body) == oracle.calc_check_digit(body)


@given(st.integers(0, 999_999), st.integers(0, 17), st.sampled_from(ALPHABET))
def test_no_single_wrong_character_passes(tables: Tables, number: int, place: int, char: str) -> None:
    """Changing one character of a sound code always makes it invalid."""
    code = make_uscc(number)
    changed = code[:place] + char + code[place + 1 :]
    assert (uscc_problem(changed, tables.accepted_codes) is None) == (changed == code)


@given(st.integers(0, 10**8 - 1))
def test_exactly_one_check_character_fits_an_organisation_code(number: int) -> None:
    """Of all characters exactly one completes eight digits by GB 11714."""
    fitting = [char for char in "0123456789X" if organisation_code_holds(f"{number:08d}{char}")]
    assert len(fitting) == 1


@pytest.mark.parametrize(
    "typed",
    ["91500107ma5ytrh15x", " 91500107MA5YTRH15X\n", "９１５００１０７ＭＡ５ＹＴＲＨ１５Ｘ", "9150 0107 MA5Y TRH1 5X"],
)
def test_typing_is_taken_away_before_a_code_is_judged(typed: str, tables: Tables) -> None:
    """Letter case, full-width characters and blanks do not make a code wrong, and the verdict shows the code itself."""
    verdict = inspect(typed, tables)
    assert (verdict.code, verdict.valid) == ("91500107MA5YTRH15X", True)


@given(st.text())
@example("\u0390")
@example("i\u200b\u0307")
def test_normalising_twice_changes_nothing(text: str) -> None:
    """A normalised code stays as it is."""
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_inspect_never_raises_and_valid_means_no_reasons(tables: Tables, text: str) -> None:
    """Whatever is typed gets a verdict whose reasons are all in the table."""
    verdict = inspect(text, tables)
    assert verdict.valid == (not verdict.reasons)
    assert set(verdict.reasons) <= tables.reasons.codes


@pytest.mark.parametrize(
    ("code", "kind", "reasons"),
    [
        ("91130200699229617X001P", CodeKind.PERMIT, ()),
        ("91330421739237858X001C", CodeKind.PERMIT, ()),
        ("H9500000000000000000XP", CodeKind.PERMIT, ("PERMIT_FORMAT",)),
        ("H95000000000000000001P", CodeKind.PERMIT, ()),
        ("91130200699229617X0A1P", CodeKind.PERMIT, ("PERMIT_FORMAT",)),
        ("91130200699229617Y001P", CodeKind.PERMIT, ("USCC_CHECK",)),
        ("91130200699229617X001", CodeKind.PERMIT, ("PERMIT_FORMAT",)),
        ("152701060345", CodeKind.CMA, ()),
        ("223212050001", CodeKind.CMA, ("CMA_ISSUER",)),
        ("500107", CodeKind.AREA, ()),
        ("510000", CodeKind.AREA, ()),
        ("5101", CodeKind.AREA, ("AREA_PREFIX",)),
        ("51", CodeKind.AREA, ("AREA_PREFIX",)),
        ("9901", CodeKind.AREA, ("AREA_UNKNOWN",)),
        ("5001X1", CodeKind.AREA, ()),
        ("500226", CodeKind.AREA, ("AREA_ABOLISHED",)),
        ("500199", CodeKind.AREA, ("AREA_UNKNOWN",)),
        ("990101", CodeKind.AREA, ("AREA_UNKNOWN",)),
        ("520102", CodeKind.AREA, ("AREA_NOT_LISTED",)),
        ("DW001", CodeKind.UNKNOWN, ("CODE_UNKNOWN",)),
        ("", CodeKind.UNKNOWN, ("CODE_UNKNOWN",)),
        ("重庆", CodeKind.UNKNOWN, ("CODE_UNKNOWN",)),
    ],
)
def test_the_kind_follows_from_the_shape(code: str, kind: CodeKind, reasons: tuple[str, ...], tables: Tables) -> None:
    """A code says what it was meant to be even when it is wrong."""
    verdict = inspect(code, tables)
    assert (verdict.kind, verdict.reasons) == (kind, reasons)


@pytest.mark.parametrize(
    ("code", "holds"), [("DA001", True), ("DW999", True), ("DX001", False), ("DA1", False), ("DA００１", False)]
)
def test_outlet_codes(code: str, holds: bool) -> None:
    """Outlets are DA or DW and three half-width digits."""
    assert outlet_holds(code) is holds


def test_an_exception_with_evidence_lets_a_real_code_pass() -> None:
    """A code that fails its check passes once it is listed with evidence and author."""
    overlay = """
        [[exception]]
        code = "91350200M000000510"
        reason = "USCC_CHECK"
        evidence = "国家企业信用信息公示系统查询页，档案号 17"
        author = "数据管理员"
        added_on = "2026-01-31"
    """
    tables = load(read_all(), {"accepted_codes.toml": overlay.encode(), "stations.toml": b"not ours"})
    assert uscc_problem("91350200M000000510", tables.accepted_codes) is None
    assert uscc_problem("91350128M00000019A", tables.accepted_codes) == "USCC_CHECK"
    assert tables.digest != load(read_all()).digest


def test_an_exception_without_evidence_is_no_exception() -> None:
    """Nobody adds an exception without saying where it can be checked."""
    overlay = b'[[exception]]\ncode = "91350200M000000510"\nreason = "USCC_CHECK"\nauthor = "x"\n'
    with pytest.raises(TableError, match="evidence"):
        load(read_all(), {"accepted_codes.toml": overlay})


def test_generated_firms_are_sound(tables: Tables) -> None:
    """The codes that these tests invent pass the same checks as real ones."""
    assert uscc_problem(FIRM, tables.accepted_codes) is None
