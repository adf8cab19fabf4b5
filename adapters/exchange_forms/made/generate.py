"""Documents for volume, in one side's layout: what ``python -m exchange_<region>.generate`` does."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import exchange.tables
from exchange.domain.catalogues import tables as domain_tables
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Kind
from exchange_forms.adapter import FormsAdapter, make_adapter
from exchange_forms.made.making import AUTHORITY, made_firm, made_uscc
from exchange_forms.sides.side import Side
from exchange_forms.writing import columns_of
from exchange_sheets import OutSheet, write_csv, write_json, write_xlsx
from exchange_sheets.limits import MAX_ROWS

PART_ROWS: Final = 2_000
"""Rows of a part where a folder is written: about 1 MiB, a third of what one document may have."""

AUTHORITY_NUMBER: Final = 999_001
"""Number of the made-up authority's code."""

YEAR: Final = 2024
_KINDS: Final = {"credit": Kind.KIND_CREDIT_RESULT, "penalty": Kind.KIND_PENALTY_NOTICE}
_USAGE: Final = """python -m {package}.generate credit|penalty COUNT SEED OUT
OUT is a file ending in .xlsx, .csv or .json (up to {rows} rows), or a folder, which gets CSV files of {part} rows."""
_WATER_LAW: Final = "《中华人民共和国水污染防治法》第八十三条"
_PERMIT_LAW: Final = "《排污许可管理条例》第三十六条"
_LEVELS: Final = (("GREEN", 30), ("BLUE", 50), ("YELLOW", 15), ("RED", 5))
_VIOLATIONS: Final = ("超标排放水污染物", "超标排放大气污染物", "未按规定贮存危险废物", "未按排污许可证规定监测")


def authority_of(side: Side) -> tuple[str, str]:
    """USCC and name of the made-up authority that states generated facts."""
    return made_uscc(side.name, AUTHORITY_NUMBER, AUTHORITY), f"演示{side.title[:2]}生态环境局"


