"""Everything that a stranger or a careless agency may send, over real connections: refused, and nothing of it kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.rpc.client import failure_of
from exchange.rpc.failure import CallFailed
from exchange.rpc.limits import MIB, CallLimits
from exchange.rpc.profile import Profile
from exchange.storage import schema
from exchange.storage.logs import log_store
from exchange.v1.check_service_pb2 import CheckSubjectRequest
from exchange.v1.kind_pb2 import Kind
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import (
    BatchSubmitRecordsRequest,
    RecordSubmission,
    SubmitDocumentRequest,
    SubmitRecordRequest,
)
from tests.domain.bad_records import BAD_SUBMISSIONS
from tests.domain.breaking import BadRecord
from tests.domain.records import FIRM, make_uscc
from tests.processes.laws import opened, url_of, wait_at_rest
from tests.rigs.pair import DOMAIN, Pair, running_pair
from tests.rpc.facts import credit_of, of_sichuan
from tests.world import profile as certificate_profile

CALL_S = 20
"""Seconds of a call: a node that hangs fails the test in good time."""

KEPT = ("submissions", "documents", "quarantine", "reg_records", "reg_decisions", "reg_blocks")
"""Tables of which no row may come of a refused call."""

GRANTED = (Kind.KIND_CREDIT_RESULT, Kind.KIND_MONITORING_BATCH, Kind.KIND_PENALTY_NOTICE, Kind.KIND_ERASURE)


NOT_AT_THE_DOOR = {
    "header.kind_edition KIND_EDITION_UNKNOWN",  # 0: the door fills the edition in
    "data of the day after tomorrow",  # of the tests' own day, long past by the clock of a real node
}
BAD = tuple(bad for bad in BAD_SUBMISSIONS if bad.name not in NOT_AT_THE_DOOR and bad.reason != "DATE_IN_FUTURE")
"""The table, without what depends on the day: a real node's clock can not be set. ``CALLS`` has a far future."""

PLACES = {"BODY_NOT_SET": "record"}
"""Where the door names another place than the validator alone."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One pair for all, at rest: nothing that is tested here changes it."""
    with running_pair(tmp_path_factory.mktemp("bad")) as made:
        wait_at_rest(made)
        yield made


def held(pair: Pair) -> dict[str, int]:
    """Sizes of everything on both disks but the journals, which may count refusals."""
    sizes: dict[str, int] = {}
    for name in pair.nodes:
        with opened(url_of(pair, name)) as database, database.read() as connection:
            for log in log_store.heads(connection):
                if log.use != "journal":
                    sizes[f"{name}: {log.origin}"] = log.size
            for table in KEPT:
                found = connection.execute(select(func.count()).select_from(schema.metadata.tables[table]))
                sizes[f"{name}: {table}"] = found.scalar_one()
            # A body without an entry would be the worst of all.
            bodies = select(func.count()).where(schema.entries.c.body.is_not(None))
            sizes[f"{name}: bodies"] = connection.execute(
                bodies.join_from(schema.entries, schema.logs, schema.entries.c.log_id == schema.logs.c.id).where(
                    schema.logs.c.use != "journal"
                )
            ).scalar_one()
    return sizes


@pytest.fixture
def unchanged(pair: Pair) -> Iterator[None]:
    """Nothing is kept of what the test sends."""
    before = held(pair)
    yield
    assert held(pair) == before


def refusal(pair: Pair, submission: RecordSubmission, caller: str = "agency") -> CallFailed:
    """What a submission is refused with."""
    with pair.nodes["cq"].client(caller) as client, pytest.raises(CallFailed) as failure:
        client.call(client.submissions.SubmitRecord, SubmitRecordRequest(submission=submission), timeout=CALL_S)
    return failure.value


def sound(number: int = 0) -> Record:
    """A record that nothing is wrong with."""
    return credit_of(make_uscc(8_000 + number))


def published(day: str) -> Record:
    """A sound record but for the day on which it was published."""
    record = sound()
    record.credit_result.published_on = day
    return record


