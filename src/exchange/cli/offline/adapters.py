"""``adapters``: each side's documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.adapter_set import adapters, domain_tables, find_adapter
from exchange.cli.options import JsonOption, KindOption, read_kind
from exchange.cli.output import Exit, Output, as_dict, finish, problem_dicts
from exchange.cli.texts import reason_text, t
from exchange.domain import kinds
from exchange.domain.adapter import NativeDocument
from exchange.domain.adapter_laws import check
from exchange.domain.problems import Problem
from exchange.v1.record_pb2 import Record

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
    lost: tuple[Problem, ...] = ()
    if to:
        if output is None:
            raise typer.BadParameter(t("message.output_needed"))
        found = {kinds.kind_of(record) for record in records}
        if len(found) != 1:
            raise typer.BadParameter(t("message.one_kind"))
        written = find_adapter(to, tables).write(records, kind=found.pop(), form=form)
        output.write_bytes(written.content)
        lost = written.lost
    else:
        _write_records(out, records, output)
    if out.as_json and output is not None:
        problems = [{"row": row.row, "place": row.place, "problems": problem_dicts(row.problems)} for row in bad]
        out.value({"file": str(output), "records": len(records), "quarantined": problems, "lost": problem_dicts(lost)})
    if output is not None:
        out.say(t("message.converted", count=len(records), file=output))
        out.table(
            ("row", "place", "reason", "meaning", "remedy"),
            [
                (
                    row.row,
                    row.place,
                    p.reason,
                    f"{reason_text(p.reason).message} {p.detail}".strip(),
                    reason_text(p.reason).remedy,
                )
                for row in bad
                for p in row.problems
            ],
        )
        if lost:
            out.problems(lost)
    finish(Exit.FINDING if bad else Exit.DONE)


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
