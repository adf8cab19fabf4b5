"""``peers courier``: carries files between a node's folders and a disk that goes to the peer and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.domain.problems import Problem, Refused
from exchange.flows.reach.parcel import MAX_PARCEL_BYTES, ParcelName
from exchange.storage.files.spool import IN, OUT, Spool, write_whole

MAX_FILE_BYTES: Final = MAX_PARCEL_BYTES + 1_024
"""Bytes of one file: a parcel and its first line."""


def courier(
    peer: Annotated[str, typer.Argument(help=t("option.peer"))],
    disk: Annotated[Path, typer.Argument(help=t("option.disk"), exists=True, file_okay=False, writable=True)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    as_json: JsonOption = False,
) -> None:
    """Take from a disk what came for this node, and put on it what is to go to the peer.

    What lies on the disk for the peer and is not in ``out/`` any more was answered, and is removed. Whenever this is
    interrupted, it may be done again.
    """
    out = Output(as_json)
    settings = read_settings(node)
    link = settings.peer(peer)
    if link is None or link.folder is None:
        raise Refused([Problem("PEER_NOT_BY_FOLDER", peer)])
    spool = Spool(link.folder)
    for folder in (OUT, IN):
        if not (link.folder / folder).is_dir():
            raise Refused([Problem("FOLDER_UNUSABLE", str(link.folder / folder))])
    taken, left = _take(spool, disk / f"exchange-{peer}-to-{settings.node.name}")
    given, removed = _give(spool, disk / f"exchange-{settings.node.name}-to-{peer}")
    if out.as_json:
        out.value({"peer": peer, "taken": taken, "given": given, "removed": removed, "left": left})
    out.say(t("message.carried", peer=peer, taken=taken, given=given, removed=removed, left=left))


def _take(spool: Spool, source: Path) -> tuple[int, int]:
    """Files for us: into ``in/`` first, then gone from the disk. What is none of ours stays there."""
    taken = left = 0
    for path in sorted(source.iterdir()) if source.is_dir() else ():
        if ParcelName.parse(path.name) is not None and spool.bring(path, MAX_FILE_BYTES):
            path.unlink()
            taken += 1
        else:
            left += 1
    return taken, left


def _give(spool: Spool, target: Path) -> tuple[int, int]:
    """Files for the peer: those that lie there whole already are not copied again."""
    target.mkdir(exist_ok=True)
    given = removed = 0
    names = spool.written()
    for name in names:
        size, copy = spool.size_out(name), target / name
        if size and (not copy.exists() or copy.stat().st_size != size):
            data = spool.read_out(name)
            if data is not None:
                write_whole(copy, data)
                given += 1
    for path in target.iterdir():
        if ParcelName.parse(path.name) is not None and path.name not in names:
            path.unlink()
            removed += 1
    return given, removed
