"""Measures: from a named edition of a catalogue, by law or as a recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.domain.catalogues.measures import CatalogueMeasure
from exchange.domain.validation.findings import Findings
from exchange.domain.validation.limits import ITEMS, LEGAL_BASES
from exchange.v1.measure_pb2 import Measure

MEASURE_ADDRESSEES: Final = frozenset({"GOVERNMENT", "MARKET"})
"""Who is to act on a measure."""


def check_catalogued(found: Findings, catalogue: str, edition: str, code: str, place: str) -> CatalogueMeasure | None:
    """A measure that an edition of a catalogue has; None, and the reason noted, where none does."""
    table = found.tables.measures
    known = table.find(catalogue, edition, code)
    if (catalogue, edition) not in table.editions:
        found.add("MEASURE_CATALOGUE_UNKNOWN", f"{place}.edition")
    elif known is None:
        found.add("MEASURE_UNKNOWN", f"{place}.code")
    return known


def check_measures(found: Findings, measures: Sequence[Measure], place: str) -> None:
    """Check what a notice or list asks to be done."""
    if len(measures) > ITEMS:
        found.add("TOO_MANY_ITEMS", place, f"{len(measures)} > {ITEMS}")
        return
    for number, measure in enumerate(measures):
        own = f"{place}[{number}]"
        known = check_catalogued(found, measure.catalogue, measure.edition, measure.code, own)
        if measure.addressee not in MEASURE_ADDRESSEES:
            found.add("MEASURE_ADDRESSEE", f"{own}.addressee")
        if known is not None and known.measure_class == "C" and not measure.recommendation:
            found.add("MEASURE_NOT_RECOMMENDED", f"{own}.recommendation")
        if known is not None and known.measure_class != "C" and not measure.legal_basis:
            found.add("LEGAL_BASIS_MISSING", f"{own}.legal_basis")
        found.legal_bases(measure.legal_basis, f"{own}.legal_basis", LEGAL_BASES)
