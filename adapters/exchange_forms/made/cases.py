"""Samples of the kinds of :mod:`exchange_forms.flat`, in a side's own layouts: a workbook of each, and one as CSV."""

from __future__ import annotations

from exchange.v1.kind_pb2 import Kind
from exchange_forms.form import Form
from exchange_forms.forms import forms_of
from exchange_forms.made.alerts import alert_cases
from exchange_forms.made.laboratories import lab_cases
from exchange_forms.made.making import MadeSheet, made_csv, made_workbook
from exchange_forms.made.notices import feedback_cases, list_cases, repair_cases, revocation_cases
from exchange_forms.made.requests import correction_cases, inspection_cases, referral_cases
from exchange_forms.made.sampling import Case, Samples, as_texts, table
from exchange_forms.sides.side import Side


def _cases(side: Side, year: int) -> dict[Kind.ValueType, list[Case]]:
    return {
        Kind.KIND_REPAIR_NOTICE: repair_cases(side),
        Kind.KIND_REVOCATION_NOTICE: revocation_cases(side),
        Kind.KIND_LIST_ENTRY: list_cases(side, year),
        Kind.KIND_MEASURE_FEEDBACK: feedback_cases(side),
        Kind.KIND_CORRECTION_REQUEST: correction_cases(side),
        Kind.KIND_CASE_REFERRAL: referral_cases(side),
        Kind.KIND_INSPECTION_TASK: inspection_cases(side),
        Kind.KIND_LAB_QUALIFICATION: lab_cases(side),
        Kind.KIND_ALERT: alert_cases(side),
    }


def add_flat(samples: Samples, year: int) -> None:
    """A workbook of each kind, and one kind as CSV; list entries after an evaluation year."""
    side = samples.side
    forms = forms_of(side)
    for kind, cases in _cases(side, year).items():
        _add_workbook(samples, forms[kind], cases)
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
