"""Certificates and trust changed on running nodes, under load from outside: no call fails, nothing is lost."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509.certificates import fingerprint
from exchange.settings.trust_folder import write_peer
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from exchange.storage.node import seen
from exchange.storage.node.seen import SeenCount
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.security_service_pb2 import ReloadResult, ReloadTrustRequest
from tests.processes import laws
from tests.processes.callers import calling, replace_file, shown_at
from tests.rigs.pair import DOMAIN, NodeFolder, Pair, issue_server, new_root, running_pair

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
    return laws.metric(node, "exchange_delivery_retries_total")


def refused_for(pair: Pair, reason: str) -> bool:
    """Whether the alarm about cq's TLS key names a reason."""
    return any(each.code == "TLS_REFUSED" and reason in each.detail for each in laws.alarms(pair, "cq"))


def codes(pair: Pair, name: str) -> list[str]:
    """Codes of a node's open alarms."""
    return [each.code for each in laws.alarms(pair, name)]


def seen_of(pair: Pair, name: str) -> list[SeenCount]:
    """Who was seen at a node that does not run."""
    with laws.opened(laws.url_of(pair, name)) as database, database.read() as connection:
        return seen.since(connection, 0)


def trust_taken(pair: Pair, name: str) -> int:
    """How many editions of trust a node has taken."""
    return sum(each.edition.what == "TRUST" for each in journal(pair, name, "activated"))


def test_tls_leaves_are_replaced_under_load_and_no_call_fails(tmp_path: Path) -> None:
    """Both ports show the new leaf to the next who dials, the peer is dialled by it, and nobody's call fails."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq = pair.nodes["cq"]
        laws.wait_at_rest(pair)
        before = retries(cq)
        with calling(cq, tmp_path / "report.json") as counted:
            for _round in range(2):
                issued = issue_server(cq, cq.tls_ca)
                replace_file(cq.folder / "keys" / "tls.pem", issued.bundle)
                assert reload(pair, "cq")["tls-server"] in ("TAKEN", "UNCHANGED")
                new = fingerprint(issued.certificate)
                assert (shown_at(cq, cq.agencies_port), shown_at(cq, cq.peers_port)) == (new, new)
                counted.wait(40)
                counted.wait_cut()
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
        pair.stop("cq")
        found = seen_of(pair, "cq")
        agency = f"spiffe://cq.{DOMAIN}/agency/agency"
        calls = sum(each.calls for each in found if each.caller == agency and each.outcome == "SERVED")
        assert calls >= sum(counted.calls.values())
        dialled = {each.fingerprint for each in found if each.door == "dialled" and each.outcome == "SERVED"}
        assert new in dialled
        assert [each for each in found if each.door == "dialled" and each.outcome != "SERVED"] == []


def test_a_call_that_waits_at_the_peer_outlives_its_connection(tmp_path: Path) -> None:
    """Where one side dials, its fetches wait at the other one for longer than streams get: no recycling cuts them."""
    with running_pair(tmp_path / "pair", settings=QUICK, dialler="cq") as pair:
        laws.wait_at_rest(pair)
        time.sleep(5)  # nothing to fetch while a connection grows old and its grace runs out
        laws.wait_at_rest(pair)
        pair.stop("cq")
        assert {each.outcome for each in seen_of(pair, "cq") if each.door == "dialled"} == {"SERVED"}


def test_a_bad_key_file_is_refused_loudly_and_the_old_leaf_stays(tmp_path: Path) -> None:
    """A key of another certificate, a foreign authority, a lost name: refused, alarmed, journaled; calls go on."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        old = shown_at(cq, cq.agencies_port)
        file = cq.folder / "keys" / "tls.pem"
        good = file.read_bytes()
        mixed = issue_server(cq, cq.tls_ca).key + issue_server(cq, cq.tls_ca).chain
        foreign = issue_server(cq, sc.tls_ca).bundle
        renamed = issue_server(cq, cq.tls_ca, hosts=["localhost"]).bundle
        for content, reason in (
            (mixed, "CERTIFICATE_OF_ANOTHER_KEY"),
            (foreign, "CERTIFICATE_UNTRUSTED"),
            (renamed, "CERTIFICATE_NAMES"),
            (b"", "KEY_UNREADABLE"),
        ):
            replace_file(file, content)
            assert reload(pair, "cq")["tls-server"] == "REFUSED"
            assert shown_at(cq, cq.agencies_port) == old
            laws.wait(reason, lambda reason=reason: refused_for(pair, reason))  # type: ignore[misc]
            replace_file(file, good)
            assert reload(pair, "cq")["tls-server"] == "UNCHANGED"
        laws.wait("the alarm clears", lambda: laws.alarms(pair, "cq") == [])
        refused = [each for each in journal(pair, "cq", "certificate_event") if each.event == "REFUSED"]
        assert {each.detail for each in refused} >= {"CERTIFICATE_OF_ANOTHER_KEY", "CERTIFICATE_UNTRUSTED"}


