"""What goes beside records, where no side or one side dials: key rotations, revocation lists, attachments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import load_der
from exchange.flows.trust.revocations import SIGNING
from exchange.storage.intake.attachments import PART_BYTES
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence
from tests.flows.files import hand_in, held, listed, made_file, penalty
from tests.rigs.courier import Courier
from tests.rotation.officers import credit, rotate
from tests.test_walk import of_region
from tests.world import World, keyring, profile


@pytest.fixture(params=["fetched_world", "folder_world"])
def apart(request: pytest.FixtureRequest) -> World:
    """Two nodes of which one dials, and two that a courier joins who loses, doubles, cuts and is late."""
    world: World = request.getfixturevalue(request.param)
    if request.param == "folder_world":
        courier: Courier = request.getfixturevalue("courier")
        courier.loss, courier.double, courier.cut, courier.late = 0.1, 0.2, 0.1, 0.3
    world.start()
    return world


def test_keys_are_rotated(apart: World) -> None:
    """The peer hears of a new key, confirms it, and relies on it; what is signed by it arrives and is recognised."""
    apart.submit("cq", credit(1), "before")
    for key in ("signing", "mirror"):
        rotate(apart, key)
    answers = {name: apart.submit(name, credit(2, name), "behind") for name in apart.nodes}
    apart.wait(apart.settled, 60, what="settled")
    for name, other in (("cq", "sc"), ("sc", "cq")):
        sent = answers[name].record_id.replace("-", "")
        (row,) = [each for each in apart.rows(other) if each.record_id.hex() == sent]
        assert row.outcome in (1, 2)
    open_now = {code for node in apart.nodes.values() for code in node.bell.codes()}
    assert open_now <= {"KEY_WAITING", "PEER_AWAY", "PARCEL_SET_ASIDE"}
    evidence.assert_laws(apart)


def test_lists_and_attachments_arrive_in_both_directions(apart: World) -> None:
    """Each side's revocation list is the other's a moment later, and each side's attachment whole, in its pieces."""
    now = datetime.now(UTC).replace(microsecond=0)
    for name in apart.nodes:
        root = keyring(name).root
        revoked = [(load_der(keyring(name).sm2[1].chain[0]).serial_number, now)]
        given = pki.issue_crl(profile(), root, revoked, number=1, now=now)
        assert apart.nodes[name].core.revocations.offer(name, SIGNING, given, "test", now)
    content = made_file(2 * PART_BYTES + 1_000)
    files = {}
    for number, name in enumerate(apart.nodes, start=1):
        files[name] = listed(content, salt=bytes([number]) * 32)
        assert hand_in(apart.nodes[name], files[name], content).complete
        record = of_region(penalty(files[name], number), name)
        assert apart.submit(name, record, "k").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    for name, other in (("cq", "sc"), ("sc", "cq")):
        own, theirs = (apart.nodes[each].core.revocations for each in (name, other))

        def arrived(own: object = own, theirs: object = theirs, name: str = name) -> bool:
            lists = [[each.digest for each in book.of(name, SIGNING).lists] for book in (own, theirs)]  # type: ignore[attr-defined]
            return lists[0] == lists[1]

        apart.wait(arrived, what=f"the list of {name}")
        apart.wait(
            lambda name=name, other=other: held(apart, other, files[name]) == content,  # type: ignore[misc]
            what=f"the attachment of {name}",
        )
    apart.wait(apart.settled)
    evidence.assert_laws(apart)
