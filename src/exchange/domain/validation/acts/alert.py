"""Alerts: one report of one event. A first report may be incomplete; a last one may not."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from exchange.domain.validation.acts.alert_details import check_details
from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.instants import check_past
from exchange.domain.validation.limits import (
    CODE_CHARACTERS,
    NAME_CHARACTERS,
    READINGS,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
    TEXT_CHARACTERS,
)
from exchange.v1.alert_pb2 import Alert, AlertColour, AlertKind, AlertLevel, ReportKind, SensitivePointKind

_KINDS = numbers(AlertKind)
_REPORTS = numbers(ReportKind)
_LEVELS = numbers(AlertLevel)
_COLOURS = numbers(AlertColour)
_POINTS = numbers(SensitivePointKind)
_FINAL = ReportKind.REPORT_KIND_FINAL
_EVENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._\-]{2,63}")
_CAS = re.compile(r"([1-9][0-9]{1,6})-([0-9]{2})-([0-9])")
_MOST_REPORTS: Final = 10_000
# The country's own span in CGCS2000, in whole degrees.
_LONGITUDES: Final = (Decimal(73), Decimal(136))
_LATITUDES: Final = (Decimal(3), Decimal(54))
_P: Final = "alert."

# Field, characters.
_TEXTS: Final = (
    ("information_source", SENTENCE_CHARACTERS),
    ("cause", TEXT_CHARACTERS),
    ("course", TEXT_CHARACTERS),
    ("casualties", SENTENCE_CHARACTERS),
    ("trend", SENTENCE_CHARACTERS),
    ("measures_taken", TEXT_CHARACTERS),
    ("measures_planned", TEXT_CHARACTERS),
    ("requests", SENTENCE_CHARACTERS),
)


def check_alert(found: Findings, body: Alert) -> None:
    """Check one report of an event."""
    if not _EVENT.fullmatch(body.event_id):
        found.add("EVENT_ID_FORMAT" if body.event_id else "FIELD_MISSING", _P + "event_id")
    found.choice(body.report_kind, _REPORTS, _P + "report_kind")
    found.choice(body.alert_kind, _KINDS, _P + "alert_kind")
    found.choice(body.level, _LEVELS, _P + "level")
    if body.colour and body.colour not in _COLOURS:
        found.add("ENUM_UNKNOWN", _P + "colour", str(body.colour))
    first = body.report_kind == ReportKind.REPORT_KIND_INITIAL
    if not 1 <= body.sequence <= _MOST_REPORTS or (body.report_kind in _REPORTS and (body.sequence == 1) != first):
        found.add("ALERT_SEQUENCE", _P + "sequence", str(body.sequence))
    _check_times(found, body)
    _check_location(found, body)
    for name, limit in _TEXTS:
        found.text(getattr(body, name), _P + name, limit, lines=True)
    found.uscc(body.reporting_unit.uscc, _P + "reporting_unit.uscc")
    found.text(body.reporting_unit.name, _P + "reporting_unit.name", NAME_CHARACTERS, required=True)
    found.text(body.contact_desk, _P + "contact_desk", SHORT_CHARACTERS, required=True)
    if body.HasField("plan"):
        found.text(body.plan.plan_id, _P + "plan.plan_id", CODE_CHARACTERS, required=True)
        found.text(body.plan.version, _P + "plan.version", CODE_CHARACTERS, required=True)
    if body.report_kind == _FINAL:
        _check_complete(found, body)
    check_details(found, body)
    _check_pollutants(found, body)
    _check_readings(found, body)
    _check_points(found, body)


def _check_complete(found: Findings, body: Alert) -> None:
    """A last report tells cause, level and what was done."""
    if body.level == AlertLevel.ALERT_LEVEL_NOT_DETERMINED:
        found.add("REPORT_INCOMPLETE", _P + "level")
    for name in ("cause", "measures_taken"):
        if not getattr(body, name).strip():
            found.add("REPORT_INCOMPLETE", _P + name)


def _check_times(found: Findings, body: Alert) -> None:
    if body.HasField("occurred_at"):
        check_past(found, body.occurred_at, _P + "occurred_at", given=True)
    for name in ("learned_at", "reported_at"):
        check_past(found, getattr(body, name), _P + name, given=body.HasField(name))
    if body.HasField("learned_at") and body.HasField("reported_at"):
        learned, reported = body.learned_at, body.reported_at
        if (learned.seconds, learned.nanos) > (reported.seconds, reported.nanos):
            found.add("DATES_REVERSED", _P + "reported_at")


def _check_location(found: Findings, body: Alert) -> None:
    location = body.location
    if not location.area_code:
        found.add("FIELD_MISSING", _P + "location.area_code")
    found.area(location.area_code, _P + "location.area_code")
    found.text(location.place, _P + "location.place", NAME_CHARACTERS, required=True)
    for name in ("river_id", "section_id", "park_id"):
        found.text(getattr(location, name), f"{_P}location.{name}", CODE_CHARACTERS)
    if bool(location.longitude) != bool(location.latitude):
        found.add("COORDINATE_RANGE", _P + "location")
    for name, (low, high) in (("longitude", _LONGITUDES), ("latitude", _LATITUDES)):
        value = found.number(getattr(location, name), f"{_P}location.{name}", signed=True)
        if value is not None and not low <= value <= high:
            found.add("COORDINATE_RANGE", f"{_P}location.{name}")


def _check_pollutants(found: Findings, body: Alert) -> None:
    if not found.count(body.pollutants, _P + "pollutants", READINGS):
        return
    for number, each in enumerate(body.pollutants):
        place = f"{_P}pollutants[{number}]"
        _check_factor(found, each.factor_code, place)
        if each.cas_no and not _cas_holds(each.cas_no):
            found.add("CAS_NO_FORMAT", f"{place}.cas_no")
        found.text(each.name, f"{place}.name", SHORT_CHARACTERS, required=True)
        found.number(each.amount, f"{place}.amount")
        found.text(each.unit, f"{place}.unit", CODE_CHARACTERS, required=bool(each.amount))


def _cas_holds(text: str) -> bool:
    """Whether the check digit of a CAS number is right."""
    parts = _CAS.fullmatch(text)
    if parts is None:
        return False
    digits = (parts[1] + parts[2])[::-1]
    return sum(place * int(digit) for place, digit in enumerate(digits, 1)) % 10 == int(parts[3])


def _check_factor(found: Findings, code: str, place: str) -> None:
    if code and found.tables.factors.find(code) is None:
        found.add("FACTOR_UNMAPPED", f"{place}.factor_code")


def _check_readings(found: Findings, body: Alert) -> None:
    if not found.count(body.readings, _P + "readings", READINGS):
        return
    for number, each in enumerate(body.readings):
        place = f"{_P}readings[{number}]"
        found.text(each.place, f"{place}.place", SHORT_CHARACTERS, required=True)
        if not each.factor_code:
            found.add("FIELD_MISSING", f"{place}.factor_code")
        _check_factor(found, each.factor_code, place)
        found.number(each.value, f"{place}.value", required=True, signed=True)
        found.text(each.unit, f"{place}.unit", CODE_CHARACTERS, required=True)
        check_past(found, each.sampled_at, f"{place}.sampled_at", given=each.HasField("sampled_at"))


def _check_points(found: Findings, body: Alert) -> None:
    if not found.count(body.sensitive_points, _P + "sensitive_points", READINGS):
        return
    for number, each in enumerate(body.sensitive_points):
        place = f"{_P}sensitive_points[{number}]"
        found.choice(each.kind, _POINTS, f"{place}.kind")
        found.text(each.name, f"{place}.name", SHORT_CHARACTERS, required=True)
        found.area(each.area_code, f"{place}.area_code")
        found.number(each.distance_km, f"{place}.distance_km")