@pytest.mark.slow
def test_a_region_changes_its_tls_authority_under_load_without_a_restart(tmp_path: Path) -> None:
    """Both roots trusted, new leaves issued, the old root dropped: each noticed by itself, and nobody's call fails."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        old, new = sc.tls_ca, new_root("sc TLS root 2")
        both = old.root_pem + new.root_pem
        laws.wait_at_rest(pair)
        before = {name: retries(node) for name, node in pair.nodes.items()}
        # Agencies are told of the new root first, by way of their administrators.
        replace_file(sc.folder / "callers" / "ca.pem", both)
        with calling(cq, tmp_path / "cq.json") as at_cq, calling(sc, tmp_path / "sc.json") as at_sc:
            # Both trusted: at home and at the peer.
            taken = trust_taken(pair, "sc"), trust_taken(pair, "cq")
            replace_file(sc.folder / "trust" / "own" / "tls-roots.pem", both)
            write_peer(cq.folder / "trust", "sc", to_trust_files(replace(sc.card, tls_roots=both)))
            laws.wait("sc takes its roots", lambda: trust_taken(pair, "sc") > taken[0])
            laws.wait("cq takes sc's set", lambda: trust_taken(pair, "cq") > taken[1])
            at_sc.wait(10)
            # New issued.
            leaf = issue_server(sc, new)
            replace_file(sc.folder / "keys" / "tls.pem", leaf.bundle)
            laws.wait("sc shows it", lambda: shown_at(sc, sc.peers_port) == fingerprint(leaf.certificate))
            laws.wait("the peer takes it", lambda: "CONNECTION_NOT_RENEWED" not in codes(pair, "sc"))
            at_sc.wait(60)
            at_cq.wait(60)
            # Old dropped at the peer: whoever shows a certificate of the old authority is nobody now.
            write_peer(cq.folder / "trust", "sc", to_trust_files(replace(sc.card, tls_roots=new.root_pem)))
            laws.wait("cq drops the old root", lambda: trust_taken(pair, "cq") > taken[1] + 1)
            at_cq.wait(40)
            at_sc.wait(40)
        laws.wait_at_rest(pair)
        for counted in (at_cq, at_sc):
            assert counted.failures == []
            assert (counted.submitted > 20, counted.unseen) == (True, 0)
        assert {name: retries(node) for name, node in pair.nodes.items()} == before
        assert laws.alarms(pair, "cq") == laws.alarms(pair, "sc") == []
        # What sc had announced is still known: nothing waits for a key.
        assert all(row.deferred == 0 for row in laws.status(pair, "sc").counts)
        pair.stop()
        laws.assert_replays(pair)
        steps = [each for each in journal(pair, "cq", "step") if each.source_log.startswith("sc.")]
        editions = {edition.digest for step in steps for edition in step.editions if edition.what == "TRUST"}
        journaled = [each.edition.digest for each in journal(pair, "cq", "activated") if each.edition.what == "TRUST"]
        assert len(journaled) == 3
        assert editions <= set(journaled)
        assert len(editions) > 1


def test_a_bad_trust_set_is_refused_and_the_last_good_one_is_kept(tmp_path: Path) -> None:
    """A set whose manifest does not name its bytes changes nothing, raises an alarm, and is forgotten once mended."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        files = to_trust_files(replace(sc.card, duty_desk="演示值班室二"))
        write_peer(cq.folder / "trust", "sc", {**files, "tls-roots.pem": cq.tls_ca.root_pem})
        laws.wait("the alarm", lambda: "TRUST_REFUSED" in codes(pair, "cq"))
        assert reload(pair, "cq")["sc"] == "REFUSED"
        with calling(sc, tmp_path / "sc.json") as counted:
            counted.wait(10)
        laws.wait_at_rest(pair)
        assert counted.failures == []
        assert trust_taken(pair, "cq") == 1
        write_peer(cq.folder / "trust", "sc", files)
        laws.wait("the alarm clears", lambda: codes(pair, "cq") == [])
        assert trust_taken(pair, "cq") == 2
        refused = [each for each in journal(pair, "cq", "certificate_event") if each.use == "trust"]
        assert [(each.owner, each.event) for each in refused] == [("sc", "REFUSED")]
