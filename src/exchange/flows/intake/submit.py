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

from collections.abc import Callable, Sequence
from datetime import datetime

from exchange.crypto.keys import submission_tag
from exchange.domain import kinds
from exchange.domain.competence import in_competence
from exchange.domain.problems import ExchangeError, Problem
from exchange.domain.record_index import raw_id
from exchange.domain.references import disagrees, named_by
from exchange.domain.validate import validate
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.instants import micros
from exchange.flows.intake.destinations import Destination, Known, destination_of, read_known
from exchange.flows.intake.item import Item, RowSubmission, open_row, open_typed
from exchange.flows.intake.revision import complete, report_before
from exchange.flows.intake.seal import MAX_BODY_BYTES, MAX_ENTRY_BYTES, Draft, Sealed, draft, seal_all
from exchange.flows.intake.submit_answer import refused, stored_answer
from exchange.flows.intake.submitted import content_tag, natural_tag
from exchange.storage.engine.writer import WorkClass
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import NewSubmission, SubmissionRow
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult, SubmittedRecord

MAX_ROUNDS = 8
"""How often a submission is prepared again because another one of the same record came first."""

INTERACTIVE_ITEMS = 4
"""A call of up to this many records is somebody waiting, not a batch."""


class ContendedError(ExchangeError):
    """Others kept stating the same record: send the same call again."""

    reason = "CONTENDED"


Authorise = Callable[[Record, Envelope | None], Problem | None]
"""Says of one record, and of the finished envelope that it came in, why it may not be submitted; or None."""