def rows_of(side: Side, kind: Kind.ValueType, count: int, seed: int) -> Iterator[dict[str, str]]:
    """Rows by field; the same seed gives the same rows. Every row is sound: awkward ones are in the samples.

    Args:
        side: The side whose words are used.
        kind: Credit results or penalties.
        count: Rows; each is of another firm.
        seed: Of everything but the firms.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up data must be the same again, not secret
    make = _credit if kind == Kind.KIND_CREDIT_RESULT else _penalty
    counties = [code for code in side.places.names if not code.endswith("00") and code[4] != "X"]
    for number in range(count):
        county = counties[chance.randrange(len(counties))]
        uscc, name = authority_of(side)
        firm = made_uscc(side.name, number)
        yield {
            "ignored": str(number + 1),
            "name": made_firm(number),
            "uscc": firm,
            "subject_kind": side.subject_kinds.texts["ORGANISATION"],
            "city": side.places.names.get(f"{county[:4]}00", ""),
            "county": side.places.names[county],
            "authority_uscc": uscc,
            "authority_name": name,
            **make(side, chance, number, firm),
        }


def _credit(side: Side, chance: random.Random, number: int, firm: str) -> dict[str, str]:
    rule = next(each for each in side.credit.scheme_rules.values() if each.first_year <= YEAR <= each.last_year)
    scheme = side.domain.schemes.by_id[rule.scheme_id]
    level = chance.choices([name for name, _ in _LEVELS], [weight for _, weight in _LEVELS])[0]
    band = next(each for each in scheme.bands if each.level == CreditLevel.Value(f"CREDIT_LEVEL_{level}"))
    low = band.low if band.low is not None else Decimal(40)
    high = band.high if band.high is not None else low + 9
    score = low + chance.randrange(int(high - low))
    if not scheme.score_integer:
        score += Decimal(chance.randrange(10)) / 10
    bonus = Decimal(min(5, chance.randrange(6))) if score > 5 else Decimal(0)
    return {
        "permit_code": f"{firm}001P" if number % 3 else "",
        "year": str(YEAR),
        "base_score": str(score - bonus),
        "bonus_score": str(bonus),
        "score": str(score),
        "level": side.credit.levels.texts[level],
        "colour": side.credit.colours.texts[level],
        "scheme": rule.scheme_id,
        "state": side.credit.states.texts["FINAL"],
        "published_on": f"{YEAR + 1}-11-{chance.randrange(1, 29):02d}",
        "legal_basis": "环发〔2013〕150号",
        "document_no": f"演示〔{YEAR + 1}〕{chance.randrange(1, 90)}号",
    }


def _penalty(side: Side, chance: random.Random, number: int, firm: str) -> dict[str, str]:
    wan = Decimal(chance.randrange(5_000, 800_000)) / 10_000
    violation = _VIOLATIONS[chance.randrange(len(_VIOLATIONS))]
    uscc, name = authority_of(side)
    return {
        "decision_no": f"演示环罚〔{YEAR}〕{number + 1}号",
        "violation_type": violation,
        "violation_facts": f"演示数据：该单位{violation}（编号{firm[-6:]}）。",
        "legal_basis": _WATER_LAW if "水" in violation else _PERMIT_LAW,
        "penalty_types": chance.choice(("罚款", "罚款、警告", "警告", "罚款；责令改正")),
        "content": f"罚款{wan * 10_000:.0f}元",
        "fine": str(wan),
        "decided_on": f"{YEAR}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
        "effective_until": side.no_end_text,
        "publicity_until": f"{YEAR + 1}-{chance.randrange(1, 13):02d}-15",
        "source_unit_name": name,
        "source_unit_uscc": uscc,
    }


def document(side: Side, kind: Kind.ValueType, rows: Sequence[dict[str, str]], form: str) -> bytes:
    """Rows as one document: ``xlsx``, ``csv`` or ``json``."""
    columns = columns_of(side, kind)
    sheet = OutSheet(
        name="演示数据",
        title=f"{side.title}（演示数据）" if form == "xlsx" else "",
        headings=[column.heading for column in columns],
        rows=[[row.get(column.field, "") for column in columns] for row in rows],
        numeric=[n for n, column in enumerate(columns, start=1) if column.numeric],
    )
    if form == "xlsx":
        return write_xlsx([sheet])
    return write_csv(sheet) if form == "csv" else write_json(sheet)


def side_of(package: str) -> FormsAdapter:
    """A region's adapter with the tables shipped with the program."""
    return make_adapter(package, domain_tables.load(exchange.tables.read_all()), {})


def main(package: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        Exit status: 0 done, 2 usage.
    """
    usage = _USAGE.format(package=package, rows=MAX_ROWS, part=PART_ROWS)
    if len(arguments) != 4 or arguments[0] not in _KINDS or not all(each.isdecimal() for each in arguments[1:3]):
        sys.stderr.write(usage + "\n")
        return 2
    kind, count, seed, target = _KINDS[arguments[0]], int(arguments[1]), int(arguments[2]), Path(arguments[3])
    side = side_of(package).tables
    form = target.suffix.removeprefix(".")
    rows = rows_of(side, kind, count, seed)
    if form in ("xlsx", "csv", "json"):
        if count > MAX_ROWS:
            sys.stderr.write(usage + "\n")
            return 2
        target.write_bytes(document(side, kind, list(rows), form))
        return 0
    target.mkdir(parents=True, exist_ok=True)
    part: list[dict[str, str]] = []
    number = 0
    for row in rows:
        part.append(row)
        if len(part) == PART_ROWS:
            number += 1
            (target / f"{arguments[0]}-{number:04d}.csv").write_bytes(document(side, kind, part, "csv"))
            part = []
    if part:
        (target / f"{arguments[0]}-{number + 1:04d}.csv").write_bytes(document(side, kind, part, "csv"))
    return 0
