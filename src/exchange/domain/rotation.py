"""A rotation as a fold over its steps: which step may follow, and what each means for the old key and the new one.

START     a number is given                                          old ACTIVE
REQUEST   the new private key is on disk                              old ACTIVE
INSTALL   the new key is complete, nobody else knows of it            old ACTIVE
ANNOUNCE  whoever relies on the key is told                           old ACTIVE    new NEXT
SCHEDULE  a time is set for the next step                             old ACTIVE    new NEXT
ACTIVATE  the new key is used, the old one accepted: the overlap      old ACTIVE    new ACTIVE
RETIRE    the old key is used and accepted no more                    old RETIRED   new ACTIVE
ABORT     the old key goes on; allowed until RETIRE                   old ACTIVE    new ABORTED, or RETIRED once used
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.lifecycles import KEY, ROTATION
from exchange.domain.problems import ExchangeError
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.rotation_pb2 import Rotation, RotationState, RotationStep, RotationStepped

_STATE: Final[Mapping[int, RotationState.ValueType]] = {
    RotationStep.ROTATION_STEP_START: RotationState.ROTATION_STATE_STARTED,
    RotationStep.ROTATION_STEP_REQUEST: RotationState.ROTATION_STATE_REQUESTED,
    RotationStep.ROTATION_STEP_INSTALL: RotationState.ROTATION_STATE_INSTALLED,
    RotationStep.ROTATION_STEP_ANNOUNCE: RotationState.ROTATION_STATE_ANNOUNCED,
    RotationStep.ROTATION_STEP_SCHEDULE: RotationState.ROTATION_STATE_ANNOUNCED,
    RotationStep.ROTATION_STEP_ACTIVATE: RotationState.ROTATION_STATE_ACTIVE,
    RotationStep.ROTATION_STEP_RETIRE: RotationState.ROTATION_STATE_RETIRED,
    RotationStep.ROTATION_STEP_ABORT: RotationState.ROTATION_STATE_ABORTED,
}
"""The state that each step leads to."""

ONWARDS: Final = (
    RotationStep.ROTATION_STEP_REQUEST,
    RotationStep.ROTATION_STEP_INSTALL,
    RotationStep.ROTATION_STEP_ANNOUNCE,
    RotationStep.ROTATION_STEP_ACTIVATE,
    RotationStep.ROTATION_STEP_RETIRE,
)
"""The steps behind START when nothing goes wrong, in order."""


class StepNotAllowed(ExchangeError):
    """The step may not follow where the rotation stands."""

    reason = "ROTATION_STEP"


def may_follow(rotation: Rotation, step: int) -> bool:
    """Whether a step may follow where a rotation stands; whom it waits for is not looked at."""
    if step == RotationStep.ROTATION_STEP_SCHEDULE:
        return rotation.state == RotationState.ROTATION_STATE_ANNOUNCED
    target = _STATE.get(step)
    return target is not None and target != rotation.state and ROTATION.may_follow(rotation.state, target)


def next_step(rotation: Rotation) -> RotationStep.ValueType | None:
    """The step that leads on; None when the rotation has ended."""
    return next((step for step in ONWARDS if may_follow(rotation, step)), None)


def is_open(rotation: Rotation) -> bool:
    """Whether anything may follow."""
    return bool(ROTATION.following[rotation.state])


def take(rotation: Rotation | None, event: RotationStepped, at: Timestamp) -> Rotation:
    """The rotation behind one more step.

    Args:
        rotation: As it stood; None before START.
        event: The step.
        at: Time of the step.

    Raises:
        StepNotAllowed: The step may not follow, or is of another rotation.
    """
    if rotation is None:
        if event.step != RotationStep.ROTATION_STEP_START:
            raise StepNotAllowed(RotationStep.Name(event.step))
        return Rotation(
            number=event.rotation,
            key=event.key,
            generation=event.generation,
            state=RotationState.ROTATION_STATE_STARTED,
            started_by=event.actor,
            reason=event.reason,
            old_fingerprint=event.old_fingerprint,
            old_state=KeyState.KEY_STATE_ACTIVE,
            started_at=at,
            forced=bool(event.overridden),
        )
    if (event.rotation, event.key) != (rotation.number, rotation.key) or not may_follow(rotation, event.step):
        raise StepNotAllowed(RotationStep.Name(event.step))
    taken = Rotation()
    taken.CopyFrom(rotation)
    taken.state = _STATE[event.step]
    taken.forced = rotation.forced or bool(event.overridden)
    _DETAILS[event.step](taken, event, at)
    return taken


def fold(events: Iterable[tuple[RotationStepped, Timestamp]]) -> Rotation:
    """A rotation from all of its steps, each with its time.

    Raises:
        StepNotAllowed: They are not the steps of one rotation in order.
    """
    rotation: Rotation | None = None
    for event, at in events:
        rotation = take(rotation, event, at)
    if rotation is None:
        raise StepNotAllowed("nothing")
    return rotation


def _made(rotation: Rotation, event: RotationStepped, _at: Timestamp) -> None:
    rotation.new_fingerprint = event.new_fingerprint
    for name in ("not_before", "not_after"):
        if event.HasField(name):
            getattr(rotation, name).CopyFrom(getattr(event, name))


def _announced(rotation: Rotation, _event: RotationStepped, at: Timestamp) -> None:
    rotation.new_state = KeyState.KEY_STATE_NEXT
    rotation.announced_at.CopyFrom(at)


def _scheduled(rotation: Rotation, event: RotationStepped, _at: Timestamp) -> None:
    rotation.activate_at.CopyFrom(event.activate_at)


def _activated(rotation: Rotation, _event: RotationStepped, at: Timestamp) -> None:
    rotation.new_state = _after(rotation.new_state, KeyState.KEY_STATE_ACTIVE)
    rotation.activated_at.CopyFrom(at)


def _retired(rotation: Rotation, _event: RotationStepped, at: Timestamp) -> None:
    rotation.old_state = _after(rotation.old_state, KeyState.KEY_STATE_RETIRED)
    rotation.ended_at.CopyFrom(at)


def _aborted(rotation: Rotation, _event: RotationStepped, at: Timestamp) -> None:
    if rotation.new_state == KeyState.KEY_STATE_NEXT:
        rotation.new_state = _after(rotation.new_state, KeyState.KEY_STATE_ABORTED)
    elif rotation.new_state == KeyState.KEY_STATE_ACTIVE:
        rotation.new_state = _after(rotation.new_state, KeyState.KEY_STATE_RETIRED)
    rotation.ended_at.CopyFrom(at)


def _after(old: KeyState.ValueType, new: KeyState.ValueType) -> KeyState.ValueType:
    assert KEY.may_follow(old, new)
    return new


_DETAILS: Final = {
    RotationStep.ROTATION_STEP_REQUEST: _made,
    RotationStep.ROTATION_STEP_INSTALL: _made,
    RotationStep.ROTATION_STEP_ANNOUNCE: _announced,
    RotationStep.ROTATION_STEP_SCHEDULE: _scheduled,
    RotationStep.ROTATION_STEP_ACTIVATE: _activated,
    RotationStep.ROTATION_STEP_RETIRE: _retired,
    RotationStep.ROTATION_STEP_ABORT: _aborted,
}
