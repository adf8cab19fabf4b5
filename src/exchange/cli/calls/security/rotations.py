"""How keys, rotations and their reports are printed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import reason_text, t, word
from exchange.flows.rotation.report import CheckedStep, Shown, check, folded
from exchange.tlog.note import VerifierKey
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.rotation_pb2 import (
    KeyConfirmation,
    KeyCount,
    KeyStatus,
    KeyVerdict,
    RotationState,
    RotationStep,
    Waiting,
)
from exchange.v1.security_service_pb2 import GetRotationResponse, RotationView

KEY_HEADINGS: Final = ("owner", "key", "of", "key_state", "fingerprint", "valid_from", "valid_until", "days", "seen")
WAIT_HEADINGS: Final = ("reason", "who", "duty_desk", "detail", "remedy")

_GROUP: Final = 4
"""Characters of a fingerprint that are read aloud at once."""


def grouped(fingerprint: str) -> str:
    """A fingerprint in groups of four, as it is read aloud; other names of keys stay as they are."""
    if len(fingerprint) < 2 * _GROUP or any(char not in "0123456789abcdef" for char in fingerprint):
        return fingerprint
    return " ".join(fingerprint[at : at + _GROUP] for at in range(0, len(fingerprint), _GROUP))


def key_cells(key: KeyStatus, now: datetime) -> tuple[object, ...]:
    """One row of ``certs status``."""
    end = moment(key.valid_until)
    return (
        key.owner,
        key.key,
        key.of,
        key_state_word(key.state),
        grouped(key.fingerprint),
        moment(key.valid_from),
        end,
        (end - now).days if end is not None else None,
        "\n".join([*(confirmation_text(each) for each in key.confirmations), *(_count(each) for each in key.counts)]),
    )


def wait_cells(wait: Waiting) -> tuple[object, ...]:
    """One row of what is waited for."""
    text = reason_text(wait.reason)
    return (f"{wait.reason}\n{text.message}", wait.who, wait.duty_desk, wait.detail, text.remedy)


def key_state_word(state: KeyState.ValueType) -> str:
    """A key's state."""
    return word("key_state", KeyState.Name(state).removeprefix("KEY_STATE_")) if state else ""


def state_word(state: RotationState.ValueType) -> str:
    """A rotation's state."""
    return word("rotation_state", RotationState.Name(state).removeprefix("ROTATION_STATE_"))


def step_word(step: RotationStep.ValueType) -> str:
    """A step."""
    return word("rotation_step", RotationStep.Name(step).removeprefix("ROTATION_STEP_"))


def confirmation_text(each: KeyConfirmation) -> str:
    """What one peer says."""
    said = word("key_verdict", KeyVerdict.Name(each.verdict).removeprefix("KEY_VERDICT_"))
    return " ".join(filter(None, (each.peer, said, grouped(each.fingerprint))))


def _count(each: KeyCount) -> str:
    return " ".join(filter(None, (each.who, word("key_count", each.what), str(each.count))))


def say_next(out: Output, view: RotationView) -> None:
    """One line for an open rotation: what to do next, or whom it waits for."""
    rotation = view.rotation
    head = t("message.rotation", number=rotation.number, name=rotation.key, state=state_word(rotation.state))
    if view.waits:
        waits = "; ".join(
            " ".join(filter(None, (wait.who, reason_text(wait.reason).message, wait.detail, wait.duty_desk)))
            for wait in view.waits
        )
        out.say(f"{head} {t('message.rotation_waits', step=step_word(view.next[0]), waits=waits)}")
    elif view.next:
        out.say(f"{head} {t('message.rotation_next', step=step_word(view.next[0]), name=rotation.key)}")
    else:
        out.say(head)


def print_rotation(out: Output, view: RotationView) -> None:
    """One rotation with what may follow."""
    rotation = view.rotation
    out.facts(
        [
            ("rotation", rotation.number),
            ("key", rotation.key),
            ("state", state_word(rotation.state)),
            ("old_key", grouped(rotation.old_fingerprint)),
            ("new_key", grouped(rotation.new_fingerprint)),
            ("valid_from", moment(rotation.not_before)),
            ("valid_until", moment(rotation.not_after)),
            ("activate_at", moment(rotation.activate_at)),
            ("overlap_from", moment(rotation.activated_at)),
            ("ended_at", moment(rotation.ended_at)),
            ("seen", "\n".join(confirmation_text(each) for each in view.confirmations)),
            ("why", rotation.reason),
        ]
    )
    if view.waits:
        out.table(WAIT_HEADINGS, [wait_cells(wait) for wait in view.waits])
    say_next(out, view)
    if view.request and not out.as_json:
        out.say(view.request.decode("ascii", "replace"))


def print_report(out: Output, answer: GetRotationResponse, keys: Sequence[VerifierKey]) -> bool:
    """The report of a rotation with what was found when it was verified.

    Returns:
        Whether every line stands where the node says, and all of them give the rotation that it shows.
    """
    steps = check(answer.report, keys)
    told = folded(steps)
    agrees = told is not None and told == answer.rotation.rotation
    sound = agrees and all(step.shown is not Shown.WRONG for step in steps)
    if out.as_json:
        lines = [_as_json(step) for step in steps]
        out.value({"rotation": as_dict(answer.rotation), "report": lines, "agrees": agrees, "sound": sound})
        return sound
    print_rotation(out, answer.rotation)
    out.table(("at", "step", "who", "why", "seen", "index", "shown"), [_step_cells(step) for step in steps])
    out.say(t("message.report_agrees" if agrees else "message.report_differs"))
    out.say(t("message.report_blind"))
    return sound


def _step_cells(step: CheckedStep) -> tuple[object, ...]:
    if step.event is None:
        return (None, "", "", "", "", step.step.index, word("shown", step.shown.value))
    told = step.event.rotation_stepped
    seen = [*(confirmation_text(each) for each in told.confirmations), *(_count(each) for each in told.counts)]
    seen += [t("message.overridden", who=each.who, reason=each.reason) for each in told.overridden]
    return (
        moment(step.event.at),
        step_word(told.step),
        told.actor,
        told.reason,
        "\n".join(seen),
        f"{step.step.log}#{step.step.index}",
        word("shown", step.shown.value),
    )


def _as_json(step: CheckedStep) -> dict[str, object]:
    event = as_dict(step.event) if step.event is not None else None
    return {"log": step.step.log, "index": step.step.index, "shown": step.shown.value, "event": event}
