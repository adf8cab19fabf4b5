"""Commands with a certificate: what they ask, what they show, how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.v1 import (
    check_service_pb2 as checks,
)
from exchange.v1 import (
    common_pb2 as common,
)
from exchange.v1 import (
    credit_service_pb2 as credit,
)
from exchange.v1 import (
    kind_pb2 as kind,
)
from exchange.v1 import (
    operation_service_pb2 as operation,
)
from exchange.v1 import (
    record_pb2 as record,
)
from exchange.v1 import (
    record_service_pb2 as records,
)
from exchange.v1 import (
    security_service_pb2 as security,
)
from exchange.v1 import (
    submission_pb2 as submission,
)
from exchange.v1 import (
    submission_service_pb2 as submissions,
)
from exchange.v1.action_pb2 import Action, ActionRequest, ActionState, DiscardQuarantineAction
from exchange.v1.matter_pb2 import MatterKind
from tests.cli.conftest import run
from tests.cli.fake_node import Abort, FakeNode

pytestmark = pytest.mark.usefixtures("profile")

LANE = operation.LaneStatus(
    peer="sc", lane=kind.LANE_REGISTRY, state=operation.LANE_STATE_WAITING, size=9, delivered=7, last_error="PEER_AWAY"
)
ALARM = operation.Alarm(id=3, code="PEER_AWAY", object="sc", detail="connect")


def sent(number: int, state: int = submission.SUBMISSION_STATE_DELIVERED) -> submission.Submission:
    """One submission towards sc."""
    made = submission.Submission(
        record_id=f"id-{number}", revision=1, kind=kind.KIND_CREDIT_RESULT, idempotency_key=f"k-{number}"
    )
    made.addressees.add(addressee="sc", state=submission.SubmissionState.ValueType(state), log="log", index=number)
    return made


def view(number: int) -> records.RecordView:
    """One record of cq, recognised under a condition."""
    made = records.RecordView(
        ref=common.RecordRef(origin="cq", record_id=f"id-{number}", revision=1),
        kind=kind.KIND_CREDIT_RESULT,
        standing=records.STANDING_DECIDED,
        outcome=kind.OUTCOME_CONDITIONAL,
        conditions=[kind.CONDITION_RULE_NOT_APPROVED],
        record=record.Record(),
    )
    made.record.credit_result.subject.uscc = "91509901MA0002221K"
    made.record.credit_result.evaluation_year = 2024
    return made


def test_status_with_an_open_alarm_is_a_finding(node: FakeNode) -> None:
    """Alarms come first, with their remedy, and make the exit status 1."""
    node.answers["GetStatus"] = operation.GetStatusResponse(node="cq", domain="d", alarms=[ALARM], lanes=[LANE])
    done = run("status")
    assert done.status == 1
    assert done.out.index("PEER_AWAY") < done.out.index("cq.d")
    node.answers["GetStatus"] = operation.GetStatusResponse(node="cq", domain="d")
    assert run("status").status == 0


def test_json_is_the_message_and_is_never_translated(node: FakeNode) -> None:
    """The schema's own field names and enumerators, whatever the language."""
    node.answers["GetStatus"] = operation.GetStatusResponse(node="cq", lanes=[LANE])
    for lang in ("zh", "en"):
        assert run("status", "--json", lang=lang).json["lanes"][0]["state"] == "LANE_STATE_WAITING"


WAITING = Action(
    action_id="0198a000-0000-7000-8000-000000000001",
    verb="quarantine.discard",
    request=ActionRequest(
        discard_quarantine=DiscardQuarantineAction(quarantine_ids=["q-1", "q-2"]), reason="重复"
    ).SerializeToString(),
    digest=b"\x01" * 32,
    asked_by="spiffe://cq.exchange.example/operator/li",
    confirmed_by_role="security",
    state=ActionState.ACTION_STATE_WAITING,
)


