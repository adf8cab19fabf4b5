"""Builds the samples: ``python -m exchange_sichuan.build_samples FOLDER``. The same program gives the same bytes."""

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
    "city",
    "county",
    "name",
    "uscc",
    "permit_code",
    "year",
    "window_start",
    "window_end",
    "self_declared",
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
    """What only Sichuan has: decimal scores, self-declaration, counties of one name in two cities, its own vetoes."""

    def base(number: int, **values: Value) -> dict[str, Value]:
        return credit_base(side, number, year, **values)

    return [
        Case(
            base(
                130,
                city="成都市",
                county="锦江区",
                score="100.5",
                base_score="97.5",
                bonus_score="3",
                level="环保诚信",
            )
        ),
        Case(base(131, city="内江市", county="市中区")),
        Case(base(132, city="乐山", county="市中区", score="79.95", level="环保信用警示")),
        Case(base(133, county="市中区"), "AREA_UNMAPPED"),
        Case(base(134, city="成都市", county="涪城区"), "AREA_UNMAPPED"),
        Case(base(135, city="凉山州", self_declared="是")),
        Case(base(136, city="泸州市", self_declared="否", score="59.99", level="环保信用不良单位")),
        Case(base(137, self_declared="也许"), "YES_NO_UNMAPPED"),
        Case(base(138, score="82", level="环保不良企业", vetoes="行政拘留；吊销排污许可证")),
        Case(base(139, window_start=f"{year}年1月1日", window_end=f"{year}.12.31")),
        Case(base(140, scheme="2018版", year="2018"), "SCHEME_UNMAPPED"),
        Case(base(141, county="四川省绵阳市涪城区")),
    ]


def credit_workbook(side: Side, year: int) -> tuple[bytes, list[str]]:
    """A workbook as the province's department sends it: a header of two rows, merged cities."""
    cases = [*credit_cases(side, year), *own_cases(side, year)]
    rows = table(side, Kind.KIND_CREDIT_RESULT, cases, FIELDS)
    first: list[Value] = [
        "序号",
        "市（州）",
        "县（市、区）",
        "单位名称",
        "社会信用代码",
        "评价年度",
        "得分情况",
        None,
        None,
    ]
    first += ["评价结果", "结果公布日期"]
    second: list[Value] = [*[None] * 6, "基础项得分", "加分项得分", "总得分", None, None]
    day = date(year + 1, 6, 30)
    total = Formula("G5+H5", "100.10000000000001")
    typed: list[list[Value]] = [
        [1, "宜宾市", "翠屏区", made_firm(150), made_uscc(side.name, 150), year, 98, 2.1, total, "环保诚信企业", day],
        [2, None, "叙州区", made_firm(151), made_uscc(side.name, 151), year, 80.1, 0, 80.1, "环保良好企业", day],
        [
            3,
            None,
            "叙州区",
            made_firm(152),
            made_uscc(side.name, 152),
            year,
            None,
            None,
            Formula("G7+H7"),
            "环保良好企业",
            day,
        ],
        [4, "德阳市", "旌阳区", made_firm(153), 915199010000000000, year, None, None, 61.5, "环保警示企业", day],
    ]
    expected = [RECORD, RECORD, "CELL_FORMULA_NO_VALUE", "CELL_NUMERIC_CODE"]
    down = [f"{column}3:{column}4" for column in "ABCDEFJK"]
    sheets = [
        MadeSheet(
            name="评价结果",
            above=[f"四川省{year}年度企业环境信用评价结果（演示数据）"],
            rows=[*rows[:5], [None], *rows[5:], ["合计", None, None, len(cases)], ["填表人：演示　审核人：演示"]],
            merged=["A1:V1"],
        ),
        MadeSheet(
            name="分市州",
            above=["分市州评价结果（演示数据）", "注：得分保留两位小数"],
            rows=[first, second, *typed, ["合计", None, None, 4]],
            merged=["A1:K1", "G3:I3", *down, "B5:B7", "A9:C9"],
        ),
        MadeSheet(name="计分细则", rows=[["基础项100分，扣分项、加分项见附件。"]]),
        MadeSheet(name="内部", rows=[["单位名称", "评价结果"], ["草稿", "y"]], hidden=True),
    ]
    return made_workbook(sheets), [*(case.expected for case in cases), *expected]


def build(year: int = ROUND) -> Samples:
    """All samples.

    Args:
        year: Evaluation year of the credit results, which list entries follow: what ages by the rules.
    """
    side = side_of("exchange_sichuan").tables
    samples = Samples(side=side)
    samples.add("credit, workbook", f"credit-{year}.xlsx", "CreditResult", *credit_workbook(side, year))
    cases = [*credit_cases(side, year)[:16], *own_cases(side, year)]
    rows = table(side, Kind.KIND_CREDIT_RESULT, cases, FIELDS)
    expected = [case.expected for case in cases]
    csv = made_csv(as_texts([["演示数据"], *rows]), "gb18030")
    samples.add("credit, GB 18030", f"credit-{year}-gb18030.csv", "CreditResult", csv, expected)
    few = table(side, Kind.KIND_CREDIT_RESULT, cases[:6], FIELDS)
    uscc_column = FIELDS.index("uscc")
    few[6][uscc_column] = 915199010000000000
    content = as_json(few, wrapped=True)
    samples.add("credit, JSON", f"credit-{year}.json", "CreditResult", content, [*expected[:5], "CELL_NUMERIC_CODE"])
    add_penalties(samples)
    add_flat(samples, year)
    return samples


if __name__ == "__main__":
    build().write(Path(sys.argv[1]))
