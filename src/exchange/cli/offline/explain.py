"""``explain``: what a reason code says and what to do about it, and how a date of publicity or repair is computed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, Undecidable, finish
from exchange.cli.texts import CHINESE, ENGLISH, reasons, t, word
from exchange.domain.catalogues.calendars import CalendarMissing
from exchange.domain.catalogues.publicity import STATED_CLASSES
from exchange.v1.penalty_notice_pb2 import DishonestyClass

if TYPE_CHECKING:
    from datetime import date

    from exchange.domain.catalogues.tables import Tables

_DAY: Final = ["%Y-%m-%d"]


def explain(
    codes: Annotated[list[str] | None, typer.Argument(help=t("option.reason_code"), metavar="[REASON…]")] = None,
    *,
    decided_on: Annotated[
        datetime | None, typer.Option("--decided-on", help=t("option.decided_on"), formats=_DAY, show_default=False)
    ] = None,
    dishonesty: Annotated[
        str, typer.Option("--class", help=t("option.dishonesty_class"), metavar="|".join(STATED_CLASSES))
    ] = "",
    granted_on: Annotated[
        datetime | None, typer.Option("--granted-on", help=t("option.granted_on"), formats=_DAY, show_default=False)
    ] = None,
    tables: Annotated[
        Path | None, typer.Option("--tables", help=t("option.tables"), file_okay=False, exists=True, show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain reason codes in both languages, publicity of a penalty, or the day by which a repair is due."""
    out = Output(as_json)
    if decided_on is not None:
        finish(_explain_publicity(out, domain_tables(tables), decided_on.date(), dishonesty.upper()))
    if granted_on is not None:
        finish(_explain_repair(out, domain_tables(tables), granted_on.date()))
    if not codes:
        raise typer.BadParameter(t("message.nothing_to_explain"))
    finish(_explain_codes(out, codes))


def _explain_codes(out: Output, codes: list[str]) -> Exit:
    table = reasons()
    known = [code for code in codes if code in table.codes]
    unknown = [code for code in codes if code not in table.codes]
    if out.as_json:
        out.value(
            [
                {
                    "reason": code,
                    **{
                        lang: {"message": table.text(code, lang).message, "remedy": table.text(code, lang).remedy}
                        for lang in (CHINESE, ENGLISH)
                    },
                }
                for code in known
            ]
        )
    for code in known:
        zh, en = table.text(code, CHINESE), table.text(code, ENGLISH)
        out.say(code, style="bold")
        for line in (zh.message, f"→ {zh.remedy}", en.message, f"→ {en.remedy}"):
            out.say(f"  {line}")
    for code in unknown:
        out.say(t("message.unknown_reason", code=code), style="bold red")
    return Exit.FINDING if unknown else Exit.DONE


def _explain_publicity(out: Output, tables: Tables, decided_on: date, stated: str) -> Exit:
    """The rule of the day, and the dates of each class that is asked for; a finding where no rule is in force."""
    if stated and stated not in STATED_CLASSES:
        raise typer.BadParameter(t("message.unknown_class", name=stated, known=", ".join(STATED_CLASSES)))
    rule = tables.publicity.chosen(decided_on)
    if rule is None:
        out.say(t("message.no_repair_rule", day=decided_on), style="bold red")
        if out.as_json:
            out.value({"decided_on": decided_on.isoformat(), "repair_rule": None, "publicity": []})
        return Exit.FINDING
    rows = []
    for name in [stated] if stated else STATED_CLASSES:
        found = tables.publicity.compute(decided_on, DishonestyClass.Value(f"DISHONESTY_CLASS_{name}"), rule)
        if found is not None:
            rows.append((name, found))
    if out.as_json:
        out.value(
            {
                "decided_on": decided_on.isoformat(),
                "repair_rule": rule.name,
                "source": rule.source,
                "publicity": [
                    {
                        "class": name,
                        "min_months": found.period.min_months,
                        "publicity_min_until": found.min_until.isoformat() if found.min_until else None,
                        "max_months": found.period.max_months,
                        "publicity_max_until": found.max_until.isoformat(),
                    }
                    for name, found in rows
                ],
            }
        )
    out.facts([("decided_on", decided_on), ("repair_rule", rule.name), ("source", rule.source)])
    out.table(
        ("dishonesty_class", "min_months", "publicity_min_until", "max_months", "publicity_max_until"),
        [
            (
                word("dishonesty_class", name),
                found.period.min_months,
                found.min_until,
                found.period.max_months,
                found.max_until,
            )
            for name, found in rows
        ],
    )
    return Exit.DONE


def _explain_repair(out: Output, tables: Tables, granted_on: date) -> Exit:
    """The day by which a repair has reached every door, and the working days counted until then."""
    rules, calendars = tables.publicity, tables.calendars
    try:
        days = calendars.working_days_after(granted_on, rules.repair_working_days)
    except CalendarMissing as missing:
        raise Undecidable(missing.reason, f"calendar_{missing.year}.toml") from None
    between = [
        (day, calendars.years[day.year].off[day])
        for day in sorted(day for year in calendars.years.values() for day in year.off)
        if granted_on < day < days[-1]
    ]
    if out.as_json:
        out.value(
            {
                "granted_on": granted_on.isoformat(),
                "due_by": days[-1].isoformat(),
                "working_days": [day.isoformat() for day in days],
                "holidays_between": {day.isoformat(): name for day, name in between},
                "source": rules.repair_source,
                "calendars": [calendars.years[year].source for year in sorted({day.year for day in days})],
            }
        )
    out.facts(
        [
            ("granted_on", granted_on),
            ("due_by", days[-1]),
            ("working_days", "\n".join(day.isoformat() for day in days)),
            ("holidays_between", "\n".join(f"{day} {name}" for day, name in between)),
            ("source", rules.repair_source),
            ("calendar", "\n".join(calendars.years[year].source for year in sorted({day.year for day in days}))),
        ]
    )
    return Exit.DONE