def test_an_action_is_shown_before_it_is_confirmed(node: FakeNode) -> None:
    """What exactly is asked for, then the question; the digest of what was shown is what is confirmed."""
    node.answers["ListActions"] = security.ListActionsResponse(actions=[WAITING])
    done = Action()
    done.CopyFrom(WAITING)
    done.state = ActionState.ACTION_STATE_DONE
    node.answers["ConfirmAction"] = security.ConfirmActionResponse(action=done)
    assert "quarantine.discard" in run("actions", "list").out
    assert run("actions", "confirm", WAITING.action_id, "-r", "x", given="n\n").status == 1
    assert node.asked("ConfirmAction") == []
    agreed = run("actions", "confirm", WAITING.action_id, "-r", "x", given="y\n")
    assert agreed.status == 0
    assert "q-2" in agreed.out
    assert node.asked("ConfirmAction")[0].digest == WAITING.digest
    run("actions", "confirm", WAITING.action_id, "-r", "x", "--digest", "02" * 32)
    assert node.asked("ConfirmAction")[1].digest == b"\x02" * 32
    assert run("actions", "confirm", WAITING.action_id, "-r", "x", "--digest", "no").status == 2
    assert run("actions", "show", "0198a000-0000-7000-8000-000000000002").status == 3


def test_a_confirmed_action_that_could_not_be_done_is_a_finding(node: FakeNode) -> None:
    """Exit status 1, with the outcome."""
    failed = Action(state=ActionState.ACTION_STATE_FAILED, outcome="LANE_NOT_STOPPED lane", action_id="a")
    node.answers["ConfirmAction"] = security.ConfirmActionResponse(action=failed)
    done = run("actions", "confirm", "a", "-r", "x", "--digest", "00")
    assert (done.status, "LANE_NOT_STOPPED" in done.out) == (1, True)


def test_erasing_asks_and_says_who_confirms(node: FakeNode) -> None:
    """The order travels whole; nothing has happened yet."""
    node.answers["EraseRecord"] = security.EraseRecordResponse(action=WAITING)
    node.answers["RefuseAction"] = security.RefuseActionResponse(action=WAITING)
    order = ["--ground", "法", "--ground-code", "PERSONAL_DATA", "--ordered-by", "处长", "--ordered-on", "2026-01-15"]
    assert "security officer" in run("records", "erase", "r-1", *order, "-r", "投诉").out
    asked = node.asked("EraseRecord")[0]
    assert (asked.erase.record.record_id, asked.erase.ground_code, asked.reason) == ("r-1", "PERSONAL_DATA", "投诉")
    assert run("actions", "refuse", "a", "-r", "不妥").status == 0


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "retire"])
def test_lanes_are_changed_with_a_reason(node: FakeNode, verb: str) -> None:
    """The request carries peer, lane and reason; without a reason it is not made."""
    method = f"{verb.capitalize()}Lane"
    made = getattr(operation, f"{method}Response")
    node.answers[method] = made(lane=LANE)
    more = ["--yes"] if verb == "retire" else []
    done = run("lanes", verb, "sc", "registry", "--reason", "维护", *more)
    assert done.status == 0
    (asked,) = node.asked(method)
    assert (asked.peer, asked.lane, asked.reason) == ("sc", kind.LANE_REGISTRY, "维护")
    assert run("lanes", verb, "sc", "registry").status == 2
    assert run("lanes", verb, "sc", "express", "-r", "x", *more).status == 2
    assert len(node.asked(method)) == 1


def test_retiring_a_lane_is_asked_twice(node: FakeNode) -> None:
    """Without --yes a person has to agree."""
    assert run("lanes", "retire", "sc", "registry", "-r", "x", given="n\n").status == 1
    assert node.requests == []


