"""Commands on the node's files: init, config, peers, db, doctor."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.app.folder_lock import one_process
from exchange.app.signing import read_signers
from exchange.cli.node.files import check_files
from exchange.cli.node.run import EXIT_PIN
from exchange.cli.offline.pki import load_authority, read_lifetimes
from exchange.crypto import keys
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, load_chain, spki_hash
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.domain.problems import Refused
from exchange.settings import NodeSettings, load, parse
from exchange.settings.trust_folder import peer_names, read_peer, write_peer
from exchange.v1.operation_service_pb2 import GetStatusResponse
from tests.cli.conftest import Run, init, run
from tests.cli.fake_node import FakeNode
from tests.rigs.softhsm import SoftHsm


@pytest.fixture
def folders(regions: Path, tmp_path: Path) -> Path:
    """Whole node folders of cq and sc."""
    shutil.copytree(regions, tmp_path / "nodes")
    for name in ("cq", "sc"):
        assert init(tmp_path / "nodes" / name, name).status == 0
    return tmp_path / "nodes"


def reasons(settings: NodeSettings) -> set[tuple[str, str]]:
    """Reason and key of every problem of the files."""
    return {(problem.reason, problem.place.split()[0]) for problem in check_files(settings)}


def test_init_makes_a_folder_that_only_lacks_certificates(tmp_path: Path) -> None:
    """Keys 0600 in a folder 0700, each for one use, requests beside the keys, and a node file that holds."""
    assert init(tmp_path / "cq").status == 0
    settings = load(tmp_path / "cq" / "node.toml")
    assert reasons(settings) == {("CERTIFICATE_MISSING", "keys.tls"), ("KEY_UNREADABLE", "keys.signing[0]")}
    for path in (tmp_path / "cq" / "keys").iterdir():
        expected = 0o644 if path.name.endswith("request.pem") else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert stat.S_IMODE((tmp_path / "cq" / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.node.data.stat().st_mode) == 0o700


def test_init_writes_nothing_over(tmp_path: Path) -> None:
    """A second init is refused and leaves everything as it was."""
    init(tmp_path / "cq")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert init(tmp_path / "cq").status == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_init_checks_before_it_writes(tmp_path: Path) -> None:
    """A name that no node may have leaves nothing behind."""
    done = init(tmp_path / "x", "Not A Name")
    assert done.status == 1
    assert "node.name" in done.err
    assert not (tmp_path / "x").exists()


def test_init_encrypts_the_keys_by_a_passphrase_that_is_named(tmp_path: Path) -> None:
    """No key lies in the open; the node file names the source; who has another passphrase is told which file."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    done = init(tmp_path / "cq", "cq", "--passphrase", f"file:{secret}", "--sm2", "--ml-dsa")
    assert done.status == 0
    assert "correct horse" not in done.out + done.err
    node_file = tmp_path / "cq" / "node.toml"
    files = [path for path in (tmp_path / "cq" / "keys").iterdir() if not path.name.endswith(".request.pem")]
    assert len(files) == 8
    for path in files:
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"), path
    shown = run("config", "show", node_file, "--json").out
    assert (f"file:{secret}" in shown, "correct horse" in shown) == (True, False)
    assert reasons(load(node_file)) == {
        ("CERTIFICATE_MISSING", "keys.tls"),
        ("KEY_UNREADABLE", "keys.signing[0]"),
        ("KEY_UNREADABLE", "keys.signing[1]"),
    }
    secret.write_text("wrong\n")
    done = run("config", "validate", node_file, "--json")
    wrong = [each["place"] for each in done.json["problems"] if each["reason"] == "KEY_PASSPHRASE_WRONG"]
    assert len(wrong) == 8
    assert any(place.endswith("keys/witness-mldsa.pem") for place in wrong)
    secret.chmod(0o640)
    done = run("config", "validate", node_file, "--json")
    problems = [(each["reason"], each["place"].split()[0]) for each in done.json["problems"]]
    assert problems == [("PASSPHRASE_MISSING", "keys.passphrase")]


