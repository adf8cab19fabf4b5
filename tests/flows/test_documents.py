"""Native documents: an answer for every row, once, whatever crashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from exchange.domain.problems import DocumentRefused, Problem, Refused
from exchange.flows.intake import document_answer
from exchange.flows.intake.documents import DocumentFlow, DocumentLimits
from exchange.flows.intake.ids import format_id
from exchange.flows.intake.item import RowSubmission
from exchange.flows.intake.submit import Authorise, SubmitFlow
from exchange.storage.engine.writer import Handler
from exchange.storage.erasing import forgetting
from exchange.storage.intake import documents, quarantine, submissions
from exchange.storage.logs.verify import findings
from exchange.v1.kind_pb2 import Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import (
    SubmitDocumentRequest,
    SubmitDocumentResponse,
    SubmitResult,
    SubmittedRecord,
)
from tests.flows.node import TestNode

CONTENT = b"1 blue\n2 better\n3 what\n4 refused\n1 blue\n1 better"


def flow(running: TestNode, submit: SubmitFlow | None = None, limits: DocumentLimits | None = None) -> DocumentFlow:
    """The door for documents of a node."""
    return DocumentFlow(running.node, submit or SubmitFlow(running.node), side="cq", limits=limits)


def request(content: bytes = CONTENT, key: str = "doc-1", **fields: object) -> SubmitDocumentRequest:
    """A document of the test adapter's lines."""
    values: dict[str, object] = {"idempotency_key": key, "file_name": "results.txt", "content": content} | fields
    return SubmitDocumentRequest(**values)  # type: ignore[arg-type]


def results(answer: SubmitDocumentResponse) -> list[str]:
    """Result of each row, as a word."""
    return [SubmitResult.Name(row.submitted.result).removeprefix("SUBMIT_RESULT_") for row in answer.rows]


def stored_documents(running: TestNode) -> int:
    """Documents in the table, answered or not."""
    with running.node.database.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM documents").scalar()
    return int(found or 0)


def test_every_row_gets_its_answer_by_the_counting_rule(running: TestNode) -> None:
    """New, unmapped, refused, the same again, and changed: five rows, five results, one journal line."""
    answer = flow(running).submit("water", request(), running.clock())

    assert results(answer) == ["ACCEPTED", "ACCEPTED", "QUARANTINED", "REFUSED", "UNCHANGED", "REVISED"]
    assert [row.idempotency_key for row in answer.rows] == [f"doc-1/{n}" for n in range(1, 7)]
    (event,) = running.journal("document_received")
    told = event.document_received
    assert told.rows == told.accepted + told.revised + told.unchanged + told.quarantined + told.refused == 6
    assert (told.accepted, told.revised, told.unchanged, told.quarantined, told.refused) == (2, 1, 1, 1, 1)
    assert answer.rows[2].submitted.problems[0].reason == "LEVEL_UNMAPPED"
    assert answer.rows[3].submitted.problems[0].reason == "DECIMAL_FORMAT"
    assert answer.rows[0].submitted.envelope
    assert len(answer.rows[0].submitted.salt) == 32
    assert running.sizes()["cq.exchange.example/to/sc/registry/1"] == 1 + 3
    assert list(findings(running.node.database)) == []


def test_quarantined_rows_are_kept_and_journaled(running: TestNode) -> None:
    """A row that can not be mapped is in quarantine under the id that the answer names."""
    answer = flow(running).submit("water", request(), running.clock())
    with running.node.database.read() as connection:
        (row,) = quarantine.page(connection, before=None, limit=10)
    assert row.quarantine_id.hex() == answer.rows[2].quarantine_id.replace("-", "")
    assert (row.agency, row.row, row.place, row.state) == ("water", 3, "line 3", "OPEN")
    (event,) = running.journal("quarantine_changed")
    assert event.quarantine_changed.change == "IN"
    assert list(event.quarantine_changed.reasons) == ["LEVEL_UNMAPPED"]


def test_the_same_call_again_is_told_the_same(running: TestNode) -> None:
    """Same key, same request: the first answer, envelopes and salts included, and nothing new is stored."""
    first = flow(running).submit("water", request(), running.clock())
    sizes = running.sizes()
    running.clock.forward(60)
    again = flow(running).submit("water", request(), running.clock())
    assert all(row.submitted.repeated_call for row in again.rows)
    for row in again.rows:
        row.submitted.repeated_call = False
    assert again == first
    assert running.sizes() == sizes
    assert len(running.journal("document_received")) == 1


