"""Maps a row of the 双公示 layouts of administrative penalties."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from exchange.domain.adapter import NativeDocument
from exchange.v1.common_pb2 import OtherId, SubjectKind
from exchange.v1.measure_pb2 import Measure
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange_forms.privacy import ID_REMOVED
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import PenaltyTables, Side
from exchange_forms.subject import map_area, map_header, map_subject
from exchange_sheets import Cell, TableRow, plain_text
from exchange_sheets.book import in_words

FILE: Final = "penalty.toml"
PUBLICITY: Final = "publicity.toml"
"""The domain's table of repair rules."""

YUAN_PER_WAN: Final = Decimal(10_000)
"""1 万元 is 10,000 元."""

OTHER_IDS: Final = (
    ("id_business", "BUSINESS_REGISTRATION"),
    ("id_organisation", "ORGANISATION_CODE"),
    ("id_tax", "TAX"),
    ("id_public", "PUBLIC_INSTITUTION"),
    ("id_social", "SOCIAL_ORGANISATION"),
)
"""Columns of registration numbers older than the USCC, with the scheme of each."""

_LIST = re.compile(r"[、，,；;/|+\n]+")
_MEASURE = re.compile(r"([ABC][1-9][0-9]?)(?:[ :：、].*)?", re.DOTALL)
_TEXTS: Final = (
    ("violation_type", "violation_type"),
    ("content", "content"),
    ("revoked_licence", "revoked_licence"),
    ("note", "note"),
)


def map_penalty(row: TableRow, side: Side, document: NativeDocument, columns: frozenset[str]) -> RowMapping:
    """Map one row.

    Args:
        row: The row, after redaction.
        side: The side's tables.
        document: What the file itself does not say.
        columns: Fields that the table has a column for.
    """
    mapping = RowMapping(row, side, "penalty_notice")
    map_header(mapping, document, side.penalty.sharing, FILE)
    _map_subject(mapping)
    map_area(mapping)
    _map_decision(mapping)
    for field, path in _TEXTS:
        _map_text(mapping, field, path)
    _map_facts(mapping)
    mapping.texts("legal_basis", "legal_basis")
    _map_types(mapping)
    _map_money(mapping)
    mapping.day("effective_until", "effective_until")
    mapping.day("publicity_until", "publicity_until")
    _map_state(mapping, columns)
    _map_notice(mapping)
    _compute_publicity(mapping)
    mapping.text("source_unit_name", "source_unit.name")
    mapping.uscc("source_unit_uscc", "source_unit.uscc")
    return mapping


def _map_subject(row: RowMapping) -> None:
    map_subject(row)
    others: list[OtherId] = []
    source = ""
    for field, scheme in OTHER_IDS:
        code = row.code_cell(field)
        if code is not None:
            others.append(OtherId(scheme=scheme, value=code.text.strip()))
            source = source or code.address
    if others:
        row.put("subject.other_ids", others, source, "as-written")


def _map_facts(row: RowMapping) -> None:
    """违法事实 and 处罚事由 are one field: editions call it differently, and a file that has both may fill both."""
    facts, cause = row.cell("violation_facts"), row.cell("violation_cause")
    _map_text(row, "violation_cause" if facts is None else "violation_facts", "violation_facts")
    if facts is not None and cause is not None and cause.text.strip() not in facts.text:
        body = row.record.penalty_notice
        body.violation_facts = f"{body.violation_facts}\n{cause.text.strip()}"
        row.note("violation_facts", cause.address, "joined", lossy=True)


def _map_text(row: RowMapping, field: str, path: str) -> None:
    cell = row.cell(field)
    text = cell.text.strip() if cell is not None else ""
    if cell is None or not text:
        return
    subject = row.record.penalty_notice.subject
    masked = subject.kind == SubjectKind.SUBJECT_KIND_NATURAL_PERSON and subject.name in text
    row.put(path, text, cell.address, "masked" if masked else "as-written", lossy=masked or ID_REMOVED in text)


def _map_decision(row: RowMapping) -> None:
    cell = row.code_cell("decision_no")
    if cell is not None:
        number = cell.text.strip()
        row.put("decision_no", number, cell.address, "as-written")
        row.put("header.issued.document_no", number, cell.address, "as-written")
    day = row.day("decided_on", "decided_on")
    source = row.row.cells.get("decided_on")
    if day is None and source is None:
        source = row.row.cells.get("effective_from")
        day = row.day("effective_from", "decided_on")
        if day is not None and source is not None:
            # 2016 files name the day on which the decision took effect, and no other.
            row.lines.pop()
            row.note("decided_on", source.address, "effective-day-for-decision-day", lossy=True)
    if day is not None and source is not None:
        row.put("header.issued.issued_on", day.isoformat(), source.address, "date")


def divide_types(text: str, tables: PenaltyTables) -> tuple[list[str], list[str], list[str]]:
    """Penalty types, orders, and texts that are neither, in their order and each once."""
    whole = tables.types.find(text)
    types: list[str] = []
    orders: list[str] = []
    unknown: list[str] = []
    for part in [text] if whole is not None else _LIST.split(text):
        word = part.strip()
        if not word:
            continue
        value = tables.types.find(word)
        if value is not None:
            if value not in types:
                types.append(value)
        elif tables.orders.find(word) is not None:
            if word not in orders:
                orders.append(word)
        else:
            unknown.append(word)
    return types, orders, unknown


