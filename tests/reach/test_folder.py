"""Nothing joins the nodes but files: the same walk, whatever the courier does and whatever else lies in the folder."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.flows.reach.parcel import ParcelName, name_of, seal
from exchange.v1.relay_service_pb2 import HelloRequest, Parcel, PeerRequest, Run, SignedParcel
from tests import evidence, test_walk
from tests.flows import test_recovering
from tests.rigs.courier import Courier
from tests.rotation.test_peers_keys import signing_key
from tests.world import FEDERATION, World, keyring, lane_origin


def names(world: World, name: str, folder: str, ending: str = "") -> list[str]:
    """Files in one of a node's folders."""
    assert world.spools is not None
    path = world.spools / name / folder
    return sorted(each.name for each in (path.iterdir() if path.is_dir() else ()) if each.name.endswith(ending))


@pytest.mark.usefixtures("courier")
def test_one_record_walks_by_files(folder_world: World) -> None:
    """Submit to recognised and back, each step with its proof."""
    test_walk.test_one_record_walks_from_an_agency_to_the_peers_register_and_back(folder_world)


def test_every_kind_walks_by_files_that_are_lost_doubled_shuffled_cut_and_late(
    folder_world: World, courier: Courier
) -> None:
    """Lost files come again, copies and cut ones do no harm, order on the way does not matter."""
    courier.loss, courier.double, courier.cut, courier.late = 0.1, 0.2, 0.1, 0.3
    test_walk.test_every_kind_in_its_lane_in_either_direction(folder_world, "cq")
    assert {code for node in folder_world.nodes.values() for code in node.bell.ever} <= {
        "PARCEL_SET_ASIDE",
        "PEER_AWAY",
    }


def test_a_courier_who_copies_leaves_nothing_behind(folder_world: World, courier: Courier) -> None:
    """Calls leave out/ once they are answered, answers once the other side said that it waits no more."""
    world, courier.moves = folder_world, False
    world.start()
    test_recovering.submit(world, range(5))
    world.wait(world.settled)
    old = names(world, "sc", "out", ".ans")
    world.wait(lambda: not set(old) & set(names(world, "sc", "out")), what="answers are not carried for ever")
    assert len(names(world, "cq", "out", ".deliver")) == 0
    evidence.assert_laws(world)


def test_deliveries_follow_each_other_before_the_first_is_answered(folder_world: World, courier: Courier) -> None:
    """While the courier rests a window of them is put out, each from where the other ends; any order will do."""
    world = folder_world
    outbound = lane_origin("cq", "sc")

    def under_way() -> list[str]:
        return [each for each in names(world, "cq", "out") if ".deliver." in each]

    world.start()
    world.wait(world.settled)
    courier.rest()

    def walked() -> bool:
        courier.walk()
        return not under_way()

    world.wait(walked, what="nothing is under way")
    before = world.delivered("cq", outbound)
    test_recovering.submit(world, range(40))
    world.wait(lambda: len(under_way()) >= 4, what="a window of deliveries")
    assert world.delivered("cq", outbound) == before
    courier.double, courier.late = 0.3, 0.5
    courier.go()
    world.wait(lambda: world.delivered("cq", outbound) >= before + 40, what="all arrive")
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_what_waits_is_signed_by_the_key_that_signs_now(folder_world: World, courier: Courier) -> None:
    """A peer that heard of the old key's end takes nothing by it: what is out, or lost on the way, is signed anew."""
    world = folder_world
    world.start()
    world.wait(world.settled)
    courier.rest()
    test_recovering.submit(world, range(3))
    node = world.nodes["cq"].node
    assert world.spools is not None
    out = world.spools / "cq" / "out"

    def signed_by(keyid: str) -> list[str]:
        """Deliveries in out/, when all of them are by that key."""
        found = [each for each in names(world, "cq", "out") if ".deliver." in each]
        contents = [(out / each).read_bytes().partition(b"\n")[2] for each in found]
        by = [SignedParcel.FromString(each).envelope.signatures[0].keyid for each in contents]
        return found if set(by) == {keyid} else []

    world.wait(lambda: signed_by(node.keys.signers[0].keyid), what="deliveries are put out")
    _, new = signing_key()
    node.keys.signers = (new,)
    world.wait(lambda: signed_by(new.keyid), what="and signed by the new key")
    for each in signed_by(new.keyid):
        (out / each).unlink()
    _, newest = signing_key()
    node.keys.signers = (newest,)
    world.wait(lambda: signed_by(newest.keyid), what="lost, and put out by the newest")
    courier.go()
    world.wait(lambda: world.delivered("cq", lane_origin("cq", "sc")) >= 4, what="and taken")
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_a_hello_from_before_a_restart_shows_nothing(folder_world: World, courier: Courier) -> None:
    """It may tell of less than was cosigned since: it gets no session, and is asked anew with the process that is."""
    world = folder_world
    world.start()
    world.wait(world.settled)
    courier.rest()
    world.stop("cq")
    world.start("cq")
    world.wait(lambda: [each for each in names(world, "cq", "out") if ".hello." in each], what="a hello is put out")
    world.stop("sc")
    world.start("sc")
    (hello,) = (each for each in names(world, "cq", "out") if ".hello." in each)
    assert world.spools is not None
    shutil.copy(world.spools / "cq" / "out" / hello, world.spools / "sc" / "in" / hello)
    world.wait(lambda: hello not in names(world, "sc", "in"), what="it is looked at")
    assert world.nodes["sc"].core.links.of("cq").issued is None
    courier.go()
    test_recovering.submit(world, range(3))
    world.wait(world.settled, seconds=30)
    world.wait(lambda: world.delivered("cq", lane_origin("cq", "sc")) >= 4, what="hello, asked anew")
    evidence.assert_laws(world)