def _allow(_record: Record, _envelope: Envelope | None) -> Problem | None:
    return None


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
        candidates = [open_typed(self._node, slot, item, now) for slot, item in enumerate(items)]
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
        candidates = [open_row(slot, row) for slot, row in enumerate(rows)]
        return self._run(agency, candidates, now, validate_only=validate_only, authorise=authorise)

    # -- the walk --------------------------------------------------------------------------------------------

    def _run(
        self, agency: str, items: list[Item], now: datetime, *, validate_only: bool, authorise: Authorise
    ) -> list[SubmittedRecord]:
        # Step after step over all records, here and in each round: a processor that does the same to one record after
        # the other has it done a tenth sooner than all of it to each.
        today = now.astimezone(LOCAL_TIME).date()
        # 2: what can be said without the database
        for item in items:
            if not item.problems:
                self._check(item, today, authorise)
        answers = [refused(item.problems) if item.problems else None for item in items]
        pending = [item for item in items if not item.problems]
        for item in pending:
            self._tag(item, agency)
        for _round in range(MAX_ROUNDS):
            if not pending:
                return [answer for answer in answers if answer is not None]
            now_items, pending = _first_of_each(pending)
            overtaken = self._round(agency, now_items, now, answers, validate_only=validate_only)
            pending = [*overtaken, *pending]
        raise ContendedError

    def _check(self, item: Item, today: object, authorise: Authorise) -> None:
        record, node = item.record, self._node
        line = item.line
        if line is None:
            item.problems.append(Problem("BODY_NOT_SET", "record"))
            return
        if not line.submittable:
            item.problems.append(Problem("KIND_NOT_SUBMITTABLE", "record", line.name))
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

    def _tag(self, item: Item, agency: str) -> None:
        """What the record is found by, and what it names."""
        k, record, line = self._node.keys.submission_key, item.record, item.line
        assert line is not None
        item.tag = submission_tag(k, agency, item.key, item.request)
        item.natural_tag = natural_tag(k, line.kind, line.natural_key(record) if line.natural_key else None)
        item.named = named_by(record)
        item.agreeing = bool(line.agrees(record))
        item.before_tag = natural_tag(k, line.kind, line.succeeds(record))
        item.content_tag = content_tag(k, item.request if item.row is not None else kinds.content_bytes(record))

    def _round(
        self,
        agency: str,
        items: list[Item],
        now: datetime,
        answers: list[SubmittedRecord | None],
        *,
        validate_only: bool,
    ) -> list[Item]:
        """One pass: read, decide, seal, append. Returns those that another submission overtook."""
        with self._node.database.read() as connection:
            repeats = submissions.by_key_tags(connection, (item.tag[:32] for item in items))
            tags = (tag for item in items for tag in (item.natural_tag, item.before_tag))
            natural = submissions.newest_by_natural_tags(connection, tags)
            wanted = {raw_id(item.given_id) for item in items if item.given_id}
            wanted |= {row.record_id for row in natural.values()}
            before = {item.slot: report_before(connection, item, natural) for item in items if item.agreeing}
            known = read_known(connection, self._node, items, wanted)
        fresh: list[Item] = []
        for item in items:
            repeated = repeats.get(item.tag[:32])
            if repeated is not None:
                answers[item.slot] = self._repeated(item, repeated, agency)
                continue
            existing = complete(item, natural, known.newest, now)
            if existing is not None:
                answers[item.slot] = stored_answer(self._node.database, existing, SubmitResult.SUBMIT_RESULT_UNCHANGED)
            else:
                fresh.append(item)
        found: list[tuple[Item, Destination]] = []
        for item in fresh:
            if disagrees(before.get(item.slot), item.record):
                item.problems.append(Problem("ALERT_DISAGREES", "record"))
            destination = self._destination(item, known)
            if item.problems:
                answers[item.slot] = refused(item.problems, item.taken_by)
            else:
                found.append((item, destination))
        ready: list[Item] = []
        drafts = [self._draft(item, destination.addressees, now) for item, destination in found]
        for (item, destination), sealed in zip(found, seal_all(self._node, drafts, now), strict=True):
            self._take(item, agency, destination.origins, sealed, now)
            if item.problems:
                answers[item.slot] = refused(item.problems)
            elif validate_only:
                answers[item.slot] = SubmittedRecord(result=SubmitResult.SUBMIT_RESULT_VALID)
            else:
                ready.append(item)
        return self._append(agency, ready, answers) if ready else []

    def _destination(self, item: Item, known: Known) -> Destination:
        """Addressees and logs; problems are the item's."""
        found = destination_of(self._node, item, known)
        item.problems += found.problems
        full = self.admit(found.lane)
        if full:
            item.problems.append(full)
        if item.sealed is not None and found.addressees and set(found.addressees) != set(item.addressees):
            item.problems.append(Problem("SEALED_STATEMENT", "sealed.addressees"))
        return found

    def _draft(self, item: Item, addressees: tuple[str, ...], now: datetime) -> Draft:
        """3: what is signed; of a finished envelope the bytes that the agency signed."""
        if item.sealed is not None:
            return Draft(item.sealed.payload, item.sealed_body, item.salt, item.tag, item.sealed.signatures)
        return draft(self._node, item.record, addressees, now, salt=item.salt, tag=item.tag)

    def _take(self, item: Item, agency: str, origins: tuple[str, ...], sealed: Sealed, now: datetime) -> None:
        """3: the protocol's limits on what was sealed, and what is stored of it."""
        entry = sealed.entry
        if len(entry.body or b"") > MAX_BODY_BYTES:
            item.problems.append(Problem("BODY_TOO_LARGE", "record", str(len(entry.body or b""))))
        if len(entry.entry) > MAX_ENTRY_BYTES:
            item.problems.append(Problem("ENTRY_TOO_LARGE", "record", str(len(entry.entry))))
        header, line = item.record.header, item.line
        assert line is not None
        revision = header.revision
        item.ready = sealed
        item.new = NewSubmission(
            key_tag=item.tag[:32],
            request_tag=item.tag[32:],
            agency=agency,
            idempotency_key=item.key,
            record_id=item.raw_id,
            revision=revision,
            kind=line.kind,
            natural_tag=item.natural_tag,
            content_tag=item.content_tag,
            authority=header.authority.uscc,
            state=line.state(item.record),
            result=item.result,
            accepted_at=micros(now),
            logs=origins,
            entry=entry,
            document_id=item.document_id,
            document_row=item.row,
            expected_revision=revision - 1,
        )

    def _append(self, agency: str, items: list[Item], answers: list[SubmittedRecord | None]) -> list[Item]:
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
                    answers[item.slot] = refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])
                case _:
                    item.record.header.record_id = item.given_id
                    item.record.header.revision = item.given_revision
                    item.result = SubmitResult.SUBMIT_RESULT_ACCEPTED
                    overtaken.append(item)
        return overtaken

    # -- answers ---------------------------------------------------------------------------------------------

    def _repeated(self, item: Item, row: SubmissionRow, agency: str) -> SubmittedRecord:
        if row.request_tag != item.tag[32:]:
            return refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])
        if not row.agency:
            self._node.writer.call(submissions.claim, (row.seq, agency, item.key))
        answer = stored_answer(self._node.database, row, row.result)
        answer.repeated_call = True
        return answer


def _first_of_each(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split so that the first part holds each key, record and natural key once: the others need its outcome."""
    seen: set[object] = set()
    first: list[Item] = []
    later: list[Item] = []
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
