"""``adapters``: each side's documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.adapter_set import adapters, domain_tables, find_adapter
from exchange.cli.losses import show_losses
from exchange.cli.options import JsonOption, KindOption, read_kind
from exchange.cli.output import Exit, Output, as_dict, finish, problem_dicts
from exchange.cli.texts import reason_text, t
from exchange.domain import kinds
from exchange.domain.adapter import NativeDocument, WrittenDocument
from exchange.domain.adapter_laws import check
from exchange.domain.problems import Problem, Refused
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record

if TYPE_CHECKING:
    from exchange.domain.adapter import Adapter
    from exchange.domain.losses import LossReport

app = typer.Typer(help=t("help.adapters"), no_args_is_help=True)

TablesOption = Annotated[
    Path | None, typer.Option("--tables", help=t("option.tables"), file_okay=False, exists=True, show_default=False)
]
AdapterArgument = Annotated[str, typer.Argument(help=t("option.adapter"))]


@app.command("list", help=t("help.adapters_list"))
def list_adapters(tables: TablesOption = None, *, as_json: JsonOption = False) -> None:
    """List the installed adapters and the kinds that they read."""
    out = Output(as_json)
    found = list(adapters(tables).values())
    rows = [(a.name, a.side, a.edition, [kinds.spec(kind).name for kind in a.kinds]) for a in found]
    if out.as_json:
        keys = ("name", "side", "edition", "kinds")
        out.value({"adapters": [dict(zip(keys, row, strict=True)) for row in rows]})
    out.table(("adapter", "side", "edition", "kinds"), [(*row[:3], ", ".join(row[3])) for row in rows])


@app.command("test", help=t("help.adapters_test"))
def hold(
    names: Annotated[list[str] | None, typer.Argument(help=t("option.adapters"), show_default=False)] = None,
    tables: TablesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Hold adapters against the laws that every adapter must keep; exit status 1 when one is broken."""
    out = Output(as_json)
    chosen = [find_adapter(name, tables) for name in names] if names else list(adapters(tables).values())
    results = [(adapter.name, law) for adapter in chosen for law in check(adapter, domain_tables(tables))]
    if out.as_json:
        out.value({"laws": [{"adapter": n, "law": r.name, "passed": r.passed, "detail": r.detail} for n, r in results]})
    out.table(
        ("adapter", "law", "passed", "detail"), [(name, law.name, law.passed, law.detail) for name, law in results]
    )
    finish(Exit.DONE if all(law.passed for _, law in results) else Exit.FINDING)


@app.command("convert", help=t("help.adapters_convert"))
def convert(
    name: AdapterArgument,
    file: Annotated[Path, typer.Argument(help=t("option.document_file"), exists=True, dir_okay=False)],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)] = None,
    to: Annotated[str, typer.Option("--to", help=t("option.to_adapter"))] = "",
    form: Annotated[str, typer.Option("--form", help=t("option.form"))] = "xlsx",
    kind: KindOption = "",
    tables: TablesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a document into records (one JSON object a line), or straight into another side's layout."""
    out = Output(as_json)
    document = NativeDocument(
        file_name=file.name, content=file.read_bytes(), received_at=datetime.now(UTC), kind=read_kind(kind)
    )
    reading = find_adapter(name, tables).read(document)
    bad = [row for row in reading.rows if row.record is None]
    records = [row.record for row in reading.rows if row.record is not None]
    written: WrittenDocument | None = None
    if to:
        if output is None:
            raise typer.BadParameter(t("message.output_needed"))
        found = {kinds.kind_of(record) for record in records}
        if len(found) != 1:
            raise typer.BadParameter(t("message.one_kind"))
        written = find_adapter(to, tables).write(records, kind=found.pop(), form=form)
        output.write_bytes(written.content)
    else:
        _write_records(out, records, output)
    if out.as_json and output is not None:
        problems = [{"row": row.row, "place": row.place, "problems": problem_dicts(row.problems)} for row in bad]
        lost = problem_dicts(written.lost) if written is not None else []
        rows = [row.row for row in reading.rows if row.record is not None]
        of_rows = [
            {"row": row, "lost": problem_dicts(each)}
            for row, each in zip(rows, written.lost_of if written is not None else (), strict=False)
            if each
        ]
        out.value(
            {"file": str(output), "records": len(records), "quarantined": problems, "lost": lost, "lost_of": of_rows}
        )
    if output is not None:
        out.say(t("message.converted", count=len(records), file=output))
        out.table(
            ("row", "place", "reason", "meaning", "remedy"),
            [
                (
                    row.row,
                    p.place or row.place,
                    p.reason,
                    f"{reason_text(p.reason).message} {p.detail}".strip(),
                    reason_text(p.reason).remedy,
                )
                for row in bad
                for p in row.problems
            ],
        )
        if written is not None:
            show_losses(out, written, [row.row for row in reading.rows if row.record is not None])
    finish(Exit.FINDING if bad else Exit.DONE)


