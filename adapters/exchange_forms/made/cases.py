"""Sample rows of the kinds of :mod:`exchange_forms.flat`, in a side's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from exchange.v1.kind_pb2 import Kind
from exchange_forms.form import Form
from exchange_forms.forms import forms_of
from exchange_forms.made.generate import authority_of
from exchange_forms.made.making import SOLE_TRADER, MadeSheet, Value, made_csv, made_firm, made_uscc, made_workbook
from exchange_forms.made.sampling import Case, Samples, as_texts, table
from exchange_forms.side import Side


def record_id(number: int) -> str:
    """A made-up record id: UUIDv7 in form, of no record."""
    return f"019573a0-6c00-7000-8000-{number:012x}"


def word(side: Side, kind: Kind.ValueType, column: str, *meanings: str) -> str:
    """The side's own words for some meanings of a column."""
    return "；".join(side.forms[kind].words[column].texts[meaning] for meaning in meanings)


def firm(side: Side, number: int) -> dict[str, Value]:
    """A made-up firm and the authority that speaks of it."""
    uscc, name = authority_of(side)
    return {
        "name": made_firm(number),
        "uscc": made_uscc(side.name, number),
        "authority_name": name,
        "authority_uscc": uscc,
    }


def person(side: Side, number: int) -> dict[str, Value]:
    """A made-up natural person: no code, and a name that has to be masked."""
    return {**firm(side, number), "name": "李演示", "uscc": None, "subject_kind": "自然人"}


EFFECTS: Final = ("STOP_PUBLISH", "STOP_SHARE", "LIFT_MEASURES")


def repair_cases(side: Side) -> list[Case]:
    """Which notice, which effects, whom."""
    kind = Kind.KIND_REPAIR_NOTICE

    def base(number: int, **values: Value) -> Mapping[str, Value]:
        return {
            **firm(side, number),
            "notice": record_id(number),
            "document_no": f"演示环修〔2026〕{number}号",
            "issued_on": "2026-02-20",
            "approver": "分管局长",
            "repair_rule": "国家发展改革委令第58号",
            "effects": word(side, kind, "effects", *EFFECTS),
            "due_by": "2026-02-25",
            **values,
        }

    return [
        Case(base(300)),
        Case(base(301, notice=f"{side.side}/{record_id(301)}", ground="期限届满，已履行义务并作出信用承诺")),
        Case(base(302, notice=f"{side.side}/{record_id(302)}/2", issued_on="2026年2月20日", due_by="2026.2.25")),
        Case(base(303, effects="停止共享和使用、解除惩戒、终止公示")),
        Case(base(304, effects="终止公示；停止共享；从轻处理"), "WORD_UNMAPPED"),
        Case(base(305, notice="演示环罚〔2025〕305号"), "RECORD_REF_INVALID"),
        Case(base(306, notice=f"{side.side}:{record_id(306)}"), "RECORD_REF_INVALID"),
        Case(base(307, due_by="三个工作日内"), "DATE_FORMAT"),
        Case(base(308, document_no=20260308), "CELL_NUMERIC_CODE"),
        Case(base(309, county="不存在的区"), "AREA_UNMAPPED"),
        Case({**base(310), **person(side, 310), "ground": "李演示已改正"}),
        Case(base(311, uscc=made_uscc(side.name, 311, SOLE_TRADER), subject_kind="个体工商户")),
        Case(base(312, authority_uscc=None, authority_name="演示不知名机关"), "AUTHORITY_UNMAPPED"),
    ]


def revocation_cases(side: Side) -> list[Case]:
    """By which way, since when, on what basis."""
    kind = Kind.KIND_REVOCATION_NOTICE

    def base(number: int, **values: Value) -> Mapping[str, Value]:
        return {
            **firm(side, number),
            "notice": record_id(number),
            "document_no": f"演示府复〔2026〕{number}号",
            "issued_on": "2026-02-20",
            "ground": word(side, kind, "ground", "RECONSIDERATION"),
            "decided_by": "演示市人民政府",
            "legal_basis": "行政复议法 第六十四条",
            "retroactive": "是",
            "effects": word(side, kind, "effects", *EFFECTS),
            "due_by": "2026-02-25",
            **values,
        }

    return [
        Case(base(320)),
        Case(base(321, ground=word(side, kind, "ground", "LITIGATION"), decided_by="演示人民法院", retroactive="否")),
        Case(base(322, ground=word(side, kind, "ground", "SELF_CORRECTION"), decided_by=None)),
        Case(base(323, ground=word(side, kind, "ground", "SUPERVISION"), legal_basis="行政处罚法 第七十五条；条例")),
        Case(base(324, ground="协商"), "WORD_UNMAPPED"),
        Case(base(325, retroactive=None), "FIELD_MISSING"),
        Case(base(326, retroactive="视情况"), "YES_NO_UNMAPPED"),
        Case(base(327, notice="原处罚"), "RECORD_REF_INVALID"),
        Case(base(328, effects="全部"), "WORD_UNMAPPED"),
    ]


_CASES: Final[Mapping[Kind.ValueType, Callable[[Side], list[Case]]]] = {
    Kind.KIND_REPAIR_NOTICE: repair_cases,
    Kind.KIND_REVOCATION_NOTICE: revocation_cases,
}


def add_flat(samples: Samples) -> None:
    """A workbook of each kind, and one kind as CSV."""
    side = samples.side
    forms = forms_of(side)
    for kind, cases_of in _CASES.items():
        _add_workbook(samples, forms[kind], cases_of(side))
    form, cases = forms[Kind.KIND_REPAIR_NOTICE], repair_cases(side)[:8]
    rows = table(side, form.kind, cases, [column.field for column in form.columns])
    for row in rows[1:]:
        at = [column.field for column in form.columns].index("document_no")
        row[at] = f"{row[at]}之二"
    expected = [case.expected for case in cases]
    samples.add(
        "repair-notice, CSV", "repair-notice.csv", "RepairNotice", made_csv(as_texts(rows), "gb18030"), expected
    )


def _add_workbook(samples: Samples, form: Form, cases: list[Case]) -> None:
    side = samples.side
    rows = table(side, form.kind, cases, [column.field for column in form.columns])
    sheet = MadeSheet(
        name=form.sheet,
        above=[f"{side.title}{form.sheet}（演示数据）", "填报单位：演示单位"],
        rows=[*rows, ["注：本表为演示数据。"]],
        merged=["A1:F1"],
    )
    kind = Kind.Name(form.kind).removeprefix("KIND_").title().replace("_", "")
    expected = [case.expected for case in cases]
    samples.add(f"{form.name}, workbook", f"{form.name}.xlsx", kind, made_workbook([sheet]), expected)
