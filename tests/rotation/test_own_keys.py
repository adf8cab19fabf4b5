"""Each key that speaks in the logs, rotated under load in two linked nodes without a restart."""

from __future__ import annotations

import threading
from datetime import UTC, timedelta
from typing import Any

import pytest

from exchange.crypto.ed25519 import verify_note
from exchange.domain.problems import Refused
from exchange.flows.rotation.steps import Asked
from exchange.storage.logs import log_store
from exchange.storage.queries import rotations as register
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.rotation_pb2 import Rotation, RotationState, RotationStep
from exchange.v1.statement_pb2 import LogEntry
from tests import evidence
from tests.rotation.officers import OFFICER, Load, advance, confirm, credit, flow, now, rotate, said, until_active
from tests.world import World, lane_origin

ED25519 = ("log", "mirror", "witness")


@pytest.mark.parametrize("key", ["signing", "log", "mirror", pytest.param("witness", marks=pytest.mark.slow)])
def test_a_key_is_rotated_under_load_and_no_call_fails(world: World, key: str) -> None:
    """Every step of a rotation passes under load from both sides; everything arrives, is recognised, and replays."""
    with Load(world) as load:
        world.wait(lambda: min(load.sent.values()) >= 5)
        rotate(world, key)
        sent = dict(load.sent)
        world.wait(lambda: all(load.sent[name] >= sent[name] + 5 for name in sent))
    assert load.failed == []
    world.wait(world.settled, 60, what="settled")
    for name in world.nodes:
        assert not world.nodes[name].bell.codes() - {"KEY_WAITING"}
    rows = [row for row in world.rows("sc") if row.origin == "cq"]
    assert len([row for row in rows if row.outcome in (1, 2)]) >= load.sent["cq"]
    evidence.assert_sound(world)
    evidence.assert_replays(world)


@pytest.mark.slow
def test_three_rotations_in_a_row_leave_every_receipt_and_envelope_valid(world: World) -> None:
    """What the first keys signed and cosigned still verifies under what is known after three of each."""
    first = world.submit("cq", credit(1), "before")
    world.wait(world.settled, 60)
    origin = lane_origin("cq", "sc")
    (index,) = [at for at, each in enumerate(evidence.entries(world, "cq", origin)) if _is(each.entry, first.record_id)]
    before = evidence.receipt(world, "cq", origin, index)
    for _ in range(3):
        for key in ("signing", *ED25519):
            rotate(world, key)
    world.submit("cq", credit(2), "after")
    world.wait(world.settled, 60)
    again = evidence.receipt(world, "cq", origin, index)
    assert (again.index, again.entry) == (before.index, before.entry)
    evidence.assert_mirrored(world)
    entry = LogEntry.FromString(before.entry)
    evidence.verified(world, "cq", entry.envelope, evidence.logged_at(before.entry))
    with pytest.raises(AssertionError):  # the same envelope, as if it were signed now: the first key has ended
        evidence.verified(world, "cq", entry.envelope)
    evidence.assert_replays(world)


def test_one_fresh_checkpoint_by_the_new_keys_covers_the_whole_history(world: World) -> None:
    """Behind a rotation the newest checkpoint of every lane verifies under the new keys alone, old lines left out."""
    world.submit("cq", credit(1), "before")
    world.wait(world.settled, 60)
    rotate(world, "log")
    world.wait(world.settled, 60)
    for lane in ("urgent", "registry", "telemetry"):
        origin = lane_origin("cq", "sc", lane)
        key = world.nodes["cq"].node.keys.log_signer(origin).line.active
        assert len(key) == 1
        with world.nodes["cq"].database.read() as connection:
            log = log_store.head(connection, origin)
            assert log is not None
            newest = log_store.last_checkpoint(connection, log.id)
        assert newest is not None
        checkpoint = verify_note(newest.note, key)
        assert checkpoint is not None
        assert checkpoint.size == log.size


@pytest.mark.parametrize(
    "key", [pytest.param("signing", marks=pytest.mark.slow), pytest.param("log", marks=pytest.mark.slow), "mirror"]
)
def test_a_rotation_goes_on_behind_a_crash_at_every_step(world: World, key: str) -> None:
    """Both nodes are stopped and started between any two steps; the rotation goes on where it stood."""

    def crash() -> None:
        world.stop()
        world.start()

    view = rotate(world, key, between=crash)
    world.submit("cq", credit(3), "behind")
    world.wait(world.settled, 60)
    status = flow(world).keys(now())
    states = [each.state for each in status if each.owner == "cq" and each.key == key]
    assert states == [KeyState.KEY_STATE_RETIRED, KeyState.KEY_STATE_ACTIVE]
    assert view.rotation.new_fingerprint in [each.fingerprint for each in status]
    evidence.assert_laws(world)