def test_passwords_are_neither_stored_nor_part_of_the_request(running: TestNode) -> None:
    """What is redacted leaves no trace: not in the document, not in any tag, so the call without it is the same."""
    flow(running).submit("water", request(b"1 PW=123456 blue"), running.clock())
    with running.node.database.read() as connection:
        row = documents.get(connection, documents_of(running)[0])
    assert row is not None
    assert b"123456" not in row.redacted + row.request + row.answer
    assert row.redacted == b"1 blue"
    again = flow(running).submit("water", request(b"1 PW=654321 blue"), running.clock())
    assert again.rows[0].submitted.repeated_call
    (event,) = running.journal("document_received")
    assert event.document_received.digest == hashlib.sha256(row.salt + b"1 blue").digest()
    flow(running).submit("water", request(b"1 blue", key="doc-2"), running.clock())
    with running.node.database.read() as connection:
        found = [documents.get(connection, document_id) for document_id in documents_of(running)]
    assert len({each.salt for each in found if each}) == 2
    assert {len(each.salt) for each in found if each} == {32}


def documents_of(running: TestNode) -> list[bytes]:
    """Ids of all documents."""
    with running.node.database.read() as connection:
        return [bytes(row[0]) for row in connection.exec_driver_sql("SELECT document_id FROM documents")]


@pytest.mark.parametrize(
    "other",
    [
        request(b"1 better"),
        request(file_name="other.txt"),
        request(local_only=True),
        request(first_row=7),
        request(purpose="other"),
    ],
    ids=["content", "file name", "addressees", "first row", "purpose"],
)
def test_a_key_is_for_one_request(running: TestNode, other: SubmitDocumentRequest) -> None:
    """Same key, another request: refused, nothing stored."""
    flow(running).submit("water", request(), running.clock())
    sizes = running.sizes()
    with pytest.raises(Refused, match="IDEMPOTENCY_KEY_REUSED"):
        flow(running).submit("water", other, running.clock())
    assert running.sizes() == sizes
    # Another agency's key is another key.
    flow(running).submit("air", other, running.clock())


def test_a_key_of_a_record_is_not_free_for_a_document(running: TestNode) -> None:
    """Keys are unique per agency, whatever they were used for."""
    flow(running).submit("water", request(), running.clock())
    with pytest.raises(Refused, match="IDEMPOTENCY_KEY_REUSED"):
        flow(running).submit("water", request(b"9 blue", key="doc-1/1"), running.clock())


def test_validating_stores_nothing(running: TestNode) -> None:
    """The whole walk up to the seal: an answer for every row, and no row anywhere."""
    answer = flow(running).submit("water", request(validate_only=True), running.clock())
    assert results(answer)[:4] == ["VALID", "VALID", "QUARANTINED", "REFUSED"]
    assert answer.document_id == ""
    assert stored_documents(running) == 0
    assert running.sizes()["cq.exchange.example/to/sc/registry/1"] == 1
    assert running.journal("document_received") == []
    assert results(flow(running).submit("water", request(), running.clock()))[:2] == ["ACCEPTED", "ACCEPTED"]


def test_a_document_of_refused_rows_leaves_nothing(running: TestNode) -> None:
    """Refused is refused: neither document nor journal line, and the key is free again."""
    answer = flow(running).submit("water", request(b"1 refused\n2 refused"), running.clock())
    assert results(answer) == ["REFUSED", "REFUSED"]
    assert answer.document_id == ""
    assert stored_documents(running) == 0
    assert running.journal("document_received") == []
    assert results(flow(running).submit("water", request(b"1 blue"), running.clock())) == ["ACCEPTED"]


def test_rows_without_a_grant_are_refused_each_by_itself(running: TestNode) -> None:
    """What the caller may not submit is refused with the grant's reason; the other rows go on."""

    def authorise(record: Record, _envelope: object) -> Problem | None:
        return Problem("GRANT_AREA", "header.area_code") if record.credit_result.score == "81" else None

    answer = flow(running).submit("water", request(b"1 blue\n2 better"), running.clock(), authorise=authorise)
    assert results(answer) == ["ACCEPTED", "REFUSED"]
    assert answer.rows[1].submitted.problems[0].reason == "GRANT_AREA"


