"""``doctor``: everything that an operator would look at first, each finding with its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.cli.node.files import OTHERS, check_files
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeArgument, ProfileOption, client, read_settings
from exchange.cli.output import Exit, Output, finish, problem_dicts
from exchange.cli.texts import reason_text, t, word
from exchange.crypto.keys import certificates_in
from exchange.crypto.trusted.trust import TrustSet
from exchange.crypto.x509.certificates import facts_of, load_chain
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.rpc.failure import CallFailed
from exchange.rpc.profile import ProfileInvalid, find_profile
from exchange.settings.trust_folder import read_peer
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest, sqlite_path
from exchange.storage.files.spool import IN, OUT, SET_ASIDE
from exchange.v1.operation_service_pb2 import GetStatusRequest

if TYPE_CHECKING:
    from exchange.settings import NodeSettings

CONNECT_TIMEOUT_S: Final = 3.0
"""Seconds to wait for a peer's port: longer than any line between two provinces."""

_UNDECIDED: Final = frozenset({"NOT_ASKED", "NODE_AWAY", "PEER_PORT_CLOSED"})
"""Reasons that say that something could not be looked at, which is no fault found."""


def doctor(
    node: NodeArgument = DEFAULT_NODE_FILE, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Look at files, permissions, disk, database, certificates, peers and clocks.

    Exit status 1 when something was found, 3 when nothing was but a part could not be looked at.
    """
    out = Output(as_json)
    settings = read_settings(node)
    findings: list[tuple[str, tuple[Problem, ...]]] = []
    for name, look in (
        ("files", _files),
        ("disk", _disk),
        ("database", _database),
        ("certificates", _certificates),
        ("peers", _peers),
    ):
        findings.append((name, _seen(look, settings)))
    findings += _running(settings, profile)
    if out.as_json:
        out.value({"checks": [{"check": name, "problems": problem_dicts(found)} for name, found in findings]})
    else:
        _show(out, findings)
    problems = [problem for _, found in findings for problem in found]
    if any(problem.reason not in _UNDECIDED for problem in problems):
        finish(Exit.FINDING)
    finish(Exit.UNDECIDABLE if problems else Exit.DONE)


def _seen(look: Callable[[NodeSettings], Iterator[Problem]], settings: NodeSettings) -> tuple[Problem, ...]:
    try:
        return tuple(look(settings))
    except Refused as refused:
        return refused.problems
    except ExchangeError as error:
        return (Problem(error.reason, "", str(error)),)
    except OSError as error:
        return (Problem("FILE_MISSING", str(error.filename or ""), error.strerror or ""),)


def _show(out: Output, findings: list[tuple[str, tuple[Problem, ...]]]) -> None:
    rows: list[tuple[object, ...]] = []
    for name, found in findings:
        if not found:
            rows.append((word("doctor", name), t("word.good"), "", "", ""))
        for problem in found:
            text = reason_text(problem.reason)
            verdict = t("word.not_looked_at") if problem.reason in _UNDECIDED else t("word.finding")
            meaning = " ".join(filter(None, (problem.reason, text.message)))
            where = " ".join(filter(None, (problem.place, problem.detail)))
            rows.append((word("doctor", name), verdict, meaning, where, text.remedy))
    out.table(("check", "verdict", "meaning", "place", "remedy"), rows)


def _files(settings: NodeSettings) -> Iterator[Problem]:

    yield from check_files(settings)
    if settings.node.data.exists() and settings.node.data.stat().st_uid != os.geteuid():
        yield Problem("FILE_OWNER", str(settings.node.data), f"uid {settings.node.data.stat().st_uid}")
    # Database, its journals, the lock: whatever lies there is the node's alone.
    for path in sorted(settings.node.data.rglob("*")) if settings.node.data.exists() else ():
        mode = path.lstat().st_mode
        if mode & OTHERS and not stat.S_ISLNK(mode):
            yield Problem("FILE_OPEN_TO_OTHERS", str(path), f"mode {stat.S_IMODE(mode):04o}")


def _disk(settings: NodeSettings) -> Iterator[Problem]:
    free = shutil.disk_usage(settings.node.data).free
    for name, bound in (
        ("urgent", settings.disk.urgent_below),
        ("registry", settings.disk.registry_below),
        ("telemetry", settings.disk.telemetry_below),
    ):
        if free < bound:
            yield Problem("DISK_LOW", str(settings.node.data), f"{name}: {free // 2**20} MiB < {bound // 2**20} MiB")
            return


def _database(settings: NodeSettings) -> Iterator[Problem]:

    file = sqlite_path(settings.database.url)
    if file is not None and not file.exists():
        yield Problem("NOT_ASKED", str(file), "the node has never run")
        return
    database = Database(settings.database.url)
    try:
        require_newest(database)
    finally:
        database.dispose()


def _certificates(settings: NodeSettings) -> Iterator[Problem]:

    now = datetime.now(UTC)
    for use, source in (("tls", settings.keys.tls), *(("signing", each) for each in settings.keys.signing)):
        content = source.path.read_bytes()
        chain = certificates_in(content)  # the key stays closed
        for certificate in load_chain(chain) if chain else ():
            facts = facts_of(certificate)
            left = facts.not_after - now
            if left < timedelta():
                yield Problem("CERTIFICATE_EXPIRED", f"keys.{use}", facts.subject)
            elif left < timedelta(days=settings.certificates.warn_days):
                yield Problem("CERTIFICATE_EXPIRING", f"keys.{use}", f"{facts.subject}: {left.days} d")
            if facts.not_before > now:
                yield Problem("CERTIFICATE_NOT_YET_VALID", f"keys.{use}", f"{facts.subject}: {facts.not_before}")


def _peers(settings: NodeSettings) -> Iterator[Problem]:

    for peer in settings.peers:
        try:
            yield from TrustSet.load(read_peer(settings.trust.folder, peer.name)).list_problems
        except OSError:
            yield Problem("TRUST_MISSING", peer.name)
        except Refused as refused:
            yield from refused.problems
        if peer.folder is not None:
            yield from _courier(peer.name, peer.folder)
        if peer.dial is None:
            continue
        try:
            socket.create_connection((peer.dial.host, peer.dial.port), CONNECT_TIMEOUT_S).close()
        except OSError as error:
            yield Problem("PEER_PORT_CLOSED", f"{peer.name} {peer.dial}", error.strerror or str(error))


def _courier(peer: str, folder: Path) -> Iterator[Problem]:
    """Whether the courier's folders are there, ours to write, and free of what is not for us."""
    for name in (OUT, IN):
        path = folder / name
        if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            yield Problem("FOLDER_UNUSABLE", f"{peer} {path}")
    aside = folder / SET_ASIDE
    held = sum(1 for _ in aside.iterdir()) if aside.is_dir() else 0
    if held:
        yield Problem("PARCEL_SET_ASIDE", f"{peer} {aside}", str(held))


def _running(settings: NodeSettings, profile: Path | None) -> list[tuple[str, tuple[Problem, ...]]]:
    """What only the running node knows: clocks as the last hellos saw them, and open alarms."""
    names = ("clocks", "alarms")
    if profile is None and not find_profile(None).exists():
        return [(name, (Problem("NOT_ASKED", "--profile"),)) for name in names]

    try:
        with client(profile) as node:
            status = node.call(node.operation.GetStatus, GetStatusRequest())
    except (CallFailed, ProfileInvalid) as error:
        return [(name, (Problem(error.reason, "", str(error)),)) for name in names]
    clocks: list[Problem] = []
    for peer in status.peers:
        ahead = peer.clock_ahead_seconds
        if not peer.HasField("last_hello"):
            clocks.append(Problem("NOT_ASKED", peer.peer, "no hello yet"))
        elif abs(ahead) > settings.clock.skew_limit_s:
            clocks.append(Problem("CLOCK_SKEW", peer.peer, f"{ahead:+.1f} s"))
    alarms = tuple(Problem(alarm.code, alarm.object, alarm.detail) for alarm in status.alarms)
    return [("clocks", tuple(clocks)), ("alarms", alarms)]
