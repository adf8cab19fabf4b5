"""Evidence checked offline: what holds, what does not, and what nobody can say without more material."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.envelope_file import write_envelope
from exchange.crypto import keys
from exchange.crypto.dsse import make_envelope
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import KeyFile
from exchange.crypto.sealing import SM3, commit
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509.certificates import load_chain, to_der, to_pem
from exchange.crypto.x509.pki import Authority, issue_crl
from exchange.settings.trust_folder import write_peer
from exchange.tlog import proof
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LANES, LogName, mirror_name, witness_name
from exchange.tlog.tree import leaf_hash
from exchange.v1.kind_pb2 import KIND_CREDIT_RESULT
from exchange.v1.record_service_pb2 import GetEnvelopeResponse, SignatureChain
from exchange.v1.statement_pb2 import LogEntry, Statement
from tests.cli.conftest import Run, run
from tests.crypto.region import DOMAIN, PROFILE
from tests.crypto.test_node_card import card

ORIGIN = "cq.exchange.example/to/sc/registry/1"
OTHER_ENTRY = LogEntry(version=1, envelope=b"another").SerializeToString()


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A receipt and an envelope of the same record, and what verifies them."""

    folder: Path
    receipt: Path
    envelope: Path
    vkeys: tuple[str, str]
    roots: Path
    chain: Path

    def verify(
        self, *files: Path, vkeys: bool = True, roots: bool = False, chain: bool = False, more: tuple[object, ...] = ()
    ) -> Run:
        """Run verify with some of the material."""
        given: list[object] = [*more]
        if vkeys:
            given += [part for key in self.vkeys for part in ("--vkey", key)]
        if roots:
            given += ["--roots", self.roots]
        if chain:
            given += ["--chain", self.chain]
        return run("verify", *files, *given, "--json")


def verdicts(done: Run) -> dict[str, str]:
    """Verdict by claim of the first file."""
    return {claim["claim"]: claim["verdict"] for claim in done.json["files"][0]["claims"]}


def make(
    folder: Path,
    regions: Path,
    *,
    cosigner: str = "sc",
    origin: str = "cq",
    logged: int | None = None,
    sm2: bool = False,
) -> Evidence:
    """Make evidence as two nodes would."""
    now = int(datetime.now(UTC).timestamp())
    pem = (regions / "cq" / "keys" / "sign-p256.pem").read_bytes()
    signers = [read_signer(pem)]
    if sm2:
        signers.append(read_signer((regions / "cq" / "keys" / "sign-sm2.pem").read_bytes()))
    body, salt = b"\x0a\x00", b"s" * 32
    statement = Statement(
        federation="exchange.example", origin=origin, addressees=["sc"], revision=1,
        record_id="01a20a2d-0000-7000-8000-000000000000", kind=KIND_CREDIT_RESULT,
        body_size=len(body), commitments=[commit(salt, body), *([commit(salt, body, SM3)] if sm2 else [])],
    )  # fmt: skip
    entry = LogEntry(version=1, envelope=make_envelope(statement.SerializeToString(), signers).SerializeToString())
    entry.logged_at.seconds = now if logged is None else logged
    data = entry.SerializeToString()
    log = NoteSigner(ORIGIN, keys.generate_ed25519())
    mirror = Cosigner(mirror_name(cosigner, "exchange.example"), keys.generate_ed25519())
    note = mirror.cosign(log.sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(data))), now)
    (folder / "receipt").write_bytes(proof.format(proof.Receipt(0, (), note, data)))
    answer = GetEnvelopeResponse(entry=data, log=ORIGIN, index=0)
    answer.sealed.envelope = entry.envelope
    answer.sealed.body.record, answer.sealed.body.salt = body, salt
    answer.certificates.extend(to_der(each) for each in load_chain(KeyFile.parse(pem).chain))
    answer.chains.extend(SignatureChain(keyid=each.keyid, certificates=each.chain) for each in signers)
    (folder / "envelope.json").write_text(write_envelope(answer))
    (folder / "chain.pem").write_bytes(KeyFile.parse(pem).chain)
    return Evidence(
        folder=folder, receipt=folder / "receipt", envelope=folder / "envelope.json", vkeys=(log.vkey, mirror.vkey),
        roots=regions / "cq" / "trust" / "own" / "signing-roots.pem", chain=folder / "chain.pem",
    )  # fmt: skip


