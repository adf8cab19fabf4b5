"""Maps a row of a form of credit results."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Final

from exchange.domain.adapter import NativeDocument
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState, NotEvaluatedReason, VetoReason
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import Side
from exchange_forms.subject import map_area, map_header, map_subject_kind
from exchange_sheets import Cell, TableRow, plain_text
from exchange_sheets.book import in_words

FILE: Final = "credit.toml"
_YEAR = re.compile(r"((?:19|20)[0-9]{2}) ?(?:年|年度)?(?:\.0)?")
_LIST = re.compile(r"[；;|\n]+")


def map_credit(row: TableRow, side: Side, document: NativeDocument, columns: frozenset[str]) -> RowMapping:
    """Map one row.

    Args:
        row: The row, after redaction.
        side: The side's tables.
        document: What the file itself does not say.
        columns: Fields that the table has a column for.
    """
    mapping = RowMapping(row, side, "credit_result")
    map_header(mapping, document, side.credit.sharing, FILE)
    mapping.text("document_no", "header.issued.document_no")
    mapping.text("approver", "header.issued.approver")
    mapping.day("issued_on", "header.issued.issued_on")
    uscc = mapping.uscc("uscc", "subject.uscc")
    mapping.text("name", "subject.name", may_be_blank=False)
    map_subject_kind(mapping, uscc)
    map_area(mapping)
    mapping.code("permit_code", "subject.permit_code")
    year = _map_year(mapping)
    _map_level(mapping)
    _map_not_evaluated(mapping, columns)
    scheme_id = _map_scheme(mapping, year)
    vetoed = _map_vetoes(mapping)
    _map_scores(mapping, scheme_id, vetoed=vetoed)
    _map_state(mapping, columns)
    mapping.day("published_on", "published_on")
    mapping.day("publicity_until", "publicity_until")
    mapping.day("valid_until", "valid_until")
    declared = mapping.choice("self_declared", side.yes_no, "YES_NO_UNMAPPED")
    if declared is not None:
        mapping.put("self_declared", declared[0] == "TRUE", declared[1].address, "alias")
    mapping.texts("legal_basis", "legal_basis")
    mapping.text("objection", "objection")
    return mapping


def _map_year(row: RowMapping) -> int:
    """The evaluated year, and the window: as written, else that calendar year (环发〔2013〕150号)."""
    cell = row.cell("year")
    year = 0
    if cell is not None:
        match = _YEAR.fullmatch(unicodedata.normalize("NFKC", cell.text).strip())
        if match is None:
            row.fault("YEAR_FORMAT", cell, in_words(cell.text, 20))
        else:
            year = int(match[1])
            row.put("evaluation_year", year, cell.address, "year")
    start = row.day("window_start", "window_start")
    end = row.day("window_end", "window_end")
    if cell is not None and year and start is None and end is None:
        row.put("window_start", f"{year}-01-01", cell.address, "calendar-year")
        row.put("window_end", f"{year}-12-31", cell.address, "calendar-year")
    return year


def _map_scheme(row: RowMapping, year: int) -> str:
    tables = row.side.credit
    chosen = row.choice("scheme", tables.schemes, "SCHEME_UNMAPPED")
    if chosen is not None:
        scheme_id, source, rule = chosen[0], chosen[1].address, "alias"
    elif "scheme" in row.row.cells and row.cell("scheme") is not None:
        return ""
    else:
        by_year = [each for each in tables.scheme_rules.values() if each.first_year <= year <= each.last_year]
        if not by_year:
            if year:
                row.fault("SCHEME_UNMAPPED", row.row.cells.get("year"), str(year))
            return ""
        scheme_id, source, rule = by_year[0].scheme_id, FILE, "scheme-by-year"
    scheme = row.side.domain.schemes.by_id[scheme_id]
    row.put("scheme_id", scheme_id, source, rule)
    row.put("scheme_edition", scheme.edition, "schemes.toml", "scheme")
    evaluated = row.record.credit_result.shared_level != CreditLevel.CREDIT_LEVEL_NOT_EVALUATED
    if scheme.score_max is not None and evaluated:
        row.put("score_max", plain_text(scheme.score_max), "schemes.toml", "scheme")
    known = tables.scheme_rules.get(scheme_id)
    if known is not None and evaluated:
        row.put("score_kind", known.score_kind, FILE, "scheme")
    return scheme_id


def _map_level(row: RowMapping) -> None:
    """Level and the source's own text; in a document that we wrote, the original text stands in a column of its own."""
    tables = row.side.credit
    cell = row.cell("level")
    original = row.cell("source_level")
    if cell is not None:
        value = tables.levels.find(cell.text)
        if value is None:
            row.fault("LEVEL_UNMAPPED", cell, in_words(cell.text, 40))
        else:
            row.put("shared_level", CreditLevel.Value(f"CREDIT_LEVEL_{value}"), cell.address, "alias")
    text = original if original is not None else cell
    if text is not None:
        row.put("source_level_text", text.text.strip(), text.address, "as-written")
    colour = row.cell("colour")
    if colour is None:
        return
    row.put("source_colour", colour.text.strip(), colour.address, "as-written")
    meaning = tables.colours.find(colour.text)
    if meaning is None:
        row.fault("LEVEL_UNMAPPED", colour, in_words(colour.text, 40))
    elif cell is not None and tables.levels.find(cell.text) not in (None, meaning):
        row.fault("LEVEL_COLOUR_MISMATCH", colour, in_words(colour.text, 40))


