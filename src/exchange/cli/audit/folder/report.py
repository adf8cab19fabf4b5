"""``audit report``: what an exported folder proves and tells, as one page that people read and print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.audit.firm import firm_code
from exchange.cli.audit.folder.asking import (
    STATUS,
    FolderArgument,
    HeadsOption,
    JobsOption,
    ListOption,
    RegistersOption,
    TsaRootsOption,
    question,
    usage,
)
from exchange.cli.audit.folder.believing import (
    CardsOption,
    FingerprintsOption,
    ListsOption,
    PolicyOption,
    RequireOption,
    RootsOption,
    gather,
)
from exchange.cli.audit.folder.own_list import AdapterOption, KeyOption
from exchange.cli.audit.folder.reporting.page import Story, page
from exchange.cli.audit.watched import watched
from exchange.cli.output import Output, finish
from exchange.cli.texts import t, word
from exchange.flows.audit.folder.about import check_extent
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder
from exchange.flows.audit.report.events import Journaled, read_journals
from exchange.flows.audit.report.keys import announced_keys
from exchange.flows.audit.report.lives import counted, lives, outcomes
from exchange.flows.audit.report.subjects import about_subjects
from exchange.flows.audit.verify.claims import Result
from exchange.flows.audit.verify.run import verify

MAX_PROOF_BYTES = 64 << 20
"""Bytes of a file whose digest the page names beside a finding."""

OutFile = Annotated[Path, typer.Option("--output", "-o", help=t("option.report_file"), dir_okay=False)]
SubjectsOption = Annotated[
    list[str] | None, typer.Option("--subject", help=t("option.report_subject"), show_default=False)
]


def write_report(
    folder: FolderArgument,
    output: OutFile,
    *,
    policy: PolicyOption = None,
    cards: CardsOption = None,
    fingerprints: FingerprintsOption = None,
    tsa_roots: TsaRootsOption = None,
    roots: RootsOption = None,
    lists: ListsOption = None,
    require: RequireOption = None,
    pages: HeadsOption = None,
    registers: RegistersOption = False,
    listed: ListOption = None,
    key: KeyOption = "decision_no",
    adapter: AdapterOption = "",
    subjects: SubjectsOption = None,
    jobs: JobsOption = 0,
) -> None:
    """Verify a folder and write the page. Exit status as of ``audit verify``."""
    firms = [firm_code(each) for each in subjects or ()]
    with usage(as_json=False):
        believed = gather(
            policy=policy, cards=cards, fingerprints=fingerprints, roots=roots, lists=lists, require=require
        )
        asked = question(
            folder, believed, pages=pages or (), tsa_roots=tsa_roots, registers=registers, listed=listed, key=key,
            adapter=adapter, jobs=jobs,
        )  # fmt: skip
        with watched() as watch:
            result = verify(asked, watch)
        output.write_text(page(told(folder, result, firms)), "utf-8")
    Output(as_json=False).say(f"{word('audit_verdict', result.verdict.value)}: {output}")
    finish(STATUS[result.verdict])


def told(folder: Path, result: Result, subjects: Sequence[str]) -> Story:
    """Everything that the page tells of a folder; of one that can not be read, why."""
    try:
        opened = Folder(folder)
        check_extent(opened.disk, opened.about)
    except FolderUnreadable:
        return Story(
            result=result, about=None, made_at=datetime.now(UTC), lives=(), counted={}, keys=(),
            journaled=Journaled(), proofs={}, subjects={},
        )  # fmt: skip
    read = list(lives(opened))
    answered = outcomes(read)
    by_origin = {life.origin: life for life in read}
    return Story(
        result=result,
        about=opened.about,
        made_at=datetime.now(UTC),
        lives=read,
        counted={life.origin: counted(life, answered[life.origin]) for life in read},
        keys=announced_keys(opened),
        journaled=read_journals(opened),
        proofs=_proofs(opened, result),
        subjects=about_subjects(opened, by_origin, answered, subjects),
    )


def _proofs(folder: Folder, result: Result) -> dict[str, str]:
    """SHA-256 of the files that findings name, as they lie there."""
    found = {}
    for name in {each.finding.file for each in result.findings if each.finding.file}:
        try:
            data = folder.disk.read(name, MAX_PROOF_BYTES)
        except FolderUnreadable:
            continue
        if data is not None:
            found[name] = sha256(data).hexdigest()
    return found
