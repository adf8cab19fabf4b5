"""监测机构资质: one laboratory; a row for each line of its scope, and for each suspension."""

from __future__ import annotations

from typing import Final

from exchange.domain.codes import cma_no_holds
from exchange.v1.kind_pb2 import Kind
from exchange.v1.lab_qualification_pb2 import LabState
from exchange_forms.flat.cells import Choice, Day, Field, Number, Text, Texts
from exchange_forms.flat.items import Items
from exchange_forms.flat.part import Context, FlatKind
from exchange_forms.flat.quantities import Factor
from exchange_forms.flat.whom import Act, Reference, Subject
from exchange_forms.row import RowMapping
from exchange_sheets.book import in_words


class CmaNo(Field):
    """The number of a CMA certificate, in a cell of text."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Normalised; what can not be such a number waits."""
        code = row.code(self.column, self.target)
        if code and not cma_no_holds(code):
            row.fault("CMA_NO_FORMAT", row.row.cells[self.column], in_words(code, 30))


LABORATORY: Final = FlatKind(
    kind=Kind.KIND_LAB_QUALIFICATION,
    parts=(
        Subject(),
        Act(),
        CmaNo("cma_no"),
        Text("issuing_body"),
        Day("first_issued_on"),
        Day("valid_from"),
        Day("valid_until"),
        Text("roster"),
        Number("roster_no"),
        Choice("state", enum=LabState),
        Day("state_since"),
        Text("removal_ground"),
        Number("filing_no"),
        Text("credit_scheme", "credit.scheme_id"),
        Text("credit_level", "credit.source_level_text"),
        Text("credit_risk", "credit.source_risk_text"),
        Texts("legal_basis"),
        Items(
            "scope",
            (
                Text("scope_object", "object"),
                Text("scope_parameter", "parameter"),
                Factor("scope_factor", "factor_code"),
                Number("scope_method", "method_standard"),
                Text("scope_limitation", "limitation"),
                Day("scope_from", "valid_from"),
                Day("scope_until", "valid_until"),
            ),
        ),
        Items(
            "suspensions",
            (
                Day("suspended_from"),
                Day("suspended_until"),
                Text("suspension_ground", "ground"),
                Number("suspension_document_no", "document_no"),
                Reference("suspension_notice", "notice"),
            ),
        ),
    ),
    found_by=(("cma_no",), ("scope_method",), ("scope_parameter",)),
    identifying=("cma_no", "name", "uscc"),
    needed=(
        ("name",),
        ("uscc",),
        ("issuing_body",),
        ("valid_from",),
        ("valid_until",),
        ("roster",),
        ("state",),
        ("state_since",),
        ("scope_object",),
        ("scope_from",),
    ),
    joined_by=("cma_no", "uscc"),
)
