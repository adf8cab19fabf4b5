"""``stations``: stations and outlets of both regions that stated readings."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import show, walk
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, Undecidable, moment
from exchange.cli.texts import t
from exchange.v1.monitoring_service_pb2 import ListStationsRequest, StationView

app = typer.Typer(help=t("help.stations"), no_args_is_help=True)

OriginOption = Annotated[str, typer.Option("--origin", help=t("option.origin"))]
SectionOption = Annotated[str, typer.Option("--section", help=t("option.section"))]
FactorOption = Annotated[str, typer.Option("--factor", help=t("option.only_factor"))]

_HEADINGS = ("station", "origin", "station_name", "section", "outlet", "uscc", "area", "medium", "factors", "last_data")
_EVERY_ORIGIN = 100


@app.command("list", help=t("help.stations_list"))
def list_stations(
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    area: Annotated[str, typer.Option("--area", help=t("option.area"))] = "",
    section: SectionOption = "",
    factor: FactorOption = "",
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List stations in order of origin and id."""
    request = ListStationsRequest(origin=origin, area=area, section_id=section, factor_code=factor)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.monitoring.ListStations, request, "stations", files.limit(limit))
        files.show(Output(as_json), "stations", _HEADINGS, rows, _cells)


@app.command("show", help=t("help.stations_show"))
def show_station(
    station: Annotated[str, typer.Argument(help=t("option.station"))],
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one station as each side last stated it."""
    out = Output(as_json)
    request = ListStationsRequest(origin=origin, station_id=station)
    with client(profile) as node:
        rows = list(walk(node, node.monitoring.ListStations, request, "stations", _EVERY_ORIGIN))
    if not rows:
        raise Undecidable("NO_RECORD", station)
    if out.as_json:
        show(out, "stations", rows, _HEADINGS, _cells)
    for row in rows:
        out.facts((*zip(_HEADINGS, _cells(row), strict=True), ("permit", row.station.permit_code)))


def _cells(row: StationView) -> tuple[object, ...]:
    station = row.station
    return (
        station.station_id,
        row.origin,
        station.name,
        station.section_id,
        station.outlet_code,
        station.uscc,
        station.area_code,
        row.medium_code,
        " ".join(row.factor_codes),
        moment(row.last_data_time),
    )
