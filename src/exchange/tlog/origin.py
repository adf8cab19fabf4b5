"""Names of logs and of the keys that sign for them.

    <node>.<domain>/to/<peer>/<lane>/<epoch>     outbound log
    <node>.<domain>/journal/<epoch>              journal
    <node>.<domain>/local/<epoch>                records without addressee
    <node>.<domain>/mirror, …/witness            cosigning keys

An origin ends in its epoch, a decimal from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchange.domain.lanes import LANE_NAMES
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import parse_decimal

LANES: Final = tuple(LANE_NAMES.values())
"""Lanes as origins spell them, in the order in which work is taken."""

MAX_ORIGIN_LENGTH = 255
"""Characters: tlog-cosignature's later messages carry names with a length of one byte."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NODE = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class OriginUse(StrEnum):
    """What a log is for, as its origin spells it."""

    OUTBOUND = "to"
    JOURNAL = "journal"
    LOCAL = "local"


def check_node(name: str) -> str:
    """The name, when it may name a node: one lower-case DNS label that begins with a letter.

    Raises:
        LogFormatError: It may not.
    """
    if not _NODE.fullmatch(name):
        raise LogFormatError("a node's name is one lower-case DNS label that begins with a letter")
    return name


def check_domain(name: str) -> str:
    """The name, when it may name a federation: lower-case DNS labels.

    Raises:
        LogFormatError: It may not.
    """
    if len(name) > 180 or not _DOMAIN.fullmatch(name):
        raise LogFormatError("a domain is lower-case DNS labels, 180 characters at most")
    return name


@dataclass(frozen=True, slots=True)
class LogName:
    """The parts of an origin.

    Attributes:
        node: Node that owns the log.
        domain: Federation's domain.
        use: What the log is for.
        peer: Addressed node; ``None`` unless outbound.
        lane: Lane; ``None`` unless outbound.
        epoch: From 1.
    """

    node: str
    domain: str
    use: OriginUse
    peer: str | None = None
    lane: str | None = None
    epoch: int = 1

    def __post_init__(self) -> None:
        check_node(self.node)
        check_domain(self.domain)
        if self.epoch < 1:
            raise LogFormatError("epochs count from 1")
        if self.use is OriginUse.OUTBOUND:
            if self.peer is None or self.lane not in LANES:
                raise LogFormatError("an outbound log names a peer and a lane")
            if check_node(self.peer) == self.node:
                raise LogFormatError("an outbound log addresses another node")
        elif self.peer is not None or self.lane is not None:
            raise LogFormatError(f"a log for {self.use} names no peer and no lane")
        if len(str(self)) > MAX_ORIGIN_LENGTH:
            raise LogFormatError(f"an origin has at most {MAX_ORIGIN_LENGTH} characters")

    @classmethod
    def outbound(cls, node: str, domain: str, peer: str, lane: str, epoch: int = 1) -> LogName:
        """Name of the outbound log of ``node`` towards ``peer``."""
        return cls(node, domain, OriginUse.OUTBOUND, peer, lane, epoch)

    @classmethod
    def journal(cls, node: str, domain: str, epoch: int = 1) -> LogName:
        """Name of the journal."""
        return cls(node, domain, OriginUse.JOURNAL, epoch=epoch)

    @classmethod
    def local(cls, node: str, domain: str, epoch: int = 1) -> LogName:
        """Name of the log of records without addressee."""
        return cls(node, domain, OriginUse.LOCAL, epoch=epoch)

    @classmethod
    def parse(cls, origin: str) -> LogName:
        """Read an origin.

        Raises:
            LogFormatError: Not an origin in its one spelling.
        """
        host, *path = origin.split("/")
        node, dot, domain = host.partition(".")
        if not dot or not path:
            raise LogFormatError("an origin begins with node and domain")
        match path:
            case ["to", peer, lane, epoch]:
                return cls(node, domain, OriginUse.OUTBOUND, peer, lane, parse_decimal(epoch))
            case ["journal" | "local" as use, epoch]:
                return cls(node, domain, OriginUse(use), epoch=parse_decimal(epoch))
        raise LogFormatError("an origin names an outbound log, a journal or a local log")

    def next_epoch(self) -> LogName:
        """The log that goes on from this one."""
        return LogName(self.node, self.domain, self.use, self.peer, self.lane, self.epoch + 1)

    def __str__(self) -> str:
        return self.format()

    def format(self) -> str:
        """The origin."""
        addressed = f"/{self.peer}/{self.lane}" if self.use is OriginUse.OUTBOUND else ""
        return f"{self.node}.{self.domain}/{self.use.value}{addressed}/{self.epoch}"


def mirror_name(node: str, domain: str) -> str:
    """Name of the key by which a node cosigns its peers' outbound logs."""
    return f"{check_node(node)}.{check_domain(domain)}/mirror"


def witness_name(node: str, domain: str) -> str:
    """Name of the key by which a node cosigns its peers' journals and local logs."""
    return f"{check_node(node)}.{check_domain(domain)}/witness"
