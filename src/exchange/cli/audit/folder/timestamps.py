"""``audit timestamps``: a third party's word for when the head of a log was there, and how long nobody gave one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from google.protobuf.timestamp_pb2 import Timestamp as Instant

from exchange.cli.audit.folder.asking import usage
from exchange.cli.details import told
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Exit, Output, as_dict, finish, moment
from exchange.cli.texts import t
from exchange.crypto.x509.certificates import load_chain
from exchange.domain.problems import Problem
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.claimed.stamps import Stamp, check_stamps
from exchange.v1.audit_service_pb2 import ListTimestampsRequest, Timestamp, Unstamped

if TYPE_CHECKING:
    from exchange.rpc.client import Client


RootsOption = Annotated[Path | None, typer.Option("--roots", help=t("option.tsa_roots"), exists=True, dir_okay=False)]


def list_timestamps(
    origin: Annotated[str, typer.Argument(help=t("option.timestamp_origin"), show_default=False)] = "",
    profile: ProfileOption = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=t("option.timestamp_folder"), file_okay=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help=t("option.stamped_folder"), exists=True, file_okay=False)
    ] = None,
    roots: RootsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List time stamps with how long the oldest entry of each had waited, and the logs that wait now.

    With a folder: verify those of an exported folder, offline. Exit status 1 when one does not hold, 3 without any.
    """
    out = Output(as_json)
    if folder is not None:
        if roots is None:
            raise typer.BadParameter(t("message.tsa_roots_needed"))
        believed = roots.read_bytes()
        with usage(as_json=as_json):
            load_chain(believed)
        _verify(out, folder, believed, origin)
    waiting: list[Unstamped] = []
    with client(profile) as node:
        found = list(_all(node, origin, waiting))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for each in found:
            name = str(each.size) if origin else f"{each.origin.replace('/', '_')}_{each.size}"
            (output / f"{name}.note").write_bytes(each.note)
            (output / f"{name}.tsr").write_bytes(each.token)
        out.say(t("message.written", file=output))
    if out.as_json:
        out.value({"timestamps": [as_dict(each) for each in found], "waiting": [as_dict(each) for each in waiting]})
        return
    out.table(
        ("log", "size", "stamped", "oldest_cosigned", "waited", "service"),
        [
            (
                each.origin,
                each.size,
                moment(each.stamped_at),
                moment(each.since),
                _between(each.since, each.stamped_at),
                each.service,
            )
            for each in found
        ],
    )
    if waiting:
        rows = [(each.origin, each.size, moment(each.since)) for each in waiting]
        out.table(("log", "size", "oldest_cosigned"), rows, title=t("title.unstamped"))


def _verify(out: Output, folder: Path, roots: bytes, origin: str) -> NoReturn:
    looked = [each for each in check_stamps(folder, roots) if origin in ("", each.log)]
    held = [each for each in looked if isinstance(each, Stamp)]
    found = [each for each in looked if isinstance(each, Finding)]
    if out.as_json:
        out.value(
            {
                "timestamps": [asdict(each) | {"at": each.at.isoformat()} for each in held],
                "findings": [
                    {"no": no, "code": each.code, "log": each.log, "index": each.index, "file": each.file}
                    | {"text": each.detail, "proven": each.proven}
                    for no, each in enumerate(found, 1)
                ],
            }
        )
    else:
        rows = [(each.log, each.size, each.at, each.signer) for each in held]
        if looked:
            out.table(("log", "size", "stamped", "service"), rows)
        else:
            out.say(t("message.timestamps_none"))
    if found and not out.as_json:
        out.problems(Problem(each.code, each.file, told(each.detail)) for each in found)
    refused = any(each.proven for each in found)
    finish(Exit.FINDING if refused else Exit.UNDECIDABLE if found or not held else Exit.DONE)


def _all(node: Client, origin: str, waiting: list[Unstamped]) -> Iterator[Timestamp]:
    request = ListTimestampsRequest(origin=origin)
    while True:
        answer = node.call(node.audit.ListTimestamps, request)
        waiting[:] = answer.waiting
        yield from answer.timestamps
        if not origin or not answer.timestamps:
            return
        request.above = answer.timestamps[-1].size


def _between(first: Instant, last: Instant) -> str:
    """Whole seconds, without a sign: both clocks may differ by some."""
    begin, end = moment(first), moment(last)
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        return ""
    return f"{max(0, round((end - begin).total_seconds()))} s"
