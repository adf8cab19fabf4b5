"""The forms of credit results and penalties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.v1.kind_pb2 import Kind
from exchange_forms.form import Form
from exchange_forms.registers.credit import map_credit
from exchange_forms.registers.penalty import map_penalty
from exchange_forms.registers.values import credit_values, penalty_values
from exchange_forms.sides.side import CREDIT, CURRENT, Side
from exchange_forms.subject import subject_choices


def credit_form(side: Side) -> Form:
    """Credit results of a side."""
    tables = side.credit

    def choices() -> Mapping[str, Sequence[str]]:
        return {
            **subject_choices(side),
            "level": list(tables.levels.texts.values()),
            "not_evaluated": list(tables.not_evaluated.texts.values()),
            "colour": list(tables.colours.texts.values()),
            "state": list(tables.states.texts.values()),
            "self_declared": list(side.yes_no.texts.values()),
            "scheme": list(tables.scheme_rules),
            "vetoes": list(tables.vetoes.texts.values()),
        }

    return Form(
        kind=Kind.KIND_CREDIT_RESULT,
        name="credit",
        field="credit_result",
        layouts=(tables.layout,),
        columns=tables.layout.columns,
        found_by=(("name",), ("level",)),
        identifying=("name", "uscc", "permit_code"),
        needed=(("uscc",), ("year", "window_end")),
        editions={CREDIT: tables.edition},
        sheet="信用评价结果",
        notes=side.notes,
        read=lambda rows, document, columns: map_credit(rows[0], side, document, columns),
        write=lambda record: [credit_values(record, side)],
        choices=choices,
        suggested=frozenset({"vetoes"}),
    )


def penalty_form(side: Side) -> Form:
    """Penalties of a side, in both editions of the national layout."""
    tables = side.penalty

    def choices() -> Mapping[str, Sequence[str]]:
        return {
            **subject_choices(side),
            "state": list(tables.states.texts.values()),
            "dishonesty_class": list(tables.classes.texts.values()),
            "notice_kind": list(tables.notice_kinds.texts.values()),
        }

    return Form(
        kind=Kind.KIND_PENALTY_NOTICE,
        name="penalty",
        field="penalty_notice",
        layouts=tables.layouts,
        columns=next(layout.columns for layout in tables.layouts if layout.name == CURRENT),
        found_by=(("name",), ("decision_no",)),
        identifying=("name", "uscc", "decision_no"),
        needed=(
            ("penalty_types",),
            ("legal_basis",),
            ("decided_on", "effective_from"),
            ("violation_facts", "violation_cause"),
        ),
        editions={layout.name: layout.name for layout in tables.layouts},
        sheet="行政处罚",
        notes=side.notes,
        read=lambda rows, document, columns: map_penalty(rows[0], side, document, columns),
        write=lambda record: [penalty_values(record, side)],
        choices=choices,
    )
