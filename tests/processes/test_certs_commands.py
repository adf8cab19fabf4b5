"""Rotations and trust by the command line alone, against running nodes: what officers type, and what they read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import fingerprint, load_chain
from exchange.crypto.x509.pki import Authority
from exchange.settings.trust_folder import read_peer
from tests.cli.conftest import Run, run
from tests.processes import laws
from tests.processes.callers import replace_file
from tests.processes.test_certificates import QUICK
from tests.rigs.pair import DOMAIN, Pair, issue_server, new_root, running_pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two running nodes."""
    with running_pair(tmp_path / "pair", settings=QUICK) as made:
        laws.wait_at_rest(made)
        yield made


def as_officer(pair: Pair, node: str, *command: object, caller: str = "security") -> Run:
    """A command of an officer of a node."""
    return run(*command, "--profile", pair.nodes[node].profiles[caller])


def keep(folder: Path, authority: Authority) -> Path:
    """An authority's folder, as ``pki authority`` makes it."""
    folder.mkdir(parents=True)
    (folder / "ca.key").write_bytes(authority.key_pem)
    (folder / "ca.pem").write_bytes(authority.chain_pem)
    return folder


def proof(pair: Pair, folder: Path, new: Authority) -> Path:
    """What ``pki prove`` writes for cq."""
    old = pair.nodes["cq"].tls_ca
    file = folder / "next.pem"
    ca, before = keep(folder / "new", new), keep(folder / "old", old)
    made = run(
        "pki", "prove", "--ca", ca, "--old", before / "ca.pem", "--old-ca", before, "--node", "cq", "--domain", DOMAIN,
        "-o", file, "--json",
    )  # fmt: skip
    assert made.json == {"file": str(file), "fingerprint": fingerprint(new.certificate), "endorsed": True}
    return file


def rotation(pair: Pair, key: str) -> dict[str, object]:
    """The open rotation of a key of cq, as status prints it."""
    shown = as_officer(pair, "cq", "certs", "status", "--json").json
    (found,) = [each for each in shown["open"] if each["rotation"]["key"] == key]
    return dict(found)


def test_a_mirror_key_is_rotated_and_reported_by_commands_alone(pair: Pair, tmp_path: Path) -> None:
    """Rotate, pending, confirm by the fingerprint that status shows, rotate to the end, report with our card."""
    rehearsed = as_officer(pair, "cq", "certs", "rehearse", "mirror")
    assert (rehearsed.status, "KEY_HAS_NO_SUCCESSOR" in rehearsed.out) == (1, True)
    assert as_officer(pair, "cq", "certs", "rotate", "mirror").status == 1  # without a reason
    assert as_officer(pair, "cq", "certs", "rotate", "mirror", "--reason", "yearly").status == 0
    assert as_officer(pair, "cq", "certs", "rotate", "mirror").status == 0
    laws.wait("it waits at sc", lambda: "mirror" in as_officer(pair, "sc", "trust", "pending").out)
    told = as_officer(pair, "cq", "certs", "rotate", "mirror")
    assert (told.status, "演示值班室" in told.out) == (1, True)
    (waiting,) = as_officer(pair, "sc", "trust", "pending", "--json").json["pending"]
    wrong = as_officer(pair, "sc", "trust", "confirm", waiting["id"], "--fingerprint", "0" * 64, "--reason", "misread")
    assert (wrong.status, "KEY_FINGERPRINT_DIFFERS" in wrong.err) == (1, True)
    status = as_officer(pair, "cq", "certs", "status").out
    spelled = " ".join(waiting["fingerprint"][at : at + 4] for at in range(0, 64, 4))
    assert spelled.split()[0] in status
    said = as_officer(pair, "sc", "trust", "confirm", waiting["id"], "--fingerprint", spelled, "--reason", "read aloud")
    assert said.status == 0
    assert as_officer(pair, "sc", "trust", "pending", "--json").json.get("pending", []) == []
    for _step in ("activate", "retire"):
        laws.wait("nobody is waited for", lambda: not rotation(pair, "mirror").get("waits"))
        number = rotation(pair, "mirror")["rotation"]["number"]  # type: ignore[index]
        assert as_officer(pair, "cq", "certs", "rotate", "mirror").status == 0
    report = as_officer(pair, "cq", "certs", "report", number)
    assert report.status == 0
    assert report.out.count("cq.exchange.example/journal/1#") == 6
    assert spelled.split()[0] in report.out
    told = as_officer(pair, "cq", "certs", "report", number, "--json")
    assert (told.json["agrees"], told.json["sound"], len(told.json["report"])) == (True, True, 6)
    assert as_officer(pair, "cq", "certs", "report", 4711).status == 1


