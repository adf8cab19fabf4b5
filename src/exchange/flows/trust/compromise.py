"""A signing key of ours that somebody else may hold: revoked, told to every peer, and what it signed stated again.

The numbered walk of a drill:
  1 the new key is in use already: the old one can not vouch for its own end
  2 revoke: one transaction journals it and appends to every lane an announcement of both keys
  3 each peer decides anew what it mirrored at or after the instant: DEFERRED, UNPROVEN_TIME
  4 the officer looks at the list, and confirms what the region did state: the same statement bytes, a new envelope
What a crash leaves: 2 is whole or not at all; 4 goes on with what is not confirmed yet.

4 also mends what a wrong clock has done: what claims a time well behind its own mirroring is stated again by the key
that is in use still.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from exchange.crypto.x509.certificates import facts_of, load_der
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.agencies import MAX_REASON
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.apply.deciding.judge import CLOCK_TOLERANCE_MICROS
from exchange.flows.apply.entry import ReadEntry, payload_of, read_entry
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros
from exchange.flows.intake.seal import Draft, Sealed, seal, seal_all
from exchange.flows.trust.verdicts import signing_keys
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store
from exchange.storage.registers import registers
from exchange.v1.journal_pb2 import AdministratorAction, CertificateEvent, JournalEntry
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.kind_pb2 import Kind

PAGE = 512
"""Entries of a log read at once."""

AT_ONCE = 128
"""Statements confirmed in one transaction: some ten milliseconds of signing before it."""

MAX_LISTED = 500
"""Records that one answer lists."""

STATED: Final = frozenset({"outbound", "local"})
"""Uses of the logs that hold what this region states: to a peer, or kept to itself."""

_KEY_ID = re.compile(r"[0-9a-f]{64}")


class NotNowError(ExchangeError):
    """The node takes nothing into its journal for now; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """An entry of ours whose time is not proven to its addressee.

    Attributes:
        peer: Its addressee; empty where there is none.
        confirmed: Whether the same statement stands in the log again, in a way that counts.
    """

    peer: str
    lane: int
    log: str
    index: int
    record_id: str
    revision: int
    kind: int
    logged_at: datetime
    mirrored: bool
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Appended:
    """Entries for our logs, by peer and lane, with the journal's line."""

    entries: Sequence[tuple[str, int, NewEntry]]
    event: JournalEntry


def _second_of(since: datetime) -> datetime:
    """Where doubt begins: cosignatures hold whole seconds, and nothing mirrored in this one may seem older."""
    return since.replace(microsecond=0)


