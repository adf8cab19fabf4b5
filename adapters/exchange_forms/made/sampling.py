"""Cases for the samples of both sides: rows by field with what must come out of them, written in a side's headings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.generate import authority_of
from exchange_forms.made.making import SOLE_TRADER, MadeSheet, Value, made_csv, made_firm, made_uscc, made_workbook
from exchange_forms.sides.side import Side
from exchange_forms.writing import columns_of

RECORD: Final = "RECORD"
RECEIVED_AT: Final = "2026-03-01T09:00:00+08:00"
ROUND: Final = 2024
"""Evaluation year of the samples that are committed."""

PURPOSE: Final = "跨区域生态环境信用互认（演示数据）"
OLE_HEAD: Final = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


@dataclass(frozen=True, slots=True)
class Case:
    """One row, or the rows of one record.

    Attributes:
        values: By field; a value that is None leaves the cell blank.
        expected: ``RECORD`` or the first reason.
        more: Further rows of the same record.
    """

    values: Mapping[str, Value]
    expected: str = RECORD
    more: Sequence[Mapping[str, Value]] = ()


@dataclass(kw_only=True)
class Samples:
    """The files of one side's samples and what is expected of them."""

    side: Side
    files: dict[str, bytes] = field(default_factory=dict)
    listed: list[tuple[str, str, str, list[str]]] = field(default_factory=list)

    def add(self, name: str, file: str, kind: str, content: bytes, expected: Sequence[str]) -> None:
        """Add one document."""
        self.files[file] = content
        self.listed.append((name, file, kind, list(expected)))

    def write(self, folder: Path) -> None:
        """Write the files and ``expected.toml``."""
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in self.files.items():
            (folder / file).write_bytes(content)
        uscc, name = authority_of(self.side)
        lines = [
            "# Written by build_samples.py. All firms, codes and authorities are made up (演示数据).",
            f'received_at = "{RECEIVED_AT}"',
            f'purpose = "{PURPOSE}"',
            f'authority = {{ uscc = "{uscc}", name = "{name}" }}',
        ]
        for name, file, kind, expected in self.listed:
            outcomes = "".join(f'  "{each}",\n' for each in expected)
            lines.append(f'\n[[sample]]\nname = "{name}"\nfile = "{file}"\nkind = "{kind}"\nexpected = [\n{outcomes}]')
        (folder / "expected.toml").write_text("\n".join(lines) + "\n", "utf-8")


def table(side: Side, kind: Kind.ValueType, cases: Sequence[Case], fields: Sequence[str]) -> list[list[Value]]:
    """Headings and rows of some fields, in the side's own headings."""
    headings = {column.field: column.heading for column in columns_of(side, kind)}
    rows: list[list[Value]] = [[headings.get(each, each) for each in fields]]
    for number, case in enumerate(cases, start=1):
        rows += [
            [number if each == "ignored" else values.get(each) for each in fields]
            for values in (case.values, *case.more)
        ]
    return rows


def as_texts(rows: Sequence[Sequence[Value]]) -> list[list[str]]:
    """Rows for CSV."""
    return [["" if value is None else str(value) for value in row] for row in rows]


