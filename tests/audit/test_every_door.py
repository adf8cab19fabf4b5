"""A tombstone holds on every door: each rpc of the schema is walked, or says why no content can leave by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from exchange.crypto.x509.certificates import Role
from exchange.v1 import (
    audit_service_pb2 as audit,
)
from exchange.v1 import (
    check_service_pb2 as checks,
)
from exchange.v1 import (
    credit_service_pb2 as credit,
)
from exchange.v1 import (
    laboratory_service_pb2 as labs,
)
from exchange.v1 import (
    monitoring_service_pb2 as monitoring,
)
from exchange.v1 import (
    operation_service_pb2 as operation,
)
from exchange.v1 import (
    penalty_service_pb2 as penalties,
)
from exchange.v1 import (
    record_service_pb2 as record,
)
from exchange.v1 import (
    relay_service_pb2 as relay,
)
from exchange.v1 import (
    request_service_pb2 as requests,
)
from exchange.v1 import (
    rule_service_pb2 as rules,
)
from exchange.v1 import (
    security_service_pb2 as security,
)
from exchange.v1 import (
    submission_service_pb2 as submission,
)
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.record_pb2 import Record
from tests.cli.conftest import run
from tests.domain import records
from tests.flows.files import listed, made_file
from tests.processes.test_every_rpc import METHODS
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, credit_of, firm, submit, wait_settled
from tests.rpc.test_alerts import profile_of, report
from tests.rpc.test_attachments import fetch
from tests.rpc.test_labs import lab_of
from tests.rpc.test_repairs import act_on, notice_about

SECRET = "隐去之文"
VALUE = "7.7707"
"""What stands in the records and must leave by no door once they are withheld or erased."""

STATION = "STN9700000000000000000000"
ABOUT = firm(970)
LAB = 99
FILE = made_file(3_000)


@dataclass
class Walk:
    """One side of the link, with a caller of each sort.

    Attributes:
        ids: Records by what became of them.
        cursor: Of WatchRecords, from before anything was withheld.
        then: An instant before.
    """

    door: AgencyDoor
    agency: Stubs
    auditor: Stubs
    operator: Stubs
    security: Stubs
    ids: dict[str, str]
    cursor: str = ""
    then: datetime = field(default_factory=lambda: datetime.now(UTC))

    def refs(self) -> Iterator[RecordRef]:
        """Every record in every revision."""
        for each in self.ids.values():
            for revision in (0, 1):
                yield RecordRef(origin="cq", record_id=each, revision=revision)


def tried(stubs: Stubs, method: Any, request: Message) -> list[Message]:
    """The answer, or the refusal's own words: those must not say it either."""
    try:
        return [stubs.call(method, request)]
    except CallFailed as failure:
        return [operation.Alarm(detail=str(failure))]


def _each(service: str, method: str, request: type[Message], name: str = "ref") -> Callable[[Walk], list[Message]]:
    """One call for each record."""

    def walk(at: Walk) -> list[Message]:
        stub = getattr(getattr(at.agency, service), method)
        return [got for ref in at.refs() for got in tried(at.agency, stub, request(**{name: ref}))]

    return walk


def _one(service: str, method: str, *made: Message) -> Callable[[Walk], list[Message]]:
    """Some calls of an agency."""

    def walk(at: Walk) -> list[Message]:
        stub = getattr(getattr(at.agency, service), method)
        return [got for request in made for got in tried(at.agency, stub, request)]

    return walk


def watched(at: Walk) -> list[Message]:
    """Everything from the first record on, and from an old cursor."""
    seen: list[Message] = []
    starts: list[dict[str, Any]] = [{"from_start": True}]
    if at.cursor:
        starts.append({"cursor": at.cursor})
    for start in starts:
        call = at.agency.stream(at.agency.record.WatchRecords, record.WatchRecordsRequest(**start))
        for message in call:
            seen.append(message)
            if message.WhichOneof("event") == "caught_up":
                break
        call.cancel()
    return seen