def test_show_of_what_is_not_there_is_3(node: FakeNode) -> None:
    """A lane, a row or an agency that the node does not have: the question can not be answered."""
    node.answers["GetStatus"] = operation.GetStatusResponse(lanes=[LANE])
    node.answers["ListQuarantine"] = operation.ListQuarantineResponse()
    node.answers["ListAgencies"] = security.ListAgenciesResponse()
    assert run("lanes", "show", "sc", "registry").status == 0
    assert run("lanes", "show", "sc", "urgent").status == 3
    assert run("quarantine", "show", "q-1").status == 3
    assert run("agencies", "show", "nobody").status == 3


def test_lists_walk_the_pages(node: FakeNode) -> None:
    """Page after page with the node's token, never more than asked for, at most 500 at once."""

    def page(request: Any) -> submissions.ListSubmissionsResponse:
        first = int(request.page_token or 0)
        rows = [sent(first + number) for number in range(request.page_size)]
        return submissions.ListSubmissionsResponse(submissions=rows, next_page_token=str(first + request.page_size))

    node.answers["ListSubmissions"] = page
    done = run("submissions", "list", "--limit", 1100, "--json", "--kind", "credit-result", "--state", "delivered")
    assert [row["record_id"] for row in done.json["submissions"]] == [f"id-{number}" for number in range(1100)]
    asked = node.asked("ListSubmissions")
    assert [request.page_size for request in asked] == [500, 500, 100]
    assert asked[0].kind == kind.KIND_CREDIT_RESULT
    assert asked[0].state == submission.SUBMISSION_STATE_DELIVERED


@pytest.mark.parametrize("option", [("--kind", "Nope"), ("--state", "NOPE"), ("--state", "UNSPECIFIED")])
def test_unknown_choices_are_usage(node: FakeNode, option: tuple[str, str]) -> None:
    """A word outside the closed list is named before any call."""
    assert run("submissions", "list", *option).status == 2
    assert node.requests == []


def test_submission_by_id_and_by_key(node: FakeNode) -> None:
    """--key looks up by idempotency key."""
    node.answers["GetSubmission"] = submissions.GetSubmissionResponse(submission=sent(1))
    assert "id-1" in run("submissions", "show", "id-1").out
    assert run("submissions", "show", "k-1", "--key").status == 0
    assert [request.WhichOneof("key") for request in node.asked("GetSubmission")] == ["record_id", "idempotency_key"]


def test_receipt_is_written_as_it_came(node: FakeNode, tmp_path: Path) -> None:
    """Byte for byte: a receipt is evidence."""
    text = "c2sp.org/tlog-proof@v1\nindex 0\n\n— x\n"
    node.answers["GetReceipt"] = submissions.GetReceiptResponse(receipt=text)
    assert run("submissions", "receipt", "id-1", "-o", tmp_path / "r").status == 0
    assert (tmp_path / "r").read_bytes() == text.encode()
    assert run("submissions", "receipt", "id-1").out == text


def test_records_show_recognition_in_words(node: FakeNode) -> None:
    """Kind, outcome and condition in the officer's language."""
    node.answers["ListRecords"] = records.ListRecordsResponse(records=[view(1)])
    chinese = run("records", "list", "--outcome", "CONDITIONAL", "--uscc", "91509901MA0002221K", lang="zh").out
    for word in ("信用评价结果", "有条件互认", "规则待两地批准", "91509901MA0002221K"):
        assert word in chinese
    (asked,) = node.asked("ListRecords")
    assert (asked.outcome, asked.uscc) == (kind.OUTCOME_CONDITIONAL, "91509901MA0002221K")


def test_a_tombstone_shows_no_content(node: FakeNode) -> None:
    """What was erased is shown as such."""
    dead = records.RecordView(ref=common.RecordRef(origin="cq", record_id="id-9"), kind=kind.KIND_PENALTY_NOTICE)
    dead.tombstone.reason, dead.tombstone.since = "ERASED", "2026-01-02"
    node.answers["GetRecord"] = records.GetRecordResponse(record=dead)
    node.answers["ListRecords"] = records.ListRecordsResponse(records=[dead])
    assert "ERASED" in run("records", "show", "id-9").out
    assert "2026-01-02" in run("records", "list").out


