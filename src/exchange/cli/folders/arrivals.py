"""Records of the other side as documents: a record that may be shown no more takes its documents with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.cli.folders.attached import Attached
from exchange.cli.folders.events import Events
from exchange.cli.folders.layout import Layout, write
from exchange.cli.folders.names import legal_name
from exchange.cli.output import as_dict, problem_dicts
from exchange.domain import kinds
from exchange.domain.problems import Refused
from exchange.storage.files.spool import sync
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_service_pb2 import RecordView, Standing

if TYPE_CHECKING:
    from exchange.domain.adapter import Adapter

ORIGINAL: Final = ".original.json"
"""Ends the name of a record as the node shows it."""

TOMBSTONE: Final = ".tombstone.json"
"""Ends the name of what is shown in place of a record."""

_ERASED: Final = "ERASED"


@dataclass(slots=True)
class Arrivals:
    """Writes into ``arrivals/``. Names follow from the record: writing again what a crash cut changes nothing.

    Attributes:
        adapter: In whose layout; None: only originals.
        form: ``xlsx``, ``csv`` or ``json``; monitoring comes as packets.
        attached: Fetches what belongs to them.
    """

    layout: Layout
    events: Events
    adapter: Adapter | None
    form: str
    attached: Attached

    def take(self, view: RecordView) -> None:
        """Write one record, or what is shown in its place.

        Raises:
            OSError: It can not be written; take it again.
        """
        if view.standing == Standing.STANDING_ORIGIN:
            return
        if view.HasField("record"):
            self._write(view)
        elif view.HasField("tombstone"):
            self._withdraw(view)

    def _write(self, view: RecordView) -> None:
        names = self.attached.want(view, _stem(view, view.ref.revision))
        stem = f"{_stem(view, view.ref.revision)}.{_kind(view)}"
        document, lost = "", []
        written = None
        if self.adapter is not None:
            form = "hj212" if view.kind == Kind.KIND_MONITORING_BATCH else self.form
            try:
                written = self.adapter.write([view.record], kind=view.kind, form=form)
            except Refused as refused:
                lost = problem_dicts(refused.problems)  # this side has no layout for the kind
        if written is not None:
            document = legal_name(stem, Path(written.file_name).suffix)
            write(self.layout.arrivals / document, written.content)
            lost = problem_dicts(written.lost_of[0] if written.lost_of else written.lost)
        original = legal_name(stem, ORIGINAL)
        said = {"record": as_dict(view), "document": document, "attachments": names, "lost": lost}
        text = json.dumps(said, ensure_ascii=False, indent=1)
        write(self.layout.arrivals / original, (text + "\n").encode())
        tombstone = legal_name(_stem(view, view.ref.revision), TOMBSTONE)
        self.layout.arrivals.joinpath(tombstone).unlink(missing_ok=True)
        self.events.arrived(document or original)

    def _withdraw(self, view: RecordView) -> None:
        stem = _stem(view, view.ref.revision)
        tombstone = self.layout.arrivals / legal_name(stem, TOMBSTONE)
        write(tombstone, (json.dumps({"record": as_dict(view)}, ensure_ascii=False, indent=1) + "\n").encode())
        # What ended a record ended its earlier revisions; an erasure is of one revision, and comes for each.
        first = view.ref.revision if view.tombstone.reason == _ERASED else 1
        stems = tuple(f"{_stem(view, each)}." for each in range(first, view.ref.revision + 1))
        self.attached.forget(stems)
        for path in list(self.layout.arrivals.iterdir()):
            if path.name.startswith(stems) and not path.name.endswith(TOMBSTONE):
                path.unlink(missing_ok=True)
        sync(self.layout.arrivals)
        self.events.withdrawn(tombstone.name, view.tombstone.reason)


def _stem(view: RecordView, revision: int) -> str:
    """What all names of one revision begin with, whatever is known of its kind."""
    return legal_name(f"{view.ref.origin}-{view.ref.record_id}-r{revision}", "")


def _kind(view: RecordView) -> str:
    return kinds.spec(view.kind).name if view.kind in kinds.KINDS else f"kind-{int(view.kind)}"
