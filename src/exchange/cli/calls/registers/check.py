"""``check``: look a firm up before deciding a matter (逢办必查)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calls.exchanged.records import RECORD_HEADINGS, view_cells
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, Files, XlsxOption
from exchange.cli.options import JsonOption, ProfileOption, client, read_choice
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t, word
from exchange.v1.check_service_pb2 import (
    ApplicableMeasure,
    BatchCheckSubjectsRequest,
    BatchCheckSubjectsResponse,
    CheckedSubject,
    CheckSubjectRequest,
    MeasureEffect,
    MeasureStrength,
)
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge
from exchange.v1.matter_pb2 import MatterKind


def check(
    uscc: Annotated[str, typer.Argument(help=t("option.uscc"))] = "",
    profile: ProfileOption = None,
    *,
    many: Annotated[Path | None, typer.Option("--from", help=t("option.check_from"))] = None,
    matter: Annotated[str, typer.Option("--matter", help=t("option.matter"))],
    matter_no: Annotated[str, typer.Option("--matter-no", help=t("option.matter_no"))],
    purpose: Annotated[str, typer.Option("--purpose", help=t("option.purpose"))],
    officer: Annotated[str, typer.Option("--officer", help=t("option.officer"))],
    area: Annotated[str, typer.Option("--area", help=t("option.area"))] = "",
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check one firm during a matter, or many for planning; the check is journaled."""
    out = Output(as_json)
    kind = MatterKind.ValueType(read_choice(matter, dict(MatterKind.items()), "MATTER_KIND_"))
    if (many is None) == (not uscc):
        raise typer.BadParameter(t("message.one_or_many"))
    files = Files(csv, xlsx)
    if files.wanted and many is None:
        raise typer.BadParameter(t("message.files_of_many"), param_hint="--csv, --xlsx")
    if many is not None:
        wanted = BatchCheckSubjectsRequest(
            usccs=many.read_text("utf-8").split(),
            matter_kind=kind,
            matter_no=matter_no,
            purpose=purpose,
            officer_ref=officer,
            area_code=area,
        )
        with client(profile) as node:
            _show_many(out, files, node.call(node.checks.BatchCheckSubjects, wanted))
        return
    request = CheckSubjectRequest(uscc=uscc, matter_no=matter_no, purpose=purpose, officer_ref=officer, area_code=area)
    request.matter_kind = kind
    with client(profile) as node:
        answer = node.call(node.checks.CheckSubject, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    out.facts(
        (
            ("check_id", answer.check_id),
            ("answered", moment(answer.answered_at)),
            ("journal_entry", f"{answer.journal} #{answer.journal_index}"),
        )
    )
    out.table(
        ("origin", "knowledge", "level"),
        [
            (
                region.origin,
                word("knowledge", Knowledge.Name(region.knowledge).removeprefix("KNOWLEDGE_")),
                word("level", CreditLevel.Name(region.decisive_level).removeprefix("CREDIT_LEVEL_"))
                if region.decisive_level
                else "",
            )
            for region in answer.credit
        ],
        title=t("title.credit"),
    )
    results = [view for region in answer.credit for view in region.results]
    if results:
        out.table(RECORD_HEADINGS, [view_cells(view) for view in results], title=t("title.results"))
    out.table(MEASURE_HEADINGS, [measure_cells(each) for each in answer.measures], title=t("title.measures"))
    if answer.lists:
        out.table(RECORD_HEADINGS, [view_cells(view) for view in answer.lists], title=t("title.lists"))
    found = word("knowledge", Knowledge.Name(answer.notice_knowledge).removeprefix("KNOWLEDGE_"))
    out.table(RECORD_HEADINGS, [view_cells(v) for v in answer.notices], title=t("title.notices", knowledge=found))
    out.table(
        ("peer", "lane", "complete_until", "stale"),
        [(f.peer, words.lane_word(f.lane), moment(f.complete_until), f.stale) for f in answer.freshness],
        title=t("title.freshness"),
    )


MEASURE_HEADINGS = ("code", "measure", "effect", "strength", "outcome", "record_id", "due_on")
"""Columns of measures."""


def measure_cells(each: ApplicableMeasure) -> tuple[object, ...]:
    """One measure as a row."""
    return (
        each.measure.code,
        each.name,
        word("effect", MeasureEffect.Name(each.effect).removeprefix("MEASURE_EFFECT_")),
        word("strength", MeasureStrength.Name(each.strength).removeprefix("MEASURE_STRENGTH_")),
        words.outcome_word(each.outcome) if each.outcome else word("standing", "ORIGIN"),
        each.source.record_id,
        each.feedback_due_on,
    )


_MANY_HEADINGS = ("uscc", "knowledge", "level", "notices", "lists", "measures", "reasons")


def _show_many(out: Output, files: Files, answer: BatchCheckSubjectsResponse) -> None:
    lines = [_many_cells(each) for each in answer.subjects]
    if files.wanted:
        files.write(out, "checks", _MANY_HEADINGS, lines)
    if out.as_json:
        out.value(as_dict(answer))
        return
    out.facts(
        (
            ("check_id", answer.check_id),
            ("answered", moment(answer.answered_at)),
            ("journal_entry", f"{answer.journal} #{answer.journal_index}"),
        )
    )
    if not files.wanted:
        out.table(_MANY_HEADINGS, lines)


def _many_cells(each: CheckedSubject) -> tuple[object, ...]:
    level = CreditLevel.Name(each.decisive_level).removeprefix("CREDIT_LEVEL_") if each.decisive_level else ""
    return (
        each.uscc,
        # No record, not evaluated and a peer that is behind are three answers.
        "\n".join(
            f"{region.origin} {word('knowledge', Knowledge.Name(region.knowledge).removeprefix('KNOWLEDGE_'))}"
            for region in each.credit
        ),
        word("level", level) if level else "",
        len(each.notices),
        len(each.lists),
        "\n".join(measure.name for measure in each.measures),
        words.reason_words(each.problems),
    )
