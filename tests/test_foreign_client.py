"""Partners that are not Python: they submit, watch and ask over mTLS, knowing one folder only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.rpc.profile import Profile
from tests.domain.records import credit
from tests.rigs.foreign import submit_and_watch
from tests.rigs.pair import running_pair
from tools.partner import generic_call, write_partner

BUF = Path(sys.executable).with_name("buf")


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one agency of a running pair, away from all else that the pair has."""
    folder = tmp_path_factory.mktemp("partner")
    with running_pair(tmp_path_factory.mktemp("pair")) as pair:
        write_partner(folder, pair.nodes["cq"].profile())
        yield folder


def test_a_client_that_is_not_python_submits_and_sees_the_decision(partner: Path, tmp_path: Path) -> None:
    """Accepted, delivered with a receipt, and decided by the other region, all seen from outside."""
    run = submit_and_watch(partner, credit(), tmp_path)
    assert run.error == {}
    assert run.status == 0
    assert run.submitted["result"] == "SUBMIT_RESULT_ACCEPTED"
    assert run.submitted["envelope"]
    (last,) = run.submissions[-1]["addressees"]
    assert (last["addressee"], last["state"]) == ("sc", "SUBMISSION_STATE_RECOGNISED")
    assert last["delivered_at"]
    assert run.receipt.startswith("c2sp.org/tlog-proof@v1")


def test_a_record_that_breaks_a_rule_is_refused_to_it_too(partner: Path, tmp_path: Path) -> None:
    """The refusal arrives as INVALID_ARGUMENT, whatever the language."""
    record = credit()
    record.header.purpose = ""
    run = submit_and_watch(partner, record, tmp_path)
    assert (run.status, run.error["code"]) == (1, "INVALID_ARGUMENT")


def test_a_generic_tool_lists_submissions(partner: Path) -> None:
    """The call that the demo prints works as it is printed."""
    done = subprocess.run(generic_call(partner, str(BUF)), capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    assert all(each["recordId"] for each in json.loads(done.stdout).get("submissions", []))


def test_a_key_in_an_older_form_is_not_handed_out(tmp_path: Path) -> None:
    """Only PKCS#8 leaves: not every language reads the others."""
    older = tmp_path / "older.pem"
    older.write_text("-----BEGIN EC PRIVATE" + " KEY-----\n")
    profile = Profile(address="x:1", ca=older, cert=older, key=older)
    with pytest.raises(ValueError, match="PKCS#8"):
        write_partner(tmp_path / "new", profile)
    assert not (tmp_path / "new").exists()
