"""A rotation as a fold over its steps: a state machine that any officer drives, and that only its own lines allow."""

from __future__ import annotations

import itertools

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exchange.domain.lifecycles import KEY
from exchange.domain.rotation import ONWARDS, StepNotAllowed, fold, is_open, may_follow, next_step, take
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.rotation_pb2 import Rotation, RotationState, RotationStep, RotationStepped, Waiting

STEPS = [step for step in RotationStep.values() if step]
UNUSED = (KeyState.KEY_STATE_UNSPECIFIED, KeyState.KEY_STATE_NEXT, KeyState.KEY_STATE_ABORTED)


def stepped(step: RotationStep.ValueType, number: int = 7, key: str = "mirror") -> RotationStepped:
    """One step of a rotation."""
    event = RotationStepped(rotation=number, key=key, generation=2, step=step, actor="officer", old_fingerprint="aa")
    if step != RotationStep.ROTATION_STEP_START:
        event.new_fingerprint = "bb"
    if step == RotationStep.ROTATION_STEP_SCHEDULE:
        event.activate_at.seconds = 1_000
    return event


class Machine(RuleBasedStateMachine):
    """Every sequence of steps: refused ones change nothing, taken ones keep what must always be true."""

    def __init__(self) -> None:
        super().__init__()
        self.rotation: Rotation | None = None
        self.events: list[tuple[RotationStepped, Timestamp]] = []
        self.old: list[int] = [KeyState.KEY_STATE_ACTIVE]
        self.new: list[int] = []

    @rule(step=st.sampled_from(STEPS))
    def step(self, step: RotationStep.ValueType) -> None:
        """Try a step."""
        event, at = stepped(step), Timestamp(seconds=len(self.events))
        before = self.rotation.SerializeToString() if self.rotation is not None else b""
        allowed = step == RotationStep.ROTATION_STEP_START if self.rotation is None else may_follow(self.rotation, step)
        try:
            taken = take(self.rotation, event, at)
        except StepNotAllowed:
            assert not allowed
            assert (self.rotation.SerializeToString() if self.rotation is not None else b"") == before
            return
        assert allowed
        self.rotation = taken
        self.events.append((event, at))
        self.old.append(taken.old_state)
        if taken.new_state:
            self.new.append(taken.new_state)

    @precondition(lambda self: self.rotation is not None)
    @invariant()
    def one_key_is_always_active(self) -> None:
        """At every moment the partners accept at least one of the two keys."""
        assert self.rotation is not None
        assert KeyState.KEY_STATE_ACTIVE in (self.rotation.old_state, self.rotation.new_state)

    @precondition(lambda self: self.rotation is not None)
    @invariant()
    def the_old_key_ends_only_behind_an_overlap(self) -> None:
        """RETIRED is reached through ACTIVE and through nothing else."""
        assert self.rotation is not None
        if self.rotation.old_state == KeyState.KEY_STATE_RETIRED:
            assert RotationStep.ROTATION_STEP_ACTIVATE in [event.step for event, _ in self.events]
            assert self.rotation.new_state == KeyState.KEY_STATE_ACTIVE

    @invariant()
    def both_keys_live_their_own_lives(self) -> None:
        """Neither key ever makes a step that the life cycle of a key does not know."""
        for states in (self.old, self.new):
            assert all(KEY.may_follow(a, b) for a, b in itertools.pairwise(states))
        assert not self.new or KEY.may_enter(self.new[0])

    @precondition(lambda self: self.rotation is not None)
    @invariant()
    def replay_gives_the_same(self) -> None:
        """The steps, folded again, are the rotation; and what has ended stays ended."""
        assert self.rotation is not None
        assert fold(self.events) == self.rotation
        assert (next_step(self.rotation) is None) == (not is_open(self.rotation))
        assert is_open(self.rotation) == (not self.rotation.HasField("ended_at"))

    @precondition(lambda self: self.rotation is not None)
    @invariant()
    def an_abort_returns_to_the_old_key(self) -> None:
        """From every open state ABORT is allowed and leaves the old key ACTIVE and the new one out of use."""
        assert self.rotation is not None
        if is_open(self.rotation):
            ended = take(self.rotation, stepped(RotationStep.ROTATION_STEP_ABORT), Timestamp(seconds=99))
            assert ended.old_state == KeyState.KEY_STATE_ACTIVE
            used = self.rotation.new_state not in UNUSED
            assert ended.new_state == (KeyState.KEY_STATE_RETIRED if used else _unused(self.rotation))


def _unused(rotation: Rotation) -> int:
    return KeyState.KEY_STATE_ABORTED if rotation.new_state else KeyState.KEY_STATE_UNSPECIFIED


TestMachine = Machine.TestCase


def test_the_steps_in_order_end_with_the_old_key_retired() -> None:
    """Nothing but the next step, again and again, leads to the end."""
    rotation = take(None, stepped(RotationStep.ROTATION_STEP_START), Timestamp(seconds=1))
    taken = []
    while (step := next_step(rotation)) is not None:
        rotation = take(rotation, stepped(step), Timestamp(seconds=2))
        taken.append(step)
    assert tuple(taken) == ONWARDS
    assert rotation.state == RotationState.ROTATION_STATE_RETIRED


@pytest.mark.parametrize(("number", "key"), [(8, "mirror"), (7, "witness")])
def test_a_step_of_another_rotation_is_not_taken(number: int, key: str) -> None:
    """A rotation is folded from its own steps alone."""
    rotation = take(None, stepped(RotationStep.ROTATION_STEP_START), Timestamp(seconds=1))
    with pytest.raises(StepNotAllowed):
        take(rotation, stepped(RotationStep.ROTATION_STEP_REQUEST, number, key), Timestamp(seconds=2))


def test_a_forced_step_marks_the_rotation_for_ever() -> None:
    """That somebody was not waited for is not forgotten by the steps behind it."""
    rotation = take(None, stepped(RotationStep.ROTATION_STEP_START), Timestamp(seconds=1))
    event = stepped(RotationStep.ROTATION_STEP_REQUEST)
    event.overridden.append(Waiting(reason="X", who="sc"))
    rotation = take(rotation, event, Timestamp(seconds=2))
    rotation = take(rotation, stepped(RotationStep.ROTATION_STEP_INSTALL), Timestamp(seconds=3))
    assert rotation.forced
