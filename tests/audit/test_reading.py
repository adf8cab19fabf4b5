"""What auditors read, and what that leaves in the journal."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.flows.audit.witness_watch import WitnessWatch
from exchange.flows.link.peer_port import PeerAwayError
from exchange.v1 import audit_service_pb2 as pb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.domain.records import repair
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_settled

JOURNAL = "cq.exchange.example/journal/1"


def _auditor(door: AgencyDoor, name: str) -> Stubs:
    return door.officer(Role.AUDITOR, name=name)


def _lines(stubs: Stubs, event: str, origin: str = JOURNAL) -> list[Any]:
    found = []
    for message in stubs.stream(stubs.audit.StreamEntries, pb.StreamEntriesRequest(origin=origin)):
        for entry in message.entries:
            line = JournalEntry.FromString(entry.entry)
            if line.HasField(event):  # type: ignore[arg-type]
                found.append((entry.index, getattr(line, event)))
    return found


def _reads_of(door: AgencyDoor, caller: str) -> list[Any]:
    look = _auditor(door, "another")
    return [read for _, read in _lines(look, "audit_read") if read.caller.endswith(f"/auditor/{caller}")]


def test_reading_the_journal_is_journaled_in_two_lines_a_minute(doors: dict[str, AgencyDoor]) -> None:
    """The first read of a minute is a line before it is answered; the others are one more, with the range of all."""
    cq = doors["cq"]
    submit(cq.agency("grown"), credit_of(firm(690)), "grown-1")
    wait_settled(cq)
    stubs = _auditor(cq, "folded")
    minute = _minute(cq)
    for start in (3, 1, 2):
        stubs.call(stubs.audit.ListEntries, pb.ListEntriesRequest(origin=JOURNAL, start=start, page_size=2))
    list(stubs.stream(stubs.audit.StreamEntries, pb.StreamEntriesRequest(origin=JOURNAL, start=0, end=4)))
    stubs.call(stubs.audit.GetInclusionProof, pb.GetInclusionProofRequest(origin=JOURNAL, index=2, size=3))
    at_once = _reads_of(cq, "folded")
    cq.reads.flush(everything=True)
    reads = _reads_of(cq, "folded")
    if _minute(cq) == minute:
        assert [(read.what, read.log, read.first, read.end, read.count) for read in at_once] == [
            ("ENTRIES", JOURNAL, 3, 5, 1),
            ("PROOF", JOURNAL, 2, 3, 1),
        ]
        assert [(read.what, read.first, read.end, read.count) for read in reads[2:]] == [("ENTRIES", 0, 4, 3)]
    assert sum(read.count for read in reads) == 5
    cq.reads.flush(everything=True)
    assert len(_reads_of(cq, "folded")) == len(reads)


def test_every_sort_of_reading_is_journaled_before_it_is_answered(doors: dict[str, AgencyDoor]) -> None:
    """A stream by its whole range, digests of a register and its rows by the register, a subject's history."""
    cq = doors["cq"]
    stubs = _auditor(cq, "at-once")
    stream = stubs.audit.StreamEntries(pb.StreamEntriesRequest(origin=JOURNAL, start=0, end=3))
    next(iter(stream))
    stream.cancel()
    salted = pb.ListRegisterDigestsRequest(register="reg_agencies", salt=bytes(32))
    assert stubs.call(stubs.audit.ListRegisterDigests, salted).runs
    rows = pb.ListRegisterDigestsRequest(register="cursors", rows=True)
    assert stubs.call(stubs.audit.ListRegisterDigests, rows).lines
    stubs.call(stubs.audit.ListRegisterDigests, pb.ListRegisterDigestsRequest())
    stubs.call(stubs.audit.GetSubjectHistory, pb.GetSubjectHistoryRequest(uscc=firm(700)))
    stubs.call(stubs.audit.GetConsistencyProof, pb.GetConsistencyProofRequest(origin=JOURNAL, first=2, second=5))
    assert [(read.what, read.log, read.first, read.end, read.count) for read in _reads_of(cq, "at-once")] == [
        ("ENTRIES", JOURNAL, 0, 3, 1),
        ("REGISTER_DIGESTS", "reg_agencies", 0, 0, 1),
        ("REGISTER", "cursors", 0, 0, 1),
        ("SUBJECT_HISTORY", "", 0, 0, 1),
        ("PROOF", JOURNAL, 2, 5, 1),
    ]


def _minute(door: AgencyDoor) -> int:
    return int(door.node.clock().timestamp()) // 60


def test_reading_another_log_leaves_nothing(doors: dict[str, AgencyDoor]) -> None:
    """Outbound logs are not journals."""
    stubs = _auditor(doors["cq"], "elsewhere")
    origin = "cq.exchange.example/to/sc/registry/1"
    stubs.call(stubs.audit.ListEntries, pb.ListEntriesRequest(origin=origin))
    list(stubs.stream(stubs.audit.StreamEntries, pb.StreamEntriesRequest(origin=origin)))
    doors["cq"].reads.flush(everything=True)
    assert _reads_of(doors["cq"], "elsewhere") == []


