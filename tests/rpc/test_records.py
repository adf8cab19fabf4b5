"""Reading records: pages, tombstones on every door, what was replaced, envelopes that verify elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.v1 import credit_service_pb2, penalty_service_pb2, record_service_pb2
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.credit_service_pb2 import Knowledge
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.list_entry_pb2 import ListKind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import RecordView
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.cli.conftest import run
from tests.domain import records
from tests.domain.records import erasure
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import credit_of, firm, of_sichuan, penalty_of, submit, wait_settled
from tests.rpc.test_alerts import profile_of
from tests.world import FEDERATION, keyring


def _get(stubs: Stubs, record_id: str, origin: str = "cq", revision: int = 0) -> RecordView:
    request = record_service_pb2.GetRecordRequest()
    request.ref.record_id, request.ref.origin, request.ref.revision = record_id, origin, revision
    view: RecordView = stubs.call(stubs.record.GetRecord, request).record
    return view


def _list(stubs: Stubs, **options: Any) -> list[RecordView]:
    request = record_service_pb2.ListRecordsRequest(**options)
    return list(stubs.call(stubs.record.ListRecords, request).records)


def _revised(record: Record, record_id: str) -> Record:
    """The next revision of a record."""
    revised = Record()
    revised.CopyFrom(record)
    revised.header.record_id = record_id
    return revised


def test_pages_hold_every_record_once_newest_first(doors: dict[str, AgencyDoor]) -> None:
    """Walking the tokens gives each record once; a token is good for its question and caller only."""
    cq, sc = doors["cq"].agency("pages"), doors["sc"].agency("pages")
    about = firm(1)
    ids = [submit(cq, credit_of(about, year=2015 + number), f"page-{number}").record_id for number in range(7)]
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        found, token = [], ""
        while True:
            request = record_service_pb2.ListRecordsRequest(uscc=about, page_size=3, page_token=token)
            answer = stubs.call(stubs.record.ListRecords, request)
            found += [view.ref.record_id for view in answer.records]
            token = answer.next_page_token
            if not token:
                break
        assert found == list(reversed(ids))
    first = cq.call(
        cq.record.ListRecords, record_service_pb2.ListRecordsRequest(uscc=about, page_size=3)
    ).next_page_token
    for stubs, options in ((cq, {"uscc": firm(2)}), (doors["cq"].agency("pages-other"), {"uscc": about})):
        with pytest.raises(CallFailed) as failure:
            _list(stubs, page_token=first, **options)
        assert failure.value.reason == "PAGE_TOKEN"


def test_lists_filter(doors: dict[str, AgencyDoor]) -> None:
    """Kind, origin, area and outcome each leave out what does not fit."""
    cq, sc = doors["cq"].agency("filters"), doors["sc"].agency("filters")
    about = firm(3)
    submit(cq, credit_of(about, area="500108"), "filter-1")
    submit(cq, penalty_of(about, "演环罚〔2025〕301号"), "filter-2")
    submit(sc, of_sichuan(credit_of(about)), "filter-3")
    wait_settled(doors["cq"])
    assert {view.kind for view in _list(cq, uscc=about)} == {Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE}
    assert [view.ref.origin for view in _list(cq, uscc=about, kind=Kind.KIND_PENALTY_NOTICE)] == ["cq"]
    assert [view.ref.origin for view in _list(cq, uscc=about, origin="sc")] == ["sc"]
    assert [view.kind for view in _list(cq, uscc=about, area="500108")] == [Kind.KIND_CREDIT_RESULT]
    assert len(_list(cq, uscc=about, area="50")) == 3
    assert not _list(cq, uscc=about, area="33")
    decided = _list(sc, uscc=about, outcome=Outcome.OUTCOME_FULL)
    assert {view.ref.origin for view in decided} <= {"cq"}
    with pytest.raises(CallFailed) as failure:
        _list(cq, area="5")
    assert failure.value.reason == "AREA_UNKNOWN"


def test_lists_go_by_level_and_state_of_a_kind(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """White from red lists, notices of an area by state, results by level; a tombstone is found by neither."""
    cq, sc = doors["cq"].agency("levels"), doors["sc"].agency("levels")
    ids = {}
    for name in ("WHITE", "RED"):
        entry = records.list_entry()
        entry.list_entry.subject.uscc = firm(31)
        entry.list_entry.list_kind = ListKind.Value(f"LIST_KIND_{name}")
        entry.list_entry.list_id = f"演示{name}名单"
        if name == "RED":
            entry.list_entry.ClearField("wastes")
        ids[name] = submit(cq, entry, f"levels-{name}").record_id
    for number, state in enumerate(("ISSUED", "RECTIFIED", "REPAIRED")):
        notice = penalty_of(firm(31), f"演环罚〔2025〕31{number}号", area="500108")
        ids[state] = submit(cq, notice, f"levels-{state}").record_id
        if state != "ISSUED":
            notice.header.record_id = ids[state]
            notice.penalty_notice.state = PenaltyState.Value(f"PENALTY_STATE_{state}")
            submit(cq, notice, f"levels-{state}-2")
    blue = submit(cq, credit_of(firm(31)), "levels-blue").record_id
    wait_settled(doors["cq"])
    for stubs in (cq, sc):

        def listed(stubs: Stubs = stubs, **options: Any) -> set[str]:
            return {view.ref.record_id for view in _list(stubs, uscc=firm(31), **options)}

        lists = Kind.KIND_LIST_ENTRY
        assert listed(kind=lists, level="LIST_KIND_WHITE") == {ids["WHITE"]}
        assert listed(kind=lists, level="LIST_KIND_RED", state="LIST_STATE_ENTERED") == {ids["RED"]}
        assert listed(kind=lists, state="LIST_STATE_EXITED") == set()
        notices = Kind.KIND_PENALTY_NOTICE
        assert listed(kind=notices, area="500108", state="PENALTY_STATE_ISSUED") == {ids["ISSUED"]}
        assert listed(kind=notices, state="PENALTY_STATE_RECTIFIED") == {ids["RECTIFIED"]}
        assert listed(kind=notices, state="PENALTY_STATE_REPAIRED") == set()
        assert ids["REPAIRED"] in listed(kind=notices)
        assert listed(kind=Kind.KIND_CREDIT_RESULT, level="CREDIT_LEVEL_BLUE") == {blue}
        assert listed(kind=Kind.KIND_CREDIT_RESULT, level="CREDIT_LEVEL_RED") == set()
    for options, place in (
        ({"level": "LIST_KIND_WHITE"}, "kind"),
        ({"kind": lists, "level": "CREDIT_LEVEL_RED"}, "level"),
        ({"kind": Kind.KIND_LAB_QUALIFICATION, "level": "LAB_STATE_LISTED"}, "level"),
        ({"kind": lists, "state": "LIST_STATE_UNSPECIFIED"}, "state"),
    ):
        with pytest.raises(CallFailed) as failure:
            _list(cq, **options)
        assert [problem.place for problem in failure.value.problems] == [place]
    profile = profile_of(tmp_path, doors["sc"], "levels")
    table = tmp_path / "white.csv"
    done = run("records", "list", "-k", "ListEntry", "--level", "white", "--csv", table, "--profile", profile)
    assert done.status == 0, done.err
    assert ids["WHITE"] in table.read_text("utf-8-sig")
    assert ids["RED"] not in table.read_text("utf-8-sig")
    assert run("records", "list", "--level", "white", "--profile", profile).status == 2


def test_a_revision_takes_the_place_of_the_older_one(doors: dict[str, AgencyDoor]) -> None:
    """The newest revision is shown; the older one is marked, and listed only when asked for."""
    cq, sc = doors["cq"].agency("revisions"), doors["sc"].agency("revisions")
    about = firm(4)
    record = credit_of(about)
    sent = submit(cq, record, "revision-1")
    revised = _revised(record, sent.record_id)
    revised.credit_result.score = "93"
    submit(cq, revised, "revision-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert _get(stubs, sent.record_id).ref.revision == 2
        assert not _get(stubs, sent.record_id).replaced
        old = _get(stubs, sent.record_id, revision=1)
        assert old.replaced
        assert old.record.credit_result.score == "92"
        assert [view.ref.revision for view in _list(stubs, uscc=about)] == [2]
        assert sorted(view.ref.revision for view in _list(stubs, uscc=about, include_replaced=True)) == [1, 2]


def test_a_record_that_another_one_supersedes_is_replaced(doors: dict[str, AgencyDoor]) -> None:
    """``supersedes`` names another record: that one is shown as replaced on both sides."""
    cq, sc = doors["cq"].agency("supersedes"), doors["sc"].agency("supersedes")
    about = firm(5)
    first = submit(cq, penalty_of(about, "演环罚〔2025〕501号"), "supersede-1")
    second = penalty_of(about, "演环罚〔2025〕502号")
    second.header.supersedes.origin, second.header.supersedes.record_id = "cq", first.record_id
    newer = submit(cq, second, "supersede-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        assert _get(stubs, first.record_id).replaced
        assert [view.ref.record_id for view in _list(stubs, uscc=about)] == [newer.record_id]
        notices = stubs.call(stubs.penalty.ListNotices, penalty_service_pb2.ListNoticesRequest(uscc=about)).notices
        assert [view.ref.record_id for view in notices] == [newer.record_id]


def test_a_repaired_notice_is_a_tombstone_on_every_door(doors: dict[str, AgencyDoor]) -> None:
    """Both revisions, lists, single gets, notices and envelopes of both sides show the tombstone and no text."""
    cq, sc = doors["cq"].agency("repairs"), doors["sc"].agency("repairs")
    about, number = firm(6), "演环罚〔2025〕601号"
    record = penalty_of(about, number)
    sent = submit(cq, record, "repair-1")
    wait_settled(doors["cq"])
    repaired = _revised(record, sent.record_id)
    repaired.penalty_notice.state = PenaltyState.PENALTY_STATE_REPAIRED
    repaired.header.issued.issued_on = "2026-02-01"
    submit(cq, repaired, "repair-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        views = [_get(stubs, sent.record_id, revision=revision) for revision in (0, 1, 2)]
        views += _list(stubs, uscc=about, include_replaced=True)
        for written in (number, "演环罚[2025] 601号"):
            request_no = penalty_service_pb2.GetNoticeRequest(decision_no=written)
            views += stubs.call(stubs.penalty.GetNotice, request_no).notices
        views += stubs.call(stubs.penalty.ListNotices, penalty_service_pb2.ListNoticesRequest(uscc=about)).notices
        assert len(views) >= 7
        for view in views:
            assert view.WhichOneof("content") == "tombstone"
            assert (view.tombstone.reason, view.tombstone.since) == ("REPAIRED", "2026-02-01")
            assert "废水总排口" not in str(view)
        for revision in (0, 1, 2):
            request = record_service_pb2.GetEnvelopeRequest()
            request.ref.record_id, request.ref.origin, request.ref.revision = sent.record_id, "cq", revision
            answer = stubs.call(stubs.record.GetEnvelope, request)
            assert answer.tombstone.reason == "REPAIRED"
            assert not answer.sealed.HasField("body")
            assert answer.sealed.envelope


def test_an_erased_record_leaves_its_tombstone_and_its_envelope(doors: dict[str, AgencyDoor]) -> None:
    """After an erasure nobody is shown the body, not even who may read only one county; the envelope still verifies."""
    cq, sc = doors["cq"].agency("erases"), doors["sc"].agency("erases")
    county = doors["sc"].agency("erases-county", ("500107",))
    about = firm(7)
    sent = submit(cq, credit_of(about), "erase-1")
    wait_settled(doors["cq"])
    assert _get(county, sent.record_id).HasField("record")
    act = erasure()
    act.erasure.record.record_id = sent.record_id
    act.erasure.record.revision = 1
    submit(cq, act, "erase-2")
    wait_settled(doors["cq"])
    for stubs in (cq, sc, county):
        view = _get(stubs, sent.record_id)
        assert (view.tombstone.reason, view.WhichOneof("content")) == ("ERASED", "tombstone")
        assert about not in str(view)
        assert not _list(stubs, uscc=about)
    request = record_service_pb2.GetEnvelopeRequest()
    request.ref.record_id, request.ref.origin = sent.record_id, "cq"
    answer = sc.call(sc.record.GetEnvelope, request)
    assert not answer.sealed.HasField("body")
    trust = SigningTrust.build(node="cq", domain=FEDERATION, roots=keyring("cq").root.root_pem)
    trust = trust.with_chains([SigningChain(certificates=tuple(answer.certificates))])
    verdict = trust.verify(answer.sealed.envelope, datetime.now(UTC))
    assert verdict.status is VerdictStatus.VALID


def test_an_envelope_comes_with_everything_to_verify_it_elsewhere(doors: dict[str, AgencyDoor]) -> None:
    """Envelope, body, salt, entry and certificates agree with each other, on the other side too."""
    cq, sc = doors["cq"].agency("envelopes"), doors["sc"].agency("envelopes")
    sent = submit(cq, credit_of(firm(8)), "envelope-1")
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        request = record_service_pb2.GetEnvelopeRequest()
        request.ref.record_id, request.ref.origin = sent.record_id, "cq"
        answer = stubs.call(stubs.record.GetEnvelope, request)
        assert answer.sealed.envelope == sent.envelope
        assert LogEntry.FromString(answer.entry).envelope == sent.envelope
        statement = Statement.FromString(Envelope.FromString(sent.envelope).payload)
        body = answer.sealed.body
        assert sha256(body.salt + body.record).digest() == statement.commitments[0].digest
        assert list(answer.certificates) == list(doors["cq"].node.keys.signers[0].chain)
        assert answer.log.startswith("cq.")


def test_what_is_not_there_is_not_found(doors: dict[str, AgencyDoor]) -> None:
    """Unknown record, unknown number, wrong kind: NOT_FOUND; an id that is none: refused."""
    cq = doors["cq"].agency("missing")
    for call in (
        lambda: _get(cq, "019573a0-6c00-7000-8000-00000000ffff"),
        lambda: cq.call(cq.penalty.GetNotice, penalty_service_pb2.GetNoticeRequest(decision_no="无此号")),
    ):
        with pytest.raises(CallFailed) as failure:
            call()
        assert (failure.value.status, failure.value.reason) == ("NOT_FOUND", "NOT_FOUND")
    with pytest.raises(CallFailed) as failure:
        _get(cq, "not-an-id")
    assert (failure.value.status, failure.value.reason) == ("INVALID_ARGUMENT", "RECORD_REF_INVALID")


def test_standing_shows_the_newest_result_of_each_unit(doors: dict[str, AgencyDoor]) -> None:
    """Older years give way; the lowest level of what counts decides; what ended or is no final result does not."""
    cq = doors["cq"].agency("standing")
    about = firm(9)
    submit(cq, credit_of(about, year=2022), "standing-1")
    newer = credit_of(about, year=2023)
    newer.credit_result.source_level_text, newer.credit_result.source_colour = "环保警示企业", "黄牌"
    newer.credit_result.shared_level = CreditLevel.CREDIT_LEVEL_YELLOW
    newer.credit_result.score = "70"
    sent = submit(cq, newer, "standing-2")
    other = credit_of(about, year=2023)
    other.credit_result.subject.permit_code = f"{about}002Q"
    submit(cq, other, "standing-3")
    wait_settled(doors["cq"])

    def regions() -> Any:
        request = credit_service_pb2.GetCreditStandingRequest(uscc=f" {about.lower()} ")
        return cq.call(cq.credit.GetCreditStanding, request).regions

    own = regions()[0]
    assert own.origin == "cq"
    assert [view.record.credit_result.evaluation_year for view in own.results] == [2023, 2023]
    assert own.decisive_level == CreditLevel.CREDIT_LEVEL_YELLOW
    ended = _revised(newer, sent.record_id)
    ended.credit_result.state = CreditState.CREDIT_STATE_WITHDRAWN
    submit(cq, ended, "standing-4")
    wait_settled(doors["cq"])
    own = regions()[0]
    assert sorted(view.WhichOneof("content") for view in own.results) == ["record", "tombstone"]
    assert own.decisive_level == CreditLevel.CREDIT_LEVEL_BLUE
    listed = cq.call(
        cq.credit.ListCreditResults,
        credit_service_pb2.ListCreditResultsRequest(
            uscc=about, level=CreditLevel.CREDIT_LEVEL_BLUE, evaluation_year=2023
        ),
    ).results
    assert [view.record.credit_result.subject.permit_code for view in listed] == [f"{about}002Q"]


def test_knowing_nothing_is_told_apart_from_not_knowing(fresh_doors: dict[str, AgencyDoor]) -> None:
    """NO_RECORD while the peer's data is fresh, PEER_STALE once it is old."""
    door = fresh_doors["cq"]
    cq = door.agency("stale")
    wait_settled(door)
    request = credit_service_pb2.GetCreditStandingRequest(uscc=firm(10))

    def knowledge() -> list[int]:
        door.freshness.forget()
        return [region.knowledge for region in cq.call(cq.credit.GetCreditStanding, request).regions]

    assert knowledge() == [Knowledge.KNOWLEDGE_NO_RECORD, Knowledge.KNOWLEDGE_NO_RECORD]
    door.freshness._stale_after = -5_000_000
    assert knowledge() == [Knowledge.KNOWLEDGE_NO_RECORD, Knowledge.KNOWLEDGE_PEER_STALE]
    answer = cq.call(cq.credit.GetCreditStanding, request)
    assert all(line.stale and line.HasField("complete_until") for line in answer.freshness)
    sent = submit(cq, credit_of(firm(10)), "stale-1")
    wait_settled(door)
    assert sent.record_id
    assert knowledge() == [Knowledge.KNOWLEDGE_FOUND, Knowledge.KNOWLEDGE_PEER_STALE]
