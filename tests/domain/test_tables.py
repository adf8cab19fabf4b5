"""The shipped tables, and what is refused of others."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from exchange.domain.catalogues.factors import Factor, LegacyProblem
from exchange.domain.catalogues.tables import FILES, TableError, Tables, load
from exchange.tables import read_all
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.monitoring_batch_pb2 import Usability, ValueKind

CONCENTRATION = ValueKind.VALUE_KIND_AVG
TOTAL = ValueKind.VALUE_KIND_TOTAL


def test_every_file_is_shipped() -> None:
    """The package holds what loading needs, and the rules."""
    assert set(FILES) | {"rules/recognition.toml"} <= set(read_all())


def test_the_digest_names_every_byte() -> None:
    """One changed byte in any file makes another edition."""
    files = read_all()
    first = load(files).digest
    for name in FILES:
        assert load({**files, name: files[name] + b"\n"}).digest != first


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str) -> None:
    """A missing file is an error that names it."""
    files = read_all()
    del files[name]
    with pytest.raises(TableError) as raised:
        load(files)
    assert raised.value.problems[0].place == name


_SCHEME = b'[[scheme]]\nid="A"\nedition="1"\nname="n"\nsource="s"\nstatus="s"\n'

_BROKEN = [
    ("areas.toml", b"\xff", "areas.toml"),
    ("areas.toml", b"area = 1\n[", "areas.toml"),
    ("areas.toml", b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="5001",name="x"}]', "areas.toml.area[0].code"),
    ("areas.toml", b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="500101"}]', "areas.toml.area[0].name"),
    ("areas.toml", b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="500101",name="x"}]', "areas.toml.area[0].code"),
    (
        "areas.toml",
        b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="500000",name="x"},{code="500000",name="y"}]',
        "areas.toml.area[1].code",
    ),
    (
        "areas.toml",
        b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="500000",name="x",valid_to="2015-13-01"}]',
        "areas.toml.area[0].valid_to",
    ),
    (
        "areas.toml",
        b'edition="1"\nsource="s"\nstatus="s"\narea=[{code="500000",name="x",valid_to="2015-01-01",successor=["1"]}]',
        "areas.toml.area[0].successor",
    ),
    (
        "flags.toml",
        b'edition="1"\nsource="s"\nstatus="s"\nflag=[{code="N",name="x",usability="FINE"}]',
        "flags.toml.flag[0].usability",
    ),
    ("flags.toml", b'edition="1"\nsource="s"\nstatus="s"\ntypo=1', "flags.toml.typo"),
    (
        "factors.toml",
        b'edition="1"\nsource="s"\nstatus="s"\nfactor=[{code="w1",name="x",printed="y"}]',
        "factors.toml.factor[0].code",
    ),
    (
        "factors.toml",
        b'edition="1"\nsource="s"\nstatus="s"\nunits=["g"]\nfactor=[{code="w01018",name="x",printed="y",unit="mg"}]',
        "factors.toml.factor[0].unit",
    ),
    (
        "factors.toml",
        b'edition="1"\nsource="s"\nstatus="s"\nunits=["g"]\nfactor=[{code="w01018",name="x",printed="y"}]',
        "factors.toml.factor[0].unit",
    ),
    ("schemes.toml", b'[[veto_list]]\nid="A"\nsource="s"\nstatus="s"\nveto=[]', "schemes.toml.veto_list"),
    (
        "schemes.toml",
        b'[[scheme]]\nid="A"\nedition="1"\nname="n"\nsource="s"\nstatus="s"\nvetoes=["NOWHERE"]',
        "schemes.toml.scheme[0].vetoes",
    ),
    (
        "schemes.toml",
        _SCHEME + b'band=[{level="GREEN",from="100"},{level="BLUE",from="80",below="99"}]',
        "schemes.toml.scheme[0].band[1].below",
    ),
    ("reasons.toml", b'[CODE]\nzh="x"\nen="x"\nremedy_zh="x"', "reasons.toml.CODE.remedy_en"),
    ("reasons.toml", b'[code]\nzh="x"\nen="x"\nremedy_zh="x"\nremedy_en="x"', "reasons.toml.code"),
    (
        "measures.toml",
        b'[[catalogue]]\ncatalogue="c"\nedition="1"\nsource="s"\nstatus="s"\nmeasure=[{code="A1",name="n",class="B"}]',
        "measures.toml.catalogue[0].measure[0].code",
    ),
]


@pytest.mark.parametrize(("name", "content", "place"), _BROKEN)
def test_an_ill_formed_table_names_file_and_place(name: str, content: bytes, place: str) -> None:
    """Whatever is wrong in a table file is refused with the file and the place."""
    with pytest.raises(TableError) as raised:
        load({**read_all(), name: content})
    assert raised.value.problems[0].place == place


def test_areas_know_their_time(tables: Tables) -> None:
    """An abolished code is found for its own days and for no day at all, not for later days."""
    areas = tables.areas
    assert areas.find("500226", date(2010, 5, 1)) is not None
    assert areas.find("500226", date(2020, 5, 1)) is None
    old = areas.find("500226")
    assert old is not None
    assert old.successors == ("500153",)
    assert areas.find("500153", date(2010, 5, 1)) is None
    assert areas.find("500199") is None


def test_all_counties_of_both_regions_are_listed(tables: Tables) -> None:
    """38 districts and counties of Chongqing, 183 of Sichuan, 21 cities of Sichuan, 34 provinces."""
    current = [area for area in tables.areas.by_code.values() if area.valid_to is None and not area.extension]
    counties = [area for area in current if not area.code.endswith("00")]
    assert sum(area.code.startswith("50") for area in counties) == 38
    assert sum(area.code.startswith("51") for area in counties) == 183
    assert sum(area.code.startswith("51") and area.code.endswith("00") for area in current) == 21 + 1
    assert len(tables.areas.provinces) == 34


@pytest.mark.parametrize(
    ("prefix", "code", "covered"),
    [
        ("*", "510104", True),
        ("50", "500107", True),
        ("5001", "500107", True),
        ("500107", "500107", True),
        ("500107", "500108", False),
        ("51", "500107", False),
        ("5", "500107", False),
        ("", "500107", False),
        ("50010", "500107", False),
        ("500153", "500226", True),
        ("500154", "500226", False),
        ("5001", "5001X1", True),
        ("5001X1", "5001X1", True),
        ("50", "", False),
    ],
)
def test_prefixes_cover_what_lies_below_them(tables: Tables, prefix: str, code: str, covered: bool) -> None:
    """A prefix of 2, 4 or 6 covers all below, and an abolished code lies where its successor lies."""
    assert tables.areas.covers(prefix, code) is covered


def test_all_factors_are_listed(tables: Tables) -> None:
    """The 184 factors of HJ 212-2017 Annex B."""
    assert len(tables.factors.by_code) == 184


@pytest.mark.parametrize(
    ("code", "medium", "name"),
    [
        ("010", "32", "五日生化需氧量"),
        ("10", "31", "氨（氨气）"),
        ("011", "32", "化学需氧量"),
        ("11", "31", "氯气"),
        ("001", "32", "pH 值"),
        ("01", "31", "烟尘"),
        ("B01", "32", "污水"),
        ("b02", "31", "废气"),
        ("S01", "51", "氧气含量"),
        ("060", "21", "氨氮"),
    ],
)
def test_old_codes_are_text_and_belong_to_a_medium(tables: Tables, code: str, medium: str, name: str) -> None:
    """Width and medium decide: 010 is BOD of water and 10 is ammonia of air."""
    factor = tables.factors.by_legacy(code, medium)
    assert isinstance(factor, Factor)
    assert factor.name == name


@pytest.mark.parametrize(
    ("code", "medium", "problem"),
    [
        ("023", "31", LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM),
        ("028", "31", LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM),
        ("10", "32", LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM),
        ("01", "23", LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM),
        ("01", "ZZ", LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM),
        ("1", "31", LegacyProblem.FACTOR_UNMAPPED),
        ("0010", "32", LegacyProblem.FACTOR_UNMAPPED),
        ("w01018", "32", LegacyProblem.FACTOR_UNMAPPED),
        ("", "32", LegacyProblem.FACTOR_UNMAPPED),
    ],
)
def test_old_codes_of_another_medium_are_told_apart(
    tables: Tables, code: str, medium: str, problem: LegacyProblem
) -> None:
    """A code of another medium is not the same as a code of none."""
    assert tables.factors.by_legacy(code, medium) is problem


def test_factor_codes_are_found_in_either_letter_case(tables: Tables) -> None:
    """W01018 names the same factor; codes outside the annex name none."""
    found = tables.factors.find("W01018")
    assert found is not None
    assert found.code == "w01018"
    assert tables.factors.find("a05024") is None
    assert tables.factors.find("01018") is None


@pytest.mark.parametrize(
    ("code", "unit", "total"),
    [
        ("w01018", "mg/L", "kg"),
        ("w00000", "L/s", "m3"),
        ("w01001", "[pH]", None),
        ("w20117", "ug/L", "g"),
        ("w20089", "ng/L", "mg"),
        ("a19001", "%", None),
        ("a01012", "Cel", None),
        ("a34013", "mg/m3", "kg"),
    ],
)
def test_default_units_are_ucum(tables: Tables, code: str, unit: str, total: str | None) -> None:
    """The standard's units as UCUM codes, concentration and total apart."""
    factor = tables.factors.by_code[code]
    assert (factor.default_unit(CONCENTRATION), factor.default_unit(TOTAL)) == (unit, total)


