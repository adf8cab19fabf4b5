"""Lanes as operators and contradictions left them, by the lines of the journal: every change of one has its line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exchange.domain.lanes import LANE_NUMBERS
from exchange.flows.link.lanes import AGREED, PAUSED, RESUMED, RETIRED, RETRIED
from exchange.storage.engine.transaction import LogHead
from exchange.storage.node.links import MIRROR_STOP, LinkRow
from exchange.v1.journal_pb2 import AdministratorAction, EvidenceKept, JournalEntry


class LaneStates:
    """Takes lines in their order; what they leave of each lane is asked for in the end."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], LinkRow] = {}

    def take(self, event: JournalEntry) -> None:
        """The next line."""
        if event.HasField("administrator_action"):
            self._acted(event.administrator_action)
        elif event.HasField("evidence_kept"):
            self._stopped(event.evidence_kept)

    def _acted(self, action: AdministratorAction) -> None:
        row = self._row(action.object)
        if row is None:
            return
        if action.action in (PAUSED, RESUMED):
            self._put(replace(row, paused=action.action == PAUSED))
        elif action.action == RETRIED:
            self._put(row.with_stops("", ""))
        elif action.action == RETIRED:
            self._put(row.with_stops("", None))
        elif action.action == AGREED:
            self._put(replace(row.with_stops(None, ""), mirror_epoch=row.mirror_epoch + 1))

    def _stopped(self, kept: EvidenceKept) -> None:
        row = self._row(kept.log)  # evidence about anything but a lane names a log
        if row is None:
            return
        if kept.reason.startswith(MIRROR_STOP):
            self._put(row.with_stops(None, kept.reason.removeprefix(MIRROR_STOP)))
        else:
            self._put(row.with_stops(kept.reason, None))

    def _row(self, name: str) -> LinkRow | None:
        peer, _, lane = name.partition("/")
        if not peer or lane not in LANE_NUMBERS:
            return None
        key = peer, LANE_NUMBERS[lane]
        return self._rows.get(key, LinkRow(*key))

    def _put(self, row: LinkRow) -> None:
        self._rows[row.peer, row.lane] = row

    def rows(self, logs: Iterable[LogHead]) -> list[LinkRow]:
        """Lanes that are not as by default.

        Args:
            logs: A peer's log is mirrored only in an epoch that was agreed on, whatever lines a restore lost.
        """
        for log in logs:
            key = log.peer, log.lane
            row = self._rows.get(key, LinkRow(*key))
            if log.use == "mirror" and log.epoch > row.mirror_epoch:
                self._put(replace(row, mirror_epoch=log.epoch))
        return [row for key, row in sorted(self._rows.items()) if row != LinkRow(*key)]