class CompromiseFlow:
    """What a security officer does about a signing key that was lost.

    Args:
        node: The node.
        unavailable: Says why nothing is taken now, as a reason code; empty while it is.
    """

    def __init__(self, node: Node, unavailable: Callable[[], str] = lambda: "") -> None:
        self._node = node
        self._unavailable = unavailable

    def revoke(self, key_id: str, since: datetime, reason: str, actor: str, now: datetime) -> int:
        """Revoke a signing key of ours as of the second of an instant, and tell every peer in every lane.

        Returns:
            Index of the line in the journal.

        Raises:
            Refused: No reason; the instant is not past; ``KEY_IN_USE``.
            NotFound: The key is none of ours.
            NotNowError: The node recovers.
        """
        self._check(key_id, since, reason, now)
        since = _second_of(since)
        if self._is_in_use(key_id):
            raise Refused([Problem("KEY_IN_USE", "key_id", key_id[:16])])
        with self._node.database.read() as connection:
            known = registers.announced_key(connection, self._node.name, key_id)
            lanes = [
                (log.peer, log.lane) for log in log_store.heads(connection) if log.use == "outbound" and not log.retired
            ]
        if known is None:
            raise NotFound
        lost = AnnouncedKey.FromString(known)
        lost.state = KeyState.KEY_STATE_REVOKED
        if not lost.HasField("revoked_at") or since < lost.revoked_at.ToDatetime(since.tzinfo):
            lost.revoked_at.FromDatetime(since)
        in_use = []
        for signer in self._node.keys.signers:
            key = AnnouncedKey(use=KeyUse.KEY_USE_SIGNING, key_id=signer.keyid, chain=signer.chain)
            key.state = KeyState.KEY_STATE_ACTIVE
            key.valid_from.FromDatetime(facts_of(load_der(signer.chain[0])).not_before)
            in_use.append(key)
        entries = []
        for peer, lane in lanes:
            record = node_record(self._node, now)
            record.key_announcement.keys.extend((lost, *in_use))
            entries.append((peer, lane, seal(self._node, record, [peer], now).entry))
        event = CertificateEvent(
            owner=self._node.name, use="signing", event="REVOKED", fingerprint=key_id, detail=reason, actor=actor
        )
        event.revoked_at.FromDatetime(since)
        return self._append(_Appended(entries=entries, event=_line(JournalEntry(certificate_event=event), now)))

    def unproven(self, key_id: str, since: datetime) -> Iterator[Unproven]:
        """Every entry of ours that the key signed and that nobody else had seen before the instant, in log order.

        Its addressee mirrors it; what we keep to ourselves, a peer's witness cosigns.

        Of a key in use, which nobody doubts: those that claim a time well behind their mirroring, because our clock was
        fast or the addressee's slow.

        Mirrored time is that of the first cosignature that we hold; the peer may hold an earlier one, so this may list
        an entry that it never doubted.
        """
        with self._node.database.read() as connection:
            logs = [log for log in log_store.heads(connection) if log.use in STATED]
        used = self._is_in_use(key_id)
        ahead = {log.id: self._ahead(log) for log in logs} if used else {}
        confirmed = {
            payload
            for log in logs
            for payload, signers, entry in self._read(log.id, 0, log.size)
            if (entry.index not in ahead[log.id] if used else key_id not in signers)
        }
        for log in logs:
            with self._node.database.read() as connection:
                begin = log_store.size_before(connection, log.id, micros(_second_of(since)))
                newest = log_store.last_checkpoint(connection, log.id)
            for payload, signers, entry in self._read(log.id, begin, log.size):
                statement = entry.statement
                if key_id not in signers or statement is None:
                    continue
                # Whoever held a lost key may have announced a key of his own by it.
                if entry.index not in ahead[log.id] if used else statement.kind == Kind.KIND_KEY_ANNOUNCEMENT:
                    continue
                yield Unproven(
                    peer=log.peer,
                    lane=log.lane,
                    log=log.origin,
                    index=entry.index,
                    record_id=statement.record_id,
                    revision=statement.revision,
                    kind=statement.kind,
                    logged_at=instant(entry.logged_at),
                    mirrored=newest is not None and entry.index < newest.size,
                    confirmed=payload in confirmed,
                )

    def _ahead(self, log: LogHead) -> set[int]:
        """Entries that claim a time further behind their own mirroring than clocks may differ."""
        found: set[int] = set()
        with self._node.database.read() as connection:
            newest = log_store.last_checkpoint(connection, log.id)
            notes = log_store.checkpoints_between(connection, log.id, 1, newest.size) if newest is not None else []
        begin = 0
        for note in notes:
            late = note.cosigned_at + CLOCK_TOLERANCE_MICROS
            found |= {entry.index for _, _, entry in self._read(log.id, begin, note.size) if entry.logged_at > late}
            begin = note.size
        return found

    def _read(self, log_id: int, begin: int, end: int) -> Iterator[tuple[bytes, tuple[str, ...], ReadEntry]]:
        """Digest of each statement, the keys that its envelope names, and the entry without its body."""
        while begin < end:
            with self._node.database.read() as connection:
                page = log_store.entries(connection, log_id, begin, min(end, begin + PAGE), bodies=False)
            for raw in page:
                entry = read_entry(raw, 0)
                yield sha256(payload_of(raw.entry)).digest(), signing_keys(entry.envelope), entry
            begin += len(page)

    def confirm(
        self, key_id: str, since: datetime, record_ids: Collection[str], reason: str, actor: str, now: datetime
    ) -> int:
        """State again what the key signed: the same statement bytes in new envelopes under the key in use.

        Args:
            key_id: The revoked key, or after a day with a wrong clock the one in use.
            since: As it was revoked, or from when on the clock was wrong.
            record_ids: Only these records; empty means all of them.
            reason: Why the officer vouches for them.
            actor: Who.
            now: Time of the operation.

        Returns:
            Statements that were appended; those that are confirmed already, or whose body is gone, are left out.

        Raises:
            Refused: No reason, or the instant is not past.
            NotNowError: The node recovers.
        """
        self._check(key_id, since, reason, now)
        wanted = [
            each
            for each in self.unproven(key_id, since)
            if not each.confirmed and (not record_ids or each.record_id in record_ids)
        ]
        done = 0
        for begin in range(0, len(wanted), AT_ONCE):
            entries = []
            for each in wanted[begin : begin + AT_ONCE]:
                sealed = self._again(each, now)
                if sealed is not None:
                    entries.append((each.peer, each.lane, sealed.entry))
            if entries:
                action = AdministratorAction(
                    actor=actor, action="certs.reconfirm", object=f"{key_id} {len(entries)}", reason=reason
                )
                self._append(_Appended(entries=entries, event=_line(JournalEntry(administrator_action=action), now)))
                done += len(entries)
        return done

    def _again(self, each: Unproven, now: datetime) -> Sealed | None:
        with self._node.database.read() as connection:
            log = log_store.head(connection, each.log)
            raw = log_store.entries_at(connection, log.id, [each.index])[each.index] if log is not None else None
        if raw is None or raw.body is None or raw.salt is None:
            return None
        return seal_all(self._node, [Draft(payload_of(raw.entry), raw.body, raw.salt, b"")], now)[0]

    def _append(self, appended: _Appended) -> int:
        index: int = self._node.writer.call(_append, appended, WorkClass.INTERACTIVE, rows=len(appended.entries) + 1)
        return index

    def _is_in_use(self, key_id: str) -> bool:
        return any(signer.keyid == key_id for signer in self._node.keys.signers)

    def _check(self, key_id: str, since: datetime, reason: str, now: datetime) -> None:
        problems = []
        if not _KEY_ID.fullmatch(key_id):
            problems.append(Problem("KEY_ID", "key_id", key_id[:64]))
        if since > now:
            problems.append(Problem("INSTANT_IN_FUTURE", "since"))
        if not reason.strip():
            problems.append(Problem("REASON_MISSING", "reason"))
        if len(reason) > MAX_REASON:
            problems.append(Problem("TEXT_TOO_LONG", "reason", str(len(reason))))
        if problems:
            raise Refused(problems)
        unavailable = self._unavailable()
        if unavailable:
            raise NotNowError(unavailable)


def _line(event: JournalEntry, now: datetime) -> JournalEntry:
    event.at.FromDatetime(now)
    return event


def _append(tx: Transaction, payloads: Sequence[_Appended]) -> list[int]:
    """Journal and logs in one transaction."""
    answers = []
    for payload in payloads:
        current = {(log.peer, log.lane): log for log in tx.heads.values() if log.use in STATED and not log.retired}
        for peer, lane, entry in payload.entries:
            tx.append(current[peer, lane].id, [entry])
        answers.append(journal.append(tx, [payload.event]))
    return answers
