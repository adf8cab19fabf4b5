"""Records that an agency signed itself: the node verifies, adds its own signature, and the peer takes what it knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from exchange.crypto.agency_keys import seal_as_agency
from exchange.crypto.dsse import Signer, make_envelope, sign
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, to_der
from exchange.flows.intake.ids import new_id
from exchange.v1 import security_service_pb2 as security
from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, SealedRecord, Signature, Statement
from tests import evidence
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, full_agency, unnamed_issued
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_decided, wait_settled
from tests.world import FEDERATION, profile

OUT = "cq.exchange.example/to/sc/registry/1"


@cache
def root() -> pki.Authority:
    """A government authority for signing certificates; the node trusts none of what it says but by binding."""
    return pki.create_root(profile(), "a government signing authority", now=datetime.now(UTC))


@cache
def signer(name: str) -> Signer:
    """An agency's signing key."""
    identity = Identity(node="cq", domain=FEDERATION, role=Role.NODE, name="cq")
    issued = pki.issue_signing(profile(), root(), identity=identity, organisation=name, now=datetime.now(UTC))
    return read_signer(issued.bundle)


def sealed(record: Record, by: Signer, change: Callable[[Statement], None] | None = None) -> SealedRecord:
    """A finished envelope for sc; ``change`` alters the statement before it is signed."""
    record.header.record_id = record.header.record_id or str(new_id(datetime.now(UTC)))
    record.header.revision = record.header.revision or 1
    record.header.kind_edition = 1
    made = seal_as_agency(record, by, federation=FEDERATION, origin="cq", addressees=["sc"], now=datetime.now(UTC))
    if change is not None:
        statement = Statement.FromString(Envelope.FromString(made.envelope).payload)
        change(statement)
        made.envelope = make_envelope(statement.SerializeToString(), [by]).SerializeToString()
    return made


def send(stubs: Stubs, made: SealedRecord, key: str) -> pb.SubmittedRecord:
    """Submit it."""
    item = pb.RecordSubmission(idempotency_key=key, sealed=made)
    answer: pb.SubmitRecordResponse = stubs.call(stubs.submission.SubmitRecord, pb.SubmitRecordRequest(submission=item))
    return answer.submitted


def refused(stubs: Stubs, made: SealedRecord, key: str) -> tuple[str, list[str]]:
    """Reason of the refusal, and the places of its problems."""
    with pytest.raises(CallFailed) as failure:
        send(stubs, made, key)
    return failure.value.reason, [problem.place for problem in failure.value.problems]


def signing(door: AgencyDoor, name: str, *keys: str, required: bool = False) -> Stubs:
    """An agency with signing keys, and its connection."""
    agency = full_agency(name)
    agency.signing_certificates.extend(signer(key).chain[0] for key in keys)
    agency.grants[0].require_signature = required
    door.put(agency)
    return door.stubs(client_issued("cq", Role.AGENCY, name))


def test_the_regions_signature_comes_first_and_the_agencys_stays(doors: dict[str, AgencyDoor]) -> None:
    """Both over the same bytes, in the log of either side; the peer, who knows one of them, recognises the record."""
    door = doors["cq"]
    stubs = signing(door, "signs", "a")
    made = sealed(credit_of(firm(700)), signer("a"))
    done = send(stubs, made, "signs-1")
    envelope = Envelope.FromString(done.envelope)
    given = Envelope.FromString(made.envelope)
    assert envelope.payload == given.payload
    assert [each.keyid for each in envelope.signatures] == [door.node.keys.signers[0].keyid, signer("a").keyid]
    assert envelope.signatures[1] == given.signatures[0]
    wait_decided(door, stubs, done.record_id)
    for name in ("cq", "sc"):
        assert any(done.envelope in entry.entry for entry in evidence.entries(door.world, name, OUT))
    evidence.verified(door.world, "cq", done.envelope)
    # the same call again is the same record
    assert send(stubs, made, "signs-1").repeated_call


def test_only_keys_bound_to_this_agency_count(doors: dict[str, AgencyDoor]) -> None:
    """Another agency's key, an unbound one, and none at all are unknown; let go of, a key is unknown too."""
    door = doors["cq"]
    stubs = signing(door, "keyed-a", "b")
    other = signing(door, "keyed-b", "c")
    bare = door.agency("keyed-none")
    for number, (caller, key) in enumerate(((stubs, "c"), (other, "b"), (stubs, "d"), (bare, "b"))):
        reason, _ = refused(caller, sealed(credit_of(firm(710 + number)), signer(key)), f"keyed-{number}")
        assert reason == "SIGNATURE_KEY_UNKNOWN"
    send(stubs, sealed(credit_of(firm(715)), signer("b")), "keyed-5")
    officer = door.officer(Role.SECURITY)
    request = security.BindKeyRequest(name="keyed-a", signing_certificate=signer("d").chain[0], reason="换证")
    officer.call(officer.security.BindKey, request)
    send(stubs, sealed(credit_of(firm(716)), signer("d")), "keyed-6")
    send(stubs, sealed(credit_of(firm(717)), signer("b")), "keyed-7")
    request.remove, request.signing_certificate = True, signer("b").chain[0]
    officer.call(officer.security.BindKey, request)
    assert refused(stubs, sealed(credit_of(firm(718)), signer("b")), "keyed-8")[0] == "SIGNATURE_KEY_UNKNOWN"


