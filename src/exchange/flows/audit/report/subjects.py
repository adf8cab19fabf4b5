"""What a folder holds about some firms: codes, days and places, never names or texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from exchange.domain import kinds
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder
from exchange.flows.audit.report.lives import Life
from exchange.tlog import tiles
from exchange.v1.record_pb2 import Record

MAX_RECORDS = 2_000
"""Records of one firm that are told one by one."""


@dataclass(frozen=True, slots=True)
class AboutSubject:
    """One record about a firm.

    Attributes:
        on: The record's own day.
        logged: Unix seconds.
        seen: When the other side had seen it; None where no note covers it.
        place: Log and index.
        file: Archive that its body lies in.
    """

    record_id: str
    revision: int
    kind: int
    origin: str
    on: str
    logged: int
    seen: int | None
    outcome: int
    place: str
    file: str


def about_subjects(
    folder: Folder, lives: Mapping[str, Life], answered: Mapping[str, bytearray], wanted: Collection[str]
) -> dict[str, Sequence[AboutSubject]]:
    """Records whose bodies are here, by firm, in order of their logs."""
    found: dict[str, list[AboutSubject]] = {uscc: [] for uscc in wanted}
    if not wanted:
        return {}
    for log in folder.logs:
        life = lives.get(log.about.origin)
        if life is None:
            continue
        for run in tiles.runs(log.about.size):
            try:
                with log.bodies(run) as archive:
                    for body in archive.bodies() if archive is not None else ():
                        record = Record.FromString(body.body)
                        if record.WhichOneof("body") is None:
                            continue  # it is about nobody
                        told = found.get(kinds.subject_uscc(record))
                        if told is None or len(told) >= MAX_RECORDS:
                            continue
                        told.append(
                            AboutSubject(
                                record_id=record.header.record_id,
                                revision=record.header.revision,
                                kind=kinds.kind_of(record),
                                origin=log.about.origin.partition(".")[0],
                                on=kinds.sort_date(record) or "",
                                logged=life.logged[body.index],
                                seen=life.seen_at(body.index),
                                outcome=answered[log.about.origin][body.index],
                                place=f"{log.about.origin}#{body.index}",
                                file=log.bodies_path(run),
                            )
                        )
            except (FolderUnreadable, DecodeError, IndexError):
                continue  # verify tells of it
    return dict(found)