def attached(at: Walk) -> list[Message]:
    """The file that the repaired and the erased notice list."""
    found: list[record.GetAttachmentResponse] = []
    for name in ("repaired", "erased"):
        try:
            found += fetch(at.agency, at.ids[name])
        except (CallFailed, grpc.RpcError):
            continue
    # Told as text, so that one look serves all doors.
    return [record.GetAttachmentResponse(content=SECRET.encode()) for each in found if each.content]


def checked(at: Walk) -> list[Message]:
    """A check of the firm."""
    asked = checks.CheckSubjectRequest(
        uscc=ABOUT,
        matter_kind=MatterKind.MATTER_KIND_FUNDS,
        matter_no="演审〔2026〕门1号",
        purpose="财政资金安排审查",
        officer_ref="0117",
        area_code="500107",
    )
    return tried(at.agency, at.agency.check.CheckSubject, asked)


def checked_together(at: Walk) -> list[Message]:
    """The firm among others."""
    asked = checks.BatchCheckSubjectsRequest(
        usccs=[ABOUT, firm(971)],
        matter_kind=MatterKind.MATTER_KIND_INSPECTION,
        matter_no="演查〔2026〕门1号",
        purpose="双随机抽查",
        officer_ref="0117",
        area_code="500107",
    )
    return tried(at.agency, at.agency.check.BatchCheckSubjects, asked)


def pictured(at: Walk) -> list[Message]:
    """The firm's picture, now and as it was before, with its history."""
    now = checks.GetSubjectRequest(uscc=ABOUT, include_history=True)
    then = checks.GetSubjectRequest(uscc=ABOUT, include_history=True)
    then.as_of.FromDatetime(at.then)
    return [got for each in (now, then) for got in tried(at.agency, at.agency.check.GetSubject, each)]


def submissions(at: Walk) -> list[Message]:
    """Each submission, by id and as a list."""
    stub = at.agency.submission
    found = tried(at.agency, stub.ListSubmissions, submission.ListSubmissionsRequest(page_size=500))
    for each in at.ids.values():
        found += tried(at.agency, stub.GetSubmission, submission.GetSubmissionRequest(record_id=each))
    return found


def receipts(at: Walk) -> list[Message]:
    """Receipts: proof and entry, never a body."""
    made = [submission.GetReceiptRequest(record_id=each) for each in at.ids.values()]
    return [got for each in made for got in tried(at.agency, at.agency.submission.GetReceipt, each)]


def submissions_watched(at: Walk) -> list[Message]:
    """What becomes of submissions, from the first on."""
    request = submission.WatchSubmissionsRequest(from_start=True)
    call = at.agency.stream(at.agency.submission.WatchSubmissions, request)
    seen: list[Message] = []
    for message in call:
        seen.append(message)
        if message.WhichOneof("event") == "caught_up":
            break
    call.cancel()
    return seen


def explained(at: Walk) -> list[Message]:
    """Why each was decided so: facts are codes, dates and numbers."""
    made = [rules.ExplainRecognitionRequest(ref=ref) for ref in at.refs()]
    return [got for each in made for got in tried(at.agency, at.agency.rules.ExplainRecognition, each)]


def entries(at: Walk) -> list[Message]:
    """Every entry of every log, journal included."""
    logs = at.auditor.call(at.auditor.audit.ListLogs, audit.ListLogsRequest()).logs
    made = [audit.StreamEntriesRequest(origin=log.origin) for log in logs]
    return [got for each in made for got in at.auditor.stream(at.auditor.audit.StreamEntries, each)]


def entries_listed(at: Walk) -> list[Message]:
    """The same, a page each."""
    logs = at.auditor.call(at.auditor.audit.ListLogs, audit.ListLogsRequest()).logs
    made = [audit.ListEntriesRequest(origin=log.origin, page_size=500) for log in logs]
    return [got for each in made for got in tried(at.auditor, at.auditor.audit.ListEntries, each)]


def histories(at: Walk) -> list[Message]:
    """What auditors see of the firm."""
    return tried(at.auditor, at.auditor.audit.GetSubjectHistory, audit.GetSubjectHistoryRequest(uscc=ABOUT))


def registers(at: Walk) -> list[Message]:
    """Every row of every register."""
    stub = at.auditor.audit.ListRegisterDigests
    (first,) = tried(at.auditor, stub, audit.ListRegisterDigestsRequest())
    found = [first]
    for name in first.registers:  # type: ignore[attr-defined]
        found += tried(at.auditor, stub, audit.ListRegisterDigestsRequest(register=name, rows=True))
    return found


