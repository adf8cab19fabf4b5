"""Kinds of records: one line each, and what is read off a record by it.

A new kind is a line in ``facts`` or ``acts``, a file in ``exchange.domain.validation`` and, where it has states, lines
in ``exchange.domain.lifecycles``.
"""

from exchange.domain.kinds.keys import normalise_document_no
from exchange.domain.kinds.spec import NATIVE_TIME_ZONE, KindSpec, Reach
from exchange.domain.kinds.table import (
    KIND_EDITION,
    KINDS,
    about,
    area_of,
    content_bytes,
    erasure_class_of,
    kind_by_name,
    kind_of,
    lane_of,
    natural_key,
    sort_date,
    spec,
    spec_of,
    state_of,
    subject_uscc,
)

__all__ = [
    "KINDS",
    "KIND_EDITION",
    "NATIVE_TIME_ZONE",
    "KindSpec",
    "Reach",
    "about",
    "area_of",
    "content_bytes",
    "erasure_class_of",
    "kind_by_name",
    "kind_of",
    "lane_of",
    "natural_key",
    "normalise_document_no",
    "sort_date",
    "spec",
    "spec_of",
    "state_of",
    "subject_uscc",
]