@app.command("losses", help=t("help.adapters_losses"))
def losses(
    kind: Annotated[str, typer.Argument(help=t("option.kind"), show_default=False)] = "",
    *,
    side: Annotated[str, typer.Option("--side", help=t("option.losses_side"))] = "",
    tables: TablesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report what each side's layouts can not carry, and why; columns that no field takes."""
    out = Output(as_json)
    wanted = read_kind(kind)
    chosen = [each for each in adapters(tables).values() if side in ("", each.side, each.name)]
    if not chosen:
        known = ", ".join(each.side for each in adapters(tables).values())
        raise typer.BadParameter(t("message.unknown_choice", name=side, known=known))
    reports = [
        (adapter, adapter.losses(each))
        for adapter in chosen
        for each in adapter.kinds
        if wanted in (Kind.KIND_UNSPECIFIED, each)
    ]
    if not reports:
        raise Refused([Problem("LAYOUT_UNKNOWN", "", kinds.spec(wanted).name)])
    if out.as_json:
        out.value({"reports": [_report_value(adapter, report) for adapter, report in reports]})
    for adapter, report in reports:
        title = t(
            "title.losses",
            side=adapter.side,
            kind=kinds.spec(report.kind).name,
            layout=report.layout,
            count=len(report.carried),
        )
        out.table(("field", "reason", "meaning", "detail"), [_loss_row(each) for each in report.fields], title=title)
        if report.columns:
            columns: dict[str, list[str]] = {}
            for each in report.columns:
                columns.setdefault(each.reason, []).append(each.place)
            out.table(
                ("column", "reason", "meaning"),
                [("、".join(names), reason, reason_text(reason).message) for reason, names in columns.items()],
            )


def _loss_row(problem: Problem) -> tuple[str, str, str, str]:
    return problem.place, problem.reason, reason_text(problem.reason).message, problem.detail


def _report_value(adapter: Adapter, report: LossReport) -> dict[str, object]:
    return {
        "adapter": adapter.name,
        "side": adapter.side,
        "kind": kinds.spec(report.kind).name,
        "layout": report.layout,
        "carried": [{"field": path, "column": by} for path, by in report.carried.items()],
        "fields": [{"field": each.place, "reason": each.reason, "detail": each.detail} for each in report.fields],
        "columns": [{"column": each.place, "reason": each.reason} for each in report.columns],
    }


@app.command("template", help=t("help.adapters_template"))
def template(
    kind: Annotated[str, typer.Argument(help=t("option.kind"))],
    adapter: Annotated[str, typer.Option("--adapter", help=t("option.adapter"))],
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)] = None,
    tables: TablesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write an empty form of a kind: headings, drop-down lists, one example row, notes."""
    out = Output(as_json)
    form = find_adapter(adapter, tables).template(read_kind(kind))
    target = output or Path(form.file_name)
    target.write_bytes(form.content)
    if out.as_json:
        out.value({"file": str(target), "media_type": form.media_type})
    out.say(t("message.written", file=target))


def _write_records(out: Output, records: list[Record], output: Path | None) -> None:
    if output is None:
        for record in records:
            out.line(as_dict(record))
        return

    with output.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(as_dict(record), ensure_ascii=False) + "\n")
