"""``audit body``: what a record says, also where it is withheld from everybody else; journaled, with the reason."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.audit.running.checkpoint import OutputOption
from exchange.cli.calls.exchanged.records import record_fields
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import t
from exchange.v1.audit_service_pb2 import ReadBodyRequest
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Record


def read_body(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)] = 0,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a body; with ``--output`` its exact bytes go into a file, to be hashed behind the salt."""
    out = Output(as_json)
    ref = RecordRef(origin=origin, record_id=record, revision=revision)
    with client(profile) as node:
        answer = node.call(node.audit.ReadBody, ReadBodyRequest(record=ref, reason=reason))
    if output is not None:
        output.write_bytes(answer.body)
        out.say(t("message.written", file=output))
    if out.as_json:
        out.value(as_dict(answer) | {"record": as_dict(Record.FromString(answer.body))})
        return
    out.facts(
        (
            ("record_id", answer.ref.record_id),
            ("revision", answer.ref.revision),
            ("origin", answer.ref.origin),
            ("tombstone", f"{answer.tombstone.reason} {answer.tombstone.since}".strip()),
            ("salt", answer.salt.hex()),
            ("journaled", f"{answer.journal}#{answer.journal_index}"),
        )
    )
    if output is None:
        out.table(("field", "value"), list(record_fields(Record.FromString(answer.body))), title=t("title.content"))
