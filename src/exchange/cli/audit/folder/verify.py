"""``audit verify``: an exported folder, claim by claim, by nothing but what the caller believes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.believing import (
    CardsOption,
    FingerprintsOption,
    ListsOption,
    PolicyOption,
    RequireOption,
    RootsOption,
    gather,
)
from exchange.cli.audit.folder.own_list import AdapterOption, KeyOption, read_list
from exchange.cli.audit.folder.timestamps import TsaRootsOption
from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, finish, report_failure
from exchange.cli.texts import reason_text, t, word
from exchange.domain.problems import ExchangeError, Refused
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import REGISTERS
from exchange.flows.audit.replay.run import ReplayRun, at_position
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.verify.claims import Against, Claim, Missing, Outcome, Result, Verdict
from exchange.flows.audit.verify.disk import Material
from exchange.flows.audit.verify.run import Asked, verify

MAX_SHOWN = 50
"""Findings in the table for people; ``--json`` has them all."""

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
JobsOption = Annotated[int, typer.Option("--jobs", "-j", help=t("option.jobs"), min=0, max=256)]


def verify_folder(
    folder: FolderArgument,
    *,
    policy: PolicyOption = None,
    cards: CardsOption = None,
    fingerprints: FingerprintsOption = None,
    tsa_roots: TsaRootsOption = None,
    roots: RootsOption = None,
    lists: ListsOption = None,
    require: RequireOption = "",
    pages: HeadsOption = None,
    registers: Annotated[bool, typer.Option("--registers", help=t("option.audit_registers"))] = False,
    listed: Annotated[
        Path | None,
        typer.Option("--list", help=t("option.own_list"), exists=True, dir_okay=False, show_default=False),
    ] = None,
    key: KeyOption = "decision_no",
    adapter: AdapterOption = "",
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check an exported folder. Exit status 0 all proven, 1 something refuted, 2 usage, 3 something not provable."""
    out = Output(as_json)
    with usage(as_json=as_json):
        believed = gather(
            policy=policy,
            cards=cards or (),
            fingerprints=fingerprints or (),
            roots=roots or (),
            lists=lists or (),
            require=require,
        )
        given = {str(path): path.read_bytes() for path in pages or ()}
        asked = Asked(
            folder=folder,
            believed=believed,
            pages=given,
            jobs=jobs or processes(folder),
            own_list=read_list(listed, key, Material(folder).node, adapter) if listed is not None else None,
            tsa_roots=tsa_roots.read_bytes() if tsa_roots is not None else b"",
            replay=partial(_replayed, folder) if registers else None,
        )
        with progress() as seen:
            result = verify(asked, seen)
    show(out, result)
    finish(STATUS[result.verdict])


def processes(folder: Path) -> int:
    """How many processes a folder is worth: each takes a second to begin, and some thousand entries as long."""
    try:
        entries = sum(log.size for log in Material(folder).logs)
    except FolderUnreadable:
        return 1
    return max(1, min(os.cpu_count() or 1, entries // ENTRIES_EACH))


def _replayed(folder: Path) -> tuple[Sequence[Finding], Mapping[str, Any]]:
    """What a walk of the journal over the logs finds, row by row where registers were exported, and how far it came."""
    try:
        with ReplayRun(ExportedLogs(folder), domain_tables()) as run:
            findings = []
            if (folder / REGISTERS).is_dir():
                exported = ExportedRegisters(folder)
                findings += [*run.go(at_position(exported.position())), *run.compare(exported)]
            findings += run.go()
            done = run.done
    except Refused as refused:  # a part of the logs only
        return [Finding(code=each.reason, detail=each.detail, proven=False) for each in refused.problems], {}
    except FolderUnreadable as error:
        return [Finding(code=error.reason, file=error.file, byte=error.byte, detail=error.detail)], {}
    return findings, {"steps": done.steps, "changes": done.changes, "digest": done.digest.hex()}


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


@contextmanager
def progress() -> Iterator[Callable[[int], None]]:
    """A bar on standard error while somebody looks at it; nothing otherwise."""
    console = Console(stderr=True)
    columns = (TextColumn(t("message.audit_progress")), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda entries: bar.update(task, advance=entries)


def show(out: Output, result: Result) -> None:
    """Print a result: the claims first, then what was found."""
    if out.as_json:
        out.value(result.as_dict())
        return
    style = {Verdict.PROVEN: "bold green", Verdict.REFUTED: "bold red"}.get(result.verdict, "bold yellow")
    out.say(word("audit_verdict", result.verdict.value), style=style)
    for name in result.policy:
        out.say(name)
    out.table(
        ("number", "claim", "verdict", "missing", "detail"),
        [
            (
                int(claim.no),
                word("audit_claim", claim.no.name),
                word("claim_outcome", claim.outcome.value),
                "\n".join(_missing(claim.missing)) if claim.outcome is Outcome.NOT_PROVABLE else "",
                _facts(claim),
            )
            for claim in result.claims
        ],
    )
    out.table(
        ("log", "use", "size", "promised", "cosigned", "cosigner"),
        [_log_row(log) for log in result.logs],
    )
    if result.findings:
        out.table(
            ("number", "reason", "place", "meaning"),
            [_finding_row(found) for found in result.findings[:MAX_SHOWN]],
            title=t("title.audit_findings", count=len(result.findings) + result.further),
        )


def _missing(missing: Sequence[Missing]) -> list[str]:
    shown = [f"{word('material', each.what)} {each.of}".strip() for each in missing[:6]]
    return [*shown, "…"] if len(missing) > len(shown) else shown


def _facts(claim: Claim) -> str:
    return "\n".join(f"{name}: {value}" for name, value in claim.facts.items() if value and not isinstance(value, dict))


def _log_row(log: Any) -> tuple[object, ...]:
    use = word("log_use", str(log["use"]).upper())
    return log["origin"], use, log["size"], log["promised"], log.get("checkpoint_time", ""), log.get("cosigner", "")


def _finding_row(found: Against) -> tuple[object, ...]:
    finding = found.finding
    place = [finding.log + (f"#{finding.index}" if finding.index is not None else "")]
    place.append(finding.file + (f" @{finding.byte}" if finding.byte is not None else ""))
    meaning = [reason_text(finding.code).message, finding.detail]
    return int(found.no) or "", finding.code, "\n".join(filter(None, place)), "\n".join(filter(None, meaning))
