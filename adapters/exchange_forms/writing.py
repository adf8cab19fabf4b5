"""Writes shared records in a side's own layout, and finds out by reading back what the layout could not carry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from exchange.domain.adapter import NativeDocument, WrittenDocument
from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.problems import Problem, Refused
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange.v1.record_pb2 import Record
from exchange_forms.credit import map_credit
from exchange_forms.penalty import OTHER_IDS, divide_types, map_penalty
from exchange_forms.tables import CURRENT, Column, Side
from exchange_forms.vocabulary import Vocabulary
from exchange_sheets import Cell, OutSheet, SheetRow, TableRow, plain_text, write_csv, write_json, write_xlsx

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "json": "application/json",
}
RECORD_ID: Final = "记录编号"
"""Heading of the record id: readers pass over it."""

EXAMPLE: Final = "示例"
_DIVIDERS = re.compile(r"[；;|\n]")
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)


def columns_of(side: Side, kind: Kind.ValueType) -> tuple[Column, ...]:
    """The columns that a side writes for a kind.

    Raises:
        Refused: It has no layout for the kind (``LAYOUT_UNKNOWN``).
    """
    if kind == Kind.KIND_CREDIT_RESULT:
        return side.credit.layout.columns
    if kind == Kind.KIND_PENALTY_NOTICE:
        return next(layout.columns for layout in side.penalty.layouts if layout.name == CURRENT)
    raise Refused([Problem("LAYOUT_UNKNOWN", "", Kind.Name(kind))])


def write_records(records: Sequence[Record], side: Side, *, kind: Kind.ValueType, form: str) -> WrittenDocument:
    """Write records of one kind.

    Args:
        records: The records, of this side or another one.
        side: The side whose layout it is.
        kind: Their kind.
        form: ``xlsx``, ``csv`` or ``json``.

    Raises:
        Refused: There is no such layout (``LAYOUT_UNKNOWN``), or a record is of another kind (``KIND_MISMATCH``).
    """
    columns = columns_of(side, kind)
    if form not in MEDIA_TYPES:
        raise Refused([Problem("LAYOUT_UNKNOWN", "", form)])
    field = "credit_result" if kind == Kind.KIND_CREDIT_RESULT else "penalty_notice"
    wrong = [n for n, record in enumerate(records) if record.WhichOneof("body") != field]
    if wrong:
        raise Refused([Problem("KIND_MISMATCH", f"records[{n}]") for n in wrong])
    values_of = credit_values if kind == Kind.KIND_CREDIT_RESULT else penalty_values
    fields = frozenset(column.field for column in columns)
    rows: list[list[str]] = []
    lost: dict[str, int] = {}
    for number, record in enumerate(records, start=1):
        values = values_of(record, side)
        texts = [str(number) if each.field == "ignored" else values.get(each.field, "") for each in columns]
        rows.append([*texts, record.header.record_id])
        cells = {
            column.field: Cell(column.heading, text)
            for column, text in zip(columns, texts, strict=True)
            if text.strip() and column.field != "ignored"
        }
        for path in _lost(record, cells, fields, side):
            lost[path] = lost.get(path, 0) + 1
    sheet = OutSheet(
        name=_sheet_name(kind),
        title=f"{side.title}{_sheet_name(kind)}" if form == "xlsx" else "",
        headings=[*(column.heading for column in columns), RECORD_ID],
        rows=rows,
        numeric=[n for n, column in enumerate(columns, start=1) if column.numeric],
    )
    make: Callable[[], bytes] = {
        "xlsx": lambda: write_xlsx([sheet]),
        "csv": lambda: write_csv(sheet),
        "json": lambda: write_json(sheet),
    }[form]
    return WrittenDocument(
        file_name=f"{side.name}-{field.replace('_', '-')}.{form}",
        media_type=MEDIA_TYPES[form],
        content=make(),
        lost=tuple(Problem("FIELD_NOT_CARRIED", path, f"{count}") for path, count in sorted(lost.items())),
    )


def write_template(side: Side, kind: Kind.ValueType) -> WrittenDocument:
    """An empty form: headings, drop-down lists, one example row that readers pass over, notes.

    Raises:
        Refused: The side has no layout for the kind.
    """
    columns = columns_of(side, kind)
    choices: dict[int, Sequence[str]] = {}
    for number, column in enumerate(columns, start=1):
        texts = _choices(column.field, side, kind)
        if texts:
            choices[number] = texts
    example = [EXAMPLE if column.field == "ignored" else column.example for column in columns]
    sheet = OutSheet(
        name=_sheet_name(kind),
        title=f"{side.title}{_sheet_name(kind)}（填报模板）",
        headings=[column.heading for column in columns],
        rows=[example],
        choices=choices,
        notes=side.notes,
    )
    return WrittenDocument(
        file_name=f"{side.name}-{Kind.Name(kind).removeprefix('KIND_').lower().replace('_', '-')}-template.xlsx",
        media_type=MEDIA_TYPES["xlsx"],
        content=write_xlsx([sheet]),
    )


def _sheet_name(kind: Kind.ValueType) -> str:
    return "信用评价结果" if kind == Kind.KIND_CREDIT_RESULT else "行政处罚"


def _choices(field: str, side: Side, kind: Kind.ValueType) -> Sequence[str]:
    credit, penalty = side.credit, side.penalty
    is_credit = kind == Kind.KIND_CREDIT_RESULT
    places = side.places.names
    lists: dict[str, list[str]] = {
        "level": list(credit.levels.texts.values()),
        "colour": list(credit.colours.texts.values()),
        "state": list((credit.states if is_credit else penalty.states).texts.values()),
        "self_declared": list(side.yes_no.texts.values()),
        "subject_kind": list(side.subject_kinds.texts.values()),
        "scheme": list(credit.scheme_rules),
        "vetoes": list(credit.vetoes.texts.values()),
        "dishonesty_class": list(penalty.classes.texts.values()),
        "notice_kind": list(penalty.notice_kinds.texts.values()),
        "city": [name for code, name in places.items() if code.endswith("00") and not code.endswith("0000")],
        "county": [name for code, name in places.items() if not code.endswith("00")],
    }
    return lists.get(field, [])


def _lost(record: Record, cells: Mapping[str, Cell], columns: frozenset[str], side: Side) -> list[str]:
    """Paths of fields that are not the same when the written row is read."""
    row = TableRow(number=1, place="row", cells=cells, source=SheetRow(number=1, place="row", cells={}))
    document = NativeDocument(file_name="", content=b"", received_at=_NO_DATE)
    mapper = map_credit if record.HasField("credit_result") else map_penalty
    mapping = mapper(row, side, document, columns)
    # A row with faults would be quarantined here: none of it arrives.
    again = {} if mapping.problems else flatten(mapping.record)
    before = flatten(record)
    paths = {plain_path(path) for path, value in before.items() if again.get(path) != value}
    return sorted(paths - {"header.record_id"})


def _word(words: Vocabulary, name: str, prefix: str) -> str:
    return words.texts.get(name.removeprefix(prefix), "")


def _joined(texts: Sequence[str]) -> str:
    """A list in one cell. An item that holds a divider itself is divided when it is read: it is counted as lost."""
    return "；".join(texts)


def _place_values(code: str, record: Record, side: Side) -> dict[str, str]:
    """Columns of the area; of a record that names none, that of its header, unless a reader here takes it anyway."""
    names = side.places.names
    if record.header.area_code != side.area_code:
        code = code or record.header.area_code
    if not code:
        return {}
    if code not in names:
        return {"area_code": code, "county": code}
    city = names.get(f"{code[:4]}00", "")
    if code.endswith("00"):
        return {"area_code": code, "city": names[code], "county": "" if code.endswith("0000") else names[code]}
    return {"area_code": code, "city": city, "county": names[code]}


def _header_values(record: Record) -> dict[str, str]:
    header = record.header
    return {
        "authority_name": header.authority.name,
        "authority_uscc": header.authority.uscc,
        "document_no": header.issued.document_no,
        "approver": header.issued.approver,
        "issued_on": header.issued.issued_on,
    }


def credit_values(record: Record, side: Side) -> dict[str, str]:
    """Texts of a credit result by field, in this side's words."""
    body = record.credit_result
    tables = side.credit
    level = _word(tables.levels, CreditLevel.Name(body.shared_level), "CREDIT_LEVEL_")
    colour = body.source_colour
    if colour and tables.colours.find(colour) is None:
        colour = _word(tables.colours, CreditLevel.Name(body.shared_level), "CREDIT_LEVEL_")
    vetoes = [
        veto.source_text
        if tables.vetoes.find(veto.source_text) == veto.shared_code and not _DIVIDERS.search(veto.source_text)
        else veto.shared_code
        for veto in body.veto_reasons
    ]
    return {
        **_header_values(record),
        **_place_values(body.subject.area_code, record, side),
        "name": body.subject.name,
        "uscc": body.subject.uscc,
        "permit_code": body.subject.permit_code,
        "subject_kind": _word(side.subject_kinds, SubjectKind.Name(body.subject.kind), "SUBJECT_KIND_"),
        "year": str(body.evaluation_year) if body.evaluation_year else "",
        "window_start": body.window_start,
        "window_end": body.window_end,
        "scheme": body.scheme_id,
        "level": level,
        "source_level": "" if body.source_level_text == level else body.source_level_text,
        "colour": colour,
        "score": body.score,
        "base_score": body.base_score,
        "bonus_score": body.bonus_score,
        "vetoes": _joined(vetoes),
        "state": _word(tables.states, CreditState.Name(body.state), "CREDIT_STATE_"),
        "published_on": body.published_on,
        "publicity_until": body.publicity_until,
        "valid_until": body.valid_until,
        "self_declared": side.yes_no.texts["TRUE"] if body.self_declared else "",
        "legal_basis": _joined(body.legal_basis),
        "objection": body.objection,
    }


