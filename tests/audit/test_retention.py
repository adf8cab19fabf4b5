"""Keeping: what a rule makes due is listed, and goes by Erasures once two officers confirmed the very list."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain.catalogues.retention import load_retention
from exchange.domain.catalogues.table_file import TableError, open_table
from exchange.flows.actions.pending import Confirmed
from exchange.flows.audit.keeping.retention import RetentionWatch
from exchange.flows.intake.ids import format_id
from exchange.storage import schema
from exchange.storage.queries import retention
from exchange.tables import read_all
from exchange.v1 import security_service_pb2 as pb
from exchange.v1.action_pb2 import ActionRequest, ActionState
from exchange.v1.common_pb2 import RecordRef, SubjectKind
from exchange.v1.kind_pb2 import ErasureClass, Kind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetRecordRequest
from tests import evidence
from tests.cli.conftest import run
from tests.domain.records import make_uscc
from tests.flows.audit.past import by_hand
from tests.rpc.doors import AgencyDoor, client_issued, identity_root
from tests.rpc.facts import penalty_of, submit, wait_settled
from tests.rpc.test_actions import confirm, officers, refused

RULE = """
edition = "1"
status = "演示"
[[rule]]
id = "a"
class = "ORGANISATION"
kinds = ["{kind}"]
since = "{since}"
years = {years}
ground_code = "{ground}"
legal_ground = "演示依据"
source = "演示"
"""


MANY = 20_500
"""Records that are kept: more than anybody reads past."""


def _text(**changes: object) -> bytes:
    values = {"kind": "PenaltyNotice", "since": "DATE", "years": 3, "ground": "RETENTION_ENDED"} | changes
    return RULE.format(**values).encode()


def test_the_shipped_rules_leave_out_what_is_kept_for_ever() -> None:
    """No rule is about decisions, answers, keys or erasures; each names its legal ground."""
    shipped = load_retention(open_table("retention.toml", read_all()["retention.toml"]))
    assert all(rule.kinds and rule.legal_ground for rule in shipped.rules)
    for name in ("Recognition", "Answer", "KeyAnnouncement", "Erasure"):
        with pytest.raises(TableError, match="kinds"):
            load_retention(open_table("retention.toml", _text(kind=name)))


@pytest.mark.parametrize("wrong", [{"years": 0}, {"years": 101}, {"since": "BIRTH"}, {"ground": "WHIM"}, {"kind": "X"}])
def test_a_rule_that_says_nothing_sound_is_refused(wrong: dict[str, object]) -> None:
    """Periods, days, grounds and kinds come from closed lists."""
    with pytest.raises(TableError):
        load_retention(open_table("retention.toml", _text(**wrong)))


def test_a_period_is_over_the_day_after_its_last() -> None:
    """Full years, with 29 February counted to its end."""
    (rule,) = load_retention(open_table("retention.toml", _text())).rules
    assert rule.last_day(date(2026, 11, 29)) == "2023-11-29"
    assert rule.last_day(date(2028, 2, 29)) == "2025-02-28"
    assert rule.last_day(date(2027, 3, 1)) == "2024-03-01"


def _old_notice(number: int, decided_on: str) -> Record:
    """A penalty of a sole trader."""
    record = penalty_of(make_uscc(number, prefix="92500000"), f"演环罚〔2022〕{number}号")
    record.penalty_notice.subject.kind = SubjectKind.SUBJECT_KIND_SOLE_TRADER
    record.penalty_notice.subject.name = "演示个体户"
    record.penalty_notice.subject.permit_code = ""
    record.penalty_notice.decided_on = decided_on
    record.header.issued.issued_on = decided_on
    return record


def test_what_is_due_goes_once_two_officers_confirmed_it(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Listed by its rule, asked for, confirmed, erased on both sides with its ground; what is younger stays."""
    door = doors["cq"]
    agency = door.agency("keeping")
    operator, security = officers(door)
    old = [submit(agency, _old_notice(n, "2022-03-01"), f"old-{n}").record_id for n in (8101, 8102)]
    young = submit(agency, _old_notice(8103, "2026-01-05"), "young").record_id
    wait_settled(door)
    due = operator.call(operator.security.ListRetentionDue, pb.ListRetentionDueRequest())
    assert {each.record.record_id for each in due.records} == set(old)
    assert {(each.rule, each.since, each.ground_code) for each in due.records} == {
        ("personal", "2022-03-01", "PERSONAL_DATA")
    }
    issued = client_issued("cq", Role.OPERATOR, "li")
    (tmp_path / "ca.pem").write_bytes(identity_root().root_pem)
    (tmp_path / "me.pem").write_bytes(issued.chain + issued.key)
    profile = tmp_path / "profile.toml"
    text = f'address = "127.0.0.1:{door.server.port}"\nca = "ca.pem"\ncert = "me.pem"\nkey = "me.pem"\n'
    profile.write_text(text, "utf-8")
    listed = run("records", "due", "--profile", str(profile))
    assert listed.status == 1
    assert all(each in listed.out for each in old)
    assert run("records", "erase-due", "--ordered-by", "处长", "-r", "年度清理", "--profile", str(profile)).status == 0

    (asked,) = security.call(security.security.ListActions, pb.ListActionsRequest()).actions
    request = ActionRequest.FromString(asked.request).erase_due
    assert {each.record.record_id for each in request.records} == set(old)
    assert not [
        each
        for each in evidence.records(door.world, "cq", "cq.exchange.example/to/sc/registry/1")
        if each.HasField("erasure")
    ]
    done = confirm(security, asked)
    assert (done.state, done.outcome) == (ActionState.ACTION_STATE_DONE, "2 of 2")
    wait_settled(door)
    wait_settled(doors["sc"])
    for name in ("cq", "sc"):
        reader = doors[name].agency("keeping")
        for each in old:
            shown = reader.call(reader.record.GetRecord, GetRecordRequest(ref=RecordRef(origin="cq", record_id=each)))
            assert shown.record.tombstone.reason == "ERASED"
        kept = reader.call(reader.record.GetRecord, GetRecordRequest(ref=RecordRef(origin="cq", record_id=young)))
        assert kept.record.HasField("record")
    erasures = [
        each.erasure
        for each in evidence.records(door.world, "sc", "cq.exchange.example/to/sc/registry/1")
        if each.HasField("erasure")
    ]
    assert {(each.ground_code, each.legal_ground, each.ordered_by) for each in erasures} == {
        ("PERSONAL_DATA", "个人信息保护法 第十九条、第四十七条", "处长")
    }
    assert not operator.call(operator.security.ListRetentionDue, pb.ListRetentionDueRequest()).records
    again = refused(operator, operator.security.EraseDue, pb.EraseDueRequest(ordered_by="处长", reason="再"))
    assert again[1] == "NOTHING_DUE"
    assert run("records", "due", "--profile", str(profile)).status == 0
    # Carried out again, as behind a crash, it does nothing more.
    assert door.retention.perform(ActionRequest.FromString(asked.request), _confirmed(done.action_id, door)) == "2 of 2"
    evidence.assert_replays(door.world, "cq", "sc")


