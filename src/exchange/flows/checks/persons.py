"""Names of persons in answers to checks: a family name at most."""

from __future__ import annotations

from exchange.domain import kinds
from exchange.domain.personal import mask_name
from exchange.flows.checks.question import about_person
from exchange.v1.common_pb2 import SUBJECT_KIND_NATURAL_PERSON, SUBJECT_KIND_SOLE_TRADER
from exchange.v1.record_service_pb2 import RecordView

_PERSONS = (SUBJECT_KIND_SOLE_TRADER, SUBJECT_KIND_NATURAL_PERSON)


def mask(view: RecordView) -> None:
    """Mask the names of a sole trader or natural person in a view that is about to leave."""
    line = kinds.spec_of(view.record) if view.HasField("record") else None
    subject = line.subject(view.record) if line is not None else None
    if subject is None or not (subject.kind in _PERSONS or about_person(subject.uscc)):
        return
    subject.name = mask_name(subject.name)
    if subject.legal_representative:
        subject.legal_representative = mask_name(subject.legal_representative)
