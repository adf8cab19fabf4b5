"""``readings``: values of stations of both regions, with what may be concluded from each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.registers.stations import FactorOption, OriginOption, SectionOption
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.moments import read_moment
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import JsonOption, ProfileOption, client, read_choice
from exchange.cli.output import Output, moment
from exchange.cli.texts import t, word
from exchange.v1.lab_qualification_pb2 import LabStanding
from exchange.v1.monitoring_batch_pb2 import Interval, ValueKind
from exchange.v1.monitoring_service_pb2 import ListReadingsRequest

if TYPE_CHECKING:
    from exchange.v1.monitoring_service_pb2 import ReadingView

app = typer.Typer(help=t("help.readings"), no_args_is_help=True)

_HEADINGS = (
    "data_time",
    "station",
    "section",
    "origin",
    "factor",
    "interval",
    "statistic",
    "value",
    "unit",
    "flag",
    "usable",
    "outcome",
    "reasons",
    "conditions",
    "lab",
    "lab_standing",
    "revision",
    "record_id",
)

"""Columns of a file."""

_SHORT = ("data_time", "station", "factor", "statistic", "value", "unit", "flag", "usable", "outcome")
"""Columns of a screen: what they leave out stands in a file, and in JSON."""


@app.command("list", help=t("help.readings_list"))
def list_readings(
    profile: ProfileOption = None,
    *,
    station: Annotated[str, typer.Option("--station", "-s", help=t("option.only_station"))] = "",
    section: SectionOption = "",
    factor: FactorOption = "",
    interval: Annotated[str, typer.Option("--interval", help=t("option.interval"))] = "",
    since: Annotated[str, typer.Option("--from", help=t("option.data_from"))] = "",
    until: Annotated[str, typer.Option("--until", help=t("option.data_until"))] = "",
    origin: OriginOption = "",
    replaced: Annotated[bool, typer.Option("--replaced", help=t("option.readings_replaced"))] = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List readings of a station or of a section, newest first."""
    if not station and not section:
        raise typer.BadParameter(t("message.station_or_section"))
    request = ListReadingsRequest(
        station_id=station, section_id=section, factor_code=factor, origin=origin, include_replaced=replaced
    )
    request.interval = Interval.ValueType(read_choice(interval, dict(Interval.items()), "INTERVAL_"))
    begin, end = read_moment(since, "--from"), read_moment(until, "--until")
    if begin is not None:
        getattr(request, "from").FromDatetime(begin)
    if end is not None:
        request.until.FromDatetime(end)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.monitoring.ListReadings, request, "readings", files.limit(limit))
        if files.wanted:
            files.show(Output(as_json), "readings", _HEADINGS, rows, _cells)
        else:
            files.show(Output(as_json), "readings", _SHORT, rows, _short_cells)


def _short_cells(row: ReadingView) -> tuple[object, ...]:
    told = dict(zip(_HEADINGS, _cells(row), strict=True))
    why = "\n".join(str(told[name]) for name in ("outcome", "reasons", "conditions") if told[name])
    return (*(told[name] for name in _SHORT[:-1]), why)


def _cells(row: ReadingView) -> tuple[object, ...]:
    return (
        moment(row.point.data_time),
        row.station_id,
        row.section_id,
        row.origin,
        row.factor_code,
        word("interval", Interval.Name(row.interval).removeprefix("INTERVAL_")),
        word("value_kind", ValueKind.Name(row.value_kind).removeprefix("VALUE_KIND_")),
        # As it was stated; the sign says that it lies below the limit of detection.
        f"<{row.point.detection_limit or row.point.value}" if row.point.below_detection_limit else row.point.value,
        row.unit,
        row.point.source_flag,
        row.usable,
        words.outcome_word(row.outcome),
        "; ".join(row.reasons),
        words.condition_words(row.conditions),
        row.lab_cma_no,
        word("lab_standing", LabStanding.Name(row.lab_standing).removeprefix("LAB_STANDING_"))
        if row.lab_standing
        else "",
        row.revision,
        row.record_id,
    )
