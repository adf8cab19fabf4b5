"""How errors leave: one status each, every broken rule named, nothing of the inside told."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

import exchange
from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.rpc.errors import CODES, MAX_STATUS_BYTES, RETRY_AFTER, wire_error
from exchange.rpc.limits import TooMany
from exchange.rpc.roles import ROLES
from exchange.storage.engine.writer import OutcomeUnknownError, WriterBusyError
from exchange.v1 import submission_service_pb2 as pb
from tests.domain.records import make_uscc
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued
from tests.rpc.facts import credit_of, submit
from tests.rpc.test_access import RPCS, SERVICES
from tests.world import tables

DOMAIN = "exchange.example"


def _subclasses(kind: type[ExchangeError]) -> set[type[ExchangeError]]:
    return {kind, *(each for child in kind.__subclasses__() for each in _subclasses(child))}


def _every_error() -> set[type[ExchangeError]]:
    for layer in ("domain", "crypto", "tlog", "storage", "flows"):
        package = importlib.import_module(f"exchange.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    return {kind for kind in _subclasses(ExchangeError) if kind.__module__.startswith(exchange.__name__)}


def _details(error: BaseException, lang: str = "en") -> tuple[grpc.StatusCode, str, list[str], bool]:
    wire = wire_error(error, tables().reasons, lang, DOMAIN)
    reason, violations, retry = "", [], False
    for detail in wire.status.details:
        info, bad, later = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
            assert info.domain == DOMAIN
        elif detail.Unpack(bad):
            violations = [each.reason for each in bad.field_violations]
        elif detail.Unpack(later):
            retry = later.retry_delay.ToNanoseconds() > 0
    assert wire.reason == reason
    return wire.code, reason, violations, retry


def test_every_error_of_this_program_has_a_status_and_a_reason_with_texts() -> None:
    """No class of ours leaves as UNKNOWN, and what it says stands in the table of reasons."""
    for kind in _every_error():
        error = kind.__new__(kind)
        Exception.__init__(error, "secret inside")
        if isinstance(error, Refused):
            error.problems = (Problem(kind.reason if kind.reason != "INTERNAL" else "FIELD_MISSING"),)
        if isinstance(error, AccessDenied):
            error.problem = Problem("NO_GRANT")
        if isinstance(error, TooMany):
            error.problem, error.retry_after = Problem("TOO_MANY_CALLS"), timedelta(seconds=1)
        code, reason, _, _ = _details(error)
        assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.OK)
        assert reason in tables().reasons.codes, (kind, reason)


def test_the_tables_of_codes_name_reasons_that_exist() -> None:
    """Every code told apart and every delay belongs to a reason with texts."""
    assert set(CODES) <= tables().reasons.codes
    assert set(RETRY_AFTER) <= set(CODES)


def test_what_is_not_ours_says_internal_and_nothing_else() -> None:
    """A bug's text stays inside."""
    wire = wire_error(ValueError("password hunter2"), tables().reasons, "en", DOMAIN)
    assert (wire.code, wire.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert b"hunter2" not in wire.trailers[0][1]
    assert "hunter2" not in wire.message


def test_every_broken_rule_is_named_in_the_language_of_the_call() -> None:
    """Violations carry place, reason and text, in Chinese or English."""
    error = Refused([Problem("FIELD_MISSING", "header.purpose"), Problem("USCC_CHECK", "subject.uscc", "9150")])
    for lang in ("zh-CN", "en"):
        code, reason, violations, retry = _details(error, lang)
        assert (code, reason, retry) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_MISSING", False)
        assert violations == ["FIELD_MISSING", "USCC_CHECK"]
    zh = wire_error(error, tables().reasons, "zh-CN", DOMAIN).message
    en = wire_error(error, tables().reasons, "en", DOMAIN).message
    assert zh != en
    assert en.isascii()


def test_what_may_not_be_done_goes_before_what_was_done_wrong() -> None:
    """A caller without the right learns that first, whatever else is broken."""
    code, reason, violations, _ = _details(Refused([Problem("FIELD_MISSING", "x"), Problem("NO_GRANT")]))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "NO_GRANT")
    assert violations == ["FIELD_MISSING", "NO_GRANT"]


