"""Revocation lists: which are taken, what the journal says of them, and what a late one means for calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Certificate, Identity, Role, load_chain, load_der
from exchange.crypto.x509.revocation import RevocationUnreadable
from exchange.flows.trust.revocations import EDITION, SIGNING, TLS, Freshness, RevocationBook, StalePolicy
from exchange.storage.logs import journal, log_store
from exchange.v1.journal_pb2 import JournalEntry
from tests.world import FEDERATION, Bell, Runtime, World, keyring, profile, roots_of, tls_root, worlds

BEGUN = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes."""
    yield from worlds(tmp_path)


def client(name: str = "bureau") -> tuple[Certificate, ...]:
    """The path of a client certificate of cq."""
    identity = Identity(node="cq", domain=FEDERATION, role=Role.AGENCY, name=name)
    issued = pki.issue_client(profile(), tls_root(), identity=identity, now=BEGUN)
    return (load_chain(issued.chain)[0], tls_root().certificate)


def crl(*revoked: Certificate, number: int = 1, at: datetime = BEGUN, authority: pki.Authority | None = None) -> bytes:
    """A list."""
    entries = [(each.serial_number, at) for each in revoked]
    return pki.issue_crl(profile(), authority or tls_root(), entries, number=number, now=at)


def events(runtime: Runtime) -> list[JournalEntry]:
    """The node's journal."""
    with runtime.database.read() as connection:
        book = journal.head(connection)
        raws = log_store.entries(connection, book.id, 0, book.size, bodies=False)
    return [JournalEntry.FromString(raw.entry) for raw in raws]


def reason(book: RevocationBook, paths: Sequence[Sequence[Certificate]], now: datetime = BEGUN) -> str:
    """What a caller with that certificate is told."""
    return book.standing("cq", TLS, paths).reason_at(now)


def test_only_a_newer_list_is_taken_and_nothing_is_taken_back(world: World) -> None:
    """An older list, or the same again, changes nothing; a newer one without an entry leaves it revoked."""
    world.start("cq")
    book = world.nodes["cq"].core.revocations
    path, other = client(), client("other")
    assert len(book.offer("cq", TLS, crl(path[0], number=2), "test", BEGUN)) == 1
    for again in (crl(path[0], number=2), crl(other[0], number=1)):
        assert book.offer("cq", TLS, again, "test", BEGUN) == []
    assert (reason(book, [path]), reason(book, [other])) == ("CERTIFICATE_REVOKED", "")
    later = BEGUN + timedelta(days=1)
    assert len(book.offer("cq", TLS, crl(other[0], number=3, at=later), "test", later)) == 1
    assert [reason(book, [each]) for each in (path, other)] == ["CERTIFICATE_REVOKED"] * 2
    reopened = RevocationBook(world.nodes["cq"].node, Bell(), roots_of)
    assert [reason(reopened, [each]) for each in (path, other)] == ["CERTIFICATE_REVOKED"] * 2


def test_a_list_is_journaled_with_each_certificate_that_it_revokes(world: World) -> None:
    """The bytes are an edition; a line names issuer, serial number and instant; the same list again adds none."""
    world.start("cq")
    runtime = world.nodes["cq"]
    path = client()
    (taken,) = runtime.core.revocations.offer("cq", TLS, crl(path[0]), "file own/tls-crl.pem", BEGUN)
    runtime.core.revocations.offer("cq", TLS, crl(path[0]), "file own/tls-crl.pem", BEGUN)
    told = [
        each
        for each in events(runtime)
        if each.activated.edition.what == EDITION or each.HasField("certificate_event")  # the start has editions, too
    ]
    assert len(told) == 2
    assert (told[0].activated.edition.what, told[0].activated.edition.digest) == (EDITION, taken.digest)
    assert (told[0].activated.content, told[0].activated.actor) == (taken.pem, "file own/tls-crl.pem")
    event = told[1].certificate_event
    assert (event.owner, event.use, event.event, event.serial) == ("cq", TLS, "REVOKED", f"{path[0].serial_number:X}")
    assert event.revoked_at.ToDatetime(UTC) == BEGUN


def test_a_list_of_another_regions_authority_is_refused(world: World) -> None:
    """A list counts for the owner whose roots its authority leads to, and for no other."""
    world.start("cq")
    book = world.nodes["cq"].core.revocations
    foreign = crl(load_der(keyring("cq").signer.chain[0]), authority=keyring("cq").root)
    with pytest.raises(RevocationUnreadable):
        book.offer("sc", SIGNING, foreign, "test", BEGUN)
    assert book.of("sc", SIGNING).lists == ()


@pytest.mark.parametrize(
    ("policy", "grace", "later", "expected"),
    [
        (StalePolicy.FAIL_CLOSED, 168, timedelta(hours=-1), ""),
        (StalePolicy.FAIL_CLOSED, 168, timedelta(hours=1), "REVOCATION_STALE"),
        (StalePolicy.GRACE, 168, timedelta(hours=1), ""),
        (StalePolicy.GRACE, 168, timedelta(hours=169), "REVOCATION_STALE"),
    ],
)
def test_a_late_list_fails_closed_or_has_its_grace(
    world: World, policy: StalePolicy, grace: int, later: timedelta, expected: str
) -> None:
    """Past its next update a list refuses at once, or after the grace period; an alarm stands from the first moment."""
    world.start("cq")
    bell = Bell()
    freshness = Freshness(policy=policy, grace=timedelta(hours=grace))
    book = RevocationBook(world.nodes["cq"].node, bell, roots_of, freshness)
    path = client()
    book.offer("cq", TLS, crl(), "test", BEGUN)
    now = BEGUN + timedelta(days=profile().crl_days) + later
    assert reason(book, [path], now) == expected
    book.look(now)
    assert (("CRL_STALE", "cq/tls") in bell.open) is (later > timedelta())
    book.offer("cq", TLS, crl(number=2, at=now), "test", now)
    assert reason(book, [path], now) == ""
    assert bell.open == {}


def test_lists_travel_between_nodes(world: World) -> None:
    """What one node is given of its own authorities the other holds a moment later, and again after a restart."""
    world.start()
    cq, sc = world.nodes["cq"], world.nodes["sc"]
    signing = crl(load_der(keyring("cq").signer.chain[0]), authority=keyring("cq").root)
    cq.core.revocations.offer("cq", SIGNING, signing, "test", BEGUN)
    world.wait(lambda: sc.core.revocations.of("cq", SIGNING).lists)
    assert (
        sc.core.revocations.of("cq", SIGNING).lists[0].digest == cq.core.revocations.of("cq", SIGNING).lists[0].digest
    )
    world.stop("sc")
    world.start("sc")
    assert world.nodes["sc"].core.revocations.of("cq", SIGNING).lists
