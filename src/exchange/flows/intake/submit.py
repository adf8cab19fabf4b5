"""Submitting: from an agency's record to an entry on disk.

The numbered walk (architecture §3):
  1 complete   the header gets its record id and revision: new, the next one of a known record, or unchanged
  2 validate   every rule broken is listed, not only the first
  3 seal       salt, commitment, statement, signature
  4 append     envelope into the outbound log of each addressee, body and submission, in one transaction
An answer leaves after 4 is on disk. What a crash leaves behind is either all of 4 or nothing, and the same call
with the same key finds out which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.message import DecodeError

from exchange.crypto.dsse import PAYLOAD_TYPE, sign
from exchange.crypto.keys import submission_tag
from exchange.crypto.sealing import matches
from exchange.domain import kinds, lifecycles
from exchange.domain.competence import in_competence
from exchange.domain.problems import ExchangeError, Problem
from exchange.domain.record_index import raw_id
from exchange.domain.references import disagrees
from exchange.domain.validate import validate
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.instants import is_instant, micros, micros_of
from exchange.flows.intake.destinations import Known, destination_of, read_known
from exchange.flows.intake.ids import format_id, new_id
from exchange.flows.intake.seal import MAX_BODY_BYTES, MAX_ENTRY_BYTES, Sealed, seal, seal_statement
from exchange.flows.intake.submitted import content_tag, natural_tag
from exchange.storage.engine.database import Connection
from exchange.storage.engine.writer import WorkClass
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import NewSubmission, SubmissionRow
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import Problem as ProblemMessage
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, SealedRecord, Statement
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult, SubmittedRecord

MAX_KEY_LENGTH = 64
"""Characters of an idempotency key (contract §5)."""

MAX_ROUNDS = 8
"""How often a submission is prepared again because another one of the same record came first."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far an agency's clock may run ahead of ours."""

MAX_SIGNATURES = 4
"""Signatures that a finished envelope may bring: the agency's own, of two algorithms, and room for one change."""

LANE_NAMES: dict[int, str] = {
    Lane.LANE_URGENT: "urgent",
    Lane.LANE_REGISTRY: "registry",
    Lane.LANE_TELEMETRY: "telemetry",
}
LANE_NUMBERS: dict[str, int] = {name: lane for lane, name in LANE_NAMES.items()}
INTERACTIVE_ITEMS = 4
"""A call of up to this many records is somebody waiting, not a batch."""


class ContendedError(ExchangeError):
    """Others kept stating the same record: send the same call again."""

    reason = "CONTENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSubmission:
    """One mapped row of a native document."""

    key: str
    record: Record
    addressees: Sequence[str] = ()
    local_only: bool = False
    document_id: bytes = b""
    row: int = 0


Authorise = Callable[[Record, Envelope | None], Problem | None]
"""Says of one record, and of the finished envelope that it came in, why it may not be submitted; or None."""


def _allow(_record: Record, _envelope: Envelope | None) -> Problem | None:
    return None


@dataclass(slots=True, kw_only=True)
class _Item:
    """One record on its way through the door."""

    slot: int
    key: str
    record: Record
    request: bytes
    addressees: tuple[str, ...]
    local_only: bool
    given_id: str = ""
    given_revision: int = 0
    salt: bytes = b""
    sealed: Envelope | None = None
    sealed_body: bytes = b""
    document_id: bytes | None = None
    row: int | None = None
    tag: bytes = b""
    natural_tag: bytes = b""
    before_tag: bytes = b""
    agreeing: bool = False
    content_tag: bytes = b""
    problems: list[Problem] = field(default_factory=list)
    taken_by: SubmissionRow | None = None
    result: int = SubmitResult.SUBMIT_RESULT_ACCEPTED
    ready: Sealed | None = None
    new: NewSubmission | None = None


