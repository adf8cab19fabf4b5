"""What an audit finds, by place: the same shape from every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold, or that the material does not tell.

    Attributes:
        code: Reason code, with its text in the table of reasons.
        log: Origin of the log that it is about; empty where it is about none.
        index: Entry of that log.
        file: File of the folder, by its path there.
        byte: Where in that file.
        detail: Facts, without words.
        proven: False where the material does not tell: it may be so or not.
        evidence: Further facts by name: digests, rows, the file of a proof.
    """

    code: str
    log: str = ""
    index: int | None = None
    file: str = ""
    byte: int | None = None
    detail: str = ""
    proven: bool = True
    evidence: Mapping[str, str] = field(default_factory=dict)
