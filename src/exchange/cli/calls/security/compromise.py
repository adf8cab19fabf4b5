"""``certs compromise`` and ``certs reconfirm``: the drill for a signing key that others may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import t
from exchange.v1.kind_pb2 import Kind
from exchange.v1.security_service_pb2 import (
    ListUnprovenRecordsRequest,
    ListUnprovenRecordsResponse,
    ReconfirmRecordsRequest,
    RevokeKeyRequest,
)

if TYPE_CHECKING:
    from exchange.rpc.client import Client

HEADINGS: Final = ("peer", "record_id", "revision", "kind", "logged_at", "mirrored", "confirmed")

KeyIdArgument = Annotated[str, typer.Argument(help=t("option.key_id"))]
SinceOption = Annotated[str, typer.Option("--since", help=t("option.since"))]
WhyOption = Annotated[str, typer.Option("--reason", "-r", help=t("option.reason"))]
RecordOption = Annotated[list[str] | None, typer.Option("--record", help=t("option.reconfirm_record"))]


def compromise(
    key_id: KeyIdArgument,
    since: SinceOption,
    reason: WhyOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Revoke a signing key as of an instant, tell the peers, and list what has to be confirmed."""
    out = Output(as_json)
    at = _instant(since)
    with client(profile) as node:
        done = node.call(node.security.RevokeKey, RevokeKeyRequest(key_id=key_id, since=at, reason=reason))
        listed = _listed(node, key_id, at)
    if out.as_json:
        out.value({"journal_index": done.journal_index, **as_dict(listed)})
        return
    out.say(t("message.key_revoked", name=key_id[:16], index=done.journal_index))
    _show(out, listed)
    if listed.total:
        out.say(t("message.reconfirm_next", name=key_id, since=since))


def reconfirm(
    key_id: KeyIdArgument,
    since: SinceOption,
    reason: WhyOption,
    records: RecordOption = None,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """State again, under the key in use, what a revoked key signed."""
    out = Output(as_json)
    at = _instant(since)
    with client(profile) as node:
        request = ReconfirmRecordsRequest(key_id=key_id, since=at, reason=reason, record_ids=records or [])
        done = node.call(node.security.ReconfirmRecords, request)
        listed = _listed(node, key_id, at)
    if out.as_json:
        out.value({"confirmed": done.confirmed, **as_dict(listed)})
        return
    out.say(t("message.reconfirmed", count=done.confirmed))
    _show(out, listed)


def _listed(node: Client, key_id: str, since: Timestamp) -> ListUnprovenRecordsResponse:
    return node.call(
        node.security.ListUnprovenRecords, ListUnprovenRecordsRequest(key_id=key_id, since=since, open_only=True)
    )


def _show(out: Output, listed: ListUnprovenRecordsResponse) -> None:
    rows = [
        (
            each.peer,
            each.record_id,
            each.revision,
            Kind.Name(each.kind).removeprefix("KIND_"),
            each.logged_at.ToDatetime(UTC),
            each.mirrored,
            each.confirmed,
        )
        for each in listed.records
    ]
    out.table(HEADINGS, rows, title=t("title.unproven", count=listed.total))


def _instant(text: str) -> Timestamp:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(t("message.bad_instant", text=text))
    at = Timestamp()
    at.FromDatetime(found)
    return at
