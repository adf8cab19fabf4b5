"""``trust``: whom the running node believes, and keys that wait for its officer. For security officers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.security.rotations import grouped
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, as_dict, finish, moment
from exchange.cli.texts import reason_text, t
from exchange.crypto.trusted.possession import USES
from exchange.v1.security_service_pb2 import (
    ConfirmTrustRequest,
    ListPendingKeysRequest,
    ListTrustRequest,
    PendingKeys,
    ReloadResult,
    ReloadTrustRequest,
    ReloadTrustResponse,
    RemoveTrustRequest,
)

if TYPE_CHECKING:
    from exchange.rpc.client import Client

app = typer.Typer(help=t("help.trust"), no_args_is_help=True)

_HEADINGS = ("id", "peer", "key", "fingerprint", "since", "reason", "duty_desk")


@app.command("list", help=t("help.trust_list"))
def list_trust(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List every root, revocation list and verifier key that the node trusts, and who was seen on it."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.security.ListTrust, ListTrustRequest())
    if out.as_json:
        out.value(as_dict(answer))
        return
    now = datetime.now(UTC)
    rows = []
    for each in answer.items:
        end = moment(each.valid_until)
        seen = "\n".join(f"{count.who} {count.count}" for count in each.seen)
        days = (end - now).days if end is not None else None
        since = moment(each.since)
        rows.append(
            (each.owner, each.use, each.subject, each.fingerprint, moment(each.valid_from), end, days, since, seen)
        )
    out.table(("owner", "use", "subject", "fingerprint", "valid_from", "valid_until", "days", "since", "seen"), rows)


@app.command("remove", help=t("help.trust_remove"))
def remove(
    owner: Annotated[str, typer.Argument(help=t("option.trust_owner"))],
    fingerprint: Annotated[str, typer.Argument(help=t("option.trust_root"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    force: Annotated[bool, typer.Option("--force", help=t("option.force"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Trust a root no more; refused, with names, while somebody was seen on it alone."""
    out = Output(as_json)
    request = RemoveTrustRequest(owner=owner, fingerprint=fingerprint, force=force, reason=reason)
    with client(profile) as node:
        answer = node.call(node.security.RemoveTrust, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    for each in answer.overridden:
        out.say(t("message.overridden", who=each.who, reason=each.reason))
    if force:
        print_waiting(out, answer.action)
    else:
        out.say(t("message.root_removed", name=owner, fingerprint=answer.fingerprint))


@app.command("reload", help=t("help.trust_reload"))
def reload(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Take changed sets and TLS key files now; exit status 1 when one of them was refused."""
    out = Output(as_json)
    with client(profile) as node:
        answer = ask(node)
    if out.as_json:
        out.value(as_dict(answer))
    tell(out, answer)
    refused = any(each.result == ReloadResult.RELOAD_RESULT_REFUSED for each in answer.sets)
    finish(Exit.FINDING if refused else Exit.DONE)


def ask(node: Client) -> ReloadTrustResponse:
    """Have the node look."""
    return node.call(node.security.ReloadTrust, ReloadTrustRequest())


def reload_by(profile: Path, out: Output) -> None:
    """What ``peers add`` does on a running node: have it look, and tell."""
    with client(profile) as node:
        tell(out, ask(node))


def tell(out: Output, answer: ReloadTrustResponse) -> None:
    """What became of each set."""
    rows = []
    for each in answer.sets:
        problems = "\n".join(" ".join(filter(None, (p.reason, p.place, p.detail))) for p in each.problems)
        result = ReloadResult.Name(each.result).removeprefix("RELOAD_RESULT_")
        rows.append((each.name, t(f"reload_result.{result}"), each.digest[:16], problems))
    out.table(("trust_set", "result", "digest", "reason"), rows)


@app.command("pending", help=t("help.trust_pending"))
def pending(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List keys that peers announced and that wait for an officer here."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.security.ListPendingKeys, ListPendingKeysRequest())
    if out.as_json:
        out.value(as_dict(answer))
    out.table(_HEADINGS, [_cells(keys) for keys in answer.pending])


@app.command("confirm", help=t("help.trust_confirm"))
def confirm(
    pending_id: Annotated[str, typer.Argument(metavar="ID", help=t("option.pending"))],
    fingerprint: Annotated[str, typer.Option("--fingerprint", "-f", help=t("option.fingerprint"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    refuse: Annotated[bool, typer.Option("--refuse", help=t("option.refuse"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Rely on announced keys, or refuse them, after the fingerprint was compared another way."""
    out = Output(as_json)
    with client(profile) as node:
        request = ConfirmTrustRequest(id=pending_id, fingerprint=fingerprint, refuse=refuse, reason=reason)
        keys = node.call(node.security.ConfirmTrust, request).keys
    if out.as_json:
        out.value(as_dict(keys))
    out.say(t("message.keys_refused" if refuse else "message.keys_confirmed", name=USES[keys.use], peer=keys.peer))


def _cells(keys: PendingKeys) -> tuple[object, ...]:
    return (
        keys.id,
        keys.peer,
        USES[keys.use],
        grouped(keys.fingerprint),
        moment(keys.announced_at),
        f"{keys.reason}\n{reason_text(keys.reason).message}",
        keys.duty_desk,
    )
