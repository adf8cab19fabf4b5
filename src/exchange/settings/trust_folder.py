"""The trust folder on disk. Bytes come out; ``exchange.crypto`` decides what they are worth.

own/tls-roots.pem          roots that our own agencies', officers' and servers' certificates lead to
own/signing-roots.pem      roots of our own signing certificates; what the card tells the peers
own/tls-crl.pem            optional: revocation lists of our TLS authorities
own/signing-crl.pem        optional: revocation lists of our signing authorities; our peers fetch them from us
peers/<peer>/…             one set per peer, as ``exchange.crypto.trusted.trust`` describes it
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_TRUST_FILE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of one file: a revocation list of half a million certificates."""

MANIFEST: Final = "MANIFEST"
"""File of a peer's set that names all others: written last, so that who sees it changed finds a whole set."""

OWN: Final = "own"
"""Folder of the node's own roots; no peer may be called so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTrust:
    """Whom the node trusts at home.

    Attributes:
        tls_roots: PEM.
        signing_roots: PEM.
        tls_crl: PEM; empty where there is none.
    """

    tls_roots: bytes
    signing_roots: bytes
    tls_crl: bytes


REVOCATION_FILES: Final = {"tls": "tls-crl.pem", "signing": "signing-crl.pem"}
"""Names of the files of revocation lists by use, in the node's own folder and in each peer's."""


def revocation_files(folder: Path, owner: str) -> dict[str, Path]:
    """Files of revocation lists of one owner that are there, by use.

    Args:
        folder: The trust folder.
        owner: ``own``, or a peer's name.
    """
    found = ((use, folder / owner / name) for use, name in REVOCATION_FILES.items())
    return {use: path for use, path in found if path.is_file()}


def read_file(path: Path) -> bytes:
    """A file of the trust folder.

    Raises:
        OSError: It is missing, not readable or too large.
    """
    return _read(path)


def own_path(folder: Path) -> Path:
    """Where the node's own roots lie."""
    return folder / OWN


def peer_path(folder: Path, peer: str) -> Path:
    """Where the set of one peer lies."""
    return folder / peer


def read_own(folder: Path) -> OwnTrust:
    """The node's own roots.

    Raises:
        OSError: A file of roots is missing or not readable.
    """
    own = own_path(folder)
    crl = own / "tls-crl.pem"
    return OwnTrust(
        tls_roots=_read(own / "tls-roots.pem"),
        signing_roots=_read(own / "signing-roots.pem"),
        tls_crl=_read(crl) if crl.exists() else b"",
    )


def read_own_files(folder: Path) -> dict[str, bytes]:
    """The files of the node's own part, by name.

    Raises:
        OSError: The folder is missing or not readable.
    """
    return {path.name: _read(path) for path in sorted(own_path(folder).glob("*.pem"))}


def stamp(folder: Path, peers: Iterable[str]) -> tuple[object, ...]:
    """What tells whether sets may have changed, without reading them.

    Of a peer's set its manifest's place on disk; of our own part, which has no manifest, that of each file.
    """
    paths = [*(peer_path(folder, peer) / MANIFEST for peer in peers), *sorted(own_path(folder).glob("*.pem"))]
    return tuple((str(path), *place_of(path)) for path in paths)


def place_of(path: Path) -> tuple[int, ...]:
    """Inode, size and time of a file; empty when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def peer_names(folder: Path) -> tuple[str, ...]:
    """Peers that have a set, sorted. Folders that begin with a dot are sets in the making."""
    if not folder.is_dir():
        return ()
    found = (path.name for path in folder.iterdir() if path.is_dir())
    return tuple(sorted(name for name in found if name != OWN and not name.startswith(".")))


def read_peer(folder: Path, peer: str) -> dict[str, bytes]:
    """The files of one peer's set, by name.

    Raises:
        OSError: The set is missing or not readable.
    """
    return {path.name: _read(path) for path in sorted(peer_path(folder, peer).iterdir()) if path.is_file()}


def write_peer(folder: Path, peer: str, files: Mapping[str, bytes]) -> None:
    """Put a peer's set in place of the one before it, whole.

    True afterwards: the new set is on disk. Between two renames there is none for a moment; a reader that looks
    then keeps what it has, as it does with any set that is not whole.
    """
    target = peer_path(folder, peer)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f".{peer}.{secrets.token_hex(4)}.new")
    made.mkdir(mode=0o755)
    for name, data in files.items():
        with (made / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(made)
    old = made.with_suffix(".old")
    if target.exists():
        target.rename(old)
    made.rename(target)
    _sync(target.parent)
    if old.exists():
        shutil.rmtree(old)


def write_own(folder: Path, name: str, data: bytes) -> None:
    """Put one file of our own part in place, by a single rename; empty bytes remove it."""
    target = own_path(folder) / name
    if not data:
        target.unlink(missing_ok=True)
    else:
        made = target.with_name(f".{name}.{secrets.token_hex(4)}.new")
        with made.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o644)
        made.replace(target)
    _sync(target.parent)


def remove_peer(folder: Path, peer: str) -> bool:
    """Remove a peer's set; False when there was none."""
    target = peer_path(folder, peer)
    if not target.is_dir():
        return False
    # Renamed first, so that no reader finds half of it.
    old = target.with_name(f".{peer}.{secrets.token_hex(4)}.old")
    target.rename(old)
    _sync(target.parent)
    shutil.rmtree(old)
    return True


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_TRUST_FILE_BYTES:
        raise OSError(f"{path} has more than {MAX_TRUST_FILE_BYTES} bytes")
    return path.read_bytes()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