class SubmitFlow:
    """The door for records.

    Args:
        node: The node.
        admit: Says for a lane why it takes nothing now (disk nearly full), or None.
    """

    def __init__(self, node: Node, admit: Callable[[int], Problem | None] = lambda lane: None) -> None:
        self._node = node
        self.admit = admit

    def submit(
        self,
        agency: str,
        items: Sequence[RecordSubmission],
        now: datetime,
        *,
        validate_only: bool = False,
        authorise: Authorise = _allow,
    ) -> list[SubmittedRecord]:
        """Submit typed or sealed records: one answer each, in order, given when all of them are durable."""
        candidates = [self._typed(slot, item, now) for slot, item in enumerate(items)]
        return self._run(agency, candidates, now, validate_only=validate_only, authorise=authorise)

    def submit_rows(
        self,
        agency: str,
        rows: Sequence[RowSubmission],
        now: datetime,
        *,
        validate_only: bool = False,
        authorise: Authorise = _allow,
    ) -> list[SubmittedRecord]:
        """Submit rows of a document: a known natural key is the existing record, or its next revision."""
        candidates = [
            _Item(
                slot=slot,
                key=row.key,
                record=row.record,
                request=kinds.content_bytes(row.record),
                given_id=row.record.header.record_id,
                addressees=tuple(row.addressees),
                local_only=row.local_only,
                document_id=row.document_id,
                row=row.row,
            )
            for slot, row in enumerate(rows)
        ]
        return self._run(agency, candidates, now, validate_only=validate_only, authorise=authorise)

    # -- the walk --------------------------------------------------------------------------------------------

    def _typed(self, slot: int, item: RecordSubmission, now: datetime) -> _Item:
        key = item.idempotency_key
        item.idempotency_key = ""  # what is asked, apart from its name
        request = item.SerializeToString(deterministic=True)
        item.idempotency_key = key
        candidate = _Item(
            slot=slot,
            key=key,
            record=item.record,
            request=request,
            addressees=tuple(item.addressees),
            local_only=item.local_only,
            salt=item.salt,
        )
        if not key:
            candidate.problems.append(Problem("IDEMPOTENCY_KEY_MISSING", "idempotency_key"))
        elif len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
            candidate.problems.append(Problem("IDEMPOTENCY_KEY_FORMAT", "idempotency_key"))
        if item.salt and len(item.salt) != 32:
            candidate.problems.append(Problem("SALT_LENGTH", "salt", str(len(item.salt))))
        if item.HasField("sealed"):
            self._open_sealed(candidate, item.sealed, now)
        elif not item.HasField("record"):
            candidate.problems.append(Problem("FIELD_MISSING", "record"))
        candidate.given_id = candidate.record.header.record_id
        candidate.given_revision = candidate.record.header.revision
        return candidate

    def _open_sealed(self, candidate: _Item, sealed: SealedRecord, now: datetime) -> None:
        """A finished envelope: what it states must be what its body says, for this node, to these addressees.

        Whose signatures they are is for ``authorise`` to say; the node's own is added by nobody but the node.
        """
        try:
            envelope = Envelope.FromString(sealed.envelope)
            statement = Statement.FromString(envelope.payload)
            candidate.record = Record.FromString(sealed.body.record)
        except DecodeError:
            candidate.problems.append(Problem("MALFORMED_MESSAGE", "sealed"))
            candidate.record = Record()
            return
        header = candidate.record.header
        latest = micros(now + CLOCK_TOLERANCE)
        own, named = {each.keyid for each in self._node.keys.signers}, {each.keyid for each in envelope.signatures}
        # With ours the envelope must still be one that peers read.
        room = MAX_SIGNATURES - len(own)
        wrong = [
            name
            for name, holds in (
                ("federation", statement.federation == self._node.federation),
                ("origin", statement.origin == self._node.name),
                ("kind", statement.kind == kinds.kind_of(candidate.record)),
                ("record_id", statement.record_id == header.record_id and bool(raw_id(header.record_id))),
                ("revision", statement.revision == header.revision and header.revision >= 1),
                ("commitments", matches(statement, sealed.body.record, sealed.body.salt)),
                ("erasure_class", statement.erasure_class == kinds.erasure_class_of(candidate.record)),
                ("addressees", list(statement.addressees) == sorted(set(statement.addressees))),
                ("stated_at", is_instant(statement.stated_at) and micros_of(statement.stated_at) <= latest),
                ("payload_type", envelope.payload_type == PAYLOAD_TYPE),
                ("signatures", 1 <= len(envelope.signatures) <= room and own.isdisjoint(named)),
            )
            if not holds
        ]
        candidate.problems += [Problem("SEALED_STATEMENT", f"sealed.{name}") for name in wrong]
        candidate.sealed = envelope
        candidate.sealed_body = sealed.body.record
        candidate.salt = sealed.body.salt
        candidate.addressees = tuple(statement.addressees)
        candidate.local_only = not statement.addressees
        # Who signs again after a crash draws another id, salt and time: the same call is the one that says the same.
        said = kinds.content_bytes(candidate.record)
        candidate.request = b"sealed\0%b\0%b" % (",".join(statement.addressees).encode(), said)

    def _run(
        self, agency: str, items: list[_Item], now: datetime, *, validate_only: bool, authorise: Authorise
    ) -> list[SubmittedRecord]:
        answers: list[SubmittedRecord | None] = [None] * len(items)
        today = now.astimezone(LOCAL_TIME).date()
        pending: list[_Item] = []
        for item in items:
            # 2: what can be said without the database
            if not item.problems:
                self._check(item, today, authorise)
            if item.problems:
                answers[item.slot] = self._refused(item.problems)
            else:
                self._tag(item, agency)
                pending.append(item)
        for _round in range(MAX_ROUNDS):
            if not pending:
                return [answer for answer in answers if answer is not None]
            now_items, pending = _first_of_each(pending)
            overtaken = self._round(agency, now_items, now, answers, validate_only=validate_only)
            pending = [*overtaken, *pending]
        raise ContendedError

    def _check(self, item: _Item, today: object, authorise: Authorise) -> None:
        record, node = item.record, self._node
        kind = kinds.kind_of(record)
        if kind not in kinds.KINDS:
            item.problems.append(Problem("BODY_NOT_SET", "record"))
            return
        if not kinds.spec(kind).submittable:
            item.problems.append(Problem("KIND_NOT_SUBMITTABLE", "record", kinds.spec(kind).name))
        if record.HasField("answer") and (record.answer.keys or record.answer.effect.startswith("KEY_")):
            # What is said of a peer's keys, only the node itself says: its officer decided it.
            item.problems.append(Problem("KIND_NOT_SUBMITTABLE", "answer.keys"))
        if record.header.kind_edition == 0 and item.sealed is None:
            record.header.kind_edition = kinds.KIND_EDITION
        item.problems += validate(record, node.tables, today=today)  # type: ignore[arg-type]
        item.problems += node.tables.sharing.problems(record)
        if item.given_id and not raw_id(item.given_id):
            item.problems.append(Problem("RECORD_ID_FORMAT", "header.record_id"))
        if item.given_revision < 0:
            item.problems.append(Problem("REVISION_INVALID", "header.revision"))
        if record.header.area_code and not in_competence(record, node.areas):
            item.problems.append(Problem("OUTSIDE_COMPETENCE", "header.area_code", record.header.area_code))
        for peer in item.addressees:
            if node.peers.get(peer) is None:
                item.problems.append(Problem("ADDRESSEE_UNKNOWN", "addressees", peer[:64]))
        if item.local_only and item.addressees and item.sealed is None:
            item.problems.append(Problem("ADDRESSEES_CONFLICT", "local_only"))
        if not item.local_only and not item.addressees and not node.peers.names():
            item.problems.append(Problem("ADDRESSEE_UNKNOWN", "addressees"))
        denied = authorise(record, item.sealed)
        if denied:
            item.problems.append(denied)

    def _tag(self, item: _Item, agency: str) -> None:
        k = self._node.keys.submission_key
        item.tag = submission_tag(k, agency, item.key, item.request)
        item.natural_tag = natural_tag(k, kinds.kind_of(item.record), kinds.natural_key(item.record))
        line = kinds.spec_of(item.record)
        before = line.succeeds(item.record) if line is not None else ""
        item.agreeing = line is not None and bool(line.agrees(item.record))
        item.before_tag = natural_tag(k, kinds.kind_of(item.record), before)
        item.content_tag = content_tag(k, item.request if item.row is not None else kinds.content_bytes(item.record))

    def _round(
        self,
        agency: str,
        items: list[_Item],
        now: datetime,
        answers: list[SubmittedRecord | None],
        *,
        validate_only: bool,
    ) -> list[_Item]:
        """One pass: read, decide, seal, append. Returns those that another submission overtook."""
        with self._node.database.read() as connection:
            repeats = submissions.by_key_tags(connection, (item.tag[:32] for item in items))
            tags = (tag for item in items for tag in (item.natural_tag, item.before_tag))
            natural = submissions.newest_by_natural_tags(connection, tags)
            wanted = {raw_id(item.given_id) for item in items if item.given_id}
            wanted |= {row.record_id for row in natural.values()}
            before = {item.slot: self._before(connection, item, natural) for item in items if item.agreeing}
            known = read_known(connection, self._node, [item.record for item in items], wanted)
        ready: list[_Item] = []
        for item in items:
            repeated = repeats.get(item.tag[:32])
            if repeated is not None:
                answers[item.slot] = self._repeated(item, repeated, agency)
                continue
            existing = self._complete(item, natural, known.newest, now)
            if existing is not None:
                answers[item.slot] = self._stored_answer(existing, SubmitResult.SUBMIT_RESULT_UNCHANGED)
                continue
            if disagrees(before.get(item.slot), item.record):
                item.problems.append(Problem("ALERT_DISAGREES", "record"))
            origins = self._destinations(item, known)
            if item.problems:
                answers[item.slot] = self._refused(item.problems, item.taken_by)
                continue
            self._seal(item, agency, origins, now)
            if item.problems:
                answers[item.slot] = self._refused(item.problems)
            elif validate_only:
                answers[item.slot] = SubmittedRecord(result=SubmitResult.SUBMIT_RESULT_VALID)
            else:
                ready.append(item)
        return self._append(agency, ready, answers) if ready else []

    @staticmethod
    def _before(connection: Connection, item: _Item, natural: Mapping[bytes, SubmissionRow]) -> Record | None:
        """The report before one of a succession, or of the first its own earlier revision; None without a text."""
        row = natural.get(item.before_tag or item.natural_tag)
        for address in row.addresses[:1] if row is not None else ():
            found = log_store.entries_at(connection, address.log_id, [address.index]).get(address.index)
            return Record.FromString(found.body) if found is not None and found.body is not None else None
        return None

    def _complete(
        self,
        item: _Item,
        natural: Mapping[bytes, SubmissionRow],
        newest: Mapping[bytes, SubmissionRow],
        now: datetime,
    ) -> SubmissionRow | None:
        """1: which record and revision this is.

        Returns the existing record when a row, or a record that the agency sealed under a new id, says the same again.
        """
        header = item.record.header
        kind = kinds.kind_of(item.record)
        holder = natural.get(item.natural_tag) if item.natural_tag else None
        by_row = item.row is not None
        if by_row and holder is not None:
            previous: SubmissionRow | None = newest[holder.record_id]
        else:
            previous = newest.get(raw_id(item.given_id)) if item.given_id else None
        if previous is None:
            # A form goes on with what was stated before: it begins no record under an id of its own.
            unknown = [item.given_id] if by_row and item.given_id else []
            item.problems += [Problem("NOT_FOUND", "header.record_id", each) for each in unknown]
        elif by_row and previous.content_tag == item.content_tag:
            return previous
        elif previous.authority != header.authority.uscc:
            item.problems.append(Problem("NOT_YOURS", "header.authority", format_id(previous.record_id)))
        if not by_row and holder is not None and holder.record_id != raw_id(item.given_id):
            item.taken_by = newest[holder.record_id]
            if item.sealed is not None and previous is None and item.taken_by.content_tag == item.content_tag:
                return item.taken_by
            item.problems.append(Problem("NATURAL_KEY_TAKEN", "header.record_id", format_id(holder.record_id)))
        state = kinds.state_of(item.record)
        if previous is None:
            revision = 1
            if not item.given_id:
                header.record_id = str(new_id(now))
            if not lifecycles.may_enter(kind, state):
                item.problems.append(Problem("STATE_NOT_ENTRY", "state"))
        else:
            header.record_id = format_id(previous.record_id)
            revision = previous.revision + 1
            item.result = SubmitResult.SUBMIT_RESULT_REVISED
            item.problems += _about_revision(previous, kind, state)
        before = natural.get(item.before_tag) if item.before_tag else None
        if item.before_tag and before is None:
            item.problems.append(Problem("EARLIER_REPORT_MISSING", "record"))
        elif not lifecycles.may_succeed(kind, before.state if before is not None else None, state):
            item.problems.append(Problem("STATE_NOT_ALLOWED", "state"))
        if item.given_revision not in (0, revision):
            item.problems.append(Problem("REVISION_NOT_NEXT", "header.revision", str(revision)))
        header.revision = revision
        return None

    def _destinations(self, item: _Item, known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Addressees and logs; problems are the item's."""
        found = destination_of(self._node, item.record, known, addressees=item.addressees, local_only=item.local_only)
        item.problems += found.problems
        refused = self.admit(found.lane)
        if refused:
            item.problems.append(refused)
        if item.sealed is not None and found.addressees and set(found.addressees) != set(item.addressees):
            item.problems.append(Problem("SEALED_STATEMENT", "sealed.addressees"))
        return found.addressees, found.origins

    def _seal(
        self, item: _Item, agency: str, destinations: tuple[tuple[str, ...], tuple[str, ...]], now: datetime
    ) -> None:
        """3: and the protocol's limits on what was sealed."""
        addressees, origins = destinations
        if item.sealed is not None:
            # The region's signatures stand first: a peer that knows no key of them waits for one of those.
            envelope = Envelope(payload=item.sealed.payload, payload_type=item.sealed.payload_type)
            envelope.signatures.extend(sign(each, envelope.payload) for each in self._node.keys.signers)
            envelope.signatures.extend(item.sealed.signatures)
            sealed = seal_statement(envelope, item.sealed_body, item.salt, now, item.tag)
        else:
            sealed = seal(self._node, item.record, addressees, now, salt=item.salt, tag=item.tag)
        if len(sealed.entry.body or b"") > MAX_BODY_BYTES:
            item.problems.append(Problem("BODY_TOO_LARGE", "record", str(len(sealed.entry.body or b""))))
        if len(sealed.entry.entry) > MAX_ENTRY_BYTES:
            item.problems.append(Problem("ENTRY_TOO_LARGE", "record", str(len(sealed.entry.entry))))
        header = item.record.header
        item.ready = sealed
        item.new = NewSubmission(
            key_tag=item.tag[:32],
            request_tag=item.tag[32:],
            agency=agency,
            idempotency_key=item.key,
            record_id=raw_id(header.record_id),
            revision=header.revision,
            kind=kinds.kind_of(item.record),
            natural_tag=item.natural_tag,
            content_tag=item.content_tag,
            authority=header.authority.uscc,
            state=kinds.state_of(item.record),
            result=item.result,
            accepted_at=micros(now),
            logs=origins,
            entry=sealed.entry,
            document_id=item.document_id,
            document_row=item.row,
            expected_revision=header.revision - 1,
        )

    def _append(self, agency: str, items: list[_Item], answers: list[SubmittedRecord | None]) -> list[_Item]:
        """4: durable when this returns."""
        work = WorkClass.INTERACTIVE
        if len(items) > INTERACTIVE_ITEMS:
            work = WorkClass.TELEMETRY if items[0].record.HasField("monitoring_batch") else WorkClass.REGISTRY
        stored = self._node.writer.call(
            submissions.store, [item.new for item in items if item.new], work, rows=3 * len(items)
        )
        overtaken = []
        for item, answer in zip(items, stored, strict=True):
            assert item.ready is not None
            match answer:
                case submissions.Stored():
                    answers[item.slot] = SubmittedRecord(
                        result=item.result,  # type: ignore[arg-type]
                        record_id=item.record.header.record_id,
                        revision=item.record.header.revision,
                        envelope=item.ready.envelope,
                        salt=item.ready.salt,
                    )
                case submissions.Repeated(row):
                    answers[item.slot] = self._repeated(item, row, agency)
                case submissions.KeyReused():
                    answers[item.slot] = self._refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])
                case _:
                    item.record.header.record_id = item.given_id
                    item.record.header.revision = item.given_revision
                    item.result = SubmitResult.SUBMIT_RESULT_ACCEPTED
                    overtaken.append(item)
        return overtaken

    # -- answers ---------------------------------------------------------------------------------------------

    def _repeated(self, item: _Item, row: SubmissionRow, agency: str) -> SubmittedRecord:
        if row.request_tag != item.tag[32:]:
            return self._refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])
        if not row.agency:
            self._node.writer.call(submissions.claim, (row.seq, agency, item.key))
        answer = self._stored_answer(row, row.result)
        answer.repeated_call = True
        return answer

    def _stored_answer(self, row: SubmissionRow, result: int) -> SubmittedRecord:
        answer = SubmittedRecord(
            result=result,  # type: ignore[arg-type]
            record_id=format_id(row.record_id),
            revision=row.revision,
        )
        if row.addresses:
            first = row.addresses[0]
            with self._node.database.read() as connection:
                stored = log_store.entries_at(connection, first.log_id, [first.index])[first.index]
            answer.envelope = LogEntry.FromString(stored.entry).envelope
            answer.salt = stored.salt or b""
        return answer

    @staticmethod
    def _refused(problems: Iterable[Problem], taken_by: SubmissionRow | None = None) -> SubmittedRecord:
        return SubmittedRecord(
            result=SubmitResult.SUBMIT_RESULT_REFUSED,
            record_id=format_id(taken_by.record_id) if taken_by else "",
            revision=taken_by.revision if taken_by else 0,
            problems=[
                ProblemMessage(reason=problem.reason, place=problem.place, message=problem.detail)
                for problem in problems
            ],
        )


def _about_revision(previous: SubmissionRow, kind: Kind.ValueType, state: int) -> list[Problem]:
    """Why a record may not be revised to a state, if it may not."""
    if previous.content_tag == b"":
        return [Problem("ERASED", "header.record_id")]
    if previous.kind != kind:
        return [Problem("KIND_CHANGED", "record")]
    return [] if lifecycles.may_follow(kind, previous.state, state) else [Problem("STATE_NOT_ALLOWED", "state")]


def _first_of_each(items: Sequence[_Item]) -> tuple[list[_Item], list[_Item]]:
    """Split so that the first part holds each key, record and natural key once: the others need its outcome."""
    seen: set[object] = set()
    first: list[_Item] = []
    later: list[_Item] = []
    for item in items:
        names: set[object] = {item.tag[:32]}
        if item.natural_tag:
            names.add(("natural", item.natural_tag))
        if item.given_id:
            names.add(("record", item.given_id))
        if seen & names or (item.before_tag and ("natural", item.before_tag) in seen):
            later.append(item)
        else:
            first.append(item)
        seen |= names
    return first, later
