"""The region's signing keys, from wherever the node file says that they lie."""

from __future__ import annotations

import os

from exchange.crypto.dsse import Signer
from exchange.crypto.key_lock import OPEN, KeyLock
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.signers.key_file import read_signer, read_signing_chain
from exchange.crypto.signers.token import TokenKey, TokenSigner
from exchange.settings import NodeSettings
from exchange.settings.model import KeySource
from exchange.settings.token_uri import TokenUri

MAX_PIN = 256
"""Characters of a PIN: PKCS#11 tokens take some dozens."""


def read_signers(settings: NodeSettings, lock: KeyLock = OPEN) -> tuple[Signer, ...]:
    """The signers of ``keys.signing``, in its order.

    Raises:
        OSError: A file is missing or not readable.
        KeyUnreadable: No signing key with its certificates, or the same key twice.
        CertificateUnreadable: A certificate does not parse.
        LibcryptoMissing: An SM2 key on a system that can not use it.
        TokenUnavailable: A token can not be used.
    """
    signers = tuple(read_source(source, lock) for source in settings.keys.signing)
    if len({signer.keyid for signer in signers}) != len(signers):
        raise KeyUnreadable("the same signing key twice")
    return signers


def read_source(source: KeySource, lock: KeyLock = OPEN) -> Signer:
    """The signer of one key: out of its file, or in its token. Raises as ``read_signers``."""
    content = source.path.read_bytes()
    if source.token is None:
        return read_signer(lock.open(content, str(source.path)))
    token = source.token
    key = TokenKey(module=str(token.module), token=token.token, label=token.label, key_id=token.key_id, pin=_pin(token))
    return TokenSigner(key, read_signing_chain(content))


def _pin(token: TokenUri) -> str:
    """The PIN; what is wrong with it is told without a character of it."""
    if token.pin_file is not None:
        pin = token.pin_file.read_bytes().decode("utf-8", "replace").strip("\r\n")
    else:
        pin = os.environ.get(token.pin_variable, "")
    if not 0 < len(pin) <= MAX_PIN:
        raise KeyUnreadable(f"no PIN of 1 to {MAX_PIN} characters for the token {token.token}")
    return pin