def test_check_asks_everything_and_tells_three_answers_apart(node: FakeNode) -> None:
    """No record, not evaluated and peer stale are three answers; a check without matter number is not made."""
    answer = checks.CheckSubjectResponse(check_id="c-1", notice_knowledge=credit.KNOWLEDGE_PEER_STALE)
    answer.credit.add(origin="cq", knowledge=credit.KNOWLEDGE_NO_RECORD)
    answer.credit.add(origin="sc", knowledge=credit.KNOWLEDGE_NOT_EVALUATED)
    node.answers["CheckSubject"] = answer
    arguments = ["check", "91509901MA0002221K", "--matter", "permit", "--purpose", "审批", "--officer", "007"]
    assert run(*arguments).status == 2
    shown = run(*arguments, "--matter-no", "许可-1").out
    for word in ("no record", "not evaluated", "peer stale"):
        assert word in shown
    (asked,) = node.asked("CheckSubject")
    assert (asked.matter_kind, asked.matter_no, asked.officer_ref) == (MatterKind.MATTER_KIND_PERMIT, "许可-1", "007")


def test_a_subject_is_shown_as_of_the_end_of_a_day(node: FakeNode) -> None:
    """The instant asked for ends the day in UTC+8; what is not listed is said, and a date that is none is refused."""
    answer = checks.GetSubjectResponse(not_granted=[kind.KIND_LIST_ENTRY], cut=[kind.KIND_PENALTY_NOTICE])
    answer.credit.add(origin="cq", knowledge=credit.KNOWLEDGE_NO_RECORD)
    dead = answer.notices.add(kind=kind.KIND_PENALTY_NOTICE, ref=common.RecordRef(record_id="id-9"))
    dead.tombstone.reason, dead.tombstone.since = "REPAIRED", "2026-01-02"
    node.answers["GetSubject"] = answer
    shown = run("subject", "91509901MA0002221K", "--as-of", "2026-01-31", "--history").out
    for text in ("no record", "id-9", "REPAIRED", "no grant", "left out"):
        assert text in shown
    (asked,) = node.asked("GetSubject")
    assert (asked.include_history, asked.as_of.ToJsonString()) == (True, "2026-01-31T15:59:59.999999Z")
    assert run("subject", "91509901MA0002221K", "--as-of", "31.1.2026").status == 2


def test_quarantine_retry_that_leaves_rows_is_a_finding(node: FakeNode) -> None:
    """What still can not be mapped is shown."""
    row = operation.QuarantinedRow(quarantine_id="q-1", content="x" * 300, state="OPEN")
    row.problems.add(reason="LEVEL_UNMAPPED", place="A1")
    node.answers["ListQuarantine"] = operation.ListQuarantineResponse(rows=[row])
    node.answers["RetryQuarantine"] = operation.RetryQuarantineResponse(resolved=1, remaining=[row])
    node.answers["DiscardQuarantine"] = operation.DiscardQuarantineResponse(action=WAITING)
    assert run("quarantine", "list", "--code", "LEVEL_UNMAPPED").out.count("x") < 100
    assert run("quarantine", "show", "q-1").out.count("x") >= 300
    assert run("quarantine", "retry", "q-1", "q-2").status == 1
    assert f"action {WAITING.action_id} waits" in run("quarantine", "discard", "q-1", "q-2", "-r", "重复").out
    (asked,) = node.asked("DiscardQuarantine")
    assert (list(asked.quarantine_ids), asked.reason) == (["q-1", "q-2"], "重复")


def test_alarms_are_listed_and_acknowledged(node: FakeNode) -> None:
    """Text and remedy come from the table, the detail from the node."""
    node.answers["ListAlarms"] = operation.ListAlarmsResponse(alarms=[ALARM])
    node.answers["AcknowledgeAlarm"] = operation.AcknowledgeAlarmResponse(alarm=ALARM)
    shown = run("alarms", "list", "--cleared", lang="zh")
    assert "connect" in shown.out
    assert node.asked("ListAlarms")[0].include_cleared
    assert run("alarms", "ack", 3, "-r", "已知").status == 0
    assert run("alarms", "ack", 3).status == 2


