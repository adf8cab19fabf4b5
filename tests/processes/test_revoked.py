"""Revoking and suspending real nodes: by the command, over the trust folder and the relay, with streams open."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.rpc.client import failure_of
from exchange.rpc.failure import CallFailed
from exchange.v1.operation_service_pb2 import GetStatusRequest, ListAlarmsRequest
from exchange.v1.record_service_pb2 import ListRecordsRequest, WatchRecordsRequest
from exchange.v1.security_service_pb2 import SuspendAgencyRequest
from tests.rigs.pair import NodeFolder, Pair, running_pair

PROMISED_S = 5.0
"""Seconds within which a revoked or suspended agency's streams end."""


class Watcher:
    """An agency's open WatchRecords, read by a thread of its own until it ends."""

    def __init__(self, node: NodeFolder) -> None:
        self._client = node.client()
        self._stream = self._client.records.WatchRecords(WatchRecordsRequest(), timeout=120)
        next(iter(self._stream))  # caught up: it stands
        self.reason = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for _ in self._stream:
                pass
        except grpc.RpcError as error:
            self.reason = failure_of(error).reason

    def ended(self) -> str:
        """Why it ended, when it does so within what is promised."""
        self._thread.join(PROMISED_S)
        assert not self._thread.is_alive(), "the stream goes on"
        self._client.close()
        return self.reason


def revoke(node: NodeFolder, use: str, certificate: Path) -> bytes:
    """The next list of an authority, by ``exchange pki crl``."""
    authority = node.authorities[use]
    folder = node.folder / f"ca-{use}"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "ca.key").write_bytes(authority.key_pem)
    (folder / "ca.key").chmod(0o600)
    (folder / "ca.pem").write_bytes(authority.chain_pem if authority.chain else authority.root_pem)
    made = folder / "crl.pem"
    arguments = ["pki", "crl", "--ca", str(folder), "--output", str(made), "--revoke", str(certificate)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return made.read_bytes()


def call_reason(node: NodeFolder, caller: str = "agency") -> str:
    """Why a call is refused; empty when it is served."""
    with node.client(caller) as client:
        try:
            if caller == "agency":
                client.call(client.records.ListRecords, ListRecordsRequest())
            else:
                client.call(client.operation.GetStatus, GetStatusRequest())
        except CallFailed as failure:
            return failure.reason
    return ""


def alarms(node: NodeFolder) -> set[tuple[str, str]]:
    """Open alarms of a node."""
    with node.client("operator") as client:
        found = client.call(client.operation.ListAlarms, ListAlarmsRequest()).alarms
    return {(each.code, each.object) for each in found}


def wait_until(node: NodeFolder, alarm: tuple[str, str], *, there: bool = True) -> None:
    """Wait for an alarm to open or to clear."""
    deadline = time.monotonic() + 30
    while (alarm in alarms(node)) is not there:
        assert time.monotonic() < deadline, (alarm, alarms(node))
        time.sleep(0.1)


def refusals(pair: Pair) -> int:
    """How often cq has turned sc's node away because its certificate was revoked."""
    lines = pair.processes["cq"].text.splitlines()
    return sum("relay.refused" in line and "CERTIFICATE_REVOKED" in line for line in lines)


def wait_for_refusals(pair: Pair, count: int) -> None:
    """Wait until sc was turned away: it shows its journal every ten seconds."""
    deadline = time.monotonic() + 60
    while refusals(pair) < count:
        assert time.monotonic() < deadline, pair.processes["cq"].text[-2000:]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes for all tests here; each test takes what it revoked as given for the next."""
    with running_pair(tmp_path_factory.mktemp("revoked")) as made:
        yield made


def test_suspending_an_agency_ends_its_stream_and_refuses_its_calls(pair: Pair) -> None:
    """The open stream ends within five seconds, the next call is refused, and reinstating serves it again."""
    cq = pair.nodes["cq"]
    watcher = Watcher(cq)
    with cq.client("security") as client:

        def suspend(*, suspended: bool) -> None:
            request = SuspendAgencyRequest(name="agency", suspended=suspended, reason="test")
            client.call(client.security.SuspendAgency, request)

        suspend(suspended=True)
        assert call_reason(cq) == "AGENCY_SUSPENDED"
        assert watcher.ended() == "AGENCY_SUSPENDED"
        suspend(suspended=False)
        assert call_reason(cq) == ""


def test_a_bad_list_is_told_and_changes_nothing(pair: Pair) -> None:
    """A list of another authority in the folder: an alarm, and callers are served as before; a good one clears it."""
    cq, sc = pair.nodes["cq"], pair.nodes["sc"]
    target = cq.folder / "trust" / "own" / "signing-crl.pem"
    nobody = sc.folder / "callers" / "auditor.pem"
    target.write_bytes(revoke(sc, "tls", nobody))
    wait_until(cq, ("CRL_REFUSED", "own/signing-crl.pem"))
    assert call_reason(cq) == ""
    target.write_bytes(revoke(cq, "signing", nobody))
    wait_until(cq, ("CRL_REFUSED", "own/signing-crl.pem"), there=False)


def test_revoking_a_certificate_ends_its_stream_and_refuses_its_calls(pair: Pair) -> None:
    """A list put into the folder of the running node works within five seconds, for that certificate alone."""
    cq = pair.nodes["cq"]
    watcher = Watcher(cq)
    crl = revoke(cq, "tls", cq.folder / "callers" / "agency.pem")
    (cq.folder / "trust" / "own" / "tls-crl.pem").write_bytes(crl)
    assert watcher.ended() == "CERTIFICATE_REVOKED"
    assert call_reason(cq) == "CERTIFICATE_REVOKED"
    assert call_reason(cq, "operator") == ""


def test_a_peers_list_comes_over_the_relay(pair: Pair) -> None:
    """The region that lost its node's key tells its own node alone; the other one then turns that node away."""
    cq, sc = pair.nodes["cq"], pair.nodes["sc"]
    crl = revoke(sc, "tls", sc.folder / "keys" / "tls.pem")
    (sc.folder / "trust" / "own" / "tls-crl.pem").write_bytes(crl)
    wait_for_refusals(pair, 1)
    pair.kill("cq")
    pair.start("cq")
    # The list outlives a restart of the node that was given it.
    wait_for_refusals(pair, refusals(pair) + 1)
    assert call_reason(cq, "operator") == ""
