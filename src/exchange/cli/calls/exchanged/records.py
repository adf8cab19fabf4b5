"""``records``: what the node holds and I may read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.calls.exchanged import keeping
from exchange.cli.calls.exchanged.convert import convert
from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.envelope_file import write_envelope
from exchange.cli.options import (
    JsonOption,
    KindOption,
    ProfileOption,
    ReasonOption,
    client,
    read_choice,
    read_kind,
)
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.sending.fetching import fetch_attachment
from exchange.cli.texts import t
from exchange.domain import kinds
from exchange.domain.kinds.choices import LEVELS, STATES, names_of, prefix_of
from exchange.v1.action_pb2 import EraseRecordAction
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetEnvelopeRequest, GetRecordRequest, ListRecordsRequest, RecordView
from exchange.v1.security_service_pb2 import EraseRecordRequest

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor

app = typer.Typer(help=t("help.records"), no_args_is_help=True)

RECORD_HEADINGS = ("record_id", "revision", "origin", "kind", "subject", "content", "date", "standing", "reasons")
"""Columns of records."""

RecordArgument = Annotated[str, typer.Argument(help=t("option.record"))]
OriginOption = Annotated[str, typer.Option("--origin", help=t("option.origin"))]
RevisionOption = Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)]
UsccOption = Annotated[str, typer.Option("--uscc", help=t("option.uscc"))]
AreaOption = Annotated[str, typer.Option("--area", help=t("option.area"))]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)]


@app.command("list", help=t("help.records_list"))
def list_records(
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    origin: OriginOption = "",
    uscc: UsccOption = "",
    area: AreaOption = "",
    outcome: Annotated[str, typer.Option("--outcome", help=t("option.outcome"))] = "",
    level: Annotated[str, typer.Option("--level", help=t("option.level"))] = "",
    state: Annotated[str, typer.Option("--state", help=t("option.record_state"))] = "",
    about: Annotated[str, typer.Option("--about", help=t("option.about"))] = "",
    about_origin: Annotated[str, typer.Option("--about-origin", help=t("option.about_origin"))] = "",
    replaced: Annotated[bool, typer.Option("--replaced", help=t("option.replaced"))] = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List records that I may read, newest first."""
    out = Output(as_json)
    request = ListRecordsRequest(kind=read_kind(kind), origin=origin, uscc=uscc, area=area, include_replaced=replaced)
    request.outcome = Outcome.ValueType(read_choice(outcome, dict(Outcome.items()), "OUTCOME_"))
    request.level = _choice(LEVELS, request.kind, level, "--level")
    request.state = _choice(STATES, request.kind, state, "--state")
    if about:
        request.about.CopyFrom(RecordRef(origin=about_origin, record_id=about))
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.records.ListRecords, request, "records", files.limit(limit))
        files.show(out, "records", RECORD_HEADINGS, rows, view_cells)


def _choice(tables: Mapping[int, EnumDescriptor], kind: int, name: str, option: str) -> str:
    """The full name of a level or state of a kind; empty for the empty name.

    Raises:
        typer.BadParameter: No kind is named, or it has no such level or state.
    """
    if not name:
        return ""
    if kind not in tables:
        raise typer.BadParameter(t("message.kind_with_choice"), param_hint=option)
    enumeration = tables[kind]
    number = read_choice(name, names_of(enumeration), prefix_of(enumeration))
    return str(enumeration.values_by_number[number].name)


