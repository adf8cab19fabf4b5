"""Who may call what: every rpc with every role, and what grants, bindings and suspensions do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import grpc
import pytest

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Role, facts_of
from exchange.flows.access import AccessDenied
from exchange.flows.context import LOCAL_TIME
from exchange.rpc.client import failure_of
from exchange.rpc.identity import CallerGate
from exchange.rpc.roles import allowed
from exchange.v1 import (
    audit_service_pb2,
    check_service_pb2,
    credit_service_pb2,
    laboratory_service_pb2,
    matter_pb2,
    monitoring_service_pb2,
    operation_service_pb2,
    penalty_service_pb2,
    record_service_pb2,
    security_service_pb2,
    submission_service_pb2,
)
from exchange.v1.kind_pb2 import Kind
from exchange.v1.security_service_pb2 import Agency, Verb
from tests.domain.records import make_uscc
from tests.rpc.doors import (
    AgencyDoor,
    CallFailed,
    Stubs,
    client_issued,
    full_agency,
    grant,
    identity_root,
    key_hash,
    unnamed_issued,
)
from tests.rpc.facts import credit_of, penalty_of, submit, wait_settled

SERVICES = {
    name: service
    for module in (
        audit_service_pb2,
        check_service_pb2,
        credit_service_pb2,
        laboratory_service_pb2,
        monitoring_service_pb2,
        operation_service_pb2,
        penalty_service_pb2,
        record_service_pb2,
        security_service_pb2,
        submission_service_pb2,
    )
    for name, service in module.DESCRIPTOR.services_by_name.items()
}
RPCS = [(service, method.name) for service, found in SERVICES.items() for method in found.methods]


def _stream(stubs: Stubs, rpc: str) -> None:
    """Call a stream with an empty request and take what comes within a moment."""
    method = stubs.channel.unary_stream(
        f"/exchange.v1.{rpc}", request_serializer=lambda each: each, response_deserializer=lambda each: each
    )
    call = method(b"", timeout=0.3)
    try:
        for _message in call:
            break
    finally:
        call.cancel()


def _reason(stubs: Stubs, service: str, name: str) -> str:
    """Why an empty call was refused; empty when it was let in and answered."""
    method = SERVICES[service].methods_by_name[name]
    try:
        if method.server_streaming:
            try:
                _stream(stubs, f"{service}/{name}")
            except grpc.RpcError as error:
                raise failure_of(error) from None
        else:
            stubs.raw(f"{service}/{name}", b"")
    except CallFailed as failure:
        return failure.reason
    return ""


def test_every_rpc_of_the_port_with_every_role(doors: dict[str, AgencyDoor]) -> None:
    """A role gets past the door exactly where the table says so; a node and a stranger get past it nowhere."""
    door = doors["cq"]
    door.put(full_agency("everyone"))
    callers: dict[Role, Stubs] = {}
    for each in Role:
        callers[each] = door.stubs(client_issued("cq", each, "everyone"))
    callers[Role.NODE] = door.stubs(client_issued("sc", Role.NODE, "sc"))
    wrong = []
    for (service, rpc), (role, stubs) in product(RPCS, callers.items()):
        refused = _reason(stubs, service, rpc) == "ROLE_NOT_ALLOWED"
        if refused == allowed(service, rpc, role):
            wrong.append((service, rpc, role.value))
    assert not wrong


def test_an_unknown_identity_gets_nowhere(doors: dict[str, AgencyDoor]) -> None:
    """An agency that nobody registered is refused at every rpc, and so is one of another region."""
    door = doors["cq"]
    for issued in (client_issued("cq", Role.AGENCY, "nobody"), client_issued("sc", Role.OPERATOR, "officer")):
        stubs = door.stubs(issued)
        for service, rpc in RPCS:
            assert _reason(stubs, service, rpc) == "IDENTITY_UNKNOWN", (service, rpc)


def test_a_call_without_certificate_does_not_get_through_tls(doors: dict[str, AgencyDoor]) -> None:
    """No certificate, no connection."""
    stubs = doors["cq"].stubs(None)
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.audit.ListLogs, audit_service_pb2.ListLogsRequest(), timeout=3)
    assert failure.value.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_a_government_certificate_stands_for_an_agency_only_by_its_key(doors: dict[str, AgencyDoor]) -> None:
    """The URI in a certificate of an authority that is not trusted for identities counts for nothing."""
    door = doors["cq"]
    door.put(full_agency("claimed"))
    issued = client_issued("cq", Role.AGENCY, "claimed", "government")
    stubs = door.stubs(issued)
    request = submission_service_pb2.ListSubmissionsRequest()
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.submission.ListSubmissions, request)
    assert failure.value.reason == "IDENTITY_UNKNOWN"
    bound = full_agency("bound")
    bound.bound_keys.append(key_hash(issued))
    door.put(bound)
    stubs.call(stubs.submission.ListSubmissions, request)
    bound.ClearField("bound_keys")
    door.put(bound)
    with pytest.raises(CallFailed):
        stubs.call(stubs.submission.ListSubmissions, request)


def test_an_officer_of_an_untrusted_authority_is_nobody(doors: dict[str, AgencyDoor]) -> None:
    """A government certificate that calls itself operator opens nothing."""
    stubs = doors["cq"].stubs(client_issued("cq", Role.OPERATOR, "forged", "government"))
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.operation.GetStatus, operation_service_pb2.GetStatusRequest())
    assert failure.value.reason == "IDENTITY_UNKNOWN"


def test_a_suspended_agency_is_refused_at_once(doors: dict[str, AgencyDoor]) -> None:
    """Suspending takes effect on the open connection, and so does reinstating."""
    door = doors["cq"]
    stubs = door.agency("suspect")
    request = submission_service_pb2.ListSubmissionsRequest()
    stubs.call(stubs.submission.ListSubmissions, request)
    door.agencies.suspend("suspect", "audit", "test", datetime.now(UTC), suspended=True)
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.submission.ListSubmissions, request)
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "AGENCY_SUSPENDED")
    door.agencies.suspend("suspect", "audit over", "test", datetime.now(UTC), suspended=False)
    stubs.call(stubs.submission.ListSubmissions, request)


def test_an_agency_may_call_from_its_first_valid_day_to_its_last(doors: dict[str, AgencyDoor]) -> None:
    """Before and after, each with its own reason, at every rpc; both days belong to it, by the clock of UTC+8."""
    door = doors["cq"]
    today = datetime.now(UTC).astimezone(LOCAL_TIME).date()
    stubs = door.agency("temporary")
    request = submission_service_pb2.ListSubmissionsRequest()
    for begin, end, reason in (
        (0, 0, ""),
        (1, 9, "AGENCY_NOT_YET_VALID"),
        (-9, -1, "AGENCY_NO_LONGER_VALID"),
        (-9, 9, ""),
    ):
        agency = full_agency("temporary")
        agency.valid_from = (today + timedelta(days=begin)).isoformat()
        agency.valid_until = (today + timedelta(days=end)).isoformat()
        door.put(agency)
        if not reason:
            stubs.call(stubs.submission.ListSubmissions, request)
            continue
        with pytest.raises(CallFailed) as failure:
            stubs.call(stubs.submission.ListSubmissions, request)
        assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", reason)
        assert all(_reason(stubs, *rpc) == reason for rpc in RPCS)


def test_a_day_ends_at_midnight_of_utc_plus_8(doors: dict[str, AgencyDoor]) -> None:
    """The last valid day lasts until 16:00 UTC of it."""
    door = doors["cq"]
    agency = full_agency("midnight")
    agency.valid_from, agency.valid_until = "2026-03-01", "2026-03-31"
    door.put(agency)
    for at, reason in (
        (datetime(2026, 2, 28, 15, 59, tzinfo=UTC), "AGENCY_NOT_YET_VALID"),
        (datetime(2026, 2, 28, 16, 0, tzinfo=UTC), ""),
        (datetime(2026, 3, 31, 15, 59, tzinfo=UTC), ""),
        (datetime(2026, 3, 31, 16, 0, tzinfo=UTC), "AGENCY_NO_LONGER_VALID"),
    ):
        assert getattr(door.book.standing("midnight", at), "reason", "") == reason


def test_a_denial_names_the_grant_that_is_missing(doors: dict[str, AgencyDoor]) -> None:
    """Verb, kind and area, as the officer writes them into the form."""
    door = doors["cq"]
    agency = Agency(name="narrow", display_name="演示单位")
    agency.grants.append(grant(Verb.VERB_SUBMIT, [Kind.KIND_PENALTY_NOTICE], ["5001"]))
    door.put(agency)
    stubs = door.stubs(client_issued("cq", Role.AGENCY, "narrow"))
    for record, missing in (
        (credit_of(make_uscc(36)), "SUBMIT CreditResult 500107"),
        (penalty_of(make_uscc(36), "渝环罚〔2026〕9号", area="500229"), "SUBMIT PenaltyNotice 500229"),
    ):
        with pytest.raises(CallFailed) as failure:
            submit(stubs, record, "narrow-1")
        assert failure.value.status == "PERMISSION_DENIED"
        denial = next(each for each in failure.value.problems if each.reason == failure.value.reason)
        assert missing in denial.detail


def test_two_keys_are_bound_while_one_succeeds_the_other(doors: dict[str, AgencyDoor]) -> None:
    """RSA certificates of a government authority without any name in them: both open the door until one is let go."""
    door = doors["cq"]
    door.put(full_agency("succession"))
    officer = door.officer(Role.SECURITY)
    old, new = unnamed_issued("old"), unnamed_issued("new")
    request = submission_service_pb2.ListSubmissionsRequest()

    def reason(stubs: Stubs) -> str:
        try:
            stubs.call(stubs.submission.ListSubmissions, request)
        except CallFailed as failure:
            return failure.reason
        return ""

    def bind(issued: pki.Issued, *, remove: bool = False) -> None:
        officer.call(
            officer.security.BindKey,
            security_service_pb2.BindKeyRequest(
                name="succession", key_hash=key_hash(issued), remove=remove, reason="换证"
            ),
        )

    callers = [door.stubs(old), door.stubs(new)]
    assert [reason(each) for each in callers] == ["IDENTITY_UNKNOWN", "IDENTITY_UNKNOWN"]
    bind(old)
    assert [reason(each) for each in callers] == ["", "IDENTITY_UNKNOWN"]
    bind(new)
    assert [reason(each) for each in callers] == ["", ""]
    bind(old, remove=True)
    assert [reason(each) for each in callers] == ["IDENTITY_UNKNOWN", ""]
    with pytest.raises(CallFailed) as failure:
        bind(old, remove=True)
    assert failure.value.reason == "NOT_FOUND"
    with pytest.raises(CallFailed) as failure:
        bind(new)
    assert failure.value.reason == "DUPLICATE_ITEM"


def test_an_agency_without_grants_may_do_nothing(doors: dict[str, AgencyDoor]) -> None:
    """Default deny: known, and refused everywhere; lists are empty."""
    door = doors["cq"]
    door.put(Agency(name="bare", display_name="演示单位"))
    stubs = door.stubs(client_issued("cq", Role.AGENCY, "bare"))
    with pytest.raises(CallFailed) as failure:
        submit(stubs, credit_of(make_uscc(31)), "bare-1")
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "NO_GRANT")
    check = check_service_pb2.CheckSubjectRequest(
        uscc=make_uscc(31),
        matter_kind=matter_pb2.MATTER_KIND_PERMIT,
        matter_no="1",
        purpose="许可",
        officer_ref="7",
    )
    for method, request in (
        (stubs.check.CheckSubject, check),
        (stubs.credit.GetCreditStanding, credit_service_pb2.GetCreditStandingRequest(uscc=make_uscc(31))),
    ):
        with pytest.raises(CallFailed) as failure:
            stubs.call(method, request)
        assert failure.value.reason == "NO_GRANT"
    assert not stubs.call(stubs.record.ListRecords, record_service_pb2.ListRecordsRequest()).records
    assert not stubs.call(stubs.monitoring.ListStations, monitoring_service_pb2.ListStationsRequest()).stations


def test_grants_end_at_their_areas(doors: dict[str, AgencyDoor]) -> None:
    """Submitting goes by the record's area, reading by the subject's; a list leaves out, a single get refuses."""
    door = doors["cq"]
    everywhere = door.agency("wide")
    county = door.agency("county", ("500107",))
    near, far = make_uscc(32), make_uscc(33)
    sent = submit(county, credit_of(near), "area-1")
    other = submit(everywhere, credit_of(far, area="500108"), "area-2")
    with pytest.raises(CallFailed) as failure:
        submit(county, credit_of(make_uscc(34), area="500108"), "area-3")
    assert failure.value.reason == "GRANT_AREA"
    wait_settled(door)
    listed = county.call(county.record.ListRecords, record_service_pb2.ListRecordsRequest(page_size=500)).records
    subjects = {view.record.credit_result.subject.uscc for view in listed}
    assert near in subjects
    assert far not in subjects
    for record_id, found in ((sent.record_id, True), (other.record_id, False)):
        request = record_service_pb2.GetRecordRequest()
        request.ref.record_id = record_id
        envelope = record_service_pb2.GetEnvelopeRequest()
        envelope.ref.record_id = record_id
        for method, message in ((county.record.GetRecord, request), (county.record.GetEnvelope, envelope)):
            if found:
                county.call(method, message)
            else:
                with pytest.raises(CallFailed) as failure:
                    county.call(method, message)
                assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "GRANT_AREA")


def test_an_agency_submits_only_for_its_authorities(doors: dict[str, AgencyDoor]) -> None:
    """A list of authorities leaves out every other one."""
    door = doors["cq"]
    limited = full_agency("delegate")
    limited.authorities.append(make_uscc(901, prefix="11500000"))
    door.put(limited)
    stubs = door.stubs(client_issued("cq", Role.AGENCY, "delegate"))
    with pytest.raises(CallFailed) as failure:
        submit(stubs, credit_of(make_uscc(35)), "authority-1")
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "GRANT_AUTHORITY")


def test_a_grant_is_of_a_verb_and_a_kind(doors: dict[str, AgencyDoor]) -> None:
    """Reading credit results allows neither submitting them nor reading notices."""
    book = doors["cq"].book
    agency = Agency(
        name="reader",
        display_name="演示单位",
        grants=[grant(Verb.VERB_READ, [Kind.KIND_CREDIT_RESULT], ["50"]), grant(Verb.VERB_CHECK, [], ["5001"])],
    )
    doors["cq"].put(agency)
    verdicts = {
        (verb, kind, area): getattr(book.require("reader", verb, kind, area), "reason", "")
        for verb, kind, area in (
            (Verb.VERB_READ, Kind.KIND_CREDIT_RESULT, "500107"),
            (Verb.VERB_READ, Kind.KIND_CREDIT_RESULT, "510100"),
            (Verb.VERB_READ, Kind.KIND_CREDIT_RESULT, ""),
            (Verb.VERB_READ, Kind.KIND_PENALTY_NOTICE, "500107"),
            (Verb.VERB_SUBMIT, Kind.KIND_CREDIT_RESULT, "500107"),
            (Verb.VERB_CHECK, 0, "500107"),
            (Verb.VERB_CHECK, 0, "500229"),
        )
    }
    assert list(verdicts.values()) == [
        "",
        "GRANT_AREA",
        "GRANT_AREA_MISSING",
        "NO_GRANT",
        "NO_GRANT",
        "",
        "GRANT_AREA",
    ]


def test_a_certificate_that_ran_out_is_refused_on_an_open_connection(doors: dict[str, AgencyDoor]) -> None:
    """The chain was verified when the connection was made; the clock is asked at every call."""
    door = doors["cq"]
    door.put(full_agency("late"))
    issued = client_issued("cq", Role.AGENCY, "late")
    now = [datetime.now(UTC)]
    gate = CallerGate(door.book, identity_root().root_pem, lambda: now[0])
    shown = {"x509_pem_cert": [issued.chain]}
    assert gate.caller_of(shown).name == "late"
    now[0] += timedelta(days=10_000)
    with pytest.raises(AccessDenied) as denied:
        gate.caller_of(shown)
    assert denied.value.reason == "CERTIFICATE_EXPIRED"
    with pytest.raises(AccessDenied) as denied:
        gate.caller_of({})
    assert denied.value.reason == "NO_CERTIFICATE"


def test_refusals_are_counted_by_caller_and_reason(doors: dict[str, AgencyDoor]) -> None:
    """What the door refuses is counted under the caller's identity; strangers are counted together."""
    door = doors["cq"]
    stubs = door.agency("counted")
    with pytest.raises(CallFailed):
        stubs.call(stubs.audit.ListLogs, audit_service_pb2.ListLogsRequest())
    assert door.refusals["spiffe://cq.exchange.example/agency/counted", "ROLE_NOT_ALLOWED"] == 1
    assert any(identity == "unknown" for identity, _ in door.refusals)


