"""What one officer does not force alone: dropping an authority over somebody who was not seen on the new one.

Whoever still calls by the old authority is turned away by that. So a security officer asks, and an operator confirms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from exchange.domain.problems import Problem, Refused
from exchange.flows.actions.pending import Confirmed
from exchange.flows.agencies import about_reason
from exchange.flows.rotation.driver import TLS_CA
from exchange.v1.action_pb2 import ActionRequest, RetireAuthorityAction
from exchange.v1.rotation_pb2 import Rotation, RotationState, RotationStep, Waiting
from exchange.v1.security_service_pb2 import RotationView

_NEVER = frozenset({"LEAF_UNDER_OLD_ROOT"})
"""The node's own leaf is not cut off from its own authority, whoever agrees."""


def needs_two(rotation: Rotation, step: int) -> bool:
    """Whether forcing a step takes an officer of each role (contract §5)."""
    return rotation.key == TLS_CA and step == RotationStep.ROTATION_STEP_RETIRE


def may_force(rotation: Rotation, step: int, waits: Iterable[Waiting], *, confirmed: bool) -> bool:
    """Whether a step may be taken over those that it waits for.

    Args:
        rotation: As it stands.
        step: The step.
        waits: Whom and what it waits for.
        confirmed: An officer of the other role agreed to it.
    """
    if step == RotationStep.ROTATION_STEP_INSTALL:
        return False
    if not needs_two(rotation, step):
        return True
    return confirmed and not any(each.reason in _NEVER for each in waits)


class Rotations(Protocol):
    """Rotations as they are looked at."""

    def find(self, number: int) -> Rotation:
        """One of them."""
        ...

    def view(self, rotation: Rotation, now: datetime) -> RotationView:
        """With what may follow."""
        ...


class ForcedRetire:
    """An old authority that is dropped by two officers.

    Args:
        rotations: The node's rotations.
        retire: Takes the step, with whom it was forced over: number, actor, reason, time.
    """

    def __init__(self, rotations: Rotations, retire: Callable[[int, str, str, datetime], RotationView]) -> None:
        self._rotations = rotations
        self._retire = retire

    def wanted(self, number: int, step: int, reason: str, now: datetime) -> ActionRequest | None:
        """What an officer of the other role has to confirm; None for a step that one alone may force.

        Args:
            number: The rotation.
            step: The step; 0 means the next one.
            reason: Why.
            now: Aware instant.

        Raises:
            NotFound: There is none of that number.
            Refused: No reason was given, or our own leaf stands under the old authority.
        """
        rotation = self._rotations.find(number)
        view = self._rotations.view(rotation, now)
        if not view.next or step not in (0, view.next[0]) or not needs_two(rotation, view.next[0]) or not view.waits:
            return None
        problems = about_reason(reason)
        problems += [Problem(each.reason, each.detail) for each in view.waits if each.reason in _NEVER]
        if problems:
            raise Refused(problems)
        wanted = RetireAuthorityAction(
            rotation=number, old_fingerprint=rotation.old_fingerprint, new_fingerprint=rotation.new_fingerprint
        )
        return ActionRequest(retire_authority=wanted, reason=reason)

    def carry_out(self, request: ActionRequest, who: Confirmed) -> str:
        """Drop the authority that two officers agreed on; one that was dropped before stays so.

        Raises:
            NotFound: There is no such rotation.
            Refused: It was aborted meanwhile, or our own leaf stands under the old authority.
        """
        number = request.retire_authority.rotation
        rotation = self._rotations.find(number)
        if rotation.state == RotationState.ROTATION_STATE_RETIRED:
            return "retired before"
        over = sorted({each.who or each.detail for each in self._rotations.view(rotation, who.now).waits})
        self._retire(number, who.actors, who.reason, who.now)
        return "retired" + (f", over {', '.join(over)}" if over else "")
