"""Agencies: every rule of theirs, every change journaled with its reason, keys that stand for one agency only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.x509.certificates import Role
from exchange.domain.agency_form import QUOTAS, check_agency, format_agency, read_agency
from exchange.storage.logs import journal, log_store
from exchange.storage.queries import agencies
from exchange.v1 import security_service_pb2 as pb
from exchange.v1.journal_pb2 import GrantChanged, JournalEntry
from exchange.v1.kind_pb2 import Kind
from tests.domain.records import make_uscc
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, full_agency, grant
from tests.world import tables


def _officer(door: AgencyDoor) -> Stubs:
    return door.officer(Role.SECURITY)


def _put(stubs: Stubs, agency: pb.Agency, reason: str = "批复〔2026〕3号") -> pb.PutAgencyResponse:
    answer: pb.PutAgencyResponse = stubs.call(
        stubs.security.PutAgency, pb.PutAgencyRequest(agency=agency, reason=reason)
    )
    return answer


def _changed(door: AgencyDoor, index: int) -> GrantChanged:
    with door.node.database.read() as connection:
        book = journal.head(connection)
        entry = log_store.entries(connection, book.id, index, index + 1)[0].entry
    return JournalEntry.FromString(entry).grant_changed


def test_a_change_is_in_the_journal_with_who_and_why(doors: dict[str, AgencyDoor]) -> None:
    """The whole grant as it is now, the officer and the reason; the form in the journal reads back as the agency."""
    door = doors["cq"]
    stubs = _officer(door)
    agency = full_agency("journaled", ("50", "5101"))
    done = _put(stubs, agency)
    assert done.agency == agency
    changed = _changed(door, done.journal_index)
    assert changed.agency == "journaled"
    assert changed.actor == "spiffe://cq.exchange.example/security/officer"
    assert changed.reason == "批复〔2026〕3号"
    assert read_agency("journal", changed.grant.encode()) == agency
    suspended = stubs.call(
        stubs.security.SuspendAgency, pb.SuspendAgencyRequest(name="journaled", suspended=True, reason="审计")
    )
    assert suspended.agency.suspended
    assert read_agency("journal", _changed(door, suspended.journal_index).grant.encode()).suspended


def test_agencies_are_listed_by_name(doors: dict[str, AgencyDoor]) -> None:
    """Pages in order of name hold every agency once."""
    stubs = _officer(doors["sc"])
    for number in range(5):
        _put(stubs, full_agency(f"listed-{number}"))
    names: list[str] = []
    token = ""
    while True:
        answer = stubs.call(stubs.security.ListAgencies, pb.ListAgenciesRequest(page_size=2, page_token=token))
        names += [agency.name for agency in answer.agencies]
        token = answer.next_page_token
        if not token:
            break
    assert names == sorted(names)
    assert {f"listed-{number}" for number in range(5)} <= set(names)


def _broken(**changes: Any) -> pb.Agency:
    agency = full_agency("broken")
    for name, value in changes.items():
        if isinstance(value, list):
            agency.ClearField(name)  # type: ignore[arg-type]
            getattr(agency, name).extend(value)
        else:
            setattr(agency, name, value)
    return agency


def _limited(**quotas: int) -> pb.Agency:
    agency = full_agency("broken")
    agency.quotas.CopyFrom(pb.Quotas(**quotas))
    return agency


@pytest.mark.parametrize(
    ("agency", "reason"),
    [
        (_broken(name=""), "AGENCY_NAME"),
        (_broken(name="Has Capitals"), "AGENCY_NAME"),
        (_broken(name="a/b"), "AGENCY_NAME"),
        (_broken(name="x" * 64), "AGENCY_NAME"),
        (_broken(display_name=" "), "FIELD_MISSING"),
        (_broken(display_name="x" * 201), "TEXT_TOO_LONG"),
        (_broken(display_name="a\x00b"), "TEXT_CONTROL_CHARACTER"),
        (_broken(bound_keys=["abc"]), "KEY_HASH_FORMAT"),
        (_broken(bound_keys=["a" * 64, "a" * 64]), "DUPLICATE_ITEM"),
        (_broken(bound_keys=[f"{n:064x}" for n in range(17)]), "TOO_MANY_ITEMS"),
        (_broken(authorities=["nobody"]), "USCC_FORMAT"),
        (_broken(grants=[pb.Grant(kinds=[Kind.KIND_CREDIT_RESULT], areas=["50"])]), "ENUM_UNSPECIFIED"),
        (_broken(grants=[pb.Grant(verb=9, kinds=[Kind.KIND_CREDIT_RESULT], areas=["50"])]), "ENUM_UNKNOWN"),  # type: ignore[arg-type]
        (_broken(grants=[grant(pb.VERB_READ)]), "FIELD_MISSING"),
        (_broken(grants=[grant(pb.VERB_READ, [0])]), "ENUM_UNSPECIFIED"),  # type: ignore[list-item]
        (_broken(grants=[grant(pb.VERB_READ, [99])]), "ENUM_UNKNOWN"),  # type: ignore[list-item]
        (_broken(grants=[grant(pb.VERB_SUBMIT, [Kind.KIND_RECOGNITION])]), "KIND_NOT_SUBMITTABLE"),
        (_broken(grants=[grant(pb.VERB_CHECK, [], [])]), "FIELD_MISSING"),
        (_broken(grants=[grant(pb.VERB_CHECK, [], ["5"])]), "AREA_UNKNOWN"),
        (_broken(grants=[grant(pb.VERB_CHECK, [], ["99"])]), "AREA_UNKNOWN"),
        (_broken(grants=[grant(pb.VERB_CHECK, [], ["500999"])]), "AREA_UNKNOWN"),
        (_broken(grants=[grant(pb.VERB_CHECK)] * 65), "TOO_MANY_ITEMS"),
        (_broken(valid_from="2026-13-01"), "DATE_FORMAT"),
        (_broken(signing_certificates=[b"x"]), "SIGNING_CERTIFICATE"),
        (_broken(signing_certificates=[b""]), "SIGNING_CERTIFICATE"),
        (_broken(grants=[pb.Grant(verb=pb.VERB_CHECK, areas=["50"], require_signature=True)]), "INVALID_ARGUMENT"),
        (_broken(valid_until="2026-1-1"), "DATE_FORMAT"),
        (_broken(valid_from="2026-02-01", valid_until="2026-01-31"), "DATES_REVERSED"),
        (_limited(records_per_minute=10_000_001), "QUOTA_RANGE"),
        (_limited(calls_in_flight=-1), "QUOTA_RANGE"),
        (_limited(watchers=65), "QUOTA_RANGE"),
    ],
)
def test_an_agency_that_breaks_a_rule_is_refused(doors: dict[str, AgencyDoor], agency: pb.Agency, reason: str) -> None:
    """Each rule by its own reason; the register stays as it was."""
    stubs = _officer(doors["cq"])
    with pytest.raises(CallFailed) as failure:
        _put(stubs, agency)
    assert failure.value.status == "INVALID_ARGUMENT"
    assert reason in {problem.reason for problem in failure.value.problems}
    assert doors["cq"].book.require("broken", pb.VERB_CHECK, 0, "500107") is not None


def test_no_reason_no_change(doors: dict[str, AgencyDoor]) -> None:
    """Both verbs want to know why; an agency that does not exist can not be suspended."""
    stubs = _officer(doors["cq"])
    with pytest.raises(CallFailed) as failure:
        _put(stubs, full_agency("unreasoned"), reason=" ")
    assert failure.value.reason == "REASON_MISSING"
    for request, reason in (
        (pb.SuspendAgencyRequest(name="journaled", suspended=True), "REASON_MISSING"),
        (pb.SuspendAgencyRequest(name="nobody-here", suspended=True, reason="x"), "NOT_FOUND"),
    ):
        with pytest.raises(CallFailed) as failure:
            stubs.call(stubs.security.SuspendAgency, request)
        assert failure.value.reason == reason


def test_a_key_stands_for_one_agency(doors: dict[str, AgencyDoor]) -> None:
    """A second agency can not take a key before the first one gave it up."""
    stubs = _officer(doors["cq"])
    first, second = full_agency("keyed-1"), full_agency("keyed-2")
    first.bound_keys.append("c" * 64)
    second.bound_keys.append("c" * 64)
    _put(stubs, first)
    with pytest.raises(CallFailed) as failure:
        _put(stubs, second)
    assert failure.value.reason == "KEY_BOUND_TWICE"
    first.ClearField("bound_keys")
    _put(stubs, first)
    _put(stubs, second)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).map(str.strip)


@given(
    display=_TEXTS.filter(bool),
    days=st.sampled_from([("", ""), ("2026-01-01", ""), ("", "2026-12-31"), ("2026-01-01", "2026-12-31")]),
    quotas=st.none() | st.tuples(*[st.integers(0, most) for most in QUOTAS.values()]),
    suspended=st.booleans(),
    grants=st.lists(
        st.tuples(
            st.sampled_from([pb.VERB_SUBMIT, pb.VERB_READ]),
            st.lists(st.sampled_from([Kind.KIND_CREDIT_RESULT, Kind.KIND_ERASURE]), min_size=1, unique=True),
            st.lists(st.sampled_from(["50", "5001", "510100", "*"]), min_size=1, unique=True),
        ),
        max_size=5,
    ),
)
def test_the_form_says_all_of_an_agency(
    display: str, days: tuple[str, str], quotas: tuple[int, ...] | None, suspended: bool, grants: list[Any]
) -> None:
    """Writing and reading gives an equal message, byte for byte: replay rebuilds the register from it."""
    agency = pb.Agency(
        name="form",
        display_name=display,
        suspended=suspended,
        bound_keys=["d" * 64],
        signing_certificates=[b"a certificate", b"\x00\xff"],
        authorities=[make_uscc(902, prefix="11500000")],
        grants=[grant(*each) for each in grants],
        valid_from=days[0],
        valid_until=days[1],
        quotas=None if quotas is None else pb.Quotas(**dict(zip(QUOTAS, quotas, strict=True))),
    )
    if check_agency(agency, tables()):
        return  # unprintable: never written
    again = read_agency("form", format_agency(agency).encode())
    assert again.SerializeToString(deterministic=True) == agency.SerializeToString(deterministic=True)


def test_a_change_made_from_an_older_agency_is_not_written(doors: dict[str, AgencyDoor]) -> None:
    """Who saw the agency before somebody else changed it begins anew; nothing is overwritten unseen."""
    door = doors["cq"]
    door.put(full_agency("raced"))
    with door.node.database.read() as connection:
        seen = agencies.get(connection, "raced")
        size = journal.head(connection).size
    door.put(full_agency("raced", ("50",)))
    change = agencies.AgencyChange(agency=full_agency("raced", ("51",)), event=JournalEntry(), expected=seen)
    with pytest.raises(agencies.AgencyChangedError):
        door.node.writer.call(agencies.put, change)
    with door.node.database.read() as connection:
        assert agencies.get(connection, "raced") == full_agency("raced", ("50",)).SerializeToString(deterministic=True)
        grants = [
            JournalEntry.FromString(entry.entry).grant_changed.agency
            for entry in log_store.entries(connection, journal.head(connection).id, size, size + 500)
        ]
    assert grants.count("raced") == 1
