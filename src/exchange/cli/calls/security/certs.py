"""``certs``: keys and certificates, and how each gives way to the next. For security officers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.security import compromise as lost
from exchange.cli.calls.security import rotations as shown
from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.offline.trusted import gather
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, Undecidable, as_dict, finish
from exchange.cli.texts import t
from exchange.crypto.receipts import plain
from exchange.settings.token_uri import split_chain
from exchange.v1.rotation_pb2 import RotationStep
from exchange.v1.security_service_pb2 import (
    AbortRotationRequest,
    AdvanceRotationRequest,
    AdvanceRotationResponse,
    GetRotationRequest,
    ListKeysRequest,
    RehearseRotationRequest,
    RotationView,
    StartRotationRequest,
)

if TYPE_CHECKING:
    from exchange.rpc.client import Client

app = typer.Typer(help=t("help.certs"), no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help=t("option.key_name"))]
NumberArgument = Annotated[int, typer.Argument(help=t("option.rotation"), min=1)]
WhyOption = Annotated[str, typer.Option("--reason", "-r", help=t("option.reason"))]
ForceOption = Annotated[bool, typer.Option("--force", help=t("option.force"))]
AtOption = Annotated[str, typer.Option("--at", help=t("option.activate_at"))]
NewOption = Annotated[str, typer.Option("--new", help=t("option.new_key"), metavar="FILE|PKCS11-URI")]
RequestOption = Annotated[
    Path | None, typer.Option("--output", "-o", help=t("option.request_file"), dir_okay=False, show_default=False)
]


app.command("compromise", help=t("help.certs_compromise"))(lost.compromise)
app.command("reconfirm", help=t("help.certs_reconfirm"))(lost.reconfirm)


@app.command("status", help=t("help.certs_status"))
def status(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List keys and certificates of ours and of each peer, and every open rotation with what to do next."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.security.ListKeys, ListKeysRequest())
    if out.as_json:
        out.value(as_dict(answer))
        return
    now = datetime.now(UTC)
    out.table(shown.KEY_HEADINGS, [shown.key_cells(key, now) for key in answer.keys])
    for view in answer.open:
        shown.say_next(out, view)


@app.command("rotate", help=t("help.certs_rotate"))
def rotate(
    key: KeyArgument,
    reason: WhyOption = "",
    new: NewOption = "",
    output: RequestOption = None,
    profile: ProfileOption = None,
    *,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the next allowed step of a key's rotation, beginning one when there is none."""
    material = read_new(new)
    with client(profile) as node:
        current = _open(node, key)
        if current is None:
            request = StartRotationRequest(key=key, material=material, reason=reason)
            view = node.call(node.security.StartRotation, request).rotation
        elif current.waits and not (force or material):
            # Running it again is also how to ask what it waits for: that is no failure.
            _print(Output(as_json), current, output)
            finish(Exit.FINDING)
        else:
            answer = _advance(node, current, material=material, force=force, reason=reason)
            if answer.HasField("action"):
                print_waiting(Output(as_json), answer.action)
                return
            view = answer.rotation
    _print(Output(as_json), view, output)