def card_of(evidence: Evidence, node: str, bounds: tuple[datetime, datetime | None]) -> Path:
    """The card of cq with the log's key, or of sc with the mirror's, in use between two instants."""
    peer = "sc" if node == "cq" else "cq"
    log, mirror = (VerifierKey.parse(vkey) for vkey in evidence.vkeys)
    names = [*(LogName.outbound(node, DOMAIN, peer, lane) for lane in LANES)]
    names += [LogName.journal(node, DOMAIN), LogName.local(node, DOMAIN)]
    logs = {str(name): NoteSigner(str(name), keys.generate_ed25519()).key for name in names} | {log.name: log}
    own = mirror if node == "sc" else Cosigner(mirror_name(node, DOMAIN), keys.generate_ed25519()).key
    witness = Cosigner(witness_name(node, DOMAIN), keys.generate_ed25519()).key
    used = [(KeyRole.LOG, logs[str(name)]) for name in names] + [(KeyRole.MIRROR, own), (KeyRole.WITNESS, witness)]
    begin, end = bounds
    made = card(
        node=node,
        addressee=peer,
        keys=tuple(TrustedKey(role=role, key=key, valid_from=begin, valid_until=end) for role, key in used),
        signing_roots=evidence.roots.read_bytes(),
        tls_roots=evidence.roots.read_bytes(),
    )
    path = evidence.folder / f"{node}.card"
    path.write_text(made.to_text(), "utf-8")
    return path


@pytest.fixture
def evidence(tmp_path: Path, regions: Path) -> Evidence:
    """Sound evidence."""
    return make(tmp_path, regions)


def test_a_sound_receipt_holds_claim_by_claim(evidence: Evidence) -> None:
    """With both keys: 0; with roots and chain the region's signature too."""
    done = evidence.verify(evidence.receipt)
    assert done.status == 0
    assert verdicts(done) == {
        "FORM": "HOLDS",
        "INCLUSION": "HOLDS",
        "LOG_SIGNATURE": "HOLDS",
        "COSIGNATURE": "HOLDS",
        "KEY_TIMES": "NOT_ASKED",
        "STATEMENT": "HOLDS",
        "PARTIES": "HOLDS",
        "TIMES": "HOLDS",
        "STATEMENT_SIGNATURE": "NOT_ASKED",
    }
    full = evidence.verify(evidence.receipt, roots=True, chain=True)
    assert verdicts(full)["STATEMENT_SIGNATURE"] == "HOLDS"
    assert full.status == 0


def test_without_keys_nobody_can_say(evidence: Evidence) -> None:
    """Missing material is 3, not 1."""
    done = evidence.verify(evidence.receipt, vkeys=False)
    assert done.status == 3
    assert verdicts(done)["LOG_SIGNATURE"] == verdicts(done)["COSIGNATURE"] == "UNDECIDED"


def test_a_sound_envelope_holds_under_its_roots(evidence: Evidence) -> None:
    """The file brings the certificate, the caller the roots; without roots: 3."""
    assert evidence.verify(evidence.envelope, vkeys=False).status == 3
    done = evidence.verify(evidence.envelope, vkeys=False, roots=True)
    assert done.status == 0
    open_claims = {name for name, verdict in verdicts(done).items() if verdict == "NOT_ASKED"}
    assert open_claims == {"TIMES", "NOT_REVOKED", "ANNOUNCED"}
    assert set(verdicts(done).values()) == {"HOLDS", "NOT_ASKED"}