def as_json(rows: Sequence[Sequence[Value]], *, wrapped: bool = False) -> bytes:
    """Rows as JSON objects; numbers stay numbers."""
    headings = [str(value) for value in rows[0]]
    objects = [
        {heading: value for heading, value in zip(headings, row, strict=True) if value is not None} for row in rows[1:]
    ]
    value: object = {"title": "演示数据", "rows": objects} if wrapped else objects
    return (json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n").encode()


def credit_base(side: Side, number: int, year: int, /, **values: Value) -> dict[str, Value]:
    """A sound credit result of a made-up firm for an evaluation year, published in the next; some values changed."""
    scheme = next(each for each in side.credit.scheme_rules if each.startswith(("CQ-渝环规", "SC-")))
    return {
        "name": made_firm(number),
        "uscc": made_uscc(side.name, number),
        "year": str(year),
        "score": "90",
        "level": side.credit.levels.texts["BLUE"],
        "scheme": scheme,
        "state": side.credit.states.texts["FINAL"],
        "published_on": f"{year + 1}-11-20",
        **values,
    }


def credit_cases(side: Side, year: int) -> list[Case]:
    """Cases that both sides have: codes, dates, scores against levels, veto, names of levels."""
    then = year + 1
    levels = side.credit.levels.texts

    def base(number: int, **values: Value) -> dict[str, Value]:
        return credit_base(side, number, year, **values)

    reasons = side.credit.not_evaluated.texts

    def without(number: int, reason: str, said: str | None) -> dict[str, Value]:
        level = levels["NOT_EVALUATED"]
        return base(number, score=None, level=level, not_evaluated=reason, source_not_evaluated=said)

    sound = made_uscc(side.name, 101)
    wrong = sound[:17] + ("0" if sound[17] != "0" else "1")
    return [
        Case(base(100, score="105", level=levels["GREEN"], colour="绿牌", base_score="99", bonus_score="6")),
        Case(base(102, permit_code=made_uscc(side.name, 102) + "001P")),
        Case(base(102, permit_code=made_uscc(side.name, 102) + "002P", score="70", level=levels["YELLOW"])),
        Case(base(103, uscc=made_uscc(side.name, 103).lower(), published_on=f"{then}年11月20日")),
        Case(base(104, uscc=_wide(made_uscc(side.name, 104)), published_on=_wide(f"{then}.11.20"))),
        Case(base(105, published_on=f"{then}/11/20", publicity_until=f"{then}1210", valid_until="长期")),
        Case(base(106, score="55", level=levels["RED"])),
        Case(base(107, score="85", level=levels["RED"], vetoes="环境犯罪")),
        Case(base(108, score="85", level=levels["RED"]), "LEVEL_SCORE_MISMATCH"),
        Case(base(109, score="62", level=levels["BLUE"]), "LEVEL_SCORE_MISMATCH"),
        Case(base(110, level="黑牌企业"), "LEVEL_UNMAPPED"),
        Case(base(111, level="B级"), "LEVEL_UNMAPPED"),
        Case(base(112, level="环保良好单位", score=None)),
        Case(base(101, uscc=wrong), "USCC_CHECK"),
        Case(base(113, uscc=made_uscc(side.name, 113, SOLE_TRADER))),
        Case(base(114, published_on=f"{then}-13-40"), "DATE_FORMAT"),
        Case(base(115, published_on=f"11/20/{then}"), "DATE_FORMAT"),
        Case(base(116, score="八十分"), "DECIMAL_FORMAT"),
        Case(base(117, vetoes="不知道的情形", score="50", level=levels["RED"]), "VETO_UNMAPPED"),
        Case(base(118, state="待定"), "STATE_UNMAPPED"),
        Case(base(119, colour="红牌"), "LEVEL_COLOUR_MISMATCH"),
        Case(base(120, colour="黑牌"), "LEVEL_UNMAPPED"),
        Case(base(121, scheme="某某办法"), "SCHEME_UNMAPPED"),
        Case(base(122, year=f"{year}年度", scheme=None)),
        Case(base(123, year="二〇二四"), "YEAR_FORMAT"),
        Case(base(124, name="=演示等号开头有限公司")),
        Case(base(125, vetoes="无", state=side.credit.states.texts["OBJECTION"], objection="对加分项有异议")),
        Case(base(126, county="不存在的区"), "AREA_UNMAPPED"),
        Case(without(127, reasons["NEWLY_ESTABLISHED"], None)),
        Case(without(128, "已停产", "演示数据：全年停产检修")),
        Case(without(129, reasons["OTHER"], "演示数据：厂区整体搬迁")),
        Case(without(165, "厂区整体搬迁", None), "WORD_UNMAPPED"),
        Case({**without(166, "已停产", None), "score": "60"}, "LEVEL_SCORE_MISMATCH"),
    ]


def _wide(text: str) -> str:
    """The same in full-width characters."""
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


def penalty_base(side: Side, number: int, **values: Value) -> dict[str, Value]:
    """A sound penalty of a made-up firm, with some values changed."""
    uscc, name = authority_of(side)
    return {
        "name": made_firm(number),
        "subject_kind": "法人及非法人组织",
        "uscc": made_uscc(side.name, number),
        "decision_no": f"演示环罚〔2025〕{number}号",
        "violation_type": "超标排放水污染物",
        "violation_facts": "演示数据：总排口化学需氧量超过许可浓度。",
        "legal_basis": "《中华人民共和国水污染防治法》第八十三条第二项",
        "penalty_types": "罚款",
        "content": "罚款2000元",
        "fine": "0.2",
        "decided_on": "2025-06-18",
        "effective_until": "2099-12-31",
        "publicity_until": "2026-06-18",
        "authority_name": name,
        "authority_uscc": uscc,
        **values,
    }


def penalty_cases(side: Side) -> list[Case]:
    """Cases that both sides have: money, kinds of penalty, orders, persons, no end."""

    def base(number: int, **values: Value) -> dict[str, Value]:
        return penalty_base(side, number, **values)

    return [
        Case(base(200)),
        Case(base(201, fine="12.345678", content="罚款123456.78元")),
        Case(base(202, fine="1,234.5", decision_no="演示环罚【2025】202号")),
        Case(base(203, penalty_types="罚款、没收违法所得", confiscation="3.6")),
        Case(base(204, penalty_types="罚款；责令改正违法行为")),
        Case(base(205, penalty_types="责令停产停业，罚款", orders="于2025年7月1日前完成整治")),
        Case(base(206, penalty_types="罚款、加倍处罚"), "PENALTY_TYPE_UNMAPPED"),
        Case(base(207, penalty_types="法律、行政法规规定的其他行政处罚", fine="0")),
        Case(base(208, penalty_types="吊销许可证件", fine=None, revoked_licence="排污许可证（演示）001号")),
        Case(base(209, fine="2000元"), "DECIMAL_FORMAT"),
        Case(base(210, effective_until="长期", publicity_until="2026年6月18日")),
        Case(base(211, id_business="500000000000001", id_organisation="MA000211-1")),
        Case(base(212, legal_representative="演示人", dishonesty_class="一般")),
        Case(base(213, dishonesty_class="很严重"), "DISHONESTY_CLASS_UNMAPPED"),
        Case(
            base(
                214,
                name="张演示",
                subject_kind="自然人",
                uscc=None,
                violation_facts="演示数据：张演示驾驶车辆倾倒废液，张演示当场承认。",
                legal_basis="《中华人民共和国固体废物污染环境防治法》第一百一十二条",
            )
        ),
        Case(base(215, uscc=made_uscc(side.name, 215, SOLE_TRADER), subject_kind="个体工商户")),
        Case(base(216, uscc=made_uscc(side.name, 216)[:17] + "?")),  # ill-formed: validation refuses it
        Case(base(217, subject_kind="其他"), "SUBJECT_KIND_UNMAPPED"),
        Case(
            base(
                218,
                notice_kind="联合惩戒",
                measures="B1 限制申请财政性资金项目；C1",
                measure_basis="国办发〔2020〕49号",
                dishonesty_class="严重",
            )
        ),
        Case(base(219, notice_kind="联合惩戒", measures="Z9"), "MEASURE_UNMAPPED"),
        Case(base(220, state="已整改", note="演示数据")),
        Case(base(221, authority_uscc=None, authority_name="演示不知名机关"), "AUTHORITY_UNMAPPED"),
        Case(base(222, authority_uscc=None, authority_name=None)),
    ]


PENALTY_FIELDS: Final = (
    "ignored",
    "name",
    "subject_kind",
    "uscc",
    "id_business",
    "id_organisation",
    "legal_representative",
    "decision_no",
    "violation_type",
    "violation_facts",
    "legal_basis",
    "penalty_types",
    "content",
    "fine",
    "confiscation",
    "revoked_licence",
    "decided_on",
    "effective_until",
    "publicity_until",
    "authority_name",
    "authority_uscc",
    "note",
    "orders",
    "state",
    "notice_kind",
    "dishonesty_class",
    "measures",
    "measure_basis",
)
"""Columns of the sample sheets of penalties; the columns of persons' numbers follow them."""

# Made up: the numbers are sound by their arithmetic, and the area in them does not exist.
_PERSON_NUMBERS: Final = ("509901199001010012", "509901198512120018")


def person_numbers() -> tuple[str, ...]:
    """Made-up resident identity numbers that pass their check (GB 11643)."""
    return tuple(number[:17] + _resident_check(number[:17]) for number in _PERSON_NUMBERS)


def _resident_check(body: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


def add_penalties(samples: Samples) -> None:
    """The penalty documents of a side: current layout as workbook and JSON, 2016 as GB 18030, and refused ones."""
    side = samples.side
    cases = penalty_cases(side)
    kind = Kind.KIND_PENALTY_NOTICE
    rows = table(side, kind, cases, PENALTY_FIELDS)
    first, second = person_numbers()
    headings = side.penalty.layouts[0].aliases
    code = "CF_FR_ZJHM" if "CF_XDR_MC" in map(str, rows[0]) else "法定代表人证件号码"
    person = "CF_XDR_ZJHM" if code.startswith("CF_") else "自然人证件号码"
    assert code in headings
    rows[0] += [code, person]
    for number, row in enumerate(rows[1:], start=1):
        row += [first if number == 3 else None, second if number == 15 else None]
    expected = [case.expected for case in cases]
    sheet = MadeSheet(
        name="行政处罚",
        above=[f"{side.title}行政处罚信息（演示数据）", "填报单位：演示单位　　金额单位：万元"],
        rows=[*rows, [None, "合计", None, len(cases)], ["注：本表为演示数据。"]],
        merged=["A1:F1"],
    )
    samples.add("penalties, current layout", "penalties.xlsx", "PenaltyNotice", made_workbook([sheet]), expected)
    few = table(side, kind, cases[:6], PENALTY_FIELDS)
    note_column = PENALTY_FIELDS.index("note")
    few[2][note_column] = f"当事人身份证号{first}"
    samples.add("penalties, JSON", "penalties.json", "PenaltyNotice", as_json(few, wrapped=True), expected[:6])
    samples.add(
        "penalties, layout of 2016",
        "penalties-2016.csv",
        "PenaltyNotice",
        made_csv(as_texts(_old_rows(side)), "gb18030"),
        [RECORD, RECORD, "STATE_UNMAPPED", RECORD],
    )
    mixed = [["CF_XDR_MC", "CF_WSH", "CF_CFLB", "CF_YXQ", "CF_XZJG", "CF_ZT"], ["演示", "演示1号", "罚款", "", "", "0"]]
    samples.add("both layouts", "penalties-mixed.csv", "PenaltyNotice", made_csv(mixed, "utf-8"), ["LAYOUT_MIXED"])
    samples.add("binary workbook", "old.xls", "PenaltyNotice", OLE_HEAD, ["FILE_TYPE"])


def _old_rows(side: Side) -> list[list[Value]]:
    uscc = [made_uscc(side.name, 230 + number) for number in range(4)]
    _, authority = authority_of(side)
    area = "500112" if side.name == "chongqing" else "510104"
    head: list[Value] = [
        "CF_WSH", "CF_CFMC", "CF_CFLB1", "CF_CFLB2", "CF_SY", "CF_YJ", "CF_XDR_MC", "CF_XDR_SHXYM", "CF_XDR_ZDM",
        "CF_XDR_GSDJ", "CF_XDR_SWDJ", "CF_XDR_SFZ", "CF_FR", "CF_JG", "CF_JDRQ", "CF_SXQ", "CF_XZJG", "CF_ZT", "DFBM",
        "SJC", "BZ",
    ]  # fmt: skip
    law = "《中华人民共和国大气污染防治法》第九十九条"
    fact = "演示数据：颗粒物超过排放标准"
    person = person_numbers()[0]

    def row(n: int, kinds: tuple[str, str], days: tuple[str, str], state: str, note: str = "") -> list[Value]:
        return [
            f"演示环罚[2016]{n}号", "超标排放大气污染物案", *kinds, fact, law, made_firm(230 + n), uscc[n], None,
            None, None, person if n == 1 else None, "演示人", "罚款2万元", *days, authority, state, area,
            "2016-09-30 10:20:30", note,
        ]  # fmt: skip

    return [
        head,
        row(0, ("罚款", ""), ("2016/9/1", ""), "0"),
        row(1, ("罚款", "责令改正"), ("", "2016.9.8"), "正常"),
        row(2, ("罚款", ""), ("2016-09-09", ""), "2"),
        row(3, ("警告", "罚款"), ("2016年9月10日", ""), "1", "撤销后存档"),
    ]
