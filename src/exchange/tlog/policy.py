"""C2SP tlog-policy: which logs are known, and which cosigners make a checkpoint strong enough.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k>|any|all <name>...
    quorum <name>|none

Lines end in a newline; items stand apart by spaces and tabs; empty lines and those that begin with ``#`` say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, COSIGNATURE_V1, ED25519, VerifierKey

MAX_POLICY_BYTES: Final = 1024 * 1024
"""Bytes of a policy: hundreds of lines with keys of 1.8 kB."""

MAX_LINES: Final = 1024
"""Logs, witnesses and groups together: a federation of some dozen nodes, with every epoch of its logs."""

_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_SPACE = re.compile(rb"[\t ]+")
_NONE = b"none"


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner.

    Attributes:
        name: What groups and quorum call it: octets without a meaning.
        key: Its verifier key.
    """

    name: bytes
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Group:
    """Cosigners of which so many are needed.

    Attributes:
        name: What other groups and the quorum call it.
        needed: At least this many of the members.
        members: Names of witnesses and groups of lines above.
    """

    name: bytes
    needed: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it was read.

    Attributes:
        logs: Keys of known logs; a checkpoint by any of them counts.
        witnesses: Known cosigners.
        groups: In the order of the lines: each names earlier ones only.
        quorum: Name of a witness or group; None asks for no cosignature.
    """

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: bytes | None = None

    def log_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """Keys of one log."""
        return tuple(key for key in self.logs if key.name == origin)

    def satisfied_by(self, cosigned: Collection[VerifierKey]) -> bool:
        """Whether cosignatures by these keys, each verified by the caller, make a quorum."""
        if self.quorum is None:
            return True
        seen = {witness.name for witness in self.witnesses if witness.key in cosigned}
        for group in self.groups:
            if sum(member in seen for member in group.members) >= group.needed:
                seen.add(group.name)
        return self.quorum in seen


def parse(data: bytes) -> Policy:
    """Read a policy.

    Raises:
        LogFormatError: Not a policy; the text begins with the line's number.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise LogFormatError(f"a policy has at most {MAX_POLICY_BYTES} bytes")
    if not _ALLOWED.fullmatch(data):
        raise LogFormatError("a policy has no control characters but tabs and newlines")
    if data and not data.endswith(b"\n"):
        raise LogFormatError("every line of a policy ends in a newline")
    reader = _Reader()
    for number, line in enumerate(data.split(b"\n"), 1):
        items = _SPACE.split(line.strip(b"\t "))
        if items[0].startswith(b"#") or items == [b""]:
            continue
        try:
            reader.take(items)
        except LogFormatError as error:
            raise LogFormatError(f"line {number}: {error}") from None
    return reader.policy()


class _Reader:
    """The lines so far."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._names: set[bytes] = set()
        self._quorums: list[bytes] = []
        self._verbs: dict[bytes, Callable[[Sequence[bytes]], None]] = {
            b"log": self._log,
            b"witness": self._witness,
            b"group": self._group,
            b"quorum": self._quorum,
        }

    def take(self, items: Sequence[bytes]) -> None:
        verb = self._verbs.get(items[0])
        if verb is None:
            raise LogFormatError("a line begins with log, witness, group or quorum")
        if len(self._logs) + len(self._names) >= MAX_LINES:
            raise LogFormatError(f"a policy has at most {MAX_LINES} logs, witnesses and groups")
        verb(items[1:])

    def policy(self) -> Policy:
        if len(self._quorums) != 1:
            raise LogFormatError("a policy has exactly one quorum line")
        quorum = None if self._quorums[0] == _NONE else self._quorums[0]
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), quorum)

    def _log(self, items: Sequence[bytes]) -> None:
        if not 1 <= len(items) <= 2:
            raise LogFormatError("a log has a verifier key, and perhaps an address")
        key = _key(items[0], (ED25519,), "log")
        if any(key.public == each.public for each in self._logs):
            raise LogFormatError("the key of another log")
        self._logs.append(key)

    def _witness(self, items: Sequence[bytes]) -> None:
        if not 2 <= len(items) <= 3:
            raise LogFormatError("a witness has a name, a verifier key, and perhaps an address")
        key = _key(items[1], (COSIGNATURE_V1, COSIGNATURE_ML_DSA_44), "witness")
        if any(key.public == each.key.public for each in self._witnesses):
            raise LogFormatError("the key of another witness")
        self._witnesses.append(Witness(self._new(items[0]), key))

    def _group(self, items: Sequence[bytes]) -> None:
        if len(items) < 3:
            raise LogFormatError("a group has a name, how many are needed, and members")
        members = tuple(items[2:])
        if len(set(members)) != len(members):
            raise LogFormatError("a group names each member once")
        if unknown := [each for each in members if each not in self._names]:
            raise LogFormatError(f"nothing of that name stands above: {_shown(unknown[0])}")
        # Each name in one group only: no witness counts twice.
        if any(each in group.members for each in members for group in self._groups):
            raise LogFormatError("a member of another group")
        needed = {b"any": 1, b"all": len(members)}.get(items[1])
        if needed is None:
            if not re.fullmatch(rb"[1-9][0-9]{0,8}", items[1]) or int(items[1]) > len(members):
                raise LogFormatError("of a group, any, all, or a number from 1 to that of its members is needed")
            needed = int(items[1])
        self._groups.append(Group(self._new(items[0]), needed, members))

    def _quorum(self, items: Sequence[bytes]) -> None:
        if len(items) != 1:
            raise LogFormatError("a quorum has a name")
        if items[0] != _NONE and items[0] not in self._names:
            raise LogFormatError(f"nothing of that name stands above: {_shown(items[0])}")
        if self._quorums:
            raise LogFormatError("a policy has exactly one quorum line")
        self._quorums.append(items[0])

    def _new(self, name: bytes) -> bytes:
        if name == _NONE or name in self._names:
            raise LogFormatError(f"the name is taken: {_shown(name)}")
        self._names.add(name)
        return name


def _key(text: bytes, types: Collection[int], what: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise LogFormatError("a verifier key is valid UTF-8") from None
    if key.alg not in types:
        raise LogFormatError(f"a key of type {key.alg:#04x} is none of a {what}")
    return key


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
