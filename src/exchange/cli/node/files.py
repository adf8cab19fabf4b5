"""The files that a node file names: are they there, are they what they should be, and does nobody else read them."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from exchange.app.passphrase import key_lock
from exchange.app.signing import signing_files
from exchange.crypto import keys
from exchange.crypto.key_lock import KeyLock, is_encrypted
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509 import certificates
from exchange.domain.problems import ExchangeError, Problem
from exchange.settings.model import KeySource, NodeSettings

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_files(settings: NodeSettings, lock: KeyLock | None = None) -> tuple[Problem, ...]:
    """Every problem of the files that the settings name; the place is the key path with the file.

    Checked are: presence and permissions (key files 0600, their folders and the data folder 0700), that each key
    is of the kind that its use needs, that the TLS certificate is for its key and has an EC key (the TLS 1.3 floor
    rests on that), the trust folder, the overlays, and the alarm command.

    Args:
        settings: The node file.
        lock: What opens the key files; None: what the node file says.
    """
    return tuple(_check(settings, lock))


def _check(settings: NodeSettings, given: KeyLock | None) -> Iterator[Problem]:
    yield from _folder("node.data", settings.node.data, private=True)
    if not settings.trust.folder.is_dir():
        yield Problem("TRUST_FOLDER_MISSING", f"trust.folder {settings.trust.folder}")
    if settings.adapters.tables is not None:
        yield from _folder("adapters.tables", settings.adapters.tables, private=False)
    command = settings.alarms.command
    if command and shutil.which(command[0]) is None:
        yield Problem("FILE_MISSING", f"alarms.command {command[0]}", "no such program")
    lock: KeyLock | None = None
    try:
        lock = given or key_lock(settings)
        lock.ready()
    except ExchangeError as error:
        yield Problem(error.reason, "keys.passphrase", str(error))
        lock = None  # what is encrypted stays unread: each file would say the same again
    yield from _key_file("keys.tls", settings.keys.tls.path, _tls, lock)
    if settings.keys.tls_client is not None:
        yield from _key_file("keys.tls_client", settings.keys.tls_client.path, _tls_client, lock)
    for number, source in enumerate(settings.keys.signing):
        yield from _signing_key(f"keys.signing[{number}]", settings, source, lock)
    yield from _key_file("keys.log", settings.keys.log.path, keys.load_seed, lock)
    yield from _key_file("keys.mirror", settings.keys.mirror.path, keys.load_ed25519, lock)
    yield from _key_file("keys.witness", settings.keys.witness.path, keys.load_ed25519, lock)
    for use, second in (("mirror", settings.keys.mirror_second), ("witness", settings.keys.witness_second)):
        if second is not None:
            yield from _key_file(f"keys.{use}_second", second.path, keys.load_ml_dsa, lock)


def _signing_key(key: str, settings: NodeSettings, source: KeySource, lock: KeyLock | None) -> Iterator[Problem]:
    if source.token is None:
        yield from _key_file(key, source.path, read_signer, lock)
        return
    pin = source.token.pin_file
    if pin is not None:
        yield from _key_file(f"{key} pin-source", pin, bytes, lock)
    for path in (source.path, source.token.module):
        if not path.is_file():
            yield Problem("FILE_MISSING", f"{key} {path}")
            return
    try:
        signing_files(settings, source).newest()
    except OSError as error:
        yield Problem("FILE_MISSING", f"{key} {error.filename}", error.strerror or "")
    except ExchangeError as error:
        yield Problem(error.reason, key, str(error))


def _folder(key: str, path: Path, *, private: bool) -> Iterator[Problem]:
    try:
        mode = path.stat().st_mode
    except OSError:
        yield Problem("FILE_MISSING", f"{key} {path}")
        return
    if not stat.S_ISDIR(mode):
        yield Problem("FILE_MISSING", f"{key} {path}", "not a folder")
    elif private and mode & OTHERS:
        yield Problem("FILE_OPEN_TO_OTHERS", f"{key} {path}", f"mode {stat.S_IMODE(mode):04o}, must be 0700")


def _key_file(key: str, path: Path, load: Callable[[bytes], object], lock: KeyLock | None) -> Iterator[Problem]:
    place = f"{key} {path}"
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        yield Problem("FILE_MISSING", place, error.strerror or "")
        return
    if mode & OTHERS:
        yield Problem("FILE_OPEN_TO_OTHERS", place, f"mode {stat.S_IMODE(mode):04o}, must be 0600")
    folder = stat.S_IMODE(path.parent.stat().st_mode)
    if folder & OTHERS:
        yield Problem("FILE_OPEN_TO_OTHERS", f"{key} {path.parent}", f"mode {folder:04o}, must be 0700")
    try:
        if lock is not None or not is_encrypted(content):
            load(lock.open(content, path.name) if lock is not None else content)
    except ExchangeError as error:
        yield Problem(error.reason, place, str(error))
    except ValueError as error:
        yield Problem("KEY_UNREADABLE", place, str(error))


class _ServerKeyNotEc(ExchangeError):
    reason = "SERVER_KEY_NOT_EC"


class _CertificateMissing(ExchangeError):
    reason = "CERTIFICATE_MISSING"


def _tls(pem: bytes) -> None:
    """Refuses a TLS file whose server would still speak TLS 1.2, or whose certificate belongs to another key."""
    file = keys.KeyFile.parse(pem)
    private = file.load()
    if not file.chain:
        raise _CertificateMissing("the file has a key and no certificate yet")
    leaf = certificates.load_chain(file.chain)[0]
    public = certificates.public_key_of(leaf)
    kind = certificates.facts_of(leaf).key
    if not kind.startswith("EC "):
        raise _ServerKeyNotEc(f"the certificate's key is {kind}")
    _of_its_key(public, private)


def _tls_client(pem: bytes) -> None:
    """Refuses a TLS file without certificate, or with that of another key; peers are dialled by EC or RSA."""
    file = keys.KeyFile.parse(pem)
    if not file.chain:
        raise _CertificateMissing("the file has a key and no certificate yet")
    _of_its_key(certificates.public_key_of(certificates.load_chain(file.chain)[0]), file.load())


def _of_its_key(public: certificates.PublicKey, private: keys.PrivateKey) -> None:
    if certificates.public_hash(public) != certificates.public_hash(private.public_key()):
        raise keys.KeyUnreadable("the first certificate is not for this key")