def test_rows_are_charged_before_anything_is_stored(running: TestNode) -> None:
    """A quota that does not suffice ends the call and leaves nothing; a call that was answered before is free."""
    charged: list[int] = []

    def none_left(rows: int) -> None:
        charged.append(rows)
        raise Refused([Problem("TOO_MANY_RECORDS")])

    with pytest.raises(Refused):
        flow(running).submit("water", request(b"1 blue\n2 blue"), running.clock(), charge=none_left)
    assert charged == [2]
    assert stored_documents(running) == 0
    flow(running).submit("water", request(b"1 blue\n2 blue"), running.clock())
    repeated = flow(running).submit("water", request(b"1 blue\n2 blue"), running.clock(), charge=none_left)
    assert repeated.rows[0].submitted.repeated_call


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (request(key=""), "IDEMPOTENCY_KEY_MISSING"),
        (request(key="x" * 65), "IDEMPOTENCY_KEY_FORMAT"),
        (request(key="schlüssel"), "IDEMPOTENCY_KEY_FORMAT"),
        (request(b""), "FIELD_MISSING"),
        (request(b"1 blue\n" * 200), "DOCUMENT_TOO_LARGE"),
        (request(b"1 blue\n2 blue\n3 blue\n4 blue"), "DOCUMENT_TOO_LARGE"),
        (request(b"1 mixed"), "LAYOUT_MIXED"),
        (request(b"unknown"), "DOCUMENT_NOT_RECOGNISED"),
        (request(adapter="nobody"), "ADAPTER_UNKNOWN"),
        (request(addressees=["xz"]), "ADDRESSEE_UNKNOWN"),
        (request(addressees=["sc"], local_only=True), "ADDRESSEES_CONFLICT"),
        (request(kind=99), "ENUM_UNKNOWN"),
        (request(first_row=-1), "INVALID_ARGUMENT"),
        (request(file_name="a\nb"), "TEXT_CONTROL_CHARACTER"),
    ],
)
def test_a_refused_call_leaves_nothing(running: TestNode, broken: SubmitDocumentRequest, reason: str) -> None:
    """Each broken rule of the call is named, and no table has a row more."""
    with pytest.raises(Refused) as refusal:
        flow(running, limits=DocumentLimits(bytes=1_000, rows=3)).submit("water", broken, running.clock())
    assert refusal.value.reason == reason
    assert stored_documents(running) == 0
    assert running.sizes()["cq.exchange.example/to/sc/registry/1"] == 1


def test_whole_documents_are_refused_by_their_own_error() -> None:
    """What an adapter refuses as a whole is told apart from a call that is refused."""
    assert issubclass(DocumentRefused, Refused)


class _Crash(Exception):
    """The process died here."""


class CrashingSubmit(SubmitFlow):
    """Submits so many chunks, then the process is gone."""

    def __init__(self, running: TestNode, chunks: int) -> None:
        super().__init__(running.node)
        self._left = chunks

    def submit_rows(
        self,
        agency: str,
        rows: Sequence[RowSubmission],
        now: datetime,
        *,
        validate_only: bool = False,
        authorise: Authorise = lambda record, envelope: None,
    ) -> list[SubmittedRecord]:
        """As the real one, until the crash."""
        if self._left == 0:
            raise _Crash
        self._left -= 1
        return super().submit_rows(agency, rows, now, validate_only=validate_only, authorise=authorise)


