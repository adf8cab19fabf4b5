"""The header: what every record carries beside its content."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exchange.domain.kinds import KIND_EDITION, KINDS, spec
from exchange.domain.personal import contains_resident_id
from exchange.domain.validation.findings import Findings, is_record_id, numbers
from exchange.domain.validation.limits import (
    ATTACHMENT_BYTES,
    ATTACHMENTS,
    NAME_CHARACTERS,
    PROVENANCE_LINES,
    PURPOSE_CHARACTERS,
    SHORT_CHARACTERS,
)
from exchange.v1.common_pb2 import Attachment, Provenance
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import RecordHeader, ShareClass

_SHARE_CLASSES = numbers(ShareClass)
_CATALOGUE_NO = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/\-]{0,63}")
_LEGAL_ACTS = frozenset({Kind.KIND_REPAIR_NOTICE, Kind.KIND_REVOCATION_NOTICE})
"""Kinds that are nothing but a legal act: they need its number and date."""

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}")


def check_header(found: Findings, header: RecordHeader, kind: Kind.ValueType) -> None:
    """Check the header of a record of one kind."""
    if header.record_id and not is_record_id(header.record_id):
        found.add("RECORD_ID_FORMAT", "header.record_id")
    if header.revision < 0:
        found.add("REVISION_INVALID", "header.revision", str(header.revision))
    if header.kind_edition != KIND_EDITION:
        found.add("KIND_EDITION_UNKNOWN", "header.kind_edition", str(header.kind_edition))
    fact = kind in KINDS and spec(kind).fact
    # An authority states facts, and orders what is destroyed; nodes make the others themselves.
    _check_authority(found, header, needed=fact or kind == Kind.KIND_ERASURE)
    # 条例 809号: what is shared needs a share class and a purpose.
    _check_sharing(found, header, needed=fact)
    if header.HasField("issued") or kind in _LEGAL_ACTS:
        _check_issued(found, header, needed=kind in _LEGAL_ACTS)
    if header.HasField("supersedes"):
        found.reference(header.supersedes, "header.supersedes")
        if header.record_id and header.supersedes.record_id == header.record_id:
            found.add("SUPERSEDES_ITSELF", "header.supersedes.record_id")
    if header.HasField("answers"):
        found.reference(header.answers, "header.answers")
    if header.HasField("provenance"):
        _check_provenance(found, header.provenance)
    attachments = header.attachments
    if attachments:
        _check_attachments(found, attachments)


def _check_authority(found: Findings, header: RecordHeader, *, needed: bool) -> None:
    authority = header.authority
    found.uscc(authority.uscc, "header.authority.uscc", required=needed)
    found.text(authority.name, "header.authority.name", NAME_CHARACTERS, required=needed)
    area = header.area_code
    if area:
        if found.tables.areas.find(area) is None:
            found.add("AREA_UNKNOWN", "header.area_code")
    elif needed:
        found.add("FIELD_MISSING", "header.area_code")


def _check_sharing(found: Findings, header: RecordHeader, *, needed: bool) -> None:
    if header.catalogue_no and not _CATALOGUE_NO.fullmatch(header.catalogue_no):
        found.add("CATALOGUE_NO_FORMAT", "header.catalogue_no")
    if needed or header.share_class:
        found.choice(header.share_class, _SHARE_CLASSES, "header.share_class")
    purpose = header.purpose
    if needed and not purpose.strip():
        found.add("PURPOSE_MISSING", "header.purpose")
    else:
        found.text(purpose, "header.purpose", PURPOSE_CHARACTERS)


def _check_issued(found: Findings, header: RecordHeader, *, needed: bool) -> None:
    issued = header.issued
    found.text(issued.document_no, "header.issued.document_no", SHORT_CHARACTERS, required=needed)
    found.text(issued.approver, "header.issued.approver", SHORT_CHARACTERS)
    found.day(issued.issued_on, "header.issued.issued_on", required=needed)


def _check_provenance(found: Findings, provenance: Provenance) -> None:
    for name in ("adapter", "adapter_edition", "dialect", "encoding"):
        found.text(getattr(provenance, name), f"header.provenance.{name}", SHORT_CHARACTERS)
    if provenance.HasField("document"):
        found.salted_digest(provenance.document, "header.provenance.document")
    if provenance.row < 0:
        found.add("RANGE_INVALID", "header.provenance.row")
    lines = provenance.fields
    if len(lines) > PROVENANCE_LINES:
        found.add("TOO_MANY_ITEMS", "header.provenance.fields", f"{len(lines)} > {PROVENANCE_LINES}")
        return
    texts = [text for line in lines for text in (line.field, line.source, line.rule)]
    if not texts:
        return
    # One look at all texts together: a record has dozens of lines, and almost always all are short and clean.
    joined = "|".join(texts)
    short = max(map(len, texts)) <= NAME_CHARACTERS and all(texts[::3])
    if short and joined.isprintable() and not contains_resident_id(joined):
        return
    for number, value in enumerate(texts):
        index, part = divmod(number, 3)
        place = f"header.provenance.fields[{index}].{('field', 'source', 'rule')[part]}"
        found.text(value, place, NAME_CHARACTERS, required=part == 0)


def _check_attachments(found: Findings, attachments: Sequence[Attachment]) -> None:
    if len(attachments) > ATTACHMENTS:
        found.add("TOO_MANY_ITEMS", "header.attachments", f"{len(attachments)} > {ATTACHMENTS}")
        return
    for number, item in enumerate(attachments):
        place = f"header.attachments[{number}]"
        found.text(item.name, f"{place}.name", NAME_CHARACTERS, required=True)
        if not _MEDIA_TYPE.fullmatch(item.media_type) or not 1 <= item.size <= ATTACHMENT_BYTES:
            found.add("ATTACHMENT_INVALID", place)
        elif item.media_type not in found.tables.attachment_types.by_type:
            found.add("ATTACHMENT_TYPE", f"{place}.media_type")
        if not item.digests:
            found.add("DIGEST_INVALID", f"{place}.digests")
        for index, digest in enumerate(item.digests):
            found.salted_digest(digest, f"{place}.digests[{index}]")
