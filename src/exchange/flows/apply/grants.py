"""Grants replayed: a register row of an agency from the journal's line about it."""

from __future__ import annotations

from exchange.domain.agency_form import read_agency
from exchange.storage.registers import Change
from exchange.v1.journal_pb2 import GrantChanged


def register_row(changed: GrantChanged) -> Change:
    """The row change that a line of the journal made."""
    if not changed.grant:
        return Change("agencies", (changed.agency,), None)
    agency = read_agency(changed.agency, changed.grant.encode())
    row = {"name": changed.agency, "agency": agency.SerializeToString(deterministic=True)}
    return Change("agencies", (changed.agency,), row)
