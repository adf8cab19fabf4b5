"""Quarantine: rows wait until a table has what was missing, or somebody says why they never will be records."""

from __future__ import annotations

import pytest

from exchange.domain.problems import Problem, Refused
from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.quarantine import QuarantineFlow
from exchange.flows.intake.submit import SubmitFlow
from exchange.storage.erasing import forgetting
from exchange.storage.intake import quarantine, submissions
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest, SubmitDocumentResponse
from tests.flows.node import TestNode

OPERATOR = "spiffe://cq.exchange.example/operator/li"
REGISTRY = "cq.exchange.example/to/sc/registry/1"


def send(running: TestNode, content: bytes = b"1 blue\n2 what\n3 hm", key: str = "doc-1") -> SubmitDocumentResponse:
    """Submit a document as the agency ``water``."""
    door = DocumentFlow(running.node, SubmitFlow(running.node))
    return door.submit(
        "water", SubmitDocumentRequest(idempotency_key=key, file_name="a.txt", content=content), running.clock()
    )


@pytest.fixture
def ward(running: TestNode) -> QuarantineFlow:
    """The node's quarantine."""
    submit = SubmitFlow(running.node)
    return QuarantineFlow(running.node, submit, DocumentFlow(running.node, submit))


def test_the_list_pages_newest_first(running: TestNode, ward: QuarantineFlow) -> None:
    """Pages follow each other without a gap; filters narrow them."""
    first = send(running)
    running.clock.forward(1)
    send(running, b"4 what\n5 what", "doc-2")
    seen = []
    token = ""
    while True:
        page = ward.list(page_size=3, page_token=token)
        seen += [(row.file_name, row.row) for row in page.rows]
        token = page.next_page_token
        if not token:
            break
    assert seen == [("a.txt", 2), ("a.txt", 1), ("a.txt", 3), ("a.txt", 2)]
    assert len(ward.list(document_id=first.document_id).rows) == 2
    assert len(ward.list(reason="LEVEL_UNMAPPED").rows) == 4
    assert ward.list(reason="LEVEL%").rows == ()
    assert ward.list(agency="air").rows == ()
    row = ward.list(document_id=first.document_id).rows[0]
    assert (row.agency, row.place, row.content, row.state) == ("water", "line 3", "3 hm", "OPEN")
    assert row.problems[0].reason == "LEVEL_UNMAPPED"


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("size", "token", "reason"), [(501, "", "PAGE_SIZE"), (-1, "", "PAGE_SIZE"), (1, "x", "PAGE_TOKEN")]
)
def test_a_page_that_can_not_be_is_refused(ward: QuarantineFlow, size: int, token: str, reason: str) -> None:
    """Sizes beyond the limit and foreign tokens are refused by name."""
    with pytest.raises(Refused, match=reason):
        ward.list(page_size=size, page_token=token)


def test_a_retry_submits_what_maps_now(running: TestNode, ward: QuarantineFlow) -> None:
    """A word was added to the table: its row becomes a record under the row's own key, the other one stays."""
    answer = send(running)
    running.adapter.words["what"] = "85"
    done = ward.retry([], OPERATOR, running.clock())
    assert done.resolved == 1
    assert [row.row for row in done.remaining] == [3]
    assert running.sizes()[REGISTRY] == 1 + 2
    with running.node.database.read() as connection:
        rows = submissions.page(connection, "water", before=None, limit=10)
    assert [(row.idempotency_key, row.document_row) for row in rows] == [("doc-1/2", 2), ("doc-1/1", 1)]
    assert [(row.row, row.state) for row in ward.list(include_closed=True).rows] == [(3, "OPEN"), (2, "RESOLVED")]
    changes = [event.quarantine_changed for event in running.journal("quarantine_changed")]
    assert [(change.change, change.row, change.actor) for change in changes] == [
        ("IN", 2, "water"),
        ("IN", 3, "water"),
        ("RETRIED", 2, OPERATOR),
    ]
    # The agency's own call is answered as it was: nothing is rewritten.
    assert send(running).rows[1].quarantine_id == answer.rows[1].quarantine_id


def test_a_retry_after_a_crash_makes_no_second_record(running: TestNode, ward: QuarantineFlow) -> None:
    """Submitted, and then the process died before the row was closed: the next retry closes it only."""
    send(running)
    running.adapter.words["what"] = "85"
    close, calls = ward._node.writer.call, []

    def dying(handler: object, *args: object, **kwargs: object) -> object:
        calls.append(handler)
        if getattr(handler, "__name__", "") == "close":
            raise RuntimeError("the process died here")
        return close(handler, *args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ward._node.writer, "call", dying)
        with pytest.raises(RuntimeError):
            ward.retry([], OPERATOR, running.clock())
    assert running.sizes()[REGISTRY] == 1 + 2
    assert ward.retry([], OPERATOR, running.clock()).resolved == 1
    assert running.sizes()[REGISTRY] == 1 + 2