def bodies(at: Walk) -> list[Message]:
    """Bodies by an auditor's reason; what is withheld may be read so, and nothing else here is."""
    made = [audit.ReadBodyRequest(record=ref, reason="门") for ref in at.refs() if ref.record_id == at.ids["erased"]]
    return [got for each in made for got in tried(at.auditor, at.auditor.audit.ReadBody, each)]


def quarantined(at: Walk) -> list[Message]:
    """Rows that could not be mapped."""
    request = operation.ListQuarantineRequest(include_closed=True)
    return tried(at.operator, at.operator.operation.ListQuarantine, request)


def shown_to_operators(at: Walk) -> list[Message]:
    """Status and alarms."""
    found = tried(at.operator, at.operator.operation.GetStatus, operation.GetStatusRequest())
    return found + tried(at.operator, at.operator.operation.ListAlarms, operation.ListAlarmsRequest())


def shown_to_security(at: Walk) -> list[Message]:
    """Actions, and records that nobody can prove."""
    found = tried(at.security, at.security.security.ListActions, security.ListActionsRequest(include_closed=True))
    found += tried(at.security, at.security.security.ListRetentionDue, security.ListRetentionDueRequest())
    return found + tried(at.security, at.security.security.ListUnprovenRecords, security.ListUnprovenRecordsRequest())


def relayed(at: Walk) -> list[Message]:
    """Our log as the peer gives it back: what was erased has no body there. What is withheld stays with both nodes."""
    world = at.door.world
    found: list[Message] = []
    for lane in ("registry", "telemetry", "urgent"):
        request = relay.FetchEntriesRequest(origin=f"cq.exchange.example/to/sc/{lane}/1", limit=1_000)
        answer = world.run(world.wires["cq"].fetch_entries(request))
        found += [each for each in answer.bodies if _of_erased(each, at)]
    return found


def _of_erased(entry: Message, at: Walk) -> bool:
    withheld = [at.ids["repaired"].encode(), at.ids["revoked"].encode()]
    return not any(each in entry.SerializeToString() for each in withheld)


SHOWS: dict[str, Callable[[Walk], list[Message]]] = {
    "RecordService.GetRecord": _each("record", "GetRecord", record.GetRecordRequest),
    "RecordService.ListRecords": _one(
        "record",
        "ListRecords",
        record.ListRecordsRequest(include_replaced=True, page_size=500),
        record.ListRecordsRequest(uscc=ABOUT, include_replaced=True),
    ),
    "RecordService.WatchRecords": watched,
    "RecordService.GetEnvelope": _each("record", "GetEnvelope", record.GetEnvelopeRequest),
    "RecordService.ConvertRecord": _each("record", "ConvertRecord", record.ConvertRecordRequest),
    "RecordService.GetAttachment": attached,
    "CreditService.GetCreditStanding": _one("credit", "GetCreditStanding", credit.GetCreditStandingRequest(uscc=ABOUT)),
    "CreditService.ListCreditResults": _one("credit", "ListCreditResults", credit.ListCreditResultsRequest(uscc=ABOUT)),
    "MonitoringService.ListReadings": _one(
        "monitoring",
        "ListReadings",
        monitoring.ListReadingsRequest(station_id=STATION, include_replaced=True),
    ),
    "MonitoringService.ListStations": _one("monitoring", "ListStations", monitoring.ListStationsRequest(page_size=500)),
    "LaboratoryService.GetLaboratory": _one(
        "laboratory",
        "GetLaboratory",
        labs.GetLaboratoryRequest(cma_no=f"22221205{LAB:04d}", on="2026-03-01"),
    ),
    "PenaltyService.GetNotice": _each("penalty", "GetNotice", penalties.GetNoticeRequest),
    "PenaltyService.ListNotices": _one("penalty", "ListNotices", penalties.ListNoticesRequest(uscc=ABOUT)),
    "RequestService.ListAlerts": _one(
        "requests",
        "ListAlerts",
        requests.ListAlertsRequest(include_answered=True),
        requests.ListAlertsRequest(ours=True, include_answered=True),
    ),
    "RequestService.GetRequest": _each("requests", "GetRequest", requests.GetRequestRequest),
    "CheckService.CheckSubject": checked,
    "CheckService.GetSubject": pictured,
    "AuditService.ReadBody": bodies,
    "RelayService.FetchEntries": relayed,
}
"""Doors by which content leaves while it may."""

