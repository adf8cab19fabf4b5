"""Builds the samples: ``python -m exchange_chongqing.build_samples FOLDER``. The same program gives the same bytes."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.cases import add_flat
from exchange_forms.made.generate import side_of
from exchange_forms.made.making import Formula, MadeSheet, Value, made_csv, made_firm, made_uscc, made_workbook
from exchange_forms.made.sampling import (
    RECORD,
    ROUND,
    Case,
    Samples,
    add_penalties,
    as_json,
    as_texts,
    credit_base,
    credit_cases,
    table,
)
from exchange_forms.sides.side import Side

FIELDS = (
    "ignored",
    "name",
    "uscc",
    "permit_code",
    "county",
    "year",
    "base_score",
    "bonus_score",
    "score",
    "level",
    "not_evaluated",
    "source_not_evaluated",
    "colour",
    "vetoes",
    "scheme",
    "state",
    "objection",
    "published_on",
    "publicity_until",
    "valid_until",
)


def own_cases(side: Side, year: int) -> list[Case]:
    """What only Chongqing has: whole scores up to 108, the scheme of 2017, names of districts and offices."""

    def base(number: int, **values: Value) -> dict[str, Value]:
        return credit_base(side, number, year, **values)

    return [
        Case(base(130, score="108", level="诚信", county="渝北")),
        Case(base(131, county="两江新区", score="100", level="环保诚信单位")),
        Case(base(132, county="石柱县")),
        Case(base(133, county="重庆市酉阳土家族苗族自治县")),
        Case(base(134, scheme="渝环[2017]174号", year="2018", published_on="2019-11-05", score="102.5", level="诚信")),
        Case(base(135, scheme=None, year="2012"), "SCHEME_UNMAPPED"),
        Case(base(136, score="70", level="警示", vetoes="未批先建；无证排污")),
        # Not whole: the adapter maps it, validation refuses it.
        Case(base(137, score="90.5")),
    ]


def credit_workbook(side: Side, year: int) -> tuple[bytes, list[str]]:
    """A workbook as a city office sends it."""
    cases = [*credit_cases(side, year), *own_cases(side, year)]
    rows = table(side, Kind.KIND_CREDIT_RESULT, cases, FIELDS)
    total = Formula("G4+H4", "100")
    typed: list[list[Value]] = [
        # As spreadsheet programs store them: date cells, numbers, formulas with and without their result.
        [
            1,
            made_firm(140),
            made_uscc(side.name, 140),
            None,
            "江津区",
            year,
            95,
            5,
            total,
            "诚信",
        ],
        [2, made_firm(141), made_uscc(side.name, 141), None, "江津区", year, 90, 2, Formula("G5+H5"), "良好"],
        [3, made_firm(142), 915099010000000000, None, "江津区", year, None, None, 88, "良好"],
        [4, made_firm(143), made_uscc(side.name, 143), None, "江津区", year, None, None, "#N/A", "良好"],
        [5, made_firm(144), made_uscc(side.name, 144), None, "江津区", year, None, None, 79, "警示"],
    ]
    expected = [RECORD, "CELL_FORMULA_NO_VALUE", "CELL_NUMERIC_CODE", "CELL_ERROR", RECORD]
    head: list[Value] = ["序号", "企业名称", "统一社会信用代码", "排污许可证编号", "所在区县", "评价年度"]
    head += ["基础得分", "加分", "评价得分", "信用等级", "公布日期"]
    day = date(year + 1, 11, 20)
    district: list[list[Value]] = [head, *([*row, day] for row in typed), ["小计", 5]]
    sheets = [
        MadeSheet(
            name="市级",
            above=[f"重庆市{year}年度企业环境信用评价结果（演示数据）", "说明：等级为环保诚信、良好、警示、不良四级。"],
            rows=[*rows[:9], [None], *rows[9:], ["合计", None, len(cases)], ["注：本表为演示数据。"]],
            merged=["A1:R1", "A2:R2"],
        ),
        MadeSheet(
            name="区县", above=["区县评价结果（演示数据）", "单位：分"], rows=[*district, ["小计", 5]], merged=["A1:K1"]
        ),
        MadeSheet(name="草稿", rows=[["企业名称", "统一社会信用代码", "信用等级"], ["草稿", "x", "y"]], hidden=True),
        MadeSheet(name="填报要求", rows=[["请于每年11月底前报送。"]]),
    ]
    return made_workbook(sheets), [*(case.expected for case in cases), *expected]


def build(year: int = ROUND) -> Samples:
    """All samples.

    Args:
        year: Evaluation year of the credit results, which list entries follow: what ages by the rules.
    """
    side = side_of("exchange_chongqing").tables
    samples = Samples(side=side)
    samples.add("credit, workbook", f"credit-{year}.xlsx", "CreditResult", *credit_workbook(side, year))
    cases = [*credit_cases(side, year)[:16], *own_cases(side, year)]
    rows = table(side, Kind.KIND_CREDIT_RESULT, cases, FIELDS)
    expected = [case.expected for case in cases]
    csv = made_csv(as_texts([["演示数据"], *rows]), "gb18030")
    samples.add("credit, GB 18030", f"credit-{year}-gb18030.csv", "CreditResult", csv, expected)
    few: list[list[Value]] = [*rows[:6], ["6", made_firm(150), 915099010000000000, *rows[1][3:]]]
    samples.add(
        "credit, JSON", f"credit-{year}.json", "CreditResult", as_json(few), [*expected[:5], "CELL_NUMERIC_CODE"]
    )
    add_penalties(samples)
    add_flat(samples, year)
    return samples


if __name__ == "__main__":
    build().write(Path(sys.argv[1]))
