"""A forger with all of a disk, and where a test lends him the nodes' own keys: what only a region can sign."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from exchange.flows.audit.folder import manifest, names, ustar
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.verify.material.tree_check import root_of
from exchange.tlog import tiles
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.origin import LogName, OriginUse
from exchange.tlog.tree import Frontier, leaf_hash
from tests.audit.material import OTHER
from tests.world import keyring


def log_of(folder: Path, origin: str) -> LogFolder:
    """A log of a folder."""
    found = Folder(folder).log(origin)
    assert found is not None
    return found


def entries_of(folder: Path, origin: str) -> list[bytes]:
    """Every entry of a log."""
    log = log_of(folder, origin)
    return [entry for part in tiles.runs(log.about.size) for entry in log.bundle(part) or ()]


def put(path: Path, data: bytes) -> None:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_tiles(root: Path, entries: Sequence[bytes]) -> None:
    """Bundles of entries and tiles of hashes in the place of those that are there."""
    shutil.rmtree(root / "tile", ignore_errors=True)
    for part in tiles.runs(len(entries)):
        put(root / tiles.bundle_path(part), tiles.pack(entries[part.first : part.end]))
    row = [leaf_hash(entry) for entry in entries]
    for level in tiles.levels(len(entries)):
        for part in tiles.runs(len(row)):
            put(root / tiles.tile_path(level, part), b"".join(row[part.first : part.end]))
        row = [root_of(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]


def signed_head(origin: str, entries: Sequence[bytes], *, at: datetime | None = None) -> bytes:
    """The head of some entries, signed by the log's own key and cosigned by the other side, at a time."""
    name = LogName.parse(origin)
    frontier, _ = Frontier().extend([leaf_hash(entry) for entry in entries])
    note = keyring(name.node).keys.log_signer(origin).sign_checkpoint(Checkpoint(origin, len(entries), frontier.root()))
    keys = keyring(OTHER[name.node]).keys
    cosigner = keys.witness if name.use is OriginUse.JOURNAL else keys.mirror
    return cosigner.cosign(note, int((at or datetime.now(UTC)).timestamp()))


def rewrite(folder: Path, origin: str, change: Callable[[list[bytes]], None], *, at: datetime | None = None) -> str:
    """Change a log's entries, as many as before, and have both sides sign for what it is then; its folder."""
    log = log_of(folder, origin)
    entries = entries_of(folder, origin)
    change(entries)
    assert len(entries) == log.about.size
    root = folder / log.about.folder
    write_tiles(root, entries)
    note = signed_head(origin, entries, at=at)
    (root / "checkpoint").write_bytes(note)
    shutil.rmtree(root / "notes")
    put(root / "notes/000.tar", ustar.member(str(len(entries)), note) + ustar.END)
    relist_all(folder)
    return log.about.folder


def relist_all(folder: Path) -> None:
    """Write the list of files anew."""
    disk = Disk(folder)
    lines = [manifest.line_of(disk, path).line() for path in disk.files() if path not in names.UNLISTED]
    (folder / names.MANIFEST).write_text("".join(lines), "utf-8")


def describe(folder: Path, origin: str, **facts: object) -> None:
    """Change what export.json says of a log."""
    path = folder / names.EXPORT
    described = json.loads(path.read_text("utf-8"))
    for log in described["logs"]:
        if log["origin"] == origin:
            log.update(facts)
    path.write_text(json.dumps(described, ensure_ascii=False), "utf-8")