NEVER: dict[str, Callable[[Walk], list[Message]]] = {
    "LaboratoryService.ListLaboratories": _one(
        "laboratory", "ListLaboratories", labs.ListLaboratoriesRequest(on="2026-03-01", page_size=500)
    ),
    "PenaltyService.ListDueFeedback": _one(
        "penalty", "ListDueFeedback", penalties.ListDueFeedbackRequest(include_given=True)
    ),
    "PenaltyService.ListUnconfirmedEffects": _one(
        "penalty", "ListUnconfirmedEffects", penalties.ListUnconfirmedEffectsRequest()
    ),
    "RequestService.ListRequests": _one("requests", "ListRequests", requests.ListRequestsRequest()),
    "CheckService.BatchCheckSubjects": checked_together,
    "RuleService.ExplainRecognition": explained,
    "SubmissionService.GetSubmission": submissions,
    "SubmissionService.ListSubmissions": submissions,
    "SubmissionService.WatchSubmissions": submissions_watched,
    "SubmissionService.GetReceipt": receipts,
    "AuditService.ListEntries": entries_listed,
    "AuditService.StreamEntries": entries,
    "AuditService.GetSubjectHistory": histories,
    "AuditService.ListRegisterDigests": registers,
    "OperationService.ListQuarantine": quarantined,
    "OperationService.GetStatus": shown_to_operators,
    "OperationService.ListAlarms": shown_to_operators,
    "SecurityService.ListActions": shown_to_security,
    "SecurityService.ListRetentionDue": shown_to_security,
    "SecurityService.ListUnprovenRecords": shown_to_security,
}
"""Doors that name records, and are walked because content must not leave there by mistake."""

HASHES = "hashes, sizes and signatures"
OWN = "takes what the caller brings and answers with ids, codes and the caller's own words"
ORDERS = "carries out an order about lanes, rows, alarms or rules; names ids"
KEYS = "keys, certificates, agencies and officers' acts"
RULES = "editions of rules and what they would decide: facts as codes, dates, numbers"
APART = (
    dict.fromkeys(("GetCheckpoint", "GetInclusionProof", "GetConsistencyProof", "ListLogs", "ListTimestamps"), HASHES)
    | dict.fromkeys(("SubmitRecord", "BatchSubmitRecords", "SubmitDocument", "UploadAttachment"), OWN)
    | dict.fromkeys(
        ("AcknowledgeAlarm", "PauseLane", "ResumeLane", "RetryLane", "RetireLane", "RetryQuarantine"), ORDERS
    )
    | dict.fromkeys(("DiscardQuarantine", "ActivateRules", "RedecideRecords", "GetRedecision"), ORDERS)
    | dict.fromkeys(("DiffRules", "ListRules", "ListEquivalences"), RULES)
    | dict.fromkeys(
        tuple(m.name for m in METHODS if m.containing_service.name == "SecurityService" and "List" not in m.name), KEYS
    )
    | dict.fromkeys(("ListAgencies", "ListKeys", "ListTrust", "ListPendingKeys"), KEYS)
    | dict.fromkeys(
        ("Hello", "CosignJournal", "GetTrustMaterial", "ReturnCosignature"), "between nodes: heads and signatures"
    )
    | dict.fromkeys(
        ("Deliver", "FetchRequests", "ReturnAnswer", "FetchAttachment"),
        "between nodes: what the log holds; a body that was erased is on neither disk, and withheld files are not sent",
    )
)
"""Why no content of a record that others state can leave by an rpc."""


def test_every_rpc_has_a_statement() -> None:
    """A new rpc is walked here, or says why it need not be."""
    known = set(SHOWS) | set(NEVER)
    lacking = [
        f"{each.containing_service.name}.{each.name}"
        for each in METHODS
        if f"{each.containing_service.name}.{each.name}" not in known and each.name not in APART
    ]
    assert lacking == []
    assert not {name.partition(".")[2] for name in known} & set(APART)
    assert known <= {f"{each.containing_service.name}.{each.name}" for each in METHODS}