LONG = b"\n".join([*(b"%d blue" % n for n in range(1, 8)), b"8 what", b"9 better"])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three rows."""
    monkeypatch.setattr("exchange.flows.intake.documents.CHUNK_ROWS", 3)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_the_same_call_after_a_crash_goes_on(running: TestNode, chunks: int) -> None:
    """Rows that were stored before the crash answer as they did, the others follow, none is made twice."""
    with pytest.raises(_Crash):
        flow(running, CrashingSubmit(running, chunks)).submit("water", request(LONG), running.clock())
    log = "cq.exchange.example/to/sc/registry/1"
    assert running.sizes()[log] == 1 + 3 * chunks
    before = submissions_of(running)

    running.clock.forward(3_600)
    answer = flow(running).submit("water", request(LONG), running.clock())
    assert results(answer) == ["ACCEPTED"] * 7 + ["QUARANTINED", "ACCEPTED"]
    assert running.sizes()[log] == 1 + 8
    assert [row.submitted.record_id for row in answer.rows][: len(before)] == before
    assert not any(row.submitted.repeated_call for row in answer.rows)
    assert len(running.journal("document_received")) == len(running.journal("quarantine_changed")) == 1
    assert list(findings(running.node.database)) == []


def submissions_of(running: TestNode) -> list[str]:
    """Record ids that the agency submitted, oldest first."""
    with running.node.database.read() as connection:
        rows = submissions.page(connection, "water", before=None, after=0, limit=100)
    return [format_id(row.record_id) for row in rows]


@pytest.mark.usefixtures("small_chunks")
def test_a_start_finishes_what_a_crash_left(running: TestNode) -> None:
    """Without any caller the document is finished from its stored bytes; the agency's call then gets that answer."""
    with pytest.raises(_Crash):
        flow(running, CrashingSubmit(running, 1)).submit("water", request(LONG), running.clock())
    running.clock.forward(3_600)
    assert flow(running).finish_pending(running.clock(), lambda agency: lambda record, envelope: None) == 1
    assert flow(running).finish_pending(running.clock(), lambda agency: lambda record, envelope: None) == 0
    assert running.sizes()["cq.exchange.example/to/sc/registry/1"] == 1 + 8
    assert len(running.journal("document_received")) == 1
    answer = flow(running).submit("water", request(LONG), running.clock())
    assert results(answer) == ["ACCEPTED"] * 7 + ["QUARANTINED", "ACCEPTED"]


@pytest.mark.usefixtures("small_chunks")
def test_a_document_that_can_not_be_read_any_more_waits(running: TestNode) -> None:
    """An adapter that is gone at the start is no reason to lose the document."""
    with pytest.raises(_Crash):
        flow(running, CrashingSubmit(running, 1)).submit("water", request(LONG), running.clock())
    adapters = running.node.adapters
    assert isinstance(adapters, dict)
    lines = adapters.pop("lines")
    assert flow(running).finish_pending(running.clock(), lambda agency: lambda record, envelope: None) == 0
    adapters["lines"] = lines
    assert flow(running).finish_pending(running.clock(), lambda agency: lambda record, envelope: None) == 1


def test_two_calls_at_once_are_one_document(running: TestNode) -> None:
    """Eight callers with one key and one request get one document, and each row stands once in the log."""
    door = flow(running)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.submit("water", request(LONG), running.clock()), range(8)))
    assert len({answer.document_id for answer in answers}) == 1
    assert len({tuple(row.submitted.record_id for row in answer.rows) for answer in answers}) == 1
    assert running.sizes()["cq.exchange.example/to/sc/registry/1"] == 1 + 8
    assert len(running.journal("document_received")) == len(running.journal("quarantine_changed")) == 1