def test_foreign_roots_do_not_do(evidence: Evidence, regions: Path) -> None:
    """A certificate that leads to no trusted root proves nothing."""
    roots = regions / "sc" / "trust" / "own" / "signing-roots.pem"
    done = run("verify", evidence.envelope, "--roots", roots, "--json")
    assert done.status == 1
    assert verdicts(done)["STATEMENT_SIGNATURE"] == "WRONG"


def spoil(evidence: Evidence, change: Any) -> Path:
    """The envelope file with something changed."""
    tree = json.loads(evidence.envelope.read_text())
    change(tree)
    path = evidence.folder / "spoilt.json"
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (lambda tree: tree["body"].update(record="AAAA"), "BODY"),
        (lambda tree: tree["body"].update(salt="AAAA"), "BODY"),
        (lambda tree: tree["envelope"].update(payload="AAAA"), "FORM"),
        (lambda tree: tree["envelope"]["signatures"][0].update(keyid="x"), "FORM"),
        (lambda tree: tree.update(entry="AAAA"), "FORM"),
        (lambda tree: tree.update(entry=base64.b64encode(OTHER_ENTRY).decode()), "FORM"),
        (lambda tree: tree.update(envelope_bytes="AAAA"), "FORM"),
        (lambda tree: tree.update(format="other"), "FORM"),
        (lambda tree: tree.pop("log"), "FORM"),
        (lambda tree: tree.update(body=[]), "FORM"),
        (lambda tree: tree.update(certificates="x"), "FORM"),
    ],
)
def test_a_changed_envelope_is_wrong(evidence: Evidence, change: Any, claim: str) -> None:
    """Whatever was changed, one claim says so."""
    done = evidence.verify(spoil(evidence, change), roots=True)
    assert done.status == 1
    assert verdicts(done)[claim] == "WRONG"


def test_an_erased_body_is_not_asked_for(evidence: Evidence) -> None:
    """The envelope still verifies when its body is gone."""
    done = evidence.verify(spoil(evidence, lambda tree: tree.pop("body")), roots=True)
    assert done.status == 0
    assert verdicts(done)["BODY"] == "NOT_ASKED"


def test_a_changed_receipt_is_wrong(evidence: Evidence) -> None:
    """Another index, another entry, another text: one claim says so."""
    text = evidence.receipt.read_bytes()
    for old, new in ((b"index 0", b"index 1"), (b"/registry/1\n1\n", b"/registry/1\n2\n"), (b"extra ", b"extra")):
        assert old in text
        path = evidence.folder / "spoilt"
        path.write_bytes(text.replace(old, new))
        assert evidence.verify(path).status == 1


def test_only_the_addressee_can_say_that_it_has_the_entry(tmp_path: Path, regions: Path) -> None:
    """A cosignature by the log's own node, or by a third, is no receipt."""
    for other in ("cq", "gz"):
        made = make(tmp_path, regions, cosigner=other)
        done = made.verify(made.receipt)
        assert done.status == 1
        assert verdicts(done)["COSIGNATURE"] == "WRONG"


def test_statement_and_log_must_name_the_same_parties(tmp_path: Path, regions: Path) -> None:
    """A statement of another node in this log proves nothing about that node."""
    made = make(tmp_path, regions, origin="gz")
    assert verdicts(made.verify(made.receipt))["PARTIES"] == "WRONG"


def test_logged_later_than_mirrored_is_wrong(tmp_path: Path, regions: Path) -> None:
    """Logged time must not lie more than five minutes behind the cosignature."""
    made = make(tmp_path, regions, logged=4_000_000_000)
    assert verdicts(made.verify(made.receipt))["TIMES"] == "WRONG"


_PAST = datetime.now(UTC).replace(microsecond=0) - timedelta(days=400)
_SINCE = _PAST + timedelta(days=30)
_SOON = _PAST + timedelta(days=800)