def test_doubtful_units_are_no_defaults(tables: Tables) -> None:
    """Factors printed in nanograms per cubic metre have no default; exactly those."""
    doubtful = {factor.code for factor in tables.factors.by_code.values() if factor.doubtful}
    printed = {factor.code for factor in tables.factors.by_code.values() if factor.printed == "纳克/立方米"}
    assert doubtful == printed
    assert {"a34001", "a34002", "a34004", "a21001", "a05002"} <= doubtful
    assert all(
        tables.factors.by_code[code].default_unit(kind) is None for code in doubtful for kind in (CONCENTRATION, TOTAL)
    )


def test_flags_follow_table_8(tables: Tables) -> None:
    """N is usable, S manual, T a lower bound, the rest not usable, and a missing flag is unknown rather than N."""
    by_usability = {flag: tables.flags.usability(flag) for flag in ("N", "S", "T", "", "n", "X")}
    assert by_usability == {
        "N": Usability.USABILITY_USABLE,
        "S": Usability.USABILITY_MANUAL,
        "T": Usability.USABILITY_LOWER_BOUND,
        "": Usability.USABILITY_UNKNOWN,
        "n": Usability.USABILITY_UNKNOWN,
        "X": Usability.USABILITY_UNKNOWN,
    }
    assert {tables.flags.usability(flag) for flag in "MCDBF"} == {Usability.USABILITY_NOT_USABLE}