AGENCY = """
name = "permit-office"
display_name = "演示行政审批局"
[[grant]]
verb = "READ"
kinds = ["CreditResult"]
areas = ["50"]
"""


def test_agencies_are_brought_in_whole_or_not_at_all(node: FakeNode, tmp_path: Path) -> None:
    """All files are checked before the first is sent."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(AGENCY)
    bad.write_text(AGENCY.replace('"50"', '"99"'))
    node.answers["PutAgency"] = lambda request: security.PutAgencyResponse(agency=request.agency, journal_index=7)
    done = run("agencies", "apply", good, bad, "-r", "x")
    assert done.status == 1
    assert "AREA_UNKNOWN" in done.err
    assert run("agencies", "apply", good, "-r", "x", "--dry-run").status == 0
    assert node.requests == []
    assert run("agencies", "apply", good, "-r", "x").status == 0
    (asked,) = node.asked("PutAgency")
    assert asked.agency.grants[0].areas == ["50"]


def test_agency_show_is_the_form_that_apply_takes(node: FakeNode, tmp_path: Path) -> None:
    """What is shown can be applied again and says the same."""
    (tmp_path / "a.toml").write_text(AGENCY)
    node.answers["PutAgency"] = lambda request: security.PutAgencyResponse(agency=request.agency)
    run("agencies", "apply", tmp_path / "a.toml", "-r", "x")
    agency = node.asked("PutAgency")[0].agency
    node.answers["ListAgencies"] = security.ListAgenciesResponse(agencies=[agency])
    (tmp_path / "b.toml").write_text(run("agencies", "show", "permit-office").out)
    run("agencies", "apply", tmp_path / "b.toml", "-r", "x")
    assert node.asked("PutAgency")[1].agency == agency


def test_bind_names_the_key_of_a_certificate_or_its_hash(node: FakeNode, regions: Path) -> None:
    """One more key, or one less; what is neither a file nor a hash is a usage error."""
    node.answers["BindKey"] = lambda request: security.BindKeyResponse(journal_index=3)
    certificate = regions / "cq" / "clients" / "agency-bureau.pem"
    assert run("agencies", "bind", "bureau", certificate, "-r", "x").status == 0
    assert run("agencies", "bind", "bureau", "ab" * 32, "--remove", "-r", "x").status == 0
    first, second = node.asked("BindKey")
    assert (len(first.key_hash), first.remove) == (64, False)
    assert (second.key_hash, second.remove) == ("ab" * 32, True)
    assert run("agencies", "bind", "bureau", regions / "nothing.pem", "-r", "x").status == 2


def test_show_tells_the_limits_that_hold_without_a_quota(node: FakeNode) -> None:
    """Its own quotas as the form has them, the node's limits beside them as comments, and both together as JSON."""
    agency = security.Agency(name="bureau", display_name="演示", quotas=security.Quotas(records_per_minute=600))
    limits = security.Quotas(records_per_minute=9_000, calls_in_flight=64, watchers=8)
    node.answers["ListAgencies"] = security.ListAgenciesResponse(agencies=[agency], limits=limits)
    shown = run("agencies", "show", "bureau").out
    assert "records_per_minute = 600\n" in shown
    assert "# calls_in_flight = 64" in shown
    assert json.loads(run("agencies", "show", "bureau", "--json").out)["effectiveQuotas"] == {
        "records_per_minute": 600,
        "calls_in_flight": 64,
        "watchers": 8,
    }