@pytest.mark.parametrize(
    ("log", "mirror", "verdict"),
    [
        ((_SINCE, None), (_SINCE, _SOON), "HOLDS"),
        ((_PAST, _SINCE), (_PAST, None), "WRONG"),
        ((_PAST, None), (_PAST, _SINCE), "WRONG"),
        ((_PAST, None), (_SOON, None), "WRONG"),
    ],
    ids=["in use", "the log's key had ended", "the mirror's key had ended", "the mirror's key was not in use yet"],
)
def test_keys_count_within_the_times_of_the_cards(
    evidence: Evidence,
    log: tuple[datetime, datetime | None],
    mirror: tuple[datetime, datetime | None],
    verdict: str,
) -> None:
    """Both signatures verify, and yet the receipt holds only where both keys were in use when it was cosigned."""
    cards = [part for each in (("cq", log), ("sc", mirror)) for part in ("--card", card_of(evidence, *each))]
    done = evidence.verify(evidence.receipt, vkeys=False, more=tuple(cards))
    told = verdicts(done)
    assert (told["LOG_SIGNATURE"], told["COSIGNATURE"], told["KEY_TIMES"]) == ("HOLDS", "HOLDS", verdict)
    assert done.status == (0 if verdict == "HOLDS" else 1)


def test_receipt_and_envelope_complete_each_other(evidence: Evidence) -> None:
    """The receipt tells when the entry was mirrored, the envelope brings the certificates: nothing more is missing."""
    done = evidence.verify(evidence.receipt, evidence.envelope, roots=True)
    receipt, envelope = ({c["claim"]: c["verdict"] for c in file["claims"]} for file in done.json["files"])
    assert (receipt["STATEMENT_SIGNATURE"], envelope["TIMES"]) == ("HOLDS", "HOLDS")
    evidence.receipt.write_bytes(evidence.receipt.read_bytes().replace(b"index 0", b"index 1"))
    spoilt = evidence.verify(evidence.receipt, evidence.envelope, roots=True)
    assert {c["claim"]: c["verdict"] for c in spoilt.json["files"][1]["claims"]}["TIMES"] == "NOT_ASKED"


@pytest.mark.parametrize(("hours", "verdict"), [(-1, "WRONG"), (1, "HOLDS")])
def test_a_revoked_certificate_vouches_for_what_was_mirrored_before(
    evidence: Evidence, regions: Path, hours: int, verdict: str
) -> None:
    """Of a revocation at R the receipt's time decides; without one nobody can say, unless it was logged after R."""
    trust = evidence.folder / "trust"
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    authority = regions / "cq" / "ca" / "signing"
    made = Authority.load(key=(authority / "ca.key").read_bytes(), chain=(authority / "ca.pem").read_bytes())
    leaf = load_chain(KeyFile.parse((regions / "cq" / "keys" / "sign-p256.pem").read_bytes()).chain)[0]
    crl = issue_crl(PROFILE, made, [(leaf.serial_number, at)], number=1, now=datetime.now(UTC))
    named = NodeCard.parse(card_of(evidence, "cq", (_PAST, None)).read_text("utf-8"))
    write_peer(trust, "cq", to_trust_files(named, signing_crl=to_pem(made.certificate) + crl))
    more = ("--trust", trust, "--card", card_of(evidence, "sc", (_PAST, None)))
    both = evidence.verify(evidence.receipt, evidence.envelope, vkeys=False, more=more)
    for file in both.json["files"]:
        assert {c["claim"]: c["verdict"] for c in file["claims"]}["NOT_REVOKED"] == verdict, both.out
    alone = verdicts(evidence.verify(evidence.envelope, vkeys=False, more=more))
    assert alone["NOT_REVOKED"] == ("WRONG" if verdict == "WRONG" else "UNDECIDED")


