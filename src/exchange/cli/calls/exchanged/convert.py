"""``records convert``: records in one side's own layout, always with what was signed beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.adapter_set import find_adapter
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.pages import walk
from exchange.cli.envelope_file import write_envelope
from exchange.cli.losses import show_losses
from exchange.cli.options import JsonOption, KindOption, LimitOption, ProfileOption, client, read_kind
from exchange.cli.output import Exit, Output, Undecidable, finish, problem_dicts
from exchange.cli.texts import t
from exchange.domain import kinds
from exchange.domain.adapter import WrittenDocument
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import ConvertRecordRequest, GetEnvelopeRequest, ListRecordsRequest

if TYPE_CHECKING:
    from exchange.rpc.client import Client
    from exchange.v1.record_pb2 import Tombstone

MAX_CONVERTED = 10_000
"""Records in one converted document: as many rows as an officer's workbook still opens quickly with."""

ORIGINAL = ".original.json"
"""What the name of the original adds to that of the document."""

ORIGINALS = ".originals"
"""The same of the folder that holds them, where there are several."""


def convert(
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)],
    records: Annotated[list[str] | None, typer.Argument(help=t("option.records_or_all"), show_default=False)] = None,
    profile: ProfileOption = None,
    *,
    adapter: Annotated[str, typer.Option("--adapter", help=t("option.adapter_or_own"))] = "",
    form: Annotated[str, typer.Option("--form", help=t("option.form_of_kind"))] = "",
    kind: KindOption = "",
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin_convert"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)] = 0,
    uscc: Annotated[str, typer.Option("--uscc", help=t("option.uscc"))] = "",
    area: Annotated[str, typer.Option("--area", help=t("option.area"))] = "",
    limit: LimitOption = MAX_CONVERTED,
    as_json: JsonOption = False,
) -> None:
    """Write records in one side's own layout, and beside it the originals; exit status 1 for a tombstone."""
    out = Output(as_json)
    with client(profile) as node:
        if records is not None and len(records) == 1:
            _one(out, node, RecordRef(origin=origin, record_id=records[0], revision=revision), adapter, form, output)
            return
        if not adapter:
            raise typer.BadParameter(t("message.adapter_needed"), param_hint="--adapter")
        chosen = find_adapter(adapter)
        if records:
            refs: Iterable[RecordRef] = [RecordRef(origin=origin, record_id=record) for record in records]
        elif kind:
            request = ListRecordsRequest(kind=read_kind(kind), origin=origin, uscc=uscc, area=area)
            rows = walk(node, node.records.ListRecords, request, "records", min(limit, MAX_CONVERTED))
            refs = (view.ref for view in rows if view.HasField("record"))
        else:
            raise typer.BadParameter(t("message.kind_needed"))
        originals = [node.call(node.records.GetEnvelope, GetEnvelopeRequest(ref=ref)) for ref in refs]
    for each in originals if records else ():
        if each.HasField("tombstone"):
            raise Undecidable(each.tombstone.reason, each.tombstone.record.record_id)
    found = [Record.FromString(each.sealed.body.record) for each in originals if each.sealed.HasField("body")]
    if not found:
        raise Undecidable("NO_RECORD", "records")
    of_kind = {kinds.kind_of(record) for record in found}
    if len(of_kind) != 1:
        raise typer.BadParameter(t("message.one_kind"))
    kind_found = of_kind.pop()
    written = chosen.write(found, kind=kind_found, form=form or _usual_form(kind_found))
    folder = output.with_name(output.name + ORIGINALS)
    folder.mkdir(exist_ok=True)
    names = [record.header.record_id for record in found]
    for name, original in zip(names, (each for each in originals if each.sealed.HasField("body")), strict=True):
        (folder / f"{name}.json").write_text(write_envelope(original), "utf-8")
    output.write_bytes(written.content)
    if out.as_json:
        of_records = [
            {"record_id": name, "lost": problem_dicts(each)}
            for name, each in zip(names, written.lost_of, strict=False)
            if each
        ]
        out.value(
            {
                "file": str(output),
                "originals": str(folder),
                "records": len(found),
                "lost": problem_dicts(written.lost),
                "lost_of": of_records,
            }
        )
    out.say(t("message.converted", count=len(found), file=output))
    out.say(t("message.original_written", file=folder))
    show_losses(out, written, names)


def _usual_form(kind: Kind.ValueType) -> str:
    return "hj212" if kind == Kind.KIND_MONITORING_BATCH else "xlsx"


def _one(out: Output, node: Client, ref: RecordRef, adapter: str, form: str, output: Path) -> None:
    """One record, written by the node in the layout of its own side."""
    request = ConvertRecordRequest(ref=ref, adapter=adapter, form=form)
    answer = node.call(node.records.ConvertRecord, request)
    original = output.with_name(output.name + ORIGINAL)
    original.write_text(write_envelope(answer.original), "utf-8")
    if not answer.HasField("document"):
        _tell_tombstone(out, answer.original.tombstone, original)
    document = answer.document
    output.write_bytes(document.content)
    lost = tuple(words.problem_of(problem) for problem in document.lost)
    if out.as_json:
        out.value(
            {
                "file": str(output),
                "original": str(original),
                "adapter": document.adapter,
                "form": document.form,
                "media_type": document.media_type,
                "records": 1,
                "lost": problem_dicts(lost),
            }
        )
    out.say(t("message.converted", count=1, file=output))
    out.say(t("message.original_written", file=original))
    written = WrittenDocument(file_name="", media_type="", content=b"", lost_of=(lost,))
    show_losses(out, written, [ref.record_id])


def _tell_tombstone(out: Output, tombstone: Tombstone, original: Path) -> None:
    if out.as_json:
        out.value({"original": str(original), "tombstone": {"reason": tombstone.reason, "since": tombstone.since}})
    out.say(t("message.tombstone", reason=tombstone.reason, since=tombstone.since))
    out.say(t("message.original_written", file=original))
    finish(Exit.FINDING)
