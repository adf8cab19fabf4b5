"""The region's signing keys, from wherever the node file says that they lie."""

from __future__ import annotations

from exchange.crypto.dsse import Signer
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.signers.key_file import read_signer
from exchange.settings import NodeSettings


def read_signers(settings: NodeSettings) -> tuple[Signer, ...]:
    """The signers of ``keys.signing``, in its order.

    Raises:
        OSError: A file is missing or not readable.
        KeyUnreadable: No signing key with its certificates, or the same key twice.
        CertificateUnreadable: A certificate does not parse.
        LibcryptoMissing: An SM2 key on a system that can not use it.
    """
    signers = tuple(read_signer(source.path.read_bytes()) for source in settings.keys.signing)
    if len({signer.keyid for signer in signers}) != len(signers):
        raise KeyUnreadable("the same signing key twice")
    return signers
