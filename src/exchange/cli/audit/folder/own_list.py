"""A unit's own list, read as the records that it names by the adapter of its side."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.adapter_set import adapters
from exchange.cli.texts import t
from exchange.domain import kinds
from exchange.domain.adapter import NativeDocument
from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.verify.claimed.own_list import OwnList, key_of
from exchange.flows.intake.native import choose_adapter
from exchange.v1.record_pb2 import Record

KeyOption = Annotated[str, typer.Option("--key", help=t("option.list_key"))]
AdapterOption = Annotated[str, typer.Option("--adapter", help=t("option.list_adapter"))]


def read_list(file: Path, key: str, node: str, adapter: str = "") -> OwnList:
    """Read a list.

    Args:
        file: The list.
        key: Field of the records' bodies by which they are found.
        node: Whose list it is: its side's adapters are tried first.
        adapter: Name of the adapter; empty: the first that recognises it.

    Raises:
        DocumentRefused: No adapter reads it.
        Refused: ``LIST_UNREADABLE``: no kind in it has such a field.
    """
    document = NativeDocument(file_name=file.name, content=file.read_bytes(), received_at=datetime.now(UTC))
    reading = choose_adapter(adapters(), adapter, node, document).read(document)
    made = [(row.place, row.record) for row in reading.rows if row.record is not None]
    if not any(_has(record, key) for _, record in made):
        found = ", ".join(sorted({kinds.spec(kinds.kind_of(record)).name for _, record in made}))
        raise Refused([Problem("LIST_UNREADABLE", str(file), f"{key}: {found}")])
    return OwnList(
        name=str(file),
        key=key,
        rows=tuple((place, record.SerializeToString()) for place, record in made),
        unreadable=tuple(row.place for row in reading.rows if row.record is None),
    )


def _has(record: Record, key: str) -> bool:
    return bool(key_of(record, key))
