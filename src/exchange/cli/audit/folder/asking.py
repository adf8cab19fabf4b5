"""What ``audit verify`` and ``audit report`` are asked: a folder, whom to believe, and what to lay beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.own_list import read_list
from exchange.cli.output import Exit, finish, report_failure
from exchange.cli.texts import t
from exchange.crypto.x509.certificates import load_chain
from exchange.domain.problems import ExchangeError
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.processes import worth
from exchange.flows.audit.replay.folder import replay_folder
from exchange.flows.audit.verify.claims import Verdict
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.material.disk import Material
from exchange.flows.audit.verify.run import Asked

STATUS = {
    Verdict.PROVEN: Exit.DONE,
    Verdict.REFUTED: Exit.FINDING,
    Verdict.NOT_PROVABLE: Exit.UNDECIDABLE,
    Verdict.CONSISTENT: Exit.UNDECIDABLE,
}

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
        replay=partial(replay_folder, folder, domain_tables(), jobs=jobs) if registers else None,
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
    return worth(entries)


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
