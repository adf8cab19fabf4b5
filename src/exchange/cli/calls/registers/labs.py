"""``labs``: monitoring laboratories of both regions, as they stood on any day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import JsonOption, ProfileOption, client, read_choice
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import t, word
from exchange.v1.lab_qualification_pb2 import LabQualification, LabStanding, LabState
from exchange.v1.laboratory_service_pb2 import GetLaboratoryRequest, LaboratoryView, ListLaboratoriesRequest

app = typer.Typer(help=t("help.labs"), no_args_is_help=True)

OnOption = Annotated[str, typer.Option("--on", help=t("option.on"), metavar="YYYY-MM-DD")]
FactorOption = Annotated[str, typer.Option("--factor", help=t("option.factor"))]
MethodOption = Annotated[str, typer.Option("--method", help=t("option.method"))]
UsccOption = Annotated[str, typer.Option("--uscc", help=t("option.uscc"))]

_HEADINGS = ("cma_no", "subject", "origin", "lab_standing", "lab_state", "valid_from", "valid_until", "standing")


@app.command("list", help=t("help.labs_list"))
def list_labs(
    profile: ProfileOption = None,
    *,
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin"))] = "",
    area: Annotated[str, typer.Option("--area", help=t("option.area"))] = "",
    uscc: UsccOption = "",
    state: Annotated[str, typer.Option("--state", help=t("option.lab_state"))] = "",
    standing: Annotated[str, typer.Option("--standing", help=t("option.lab_standing"))] = "",
    factor: FactorOption = "",
    method: MethodOption = "",
    on: OnOption = "",
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List laboratories with how they stood on a day."""
    request = ListLaboratoriesRequest(
        origin=origin, area=area, uscc=uscc, on=on, factor_code=factor, method_standard=method
    )
    request.state = LabState.ValueType(read_choice(state, dict(LabState.items()), "LAB_STATE_"))
    request.standing = LabStanding.ValueType(read_choice(standing, dict(LabStanding.items()), "LAB_STANDING_"))
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.laboratories.ListLaboratories, request, "laboratories", files.limit(limit))
        files.show(Output(as_json), "laboratories", _HEADINGS, rows, _cells)


@app.command("show", help=t("help.labs_show"))
def show_lab(
    cma_no: Annotated[str, typer.Argument(help=t("option.cma_no"))],
    profile: ProfileOption = None,
    *,
    uscc: UsccOption = "",
    factor: FactorOption = "",
    method: MethodOption = "",
    on: OnOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one laboratory: its records, the lines of scope that held on a day, every suspension."""
    out = Output(as_json)
    request = GetLaboratoryRequest(cma_no=cma_no, uscc=uscc, on=on, factor_code=factor, method_standard=method)
    with client(profile) as node:
        answer = node.call(node.laboratories.GetLaboratory, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    day = next((view.on for view in answer.laboratories), on)
    out.facts((("cma_no", cma_no), ("on", day), ("lab_standing", _standing_word(answer.standing))))
    out.table(_HEADINGS, [_cells(view) for view in answer.laboratories])
    scope = [
        (line.object, line.factor_code, line.parameter, line.method_standard, line.valid_from, line.valid_until)
        for view in answer.laboratories
        for line in view.scope
    ]
    headings = ("object", "factor", "parameter", "method", "valid_from", "valid_until")
    out.table(headings, scope, title=t("title.lab_scope", on=day))
    rows = list(_suspensions(answer.laboratories))
    if rows:
        out.table(("origin", "valid_from", "valid_until", "ground", "document_no"), rows, title=t("title.suspensions"))


def _suspensions(views: Iterable[LaboratoryView]) -> Iterable[tuple[object, ...]]:
    for view in views:
        for each in _body(view).suspensions:
            origin = view.record.ref.origin
            yield origin, each.suspended_from, each.suspended_until, each.ground, each.document_no


def _cells(view: LaboratoryView) -> tuple[object, ...]:
    body = _body(view)
    return (
        body.cma_no,
        f"{body.subject.name} {body.subject.uscc}".strip(),
        view.record.ref.origin,
        _standing_word(view.standing),
        word("lab_state", LabState.Name(body.state).removeprefix("LAB_STATE_")) if body.state else "",
        body.valid_from,
        body.valid_until,
        words.standing_word(view.record),
    )


def _body(view: LaboratoryView) -> LabQualification:
    """What the record says; nothing where a tombstone stands for it."""
    return view.record.record.lab_qualification


def _standing_word(standing: LabStanding.ValueType) -> str:
    return word("lab_standing", LabStanding.Name(standing).removeprefix("LAB_STANDING_")) if standing else ""
