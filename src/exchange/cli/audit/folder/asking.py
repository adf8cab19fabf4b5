"""What ``audit verify`` and ``audit report`` are asked: a folder, whom to believe, and what to lay beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.own_list import read_list
from exchange.cli.output import Exit, finish, report_failure
from exchange.cli.texts import t
from exchange.crypto.x509.certificates import load_chain
from exchange.domain.problems import ExchangeError, Refused
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.replay.run import ReplayRun, at_position
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.verify.claims import Verdict
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.material.disk import Material
from exchange.flows.audit.verify.run import Asked
from exchange.flows.audit.watching import Watch

STATUS = {
    Verdict.PROVEN: Exit.DONE,
    Verdict.REFUTED: Exit.FINDING,
    Verdict.NOT_PROVABLE: Exit.UNDECIDABLE,
    Verdict.CONSISTENT: Exit.UNDECIDABLE,
}

ENTRIES_EACH = 4_096
"""Entries for which a process of its own is worth its start."""

FolderArgument = Annotated[Path, typer.Argument(help=t("option.audit_folder"), exists=True, file_okay=False)]
HeadsOption = Annotated[
    list[Path] | None,
    typer.Option("--head", help=t("option.audit_head"), exists=True, dir_okay=False, show_default=False),
]
TsaRootsOption = Annotated[
    Path | None, typer.Option("--tsa-roots", help=t("option.tsa_roots"), exists=True, dir_okay=False)
]
RegistersOption = Annotated[bool, typer.Option("--registers", help=t("option.audit_registers"))]
ListOption = Annotated[
    Path | None, typer.Option("--list", help=t("option.own_list"), exists=True, dir_okay=False, show_default=False)
]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", help=t("option.jobs"), min=0, max=256)]


def question(
    folder: Path,
    believed: Believed,
    *,
    pages: Sequence[Path],
    tsa_roots: Path | None,
    registers: bool,
    listed: Path | None,
    key: str,
    adapter: str,
    jobs: int,
) -> Asked:
    """What the caller wants to know, with everything read that it names.

    Raises:
        DocumentRefused: No adapter reads the list.
        Refused: ``LIST_UNREADABLE``.
        CertificateUnreadable: The authorities of time stamps.
    """
    return Asked(
        folder=folder,
        believed=believed,
        pages={str(path): path.read_bytes() for path in pages},
        jobs=jobs or processes(folder),
        own_list=read_list(listed, key, Material(folder).node, adapter) if listed is not None else None,
        tsa_roots=_roots(tsa_roots) if tsa_roots is not None else b"",
        replay=partial(_replayed, folder) if registers else None,
    )


def _roots(path: Path) -> bytes:
    data = path.read_bytes()
    load_chain(data)
    return data


def processes(folder: Path) -> int:
    """How many processes a folder is worth: each takes a second to begin, and some thousand entries as long."""
    try:
        entries = sum(log.size for log in Material(folder).logs)
    except FolderUnreadable:
        return 1
    return max(1, min(os.cpu_count() or 1, entries // ENTRIES_EACH))


def _replayed(folder: Path, watch: Watch) -> tuple[Sequence[Finding], Mapping[str, Any]]:
    """What a walk of the journal over the logs finds, row by row where registers were exported, and how far it came."""
    try:
        with ReplayRun(ExportedLogs(folder), domain_tables()) as run:
            findings = []
            try:
                exported = ExportedRegisters(folder)
            except FolderUnreadable as error:
                # Every digest may still be met; that the registers are those rows, nobody can say.
                findings.append(Finding(code="REGISTERS_NOT_EXPORTED", detail=error.detail, proven=False))
            else:
                findings += [*run.go(at_position(exported.position()), watch=watch), *run.compare(exported)]
            findings += run.go(watch=watch)
            done = run.done
    except Refused as refused:  # a part of the logs only
        return [Finding(code=each.reason, detail=each.detail, proven=False) for each in refused.problems], {}
    except FolderUnreadable as error:
        return [_unreadable(error)], {}
    return findings, {"steps": done.steps, "changes": done.changes, "digest": done.digest.hex()}


def _unreadable(error: FolderUnreadable) -> Finding:
    return Finding(code=error.reason, file=error.file, byte=error.byte, detail=error.detail, proven=False)


@contextmanager
def usage(*, as_json: bool) -> Iterator[None]:
    """What is wrong with what the caller gave is an error of usage: status 1 would say that a claim is refuted."""
    try:
        yield
    except (ExchangeError, OSError) as error:
        if isinstance(error, OSError):
            raise typer.BadParameter(f"{error.filename}: {error.strerror}") from None
        report_failure(error, as_json=as_json)
        finish(Exit.USAGE)
