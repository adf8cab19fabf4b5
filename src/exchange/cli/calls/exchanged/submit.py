"""``submit``: files, a folder or a pattern, each row answered."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from exchange.cli.adapter_set import adapters, find_adapter
from exchange.cli.options import JsonOption, KindOption, ProfileOption, client, read_kind
from exchange.cli.output import Exit, Output, finish, problem_dicts
from exchange.cli.sending.answers import write_answer
from exchange.cli.sending.attaching import read_attachments
from exchange.cli.sending.plan import Wishes, find_files, is_one_record
from exchange.cli.sending.sealing import Seal, node_of, read_signers
from exchange.cli.sending.send import Sender
from exchange.cli.texts import reason_text, t, word
from exchange.rpc.profile import find_profile, load_profile
from exchange.v1.common_pb2 import Authority

if TYPE_CHECKING:
    from exchange.cli.sending.tally import FileResult

DEFAULT_PATIENCE_S: Final = 60.0
"""Seconds for which a node that is away or busy is asked again: longer than its restart."""

SHOWN_PLACES: Final = 3
"""Places that are shown of one fault; the answer file has them all."""


def submit(
    files: Annotated[list[str], typer.Argument(help=t("option.files"), metavar="FILE…")],
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    adapter: Annotated[str, typer.Option("--adapter", help=t("option.adapter_or_any"))] = "",
    addressees: Annotated[list[str] | None, typer.Option("--addressee", "-a", help=t("option.addressee"))] = None,
    local_only: Annotated[bool, typer.Option("--local-only", help=t("option.local_only"))] = False,
    purpose: Annotated[str, typer.Option("--purpose", help=t("option.record_purpose"))] = "",
    authority_uscc: Annotated[str, typer.Option("--authority-uscc", help=t("option.authority_uscc"))] = "",
    authority_name: Annotated[str, typer.Option("--authority-name", help=t("option.authority_name"))] = "",
    key: Annotated[str, typer.Option("--key", help=t("option.key"))] = "",
    sign_keys: Annotated[
        list[Path] | None, typer.Option("--sign-key", help=t("option.sign_key"), exists=True, dir_okay=False)
    ] = None,
    sign_certs: Annotated[
        list[Path] | None, typer.Option("--sign-cert", help=t("option.sign_cert"), exists=True, dir_okay=False)
    ] = None,
    sign_for: Annotated[str, typer.Option("--sign-for", help=t("option.sign_for"))] = "",
    tables: Annotated[
        Path | None, typer.Option("--tables", help=t("option.sign_tables"), exists=True, file_okay=False)
    ] = None,
    attach: Annotated[
        list[Path] | None, typer.Option("--attach", help=t("option.attach"), exists=True, dir_okay=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("option.dry_run"))] = False,
    results: Annotated[Path | None, typer.Option("--results", help=t("option.results"), file_okay=False)] = None,
    answers: Annotated[bool, typer.Option("--answers/--no-answers", help=t("option.answers"))] = True,
    patience: Annotated[float, typer.Option("--patience", help=t("option.patience"), min=0)] = DEFAULT_PATIENCE_S,
    as_json: JsonOption = False,
) -> None:
    """Submit documents and typed records; exit status 1 when a row was quarantined or refused."""
    out = Output(as_json)
    paths = find_files(files)
    if key and len(paths) > 1:
        raise typer.BadParameter(t("message.key_for_one_file"))
    if local_only and addressees:
        raise typer.BadParameter(t("message.local_or_addressee"))
    authority = Authority(uscc=authority_uscc, name=authority_name) if authority_uscc or authority_name else None
    if attach and (len(paths) > 1 or not is_one_record(paths[0])):
        raise typer.BadParameter(t("message.attach_to_one"))
    attached = (
        read_attachments(attach, load_profile(find_profile(profile, os.environ)).key.read_bytes()) if attach else ()
    )
    wishes = Wishes(
        adapter=adapter,
        kind=read_kind(kind),
        addressees=tuple(addressees or ()),
        local_only=local_only,
        validate_only=dry_run,
        purpose=purpose,
        authority=authority,
        key=key,
        attached=tuple(each.listed for each in attached),
    )
    if not sign_keys and (sign_certs or sign_for or tables):
        raise typer.BadParameter(t("message.sign_options"))
    seal = _seal(wishes, sign_keys, sign_certs or [], sign_for, tables, profile) if sign_keys else None
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
    found: list[FileResult] = []
    with client(profile) as node, _progress(out, paths) as advance:
        sender = Sender(node, wishes, patience=patience, progress=advance, seal=seal)
        if attached and not dry_run:
            sender.attach(attached)
        for path in paths:
            result = sender.send(path)
            if answers and not dry_run and result.rows:
                result.answer = str(write_answer(path, result, results))
            found.append(result)
    if out.as_json:
        out.value({"files": [_as_dict(result) for result in found], "total": dict(_total(found))})
    else:
        _show(out, found, dry_run=dry_run)
        if seal is not None and any(row.result == "REFUSED" and not row.key for each in found for row in each.rows):
            out.say(t("message.signed_here"))
    if any(result.away for result in found):
        finish(Exit.UNDECIDABLE)
    finish(Exit.DONE if all(result.clean for result in found) else Exit.FINDING)


def _seal(
    wishes: Wishes, keys: list[Path], certificates: list[Path], node: str, tables: Path | None, profile: Path | None
) -> Seal:
    """What signs here, with all that a statement names: nobody may add to it later.

    Raises:
        typer.BadParameter: An addressee or the node is not known; no such adapter.
        ExchangeError: Keys or certificates, as ``read_signers`` says; the profile.
    """
    if not wishes.addressees and not wishes.local_only:
        raise typer.BadParameter(t("message.sign_addressees"))
    origin, _, domain = (node or node_of(load_profile(find_profile(profile, os.environ)).cert)).partition(".")
    if not origin or not domain:
        raise typer.BadParameter(t("message.sign_for_whom"))
    if wishes.adapter:
        find_adapter(wishes.adapter, tables)
    return Seal(
        signers=read_signers(keys, certificates, datetime.now(UTC)),
        origin=origin,
        federation=domain,
        addressees=wishes.addressees,
        adapters=adapters(tables),
    )


@contextmanager
def _progress(out: Output, paths: list[Path]) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of all files, on standard error so that results can be piped."""
    if out.as_json:
        yield lambda _size: None
        return

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(t("message.submitting", count=len(paths)), total=sum(path.stat().st_size for path in paths))
        yield lambda size: bar.advance(task, size)
        bar.update(task, completed=bar.tasks[0].total)