def _map_not_evaluated(row: RowMapping, columns: frozenset[str]) -> None:
    """Why a firm was not evaluated: a listed reason, and the source's own words where it has a column for them."""
    chosen = row.choice("not_evaluated", row.side.credit.not_evaluated, "WORD_UNMAPPED")
    if chosen is not None:
        value = NotEvaluatedReason.Value(f"NOT_EVALUATED_REASON_{chosen[0]}")
        row.put("not_evaluated_reason", value, chosen[1].address, "alias")
        if "source_not_evaluated" not in columns:
            row.put("source_not_evaluated_text", chosen[1].text.strip(), chosen[1].address, "as-written")
    row.text("source_not_evaluated", "source_not_evaluated_text")


def _map_vetoes(row: RowMapping) -> bool:
    cell = row.cell("vetoes")
    if cell is None:
        return False
    reasons: list[VetoReason] = []
    words = row.side.credit.vetoes
    whole = words.find(cell.text)
    for part in [cell.text] if whole is not None else _LIST.split(cell.text):
        text = part.strip()
        if not text:
            continue
        code = words.find(text)
        if code is None:
            row.fault("VETO_UNMAPPED", cell, in_words(text, 40))
        else:
            reasons.append(VetoReason(shared_code=code, source_text=text))
    if reasons:
        row.put("veto_reasons", reasons, cell.address, "alias")
    return bool(reasons)


def _map_scores(row: RowMapping, scheme_id: str, *, vetoed: bool) -> None:
    """Scores as written; the level is held against the score of its own scheme, and never the other way round."""
    score: Decimal | None = None
    cell: Cell | None = None
    for field in ("score", "base_score", "bonus_score"):
        found = row.number(field)
        if found is not None:
            row.put(field, plain_text(found[0]), found[1].address, "decimal")
            if field == "score":
                score, cell = found
    scheme = row.side.domain.schemes.find(scheme_id)
    level = row.record.credit_result.shared_level
    if scheme is None or score is None or not level or not scheme.accepts_score(score):
        return
    by_score = scheme.level_for(score)
    # A veto only lowers: levels count downwards from GREEN.
    if by_score is not None and level != by_score and not (vetoed and level > by_score):
        row.fault("LEVEL_SCORE_MISMATCH", cell, plain_text(score))


def _map_state(row: RowMapping, columns: frozenset[str]) -> None:
    chosen = row.choice("state", row.side.credit.states, "STATE_UNMAPPED")
    if chosen is not None:
        row.put("state", CreditState.Value(f"CREDIT_STATE_{chosen[0]}"), chosen[1].address, "alias")
    elif "state" not in columns and "published_on" in row.row.cells:
        # A list of published results without a column of states.
        row.put("state", row.side.credit.default_state, FILE, "default")