def test_the_history_of_a_subject_names_every_entry_and_decision(doors: dict[str, AgencyDoor]) -> None:
    """Both sides: each record about a firm and about its records, where it stands, what the other side decided."""
    cq, about = doors["cq"].agency("history"), firm(700)
    result = submit(cq, credit_of(about), "history-1").record_id
    notice = submit(cq, penalty_of(about, "演环罚〔2025〕7001号"), "history-2").record_id
    submit(cq, credit_of(firm(701)), "history-3")
    wait_settled(doors["cq"])
    act = submit(cq, _repair_of(notice, about), "history-4").record_id
    wait_settled(doors["cq"])
    for name in ("cq", "sc"):
        stubs = _auditor(doors[name], "historian")
        rows = _history(stubs, about)
        assert {row.ref.record_id for row in rows} >= {result, notice, act}
        assert firm(701) not in str(rows)
        by_id = {row.ref.record_id: row for row in rows}
        assert by_id[notice].tombstone.reason == "REPAIRED"
        assert "废水总排口" not in str(rows), "no text of a record"
        entry = by_id[result].entries[0]
        assert entry.HasField("cosigned_at")
        assert entry.body_held
        assert [made.node for made in entry.decisions] == ["sc"]
        for row in rows:
            for place in row.entries:
                assert _statement(stubs, place.log, place.index).record_id == row.ref.record_id
                for made in place.decisions:
                    assert _statement(stubs, made.log, made.index).kind == Kind.KIND_RECOGNITION
    assert {read.what for read in _reads_of(doors["cq"], "historian")} == {"SUBJECT_HISTORY"}


def _repair_of(notice: str, about: str) -> Record:
    act = repair()
    act.header.area_code = "500107"
    act.repair_notice.notice.CopyFrom(RecordRef(origin="cq", record_id=notice))
    if act.repair_notice.HasField("subject"):
        act.repair_notice.subject.uscc = about
    return act


def _history(stubs: Stubs, uscc: str) -> list[pb.SubjectHistoryRow]:
    """All pages, two rows at a time."""
    rows: list[pb.SubjectHistoryRow] = []
    request = pb.GetSubjectHistoryRequest(uscc=uscc, page_size=2)
    while True:
        answer = stubs.call(stubs.audit.GetSubjectHistory, request)
        rows += answer.records
        request.page_token = answer.next_page_token
        if not request.page_token:
            return rows


def _statement(stubs: Stubs, origin: str, index: int) -> Statement:
    request = pb.ListEntriesRequest(origin=origin, start=index, page_size=1)
    raw = stubs.call(stubs.audit.ListEntries, request).entries[0].entry
    return Statement.FromString(Envelope.FromString(LogEntry.FromString(raw).envelope).payload)


def test_a_withheld_body_is_shown_to_an_auditor_with_a_reason(doors: dict[str, AgencyDoor]) -> None:
    """The journal says who and why before it is shown; the bytes are those that the statement commits to."""
    cq, about = doors["cq"].agency("withheld"), firm(710)
    notice = submit(cq, penalty_of(about, "演环罚〔2025〕7101号"), "withheld-1").record_id
    wait_settled(doors["cq"])
    submit(cq, _repair_of(notice, about), "withheld-2")
    wait_settled(doors["cq"])
    for name in ("cq", "sc"):
        stubs = _auditor(doors[name], "reader")
        request = pb.ReadBodyRequest(record=RecordRef(origin="cq", record_id=notice), reason="专项审计 2026-1")
        shown = stubs.call(stubs.audit.ReadBody, request)
        assert Record.FromString(shown.body).penalty_notice.decision_no == "演环罚〔2025〕7101号"
        assert shown.tombstone.reason == "REPAIRED"
        row = next(row for row in _history(stubs, about) if row.ref.record_id == notice)
        committed = _statement(stubs, row.entries[0].log, row.entries[0].index).commitments[0].digest
        assert hashlib.sha256(shown.salt + shown.body).digest() == committed
        line = dict(_lines(stubs, "body_shown", shown.journal))[shown.journal_index]
        assert (line.record.record_id, line.tombstone, line.reason) == (notice, "REPAIRED", "专项审计 2026-1")
        assert line.actor.endswith("/auditor/reader")
        for reason in ("", "  "):
            request.reason = reason
            with pytest.raises(CallFailed) as failure:
                stubs.call(stubs.audit.ReadBody, request)
            assert failure.value.reason == "REASON_MISSING"
    with pytest.raises(CallFailed) as failure:
        cq.call(cq.audit.ReadBody, pb.ReadBodyRequest(record=RecordRef(origin="cq", record_id=notice), reason="x"))
    assert failure.value.reason == "ROLE_NOT_ALLOWED"


def test_a_witness_that_stops_is_an_alarm_until_it_comes_back(doors: dict[str, AgencyDoor]) -> None:
    """Entries that wait beyond the limit open it, whatever the peer's reason; the witness coming back clears it."""
    cq = doors["cq"]
    world, runtime = cq.world, cq.runtime
    watch = WitnessWatch(cq.node, "sc", runtime.bell.raise_, runtime.bell.clear, limit=60)
    stopped = ("WITNESS_STOPPED", "sc/journal")

    async def refuse(verb: str, request: Any) -> Any:
        if verb == "cosign_journal":
            raise PeerAwayError("cut")
        return request

    now = cq.node.clock()
    world.wires["cq"].before = refuse
    try:
        submit(cq.agency("unwitnessed"), credit_of(firm(720)), "unwitnessed-1")
        wait_settled(cq)
        watch.look(now)
        watch.look(now + timedelta(seconds=60))
        assert stopped not in runtime.bell.open
        watch.look(now + timedelta(seconds=61))
        assert "entries from #" in runtime.bell.open[stopped]
    finally:
        world.wires["cq"].before = None

    def cleared() -> bool:
        watch.look(now + timedelta(seconds=62))
        return stopped not in runtime.bell.open

    world.wait(cleared, what="the witness is back")