@pytest.mark.parametrize(
    ("scheme_id", "score", "accepted", "level"),
    [
        ("CQ-渝环规〔2021〕7号", "108", True, CreditLevel.CREDIT_LEVEL_GREEN),
        ("CQ-渝环规〔2021〕7号", "109", False, None),
        ("CQ-渝环规〔2021〕7号", "99", True, CreditLevel.CREDIT_LEVEL_BLUE),
        ("CQ-渝环规〔2021〕7号", "80", True, CreditLevel.CREDIT_LEVEL_BLUE),
        ("CQ-渝环规〔2021〕7号", "79.5", False, CreditLevel.CREDIT_LEVEL_YELLOW),
        ("CQ-渝环规〔2021〕7号", "0", True, CreditLevel.CREDIT_LEVEL_RED),
        ("CQ-渝环〔2017〕174号", "100", True, CreditLevel.CREDIT_LEVEL_GREEN),
        ("CQ-渝环〔2017〕174号", "99.99", True, CreditLevel.CREDIT_LEVEL_BLUE),
        ("SC-2019版", "59.9", True, CreditLevel.CREDIT_LEVEL_RED),
        ("SC-2019版", "250", True, CreditLevel.CREDIT_LEVEL_GREEN),
        ("SC-2019版", "-5", True, CreditLevel.CREDIT_LEVEL_RED),
        ("CN-环发〔2013〕150号", "80", True, None),
    ],
)
def test_schemes_judge_their_own_scores(
    tables: Tables, scheme_id: str, score: str, accepted: bool, level: CreditLevel.ValueType | None
) -> None:
    """Each scheme says which scores it can have and which level they give."""
    scheme = tables.schemes.find(scheme_id)
    assert scheme is not None
    assert scheme.accepts_score(Decimal(score)) is accepted
    assert scheme.level_for(Decimal(score)) == level


def test_vetoes_differ_between_the_schemes(tables: Tables) -> None:
    """The national list has 14 situations, Sichuan's list its own, and a result may cite national ones anywhere."""
    schemes = tables.schemes
    assert schemes.national == {f"NV{number:02d}" for number in range(1, 15)}
    sichuan, chongqing = schemes.find("SC-2019版"), schemes.find("CQ-渝环规〔2021〕7号")
    assert sichuan is not None
    assert chongqing is not None
    assert "NV02" not in sichuan.vetoes
    assert "SV01" in sichuan.vetoes
    assert schemes.knows_veto(sichuan, "NV02")
    assert not schemes.knows_veto(chongqing, "SV01")
    assert schemes.knows_veto(None, "SV01")


def test_measures_belong_to_an_edition(tables: Tables) -> None:
    """A measure is found in the named edition only, with its class."""
    measure = tables.measures.find("全国失信惩戒措施基础清单", "2024", "C2")
    assert measure is not None
    assert measure.measure_class == "C"
    assert tables.measures.find("全国失信惩戒措施基础清单", "2019", "C2") is None
    assert tables.measures.find("全国失信惩戒措施基础清单", "2024", "A9") is None
    editions = {(name, year) for name, year in tables.measures.editions if name == "全国失信惩戒措施基础清单"}
    assert {year for _, year in editions} == {"2021", "2022", "2024"}


def test_reasons_speak_both_languages(tables: Tables) -> None:
    """Every code has both texts with a remedy, by any spelling of the locale; an unknown code shows itself."""
    reasons = tables.reasons
    assert reasons.text("USCC_CHECK", "zh-CN") == reasons.text("USCC_CHECK", "zh")
    assert reasons.text("USCC_CHECK", "zh_CN.UTF-8") != reasons.text("USCC_CHECK", "en")
    assert reasons.text("FROM_THE_FUTURE", "en").message == "FROM_THE_FUTURE"
    for code in reasons.codes:
        assert any("\u4e00" <= char <= "\u9fff" for char in reasons.text(code, "zh").message), code
        assert reasons.text(code, "en").message.isascii(), code
        assert reasons.text(code, "zh").remedy, code
        assert reasons.text(code, "en").remedy, code
