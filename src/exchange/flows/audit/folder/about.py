"""export.json: what the folder holds. It is written by the audited unit: everything in it is a claim."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from exchange.domain.lanes import LANE_NUMBERS
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import EXPORT, log_folder
from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName, OriginUse, check_domain, check_node
from exchange.tlog.tree import MAX_SIZE

FORMAT: Final = 1
MAX_EXPORT_BYTES: Final = 16 << 20
MAX_LOGS: Final = 65_536
MAX_ID: Final = 1 << 31
"""Numbers of logs are smaller."""

USES: Final = ("outbound", "mirror", "local", "journal")
WHOLE: Final = "whole"
RANGE: Final = "range"
DATES: Final = "dates"
SUBJECT: Final = "subject"
SCOPES: Final = (WHOLE, RANGE, DATES, SUBJECT)

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{6})?Z", re.ASCII)


def write_json(value: object) -> bytes:
    """JSON as it lies in the folder: UTF-8, sorted keys, one newline at the end."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode("utf-8")


def write_instant(at: datetime) -> str:
    """An instant in RFC 3339, UTC."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def read_instant(text: str) -> datetime:
    """Read what ``write_instant`` wrote.

    Raises:
        ValueError: Any other spelling.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAbout:
    """One log of the folder.

    Attributes:
        id: The node's number of the log: import gives it the same.
        origin: Name of the log.
        use: ``outbound``, ``mirror``, ``local`` or ``journal``.
        peer: Other node; empty for local logs and journals.
        lane: Number of the lane; 0 for local logs and journals.
        epoch: From 1.
        retired: Whether another epoch goes on from it.
        size: Of the checkpoint; 0 where there is none.
        promised: Entries beyond it.
        bundles: Stretches of bundles that are here, ``(from, to)``; None for all of them.
    """

    id: int
    origin: str
    use: str
    peer: str
    lane: int
    epoch: int
    retired: bool
    size: int
    promised: int
    bundles: tuple[tuple[int, int], ...] | None = None

    @property
    def folder(self) -> str:
        """Path of its folder."""
        return log_folder(self.origin)

    @property
    def is_journal(self) -> bool:
        """Whether it has no bodies, but leaves of steps."""
        return self.use == "journal"

    def has_bundle(self, number: int) -> bool:
        """Whether the bundle should be here."""
        return self.bundles is None or any(first <= number < end for first, end in self.bundles)

    def to_json(self) -> dict[str, Any]:
        """As it stands in export.json."""
        return {
            "id": self.id,
            "origin": self.origin,
            "folder": self.folder,
            "use": self.use,
            "peer": self.peer,
            "lane": self.lane,
            "epoch": self.epoch,
            "retired": self.retired,
            "size": self.size,
            "promised": self.promised,
            "bundles": "all" if self.bundles is None else [list(each) for each in self.bundles],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The folder.

    Attributes:
        node: Node that wrote it.
        domain: Domain of its origins.
        exported_at: When, by the node's clock.
        scope: ``kind`` (whole, range, dates, subject) with what it was narrowed to.
        logs: In order of id.
    """

    node: str
    domain: str
    exported_at: datetime
    scope: Mapping[str, Any]
    logs: tuple[LogAbout, ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out but what may not be shown."""
        return bool(self.scope["kind"] == WHOLE)

    def log(self, origin: str) -> LogAbout | None:
        """The log of that origin."""
        return next((each for each in self.logs if each.origin == origin), None)

    def to_bytes(self) -> bytes:
        """The file."""
        return write_json(
            {
                "format": FORMAT,
                "node": {"name": self.node, "domain": self.domain},
                "exported_at": write_instant(self.exported_at),
                "scope": dict(self.scope),
                "logs": [each.to_json() for each in self.logs],
            }
        )


def read_about(disk: Disk) -> About:
    """The folder's export.json.

    Raises:
        FolderUnreadable: There is none, or it is not of the form.
    """
    data = disk.read(EXPORT, MAX_EXPORT_BYTES)
    if data is None:
        raise FolderUnreadable(EXPORT, "not there: no exported folder, or one that was not finished")
    try:
        found = json.loads(data.decode("utf-8"))
        about = _about(found)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, LogFormatError) as error:
        raise FolderUnreadable(EXPORT, str(error)[:200] or "not of the form") from None
    return about


def check_extent(disk: Disk, about: About) -> None:
    """The disk has at least a file for each bundle that the logs are said to have, so that nobody walks what is not.

    Raises:
        FolderUnreadable: It has fewer files.
    """
    needed = sum(-(-log.size // tiles.WIDTH) for log in about.logs)
    there = sum(1 for _ in islice(disk.walk(), needed))
    if there < needed:
        raise FolderUnreadable(EXPORT, f"{needed} bundles of entries, and {there} files on the disk")


def _about(found: Any) -> About:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}")
    node = found["node"]
    if found["scope"]["kind"] not in SCOPES:
        raise ValueError("an unknown scope")
    logs = found["logs"]
    if not isinstance(logs, list) or len(logs) > MAX_LOGS:
        raise ValueError("too many logs")
    read = tuple(_log(each) for each in logs)
    if [each.id for each in read] != sorted({each.id for each in read}):
        raise ValueError("logs out of order of their ids")
    if found["scope"]["kind"] == WHOLE and any(each.bundles is not None for each in read):
        raise ValueError("a whole export that leaves bundles out")
    if len({each.origin for each in read}) != len(read):
        raise ValueError("two logs of one origin")
    name = check_node(_text(node["name"]))
    if wrong := next((each.origin for each in read if not _is_held(each, name)), ""):
        raise ValueError(f"{wrong} in the folder of {name}")
    return About(
        node=name,
        domain=check_domain(_text(node["domain"])),
        exported_at=read_instant(_text(found["exported_at"])),
        scope=dict(found["scope"]),
        logs=read,
    )


def _log(found: Any) -> LogAbout:
    bundles = found["bundles"]
    log = LogAbout(
        id=_number(found["id"]),
        origin=str(LogName.parse(_text(found["origin"]))),
        use=_text(found["use"]),
        peer=_text(found["peer"]),
        lane=_number(found["lane"]),
        epoch=_number(found["epoch"]),
        retired=found["retired"] is True,
        size=_number(found["size"]),
        promised=_number(found["promised"]),
        bundles=None if bundles == "all" else tuple((_number(first), _number(end)) for first, end in bundles),
    )
    if log.use not in USES or found["folder"] != log.folder or not isinstance(found["retired"], bool):
        raise ValueError(f"the log {log.origin}")
    if not log.id < MAX_ID or (log.peer, log.lane, log.epoch) != _named(LogName.parse(log.origin), log.use):
        raise ValueError(f"what is told of {log.origin}")
    if log.size + log.promised > MAX_SIZE:
        raise ValueError(f"the size of {log.origin}")
    return log


def _is_held(log: LogAbout, node: str) -> bool:
    """Whether a node has the log: its own, or another's towards it."""
    name = LogName.parse(log.origin)
    return (name.peer if log.use == "mirror" else name.node) == node


def _named(name: LogName, use: str) -> tuple[str, int, int] | None:
    """Peer, lane and epoch of a log by its origin; None where a log of that name is not of that use."""
    if name.use is not OriginUse.OUTBOUND:
        return ("", 0, name.epoch) if use == name.use else None
    peer = {"outbound": name.peer, "mirror": name.node}.get(use)
    lane = LANE_NUMBERS.get(name.lane or "")
    return (peer, int(lane), name.epoch) if peer is not None and lane is not None else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 300:
        raise TypeError("a text was expected")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise TypeError("a number was expected")
    return value
