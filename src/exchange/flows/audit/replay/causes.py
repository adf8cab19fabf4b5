"""Which entry should have made a row that differs, and by which line of the journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.flows.apply.again.journaled import changes_of, is_register_event
from exchange.flows.apply.again.replay import epochs, events
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.replay.comparing import Difference
from exchange.storage.engine.database import Connection
from exchange.storage.registers import canonical, registers
from exchange.storage.registers.canonical import RegisterPosition
from exchange.storage.registers.registers import TABLES
from exchange.v1.journal_pb2 import Step

Address = tuple[str, int]
"""Log and index."""

_OWN_PLACE: Final = (("log_id", "idx"), ("source_log", "source_idx"))
_BY_JOURNAL: Final = frozenset(
    {
        "reg_agencies",
        "reg_actions",
        "reg_dues",
        "reg_key_decisions",
        "reg_notice_readers",
        "reg_rule_editions",
        "reg_rule_orders",
        "reg_rotations",
        "reg_rotation_steps",
    }
)
"""Registers that lines of the journal make by themselves."""


@dataclass(slots=True)
class _Case:
    difference: Difference
    entry: Address | None = None
    line: Address | None = None
    """The line of the journal: the step, or what made the row by itself."""


@dataclass(slots=True)
class Beyond:
    """What the logs that were walked do not tell: what a node did behind them, and what follows from bodies not shown.

    Attributes:
        position: Where its registers stand; None when both stand at the same change.
        records: Records, by origin, id and revision, whose rows it changed since.
        kept_back: Entries whose bodies the source does not show: their rows are made of their statements alone.
    """

    position: RegisterPosition | None = None
    records: set[tuple[str, str, int]] = field(default_factory=set)
    kept_back: Collection[Address] = ()


def explain(made: Connection, differences: Sequence[Difference], beyond: Beyond) -> list[Finding]:
    """A finding for each difference, in order.

    Args:
        made: The registers that the logs give, with their logs.
        differences: What differs.
        beyond: What the compared node may have changed since.
    """
    cases = [_Case(each) for each in differences]
    for case in cases:
        case.entry = _entry_of(made, case.difference)
    _find_lines(made, cases)
    return [_finding(case, beyond) for case in cases]


def _entry_of(made: Connection, difference: Difference) -> Address | None:
    """The entry that a row stands on, by the row made of it or else by what it says of itself."""
    row = difference.row
    for log, index in _OWN_PLACE:
        if difference.register not in _BY_JOURNAL and log in row and index in row:
            return row[log], row[index]
    if {"origin", "record_id"} <= row.keys() and isinstance(row["record_id"], str):
        return _record_place(made, row)
    return None


def _record_place(made: Connection, row: dict[str, Any]) -> Address | None:
    try:
        record_id = bytes.fromhex(row["record_id"])
    except ValueError:
        return None
    found = registers.records_of(made, [(row["origin"], record_id)]).get((row["origin"], record_id), [])
    wanted = row.get("revision")
    place = next((each for each in found if wanted in (None, each["revision"])), None)
    if place is None:
        return None
    origins = canonical.RowReader(made).origins
    return origins[place["log_id"]], place["idx"]


def _find_lines(made: Connection, cases: Iterable[_Case]) -> None:
    """One walk over the journal for all of them: the last line that touched each."""
    by_entry: dict[Address, list[_Case]] = {}
    by_key: dict[tuple[str, str], list[_Case]] = {}
    for case in cases:
        if case.entry is not None:
            by_entry.setdefault(case.entry, []).append(case)
        elif case.difference.register in _BY_JOURNAL:
            by_key.setdefault((case.difference.register, case.difference.key), []).append(case)
    if not by_entry and not by_key:
        return
    reader = canonical.RowReader(made)
    for book, end in epochs(made):
        for index, event in events(made, book, 0, end):
            if event.HasField("step"):
                for entry, waiting in by_entry.items():
                    if _read_by(event.step, entry):
                        for case in waiting:
                            case.line = (book.origin, index)
            elif by_key and is_register_event(event):
                for change in changes_of(made, event, book.id, index):
                    table, columns = TABLES[change.table]
                    key = reader.key_of(dict(zip(columns, change.key, strict=True)))
                    for case in by_key.get((table.name, key), ()):
                        case.line = (book.origin, index)


def _read_by(step: Step, entry: Address) -> bool:
    log, index = entry
    return step.source_log == log and (
        step.first <= index < step.end or any(each.index == index for each in step.redecisions)
    )


def _finding(case: _Case, beyond: Beyond) -> Finding:
    difference = case.difference
    evidence = {"register": difference.register, "key": difference.key}
    if case.line is not None:
        evidence["journal"] = f"{case.line[0]}#{case.line[1]}"
    for name, row in (("made", difference.made), ("found", difference.found)):
        if row is not None:
            evidence[name] = canonical.encode(row)
    if case.entry in beyond.kept_back:
        code, proven = "REGISTER_ROW_WITHHELD", False
    elif _may_be_newer(difference, beyond):
        code, proven = "REGISTER_ROW_NEWER", False
    elif difference.made is None:
        code, proven = "REGISTER_ROW_ADDED", True
    else:
        code, proven = "REGISTER_ROW_MISSING" if difference.found is None else "REGISTER_ROW_DIFFERS", True
    place = case.entry or case.line
    return Finding(
        code=code,
        log=place[0] if place else "",
        index=place[1] if place else None,
        detail=f"{difference.register} {difference.key} {difference.columns()}"
        if code == "REGISTER_ROW_DIFFERS"
        else f"{difference.register} {difference.key}",
        proven=proven,
        evidence=evidence,
    )


def _may_be_newer(difference: Difference, beyond: Beyond) -> bool:
    """Whether a step behind the logs that were walked may have changed the row.

    A row of a record has a number that grows with each change, so an older number stands for what was walked. Rows
    without a number may have been changed by any later step.
    """
    if beyond.position is None or difference.register in _BY_JOURNAL:
        return False
    found = difference.found
    if found is not None and isinstance(found.get("seq"), int) and difference.register != "reg_keys":
        return bool(found["seq"] >= beyond.position.next_seq)
    row = difference.row
    if {"origin", "record_id", "revision", "seq"} <= row.keys() and difference.register != "reg_keys":
        return (row["origin"], row["record_id"], row["revision"]) in beyond.records
    return True