def test_suspend_and_lift(node: FakeNode) -> None:
    """--lift reinstates."""
    node.answers["SuspendAgency"] = lambda r: security.SuspendAgencyResponse(
        agency=security.Agency(name=r.name, suspended=r.suspended)
    )
    assert run("agencies", "suspend", "bureau", "-r", "x").status == 0
    assert run("agencies", "suspend", "bureau", "-r", "x", "--lift").status == 0
    assert [request.suspended for request in node.asked("SuspendAgency")] == [True, False]


def messages(*numbers: int) -> list[submissions.WatchSubmissionsResponse]:
    """Submissions with their cursors, then the mark of having caught up."""
    made = [submissions.WatchSubmissionsResponse(submission=sent(n), cursor=f"c-{n}") for n in numbers]
    end = submissions.WatchSubmissionsResponse(cursor=f"c-{max(numbers)}")
    end.caught_up.at.GetCurrentTime()
    return [*made, end]


def test_watch_goes_on_from_its_cursor_file(node: FakeNode, tmp_path: Path) -> None:
    """The cursor is kept after each message, and the next run hands it in."""
    cursor = tmp_path / "cursor"
    node.answers["WatchSubmissions"] = messages(1, 2)
    arguments = ["watch", "submissions", "--cursor", cursor, "--until-caught-up", "--from-start"]
    done = run(*arguments, "--json")
    assert [line["cursor"] for line in done.lines] == ["c-1", "c-2", "c-2"]
    assert cursor.read_text() == "c-2\n"
    node.answers["WatchSubmissions"] = messages(3)
    assert "id-3" in run(*arguments).out
    first, second = node.asked("WatchSubmissions")
    assert (first.cursor, first.from_start) == ("", True)
    assert (second.cursor, second.from_start) == ("c-2", False)


def test_watch_comes_back_when_the_node_was_away(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A node that restarts is waited for, and nothing between is lost."""
    monkeypatch.setattr("exchange.cli.calls.exchanged.watch.RECONNECT_S", 0.01)
    calls: list[Any] = []

    def answer(request: Any) -> Any:
        calls.append(request.cursor)
        if len(calls) == 1:
            return iter(messages(1)[:1])  # the stream ends without having caught up
        if len(calls) == 2:
            raise Abort("INVALID_ARGUMENT", "CURSOR_INVALID")
        raise AssertionError

    node.answers["WatchSubmissions"] = answer
    done = run("watch", "submissions", "--cursor", tmp_path / "c")
    assert calls == ["", "c-1"]
    assert done.status == 1
    assert "CURSOR_INVALID" in done.err


def test_watch_of_records_filters_by_kind(node: FakeNode) -> None:
    """Kinds go into the request."""
    end = records.WatchRecordsResponse(cursor="z")
    end.caught_up.at.GetCurrentTime()
    node.answers["WatchRecords"] = [records.WatchRecordsResponse(record=view(1), cursor="a"), end]
    done = run("watch", "records", "-k", "CreditResult", "--until-caught-up")
    assert "id-1" in done.out
    assert list(node.asked("WatchRecords")[0].kinds) == [kind.KIND_CREDIT_RESULT]
    assert run("watch", "everything").status == 2


def test_how_a_peer_is_reached_is_said_beside_its_lanes(node: FakeNode) -> None:
    """The way, in the officer's words, and when something last went and came; of the lane too."""
    peer = operation.PeerStatus(peer="sc", transport="folder", waiting=3)
    peer.last_taken.FromSeconds(1_735_689_600)
    node.answers["GetStatus"] = operation.GetStatusResponse(node="cq", lanes=[LANE], peers=[peer])
    for shown in (run("status"), run("lanes", "show", "sc", "registry")):
        assert "files by courier" in shown.out, shown
        assert "2025-01-01" in shown.out, shown
    assert "文件摆渡" in run("status", lang="zh").out
    assert "文件摆渡" in run("lanes", "list", lang="zh").out
    assert run("lanes", "list", "--json").json["lanes"][0]["transport"] == "folder"
    assert run("status", "--json").json["peers"][0]["transport"] == "folder"
