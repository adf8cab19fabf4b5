"""Parts that both kinds of form share: the subject, its area, and the header."""

from __future__ import annotations

from typing import Final

from exchange.domain.adapter import NativeDocument
from exchange.domain.kinds import KIND_EDITION
from exchange.v1.common_pb2 import SubjectKind
from exchange_forms.row import RowMapping
from exchange_forms.tables import Sharing
from exchange_sheets.book import in_words

SIDE_FILE: Final = "side.toml"
SOLE_TRADER_PREFIX: Final = "92"
"""First two characters of the USCC of a 个体工商户, GB 32100-2015."""


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


def map_area(row: RowMapping) -> None:
    """Area of the subject from code, county or city, the finest that is given; the side's own for the header else."""
    code, source = "", ""
    city_prefix = ""
    for field in ("city", "county", "area_code"):
        cell = row.cell(field)
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
        row.put("subject.area_code", code, source, "area-name")
        row.put("header.area_code", code, source, "area-name")
    else:
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