def _made() -> dict[str, Record]:
    """Records that say it, about one firm."""
    repaired, revoked, erased = (notice_about(ABOUT, f"演环惩〔2026〕97{n}号") for n in range(3))
    for notice in (repaired, erased):
        notice.header.attachments.append(listed(FILE))
    result, batch, lab, alert = credit_of(ABOUT), batch_of(STATION, value=VALUE), lab_of(LAB), report("CQ-2026-DOOR")
    result.credit_result.subject.name = SECRET
    batch.monitoring_batch.station.name = SECRET
    lab.lab_qualification.roster = SECRET
    alert.alert.location.place = SECRET
    for notice in (repaired, revoked, erased):
        notice.penalty_notice.violation_facts = SECRET
    return {
        "repaired": repaired,
        "revoked": revoked,
        "erased": erased,
        "credit": result,
        "batch": batch,
        "lab": lab,
        "alert": alert,
    }


@pytest.fixture(scope="module")
def walks(doors: dict[str, AgencyDoor]) -> dict[str, Walk]:
    """Both sides, with everything still shown."""
    stating = doors["cq"].agency("stating")
    ids = {name: submit(stating, made, f"door-{name}").record_id for name, made in _made().items()}
    upload = submission.UploadAttachmentRequest(attachment=listed(FILE), content=FILE)
    stating.call(stating.submission.UploadAttachment, upload)
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    made = {}
    for name, door in doors.items():
        made[name] = Walk(
            door=door,
            agency=stating if name == "cq" else door.agency("stating"),
            auditor=door.officer(Role.AUDITOR),
            operator=door.officer(Role.OPERATOR),
            security=door.officer(Role.SECURITY),
            ids=ids,
        )
    return made


def _said(found: list[Message]) -> bool:
    raw = b"".join(each.SerializeToString() for each in found)
    return SECRET.encode() in raw or VALUE.encode() in raw


def test_what_is_withheld_or_erased_leaves_by_no_door(
    doors: dict[str, AgencyDoor], walks: dict[str, Walk], tmp_path: Path
) -> None:
    """Each door that shows it before shows none of it behind a repair, a revocation or an erasure; on both sides."""
    cq = walks["cq"].agency
    doors["cq"].world.wait(lambda: _said(attached(walks["sc"])), what="the file at the other side")
    for side, at in walks.items():
        for name, walk in SHOWS.items():
            assert _said(walk(at)), f"{side} {name} shows nothing even before"
        at.cursor = watched(at)[-1].cursor  # type: ignore[attr-defined]
        at.then = datetime.now(UTC)
        assert SECRET in _exported(at, tmp_path / f"{side}-before")
    ids = walks["cq"].ids
    for name, kind in (("repaired", "repair"), ("revoked", "revocation")):
        act = act_on(kind, ids[name], ABOUT)
        act.header.issued.document_no += kind
        submit(cq, act, f"door-{kind}")
    for name in ("erased", "credit", "batch", "lab", "alert"):
        act = records.erasure()
        act.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=ids[name]))
        submit(cq, act, f"door-erase-{name}")
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    told = [f"{side} {name}" for side, at in walks.items() for name, walk in (SHOWS | NEVER).items() if _said(walk(at))]
    assert told == []
    for side, at in walks.items():
        assert SECRET not in _exported(at, tmp_path / f"{side}-after")


def _exported(at: Walk, folder: Path) -> str:
    """Lists as files, in both forms."""
    folder.mkdir()
    profile = profile_of(folder, at.door, "stating")
    sheet, book = folder / "records.csv", folder / "records.xlsx"
    for path, option in ((sheet, "--csv"), (book, "--xlsx")):
        assert run("records", "list", "--replaced", option, str(path), "--profile", str(profile)).status == 0
    alerts = run("alerts", "list", "--json", "--profile", str(profile)).out
    subject = run("subject", ABOUT, "--history", "--json", "--profile", str(profile)).out
    return sheet.read_text("utf-8") + alerts + subject