def _total(found: list[FileResult]) -> Counter[str]:
    return sum((result.counts for result in found), Counter())


def _show(out: Output, found: list[FileResult], *, dry_run: bool) -> None:
    results = ("VALID", "QUARANTINED", "REFUSED") if dry_run else _STORED
    headings = ("file", "adapter", "rows", *(f"result_{name.lower()}" for name in results), "left_out")
    rows = [_counts(Path(result.file).name, result.adapter, result.counts, results) for result in found]
    if len(found) > 1:
        rows.append(_counts(t("word.total"), "", _total(found), results))
    out.table(headings, rows, title=t("title.dry_run") if dry_run else t("title.submitted"))
    groups = _groups(found)
    if groups:
        out.table(("file", "result", "reason", "rows", "place", "meaning", "remedy"), groups, title=t("title.problems"))
    for result in found:
        if result.refused:
            out.say(t("message.file_refused", file=result.file), style="bold red")
            out.problems(result.refused)
        if result.away:
            out.say(t("message.file_unknown", file=result.file), style="bold red")
        if result.answer:
            out.say(t("message.answer_written", file=result.answer))


def _groups(found: list[FileResult]) -> list[tuple[object, ...]]:
    """Problems by file, result and reason: forty rows with one fault are one line, which names the first places."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for result in found:
        for row in result.rows:
            for problem in (*row.problems, *row.left_out):
                where = problem.place if row.place in problem.place else f"{row.place} {problem.place}".strip()
                said = f"{where}: {problem.detail}" if problem.detail else where
                places.setdefault((Path(result.file).name, row.result, problem.reason), []).append(said)
    rows: list[tuple[object, ...]] = []
    for (name, outcome, reason), found_at in places.items():
        more = [t("message.more_places", count=len(found_at) - SHOWN_PLACES)] if len(found_at) > SHOWN_PLACES else []
        text = reason_text(reason)
        shown = "\n".join([*found_at[:SHOWN_PLACES], *more])
        rows.append((name, word("result", outcome), reason, len(found_at), shown, text.message, text.remedy))
    return rows


_STORED = ("ACCEPTED", "REVISED", "UNCHANGED", "QUARANTINED", "REFUSED")


def _counts(name: str, adapter: str, counts: Counter[str], results: tuple[str, ...]) -> tuple[object, ...]:
    return (name, adapter, counts["ROWS"], *(counts[result] for result in results), counts["LEFT_OUT"])


def _as_dict(result: FileResult) -> dict[str, object]:
    return {
        "file": result.file,
        "adapter": result.adapter,
        "dialect": result.dialect,
        "documents": result.documents,
        "counts": dict(result.counts),
        "refused": problem_dicts(result.refused),
        "away": result.away,
        "answer": result.answer,
        "remarks": problem_dicts(result.remarks),
        "rows": [
            {
                "row": row.row,
                "place": row.place,
                "result": row.result,
                "record_id": row.record_id,
                "idempotency_key": row.key,
                "quarantine_id": row.quarantine_id,
                "joined_places": list(row.joined),
                "problems": problem_dicts(row.problems),
                "left_out": problem_dicts(row.left_out),
            }
            for row in result.rows
        ],
    }