def test_init_with_a_passphrase_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    """A missing file, and a passphrase typed in the place of its source, which no message repeats."""
    for given in (f"file:{tmp_path}/none", "correct horse", "fd:1", "env:PW"):
        done = init(tmp_path / "cq", "cq", "--passphrase", given)
        assert done.status == 1
        assert "correct horse" not in done.out + done.err
        assert not (tmp_path / "cq").exists()


def test_a_passphrase_comes_by_descriptor_or_as_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is read once; systemd's credentials lie in a folder that it names; without both, no terminal, no key."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "exchange").write_bytes(b"from systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert init(tmp_path / "one", "cq", "--passphrase", "credential:exchange").status == 0
    assert ("KEY_PASSPHRASE_WRONG", "keys.log") not in reasons(load(tmp_path / "one" / "node.toml"))
    (credentials / "exchange").write_bytes(b"another")
    assert ("KEY_PASSPHRASE_WRONG", "keys.log") in reasons(load(tmp_path / "one" / "node.toml"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert ("PASSPHRASE_MISSING", "keys.passphrase") in reasons(load(tmp_path / "one" / "node.toml"))
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe\r\n")
    os.close(writing)
    assert init(tmp_path / "two", "cq", "--passphrase", f"fd:{reading}").status == 0
    seed = (tmp_path / "two" / "keys" / "log.seed").read_bytes()
    assert keys.load_seed(KeyLock(lambda: b"from a pipe").open(seed, ""))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


def test_a_card_of_encrypted_keys_is_the_card_of_the_same_keys(folders: Path) -> None:
    """Encrypting key files one after the other changes nothing that peers see."""
    node_file = folders / "cq" / "node.toml"

    def card() -> tuple[int, bytes]:
        target = folders / "card"
        done = run("peers", "card", "--for", "sc", "--node", node_file, "-o", target, "--address", "cq.example:9443")
        return done.status, target.read_bytes()

    before = card()
    assert before[0] == 0
    lock = KeyLock(lambda: b"correct horse")
    for name in ("log.seed", "mirror.pem", "tls.pem"):
        path = folders / "cq" / "keys" / name
        path.write_bytes(lock.close(path.read_bytes()))
    assert card()[0] == 1
    secret = folders / "cq" / "keys" / "passphrase"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    node_file.write_text(node_file.read_text() + '\n[keys]\npassphrase = "file:keys/passphrase"\n')
    assert card() == before
    assert run("config", "validate", node_file).status == 0


def test_requests_of_init_can_be_certified(regions: Path, tmp_path: Path) -> None:
    """Init's request, pki issue, append: then the signing key file holds."""
    init(tmp_path / "cq")
    key = tmp_path / "cq" / "keys" / "sign-p256.pem"
    done = run(
        "pki", "issue", "signing", "cq", "--ca", regions / "cq" / "ca" / "signing", "--node", "cq", "--domain",
        "exchange.example", "--request", key.with_suffix(".request.pem"), "-o", tmp_path / "cert.pem", "--json",
    )  # fmt: skip
    assert done.status == 0
    assert done.json["has_key"] is False
    key.write_bytes(key.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    assert ("KEY_UNREADABLE", "keys.signing[0]") not in reasons(load(tmp_path / "cq" / "node.toml"))


def test_whole_folder_validates(folders: Path) -> None:
    """Pki dev and init together make a node that can be run."""
    done = run("config", "validate", folders / "cq" / "node.toml", "--json")
    assert done.json == {"valid": True, "problems": []}
    assert done.status == 0


def rsa_server(folders: Path) -> None:
    """Puts an RSA certificate where the server's is."""
    ca = load_authority(folders / "cq" / "ca" / "tls")
    identity = Identity(node="cq", domain="exchange.example", role=Role.NODE, name="cq")
    made = pki.issue_client(read_lifetimes(None), ca, identity=identity, now=datetime.now(UTC), key=KeyKind.RSA_3072)
    path = folders / "cq" / "keys" / "tls.pem"
    path.write_bytes(made.bundle)


def other_key(folders: Path) -> None:
    """Puts another key before the server's certificate."""
    path = folders / "cq" / "keys" / "tls.pem"
    file = keys.KeyFile.parse(path.read_bytes())
    path.write_bytes(keys.encode_private(keys.generate_p256()) + file.chain)


@pytest.mark.parametrize(
    ("spoil", "reason", "key"),
    [
        (rsa_server, "SERVER_KEY_NOT_EC", "keys.tls"),
        (other_key, "KEY_UNREADABLE", "keys.tls"),
        (lambda f: (f / "cq/keys/log.seed").chmod(0o640), "FILE_OPEN_TO_OTHERS", "keys.log"),
        (lambda f: (f / "cq/keys").chmod(0o755), "FILE_OPEN_TO_OTHERS", "keys.tls"),
        (lambda f: (f / "cq/data").chmod(0o750), "FILE_OPEN_TO_OTHERS", "node.data"),
        (lambda f: (f / "cq/keys/mirror.pem").unlink(), "FILE_MISSING", "keys.mirror"),
        (lambda f: (f / "cq/keys/log.seed").write_text("00" * 31), "KEY_UNREADABLE", "keys.log"),
        (
            lambda f: shutil.copy(f / "cq/keys/sign-p256.pem", f / "cq/keys/witness.pem"),
            "KEY_UNREADABLE",
            "keys.witness",
        ),
        (lambda f: shutil.rmtree(f / "cq/trust"), "TRUST_FOLDER_MISSING", "trust.folder"),
        (lambda f: (f / "cq/keys/sign-p256.pem").write_bytes(b"x"), "KEY_UNREADABLE", "keys.signing[0]"),
    ],
)
def test_files_that_a_node_must_not_run_with(folders: Path, spoil: object, reason: str, key: str) -> None:
    """Each is named with its key; config validate ends with 1, and run refuses to start."""
    assert callable(spoil)
    spoil(folders)
    file = folders / "cq" / "node.toml"
    assert (reason, key) in reasons(load(file))
    assert run("config", "validate", file).status == 1
    started = run("run", file)
    assert started.status == 1
    assert reason in started.err


def test_config_validate_names_mistakes_of_the_node_file(folders: Path) -> None:
    """Every mistake with file, line and key."""
    file = folders / "cq" / "node.toml"
    file.write_text(file.read_text() + "\n[limits]\nwatchers = 9999\nnope = 1\n")
    problems = run("config", "validate", file, "--json").json["problems"]
    assert [problem["reason"] for problem in problems] == ["SETTING_RANGE", "SETTING_UNKNOWN"]
    assert all(problem["place"].startswith("node.toml:") for problem in problems)


def test_config_show_names_the_source_of_each_value(folders: Path) -> None:
    """A line of the file, or default with its reason."""
    rows = {row["key"]: row for row in run("config", "show", folders / "cq" / "node.toml", "--json").json}
    assert rows["node.name"]["source"].startswith("node.toml:")
    assert rows["delivery.retry_min_ms"] == {
        "key": "delivery.retry_min_ms",
        "value": "50",
        "unit": "ms",
        "source": "default",
        "why": "a blip costs nothing and nothing loops busily",
    }


def card(folders: Path, name: str, peer: str) -> tuple[Path, str]:
    """A card with its fingerprint."""
    path = folders / f"{name}.card"
    made = run(
        "peers", "card", "--for", peer, "-n", folders / name / "node.toml", "--address", f"{name}.example:9443", "-o",
        path, "--json",
    )  # fmt: skip
    assert made.status == 0
    return path, made.json["fingerprint"]


def add(folders: Path, path: Path, *more: object) -> Run:
    """Adds a card at cq."""
    return run("peers", "add", path, "-n", folders / "cq" / "node.toml", *more)


def test_cards_are_taken_only_with_their_fingerprint(folders: Path) -> None:
    """No fingerprint, a wrong one, a changed card: refused, and nothing is trusted."""
    path, fingerprint = card(folders, "sc", "cq")
    assert len(fingerprint.split()) == 16
    assert add(folders, path).status == 1
    assert add(folders, path, "--fingerprint", fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")).status == 1
    assert add(folders, path, "--fingerprint", fingerprint[:19]).status == 1
    changed = folders / "changed.card"
    changed.write_text(path.read_text().replace("sc.example:9443", "xx.example:9443"))
    assert add(folders, changed, "--fingerprint", fingerprint).status == 1
    assert peer_names(folders / "cq" / "trust") == ()
    assert add(folders, path, "--fingerprint", fingerprint.upper().replace(" ", "-")).status == 0
    assert peer_names(folders / "cq" / "trust") == ("sc",)
    assert run("peers", "list", "-n", folders / "cq" / "node.toml").status == 0


def test_the_same_node_makes_the_same_card(folders: Path) -> None:
    """So that a fingerprint told yesterday still holds today."""
    assert card(folders, "sc", "cq") == card(folders, "sc", "cq")


def test_a_card_for_another_node_is_refused(folders: Path) -> None:
    """Its logs would be those towards somebody else."""
    path, fingerprint = card(folders, "sc", "gz")
    done = add(folders, path, "--fingerprint", fingerprint)
    assert done.status == 1
    assert "CARD_FOR_ANOTHER_NODE" in done.err


def test_a_card_says_what_peers_must_believe(folders: Path) -> None:
    """Roots, areas, address, and a key for each log towards the peer, for mirror and witness."""
    path, _ = card(folders, "sc", "cq")
    made = NodeCard.parse(path.read_text("utf-8"))
    assert (made.node, made.addressee, made.areas, made.addresses) == ("sc", "cq", ("50",), ("sc.example:9443",))
    assert made.tls_roots == (folders / "sc/trust/own/tls-roots.pem").read_bytes()
    assert len(made.keys) == 7


def test_a_node_that_listens_everywhere_must_name_its_address(folders: Path) -> None:
    """0.0.0.0 is nothing that a peer could dial."""
    assert run("peers", "card", "--for", "cq", "-n", folders / "sc" / "node.toml").status == 2


def test_peers_that_can_not_be_used_are_a_finding(folders: Path) -> None:
    """Named and not trusted, trusted and spoilt."""
    node = folders / "cq" / "node.toml"
    listed = run("peers", "list", "-n", node, "--json")
    assert listed.status == 1
    assert [p["reason"] for p in listed.json["peers"][0]["problems"]] == ["TRUST_MISSING"]
    assert run("peers", "show", "sc", "-n", node).status == 3
    path, fingerprint = card(folders, "sc", "cq")
    add(folders, path, "--fingerprint", fingerprint)
    assert run("peers", "show", "sc", "-n", node, "--json").json["fingerprint"] == fingerprint
    (folders / "cq/trust/sc/peer.toml").write_text("")
    assert run("peers", "list", "-n", node).status == 1
    assert run("peers", "show", "sc", "-n", node).status == 1


def test_a_peer_is_removed_only_when_it_is_not_dialled(folders: Path) -> None:
    """First out of the node file, then out of the trust folder."""
    node = folders / "cq" / "node.toml"
    path, fingerprint = card(folders, "sc", "cq")
    add(folders, path, "--fingerprint", fingerprint)
    assert run("peers", "remove", "sc", "-n", node, "--yes").status == 1
    node.write_text(node.read_text().partition("[[peer]]")[0])
    assert run("peers", "remove", "sc", "-n", node, given="n\n").status == 1
    assert run("peers", "remove", "sc", "-n", node, "--yes").status == 0
    assert peer_names(folders / "cq" / "trust") == ()
    assert run("peers", "remove", "sc", "-n", node, "--yes").status == 3


def test_a_new_card_keeps_the_revocation_lists(folders: Path) -> None:
    """What was revoked stays revoked when a peer sends a new card."""
    node = folders / "cq" / "node.toml"
    path, fingerprint = card(folders, "sc", "cq")
    add(folders, path, "--fingerprint", fingerprint)
    crl = folders / "crl.pem"
    client = folders / "sc" / "clients" / "auditor.pem"
    assert run("pki", "crl", "--ca", folders / "sc/ca/tls", "--revoke", client, "-o", crl).status == 0
    trusted = NodeCard.parse(path.read_text("utf-8"))
    write_peer(folders / "cq" / "trust", "sc", to_trust_files(trusted, tls_crl=crl.read_bytes()))
    assert add(folders, path, "--fingerprint", fingerprint).status == 0
    assert read_peer(folders / "cq" / "trust", "sc")["tls-crl.pem"] == crl.read_bytes()
    assert run("peers", "list", "-n", node).status == 0


def test_database_commands_walk_through(folders: Path) -> None:
    """migrate, verify, backup, restore: each says what it did; a backup is never written over."""
    node = folders / "cq" / "node.toml"
    assert run("db", "migrate", "-n", node, "--json").json["before"] == ""
    assert run("db", "verify", "-n", node, "--json").json == {"findings": []}
    assert run("db", "verify", "-n", node, "--registers", "--json").json == {"findings": []}
    copy = folders / "copy.db"
    assert run("db", "backup", copy, "-n", node).status == 0
    assert run("db", "backup", copy, "-n", node).status == 1
    assert run("db", "restore", copy, "-n", node, given="n\n").status == 1
    assert run("db", "restore", copy, "-n", node, "--yes").status == 0
    assert run("db", "restore", node, "-n", node, "--yes").status == 1


def test_a_running_nodes_database_is_left_alone(folders: Path) -> None:
    """While a process serves the folder, neither migrate nor restore touches its database."""
    node = folders / "cq" / "node.toml"
    run("db", "migrate", "-n", node)
    copy = folders / "copy.db"
    run("db", "backup", copy, "-n", node)
    with one_process(load(node).node.data):
        for command in (("db", "migrate"), ("db", "restore", copy, "--yes")):
            refused = run(*command, "-n", node, lang="en")
            assert (refused.status, "NODE_RUNNING" in refused.err) == (1, True)
    with sqlite3.connect(load(node).node.data / "exchange.db") as connection:
        assert connection.execute("SELECT count(*) FROM node_state WHERE key = 'restored'").fetchone() == (0,)


@pytest.mark.usefixtures("no_profile")
def test_doctor_without_a_running_node_says_what_it_could_not_look_at(folders: Path) -> None:
    """Nothing found, clocks and alarms not looked at: 3. Something found: 1."""
    node = folders / "cq" / "node.toml"
    path, fingerprint = card(folders, "sc", "cq")
    add(folders, path, "--fingerprint", fingerprint)
    run("db", "migrate", "-n", node)
    done = run("doctor", node, "--json")
    assert done.status == 3
    found = {check["check"]: [problem["reason"] for problem in check["problems"]] for check in done.json["checks"]}
    assert found == {
        "files": [],
        "disk": [],
        "database": [],
        "certificates": [],
        "peers": ["PEER_PORT_CLOSED"],
        "clocks": ["NOT_ASKED"],
        "alarms": ["NOT_ASKED"],
    }
    (folders / "cq/keys/log.seed").chmod(0o644)
    assert run("doctor", node).status == 1
    (folders / "cq/keys/log.seed").chmod(0o600)
    (folders / "cq/data/exchange.db").chmod(0o640)
    # A list of cq's own authority, where one of sc belongs.
    foreign = folders / "cq/trust/sc/tls-crl.pem"
    client = folders / "cq/clients/auditor.pem"
    assert run("pki", "crl", "--ca", folders / "cq/ca/tls", "--revoke", client, "-o", foreign).status == 0
    done = run("doctor", node, "--json")
    found = {check["check"]: [problem["reason"] for problem in check["problems"]] for check in done.json["checks"]}
    assert (done.status, found["files"]) == (1, ["FILE_OPEN_TO_OTHERS"])
    assert found["peers"] == ["REVOCATION_UNREADABLE", "PEER_PORT_CLOSED"]


def test_doctor_sees_clocks_disk_and_certificates(folders: Path, profile: Path, node: FakeNode) -> None:
    """A peer's clock beyond the limit, a disk below its mark, a certificate near its end: each with its remedy."""
    file = folders / "cq" / "node.toml"
    file.write_text(
        file.read_text() + "\n[disk]\ntelemetry_below = 9007199254740992\n[certificates]\nwarn_days = 365\n"
    )
    status = GetStatusResponse()
    peer = status.peers.add(peer="sc", clock_ahead_seconds=-99.5)
    peer.last_hello.GetCurrentTime()
    node.answers["GetStatus"] = status
    done = run("doctor", file, "-p", profile, "--json")
    reasons_of = {check["check"]: {p["reason"] for p in check["problems"]} for check in done.json["checks"]}
    assert done.status == 1
    assert reasons_of["clocks"] == {"CLOCK_SKEW"}
    assert reasons_of["disk"] == {"DISK_LOW"}
    assert "TRUST_MISSING" in reasons_of["peers"]
    shown = run("doctor", file, "-p", profile, lang="zh").out
    assert "-99.5 s" in shown


def test_a_peer_may_not_be_called_own(tmp_path: Path) -> None:
    """That folder of the trust folder is the node's own."""
    init(tmp_path / "cq")
    text = (tmp_path / "cq" / "node.toml").read_text().replace('name = "sc"', 'name = "own"')
    with pytest.raises(Refused):
        parse(text.encode(), tmp_path / "cq" / "node.toml")


def test_a_node_signs_by_its_token(folders: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node file names a key in a token, its PIN in a file or a variable; what is wrong is named, the PIN never."""
    folder = folders / "cq"
    file = keys.KeyFile.parse((folder / "keys/sign-p256.pem").read_bytes())
    (folder / "keys/chain.pem").write_bytes(file.chain)
    (folder / "keys/alone.pem").write_bytes(file.key)
    softhsm.take(folder / "keys/alone.pem", "node", "0a")
    pin = folder / "keys/token.pin"
    pin.write_text(softhsm.pin + "\n")
    pin.chmod(0o600)
    node_file = folder / "node.toml"
    text = node_file.read_text()

    def checked(source: str = "file:keys/token.pin", label: str = "node", module: str = softhsm.module) -> Run:
        uri = f"pkcs11:token=exchange;object={label}?module-path={module}&pin-source={source}&x-chain=keys/chain.pem"
        node_file.write_text(f'{text}\n[keys]\nsigning = ["{uri}"]\n')
        done = run("config", "validate", node_file, "--json")
        assert softhsm.pin not in done.out + done.err + run("config", "show", node_file).out
        return done

    assert checked().status == 0
    (signer,) = read_signers(load(node_file))
    assert signer.keyid == spki_hash(load_chain(file.chain)[0])
    monkeypatch.setenv("TOKEN_PIN", softhsm.pin)
    assert checked("env:TOKEN_PIN").status == 0
    for problem, changed in (
        ("KEY_UNREADABLE", {"source": "env:NOT_SET"}),
        ("KEY_UNREADABLE", {"label": "other"}),
        ("FILE_MISSING", {"module": "/nowhere/module.so"}),
        ("FILE_MISSING", {"source": "file:keys/none.pin"}),
    ):
        done = checked(**changed)
        assert done.status == 1
        assert problem in done.out
    pin.chmod(0o644)
    assert "FILE_OPEN_TO_OTHERS" in checked().out


def test_a_node_whose_token_refuses_its_pin_is_not_started_anew(folders: Path, softhsm: SoftHsm) -> None:
    """It ends with a status of its own, at which the service manager leaves it: each start would be a try."""
    folder = folders / "cq"
    (folder / "keys/chain.pem").write_bytes(keys.KeyFile.parse((folder / "keys/sign-p256.pem").read_bytes()).chain)
    pin = folder / "keys/token.pin"
    pin.write_text("000000\n")
    pin.chmod(0o600)
    named = f"module-path={softhsm.module}&pin-source=file:keys/token.pin&x-chain=keys/chain.pem"
    node_file = folder / "node.toml"
    node_file.write_text(f'{node_file.read_text()}\n[keys]\nsigning = ["pkcs11:token=exchange;object=any?{named}"]\n')
    command = [sys.executable, "-c", "from exchange.cli.main import main; main()", "run", str(node_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "TOKEN_PIN_REFUSED" in done.stderr) == (EXIT_PIN, True), done.stderr
    assert "000000" not in done.stdout + done.stderr
    unit = (Path(__file__).parents[2] / "deploy/exchange.service").read_text().splitlines()
    assert f"RestartPreventExitStatus={EXIT_PIN}" in unit
    assert not any(line.startswith("ExecStartPre") for line in unit), "its status would start the node anew"
