"""Parts that all forms share, read and written: the subject, its area, and the header."""

from __future__ import annotations

from typing import Final

from exchange.domain.adapter import NativeDocument
from exchange.domain.kinds import KIND_EDITION
from exchange.v1.common_pb2 import Subject, SubjectKind
from exchange.v1.record_pb2 import Record
from exchange_forms.privacy import ID_REMOVED, masked_name
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import Sharing, Side
from exchange_sheets.book import in_words

SIDE_FILE: Final = "side.toml"
SOLE_TRADER_PREFIX: Final = "92"
"""First two characters of the USCC of a 个体工商户, GB 32100-2015."""


def map_subject(row: RowMapping) -> None:
    """USCC, kind and name; a natural person has no code, and only a masked name."""
    kind_cell = row.cell("subject_kind")
    person = kind_cell is not None and row.side.subject_kinds.find(kind_cell.text) == "NATURAL_PERSON"
    if person and ID_REMOVED in (row.row.cells["uscc"].text if "uscc" in row.row.cells else ""):
        # A natural person's number stood in the column of the USCC; it is gone, and there is no code to map.
        row.note("subject.uscc", row.row.cells["uscc"].address, "id-removed", lossy=True)
        uscc = ""
    else:
        uscc = row.uscc("uscc", "subject.uscc")
    kind = map_subject_kind(row, uscc)
    cell = row.cell("name", may_be_blank=False)
    if cell is not None:
        person = kind == SubjectKind.SUBJECT_KIND_NATURAL_PERSON
        name = masked_name(cell.text.strip()) if person else cell.text.strip()
        row.put("subject.name", name, cell.address, "masked" if person else "as-written", lossy=person)
        row.person = name if person else ""
    row.text("legal_representative", "subject.legal_representative")


def map_subject_kind(row: RowMapping, uscc: str) -> SubjectKind.ValueType:
    """The kind of subject: as written, else by the first two characters of the USCC."""
    chosen = row.choice("subject_kind", row.side.subject_kinds, "SUBJECT_KIND_UNMAPPED")
    if chosen is not None:
        kind = SubjectKind.Value(f"SUBJECT_KIND_{chosen[0]}")
        row.put("subject.kind", kind, chosen[1].address, "alias")
        return kind
    if not uscc or "subject_kind" in row.row.cells:
        return SubjectKind.SUBJECT_KIND_UNSPECIFIED
    sole = uscc.startswith(SOLE_TRADER_PREFIX)
    kind = SubjectKind.SUBJECT_KIND_SOLE_TRADER if sole else SubjectKind.SUBJECT_KIND_ORGANISATION
    row.put("subject.kind", kind, row.row.cells["uscc"].address, "by-uscc")
    return kind


def map_area(row: RowMapping, path: str = "subject.area_code", *, header: bool = True, prefix: str = "") -> None:
    """Area from code, county or city, the finest that is given; for the header else that of the side.

    Args:
        row: The row.
        path: Where it goes.
        header: It is the header's area as well.
        prefix: What the names of its columns begin with.
    """
    code, source = "", ""
    city_prefix = ""
    for field in ("city", "county", "area_code"):
        cell = row.cell(prefix + field)
        if cell is None:
            continue
        found = row.side.places.find(cell.text, city_prefix if field == "county" else "")
        if found is None:
            row.fault("AREA_UNMAPPED", cell, in_words(cell.text, 40))
            return
        if field == "city":
            city_prefix = found[:4]
        code, source = found, cell.address
    if code:
        row.put(path, code, source, "area-name")
        if header:
            row.put("header.area_code", code, source, "area-name")
    elif header:
        row.put("header.area_code", row.side.area_code, SIDE_FILE, "default")


def map_header(row: RowMapping, document: NativeDocument, sharing: Sharing, catalogue_file: str) -> None:
    """Edition, authority, catalogue, share class and purpose."""
    row.put("header.kind_edition", KIND_EDITION, "", "constant")
    _map_authority(row, document)
    row.put("header.catalogue_no", sharing.catalogue_no, catalogue_file, "default")
    row.put("header.share_class", sharing.share_class, catalogue_file, "default")
    if document.purpose:
        row.put("header.purpose", document.purpose, "", "document")


def _map_authority(row: RowMapping, document: NativeDocument) -> None:
    name = row.text("authority_name", "header.authority.name")
    uscc = row.uscc("authority_uscc", "header.authority.uscc")
    given = document.authority
    if name and not uscc and "authority_uscc" not in row.row.cells:
        cell = row.row.cells["authority_name"]
        known = row.side.authorities.find(name)
        if known is not None:
            row.put("header.authority.uscc", known, cell.address, "authority-name")
        elif given is not None and given.name == name:
            row.put("header.authority.uscc", given.uscc, "", "document")
        else:
            row.fault("AUTHORITY_UNMAPPED", cell, in_words(name, 40))
    elif not name and not uscc and given is not None:
        row.put("header.authority.name", given.name, "", "document")
        row.put("header.authority.uscc", given.uscc, "", "document")
    elif uscc and not name and given is not None and given.uscc == uscc:
        row.put("header.authority.name", given.name, "", "document")


def place_values(code: str, record: Record, side: Side) -> dict[str, str]:
    """Columns of the area; of a record that names none, that of its header, unless a reader here takes it anyway."""
    if record.header.area_code != side.area_code:
        code = code or record.header.area_code
    return area_values(code, side)


def area_values(code: str, side: Side) -> dict[str, str]:
    """Columns of an area, by its names where it has some here."""
    names = side.places.names
    if not code:
        return {}
    if code not in names:
        return {"area_code": code, "county": code}
    city = names.get(f"{code[:4]}00", "")
    if code.endswith("00"):
        return {"area_code": code, "city": names[code], "county": "" if code.endswith("0000") else names[code]}
    return {"area_code": code, "city": city, "county": names[code]}


def subject_values(subject: Subject, side: Side) -> dict[str, str]:
    """Columns of a subject, without its area."""
    return {
        "name": subject.name,
        "uscc": subject.uscc,
        "permit_code": subject.permit_code,
        "subject_kind": side.subject_kinds.texts.get(SubjectKind.Name(subject.kind).removeprefix("SUBJECT_KIND_"), ""),
        "legal_representative": subject.legal_representative,
    }


def header_values(record: Record) -> dict[str, str]:
    """Columns of the authority and of the legal act."""
    header = record.header
    return {
        "authority_name": header.authority.name,
        "authority_uscc": header.authority.uscc,
        "document_no": header.issued.document_no,
        "approver": header.issued.approver,
        "issued_on": header.issued.issued_on,
    }


def subject_choices(side: Side) -> dict[str, list[str]]:
    """Drop-down lists of the subject and its area."""
    places = side.places.names
    return {
        "subject_kind": list(side.subject_kinds.texts.values()),
        "city": [name for code, name in places.items() if code.endswith("00") and not code.endswith("0000")],
        "county": [name for code, name in places.items() if not code.endswith("00")],
    }