def test_many_quarantined_rows_are_written_in_pieces(running: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction is longer than a chunk, and after a crash between them every row is in quarantine once."""
    monkeypatch.setattr("exchange.flows.intake.documents.CHUNK_ROWS", 10)
    content = b"\n".join(b"%d what" % n for n in range(1, 36))
    call, pieces = running.node.writer.call, []

    def dying(handler: Handler, payload: object, *args: object, **kwargs: object) -> object:
        if handler is documents.keep_rows and isinstance(payload, documents.KeptRows):
            pieces.append(len(payload.rows))
        if handler is documents.finish:
            raise _Crash
        return call(handler, payload, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(running.node.writer, "call", dying)
        with pytest.raises(_Crash):
            flow(running).submit("water", request(content), running.clock())
    assert pieces == [10, 10, 10]
    answer = flow(running).submit("water", request(content), running.clock())
    with running.node.database.read() as connection:
        assert quarantine.count_open(connection) == 35
        rows = quarantine.page(connection, before=None, limit=100)
    assert [row.row for row in rows] == list(range(35, 0, -1))
    assert {row.quarantine_id.hex() for row in rows} == {row.quarantine_id.replace("-", "") for row in answer.rows}
    assert len(running.journal("quarantine_changed")) == 35


def test_a_long_answer_leaves_the_evidence_out(running: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that would not fit a message names the records; their envelopes are fetched one by one."""
    monkeypatch.setattr(document_answer, "MAX_EVIDENCE_BYTES", 1_000)
    answer = flow(running).submit("water", request(LONG), running.clock())
    assert results(answer)[0] == "ACCEPTED"
    assert not any(row.submitted.envelope or row.submitted.salt for row in answer.rows)


def test_words_go_before_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that its words would make too large keeps every row and every reason."""
    answer = SubmitDocumentResponse()
    for number in range(100):
        problem = answer.rows.add(row=number).submitted.problems.add(reason="LEVEL_UNMAPPED", place=f"A{number}")
        problem.message, problem.remedy = "m" * 50, "r" * 50
    whole = answer.ByteSize()
    for limit, message, remedy in ((whole, True, True), (whole - 1, True, False), (whole // 2, False, False)):
        told = SubmitDocumentResponse()
        told.CopyFrom(answer)
        monkeypatch.setattr(document_answer, "MAX_ANSWER_BYTES", limit)
        problems = [row.submitted.problems[0] for row in document_answer.shortened(told).rows]
        assert {(bool(each.message), bool(each.remedy), each.reason) for each in problems} == {
            (message, remedy, "LEVEL_UNMAPPED")
        }


def test_a_full_disk_refuses_the_call_before_anything_is_stored(running: TestNode) -> None:
    """The agency is told to come later, and its key stays free."""
    full = DocumentFlow(
        running.node,
        SubmitFlow(running.node),
        lambda lane: Problem("DISK_WATERMARK") if lane == Lane.LANE_REGISTRY else None,
    )
    with pytest.raises(Refused, match="DISK_WATERMARK"):
        full.submit("water", request(), running.clock())
    assert stored_documents(running) == 0


def test_erasing_a_record_takes_its_document(running: TestNode) -> None:
    """The stored bytes and salt go with the record; the first answer is still given, without the salt."""
    first = flow(running).submit("water", request(b"1 blue\n2 what"), running.clock())
    raw = bytes.fromhex(first.rows[0].submitted.record_id.replace("-", ""))
    running.node.writer.call(lambda tx, payloads: [forgetting.forget(tx, raw, 1) for _ in payloads], None)
    with running.node.database.read() as connection:
        row = documents.get(connection, documents_of(running)[0])
    assert row is not None
    assert (row.redacted, row.salt) == (b"", b"")
    assert first.rows[0].submitted.salt not in row.answer
    again = flow(running).submit("water", request(b"1 blue\n2 what"), running.clock())
    assert results(again) == ["ACCEPTED", "QUARANTINED"]
    assert again.rows[0].submitted.record_id == first.rows[0].submitted.record_id


def test_erasing_takes_every_document_that_says_the_same(running: TestNode) -> None:
    """Names of files, keys and words about the record's rows go too, of documents that only repeated it as well."""
    first = flow(running).submit("water", request(b"1 blue\n2 what", file_name="演示厂.txt"), running.clock())
    again = request(b"1 blue\n3 better", key="ENT-0001-again", file_name="演示厂 副本.txt")
    assert results(flow(running).submit("water", again, running.clock())) == ["UNCHANGED", "ACCEPTED"]
    other = request(b"3 better", key="other", file_name="另一个.txt")
    flow(running).submit("water", other, running.clock())
    raw = bytes.fromhex(first.rows[0].submitted.record_id.replace("-", ""))
    running.node.writer.call(lambda tx, payloads: [forgetting.forget(tx, raw, 1) for _ in payloads], None)
    with running.node.database.read() as connection:
        kept = [documents.get(connection, each) for each in documents_of(running)]
        (row,) = submissions.page(connection, "water", before=None, limit=10)[-1:]
        quarantined = quarantine.page(connection, before=None, limit=10)
    assert sorted((each.file_name, each.redacted) for each in kept if each) == [
        ("", b""),
        ("", b""),
        ("另一个.txt", b"3 better"),
    ]
    told = b"".join(each.request + each.answer for each in kept if each and not each.redacted)
    assert b"ENT-0001-again/1" not in told
    assert "演示厂".encode() not in told
    assert (row.record_id, row.idempotency_key) == (raw, None)
    assert [each.file_name for each in quarantined] == [""]
    assert results(flow(running).submit("water", again, running.clock())) == ["UNCHANGED", "ACCEPTED"]