def test_a_certificate_counts_from_begin_to_end(doors: dict[str, AgencyDoor]) -> None:
    """A signing certificate that ended, or is of tomorrow, is as one that is unknown."""
    door = doors["cq"]
    signing(door, "timed", "e")
    envelope = Envelope.FromString(sealed(credit_of(firm(720)), signer("e")).envelope)
    now = datetime.now(UTC)
    for days, reason in ((0, ""), (-10, "SIGNATURE_KEY_UNKNOWN"), (10_000, "SIGNATURE_KEY_UNKNOWN")):
        at = now + timedelta(days=days)
        problem = door.book.signature_problem("timed", Kind.KIND_CREDIT_RESULT, envelope, at)
        assert getattr(problem, "reason", "") == reason


def test_a_signature_that_does_not_verify_is_refused(doors: dict[str, AgencyDoor]) -> None:
    """Of a known key, over other bytes: wrong, whoever else signed as well. One by a stranger beside it is kept."""
    door = doors["cq"]
    stubs = signing(door, "verified", "f", "g")
    made = sealed(credit_of(firm(730)), signer("f"))
    envelope = Envelope.FromString(made.envelope)
    envelope.signatures.append(Signature(keyid=signer("g").keyid, sig=sign(signer("g"), b"other bytes").sig))
    made.envelope = envelope.SerializeToString()
    assert refused(stubs, made, "verified-1")[0] == "SIGNATURE_WRONG"
    del envelope.signatures[1:]
    envelope.signatures.append(Signature(keyid="ff" * 32, sig=b"whatever"))
    made.envelope = envelope.SerializeToString()
    done = send(stubs, made, "verified-2")
    assert len(Envelope.FromString(done.envelope).signatures) == 3
    wait_decided(door, stubs, done.record_id)
    evidence.verified(door.world, "cq", done.envelope)


def test_nobody_signs_in_the_nodes_name(doors: dict[str, AgencyDoor]) -> None:
    """A signature that names the node's key is refused: the node adds its own."""
    door = doors["cq"]
    stubs = signing(door, "poses", "h")
    made = sealed(credit_of(firm(740)), signer("h"))
    envelope = Envelope.FromString(made.envelope)
    envelope.signatures.append(Signature(keyid=door.node.keys.signers[0].keyid, sig=b"forged"))
    made.envelope = envelope.SerializeToString()
    assert refused(stubs, made, "poses-1") == ("SEALED_STATEMENT", ["sealed.signatures"])


def _late(statement: Statement) -> None:
    statement.stated_at.FromDatetime(datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s: setattr(s, "federation", "elsewhere"), "federation"),
        (lambda s: setattr(s, "origin", "sc"), "origin"),
        (lambda s: setattr(s, "revision", 2), "revision"),
        (lambda s: setattr(s, "kind", Kind.KIND_PENALTY_NOTICE), "kind"),
        (lambda s: setattr(s, "body_size", 1), "commitments"),
        (lambda s: setattr(s.commitments[0], "digest", b"x" * 32), "commitments"),
        (lambda s: s.addressees.extend(["sc"]), "addressees"),
        (lambda s: setattr(s, "erasure_class", 2 if s.erasure_class != 2 else 1), "erasure_class"),
        (_late, "stated_at"),
    ],
)
def test_a_statement_that_says_something_else_is_refused(
    doors: dict[str, AgencyDoor], change: Callable[[Statement], Any], place: str
) -> None:
    """What the agency signed is what the node would have stated, or it is not taken; each field is named."""
    stubs = signing(doors["cq"], "states", "i")
    made = sealed(credit_of(firm(750)), signer("i"), change)
    assert refused(stubs, made, "states-1") == ("SEALED_STATEMENT", [f"sealed.{place}"])


def test_a_grant_can_require_the_signature(doors: dict[str, AgencyDoor]) -> None:
    """Unsigned records of its kinds are refused with the reason, typed or in a batch; signed ones pass."""
    door = doors["cq"]
    stubs = signing(door, "must-sign", "j", required=True)
    with pytest.raises(CallFailed) as failure:
        submit(stubs, credit_of(firm(760)), "must-1")
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "SIGNATURE_REQUIRED")
    assert "CreditResult" in failure.value.problems[0].detail
    batch = pb.BatchSubmitRecordsRequest()
    batch.submissions.add(idempotency_key="must-2", record=penalty_of(firm(761), "渝环罚〔2026〕77号"))
    batch.submissions.add(idempotency_key="must-3", sealed=sealed(credit_of(firm(762)), signer("j")))
    answers = stubs.call(stubs.submission.BatchSubmitRecords, batch).submitted
    assert [answer.result for answer in answers] == [pb.SUBMIT_RESULT_REFUSED, pb.SUBMIT_RESULT_ACCEPTED]
    assert [problem.reason for problem in answers[0].problems] == ["SIGNATURE_REQUIRED"]
    wait_settled(door)
    evidence.assert_replays(door.world, "cq", "sc")


def test_only_a_key_on_p256_is_bound(doors: dict[str, AgencyDoor]) -> None:
    """What is no certificate, or has another key, is refused, one by one and in a whole agency."""
    door = doors["cq"]
    door.put(full_agency("binds"))
    officer = door.officer(Role.SECURITY)
    rsa = to_der(unnamed_issued("rsa").certificate)
    for der in (b"no certificate", rsa):
        request = security.BindKeyRequest(name="binds", signing_certificate=der, reason="x")
        agency = full_agency("binds")
        agency.signing_certificates.append(der)
        for method, message in (
            (officer.security.BindKey, request),
            (officer.security.PutAgency, security.PutAgencyRequest(agency=agency, reason="x")),
        ):
            with pytest.raises(CallFailed) as failure:
                officer.call(method, message)
            assert failure.value.reason == "SIGNING_CERTIFICATE"