def test_required_algorithms_are_those_that_the_caller_names(tmp_path: Path) -> None:
    """ES256 alone satisfies itself, not SM2 as well; both satisfy both; another name is no algorithm."""
    assert run("pki", "dev", tmp_path / "regions", "--node", "cq", "--sm2").status == 0
    (tmp_path / "one").mkdir()
    one = make(tmp_path / "one", tmp_path / "regions")
    both = make(tmp_path, tmp_path / "regions", sm2=True)
    for made, require, status in ((one, "ES256", 0), (one, "ES256,SM2", 1), (both, "ES256,SM2", 0), (both, "SM2", 0)):
        done = made.verify(made.envelope, roots=True, more=("--require", require))
        assert done.status == status, (require, done.out)
    assert one.verify(one.envelope, roots=True, more=("--require", "RSA")).status == 2
    assert one.verify(one.receipt, more=("--require", "ES256")).status == 3


def test_cards_and_trust_folders_bring_the_keys(regions: Path, tmp_path: Path) -> None:
    """Bytes that are neither receipt nor envelope are a finding; a trust folder without sets is missing material."""
    (tmp_path / "x").write_bytes(b"hello")
    assert run("verify", tmp_path / "x").status == 1
    (tmp_path / "trust").mkdir()
    assert run("verify", tmp_path / "x", "--trust", tmp_path / "trust").status == 3
    assert run("verify", tmp_path / "x", "--vkey", "no+key+x").status == 1
    assert run("verify", tmp_path / "x", "--trust", regions / "cq" / "trust").status == 1


def test_both_signatures_and_both_commitments_are_shown(tmp_path: Path) -> None:
    """An envelope signed by ES256 and SM2 over a body committed to by SHA-256 and SM3: each is named, each counts."""
    assert run("pki", "dev", tmp_path / "regions", "--node", "cq", "--sm2").status == 0
    made = make(tmp_path, tmp_path / "regions", sm2=True)
    done = made.verify(made.envelope, roots=True)
    assert done.status == 0
    details = {claim["claim"]: claim["detail"] for claim in done.json["files"][0]["claims"]}
    assert "SHA-256, SM3" in details["BODY"]
    signed = details["STATEMENT_SIGNATURE"].partition(";")[0]
    assert [part.split()[0] for part in signed.split(", ")] == ["ES256", "SM2"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl-missing")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq-missing")
def test_the_readme_verifies_an_sm2_envelope_by_hand(tmp_path: Path) -> None:
    """The commands of the README, as they stand there, accept the envelope, and refuse it when a byte was changed."""
    assert run("pki", "dev", tmp_path / "regions", "--node", "cq", "--sm2").status == 0
    made = make(tmp_path, tmp_path / "regions", sm2=True)
    (tmp_path / "signing-roots.pem").write_bytes(made.roots.read_bytes())
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    script = text.partition("**The SM2 signature by hand**")[2].partition("```sh\n")[2].partition("```")[0]
    ran = ["/bin/bash", "-ec", script]
    good = subprocess.run(ran, cwd=tmp_path, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    assert good.stdout.count(b"OK") == 3, good.stdout
    tree = json.loads(made.envelope.read_text())
    tree["envelope"]["payload"] = "AAAA"
    made.envelope.write_text(json.dumps(tree))
    assert subprocess.run(ran, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_material_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes where a card or a file of keys should be, and a file that is not there: named, with no claim made."""
    evidence, noise, missing = tmp_path / "receipt", tmp_path / "noise", tmp_path / "none"
    evidence.write_bytes(b"c2sp.org/tlog-proof@v1\n")
    noise.write_bytes(b"exchange-node-card/v1\nnode \xff\n")
    for more, reason in (
        (("--card", noise), "CARD_INVALID"),
        (("--vkey", noise), "LOG_FORMAT"),
        (("--vkey", missing), "FILE_MISSING"),
    ):
        refused = run("verify", evidence, *more)
        assert (refused.status, reason in refused.err) == (1, True), (more, refused.err)
