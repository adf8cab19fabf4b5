"""What is particular to each kind of event."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import CODE_CHARACTERS
from exchange.v1.alert_pb2 import AccidentWastewater, Alert, AlertKind, DefenceLevel, GasRing, GateState, ToxicGas
from exchange.v1.alert_pb2 import WaterPollution as Water

_RINGS = numbers(GasRing)
_LEVELS = numbers(DefenceLevel)
_GATES = numbers(GateState)
_FULL_CIRCLE: Final = Decimal(360)
_LONGEST_MINUTES: Final = 1_440
"""Averages of toxic gas are of minutes to a day."""

_OF_KIND: Final[dict[int, str]] = {
    AlertKind.ALERT_KIND_WATER_POLLUTION: "water",
    AlertKind.ALERT_KIND_TOXIC_GAS: "gas",
    AlertKind.ALERT_KIND_ACCIDENT_WASTEWATER: "wastewater",
}


def check_details(found: Findings, body: Alert) -> None:
    """Check the part that belongs to the kind of event, which has to be there."""
    given = body.WhichOneof("details")
    wanted = _OF_KIND.get(body.alert_kind)
    if wanted is not None and given != wanted:
        found.add("ALERT_DETAILS", f"alert.{wanted}")
    elif given == "water":
        _check_water(found, body.water)
    elif given == "gas":
        _check_gas(found, body.gas)
    elif given == "wastewater":
        _check_wastewater(found, body.wastewater)


def _check_water(found: Findings, water: Water) -> None:
    found.text(water.river_id, "alert.water.river_id", CODE_CHARACTERS, required=True)
    found.text(water.next_section_id, "alert.water.next_section_id", CODE_CHARACTERS)
    for name in ("flow_m3_s", "velocity_m_s", "stretch_km"):
        found.number(getattr(water, name), f"alert.water.{name}")


def _check_gas(found: Findings, gas: ToxicGas) -> None:
    found.text(gas.park_id, "alert.gas.park_id", CODE_CHARACTERS, required=True)
    found.choice(gas.ring, _RINGS, "alert.gas.ring")
    found.text(gas.threshold_id, "alert.gas.threshold_id", CODE_CHARACTERS)
    if not 0 <= gas.averaging_minutes <= _LONGEST_MINUTES:
        found.add("RANGE_INVALID", "alert.gas.averaging_minutes")
    direction = found.number(gas.wind_direction_deg, "alert.gas.wind_direction_deg")
    if direction is not None and direction >= _FULL_CIRCLE:
        found.add("RANGE_INVALID", "alert.gas.wind_direction_deg")
    found.number(gas.wind_speed_m_s, "alert.gas.wind_speed_m_s")


def _check_wastewater(found: Findings, wastewater: AccidentWastewater) -> None:
    found.choice(wastewater.defence_level, _LEVELS, "alert.wastewater.defence_level")
    found.choice(wastewater.gate_state, _GATES, "alert.wastewater.gate_state")
    volume = found.number(wastewater.pool_volume_m3, "alert.wastewater.pool_volume_m3")
    used = found.number(wastewater.pool_used_m3, "alert.wastewater.pool_used_m3")
    if volume is not None and used is not None and used > volume:
        found.add("RANGE_INVALID", "alert.wastewater.pool_used_m3")
    found.text(wastewater.receiving_river_id, "alert.wastewater.receiving_river_id", CODE_CHARACTERS)
