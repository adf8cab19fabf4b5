"""Certificates and trust changed on running nodes, under load from outside: no call fails, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

from exchange.crypto.certificates import fingerprint
from exchange.storage import log_store
from exchange.storage.database import Database
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.security_service_pb2 import ReloadResult, ReloadTrustRequest
from tests.processes import laws
from tests.processes.callers import calling, replace_file, shown_at
from tests.rigs.pair import NodeFolder, Pair, issue_server, running_pair

QUICK = "\n[connections]\nmax_age_s = 1\ngrace_s = 2\nready_s = 5\n\n[trust]\nlook_s = 1\n"
"""Connections that live a second: each call of a long run meets what is shown now, and streams are cut all the time."""


def reload(pair: Pair, name: str) -> dict[str, str]:
    """A security officer has the node look at its files; what became of each."""
    with pair.nodes[name].client("security") as client:
        answer = client.call(client.security.ReloadTrust, ReloadTrustRequest())
    return {each.name: ReloadResult.Name(each.result).removeprefix("RELOAD_RESULT_") for each in answer.sets}


def journal(pair: Pair, name: str, event: str) -> list[Any]:
    """Events of one kind in a node's journal."""
    database = Database(laws.url_of(pair, name))
    try:
        with database.read() as connection:
            log = next(log for log in log_store.heads(connection) if log.use == "journal")
            raws = log_store.entries(connection, log.id, 0, log.size, bodies=False)
    finally:
        database.dispose()
    found = [JournalEntry.FromString(raw.entry) for raw in raws]
    return [getattr(each, event) for each in found if each.HasField(event)]  # type: ignore[arg-type]


def retries(node: NodeFolder) -> float:
    """Calls to the peer that had to be made again, by the node's own count."""
    with urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("exchange_delivery_retries_total{"))


def test_tls_leaves_are_replaced_under_load_and_no_call_fails(tmp_path: Path) -> None:
    """Both ports show the new leaf to the next who dials, the peer is dialled by it, and nobody's call fails."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq = pair.nodes["cq"]
        before = retries(cq)
        with calling(cq, tmp_path / "report.json") as counted:
            for _round in range(2):
                issued = issue_server(cq, cq.tls_ca)
                replace_file(cq.folder / "keys" / "tls.pem", issued.bundle)
                assert reload(pair, "cq")["tls-server"] in ("TAKEN", "UNCHANGED")
                new = fingerprint(issued.certificate)
                assert (shown_at(cq, cq.agencies_port), shown_at(cq, cq.peers_port)) == (new, new)
                counted.wait(40)
        laws.wait_at_rest(pair)
        assert counted.failures == []
        assert min(counted.calls["stay"], counted.calls["anew"], counted.submitted) > 20
        assert counted.unseen == 0
        assert counted.cuts, "no stream was cut: the connection was never recycled"
        assert retries(cq) == before
        replaced = [each for each in journal(pair, "cq", "certificate_event") if each.event == "REPLACED"]
        assert [each.use for each in replaced] == ["tls-server", "tls-client"] * 2
        assert replaced[-1].fingerprint == new
        assert replaced[-1].replaced == replaced[0].fingerprint
        assert laws.alarms(pair, "cq") == []
