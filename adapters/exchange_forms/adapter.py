"""The adapter of one region: forms of registers by its tables, monitoring by HJ 212 and its station profiles."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from exchange.domain.adapter import DocumentReading, NativeDocument, Sample, WrittenDocument
from exchange.domain.catalogues.table_file import open_table
from exchange.domain.catalogues.tables import Tables
from exchange.domain.kinds import kind_by_name
from exchange.domain.losses import LossReport
from exchange.domain.problems import Problem, Refused
from exchange.v1.common_pb2 import Authority
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms import reading, writing
from exchange_forms.flat.loading import FLAT_FILES
from exchange_forms.forms import forms_of
from exchange_forms.later_values import without_later_values
from exchange_forms.losses import losses_of
from exchange_forms.sides.side import Side
from exchange_forms.sides.tables import load_side
from exchange_hj212 import StationProfiles
from exchange_hj212 import read_document as read_packets
from exchange_hj212 import recognises as recognises_packets
from exchange_hj212 import write_document as write_packets
from exchange_hj212.losses import losses as packet_losses
from exchange_hj212.samples import sample_profiles
from exchange_hj212.samples import samples as packet_samples

STATIONS: Final = "stations.toml"
KEYS: Final = "sm4_keys.toml"
"""Overlay with ``[keys]``: 32 hex digits by MN, for stations that encrypt (HJ 212-2025)."""

TABLES: Final = ("side.toml", "credit.toml", "penalty.toml")
"""Table files that every region has; beside them it has one for each further kind that it has a layout for."""


class FormsAdapter:
    """One region's adapter; implements :class:`exchange.domain.adapter.Adapter`."""

    def __init__(
        self, *, side: Side, profiles: StationProfiles, sm4_keys: Mapping[str, bytes], folder: Traversable
    ) -> None:
        self.name = side.name
        self.side = side.side
        self.edition = side.edition
        self.kinds: tuple[Kind.ValueType, ...] = (*forms_of(side), Kind.KIND_MONITORING_BATCH)
        self.tables = side
        self._profiles = profiles
        self._sm4_keys = sm4_keys
        self._folder = folder
        self._losses: dict[Kind.ValueType, LossReport] = {}

    def recognises(self, document: NativeDocument) -> bool:
        """Whether the document has a table of this side, or is a recording of packets with a station of this side.

        Packets look the same on both sides: a recording is taken where the kind allows it.
        """
        if recognises_packets(document.content):
            return document.kind in (Kind.KIND_UNSPECIFIED, Kind.KIND_MONITORING_BATCH)
        return reading.recognises(document, self.tables)

    def read(self, document: NativeDocument) -> DocumentReading:
        """Map a document.

        Raises:
            DocumentRefused: The whole document is refused.
        """
        if recognises_packets(document.content):
            return read_packets(
                document,
                tables=self.tables.domain,
                profiles=self._profiles,
                adapter_name=self.name,
                adapter_edition=self.edition,
                sm4_keys=self._sm4_keys,
            )
        return reading.read_document(document, self.tables)

    def write(self, records: Sequence[Record], *, kind: Kind.ValueType, form: str) -> WrittenDocument:
        """Write records in this side's layout; monitoring as ``hj212``, the others as ``xlsx``, ``csv`` or ``json``.

        Raises:
            Refused: There is no layout for kind and form.
        """
        known, later = zip(*map(without_later_values, records), strict=True) if records else ((), ())
        if kind == Kind.KIND_MONITORING_BATCH:
            if form != "hj212":
                raise Refused([Problem("LAYOUT_UNKNOWN", "", form)])
            written = write_packets(known)
        else:
            written = writing.write_records(known, self.tables, kind=kind, form=form)
        if not written.lost and not any(later):
            return written
        report = self.losses(kind)
        lost_of = (tuple(report.why(each.place) for each in lost) for lost in written.lost_of)
        return replace(
            written,
            lost=(*written.lost, *dict.fromkeys(each for lost in later for each in lost)),
            lost_of=tuple((*lost, *more) for lost, more in zip(lost_of, later, strict=True)),
        )

    def losses(self, kind: Kind.ValueType) -> LossReport:
        """What this side's layout of a kind can not carry; found out once, when it is first asked for.

        Raises:
            Refused: There is no layout for the kind.
        """
        if kind not in self._losses:
            if kind == Kind.KIND_MONITORING_BATCH:
                lines = (
                    (line.field, line.source, line.rule)
                    for sample in packet_samples(Authority(), "-")
                    for row in self.read(sample.document).rows
                    if row.record is not None
                    for line in row.record.header.provenance.fields
                )
                self._losses[kind] = packet_losses(lines)
            else:
                self._losses[kind] = losses_of(writing.form_of(self.tables, kind), self.tables)
        return self._losses[kind]

    def template(self, kind: Kind.ValueType) -> WrittenDocument:
        """An empty form; for monitoring the file of station profiles, which is what a side fills in there.

        Raises:
            Refused: There is none for the kind.
        """
        if kind == Kind.KIND_MONITORING_BATCH:
            content = (self._folder / "tables" / "stations_template.toml").read_bytes()
            return WrittenDocument(file_name=STATIONS, media_type="application/toml", content=content)
        return writing.write_template(self.tables, kind)

    def samples(self) -> Sequence[Sample]:
        """The samples beside the adapter, as ``samples/expected.toml`` lists them, and those of HJ 212."""
        folder = self._folder / "samples"
        listed = tomllib.loads((folder / "expected.toml").read_text("utf-8"))
        authority = Authority(uscc=listed["authority"]["uscc"], name=listed["authority"]["name"])
        own = [
            Sample(
                name=each["name"],
                document=NativeDocument(
                    file_name=each["file"],
                    content=(folder / each["file"]).read_bytes(),
                    received_at=datetime.fromisoformat(listed["received_at"]).astimezone(UTC),
                    kind=kind_by_name(each["kind"]) or Kind.KIND_UNSPECIFIED,
                    authority=authority,
                    purpose=listed["purpose"],
                ),
                expected=tuple(each["expected"]),
            )
            for each in listed["sample"]
        ]
        return [*own, *packet_samples(authority, listed["purpose"])]


