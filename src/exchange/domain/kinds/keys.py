"""Natural keys: what makes a fact unique within its origin, as text."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exchange.v1.common_pb2 import RecordRef

_BRACKETS = str.maketrans({"【": "〔", "】": "〕", "[": "〔", "]": "〕", "(": "〔", ")": "〕", "「": "〔", "」": "〕"})
_BLANKS = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_CHANGED = re.compile(rf"[{re.escape(''.join(map(chr, _BRACKETS)))}\s\u200b-\u200f\u2060\ufeff]")


def normalise_document_no(text: str) -> str:
    """A document number for comparison: NFKC, every kind of bracket as 〔〕, no blanks. Never for display."""
    composed = unicodedata.normalize("NFKC", text)
    if _CHANGED.search(composed) is None:
        return composed  # as nearly always
    bare = _BLANKS.sub("", composed.translate(_BRACKETS))
    # Again: what blanks held apart may now compose.
    return bare if bare.isascii() else unicodedata.normalize("NFKC", bare)


def joined(*parts: str) -> str:
    """Join parts so that no two lists of parts give the same text."""
    plain = "|".join(parts)
    if "%" not in plain and plain.count("|") == len(parts) - 1:
        return plain
    return "|".join([part.replace("%", "%25").replace("|", "%7C") for part in parts])


def ref_parts(ref: RecordRef) -> tuple[str, str]:
    """A record as part of a key: whichever of its revisions is meant."""
    return ref.origin, ref.record_id
