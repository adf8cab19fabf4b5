"""Keys that a peer announced and that wait for our officer: who lists them, compares a fingerprint, and decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.agencies import about_reason
from exchange.flows.apply.again.journaled import decision_row
from exchange.flows.apply.changes.answered import answer_about_keys
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.intake.ids import format_id
from exchange.flows.intake.seal import seal
from exchange.flows.rotation.steps import RecoveringError
from exchange.flows.trust.peer_keys import Judged, judge, rely
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store
from exchange.storage.registers import registers
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import JournalEntry, TrustDecided
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.kind_pb2 import Lane
from exchange.v1.rotation_pb2 import KeyVerdict
from exchange.v1.security_service_pb2 import PendingKeys

ID_DIGITS = 16
"""Digits of a fingerprint that name pending keys to their own officer; all of them are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    event: JournalEntry
    log: str
    answer: NewEntry | None


class PendingTrust:
    """What security officers decide about peers' keys.

    Args:
        node: The node.
        on_keys: Called with a peer's name when what is relied on changed.
        may_append: False while the node recovers.
        on_decided: Called with a peer's name behind an officer's decision, in his call: what it changes is in use when
            that returns.
    """

    def __init__(
        self,
        node: Node,
        on_keys: Callable[[str], None],
        *,
        may_append: Callable[[], bool],
        on_decided: Callable[[str], object] = lambda _peer: None,
    ) -> None:
        self._on_decided = on_decided
        self._node = node
        self._on_keys = on_keys
        self._may_append = may_append

    def look(self, peer: str) -> list[PendingKeys]:
        """Use what can be relied on of a peer's keys; what waits for an officer is given back."""
        rows, decisions = self._read(peer)
        return _pending(self._node, peer, rely(self._node, peer, rows, decisions))

    def pending(self) -> list[PendingKeys]:
        """Everything that waits, in order of announcement."""
        found = []
        for peer in self._node.peers.names():
            found += _pending(self._node, peer, self._judged(peer))
        return sorted(found, key=lambda each: (each.announced_at.seconds, each.announced_at.nanos, each.id))

    def confirm(
        self, asked: str, fingerprint: str, reason: str, actor: str, now: datetime, *, refuse: bool
    ) -> PendingKeys:
        """Decide on pending keys: journal, register and the answer to the peer in one transaction.

        Raises:
            NotFound: Nothing of that id waits.
            Refused: The fingerprint differs, or no reason was given.
            RecoveringError: The node fetches its own entries back.
        """
        keys = next((each for each in self.pending() if each.id == asked), None)
        if keys is None:
            raise NotFound(asked[:64])
        problems = about_reason(reason)
        if "".join(fingerprint.split()).lower() != keys.fingerprint:
            problems.append(Problem("KEY_FINGERPRINT_DIFFERS", "fingerprint", keys.peer))
        if problems:
            raise Refused(problems)
        if not self._may_append():
            raise RecoveringError
        event = JournalEntry(
            trust_decided=TrustDecided(
                peer=keys.peer,
                use=keys.use,
                fingerprint=keys.fingerprint,
                key_ids=keys.key_ids,
                accepted=not refuse,
                actor=actor,
                reason=reason.strip(),
            )
        )
        event.at.FromDatetime(now)
        rows, decisions = self._read(keys.peer)
        card = self._node.peers.card(keys.peer)
        assert card is not None
        judged = judge(self._node.federation, card, rows, {**decisions, keys.fingerprint: not refuse})
        self._node.writer.call(_decide, self._decision(event, keys, judged, now), WorkClass.URGENT)
        self._on_decided(keys.peer)
        self._on_keys(keys.peer)
        return keys

    def _decision(
        self, event: JournalEntry, keys: PendingKeys, judged: Mapping[str, Judged], now: datetime
    ) -> _Decision:
        with self._node.database.read() as connection:
            log = log_store.current(connection, "outbound", keys.peer, Lane.LANE_REGISTRY)
        if log is None:
            return _Decision(event=event, log="", answer=None)
        about = [judged[key_id] for key_id in keys.key_ids]
        row = about[0].row
        told = RecordRef(origin=keys.peer, record_id=format_id(row["record_id"]), revision=row["revision"])
        record = answer_about_keys(self._node, told, about, now)
        return _Decision(event=event, log=log.origin, answer=seal(self._node, record, [keys.peer], now).entry)

    def _judged(self, peer: str) -> dict[str, Judged]:
        card = self._node.peers.card(peer)
        rows, decisions = self._read(peer)
        return judge(self._node.federation, card, rows, decisions) if card is not None else {}

    def _read(self, peer: str) -> tuple[dict[str, Mapping[str, Any]], dict[str, bool]]:
        with self._node.database.read() as connection:
            return registers.keys_announced_by(connection, peer), registers.key_decisions_on(connection, peer)


def _pending(node: Node, peer: str, judged: Mapping[str, Judged]) -> list[PendingKeys]:
    groups: dict[str, list[Judged]] = {}
    for each in judged.values():
        if each.verdict == KeyVerdict.KEY_VERDICT_WAITING and each.key.state in _OPEN:
            groups.setdefault(each.row["fingerprint"], []).append(each)
    card = node.peers.card(peer)
    return [_message(peer, card.duty_desk if card else "", found) for _, found in sorted(groups.items())]


_OPEN = (KeyState.KEY_STATE_NEXT, KeyState.KEY_STATE_ACTIVE)


def _message(peer: str, desk: str, keys: Sequence[Judged]) -> PendingKeys:
    row = keys[0].row
    return PendingKeys(
        id=row["fingerprint"][:ID_DIGITS],
        peer=peer,
        use=keys[0].key.use,
        fingerprint=row["fingerprint"],
        key_ids=[each.key.key_id for each in keys],
        announced_at=timestamp(row["announced_at"]),
        reason=next((each.reason for each in keys if each.reason == "KEY_OUT_OF_TURN"), keys[0].reason),
        duty_desk=desk,
    )


def _decide(tx: Transaction, payloads: Sequence[_Decision]) -> list[int]:
    indices = []
    for payload in payloads:
        indices.append(journal.append(tx, [payload.event]))
        registers.write(tx, [decision_row(payload.event.trust_decided)])
        log = tx.head(payload.log) if payload.answer is not None else None
        if log is not None and payload.answer is not None:
            tx.append(log.id, [payload.answer])
    return indices
