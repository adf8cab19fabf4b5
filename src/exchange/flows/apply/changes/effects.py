"""From one ruled entry to row changes. Pure but for the rows that were loaded before.

Law: what an erased record leaves in the registers is what its statement alone would have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count, repeat
from typing import Any

from exchange.flows.apply.changes import ending
from exchange.flows.apply.changes.overlay import RegisterOverlay
from exchange.flows.apply.deciding.ruling import Ruling, read_decision
from exchange.flows.apply.entry import ReadEntry
from exchange.storage.registers import registers
from exchange.v1.kind_pb2 import Kind

UNDESCRIBED: dict[str, Any] = {
    "natural_key": "",
    "supersedes": None,
    "about_origin": "",
    "about": None,
    "subject": "",
    "area": "",
    "authority": "",
    "level": 0,
    "state": 0,
    "year": 0,
    "sort_on": "",
    "own_end": "",
    "own_end_on": "",
}
"""Columns that a record describes, where none does: not taken into effect, or erased."""


def bare_row(
    entry: ReadEntry, origin: str, log_id: int, mirrored_at: int | None, ruling: Ruling, revision: int, edition: str
) -> dict[str, Any]:
    """A register row of what the statement and the log alone say."""
    facts = entry.facts
    return {
        "seq": 0,
        "origin": origin,
        "record_id": entry.record_id,
        "revision": facts.revision,
        "kind": facts.kind,
        "erasure_class": facts.erasure_class,
        "log_id": log_id,
        "idx": entry.index,
        "commitment": facts.commitment,
        "logged_at": facts.logged_at,
        "mirrored_at": mirrored_at,
        **UNDESCRIBED,
        "outcome": ruling.outcome,
        "decision_revision": revision,
        "decision": ruling.as_json(edition),
        "newest": ruling.takes_effect,
        "tombstone": "",
        "tombstone_on": "",
    }


def apply_record(overlay: RegisterOverlay, entry: ReadEntry, row: dict[str, Any], ruling: Ruling) -> None:
    """Put the row of a record and take it out of effect where a newer one stands.

    Only a record that takes effect is described by its row: what was refused may hold anything.
    """
    takes_effect = ruling.takes_effect
    said = entry.description(row["origin"]) if takes_effect and entry.has_record else None
    if said is not None:
        index = said.filed
        row["natural_key"] = entry.natural_key
        row["supersedes"] = said.supersedes
        row["about_origin"] = index.about_origin
        row["about"] = index.about
        row["subject"] = index.subject
        row["area"] = index.area
        row["authority"] = said.authority
        row["level"] = index.level
        row["state"] = index.state
        row["year"] = index.year
        row["sort_on"] = index.sort_on
        row["own_end"] = row["tombstone"] = index.ended
        row["own_end_on"] = row["tombstone_on"] = index.ended_on if index.ended else ""
    revisions = overlay.revisions(row["origin"], entry.record_id)
    standing = next((other for other in revisions if other["revision"] == row["revision"]), None) if revisions else None
    had_effect = standing is not None and bool(read_decision(standing["decision"]).rules)
    if standing is not None and had_effect and standing["tombstone"] != "ERASED" and not takes_effect:
        withdraw(overlay, entry, row, standing)
        return
    if revisions:
        _stand_below(row, [other for other in revisions if other["revision"] > row["revision"]])
    ending.end_row(row, ending.ended_by_acts(overlay, row["origin"], entry.record_id))
    if revisions and takes_effect:
        _replace(overlay, entry, row, [other for other in revisions if other["revision"] < row["revision"]])
    overlay.skip_to_own_numbers()
    overlay.put_record(row, salt=entry.salt, place=entry.place)
    if said is not None and not had_effect:
        leaves = said.leaves or repeat(b"")
        for number, (table, part), leaf in zip(count(said.numbered), said.parts, leaves, strict=False):
            overlay.put_numbered(table, part, salt=entry.salt, place=entry.place, made=(number, leaf))


def _stand_below(row: dict[str, Any], newer: Sequence[Mapping[str, Any]]) -> None:
    """What came late is not shown where a newer revision is, and has ended where that has."""
    row["newest"] = row["newest"] and not any(other["newest"] for other in newer)
    ended = next((other for other in newer if other["tombstone"]), None)
    if ended is not None and not row["tombstone"]:
        row |= {"tombstone": ended["tombstone"], "tombstone_on": ended["tombstone_on"]}


def _replace(
    overlay: RegisterOverlay, entry: ReadEntry, row: Mapping[str, Any], older: Sequence[Mapping[str, Any]]
) -> None:
    """A revision that takes effect stands for all before it; one that ends the record ends those too."""
    for other in older:
        ends = bool(row["tombstone"]) and not other["tombstone"]
        if other["newest"] or ends:
            changed = {**other, "newest": False}
            if ends:
                changed |= {"tombstone": row["tombstone"], "tombstone_on": row["tombstone_on"]}
            overlay.put_record(changed, salt=b"", place=entry.place, follows=True)


def withdraw(overlay: RegisterOverlay, entry: ReadEntry, row: dict[str, Any], old: Mapping[str, Any]) -> None:
    """Take a row out of effect whose signature is not proven any more: what it had replaced is shown again.

    Args:
        overlay: The registers.
        entry: The entry that is decided again.
        row: What its statement alone says.
        old: The row as it stands.
    """
    origin = row["origin"]
    if old["natural_key"]:
        overlay.release(origin, old["natural_key"])
    act = ending.ended_by_acts(overlay, origin, entry.record_id)
    others = [each for each in overlay.revisions(origin, entry.record_id) if each["revision"] != row["revision"]]
    newer = [each for each in others if each["revision"] > row["revision"]]
    shown = old["newest"]
    for other in reversed([each for each in others if each["revision"] < row["revision"]]):
        if other["tombstone"] == "ERASED" or not read_decision(other["decision"]).rules:
            continue
        changed = {**other, "newest": shown}
        shown = False
        if old["tombstone"] and not other["own_end"] and not any(each["tombstone"] for each in newer):
            changed |= {"tombstone": "", "tombstone_on": ""}
        ending.end_row(changed, act)
        if changed != other:
            overlay.put_record(changed, salt=b"", place=entry.place, follows=True)
    ended = next((each for each in newer if each["tombstone"]), None)
    if ended is not None:
        row |= {"tombstone": ended["tombstone"], "tombstone_on": ended["tombstone_on"]}
    ending.end_row(row, act)
    for part in registers.RECORD_PARTS:
        overlay.drop(part, (origin, entry.record_id, row["revision"]), place=entry.place)
    if row["kind"] == Kind.KIND_RECOGNITION:
        overlay.drop(registers.SOURCE_DECISIONS, (row["log_id"], row["idx"]), place=entry.place)
    overlay.skip_to_own_numbers()
    overlay.put_record(row, salt=entry.salt, place=entry.place)
    if old["kind"] in ending.ENDS and old["about"]:
        ending.carry_out(overlay, old["about_origin"], old["about"], entry.place)
