"""The keys that a folder's logs announce, oldest first. Whether they are believed, verify says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.instants import is_instant
from exchange.tlog import tiles
from exchange.tlog.origin import LogName
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

MAX_KEYS = 500
"""Announcements that are told one by one."""


@dataclass(frozen=True, slots=True)
class Key:
    """One announcement of a key.

    Attributes:
        node: Who announced it.
        use: SIGNING, LOG, MIRROR, WITNESS or TLS_CA.
        state: NEXT, ACTIVE, RETIRED, REVOKED or ABORTED.
        replaces: Id of the key that it takes over from; empty for a first one.
        place: Log and index of the first announcement of this state.
    """

    announced_at: datetime
    node: str
    use: str
    key_id: str
    state: str
    valid_from: datetime | None
    valid_until: datetime | None
    replaces: str
    place: str


def announced_keys(folder: Folder) -> list[Key]:
    """Each key and state once, oldest first: a key is announced in every lane."""
    found: dict[tuple[str, str, str, str], Key] = {}
    for log in folder.logs:
        if log.about.is_journal or not log.about.size:
            continue
        for at, index, key in announcements(log):
            node = LogName.parse(log.about.origin).node
            use = enum_name(KeyUse, key.use, "KEY_USE_")
            state = enum_name(KeyState, key.state, "KEY_STATE_")
            told = Key(
                announced_at=at,
                node=node,
                use=use,
                key_id=key.key_id,
                state=state,
                valid_from=_instant(key, "valid_from"),
                valid_until=_instant(key, "valid_until"),
                replaces=key.replaces,
                place=f"{log.about.origin}#{index}",
            )
            known = found.get((node, use, key.key_id, state))
            if known is None or at < known.announced_at:
                found[node, use, key.key_id, state] = told
    return sorted(found.values(), key=lambda each: (each.announced_at, each.node, each.use))[:MAX_KEYS]


def announcements(log: LogFolder) -> Iterator[tuple[datetime, int, AnnouncedKey]]:
    """Each key that a log announces: when that was logged, and where."""
    for run in tiles.runs(log.about.size):
        try:
            at = {}
            for index, raw in enumerate(log.bundle(run) or (), run.first):
                entry = LogEntry.FromString(raw)
                said = Statement.FromString(Envelope.FromString(entry.envelope).payload)
                if said.kind == Kind.KIND_KEY_ANNOUNCEMENT and is_instant(entry.logged_at):
                    at[index] = datetime.fromtimestamp(entry.logged_at.seconds, UTC)
            if not at:
                continue
            with log.bodies(run) as archive:
                for body in archive.bodies() if archive is not None else ():
                    if body.index in at:
                        for key in Record.FromString(body.body).key_announcement.keys:
                            yield at[body.index], body.index, key
        except (FolderUnreadable, DecodeError):
            continue  # verify tells of it


def _instant(key: AnnouncedKey, name: str) -> datetime | None:
    value = getattr(key, name)
    told = key.HasField(name) and is_instant(value)  # type: ignore[arg-type]
    return datetime.fromtimestamp(value.seconds, UTC) if told else None