@app.command("request", help=t("help.certs_request"))
def request(
    key: KeyArgument,
    reason: WhyOption = "",
    new: NewOption = "",
    output: RequestOption = None,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the new key, and the request for its certificate; asked again, give the same request."""
    material = read_new(new)
    with client(profile) as node:
        view = _open(node, key)
        if view is None:
            call = StartRotationRequest(key=key, material=material, reason=reason)
            view = node.call(node.security.StartRotation, call).rotation
        elif RotationStep.ROTATION_STEP_REQUEST in view.next:
            view = _advance(node, view, RotationStep.ROTATION_STEP_REQUEST, material=material).rotation
    _print(Output(as_json), view, output)


@app.command("install", help=t("help.certs_install"))
def install(
    key: KeyArgument,
    certificate: Annotated[Path, typer.Argument(help=t("option.certificate"), exists=True, dir_okay=False)],
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Take the certificate that the authority issued for the new key."""
    material = certificate.read_bytes()
    _step(profile, key, RotationStep.ROTATION_STEP_INSTALL, as_json=as_json, material=material)


@app.command("announce", help=t("help.certs_announce"))
def announce(
    key: KeyArgument, reason: WhyOption = "", profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Tell whoever relies on the key of its successor."""
    _step(profile, key, RotationStep.ROTATION_STEP_ANNOUNCE, as_json=as_json, reason=reason)


@app.command("activate", help=t("help.certs_activate"))
def activate(
    key: KeyArgument,
    reason: WhyOption = "",
    at: AtOption = "",
    profile: ProfileOption = None,
    *,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Use the new key, the old one beside it; now, or at a time."""
    when = read_instant(at)
    step = RotationStep.ROTATION_STEP_ACTIVATE
    _step(profile, key, step, as_json=as_json, at=when, force=force, reason=reason)


@app.command("retire", help=t("help.certs_retire"))
def retire(
    key: KeyArgument,
    reason: WhyOption = "",
    profile: ProfileOption = None,
    *,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop using and accepting the old key; what it signed stays valid."""
    _step(profile, key, RotationStep.ROTATION_STEP_RETIRE, as_json=as_json, force=force, reason=reason)


@app.command("abort", help=t("help.certs_abort"))
def abort(
    number: NumberArgument, reason: ReasonOption, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """End a rotation and return to the old key, while that is still accepted."""
    with client(profile) as node:
        call = AbortRotationRequest(number=number, reason=reason)
        view = node.call(node.security.AbortRotation, call).rotation
    _print(Output(as_json), view, None)


@app.command("rehearse", help=t("help.certs_rehearse"))
def rehearse(key: KeyArgument, profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Say what would break if the key in use ended now; changes nothing."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.security.RehearseRotation, RehearseRotationRequest(key=key))
    if out.as_json:
        out.value(as_dict(answer))
    elif not answer.findings:
        out.say(t("message.rehearsed", name=key))
    else:
        out.table(shown.WAIT_HEADINGS, [shown.wait_cells(wait) for wait in answer.findings])
    finish(Exit.FINDING if answer.findings else Exit.DONE)


@app.command("report", help=t("help.certs_report"))
def report(
    number: NumberArgument,
    card: Annotated[list[Path] | None, typer.Option("--card", help=t("option.cards"), exists=True)] = None,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print the journaled report of a rotation, and verify it."""
    trusted = gather(cards=card or (), trust=None, vkeys=(), roots=None, chain=None)
    # A rotation is about keys that begin and end: each of the card's is one to try.
    keys = tuple(plain(key) for key in trusted.log_keys)
    with client(profile) as node:
        answer = node.call(node.security.GetRotation, GetRotationRequest(number=number))
    sound = shown.print_report(Output(as_json), answer, keys)
    finish(Exit.DONE if sound else Exit.FINDING)


def read_new(new: str) -> bytes:
    """A key as the officer brings it: a PEM file, or the name of a key in the node's token with its certificates.

    Raises:
        typer.BadParameter: A file can not be read, or the name says something else.
    """
    if not new:
        return b""
    try:
        if not new.startswith("pkcs11:"):
            return Path(new).read_bytes()
        name, chain = split_chain(new)
        return f"{name}\n".encode() + (chain.read_bytes() if chain is not None else b"")
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--new") from None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--new") from None


def read_instant(text: str) -> datetime | None:
    """An instant with its zone, as typed; None for the empty text.

    Raises:
        typer.BadParameter: Not RFC 3339, or without a zone.
    """
    if not text:
        return None
    found: datetime | None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(t("message.bad_instant", text=text))
    return found


def _open(node: Client, key: str) -> RotationView | None:
    found = node.call(node.security.ListKeys, ListKeysRequest()).open
    return next((view for view in found if view.rotation.key == key), None)


def _advance(
    node: Client,
    view: RotationView,
    step: RotationStep.ValueType = RotationStep.ROTATION_STEP_UNSPECIFIED,
    *,
    material: bytes = b"",
    at: datetime | None = None,
    force: bool = False,
    reason: str = "",
) -> AdvanceRotationResponse:
    call = AdvanceRotationRequest(number=view.rotation.number, step=step, material=material, force=force, reason=reason)
    if at is not None:
        call.activate_at.FromDatetime(at.astimezone(UTC))
    return node.call(node.security.AdvanceRotation, call)


def _step(
    profile: Path | None,
    key: str,
    step: RotationStep.ValueType,
    *,
    as_json: bool,
    material: bytes = b"",
    at: datetime | None = None,
    force: bool = False,
    reason: str = "",
) -> None:
    with client(profile) as node:
        view = _open(node, key)
        if view is None:
            raise Undecidable("ROTATION_NONE", key)
        answer = _advance(node, view, step, material=material, at=at, force=force, reason=reason)
    if answer.HasField("action"):
        print_waiting(Output(as_json), answer.action)
    else:
        _print(Output(as_json), answer.rotation, None)


def _print(out: Output, view: RotationView, output: Path | None) -> None:
    if output is not None and view.request:
        output.write_bytes(view.request)
        out.say(t("message.request_written", file=output))
    if out.as_json:
        out.value(as_dict(view))
        return
    shown.print_rotation(out, view)