@app.command("show", help=t("help.records_show"))
def show_record(
    record: RecordArgument,
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    revision: RevisionOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Show one record with its recognition and provenance."""
    out = Output(as_json)
    request = GetRecordRequest(ref=RecordRef(origin=origin, record_id=record, revision=revision))
    with client(profile) as node:
        answer = node.call(node.records.GetRecord, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    view = answer.record
    out.facts(
        (
            ("record_id", view.ref.record_id),
            ("revision", view.ref.revision),
            ("origin", view.ref.origin),
            ("kind", words.kind_word(view.kind)),
            ("standing", words.standing_word(view)),
            ("reasons", words.reason_words(view.reasons)),
            ("conditions", words.condition_words(view.conditions)),
            ("rule_edition", view.rule_edition),
            ("log", view.log),
            ("index", view.index),
            ("logged", moment(view.logged_at)),
            ("mirrored_at", moment(view.mirrored_at)),
        )
    )
    if view.HasField("record"):
        out.table(("field", "value"), list(record_fields(view.record)), title=t("title.content"))
        out.table(
            ("field", "source", "rule", "lossy"),
            [(f.field, f.source, f.rule, f.lossy) for f in view.record.header.provenance.fields],
            title=t("title.provenance", adapter=view.record.header.provenance.adapter),
        )
    elif view.HasField("tombstone"):
        out.say(t("message.tombstone", reason=view.tombstone.reason, since=view.tombstone.since))


@app.command("attachment", help=t("help.records_attachment"))
def attachment(
    record: RecordArgument,
    profile: ProfileOption = None,
    *,
    place: Annotated[int, typer.Option("--place", help=t("option.attachment_place"), min=1)] = 1,
    origin: OriginOption = "",
    revision: RevisionOption = 0,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch an attachment and check it by its digests; a fetch that was cut goes on where it ended."""
    out = Output(as_json)
    ref = RecordRef(origin=origin, record_id=record, revision=revision)
    with client(profile) as node:
        listed, path = fetch_attachment(node, ref, place - 1, output)
    if out.as_json:
        out.value({"file": str(path), "attachment": as_dict(listed)})
    out.say(t("message.written", file=path))


@app.command("envelope", help=t("help.records_envelope"))
def envelope(
    record: RecordArgument,
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    revision: RevisionOption = 0,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export the signed envelope with its body and certificates; ``verify`` checks it offline."""
    out = Output(as_json)
    request = GetEnvelopeRequest(ref=RecordRef(origin=origin, record_id=record, revision=revision))
    with client(profile) as node:
        answer = node.call(node.records.GetEnvelope, request)
    text = write_envelope(answer)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
        out.say(t("message.written", file=output))
        if out.as_json:
            out.value({"file": str(output)})


app.command("convert", help=t("help.records_convert"))(convert)


@app.command("erase", help=t("help.records_erase"))
def erase_record(
    record: RecordArgument,
    ground: Annotated[str, typer.Option("--ground", help=t("option.ground"))],
    ground_code: Annotated[str, typer.Option("--ground-code", help=t("option.ground_code"))],
    ordered_by: Annotated[str, typer.Option("--ordered-by", help=t("option.ordered_by"))],
    ordered_on: Annotated[str, typer.Option("--ordered-on", help=t("option.ordered_on"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    revision: RevisionOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Ask for erasing a record of this region on the node's own initiative; an officer of the other role confirms."""
    erase = EraseRecordAction(
        record=RecordRef(record_id=record, revision=revision),
        legal_ground=ground,
        ground_code=ground_code,
        ordered_by=ordered_by,
        ordered_on=ordered_on,
    )
    with client(profile) as node:
        answer = node.call(node.security.EraseRecord, EraseRecordRequest(erase=erase, reason=reason))
    print_waiting(Output(as_json), answer.action)


app.command("due", help=t("help.records_due"))(keeping.list_due)
app.command("erase-due", help=t("help.records_erase_due"))(keeping.erase_due)


def view_cells(view: RecordView) -> tuple[object, ...]:
    """One record as a row."""
    record = view.record if view.HasField("record") else None
    return (
        view.ref.record_id,
        view.ref.revision,
        view.ref.origin,
        words.kind_word(view.kind),
        kinds.subject_uscc(record) if record else "",
        _gist(view.kind, record) if record else t("message.tombstone_short", reason=view.tombstone.reason),
        kinds.sort_date(record) if record else view.tombstone.since,
        words.standing_word(view),
        "\n".join(filter(None, (words.reason_words(view.reasons), words.condition_words(view.conditions)))),
    )


def _gist(kind: Kind.ValueType, record: Record) -> str:
    """What the record says, in one cell."""
    if kind == Kind.KIND_MONITORING_BATCH:
        batch = record.monitoring_batch
        points = sum(len(series.points) for series in batch.series)
        return t("message.batch_gist", station=batch.station.station_id, factors=len(batch.series), points=points)
    told = _GISTS.get(kind)
    return " ".join(filter(None, told(record))) if told is not None else ""


_GISTS: dict[int, Callable[[Record], tuple[str, ...]]] = {
    Kind.KIND_CREDIT_RESULT: lambda record: (
        str(record.credit_result.evaluation_year),
        record.credit_result.source_level_text,
        record.credit_result.score,
    ),
    Kind.KIND_PENALTY_NOTICE: lambda record: (record.penalty_notice.decision_no,),
    Kind.KIND_LIST_ENTRY: lambda record: (record.list_entry.list_id, record.list_entry.list_edition),
    Kind.KIND_LAB_QUALIFICATION: lambda record: (record.lab_qualification.cma_no, record.lab_qualification.valid_until),
    Kind.KIND_MEASURE_FEEDBACK: lambda record: (
        record.measure_feedback.matter_no,
        *(result.code for result in record.measure_feedback.results),
    ),
    Kind.KIND_REPAIR_NOTICE: lambda record: (record.header.issued.document_no, record.repair_notice.due_by),
    Kind.KIND_REVOCATION_NOTICE: lambda record: (record.header.issued.document_no, record.revocation_notice.due_by),
    Kind.KIND_CORRECTION_REQUEST: lambda record: tuple(item.field for item in record.correction_request.items),
    Kind.KIND_CASE_REFERRAL: lambda record: (record.case_referral.case_no,),
    Kind.KIND_INSPECTION_TASK: lambda record: (record.inspection_task.task_no, record.inspection_task.topic),
    Kind.KIND_ALERT: lambda record: (
        record.alert.event_id,
        f"#{record.alert.sequence}",
        t("message.exercise") if record.alert.is_exercise else "",
        record.alert.location.place,
    ),
    Kind.KIND_STANDARDS_EQUIVALENCE: lambda record: (
        record.standards_equivalence.left.standard_no,
        record.standards_equivalence.right.standard_no,
    ),
    Kind.KIND_ANSWER: lambda record: (
        AnswerVerb.Name(record.answer.verb).removeprefix("ANSWER_VERB_"),
        record.answer.effect,
        record.answer.answered_by,
    ),
}


def record_fields(record: Record) -> list[tuple[str, object]]:
    """Field paths and values of the body, as they stand."""
    flat: list[tuple[str, object]] = []

    def descend(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                descend(f"{prefix}.{key}" if prefix else key, inner)
        elif isinstance(value, list):
            for place, inner in enumerate(value):
                descend(f"{prefix}[{place}]", inner)
        else:
            flat.append((prefix, value))

    whole = as_dict(record)
    whole.get("header", {}).pop("provenance", None)
    descend("", whole)
    return flat