def test_later_says_when() -> None:
    """A full queue and an unknown outcome bring a delay; the first did nothing, the second may have."""
    assert _details(WriterBusyError()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", [], True)
    assert _details(OutcomeUnknownError()) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN", [], True)


@given(
    st.lists(st.tuples(st.sampled_from(["FIELD_MISSING", "USCC_CHECK", "ODD_ONE"]), st.text(max_size=400)), min_size=1)
)
def test_a_status_never_grows_beyond_what_trailers_carry(found: list[tuple[str, str]]) -> None:
    """However many rules are broken, the status fits, and still has its reason."""
    error = Refused(
        [Problem(reason, "f" * 40, detail.encode("utf-8", "replace").decode()) for reason, detail in found * 30]
    )
    wire = wire_error(error, tables().reasons, "zh", DOMAIN)
    assert wire.status.ByteSize() <= MAX_STATUS_BYTES + 500
    assert wire.reason == found[0][0]


def test_bytes_that_do_not_parse_are_the_callers_mistake_at_every_rpc(doors: dict[str, AgencyDoor]) -> None:
    """INVALID_ARGUMENT and MALFORMED_MESSAGE, where gRPC alone would say UNKNOWN."""
    door = doors["cq"]
    door.agency("garbage")
    stubs: dict[Role, Stubs] = {}
    for each in Role:
        stubs[each] = door.stubs(client_issued("cq", each, "garbage"))
    for service, rpc in RPCS:
        method = SERVICES[service].methods_by_name[rpc]
        if method.server_streaming:
            continue
        role = next(iter(ROLES[service][rpc]))
        with pytest.raises(CallFailed) as failure:
            stubs[role].raw(f"{service}/{rpc}", b"\xff\xff\xff\xff")
        assert (failure.value.status, failure.value.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE"), rpc


def test_a_refused_record_comes_back_with_every_rule_it_broke(doors: dict[str, AgencyDoor]) -> None:
    """Two broken rules, two violations, over the wire, with their places and remedies."""
    stubs = doors["cq"].agency("broken")
    record = credit_of(make_uscc(41))
    record.header.purpose = ""
    record.credit_result.subject.uscc = "91500000MX0000000X"
    with pytest.raises(CallFailed) as failure:
        submit(stubs, record, "broken-1")
    assert failure.value.status == "INVALID_ARGUMENT"
    found = {(problem.reason, problem.place) for problem in failure.value.problems}
    assert ("PURPOSE_MISSING", "header.purpose") in found
    assert any(place.startswith("credit_result.subject") for _, place in found)
    assert all(problem.detail for problem in failure.value.problems)


def test_a_batch_answers_each_record_in_the_language_of_the_call(doors: dict[str, AgencyDoor]) -> None:
    """One good and one bad record: the good one is accepted, the bad one says why, in Chinese."""
    stubs = doors["cq"].agency("batch", lang="zh-CN")
    bad = credit_of(make_uscc(42))
    bad.header.purpose = ""
    items = [
        pb.RecordSubmission(idempotency_key="batch-1", record=credit_of(make_uscc(43))),
        pb.RecordSubmission(idempotency_key="batch-2", record=bad),
    ]
    answers = stubs.call(stubs.submission.BatchSubmitRecords, pb.BatchSubmitRecordsRequest(submissions=items)).submitted
    assert [each.result for each in answers] == [pb.SUBMIT_RESULT_ACCEPTED, pb.SUBMIT_RESULT_REFUSED]
    problem = answers[1].problems[0]
    assert problem.reason == "PURPOSE_MISSING"
    assert not problem.message.isascii()
    assert problem.remedy
    assert doors["cq"].refusals["spiffe://cq.exchange.example/agency/batch", "PURPOSE_MISSING"] == 1