def test_what_ended_long_ago_is_due_by_that_day(doors: dict[str, AgencyDoor]) -> None:
    """A repaired notice is due by the day of its repair, before its own date would make it so; officers are told."""
    door = doors["cq"]
    agency, bell = door.agency("ended"), door.runtime.bell
    watch = RetentionWatch(door.retention, door.node.clock, bell.raise_, bell.clear)
    notice = penalty_of(make_uscc(8_201), "演环罚〔2021〕8201号")
    notice.penalty_notice.decided_on = notice.header.issued.issued_on = "2021-06-01"
    sent = submit(agency, notice, "ended-1").record_id
    wait_settled(door)
    watch.look()
    assert "RETENTION_DUE" not in bell.codes()
    repaired = Record()
    repaired.CopyFrom(notice)
    repaired.header.record_id = sent
    repaired.penalty_notice.state = PenaltyState.PENALTY_STATE_REPAIRED
    repaired.header.issued.issued_on = "2022-02-01"
    submit(agency, repaired, "ended-2")
    wait_settled(door)
    due = {each.record.record_id: each for each in door.retention.due(door.node.clock())}
    assert (due[sent].rule, due[sent].since, due[sent].ground_code) == ("repaired", "2022-02-01", "REPAIRED")
    watch.look()
    assert bell.open["RETENTION_DUE", "records"] == "repaired 1"


def test_what_is_due_is_found_however_much_is_kept(fresh_doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Older records of another class, which are kept for longer, neither hide what is due nor are looked at."""
    door = fresh_doors["cq"]
    agency = door.agency("keeping")
    kept = penalty_of(make_uscc(8_301), "演环罚〔2022〕8301号")
    kept.penalty_notice.decided_on = kept.header.issued.issued_on = "2022-01-01"
    submit(agency, kept, "kept")
    due = submit(agency, _old_notice(8_302, "2022-03-01"), "due").record_id
    wait_settled(door)
    database = door.node.database
    columns = [column.name for column in schema.records.columns]
    other = {"seq": "1000000000 + n", "record_id": "randomblob(16)", "natural_key": "natural_key || n"}
    taken = ", ".join(other.get(name, f'"{name}"') for name in columns)
    copies = f"WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {MANY})"  # noqa: S608 - our own number
    which = "reg_records, copies WHERE sort_on = '2022-01-01' AND mirrored_at IS NULL"
    named = ", ".join(f'"{name}"' for name in columns)
    with by_hand(tmp_path / "cq.db") as connection:
        connection.execute(f"INSERT INTO reg_records ({named}) {copies} SELECT {taken} FROM {which}")  # noqa: S608 - our own columns
    with database.read() as view:
        driver = view.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        worked: list[int] = []
        driver.set_progress_handler(lambda: worked.append(1), 1_000)
        try:
            older = retention.older(
                view, ErasureClass.ERASURE_CLASS_PERSONAL, Kind.KIND_PENALTY_NOTICE, "2023-01-01", limit=MANY
            )
        finally:
            driver.set_progress_handler(None, 0)
    assert [format_id(each.record_id) for each in older] == [due]
    assert not worked, "thousands of steps of the database for one row"
    assert [each.record.record_id for each in door.retention.due(door.node.clock())] == [due]


def _confirmed(action_id: str, door: AgencyDoor) -> Confirmed:
    now = door.node.clock()
    return Confirmed(action_id=action_id, asked_by="li", confirmed_by="wang", reason="年度清理", now=now)
