"""An agency that signs by the command line: typed records, documents, recordings, at a node that takes nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from exchange.crypto.dsse import SM2, Signer, pae
from exchange.crypto.keys import KeyFile
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.signers.verifiers import verifier_of
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, load_der, public_key_of
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.v1 import record_service_pb2 as records
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.statement_pb2 import Envelope
from exchange_sheets import open_book
from tests.cli.conftest import Run, run
from tests.rpc.doors import AgencyDoor, Stubs, client_issued, full_agency, identity_root
from tests.rpc.facts import credit_of, firm, submit, wait_settled
from tests.rpc.test_sealed import root
from tests.world import AUTHORITIES, FEDERATION, profile

SAMPLES = Path(__file__).parents[2] / "adapters"
WISHES = ("--purpose", "互认", "--authority-uscc", AUTHORITIES["cq"], "--authority-name", "演示甲", "-a", "sc")


@dataclass(frozen=True, kw_only=True)
class Bureau:
    """An agency that must sign, with its files.

    Attributes:
        signers: Its signing keys, in the order of the options.
    """

    door: AgencyDoor
    folder: Path
    stubs: Stubs
    signers: tuple[Signer, ...]
    options: tuple[str, ...]

    def submit(self, file: Path, *more: str, answers: bool = False) -> Run:
        """The command."""
        plain = () if answers else ("--no-answers",)
        return run("submit", file, "-p", self.folder / "profile.toml", "--json", *plain, *self.options, *WISHES, *more)

    def envelope(self, record_id: str) -> Envelope:
        """The envelope as the node has it, once everything is applied."""
        wait_settled(self.door)
        request = records.GetEnvelopeRequest(ref=RecordRef(record_id=record_id))
        return Envelope.FromString(self.stubs.call(self.stubs.record.GetEnvelope, request).sealed.envelope)


def signing_key(folder: Path, name: str, *, sm2: bool = False) -> Signer:
    """A signing key on disk: by P-256 in one file, by SM2 with the certificate in a file of its own."""
    now = datetime.now(UTC)
    identity = Identity(node="cq", domain=FEDERATION, role=Role.NODE, name="cq")
    authority = pki.create_root(profile(), "a government SM2 authority", now=now, key=KeyKind.SM2) if sm2 else root()
    issued = pki.issue_signing(profile(), authority, identity=identity, organisation=name, now=now)
    if sm2:
        (folder / "sm2.key").write_bytes(issued.key)
        (folder / "sm2.pem").write_bytes(issued.chain)
    else:
        (folder / "sign.pem").write_bytes(issued.bundle)
    return read_signer(issued.bundle)


def bureau(door: AgencyDoor, folder: Path, name: str, *, sm2: bool = False) -> Bureau:
    """An agency of which every grant requires its signature."""
    signers = [signing_key(folder, name)]
    options = ["--sign-key", str(folder / "sign.pem")]
    if sm2:
        signers.append(signing_key(folder, name, sm2=True))
        options += ["--sign-key", str(folder / "sm2.key"), "--sign-cert", str(folder / "sm2.pem")]
    agency = full_agency(name)
    agency.signing_certificates.extend(signer.chain[0] for signer in signers)
    agency.grants[0].require_signature = True
    door.put(agency)
    client = client_issued("cq", Role.AGENCY, name)
    (folder / "ca.pem").write_bytes(identity_root().root_pem)
    (folder / "client.pem").write_bytes(client.bundle)
    (folder / "profile.toml").write_text(
        f'address = "localhost:{door.server.port}"\nca = "ca.pem"\ncert = "client.pem"\nkey = "client.pem"\n'
    )
    return Bureau(door=door, folder=folder, stubs=door.stubs(client), signers=tuple(signers), options=tuple(options))


def counts(done: Run) -> dict[str, int]:
    """Rows by result, without those that are zero."""
    (file,) = done.json["files"]
    assert not file["refused"], file["refused"]
    return {name: number for name, number in file["counts"].items() if number}


def results(done: Run) -> Sequence[str]:
    """Result of each row, in order."""
    return [row["result"] for row in done.json["files"][0]["rows"]]


def sheet(path: Path, *rows: tuple[str, str, str]) -> Path:
    """A small credit form of Chongqing: name, code, score."""
    lines = ["企业名称,统一社会信用代码,评价年度,评价得分,信用等级,评价办法,结果状态,公布日期"]
    lines += [
        f"{name},{code},2024,{score},环保良好企业,CQ-渝环规〔2021〕7号,终评,2025-11-20" for name, code, score in rows
    ]
    path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


def test_a_document_is_mapped_and_signed_row_by_row(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Each row travels in the agency's own envelope; what can not be mapped is refused here; the answer says so."""
    signs = bureau(doors["cq"], tmp_path, "signs-rows")
    rows = [("演示甲", firm(800), "90"), ("演示乙", firm(801), "88"), ("演示丙", "91", "88")]
    file = sheet(tmp_path / "credit.csv", *rows)
    done = signs.submit(file, "--adapter", "chongqing", answers=True)
    assert (done.status, counts(done)) == (1, {"ROWS": 3, "ACCEPTED": 2, "REFUSED": 1})
    sent = done.json["files"][0]["rows"]
    for row in sent[:2]:
        envelope = signs.envelope(row["record_id"])
        assert [each.keyid for each in envelope.signatures][1:] == [signs.signers[0].keyid]
    assert [problem["reason"] for problem in sent[2]["problems"]] == ["USCC_FORMAT"]
    answer = open_book((tmp_path / "credit.answer.csv").read_bytes()).sheets[0].rows[1]
    assert sent[0]["record_id"] in [cell.text for cell in answer.cells.values()]


