"""The keys of a new node: made where they will be used, and never over others."""

from __future__ import annotations

from pathlib import Path

from exchange.cli.private_files import make_private_folder, write_new
from exchange.crypto import keys
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.crypto.x509.pki_request import make_request
from exchange.settings import NodeSettings

SM2_MARK = "sm2"
"""What stands in the name of a file that gets an SM2 key."""


def make_keys(settings: NodeSettings, lock: KeyLock) -> tuple[Path, ...]:
    """Make every key that is not there, and a certificate request beside each key that needs a certificate.

    A signing key is SM2 when its file's name says so, EC P-256 otherwise; one in a token is made there, by its tools.

    Args:
        settings: Where they will lie.
        lock: What closes them: keys are written encrypted where the node file names a passphrase.

    Returns:
        The files that were written.
    """
    written: list[Path] = []

    def write(path: Path, content: bytes, mode: int = 0o600) -> None:
        if not path.exists():
            make_private_folder(path.parent)
            write_new(path, lock.close(content), mode=mode)
            written.append(path)

    name = f"{settings.node.name}.{settings.node.domain}"
    for source in (settings.keys.tls, *settings.keys.signing):
        if source.token is None and not source.path.exists():
            sm2 = source is not settings.keys.tls and SM2_MARK in source.path.name
            key = SM2PrivateKey.generate().to_pem() if sm2 else keys.encode_private(keys.generate_p256())
            write(source.path, key)
            write(source.path.with_suffix(".request.pem"), make_request(key, name), 0o644)
    write(settings.keys.log.path, keys.encode_seed(keys.generate_seed()))
    write(settings.keys.mirror.path, keys.encode_private(keys.generate_ed25519()))
    write(settings.keys.witness.path, keys.encode_private(keys.generate_ed25519()))
    for second in (settings.keys.mirror_second, settings.keys.witness_second):
        if second is not None:
            write(second.path, keys.encode_ml_dsa(keys.generate_ml_dsa()))
    return tuple(written)
