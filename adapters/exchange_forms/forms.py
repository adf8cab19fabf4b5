"""Every form that a side has."""

from __future__ import annotations

from exchange.v1.kind_pb2 import Kind
from exchange_forms.flat.forms import flat_forms
from exchange_forms.form import Form
from exchange_forms.registers.forms import credit_form, penalty_form
from exchange_forms.sides.side import Side


def forms_of(side: Side) -> dict[Kind.ValueType, Form]:
    """A side's forms by kind."""
    return {form.kind: form for form in (credit_form(side), penalty_form(side), *flat_forms(side))}
