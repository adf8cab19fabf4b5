"""The kinds that are mapped by parts; what a side calls columns and words stands in its table files."""

from __future__ import annotations

from typing import Final

from exchange.v1.kind_pb2 import Kind
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange.v1.revocation_notice_pb2 import RevocationGround
from exchange_forms.flat.cells import Choice, Choices, Day, Flag, Text, Texts
from exchange_forms.flat.part import FlatKind
from exchange_forms.flat.whom import Act, Reference, Subject

REPAIR: Final = FlatKind(
    kind=Kind.KIND_REPAIR_NOTICE,
    parts=(
        Subject(),
        Act(),
        Reference("notice", own=True),
        Choices("effects", enum=RepairEffect),
        Day("due_by"),
        Text("repair_rule"),
        Text("ground"),
    ),
    found_by=(("notice",), ("document_no",), ("effects",)),
    identifying=("name", "uscc", "notice", "document_no"),
    needed=(("name",), ("issued_on",), ("due_by",), ("repair_rule",)),
)
"""信用修复."""

REVOCATION: Final = FlatKind(
    kind=Kind.KIND_REVOCATION_NOTICE,
    parts=(
        Subject(),
        Act(),
        Reference("notice", own=True),
        Choice("ground", enum=RevocationGround),
        Text("decided_by"),
        Flag("retroactive"),
        Choices("effects", enum=RepairEffect),
        Day("due_by"),
        Texts("legal_basis"),
    ),
    found_by=(("notice",), ("document_no",), ("ground",)),
    identifying=("name", "uscc", "notice", "document_no"),
    needed=(("name",), ("issued_on",), ("due_by",), ("effects",), ("legal_basis",), ("retroactive",)),
)
"""撤销."""

FLAT_KINDS: Final = (REPAIR, REVOCATION)