@pytest.mark.usefixtures("courier")
def test_what_the_peer_had_comes_back_by_files(folder_world: World) -> None:
    """A restored node fetches through the courier, and is as it was."""
    test_recovering.test_what_the_peer_had_comes_back(folder_world)


def _forged(world: World) -> bytes:
    """A hello in cq's name, signed by sc's own key."""
    now = datetime.now(UTC)
    parcel = Parcel(federation=FEDERATION, sender="cq", receiver="sc", run=Run(id=bytes(16)))
    parcel.at.FromDatetime(now)
    parcel.run.began.FromDatetime(now)
    parcel.heard = bytes(16)
    parcel.request.CopyFrom(PeerRequest(ticket=bytes(16), hello=HelloRequest(restored=True)))
    return seal(parcel, keyring("sc").signer)


def test_what_is_no_parcel_of_the_peers_is_set_aside(folder_world: World, courier: Courier, tmp_path: Path) -> None:
    """Foreign, forged, changed, oversized files, links and pipes have no effect and go out of the way; an alarm."""
    world = folder_world
    world.start()
    world.wait(world.settled)
    assert world.spools is not None
    into = world.spools / "sc" / "in"

    def name(number: int) -> str:
        return str(ParcelName("cq", "sc", number, "hello", f"{number:032x}", "ask"))

    secret = tmp_path / "secret"
    secret.write_bytes(b"not for the folder")
    (into / "Urlaub 2025.jpg").write_bytes(b"\xff\xd8")
    (into / name(1)).write_bytes(_forged(world))
    (into / name(2)).symlink_to(secret)
    os.mkfifo(into / name(3))
    with (into / name(4)).open("wb") as huge:
        huge.truncate(7 << 20)
    courier.rest()
    world.wait(lambda: names(world, "cq", "out", ".ask"), what="a parcel to change")
    good = (world.spools / "cq" / "out" / names(world, "cq", "out", ".ask")[0]).read_bytes()
    (into / name(5)).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (into / name(6)).mkdir()
    courier.go()
    world.wait(lambda: len(names(world, "sc", "set-aside")) == 7, what="all seven are set aside")
    assert secret.read_bytes() == b"not for the folder"
    assert not world.nodes["sc"].core.status.restored
    bell = world.nodes["sc"].bell
    world.wait(lambda: ("PARCEL_SET_ASIDE", "cq") in bell.open, what="the alarm")
    test_recovering.submit(world, range(3))
    world.wait(world.settled)
    evidence.assert_laws(world)
    shutil.rmtree(world.spools / "sc" / "set-aside")
    (world.spools / "sc" / "set-aside").mkdir()
    world.wait(lambda: ("PARCEL_SET_ASIDE", "cq") not in bell.open, what="emptied, and the alarm clears")


def test_files_are_for_their_owner_alone(folder_world: World) -> None:
    """They hold what records hold: folders 0700, files 0600."""
    world = folder_world
    world.start("cq")
    world.wait(lambda: names(world, "cq", "out", ".ask"), what="a hello is put out")
    assert world.spools is not None
    for path in (world.spools / "cq").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_courier_who_does_not_come_is_missed(folder_world: World) -> None:
    """Something waits and nothing comes: an alarm, until something comes."""
    world = folder_world
    world.courier = replace(world.courier, overdue=0.3)
    world.start()
    bells = [world.nodes[name].bell for name in ("cq", "sc")]
    world.wait(lambda: all("COURIER_OVERDUE" in bell.codes() for bell in bells), what="he is missed")
    (told,) = world.nodes["cq"].core.peer_statuses()
    assert 0 < told.oldest_waiting.ToMicroseconds() < time.time() * 1_000_000 - 300_000
    assert told.parcels_out >= told.waiting > 0 == told.parcels_in
    assert world.spools is not None
    with Courier({name: world.spools / name for name in world.nodes}):
        world.wait(lambda: all("COURIER_OVERDUE" not in bell.codes() for bell in bells), what="he came")
        world.wait(world.settled)
        world.wait(lambda: world.nodes["cq"].core.peer_statuses()[0].parcels_in > 0, what="counted")


def test_a_parcels_name_says_what_orders_it() -> None:
    """Lower-case letters, digits, hyphens and dots, and the same parts when it is read again; no other name is one."""
    parcel = Parcel(federation=FEDERATION, sender="cq", receiver="sc")
    parcel.at.FromSeconds(1_700_000_000)
    parcel.request.CopyFrom(PeerRequest(ticket=bytes(range(16)), hello=HelloRequest()))
    text = str(name_of(parcel))
    assert text == "cq.sc.1700000000000000.hello.000102030405060708090a0b0c0d0e0f.ask"
    assert ParcelName.parse(text) == name_of(parcel)
    for wrong in (text.upper(), text + " ", text + "\n", "../" + text, text.replace(".ask", ".exe"), "con", ""):
        assert ParcelName.parse(wrong) is None
