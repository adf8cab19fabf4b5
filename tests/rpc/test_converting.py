"""Records in a side's own layout, always with the original: by rpc, by command, and nothing of what is withheld."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.envelope_file import read_envelope
from exchange.domain.adapter import NativeDocument
from exchange.flows.queries.exchanged import converting
from exchange.v1 import record_service_pb2 as pb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Record
from tests.cli.conftest import Run, run
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, credit_of, firm, penalty_of, submit, wait_settled
from tests.rpc.test_alerts import profile_of
from tests.rpc.test_repairs import act_on, notice_about
from tests.world import adapters

SIDES = {"cq": "chongqing", "sc": "sichuan"}


def _convert(stubs: Stubs, record_id: str, **options: str) -> pb.ConvertRecordResponse:
    request = pb.ConvertRecordRequest(ref=RecordRef(origin="cq", record_id=record_id), **options)
    answer: pb.ConvertRecordResponse = stubs.call(stubs.record.ConvertRecord, request)
    return answer


def _read_again(document: pb.ConvertedDocument) -> Record:
    found = adapters()[document.adapter].read(
        NativeDocument(file_name=document.file_name, content=document.content, received_at=datetime.now(UTC))
    )
    (row,) = found.rows
    assert row.record is not None, row.problems
    return row.record


def test_what_is_written_is_read_again_and_stands_beside_what_was_signed(doors: dict[str, AgencyDoor]) -> None:
    """In the node's own side's layout unless another is named; each field that is lost is named with its reason."""
    cq, sc = doors["cq"].agency("converting"), doors["sc"].agency("converting")
    sent = submit(cq, credit_of(firm(701)), "convert-1").record_id
    wait_settled(doors["cq"])
    signed = sc.call(sc.record.GetEnvelope, pb.GetEnvelopeRequest(ref=RecordRef(origin="cq", record_id=sent)))
    for name, stubs in (("cq", cq), ("sc", sc)):
        for form in ("", "csv", "json"):
            answer = _convert(stubs, sent, form=form)
            assert (answer.document.adapter, answer.document.form) == (SIDES[name], form or "xlsx")
            assert _read_again(answer.document).credit_result.subject.uscc == firm(701)
            assert answer.original.sealed == signed.sealed
            assert len(answer.freshness) == 3
    other = _convert(cq, sent, adapter="sichuan").document
    assert other.adapter == "sichuan"
    assert "header.purpose" in {lost.place for lost in other.lost}
    assert all(lost.reason.startswith("LOSS_") and lost.message for lost in other.lost)


def test_monitoring_data_comes_as_frames(doors: dict[str, AgencyDoor]) -> None:
    """Of HJ 212, unless a form is named that it does not have."""
    cq = doors["cq"].agency("converting-frames")
    sent = submit(cq, batch_of("CNV0000000000000000000001"), "convert-frames").record_id
    wait_settled(doors["cq"])
    document = _convert(doors["sc"].agency("converting-frames"), sent).document
    assert document.form == "hj212"
    assert document.content.startswith(b"##")
    with pytest.raises(CallFailed) as failure:
        _convert(cq, sent, form="xlsx")
    assert failure.value.reason == "LAYOUT_UNKNOWN"


def test_conversion_asks_for_the_same_grants_as_reading(
    doors: dict[str, AgencyDoor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the record's area; what is not there, has no layout or would be too large is refused with its own reason."""
    door = doors["cq"]
    cq, elsewhere = door.agency("converting-asks"), door.agency("converting-elsewhere", ("500108",))
    sent = submit(cq, credit_of(firm(702)), "convert-asks").record_id
    equivalence = submit(cq, records.equivalence(), "convert-no-layout").record_id
    missing = "0190a6d0-0000-7000-8000-000000000000"
    wait_settled(door)
    for stubs, record, options, reason in (
        (elsewhere, sent, {}, "GRANT_AREA"),
        (cq, missing, {}, "NOT_FOUND"),
        (cq, "x", {}, "RECORD_REF_INVALID"),
        (cq, sent, {"adapter": "nowhere"}, "ADAPTER_UNKNOWN"),
        (cq, sent, {"form": "pdf"}, "LAYOUT_UNKNOWN"),
        (cq, equivalence, {}, "LAYOUT_UNKNOWN"),
    ):
        with pytest.raises(CallFailed) as failure:
            _convert(stubs, record, **options)
        assert failure.value.reason == reason, (record, options)
    for bound, place in (("MAX_DOCUMENT_BYTES", "form"), ("MAX_BODY_BYTES", "ref")):
        monkeypatch.setattr(converting, bound, 100)
        with pytest.raises(CallFailed) as failure:
            _convert(cq, sent)
        assert failure.value.reason == "CONVERTED_TOO_LARGE"
        assert [problem.place for problem in failure.value.problems] == [place]


def test_a_command_writes_both_files(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """One record by the node, several by the adapter of this machine; a tombstone stands alone, with status 1."""
    cq = doors["cq"].agency("converting-cli")
    doors["sc"].agency("converting-cli")
    sent = [submit(cq, penalty_of(firm(703), f"演环罚〔2025〕70{n}号"), f"convert-cli-{n}").record_id for n in range(2)]
    repaired = submit(cq, notice_about(firm(703), "演环惩〔2026〕703号"), "convert-cli-3").record_id
    submit(cq, act_on("repair", repaired, firm(703)), "convert-cli-4")
    wait_settled(doors["cq"])
    profile = profile_of(tmp_path, doors["sc"], "converting-cli")

    def call(*arguments: object) -> Run:
        return run("records", "convert", "--origin", "cq", "--profile", profile, *arguments)

    book = tmp_path / "one.xlsx"
    done = call(sent[0], "-o", book)
    assert done.status == 0, done.err
    original = tmp_path / "one.xlsx.original.json"
    assert book.read_bytes().startswith(b"PK")
    body = read_envelope(original.read_bytes()).record or b""
    assert Record.FromString(body).header.record_id == sent[0]
    table = tmp_path / "all.csv"
    several = call(*sent, "--adapter", "sichuan", "--form", "csv", "-o", table, "--json")
    assert several.status == 0, several.err
    assert several.json["records"] == 2
    assert {path.stem for path in (tmp_path / "all.csv.originals").iterdir()} == set(sent)
    assert call(*sent, "-o", table).status == 2
    gone = call(repaired, "-o", tmp_path / "gone.xlsx", "--json")
    assert gone.status == 1
    assert gone.json["tombstone"]["reason"] == "REPAIRED"
    assert not (tmp_path / "gone.xlsx").exists()
    assert "tombstone" in json.loads((tmp_path / "gone.xlsx.original.json").read_text())