def test_what_a_crash_left_of_a_step_is_gone_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key whose file was written before the step was journaled is the key that the repeated step announces."""
    rotations = flow(world)
    commit = rotations._commit

    def dies(driver: Any, rotation: Rotation | None, *rest: Any) -> Rotation:
        if rotation is not None:
            raise OSError("the power went")
        return commit(driver, rotation, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(rotations, "_commit", dies)
        with pytest.raises(OSError, match="power"):
            rotations.start("mirror", b"", "yearly", OFFICER, now())
    made = (world.folder / "cq" / "mirror.2.pem").read_bytes()
    world.stop()
    world.start()
    (view,) = flow(world).open(now())
    assert view.rotation.state == RotationState.ROTATION_STATE_STARTED
    advance(world, view)
    assert (world.folder / "cq" / "mirror.2.pem").read_bytes() == made
    assert (world.folder / "cq" / "mirror.2.pem").stat().st_mode & 0o777 == 0o600


def test_an_aborted_rotation_returns_to_the_old_key(world: World) -> None:
    """In the overlap the officer goes back: the old key signs alone, and everything still arrives."""
    for key in ("signing", "log"):
        view = until_active(world, key)
        old = flow(world).find(view.rotation.number).old_fingerprint
        ended = flow(world).abort(view.rotation.number, "wrong key", OFFICER, now())
        assert ended.rotation.state == RotationState.ROTATION_STATE_ABORTED
        assert flow(world)._drivers[key].fingerprint() == old
        answer = world.submit("cq", credit(10 if key == "log" else 11), f"behind {key}")
        world.wait(world.settled, 60)
        row = next(row for row in world.rows("sc") if row.record_id.hex() == answer.record_id.replace("-", ""))
        assert row.outcome in (1, 2)
    assert not world.nodes["sc"].bell.codes()
    evidence.assert_laws(world)


def test_two_rotations_at_once(world: World) -> None:
    """Different keys rotate side by side; of one key a second rotation is refused while the first is open."""
    first = flow(world).start("mirror", b"", "yearly", OFFICER, now())
    second = flow(world).start("witness", b"", "yearly", OFFICER, now())
    assert (first.rotation.number, second.rotation.number) == (1, 2)
    with pytest.raises(Refused) as refused:
        flow(world).start("mirror", b"", "again", OFFICER, now())
    assert refused.value.reason == "ROTATION_OPEN"
    for view in (first, second):
        told = advance(world, view)
        confirm(world, view.rotation.key, told.rotation.number)
    for view in (second, first):
        advance(world, view)
    for view in (first, second):
        assert advance(world, view).rotation.state == RotationState.ROTATION_STATE_RETIRED
    world.wait(world.settled, 60)
    evidence.assert_laws(world)


def test_a_step_is_taken_once_when_two_officers_ask(world: World) -> None:
    """Of two officers who take the same step at the same moment one is refused, and the journal has one line."""
    view = flow(world).start("mirror", b"", "yearly", OFFICER, now())
    asked = Asked(actor=OFFICER, step=RotationStep.ROTATION_STEP_ANNOUNCE)
    outcomes: list[str] = []

    def ask() -> None:
        try:
            flow(world).advance(view.rotation.number, asked, now())
            outcomes.append("taken")
        except (Refused, register.RotationChangedError) as refused:
            outcomes.append(refused.reason)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ROTATION_STEP"] * 3 + ["taken"]
    steps = [each.rotation_stepped.step for each in evidence.journal(world, "cq", "rotation_stepped")]
    assert steps.count(RotationStep.ROTATION_STEP_ANNOUNCE) == 1


def test_a_peer_that_never_confirms_is_named_with_its_desk(world: World) -> None:
    """The next step says whom it waits for; forcing it needs a reason, and the journal keeps who was missing."""
    view = flow(world).start("mirror", b"", "yearly", OFFICER, now())
    view = flow(world).advance(view.rotation.number, Asked(actor=OFFICER), now())
    world.wait(lambda: said(world, view) == ["KEY_AWAITS_OFFICER"], what="the peer's answer")
    with pytest.raises(Refused) as refused:
        flow(world).advance(view.rotation.number, Asked(actor=OFFICER), now())
    assert [(each.reason, each.place) for each in refused.value.problems] == [("KEY_AWAITS_OFFICER", "sc")]
    with pytest.raises(Refused) as refused:
        flow(world).advance(view.rotation.number, Asked(actor=OFFICER, force=True), now())
    assert refused.value.reason == "REASON_MISSING"
    asked = Asked(actor=OFFICER, force=True, reason="the desk does not answer")
    view = flow(world).advance(view.rotation.number, asked, now())
    assert view.rotation.forced
    world.submit("sc", credit(20, "sc"), "goes on")
    world.wait(world.settled, 60)
    assert not world.nodes["sc"].bell.codes() - {"KEY_WAITING"}
    (event,) = [
        each.rotation_stepped
        for each in evidence.journal(world, "cq", "rotation_stepped")
        if each.rotation_stepped.overridden
    ]
    assert [(each.who, each.reason) for each in event.overridden] == [("sc", "KEY_AWAITS_OFFICER")]


def test_an_activation_waits_for_its_time(world: World) -> None:
    """A time that was set is kept, over a restart too."""
    view = flow(world).start("witness", b"", "yearly", OFFICER, now())
    view = advance(world, view)
    confirm(world, "witness", view.rotation.number)
    at = now() + timedelta(seconds=3)
    step = RotationStep.ROTATION_STEP_ACTIVATE
    view = advance(world, view, step=step, activate_at=at)
    assert view.rotation.state == RotationState.ROTATION_STATE_ANNOUNCED
    world.stop()
    world.start()
    world.wait(lambda: flow(world).find(1).state == RotationState.ROTATION_STATE_ACTIVE)
    assert flow(world).find(1).activated_at.ToDatetime(UTC) >= at


def _is(entry: bytes, record_id: str) -> bool:
    return evidence.statement_of(entry).record_id == record_id