def test_a_clock_an_hour_wrong_names_what_is_wrong_with_the_certificate(doors: dict[str, AgencyDoor]) -> None:
    """A fresh certificate is not valid yet for a clock that is slow, an old one has ended for a clock that is fast."""
    door = doors["cq"]
    issued = client_issued("cq", Role.OPERATOR, "officer")
    context = {"x509_pem_cert": [issued.chain]}
    facts = facts_of(issued.certificate)
    hour = timedelta(hours=1)
    for at, reason in (
        (facts.not_before - hour, "CERTIFICATE_NOT_YET_VALID"),
        (facts.not_after + hour, "CERTIFICATE_EXPIRED"),
    ):
        gate = CallerGate(door.book, identity_root().root_pem, lambda at=at: at)  # type: ignore[misc]
        with pytest.raises(AccessDenied) as denied:
            gate.caller_of(context)
        assert denied.value.reason == reason
    gate = CallerGate(door.book, identity_root().root_pem, lambda: facts.not_before + hour)
    assert gate.caller_of(context).name == "officer"


def test_a_denial_names_the_missing_grant_whichever_way_it_is_told(doors: dict[str, AgencyDoor]) -> None:
    """A record alone or one of a batch: the count of refusals has verb, kind and area, for the officer who grants."""
    door = doors["cq"]
    door.put(
        Agency(name="lacking", display_name="演示单位", grants=[grant(Verb.VERB_READ, (Kind.KIND_CREDIT_RESULT,))])
    )
    stubs = door.stubs(client_issued("cq", Role.AGENCY, "lacking"))
    item = submission_service_pb2.RecordSubmission(idempotency_key="1", record=credit_of(make_uscc(9001)))
    with pytest.raises(CallFailed):
        stubs.call(stubs.submission.SubmitRecord, submission_service_pb2.SubmitRecordRequest(submission=item))
    other = submission_service_pb2.RecordSubmission(idempotency_key="2", record=penalty_of(make_uscc(9002), "9002"))
    batch = submission_service_pb2.BatchSubmitRecordsRequest(submissions=[other])
    stubs.call(stubs.submission.BatchSubmitRecords, batch)
    named = {grant for identity, grant in door.missing if identity.endswith("/lacking")}
    assert named == {"SUBMIT CreditResult 500107", "SUBMIT PenaltyNotice 500107"}
