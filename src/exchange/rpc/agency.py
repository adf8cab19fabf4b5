"""Every service of the agency port, put together once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from exchange.flows.access import AgencyBook
from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import ActionFlow
from exchange.flows.agencies import AgencyFlow
from exchange.flows.alarms import Alarms
from exchange.flows.audit.keeping.retention import RetentionFlow
from exchange.flows.audit.reading.bodies import BodyReader
from exchange.flows.audit.reading.history import SubjectHistory
from exchange.flows.audit.reading.reads import ReadFolder
from exchange.flows.audit.reading.registers import RegisterQueries
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.checks.batch import BatchCheckFlow
from exchange.flows.checks.check import CheckFlow
from exchange.flows.checks.subject import SubjectQueries
from exchange.flows.context import Node
from exchange.flows.intake.attachments import UploadFlow
from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.quarantine import QuarantineFlow
from exchange.flows.intake.submit import SubmitFlow
from exchange.flows.queries.exchanged.attachments import AttachmentQueries
from exchange.flows.queries.exchanged.converting import ConvertQueries
from exchange.flows.queries.exchanged.records import RecordQueries
from exchange.flows.queries.exchanged.submissions import SubmissionQueries
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.paging import Tokens
from exchange.flows.queries.ground.reading import Reading
from exchange.flows.queries.node.audit import AuditQueries
from exchange.flows.queries.node.status import LaneControl, NodeStatusView, ProcessFacts, StatusQueries
from exchange.flows.queries.registers.credit import CreditQueries
from exchange.flows.queries.registers.effects import EffectQueries
from exchange.flows.queries.registers.feedback import FeedbackQueries
from exchange.flows.queries.registers.labs import LabQueries
from exchange.flows.queries.registers.monitoring import MonitoringQueries
from exchange.flows.queries.registers.penalty import PenaltyQueries
from exchange.flows.queries.registers.requests import RequestQueries
from exchange.flows.readers import Readers
from exchange.flows.rotation.steps import RotationFlow
from exchange.flows.rules.diff import RedecideFlow, RuleDiff
from exchange.flows.rules.editions import RuleFlow
from exchange.flows.rules.queries import RuleQueries
from exchange.flows.trust.compromise import CompromiseFlow
from exchange.flows.trust.confirm import PendingTrust
from exchange.flows.watch import HEARTBEAT_SECONDS, WatchFlow
from exchange.rpc.door import Door, OnRefusal, Servicer
from exchange.rpc.identity import CallerGate
from exchange.rpc.limits import CallLimits
from exchange.rpc.services.audit import AuditServicer
from exchange.rpc.services.check import CheckServicer
from exchange.rpc.services.credit import CreditServicer
from exchange.rpc.services.laboratory import LaboratoryServicer
from exchange.rpc.services.monitoring import MonitoringServicer
from exchange.rpc.services.operation import OperationServicer
from exchange.rpc.services.penalty import PenaltyServicer
from exchange.rpc.services.record import RecordServicer
from exchange.rpc.services.request import RequestServicer
from exchange.rpc.services.rules import RuleServicer
from exchange.rpc.services.security import SecurityServicer
from exchange.rpc.services.submission import SubmissionServicer

CALL_THREADS = 16
"""Calls worked on at once: as many as the database has readers; more would wait for one."""

WATCH_THREADS = 4
"""Threads that read for watchers, apart from those for calls: many watchers must not hold up a submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyParts:
    """What the services stand on.

    Attributes:
        reads: Notes in the journal what auditors read of it.
        calls: Threads for calls.
        watchers: Threads that read for watchers.
        side: Side of this node, whose layout records are converted into; empty where the node file names none.
        on_refusal: Counts refusals, in the journal's folder and in the metrics.
    """

    node: Node
    book: AgencyBook
    gate: CallerGate
    status: NodeStatusView
    submit: SubmitFlow
    documents: DocumentFlow
    quarantine: QuarantineFlow
    alarms: Alarms
    lanes: LaneControl
    actions: ActionFlow
    erase: EraseFlow
    retention: RetentionFlow
    rules: RuleFlow
    redecide: RedecideFlow
    rotations: RotationFlow
    live: LiveFiles
    reads: ReadFolder
    trust: PendingTrust
    freshness: FreshnessReader
    facts: ProcessFacts
    calls: Executor
    watchers: Executor
    limits: CallLimits
    lang: str
    side: str
    on_refusal: OnRefusal
    heartbeat: float = HEARTBEAT_SECONDS


def agency_services(parts: AgencyParts) -> tuple[Door, Sequence[Servicer]]:
    """The door and everything behind it, for ``agency_server``."""
    node, book = parts.node, parts.book
    tokens = Tokens(node.keys.submission_key)
    reading = Reading(node=node, book=book, freshness=parts.freshness, tokens=tokens, readers=Readers(node))
    door = Door(
        node,
        parts.gate,
        parts.status,
        parts.calls,
        limits=parts.limits,
        book=book,
        lang=parts.lang,
        on_refusal=parts.on_refusal,
    )
    watch = WatchFlow(reading, parts.watchers, door.unavailable, heartbeat=parts.heartbeat)
    status = StatusQueries(
        node,
        status=parts.status,
        lanes=parts.lanes,
        alarms=parts.alarms,
        freshness=parts.freshness,
        facts=parts.facts,
    )
    stated = RecordQueries(reading)
    # gRPC asks one after the other whose call it is: those that are called most come first.
    return door, (
        CheckServicer(CheckFlow(reading), BatchCheckFlow(reading), SubjectQueries(reading)),
        SubmissionServicer(
            book,
            submit=parts.submit,
            documents=parts.documents,
            uploads=UploadFlow(node, book, parts.submit.admit),
            queries=SubmissionQueries(reading),
            watch=watch,
            limits=parts.limits,
        ),
        RecordServicer(
            stated,
            ConvertQueries(stated, parts.freshness, node.adapters, parts.side or node.name),
            AttachmentQueries(node, stated),
            watch,
        ),
        CreditServicer(CreditQueries(reading)),
        MonitoringServicer(MonitoringQueries(reading)),
        LaboratoryServicer(LabQueries(reading)),
        PenaltyServicer(PenaltyQueries(reading), FeedbackQueries(reading), EffectQueries(reading)),
        RequestServicer(RequestQueries(reading)),
        AuditServicer(
            AuditQueries(node, parts.reads),
            SubjectHistory(node, tokens, parts.reads),
            BodyReader(node),
            RegisterQueries(node, parts.reads),
        ),
        OperationServicer(
            status,
            alarms=parts.alarms,
            lanes=parts.lanes,
            quarantine=parts.quarantine,
            actions=parts.actions,
            book=book,
            rules=parts.rules,
            redecide=parts.redecide,
            diff=RuleDiff(node, tokens),
        ),
        RuleServicer(RuleQueries(reading)),
        SecurityServicer(
            AgencyFlow(node, book),
            parts.rotations,
            parts.trust,
            tokens,
            parts.live,
            parts.limits,
            actions=parts.actions,
            erase=parts.erase,
            retention=parts.retention,
            compromise=CompromiseFlow(node, door.unavailable),
        ),
    )
