"""Which role may call what. An rpc that is not in this table may be called by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.crypto.x509.certificates import Role

_NODE = frozenset((Role.NODE,))
_AGENCY = frozenset((Role.AGENCY,))
_AUDITOR = frozenset((Role.AUDITOR,))
_OPERATOR = frozenset((Role.OPERATOR,))
_SECURITY = frozenset((Role.SECURITY,))
# RESTORED is acknowledged by the security officer, who therefore has to see alarms.
_ALARMS = _OPERATOR | _SECURITY

# One asks, the other confirms: whichever of the two begins.
_TWO_OFFICERS = dict.fromkeys(
    ("ListActions", "ConfirmAction", "RefuseAction", "EraseRecord", "ListRetentionDue", "EraseDue"),
    _OPERATOR | _SECURITY,
)

ROLES: Final[Mapping[str, Mapping[str, frozenset[Role]]]] = {
    "SubmissionService": dict.fromkeys(
        (
            "SubmitRecord",
            "BatchSubmitRecords",
            "SubmitDocument",
            "GetSubmission",
            "ListSubmissions",
            "WatchSubmissions",
            "GetReceipt",
            "UploadAttachment",
        ),
        _AGENCY,
    ),
    "RecordService": dict.fromkeys(
        ("GetRecord", "ListRecords", "WatchRecords", "GetEnvelope", "GetAttachment", "ConvertRecord"), _AGENCY
    ),
    "CreditService": dict.fromkeys(("GetCreditStanding", "ListCreditResults"), _AGENCY),
    "MonitoringService": dict.fromkeys(("ListStations", "ListReadings"), _AGENCY),
    "LaboratoryService": dict.fromkeys(("GetLaboratory", "ListLaboratories"), _AGENCY),
    "RuleService": {
        "ListRules": _AGENCY | _OPERATOR | _SECURITY | _AUDITOR,
        "ListEquivalences": _AGENCY | _OPERATOR | _SECURITY | _AUDITOR,
        "ExplainRecognition": _AGENCY,
    },
    "PenaltyService": dict.fromkeys(("GetNotice", "ListNotices", "ListDueFeedback", "ListUnconfirmedEffects"), _AGENCY),
    "RequestService": dict.fromkeys(("ListAlerts", "ListRequests", "GetRequest"), _AGENCY),
    "CheckService": dict.fromkeys(("CheckSubject", "BatchCheckSubjects", "GetSubject"), _AGENCY),
    "AuditService": dict.fromkeys(
        (
            "ListLogs",
            "GetCheckpoint",
            "GetInclusionProof",
            "GetConsistencyProof",
            "ListEntries",
            "StreamEntries",
            "GetSubjectHistory",
            "ReadBody",
            "ListTimestamps",
            "ListRegisterDigests",
        ),
        _AUDITOR,
    ),
    "OperationService": {
        "GetStatus": _OPERATOR,
        "ListAlarms": _ALARMS,
        "AcknowledgeAlarm": _ALARMS,
        "PauseLane": _OPERATOR,
        "ResumeLane": _OPERATOR,
        "RetryLane": _OPERATOR,
        "RetireLane": _OPERATOR,
        "ListQuarantine": _OPERATOR,
        "RetryQuarantine": _OPERATOR,
        "DiscardQuarantine": _OPERATOR,
        "ActivateRules": _OPERATOR,
        "RedecideRecords": _OPERATOR,
        # Who confirms looks at what would change, too.
        "DiffRules": _OPERATOR | _SECURITY,
        "GetRedecision": _OPERATOR | _SECURITY,
    },
    "SecurityService": _TWO_OFFICERS
    | dict.fromkeys(
        (
            "ListAgencies",
            "PutAgency",
            "SuspendAgency",
            "BindKey",
            "ListKeys",
            "StartRotation",
            "AdvanceRotation",
            "AbortRotation",
            "GetRotation",
            "RehearseRotation",
            "ReloadTrust",
            "ListTrust",
            "RemoveTrust",
            "RevokeKey",
            "ListUnprovenRecords",
            "ReconfirmRecords",
            "ListPendingKeys",
            "ConfirmTrust",
        ),
        _SECURITY,
    ),
    "RelayService": dict.fromkeys(
        (
            "Hello",
            "Deliver",
            "FetchEntries",
            "FetchAttachment",
            "CosignJournal",
            "GetTrustMaterial",
            "ReturnCosignature",
            "FetchRequests",
            "ReturnAnswer",
        ),
        _NODE,
    ),
}
"""Roles by service and rpc."""

WITHOUT_DOOR: Final = frozenset(("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"))
"""Services for whoever has a certificate that TLS lets in: they say nothing of anybody."""

WATCHES: Final = frozenset(("WatchSubmissions", "WatchRecords"))
"""Streams that follow until the caller ends them."""


def allowed(service: str, rpc: str, role: Role) -> bool:
    """Whether a role may call an rpc."""
    return role in ROLES.get(service, {}).get(rpc, frozenset())


def serves_agencies(service: str) -> bool:
    """Whether a service is for agencies: those wait while the node recovers."""
    return any(Role.AGENCY in roles for roles in ROLES.get(service, {}).values())