def _map_types(row: RowMapping) -> None:
    cells = [cell for cell in (row.cell("penalty_types"), row.cell("penalty_types_2")) if cell is not None]
    types: list[str] = []
    orders: list[str] = []
    for cell in cells:
        found, ordered, unknown = divide_types(cell.text, row.side.penalty)
        types += [each for each in found if each not in types]
        orders += [each for each in ordered if each not in orders]
        for word in unknown:
            row.fault("PENALTY_TYPE_UNMAPPED", cell, in_words(word, 40))
    if cells:
        address = cells[0].address
        row.put("source_penalty_types", "；".join(cell.text.strip() for cell in cells), address, "as-written")
        if types:
            row.put("penalty_types", [PenaltyType.Value(f"PENALTY_TYPE_{each}") for each in types], address, "alias")
        if orders:
            row.put("orders", orders, address, "order-is-no-penalty")
    more = row.cell("orders")
    if more is not None:
        added = [each for each in (part.strip() for part in re.split(r"[；;|\n]+", more.text)) if each]
        added = [each for each in dict.fromkeys(added) if each not in orders]
        if added:
            row.put("orders", added, more.address, "list")


def _map_money(row: RowMapping) -> None:
    for field, path in (("fine", "fine_cny"), ("confiscation", "confiscation_cny")):
        found = row.number(field)
        if found is not None:
            _put_money(row, path, wan_to_yuan(found[0]), found[1], "wan-to-yuan")
        exact = row.number(f"{field}_yuan")
        if exact is not None:
            _put_money(row, path, exact[0], exact[1], "decimal")


def wan_to_yuan(amount: Decimal) -> Decimal:
    """Yuan of an amount in 万元, exactly: the decimal point moves, and nothing is rounded."""
    sign, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("not a finite number")
    return Decimal((sign, digits, exponent + 4))


def _put_money(row: RowMapping, path: str, amount: Decimal, cell: Cell, rule: str) -> None:
    if amount == 0:
        row.note(path, cell.address, "zero-is-none", lossy=True)
        return
    row.put(path, plain_text(amount), cell.address, rule)


def _map_state(row: RowMapping, columns: frozenset[str]) -> None:
    chosen = row.choice("state", row.side.penalty.states, "STATE_UNMAPPED")
    if chosen is not None:
        row.put("state", PenaltyState.Value(f"PENALTY_STATE_{chosen[0]}"), chosen[1].address, "alias")
    elif "state" not in columns or "state" not in row.row.cells:
        # The current layout has no states: what it carries is in force.
        row.put("state", PenaltyState.PENALTY_STATE_ISSUED, FILE, "default")


def _map_notice(row: RowMapping) -> None:
    tables = row.side.penalty
    kind = row.choice("notice_kind", tables.notice_kinds, "NOTICE_KIND_UNMAPPED")
    if kind is not None:
        row.put("notice_kind", NoticeKind.Value(f"NOTICE_KIND_{kind[0]}"), kind[1].address, "alias")
    elif "notice_kind" not in row.row.cells:
        row.put("notice_kind", NoticeKind.NOTICE_KIND_PENALTY, FILE, "default")
    chosen = row.choice("dishonesty_class", tables.classes, "DISHONESTY_CLASS_UNMAPPED")
    if chosen is not None:
        value = DishonestyClass.Value(f"DISHONESTY_CLASS_{chosen[0]}")
        row.put("dishonesty_class", value, chosen[1].address, "alias")
    elif row.cell("dishonesty_class") is None:
        row.put("dishonesty_class", DishonestyClass.DISHONESTY_CLASS_NOT_STATED, FILE, "default")
    _map_measures(row)


def _compute_publicity(row: RowMapping) -> None:
    """Dates by the repair rule of the day of the decision; none where the document states no class."""
    body = row.record.penalty_notice
    if not body.decided_on:
        return
    found = row.side.domain.publicity.compute(date.fromisoformat(body.decided_on), body.dishonesty_class)
    if found is None:
        return
    rule = f"repair-rule:{found.rule.rule_id}"
    if found.min_until is not None:
        row.put("publicity_min_until", found.min_until.isoformat(), PUBLICITY, rule)
    row.put("publicity_max_until", found.max_until.isoformat(), PUBLICITY, rule)
    row.put("repair_rule", found.rule.name, PUBLICITY, rule)


def _map_measures(row: RowMapping) -> None:
    cell = row.cell("measures")
    if cell is None:
        return
    catalogue, edition = row.side.penalty.measures
    basis_cell = row.cell("measure_basis")
    basis = [part.strip() for part in re.split(r"[；;|\n]+", basis_cell.text) if part.strip()] if basis_cell else []
    measures: list[Measure] = []
    for part in re.split(r"[；;，,|\n]+", cell.text):
        match = _MEASURE.fullmatch(part.strip())
        known = row.side.domain.measures.find(catalogue, edition, match[1]) if match else None
        if known is None:
            row.fault("MEASURE_UNMAPPED", cell, in_words(part, 40))
            continue
        recommended = known.measure_class == "C"
        measures.append(
            Measure(
                catalogue=catalogue,
                edition=edition,
                code=known.code,
                addressee="MARKET" if recommended else "GOVERNMENT",
                recommendation=recommended,
                legal_basis=basis,
            )
        )
    if measures:
        row.put("measures", measures, cell.address, "measure-code")