def raw_call(profile: Profile, rpc: str, body: bytes) -> bytes:
    """A call with any bytes, and no limit on our side."""
    credentials = grpc.ssl_channel_credentials(
        profile.ca.read_bytes(), profile.key.read_bytes(), profile.cert.read_bytes()
    )
    with grpc.secure_channel(profile.address, credentials, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            call: Any = channel.unary_unary(f"/exchange.v1.{rpc}")
            answer: bytes = call(body, timeout=CALL_S)
        except grpc.RpcError as error:
            raise failure_of(error) from None
    return answer


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_record_is_refused_by_its_rule(pair: Pair, bad: BadRecord) -> None:
    """The rule that it breaks is named, with its place and a text; INVALID_ARGUMENT, or no right to this kind."""
    failure = refusal(pair, RecordSubmission(idempotency_key="bad", record=bad.make()))
    named = {each.reason: each for each in failure.problems}
    assert bad.reason in named, failure.problems
    assert PLACES.get(bad.reason, bad.place) in {each.place for each in failure.problems if each.reason == bad.reason}
    assert named[bad.reason].detail


@pytest.mark.usefixtures("unchanged")
def test_a_batch_of_nothing_but_bad_records_stores_none(pair: Pair) -> None:
    """All at once, each with an answer of its own."""
    items = [RecordSubmission(idempotency_key=f"bad-{n}", record=bad.make()) for n, bad in enumerate(BAD)]
    with pair.nodes["cq"].client() as client:
        answer = client.call(
            client.submissions.BatchSubmitRecords, BatchSubmitRecordsRequest(submissions=items), timeout=CALL_S
        )
    for bad, submitted in zip(BAD, answer.submitted, strict=True):
        assert bad.reason in {each.reason for each in submitted.problems}, bad.name
        assert not submitted.record_id
        assert not submitted.envelope


Broken = Callable[[], RecordSubmission]

CALLS: dict[str, tuple[str, str, Broken]] = {
    "no key": ("IDEMPOTENCY_KEY_MISSING", "INVALID_ARGUMENT", lambda: RecordSubmission(record=sound())),
    "a key of 65 characters": (
        "IDEMPOTENCY_KEY_FORMAT",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k" * 65, record=sound()),
    ),
    "a key with a line break": (
        "IDEMPOTENCY_KEY_FORMAT",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k\n", record=sound()),
    ),
    "no record": ("FIELD_MISSING", "INVALID_ARGUMENT", lambda: RecordSubmission(idempotency_key="k")),
    "a record without a body": (
        "BODY_NOT_SET",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=Record(header=sound().header)),
    ),
    "an addressee that nobody knows": (
        "ADDRESSEE_UNKNOWN",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=sound(), addressees=["yn"]),
    ),
    "local only and addressed": (
        "ADDRESSEES_CONFLICT",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=sound(), addressees=["sc"], local_only=True),
    ),
    "a short salt": (
        "SALT_LENGTH",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=sound(), salt=b"short"),
    ),
    "a fact of the future": (
        "DATE_IN_FUTURE",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=published("2099-01-01")),
    ),
    "another region's fact": (
        "OUTSIDE_COMPETENCE",
        "INVALID_ARGUMENT",
        lambda: RecordSubmission(idempotency_key="k", record=of_sichuan(sound())),
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call_is_refused_with_its_reason(pair: Pair, name: str) -> None:
    """What stands around the record is checked too."""
    reason, status, make = CALLS[name]
    failure = refusal(pair, make())
    assert failure.status == status
    assert reason in {failure.reason, *(each.reason for each in failure.problems)}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0b" * 200])
@pytest.mark.parametrize("rpc", ["SubmitRecord", "BatchSubmitRecords", "SubmitDocument"])
def test_bytes_that_are_no_message_are_refused(pair: Pair, rpc: str, body: bytes) -> None:
    """MALFORMED_MESSAGE, whatever the bytes."""
    with pytest.raises(CallFailed) as failure:
        raw_call(pair.nodes["cq"].profile(), f"SubmissionService/{rpc}", body)
    assert (failure.value.status, failure.value.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


@pytest.mark.usefixtures("unchanged")
def test_what_is_too_large_is_refused(pair: Pair) -> None:
    """A message just above the limit gets a reason, one far above it is cut off by gRPC; the node serves on."""
    agency = pair.nodes["cq"].profile()
    for size in (CallLimits().message_bytes + 1, 64 * MIB):
        with pytest.raises(CallFailed) as failure:
            raw_call(agency, "SubmissionService/SubmitRecord", bytes(size))
        assert failure.value.reason in {"MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED"}
    request = SubmitDocumentRequest(idempotency_key="large", file_name="a.xlsx", content=bytes(3 * MIB + 1))
    with pair.nodes["cq"].client() as client, pytest.raises(CallFailed) as failure:
        client.call(client.submissions.SubmitDocument, request, timeout=CALL_S)
    assert failure.value.reason == "DOCUMENT_TOO_LARGE"
    assert pair.processes["cq"].running


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("caller", ["operator", "security", "auditor"])
def test_officers_submit_nothing(pair: Pair, caller: str) -> None:
    """A certificate of another role is refused by the role alone."""
    failure = refusal(pair, RecordSubmission(idempotency_key="k", record=sound()), caller)
    assert (failure.status, failure.reason) == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")


@pytest.mark.usefixtures("unchanged")
def test_a_kind_that_was_not_granted_is_refused(pair: Pair) -> None:
    """With a grant for notices alone, a credit result is refused; with the full one again, it would be taken."""
    pair.grant("cq", kinds=[Kind.KIND_PENALTY_NOTICE])
    try:
        failure = refusal(pair, RecordSubmission(idempotency_key="k", record=sound()))
        assert (failure.status, failure.reason) == ("PERMISSION_DENIED", "NO_GRANT")
    finally:
        pair.grant("cq", kinds=GRANTED)
    with pair.nodes["cq"].client() as client:
        request = SubmitRecordRequest(
            submission=RecordSubmission(idempotency_key="k", record=sound()), validate_only=True
        )
        assert client.call(client.submissions.SubmitRecord, request, timeout=CALL_S).submitted.result


@pytest.mark.usefixtures("unchanged")
def test_a_check_without_a_matter_is_refused(pair: Pair) -> None:
    """Who looks a firm up says for which matter; without its number nothing is answered."""
    request = CheckSubjectRequest(
        uscc=FIRM,
        matter_kind=MatterKind.MATTER_KIND_PERMIT,
        purpose="排污许可审批",
        officer_ref="7",
        area_code="500107",
    )
    with pair.nodes["cq"].client() as client, pytest.raises(CallFailed) as failure:
        client.call(client.checks.CheckSubject, request, timeout=CALL_S)
    assert failure.value.status == "INVALID_ARGUMENT"
    assert "matter_no" in {each.place for each in failure.value.problems}


@pytest.mark.usefixtures("unchanged")
def test_without_a_certificate_there_is_no_connection(pair: Pair) -> None:
    """TLS ends it before any call is read."""
    profile = pair.nodes["cq"].profile()
    credentials = grpc.ssl_channel_credentials(profile.ca.read_bytes())
    with grpc.secure_channel(profile.address, credentials) as channel:
        call: Any = channel.unary_unary("/exchange.v1.SubmissionService/SubmitRecord")
        with pytest.raises(grpc.RpcError) as failure:
            call(b"", timeout=5)
    assert isinstance(failure.value, grpc.Call)
    assert failure.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.usefixtures("unchanged")
def test_a_certificate_of_a_foreign_authority_gets_no_connection(pair: Pair, tmp_path: Path) -> None:
    """The right name under the wrong root is nobody; the other region's root is as wrong as any."""
    now = datetime.now(UTC)
    root = pki.create_root(certificate_profile(), "somebody else", now=now)
    issued = pki.issue_client(
        certificate_profile(),
        root,
        identity=Identity(node="cq", domain=DOMAIN, role=Role.AGENCY, name="agency"),
        now=now,
    )
    (tmp_path / "key.pem").write_bytes(issued.key)
    (tmp_path / "cert.pem").write_bytes(issued.chain)
    ours, theirs = pair.nodes["cq"].profile(), pair.nodes["sc"].profile()
    for stranger in (
        replace(ours, key=tmp_path / "key.pem", cert=tmp_path / "cert.pem"),
        replace(ours, key=theirs.key, cert=theirs.cert),
    ):
        with pytest.raises(CallFailed) as failure:
            raw_call(stranger, "SubmissionService/SubmitRecord", b"")
        assert failure.value.status in {"UNAVAILABLE", "UNAUTHENTICATED"}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("version", "spoken"), [("-tls1_2", False), ("-tls1_3", True)])
@pytest.mark.parametrize("door", ["agencies", "peers"])
def test_no_door_speaks_tls_below_1_3(pair: Pair, door: str, version: str, spoken: bool) -> None:
    """OpenSSL's own client, with a good certificate, gets a session in TLS 1.3 and none in TLS 1.2."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl-missing: no openssl on the path")
    node = pair.nodes["cq"]
    profile = node.profile()
    port = node.agencies_port if door == "agencies" else node.peers_port
    done = subprocess.run(
        [
            *(openssl, "s_client", version, "-alpn", "h2", "-connect", f"127.0.0.1:{port}"),
            *("-CAfile", str(profile.ca), "-cert", str(profile.cert), "-key", str(profile.key)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=CALL_S,
    )
    assert (b"Cipher is TLS_" in done.stdout) is spoken, done.stdout[-2000:]


def test_a_good_record_still_passes(pair: Pair) -> None:
    """The refusals above are the records' fault: a sound one goes through the same door."""
    with pair.nodes["cq"].client() as client:
        request = SubmitRecordRequest(submission=RecordSubmission(idempotency_key="good", record=sound(1)))
        submitted = client.call(client.submissions.SubmitRecord, request, timeout=CALL_S).submitted
    assert submitted.record_id