def make_adapter(package: str, tables: object, overlays: Mapping[str, bytes]) -> FormsAdapter:
    """Make a region's adapter from the table files of its package.

    Args:
        package: Name of the region's package, with ``tables/`` and ``samples/``.
        tables: The domain's tables.
        overlays: The administrator's additions by file name: ``aliases.toml`` and ``stations.toml`` win over the
            adapter's own tables; ``sm4_keys.toml`` holds keys.

    Raises:
        TableError: A table file is ill-formed; names file and place.
        TypeError: ``tables`` are not the domain's.
    """
    if not isinstance(tables, Tables):
        raise TypeError("an adapter is made from exchange.domain.catalogues.tables.Tables")
    folder = files(package)
    own = {name: (folder / "tables" / name).read_bytes() for name in TABLES}
    own |= {
        name: (folder / "tables" / name).read_bytes() for name in FLAT_FILES if (folder / "tables" / name).is_file()
    }
    profiles = StationProfiles.load((folder / "tables" / STATIONS).read_bytes())
    if STATIONS in overlays:
        profiles = StationProfiles.load(overlays[STATIONS]).over(profiles)
    side = load_side(own, overlays, tables)
    return FormsAdapter(
        side=side,
        # Stations of the samples come last: their ids are made up and no real station has them.
        profiles=profiles.over(sample_profiles(side.area_code)),
        sm4_keys=_keys(overlays),
        folder=folder,
    )


def _keys(overlays: Mapping[str, bytes]) -> dict[str, bytes]:
    if KEYS not in overlays:
        return {}
    file = open_table(KEYS, overlays[KEYS])
    row = file.row("keys")
    keys: dict[str, bytes] = {}
    for station in row.names():
        text = row.text(station)
        try:
            keys[station] = bytes.fromhex(text)
        except ValueError:
            keys[station] = b""
        if len(keys[station]) != 16:
            raise row.wrong(station, "must be 32 hex digits")  # never the text itself: it may be most of a key
    file.end()
    return keys
