"""The drill for a signing key that others may hold, with two real nodes and the commands that an officer types."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.record_service_pb2 import ListRecordsRequest
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitRecordRequest
from tests.flows.test_recovering import credit
from tests.processes import laws
from tests.rigs.pair import DOMAIN, NodeFolder, running_pair
from tests.world import profile


def command(node: NodeFolder, *arguments: str) -> tuple[int, Any]:
    """A command of the security officer; its exit status and what it printed."""
    done = CliRunner().invoke(app, [*arguments, "--profile", str(node.profiles["security"]), "--json"])
    try:
        return done.exit_code, json.loads(done.stdout)
    except ValueError:
        return done.exit_code, done.output


def submit(node: NodeFolder, number: int) -> str:
    """A credit result; its record id."""
    with node.client() as client:
        request = SubmitRecordRequest(
            submission=RecordSubmission(idempotency_key=f"drill-{number}", record=credit(number, node.name))
        )
        return client.call(client.submissions.SubmitRecord, request).submitted.record_id


def outcomes(node: NodeFolder) -> dict[str, int]:
    """What a node makes of the other's records that are in effect, by record id."""
    with node.client() as client:
        found = client.call(client.records.ListRecords, ListRecordsRequest()).records
    return {each.ref.record_id: each.outcome for each in found}


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_drill(tmp_path: Path) -> None:
    """Revoked, the key's records are doubted there; confirmed under the new key, they count again; replays agree."""
    with running_pair(tmp_path) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        since = datetime.now(UTC).replace(microsecond=0).isoformat()
        time.sleep(1.1)  # a cosignature's time has whole seconds
        records = [submit(cq, number) for number in range(3)]
        wait(lambda: all(outcomes(sc).get(each) == Outcome.OUTCOME_FULL for each in records), "recognised")
        path = cq.folder / "keys" / "sign-p256.pem"
        lost = read_signer(path.read_bytes()).keyid
        # While it is in use it can not be revoked: nothing could vouch for that.
        assert command(cq, "certs", "compromise", lost, "--since", since, "--reason", "drill")[0] == 1
        identity = Identity(node="cq", domain=DOMAIN, role=Role.NODE, name="cq")
        issued = pki.issue_signing(
            profile(), cq.authorities["signing"], identity=identity, organisation="cq", now=datetime.now(UTC)
        )
        fresh = tmp_path / "fresh.pem"
        fresh.write_bytes(issued.bundle)
        rotate = ("certs", "rotate", "signing", "--reason", "drill")
        assert command(cq, *rotate, "--new", str(fresh))[0] == 0
        assert command(cq, *rotate)[0] == 0  # announced; the next one waits for the peer
        wait(lambda: command(cq, *rotate)[0] == 0, "the new key in use")

        status, told = command(cq, "certs", "compromise", lost, "--since", since, "--reason", "演练：密钥文件外泄")
        assert status == 0, told
        listed = {each["record_id"] for each in told["records"]}
        assert set(records) <= listed
        wait(lambda: {outcomes(sc).get(each) for each in records} == {Outcome.OUTCOME_DEFERRED}, "doubted")

        status, told = command(
            cq, "certs", "reconfirm", lost, "--since", since, "--reason", "逐条核对", "--record", records[0]
        )
        assert (status, told["confirmed"]) == (0, 1), told
        wait(lambda: outcomes(sc)[records[0]] == Outcome.OUTCOME_FULL, "confirmed")
        assert {outcomes(sc)[each] for each in records[1:]} == {Outcome.OUTCOME_DEFERRED}
        status, told = command(cq, "certs", "reconfirm", lost, "--since", since, "--reason", "逐条核对")
        assert (status, told.get("records", [])) == (0, []), told
        wait(lambda: all(outcomes(sc).get(each) == Outcome.OUTCOME_FULL for each in records), "all confirmed")
        pair.stop()
        laws.assert_sound(pair)
        laws.assert_replays(pair)