def _in_wan(yuan: str) -> str:
    """An amount of yuan in 万元, exactly; empty where it is no number."""
    try:
        sign, digits, exponent = Decimal(yuan).as_tuple()
    except InvalidOperation:
        return ""
    return plain_text(Decimal((sign, digits, exponent - 4))) if isinstance(exponent, int) else ""


def _type_values(record: Record, side: Side) -> dict[str, str]:
    body = record.penalty_notice
    types = [PenaltyType.Name(each).removeprefix("PENALTY_TYPE_") for each in body.penalty_types]
    source = body.source_penalty_types
    found, orders, unknown = divide_types(source, side.penalty)
    if not source or found != types or unknown or any(each not in body.orders for each in orders):
        source = _joined([side.penalty.types.texts.get(each, "") for each in types])
        orders = []
    return {
        "penalty_types": source,
        "orders": _joined([each for each in body.orders if each not in orders]),
    }


def penalty_values(record: Record, side: Side) -> dict[str, str]:
    """Texts of a penalty notice by field, in this side's words."""
    body = record.penalty_notice
    tables = side.penalty
    ids = {other.scheme: other.value for other in body.subject.other_ids}
    stated = body.dishonesty_class not in (
        DishonestyClass.DISHONESTY_CLASS_NOT_STATED,
        DishonestyClass.DISHONESTY_CLASS_UNSPECIFIED,
    )
    measures: list[str] = []
    for measure in body.measures:
        known = side.domain.measures.find(measure.catalogue, measure.edition, measure.code)
        if known is not None and (measure.catalogue, measure.edition) == tables.measures:
            measures.append(f"{known.code} {known.name}")
    return {
        **_header_values(record),
        **_place_values(body.subject.area_code, record, side),
        **_type_values(record, side),
        **{field: ids.get(scheme, "") for field, scheme in OTHER_IDS},
        "name": body.subject.name,
        "uscc": body.subject.uscc,
        "subject_kind": _word(side.subject_kinds, SubjectKind.Name(body.subject.kind), "SUBJECT_KIND_"),
        "legal_representative": body.subject.legal_representative,
        "decision_no": body.decision_no,
        "decided_on": body.decided_on,
        "violation_type": body.violation_type,
        "violation_facts": body.violation_facts,
        "legal_basis": _joined(body.legal_basis),
        "content": body.content,
        "fine": _in_wan(body.fine_cny) if body.fine_cny else "",
        "confiscation": _in_wan(body.confiscation_cny) if body.confiscation_cny else "",
        "revoked_licence": body.revoked_licence,
        "effective_until": body.effective_until or side.no_end_text,
        "publicity_until": body.publicity_until,
        "source_unit_name": body.source_unit.name,
        "source_unit_uscc": body.source_unit.uscc,
        "note": body.note,
        "state": _word(tables.states, PenaltyState.Name(body.state), "PENALTY_STATE_"),
        "notice_kind": _word(tables.notice_kinds, NoticeKind.Name(body.notice_kind), "NOTICE_KIND_"),
        "dishonesty_class": _word(tables.classes, DishonestyClass.Name(body.dishonesty_class), "DISHONESTY_CLASS_")
        if stated
        else "",
        "measures": _joined(measures),
        "measure_basis": _joined(body.measures[0].legal_basis) if body.measures else "",
    }
