"""Data flags of HJ 212-2017 table 8, and what a value may be used for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.table_file import Row
from exchange.v1.monitoring_batch_pb2 import Usability

_FLAG = re.compile(r"[A-Z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """Usability by flag."""

    by_flag: Mapping[str, Usability.ValueType]

    def usability(self, flag: str) -> Usability.ValueType:
        """What a value with this flag may be used for; a missing or unlisted flag is ``USABILITY_UNKNOWN``."""
        return self.by_flag.get(flag, Usability.USABILITY_UNKNOWN)


def load_flags(file: Row) -> Flags:
    """Read ``flags.toml``.

    Raises:
        TableError: A flag is no upper case letter or listed twice, or its usability is not of the schema.
    """
    for key in ("edition", "source", "status"):
        file.text(key)
    by_flag: dict[str, Usability.ValueType] = {}
    for row in file.rows("flag"):
        code = row.text("code")
        row.text("name")
        usability = row.one_of("usability", ("USABLE", "MANUAL", "LOWER_BOUND", "NOT_USABLE"))
        row.end()
        if not _FLAG.fullmatch(code) or code in by_flag:
            raise row.wrong("code", "is no flag, or is listed twice")
        by_flag[code] = Usability.Value(f"USABILITY_{usability}")
    file.end()
    return Flags(by_flag=by_flag)
