"""突发事件预警: one report of one event; a row for each pollutant, reading and sensitive point."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from exchange.v1.alert_pb2 import (
    AlertColour,
    AlertKind,
    AlertLevel,
    DefenceLevel,
    GasRing,
    GateState,
    ReportKind,
    SensitivePointKind,
)
from exchange.v1.kind_pb2 import Kind
from exchange_forms.flat.cells import Amount, Choice, Field, Flag, Number, Text
from exchange_forms.flat.items import Items
from exchange_forms.flat.part import Context, FlatKind, Part
from exchange_forms.flat.quantities import Factor, Instant, Unit, Whole
from exchange_forms.flat.whom import Area, Named
from exchange_forms.row import RowMapping
from exchange_sheets.book import in_words


@dataclass(frozen=True, slots=True)
class Details(Part):
    """Columns that only events of one kind have. In a row of another kind they contradict it: nothing is dropped.

    Attributes:
        of: The kind of event.
        parts: Its columns.
    """

    of: AlertKind.ValueType
    parts: tuple[Part, ...]

    def columns(self) -> Collection[str]:
        """Columns of the kind of event."""
        return [column for part in self.parts for column in part.columns()]

    def words(self) -> Mapping[str, Collection[str] | None]:
        """Lists of texts of the kind of event."""
        return {column: meanings for part in self.parts for column, meanings in part.words().items()}

    def read(self, row: RowMapping, context: Context) -> None:
        """Map them where the row is of their kind; a kind that is not known is a fault already."""
        kind = row.record.alert.alert_kind
        if kind == self.of:
            for part in self.parts:
                part.read(row, context)
        elif kind:
            for column in self.columns():
                cell = row.cell(column)
                if cell is not None:
                    row.fault("COLUMN_OF_OTHER_EVENT", cell, in_words(cell.text, 20))

    def write(self, message: Message, context: Context) -> Mapping[str, str]:
        """Cells of an event of the kind."""
        found: dict[str, str] = {}
        if getattr(message, "alert_kind") == self.of:  # noqa: B009 - a message of any kind, for the type checker
            for part in self.parts:
                found.update(part.write(message, context))
        return found

    def choices(self, context: Context) -> Mapping[str, Sequence[str]]:
        """Drop-down lists of the kind of event."""
        return {column: texts for part in self.parts for column, texts in part.choices(context).items()}


class AreaCode(Field):
    """An area in one cell, by its code or by a name that only one area has."""

    def read(self, row: RowMapping, context: Context) -> None:
        """An area that the side knows, or a fault."""
        cell = row.cell(self.column)
        if cell is None:
            return
        code = context.side.places.find(cell.text, "")
        if code is None:
            row.fault("AREA_UNMAPPED", cell, in_words(cell.text, 40))
        else:
            row.put(self.target, code, cell.address, "area-name")


WATER: Final = Details(
    AlertKind.ALERT_KIND_WATER_POLLUTION,
    (
        Text("water_river", "water.river_id"),
        Text("water_section", "water.next_section_id"),
        Instant("water_expected_at", "water.expected_at"),
        Amount("water_flow", "water.flow_m3_s"),
        Amount("water_velocity", "water.velocity_m_s"),
        Amount("water_stretch", "water.stretch_km"),
    ),
)
"""水污染."""

GAS: Final = Details(
    AlertKind.ALERT_KIND_TOXIC_GAS,
    (
        Text("gas_park", "gas.park_id"),
        Choice("gas_ring", "gas.ring", enum=GasRing),
        Text("gas_threshold", "gas.threshold_id"),
        Whole("gas_averaging", "gas.averaging_minutes"),
        Amount("wind_direction", "gas.wind_direction_deg"),
        Amount("wind_speed", "gas.wind_speed_m_s"),
    ),
)
"""有毒有害气体."""

WASTEWATER: Final = Details(
    AlertKind.ALERT_KIND_ACCIDENT_WASTEWATER,
    (
        Choice("defence_level", "wastewater.defence_level", enum=DefenceLevel),
        Amount("pool_volume", "wastewater.pool_volume_m3"),
        Amount("pool_used", "wastewater.pool_used_m3"),
        Choice("gate_state", "wastewater.gate_state", enum=GateState),
        Text("receiving_river", "wastewater.receiving_river_id"),
    ),
)
"""事故废水."""

ALERT: Final = FlatKind(
    kind=Kind.KIND_ALERT,
    parts=(
        Number("event_id"),
        Whole("sequence"),
        Choice("report_kind", enum=ReportKind),
        Flag("is_exercise"),
        Choice("alert_kind", enum=AlertKind),
        Choice("level", enum=AlertLevel),
        Choice("colour", enum=AlertColour),
        Instant("occurred_at"),
        Instant("learned_at"),
        Instant("reported_at"),
        Area(path="location.area_code"),
        Text("place", "location.place"),
        Amount("longitude", "location.longitude"),
        Amount("latitude", "location.latitude"),
        Text("river", "location.river_id"),
        Text("section", "location.section_id"),
        Text("park", "location.park_id"),
        Text("information_source"),
        Text("cause"),
        Text("course"),
        Text("casualties"),
        Text("trend"),
        Text("measures_taken"),
        Text("measures_planned"),
        Text("requests"),
        Named("reporting_unit"),
        Text("contact_desk"),
        Text("plan", "plan.plan_id"),
        Text("plan_version", "plan.version"),
        WATER,
        GAS,
        WASTEWATER,
        Items(
            "pollutants",
            (
                Text("pollutant", "name"),
                Number("cas_no"),
                Factor("pollutant_factor", "factor_code"),
                Amount("pollutant_amount", "amount"),
                Unit("pollutant_unit", "unit"),
            ),
        ),
        Items(
            "readings",
            (
                Text("reading_place", "place"),
                Factor("reading_factor", "factor_code"),
                Amount("reading_value", "value"),
                Unit("reading_unit", "unit"),
                Instant("sampled_at"),
            ),
        ),
        Items(
            "sensitive_points",
            (
                Choice("point_kind", "kind", enum=SensitivePointKind),
                Text("point", "name"),
                AreaCode("point_area", "area_code"),
                Amount("point_distance", "distance_km"),
                Instant("point_expected_at", "expected_at"),
            ),
        ),
    ),
    found_by=(("event_id",), ("report_kind",), ("alert_kind",)),
    identifying=("event_id",),
    needed=(
        ("sequence",),
        ("is_exercise",),
        ("level",),
        ("learned_at",),
        ("reported_at",),
        ("city", "county", "area_code"),
        ("place",),
        ("reporting_unit_name",),
        ("contact_desk",),
    ),
    joined_by=("event_id", "sequence"),
)
