"""List entries: a legal basis always, an exit exactly when the firm left the list."""

from __future__ import annotations

import re
from typing import Final

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import (
    CODE_CHARACTERS,
    ITEMS,
    LEGAL_BASES,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
)
from exchange.domain.validation.measures import check_measures
from exchange.domain.validation.subject import check_subject
from exchange.v1.list_entry_pb2 import ListEntry, ListExitReason, ListKind, ListState

_KINDS = numbers(ListKind)
_STATES = numbers(ListState)
_REASONS = numbers(ListExitReason)
_CATEGORY = re.compile(r"HW[0-9]{2}")
_WASTE = re.compile(r"[0-9]{3}-[0-9]{3}-[0-9]{2}")
_P: Final = "list_entry."


def check_list_entry(found: Findings, body: ListEntry) -> None:
    """Check a list entry."""
    check_subject(found, body.subject, _P + "subject", persons=False)
    found.choice(body.list_kind, _KINDS, _P + "list_kind")
    found.text(body.list_id, _P + "list_id", SHORT_CHARACTERS, required=True)
    found.text(body.list_edition, _P + "list_edition", CODE_CHARACTERS)
    found.text(body.entry_reason, _P + "entry_reason", SENTENCE_CHARACTERS, required=True, lines=True)
    entered = found.day(body.entered_on, _P + "entered_on", required=True)
    if body.valid_until:
        found.ordered(entered, found.day(body.valid_until, _P + "valid_until", future=True), _P + "valid_until")
    if body.legal_basis:
        found.legal_bases(body.legal_basis, _P + "legal_basis", LEGAL_BASES)
    else:
        found.add("LEGAL_BASIS_MISSING", _P + "legal_basis")
    if body.HasField("derived_from"):
        found.reference(body.derived_from, _P + "derived_from")
    check_measures(found, body.measures, _P + "measures")
    found.choice(body.state, _STATES, _P + "state")
    _check_exit(found, body, entered)
    _check_wastes(found, body)


def _check_exit(found: Findings, body: ListEntry, entered: str) -> None:
    if body.state == ListState.LIST_STATE_ENTERED:
        if body.HasField("exit"):
            found.add("FIELD_NOT_ALLOWED", _P + "exit")
        return
    found.choice(body.exit.reason, _REASONS, _P + "exit.reason")
    exited = found.day(body.exit.exited_on, _P + "exit.exited_on", required=True)
    found.ordered(entered, exited, _P + "exit.exited_on")


def _check_wastes(found: Findings, body: ListEntry) -> None:
    if body.wastes and body.list_kind != ListKind.LIST_KIND_WHITE:
        found.add("FIELD_NOT_ALLOWED", _P + "wastes")
    if not found.count(body.wastes, _P + "wastes", ITEMS):
        return
    for number, waste in enumerate(body.wastes):
        place = f"{_P}wastes[{number}]"
        if not _CATEGORY.fullmatch(waste.category):
            found.add("WASTE_CODE_FORMAT" if waste.category else "FIELD_MISSING", f"{place}.category")
        if waste.waste_code and not _WASTE.fullmatch(waste.waste_code):
            found.add("WASTE_CODE_FORMAT", f"{place}.waste_code")
        found.text(waste.treatment, f"{place}.treatment", CODE_CHARACTERS)
        found.number(waste.tonnes_per_year, f"{place}.tonnes_per_year")
