"""What the numbers mean that lists of a kind are filtered by: the enumerations of levels and of states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import EnumDescriptor

from exchange.v1.alert_pb2 import AlertLevel, ReportKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.case_referral_pb2 import ReferralKind, ReferralState
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.inspection_task_pb2 import InspectionMode, InspectionState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.penalty_notice_pb2 import NoticeKind, PenaltyState
from exchange.v1.revocation_notice_pb2 import RevocationGround
from exchange.v1.standards_equivalence_pb2 import EquivalenceKind

LEVELS: Final[Mapping[int, EnumDescriptor]] = {
    Kind.KIND_CREDIT_RESULT: CreditLevel.DESCRIPTOR,
    Kind.KIND_PENALTY_NOTICE: NoticeKind.DESCRIPTOR,
    Kind.KIND_LIST_ENTRY: ListKind.DESCRIPTOR,
    Kind.KIND_MEASURE_FEEDBACK: MatterKind.DESCRIPTOR,
    Kind.KIND_REVOCATION_NOTICE: RevocationGround.DESCRIPTOR,
    Kind.KIND_CASE_REFERRAL: ReferralKind.DESCRIPTOR,
    Kind.KIND_INSPECTION_TASK: InspectionMode.DESCRIPTOR,
    Kind.KIND_ALERT: AlertLevel.DESCRIPTOR,
    Kind.KIND_STANDARDS_EQUIVALENCE: EquivalenceKind.DESCRIPTOR,
    Kind.KIND_ANSWER: AnswerVerb.DESCRIPTOR,
}
"""What ``KindSpec.level`` is a number of."""

STATES: Final[Mapping[int, EnumDescriptor]] = {
    Kind.KIND_CREDIT_RESULT: CreditState.DESCRIPTOR,
    Kind.KIND_PENALTY_NOTICE: PenaltyState.DESCRIPTOR,
    Kind.KIND_LIST_ENTRY: ListState.DESCRIPTOR,
    Kind.KIND_LAB_QUALIFICATION: LabState.DESCRIPTOR,
    Kind.KIND_CORRECTION_REQUEST: CorrectionState.DESCRIPTOR,
    Kind.KIND_CASE_REFERRAL: ReferralState.DESCRIPTOR,
    Kind.KIND_INSPECTION_TASK: InspectionState.DESCRIPTOR,
    Kind.KIND_ALERT: ReportKind.DESCRIPTOR,
}
"""What ``KindSpec.state`` is a number of."""


def names_of(enumeration: EnumDescriptor) -> dict[str, int]:
    """Full names that a filter may give, with their numbers."""
    return {value.name: value.number for value in enumeration.values if value.number}


def prefix_of(enumeration: EnumDescriptor) -> str:
    """What each name of an enumeration begins with, as in ``CREDIT_LEVEL_``."""
    return str(enumeration.values_by_number[0].name).removesuffix("UNSPECIFIED")
