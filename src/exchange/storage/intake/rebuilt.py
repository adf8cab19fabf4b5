"""What stands beside the logs, made again from what entries and journal say of it: in a database that was empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, insert, update

from exchange.storage import schema
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.intake import submissions
from exchange.storage.intake.quarantine import QuarantineRow
from exchange.storage.intake.submissions import Address, NewSubmission, SubmissionRow
from exchange.storage.node.alarms import AlarmRow

_MOVED = (
    update(schema.submissions)
    .where(schema.submissions.c.seq == bindparam("number"))
    .values(addresses=bindparam("places"))
)
_LET_GO = (
    update(schema.entries)
    .where(schema.entries.c.log_id == bindparam("log"), schema.entries.c.idx == bindparam("index"))
    .values(submission=None)
)


def number(tx: Transaction, log: LogHead, first: int, told: Sequence[NewSubmission | None]) -> list[int | None]:
    """The submission of each of some entries that are about to be appended to a log: known by its tag, or made.

    One record stands once for each addressee. Where it stands again for the same one, in a later epoch or behind a
    restore, the later place counts; so does the later of two records that were sent under one key around a restore.

    Args:
        tx: Where logs are put in order of epoch.
        log: The log.
        first: Index of the first of them.
        told: What each entry says of its submission; None for those that the node made itself.
    """
    rows = submissions.by_key_tags(tx.connection, [new.key_tag for new in told if new is not None])
    same = {each.id for each in tx.heads.values() if (each.use, each.peer, each.lane) == (log.use, log.peer, log.lane)}
    numbers: list[int | None] = []
    fresh: dict[int, dict[str, Any]] = {}
    places: dict[int, list[Address]] = {}
    let_go: list[dict[str, int]] = []
    at: dict[bytes, tuple[int, NewSubmission | SubmissionRow]] = {tag: (row.seq, row) for tag, row in rows.items()}
    for row in rows.values():
        places[row.seq] = list(row.addresses)
    for index, new in enumerate(told, first):
        if new is None:
            numbers.append(None)
            continue
        seq, known = at.get(new.key_tag, (0, None))
        here = Address(log.id, index)
        if known is None or (known.record_id, known.revision) != (new.record_id, new.revision):
            gone = places.pop(seq, []) if known is not None else []
            seq = seq or tx.serial(schema.submissions)
            fresh[seq] = submissions.row_values(new, seq, "", known_caller=False)
            at[new.key_tag] = seq, new
            places[seq] = [here]
        else:
            gone = [each for each in places[seq] if each.log_id in same]
            places[seq] = [*(each for each in places[seq] if each not in gone), here]
        let_go += [{"log": each.log_id, "index": each.index} for each in gone]
        numbers.append(seq)
    _write(tx, {row.seq for row in rows.values()}, fresh, places)
    if let_go:
        # Those of this very run are appended behind this: they get no number to lose.
        tx.connection.execute(_LET_GO, let_go)
        own = {each["index"] for each in let_go if each["log"] == log.id}
        numbers = [None if index in own else given for index, given in enumerate(numbers, first)]
    return numbers


def _write(
    tx: Transaction, stored: set[int], fresh: dict[int, dict[str, Any]], places: dict[int, list[Address]]
) -> None:
    table = schema.submissions
    for seq in stored & fresh.keys():
        tx.connection.execute(table.delete().where(table.c.seq == seq))
    made = [row | {"addresses": ",".join(map(str, places[seq]))} for seq, row in fresh.items()]
    if made:
        tx.connection.execute(insert(table), made)
    moved = [{"number": seq, "places": ",".join(map(str, where))} for seq, where in places.items() if seq not in fresh]
    if moved:
        tx.connection.execute(_MOVED, moved)


def put_quarantine(tx: Transaction, rows: Iterable[QuarantineRow]) -> None:
    """Rows of quarantine, as far as they are known."""
    values = [{name: getattr(row, name) for name in QuarantineRow.__slots__} for row in rows]
    if values:
        tx.connection.execute(insert(schema.quarantine), values)


def put_alarms(tx: Transaction, rows: Iterable[AlarmRow]) -> None:
    """Alarms that are open."""
    values = [{name: getattr(row, name) for name in AlarmRow.__slots__} for row in rows]
    if values:
        tx.connection.execute(insert(schema.alarms), values)