def test_the_same_file_again_is_the_same_calls(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Signed anew, with other ids and salts, and yet the first answers; under another name the existing records."""
    signs = bureau(doors["cq"], tmp_path, "signs-again")
    file = sheet(tmp_path / "a.csv", ("演示甲", firm(810), "90"), ("演示乙", firm(811), "88"))
    first = signs.submit(file, "--adapter", "chongqing")
    again = signs.submit(file, "--adapter", "chongqing")
    assert results(first) == results(again) == ["ACCEPTED", "ACCEPTED"]
    ids = [[row["record_id"] for row in done.json["files"][0]["rows"]] for done in (first, again)]
    assert ids[0] == ids[1]
    longer = sheet(
        tmp_path / "b.csv", ("演示甲", firm(810), "90"), ("演示乙", firm(811), "85"), ("新", firm(812), "80")
    )
    dry = signs.submit(longer, "--adapter", "chongqing", "--dry-run")
    assert results(dry) == ["UNCHANGED", "VALID", "VALID"]
    other = signs.submit(longer, "--adapter", "chongqing")
    assert results(other) == ["UNCHANGED", "REVISED", "ACCEPTED"]
    assert [row["record_id"] for row in other.json["files"][0]["rows"]][:2] == ids[0]
    assert results(signs.submit(longer, "--adapter", "chongqing")) == ["UNCHANGED", "REVISED", "ACCEPTED"]


def test_a_recording_is_signed_as_well(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Packets become batches, each signed; a file that both sides' adapters know needs the name of one."""
    signs = bureau(doors["cq"], tmp_path, "signs-packets")
    file = SAMPLES / "exchange_hj212" / "samples" / "edition-2017.txt"
    unnamed = signs.submit(file)
    assert [problem["reason"] for problem in unnamed.json["files"][0]["refused"]] == ["ADAPTER_AMBIGUOUS"]
    done = signs.submit(file, "--adapter", "chongqing")
    assert counts(done)["ACCEPTED"] > 3
    accepted = [row["record_id"] for row in done.json["files"][0]["rows"] if row["result"] == "ACCEPTED"]
    assert len(signs.envelope(accepted[0]).signatures) == 2


def test_typed_records_are_signed_by_both_algorithms(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """ES256 and SM2 over the same bytes, both bound, both checked by the node, both in the log."""
    signs = bureau(doors["cq"], tmp_path, "signs-typed", sm2=True)
    file = tmp_path / "one.record.json"
    file.write_text(MessageToJson(credit_of(firm(830))))
    done = signs.submit(file)
    assert counts(done) == {"ROWS": 1, "ACCEPTED": 1}
    envelope = signs.envelope(done.json["files"][0]["rows"][0]["record_id"])
    assert signs.signers[1].algorithm == SM2
    for signature, signer in zip(envelope.signatures[1:], signs.signers, strict=True):
        key = verifier_of(public_key_of(load_der(signer.chain[0])))
        assert key is not None
        assert key.verify(signature.sig, pae(envelope.payload_type, envelope.payload))


def test_an_sm2_signature_that_is_wrong_is_refused(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """An agency bound by an SM2 key alone passes with it, and is refused once another SM2 key signs."""
    door = doors["cq"]
    signs = bureau(door, tmp_path, "signs-sm2", sm2=True)
    agency = full_agency("signs-sm2")
    agency.signing_certificates.append(signs.signers[1].chain[0])
    agency.grants[0].require_signature = True
    door.put(agency)
    only = ("--sign-key", str(tmp_path / "sm2.key"), "--sign-cert", str(tmp_path / "sm2.pem"))
    file = tmp_path / "one.record.json"
    file.write_text(MessageToJson(credit_of(firm(840))))
    command = ("submit", file, "-p", tmp_path / "profile.toml", "--json", "--no-answers", *only, *WISHES)
    assert counts(run(*command)) == {"ROWS": 1, "ACCEPTED": 1}
    signing_key(tmp_path, "another", sm2=True)
    file.write_text(MessageToJson(credit_of(firm(841))))
    (row,) = run(*command).json["files"][0]["rows"]
    assert [problem["reason"] for problem in row["problems"]] == ["SIGNATURE_KEY_UNKNOWN"]


def test_what_is_signed_must_be_known_before(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """No addressee, a key without certificate, a certificate too many, one algorithm twice: nothing is sent."""
    signs = bureau(doors["cq"], tmp_path, "signs-never")
    file = sheet(tmp_path / "a.csv", ("演示甲", firm(850), "90"))
    key = tmp_path / "bare.key"
    key.write_bytes(KeyFile.parse((tmp_path / "sign.pem").read_bytes()).key)
    base = ("submit", file, "-p", tmp_path / "profile.toml")
    signed = str(tmp_path / "sign.pem")
    assert run(*base, "--sign-key", signed).status == 2
    assert run(*base, "--sign-cert", signed, "-a", "sc").status == 2
    for wrong in (("--sign-key", str(key)), ("--sign-key", signed, "--sign-cert", signed), ("--sign-key", signed) * 2):
        done = run(*base, *wrong, "-a", "sc")
        assert (done.status, "KEY_UNREADABLE" in done.err) == (1, True), (wrong, done.out, done.err)
    other = signs.submit(file, "--adapter", "chongqing", "--sign-for", "sc.exchange.example")
    (row,) = other.json["files"][0]["rows"]
    assert [problem["place"] for problem in row["problems"]] == ["sealed.origin"]


@pytest.mark.parametrize("key", ["mine", ""])
def test_two_rows_of_one_firm_are_one_record(doors: dict[str, AgencyDoor], tmp_path: Path, key: str) -> None:
    """Twice the same is unchanged, another score behind it a revision, within one batch and under any key."""
    signs = bureau(doors["cq"], tmp_path, f"signs-twice{key}")
    code = firm(860 + len(key))
    file = sheet(tmp_path / "a.csv", ("演示甲", code, "90"), ("演示甲", code, "90"), ("演示甲", code, "85"))
    more = ("--key", key) if key else ()
    done = signs.submit(file, "--adapter", "chongqing", *more)
    assert results(done) == ["ACCEPTED", "UNCHANGED", "REVISED"]


def test_a_signed_request_goes_on_by_its_own_id(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """The form knows no revisions: the node says which one is next, and that one is signed."""
    signs = bureau(doors["cq"], tmp_path, "signs-request")
    doubted = submit(doors["cq"].agency("signs-doubted"), credit_of(firm(870)), "signs-doubted-1").record_id
    wait_settled(doors["cq"])
    head = "序号,疑义记录编号,所在区县,申请人,疑义字段,疑义说明,申请日期,申请状态,申请记录编号"
    found: list[tuple[str, str]] = []
    for state in ("已提出", "已办结"):
        own = found[0][1] if found else ""
        line = f"1,cq/{doubted},渝北区,使用单位,评价得分,与公示文本不一致,2026-02-20,{state},{own}"
        (tmp_path / "ask.csv").write_text(f"{head}\n{line}\n", "utf-8")
        (row,) = signs.submit(tmp_path / "ask.csv", "--adapter", "chongqing").json["files"][0]["rows"]
        found.append((row["result"], row["record_id"]))
    assert found == [("ACCEPTED", found[0][1]), ("REVISED", found[0][1])]
