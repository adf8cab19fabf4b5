"""A partner's client that is not Python: it submits and watches over mTLS, knowing its own folder only."""

from __future__ import annotations

from pathlib import Path

from exchange.v1.record_pb2 import Record
from tests.rigs.foreign import submit_and_watch

DECIDED = {"SUBMISSION_STATE_RECOGNISED", "SUBMISSION_STATE_CONDITIONAL"}


def test_a_client_that_is_not_python_submits_and_sees_the_decision(
    partner: Path, partner_record: Record, tmp_path: Path
) -> None:
    """Accepted, delivered with a receipt, and decided by the other region, all seen from outside."""
    run = submit_and_watch(partner, partner_record, tmp_path)
    assert run.error == {}
    assert run.status == 0
    assert run.submitted["result"] == "SUBMIT_RESULT_ACCEPTED"
    assert run.submitted["envelope"]
    (last,) = run.submissions[-1]["addressees"]
    assert last["state"] in DECIDED
    assert last["delivered_at"]
    assert run.receipt.startswith("c2sp.org/tlog-proof@v1")


def test_a_record_that_breaks_a_rule_is_refused_to_it_too(
    partner: Path, partner_record: Record, tmp_path: Path
) -> None:
    """The refusal arrives as INVALID_ARGUMENT, whatever the language."""
    partner_record.header.purpose = ""
    run = submit_and_watch(partner, partner_record, tmp_path)
    assert (run.status, run.error["code"]) == (1, "INVALID_ARGUMENT")
