"""The kinds that are mapped by parts; what a side calls columns and words stands in its table files."""

from __future__ import annotations

from typing import Final

from exchange.v1.case_referral_pb2 import ReferralKind, ReferralState
from exchange.v1.correction_request_pb2 import CorrectionRequester, CorrectionState
from exchange.v1.inspection_task_pb2 import InspectionMode, InspectionState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.list_entry_pb2 import ListExitReason, ListKind, ListState
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.measure_feedback_pb2 import FeedbackResult
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange.v1.revocation_notice_pb2 import RevocationGround
from exchange_forms.flat.alerts import ALERT
from exchange_forms.flat.cells import Amount, Choice, Choices, Code, Day, Flag, Number, Text, Texts
from exchange_forms.flat.items import Items
from exchange_forms.flat.laboratories import LABORATORY
from exchange_forms.flat.part import FlatKind
from exchange_forms.flat.what import CatalogueMeasure, FieldPath
from exchange_forms.flat.whom import Act, Area, Authorities, Named, OwnId, Reference, References, Subject

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

LIST: Final = FlatKind(
    kind=Kind.KIND_LIST_ENTRY,
    parts=(
        Subject(),
        Act(),
        Choice("list_kind", enum=ListKind),
        Text("list_id"),
        Text("list_edition"),
        Day("entered_on"),
        Day("valid_until"),
        Text("entry_reason"),
        Texts("legal_basis"),
        Reference("derived_from"),
        Choice("state", enum=ListState),
        Choice("exit_reason", "exit.reason", enum=ListExitReason),
        Day("exited_on", "exit.exited_on"),
        Items("measures", (CatalogueMeasure(addressed=True), Texts("measure_basis", "legal_basis"))),
        Items(
            "wastes",
            (
                Code("waste_category", "category"),
                Code("waste_code"),
                Text("treatment"),
                Amount("tonnes_per_year"),
            ),
        ),
    ),
    found_by=(("list_id",), ("list_kind",), ("entered_on",)),
    identifying=("name", "uscc", "list_id"),
    needed=(("name",), ("uscc",), ("legal_basis",), ("entry_reason",), ("state",)),
    joined_by=("list_id", "uscc", "entered_on"),
)
"""红黑白名单: a row for each measure or waste of an entry."""

FEEDBACK: Final = FlatKind(
    kind=Kind.KIND_MEASURE_FEEDBACK,
    parts=(
        Subject(),
        Reference("notice"),
        Choice("matter_kind", enum=MatterKind),
        Number("matter_no"),
        Items("results", (CatalogueMeasure(), Choice("result", enum=FeedbackResult), Text("reason"))),
        Number("done_in", "document_no"),
        Day("acted_on"),
        Number("officer_ref"),
        Number("check_id"),
    ),
    found_by=(("notice",), ("matter_no",), ("result",)),
    identifying=("name", "uscc", "notice", "matter_no"),
    needed=(("name",), ("measure",), ("matter_kind",), ("acted_on",), ("officer_ref",)),
    joined_by=("notice", "matter_no"),
)
"""措施反馈: a row for each measure."""

CORRECTION: Final = FlatKind(
    kind=Kind.KIND_CORRECTION_REQUEST,
    parts=(
        OwnId("own_id"),
        Reference("record"),
        Area(),
        Choice("requester", enum=CorrectionRequester),
        Items("items", (FieldPath("field"), Text("proposed"), Text("reason"))),
        Day("requested_on"),
        Day("due_by"),
        Choice("state", enum=CorrectionState),
    ),
    found_by=(("record",), ("requester",), ("reason",)),
    identifying=("record", "reason"),
    needed=(("ignored",), ("requested_on",), ("state",), ("city", "county", "area_code")),
    joined_by=("ignored",),
)
"""校核纠错: a row for each doubted field, under one number."""

REFERRAL: Final = FlatKind(
    kind=Kind.KIND_CASE_REFERRAL,
    parts=(
        Subject(),
        Number("case_no"),
        Choice("referral_kind", enum=ReferralKind),
        Text("facts"),
        Texts("legal_basis"),
        Named("addressee"),
        Texts("materials"),
        References("related"),
        Day("referred_on"),
        Day("due_by"),
        Choice("state", enum=ReferralState),
        Text("closing_ground"),
    ),
    found_by=(("case_no",), ("referral_kind",)),
    identifying=("name", "uscc", "case_no"),
    needed=(("name",), ("facts",), ("legal_basis",), ("referred_on",), ("state",)),
)
"""案件移送."""

INSPECTION: Final = FlatKind(
    kind=Kind.KIND_INSPECTION_TASK,
    parts=(
        Number("task_no"),
        Choice("mode", enum=InspectionMode),
        Text("topic"),
        Area("task_"),
        Day("planned_from"),
        Day("planned_until"),
        Authorities("participants"),
        Text("sampling_rule"),
        Items("targets", (Subject(header=False), Text("chosen_by"), Text("finding"))),
        Text("request"),
        Choice("state", enum=InspectionState),
        Text("conclusion"),
        Texts("legal_basis"),
    ),
    found_by=(("task_no",), ("mode",), ("topic",)),
    identifying=("task_no", "name", "uscc"),
    needed=(("planned_from",), ("planned_until",), ("state",), ("task_city", "task_county", "task_area_code")),
    joined_by=("task_no",),
)
"""联合检查: a row for each firm."""

FLAT_KINDS: Final = (REPAIR, REVOCATION, LIST, FEEDBACK, CORRECTION, REFERRAL, INSPECTION, LABORATORY, ALERT)
