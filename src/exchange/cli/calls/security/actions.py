"""``actions``: what needs an operator and a security officer. One asks, the other confirms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calls.shown.pages import LARGEST_PAGE, show, walk
from exchange.cli.options import DEFAULT_LIMIT, JsonOption, LimitOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, Undecidable, as_dict, finish, moment
from exchange.cli.texts import t, word
from exchange.v1.action_pb2 import Action, ActionRequest, ActionState
from exchange.v1.security_service_pb2 import ConfirmActionRequest, ListActionsRequest, RefuseActionRequest

app = typer.Typer(help=t("help.actions"), no_args_is_help=True)

ActionArgument = Annotated[str, typer.Argument(help=t("option.action"))]
_HEADINGS = ("action_id", "action", "state", "asked_by", "why", "expires_at", "confirmed_by")


@app.command("list", help=t("help.actions_list"))
def list_actions(
    profile: ProfileOption = None,
    *,
    closed: Annotated[bool, typer.Option("--closed", help=t("option.closed_actions"))] = False,
    limit: LimitOption = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List actions that wait for the other role."""
    out = Output(as_json)
    with client(profile) as node:
        rows = list(walk(node, node.security.ListActions, ListActionsRequest(include_closed=closed), "actions", limit))
    show(out, "actions", rows, _HEADINGS, _cells)


@app.command("show", help=t("help.actions_show"))
def show_action(action: ActionArgument, profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Show exactly what is asked for, with the digest that confirming names."""
    print_action(Output(as_json), _find(profile, action))


@app.command("confirm", help=t("help.actions_confirm"))
def confirm(
    action: ActionArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    digest: Annotated[str, typer.Option("--digest", help=t("option.action_digest"))] = "",
    as_json: JsonOption = False,
) -> None:
    """Confirm what the other role asked for: what was shown, by its digest. Exit status 1 when it could not be done."""
    out = Output(as_json)
    seen = _digest(digest)
    if not seen:
        found = _find(profile, action)
        print_action(Output(as_json=False), found)
        typer.confirm(t("message.confirm_action"), abort=True)
        seen = found.digest
    with client(profile) as node:
        request = ConfirmActionRequest(action_id=action, digest=seen, reason=reason)
        answer = node.call(node.security.ConfirmAction, request).action
    print_action(out, answer)
    if answer.state == ActionState.ACTION_STATE_FAILED:
        finish(Exit.FINDING)


@app.command("refuse", help=t("help.actions_refuse"))
def refuse(
    action: ActionArgument, reason: ReasonOption, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Refuse what the other role asked for, or take back one's own."""
    with client(profile) as node:
        request = RefuseActionRequest(action_id=action, reason=reason)
        print_action(Output(as_json), node.call(node.security.RefuseAction, request).action)


def print_waiting(out: Output, action: Action) -> None:
    """Tell who asked that nothing has happened yet, and who has to confirm."""
    if out.as_json:
        out.value({"action": as_dict(action)})
        return
    role = word("role", action.confirmed_by_role)
    out.say(t("message.waits_for_confirmation", id=action.action_id, role=role, until=moment(action.expires_at)))


def print_action(out: Output, action: Action) -> None:
    """One action, whole."""
    if out.as_json:
        out.value(as_dict(action))
        return
    asked = as_dict(ActionRequest.FromString(action.request))
    asked.pop("reason", None)
    out.facts(
        [
            *zip(_HEADINGS, _cells(action), strict=True),
            ("requested", json.dumps(asked, ensure_ascii=False)),
            ("digest", action.digest.hex()),
            ("decided_by", action.decided_by),
            ("decision_reason", action.decision_reason),
            ("outcome_text", action.outcome),
        ]
    )


def _find(profile: Path | None, action_id: str) -> Action:
    request = ListActionsRequest(include_closed=True)
    with client(profile) as node:
        rows = walk(node, node.security.ListActions, request, "actions", 100 * LARGEST_PAGE)
        found: Action | None = next((row for row in rows if row.action_id == action_id), None)
    if found is None:
        raise Undecidable("NOT_FOUND", action_id)
    return found


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise typer.BadParameter(t("message.not_a_digest")) from None


def _cells(action: Action) -> tuple[object, ...]:
    return (
        action.action_id,
        action.verb,
        word("action_state", ActionState.Name(action.state).removeprefix("ACTION_STATE_")),
        action.asked_by.partition("://")[2],
        ActionRequest.FromString(action.request).reason,
        moment(action.expires_at),
        word("role", action.confirmed_by_role),
    )