def test_an_authority_is_announced_confirmed_and_dropped_over_its_callers_by_two_officers(
    pair: Pair, tmp_path: Path
) -> None:
    """Forced by one officer nothing happens; the operator confirms what he was shown, and the old root is gone."""
    cq, sc = pair.nodes["cq"], pair.nodes["sc"]
    new = new_root("cq TLS root 2")
    replace_file(cq.folder / "callers" / "ca.pem", cq.tls_ca.root_pem + new.root_pem)
    file = proof(pair, tmp_path, new)
    assert as_officer(pair, "cq", "certs", "rotate", "tls-ca", "--new", file, "--reason", "yearly").status == 0
    assert as_officer(pair, "cq", "certs", "rotate", "tls-ca").status == 0
    laws.wait("it waits at sc", lambda: "tls-ca" in as_officer(pair, "sc", "trust", "pending").out)
    (waiting,) = as_officer(pair, "sc", "trust", "pending", "--json").json["pending"]
    assert waiting["fingerprint"] == fingerprint(new.certificate)
    confirmed = as_officer(
        pair, "sc", "trust", "confirm", waiting["id"], "-f", waiting["fingerprint"], "--reason", "read aloud"
    )
    assert confirmed.status == 0
    roots = load_chain(read_peer(sc.folder / "trust", "cq")["tls-roots.pem"])
    assert [fingerprint(each) for each in roots] == [fingerprint(each.certificate) for each in (cq.tls_ca, new)]
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(issue_server(cq, new).bundle)
    started = as_officer(pair, "cq", "certs", "rotate", "tls-server", "--new", leaf, "--reason", "under the new root")
    assert started.status == 0
    rehearsed = as_officer(pair, "cq", "certs", "rehearse", "tls-server")
    assert (rehearsed.status, "ROOT_PERHAPS_UNKNOWN" in rehearsed.out) == (1, True)
    assert as_officer(pair, "cq", "certs", "rotate", "tls-server").status == 0
    laws.wait("sc is known to trust the root", lambda: not rotation(pair, "tls-server").get("waits"))
    assert as_officer(pair, "cq", "certs", "activate", "tls-server").status == 0
    laws.wait("sc has answered", lambda: not rotation(pair, "tls-ca").get("waits"))
    assert as_officer(pair, "cq", "certs", "activate", "tls-ca").status == 0
    missing = as_officer(pair, "cq", "certs", "retire", "tls-ca")
    assert (missing.status, "security/security" in missing.err) == (1, True)
    unsaid = as_officer(pair, "cq", "certs", "retire", "tls-ca", "--force")
    assert (unsaid.status, "REASON_MISSING" in unsaid.err) == (1, True)
    forced = as_officer(pair, "cq", "certs", "retire", "tls-ca", "--force", "--reason", "the old key is out", "--json")
    action = forced.json["action"]
    assert (action["verb"], action["confirmed_by_role"]) == ("authorities.retire", "operator")
    assert (cq.folder / "trust" / "own" / "tls-roots.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
    own = as_officer(pair, "cq", "actions", "refuse", action["action_id"], "--reason", "not yet")
    assert own.status == 0
    forced = as_officer(pair, "cq", "certs", "retire", "tls-ca", "--force", "--reason", "the old key is out", "--json")
    shown = as_officer(pair, "cq", "actions", "list", "--json", caller="operator").json["actions"]
    (waits,) = [each for each in shown if each["action_id"] == forced.json["action"]["action_id"]]
    digest = base64.b64decode(waits["digest"]).hex()
    done = as_officer(
        pair, "cq", "actions", "confirm", waits["action_id"], "--digest", digest, "--reason", "seen", "--json",
        caller="operator",
    )  # fmt: skip
    assert (done.status, done.json["state"]) == (0, "ACTION_STATE_DONE")
    assert "security/security" in done.json["outcome"]
    assert (cq.folder / "trust" / "own" / "tls-roots.pem").read_bytes() == new.root_pem
    # Whoever was not given a new certificate is nobody now.
    assert as_officer(pair, "cq", "certs", "status").status != 0