def test_a_row_that_maps_and_is_refused_stays_with_the_new_reason(running: TestNode, ward: QuarantineFlow) -> None:
    """Rules of the record and grants of now decide; what stays says why it stays."""
    answer = send(running)
    running.adapter.words |= {"what": "", "hm": "85"}
    done = ward.retry(
        [], OPERATOR, running.clock(), authorise_for=lambda agency: lambda record, envelope: Problem("NO_GRANT", agency)
    )
    assert done.resolved == 0
    assert {row.row: row.problems[-1].reason for row in done.remaining} == {2: "NO_GRANT", 3: "NO_GRANT"}
    done = ward.retry([answer.rows[1].quarantine_id], OPERATOR, running.clock())
    assert done.remaining[0].problems[0].reason == "DECIMAL_FORMAT"
    assert {row.row: row.problems[0].reason for row in ward.list().rows} == {2: "DECIMAL_FORMAT", 3: "NO_GRANT"}


def test_only_named_rows_are_retried(running: TestNode, ward: QuarantineFlow) -> None:
    """A retry of one row leaves the others alone, also those that would map."""
    answer = send(running)
    running.adapter.words |= {"what": "85", "hm": "85"}
    assert ward.retry([answer.rows[2].quarantine_id], OPERATOR, running.clock()).resolved == 1
    assert [row.row for row in ward.list().rows] == [2]


def test_discarding_needs_a_reason_and_is_journaled(running: TestNode, ward: QuarantineFlow) -> None:
    """Without a reason nothing changes; with one the row is gone for good, and the journal has both."""
    answer = send(running)
    ids = [answer.rows[1].quarantine_id]
    with pytest.raises(Refused, match="REASON_MISSING"):
        ward.discard(ids, "  ", OPERATOR, running.clock())
    assert ward.discard(ids, "测试数据", OPERATOR, running.clock()) == 1
    (event,) = [each for each in running.journal("quarantine_changed") if each.quarantine_changed.note]
    assert (event.quarantine_changed.change, event.quarantine_changed.note) == ("DISCARDED", "测试数据")
    running.adapter.words["what"] = "85"
    assert ward.retry([], OPERATOR, running.clock()).resolved == 0
    with pytest.raises(Refused, match="QUARANTINE_CLOSED"):
        ward.retry(ids, OPERATOR, running.clock())


def test_one_unknown_row_refuses_the_whole_call(running: TestNode, ward: QuarantineFlow) -> None:
    """A refused call changes nothing, and names each id that was wrong."""
    answer = send(running)
    unknown = "019573a0-6c00-7000-8000-0000000000aa"
    with pytest.raises(Refused) as refusal:
        ward.discard([answer.rows[1].quarantine_id, unknown], "why", OPERATOR, running.clock())
    assert [(each.reason, each.place) for each in refusal.value.problems] == [("NOT_FOUND", "quarantine_ids[1]")]
    assert len(ward.list().rows) == 2
    with pytest.raises(Refused, match="RECORD_ID_FORMAT"):
        ward.retry(["x"], OPERATOR, running.clock())
    with pytest.raises(Refused, match="TOO_MANY_ITEMS"):
        ward.retry([unknown] * 501, OPERATOR, running.clock())


def test_an_erased_document_can_only_be_discarded(running: TestNode, ward: QuarantineFlow) -> None:
    """There is nothing left to map; the row says so by staying."""
    answer = send(running)
    raw = bytes.fromhex(answer.rows[0].submitted.record_id.replace("-", ""))
    running.node.writer.call(lambda tx, payloads: [forgetting.forget(tx, raw, 1) for _ in payloads], None)
    running.adapter.words["what"] = "85"
    done = ward.retry([], OPERATOR, running.clock())
    assert (done.resolved, len(done.remaining)) == (0, 2)
    assert ward.discard([row.quarantine_id for row in done.remaining], "销毁", OPERATOR, running.clock()) == 2


def test_erasing_takes_what_quarantine_kept_of_the_record(running: TestNode, ward: QuarantineFlow) -> None:
    """A row that came out of quarantine is a record like any other: its text goes with its body."""
    send(running)
    running.adapter.words["what"] = "85"
    ward.retry([], OPERATOR, running.clock())
    with running.node.database.read() as connection:
        row = submissions.page(connection, "water", before=None, limit=1)[0]
    running.node.writer.call(lambda tx, payloads: [forgetting.forget(tx, row.record_id, 1) for _ in payloads], None)
    assert {each.row: each.content for each in ward.list(include_closed=True).rows} == {2: "", 3: "3 hm"}


def test_two_operators_close_a_row_once(running: TestNode, ward: QuarantineFlow) -> None:
    """Whoever comes second finds it closed: one journal line, and the first state stays."""
    send(running)
    with running.node.database.read() as connection:
        rows = quarantine.page(connection, before=None, limit=10)
    ids = [(row.quarantine_id, running.journal("quarantine_changed")[0]) for row in rows]
    discard = quarantine.Closing(state=quarantine.DISCARDED, rows=tuple(ids))
    resolve = quarantine.Closing(state=quarantine.RESOLVED, rows=tuple(ids), renewed=((ids[0][0], "[]"),))
    assert running.node.writer.call(quarantine.close, discard) == 2
    assert running.node.writer.call(quarantine.close, resolve) == 0
    assert {row.state for row in ward.list(include_closed=True).rows} == {"DISCARDED"}
    assert len(running.journal("quarantine_changed")) == 4
