"""Bad days of certificates: one that ends unnoticed, an authority that is lost. The nodes run through, and heal."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import fingerprint
from tests.cli.conftest import run
from tests.processes import laws
from tests.processes.callers import calling, replace_file, shown_at
from tests.processes.load import Load
from tests.processes.test_certificates import QUICK, codes, reload, seen_of
from tests.rigs.pair import DOMAIN, certificate_profile, issue_server, new_root, running_pair

LEFT_S = 8
"""Seconds that a certificate has left when it is taken: enough to be seen at work."""


@pytest.mark.slow
def test_a_peers_certificate_ends_unnoticed(tmp_path: Path) -> None:
    """Nobody's records are lost: both sides take them, PEER_AWAY is said, and a new certificate sets them going."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        sc = pair.nodes["sc"]
        laws.wait_at_rest(pair)
        days = timedelta(days=certificate_profile().server.days)
        ending = issue_server(sc, sc.tls_ca, at=datetime.now(UTC) - days + timedelta(seconds=LEFT_S))
        replace_file(sc.folder / "keys" / "tls.pem", ending.bundle)
        assert reload(pair, "sc")["tls-server"] in ("TAKEN", "UNCHANGED")
        assert shown_at(sc, sc.peers_port) == fingerprint(ending.certificate)
        time.sleep(LEFT_S + 1)
        with Load(pair.nodes["cq"]) as load:
            laws.wait("cq misses its peer", lambda: "PEER_AWAY" in codes(pair, "cq"))
            laws.wait("cq takes records all the same", lambda: len(load.acknowledged) > 50)
        assert load.failures == []
        fresh = issue_server(sc, sc.tls_ca)
        replace_file(sc.folder / "keys" / "tls.pem", fresh.bundle)
        laws.wait("sc shows it", lambda: shown_at(sc, sc.peers_port) == fingerprint(fresh.certificate))
        laws.wait_at_rest(pair)
        laws.assert_receipts(pair, "cq", load.acknowledged)
        laws.wait("no alarm is left", lambda: codes(pair, "cq") == codes(pair, "sc") == [])
        pair.stop()
        laws.assert_mirrored_once(pair, "cq", load.acknowledged)
        refused = {each.outcome for each in seen_of(pair, "cq") if each.door == "peers"} - {"SERVED"}
        assert refused <= {"CERTIFICATE_EXPIRED"}


@pytest.mark.slow
def test_a_lost_authority_is_replaced_by_a_new_card(tmp_path: Path) -> None:
    """Nobody can issue under the old root any more: a new one, told by card and fingerprint, taken while both run."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        laws.wait_at_rest(pair)
        new = new_root("sc TLS root after the loss")
        both = sc.tls_ca.root_pem + new.root_pem
        replace_file(sc.folder / "callers" / "ca.pem", both)
        with calling(sc, tmp_path / "sc.json") as at_sc, calling(cq, tmp_path / "cq.json") as at_cq:
            replace_file(sc.folder / "trust" / "own" / "tls-roots.pem", both)
            laws.wait("sc trusts both", lambda: reload(pair, "sc")["own"] == "UNCHANGED")
            card = tmp_path / "sc.card"
            made = run("peers", "card", "--for", "cq", "-o", card, "--node", sc.node_file, "--json")
            assert made.status == 0, made.err
            wrong = run("peers", "add", card, "--fingerprint", "0" * 64, "--node", cq.node_file)
            assert wrong.status == 1
            known = ("--fingerprint", made.json["fingerprint"], "--node", cq.node_file)
            added = run("peers", "add", card, *known, "--profile", cq.profiles["security"])
            assert (added.status, "taken" in added.out or "unchanged" in added.out) == (0, True)
            leaf = issue_server(sc, new)
            replace_file(sc.folder / "keys" / "tls.pem", leaf.bundle)
            laws.wait("sc shows it", lambda: shown_at(sc, sc.peers_port) == fingerprint(leaf.certificate))
            at_sc.wait(40)
            at_cq.wait(40)
            root = fingerprint(sc.tls_ca.certificate)
            profile = ("--profile", cq.profiles["security"])
            laws.wait(
                "nobody of sc comes on the lost root",
                lambda: run("trust", "remove", "sc", root, "--reason", "lost", *profile).status == 0,
            )
            listed = run("trust", "list", *profile, "--json").json["items"]
            roots = [each["fingerprint"] for each in listed if (each["owner"], each["use"]) == ("sc", "tls-root")]
            assert roots == [fingerprint(new.certificate)]
            at_cq.wait(40)
            at_sc.wait(40)
        laws.wait_at_rest(pair)
        assert (at_sc.failures, at_cq.failures) == ([], [])
        assert (at_sc.unseen, at_cq.unseen) == (0, 0)
        assert codes(pair, "cq") == codes(pair, "sc") == []
        assert DOMAIN in sc.card.domain
