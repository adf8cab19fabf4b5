"""The region's signing keys, from wherever the node file says that they lie."""

from __future__ import annotations

import os
from collections.abc import Mapping

from exchange.crypto.dsse import Signer
from exchange.crypto.key_lock import OPEN, KeyLock
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.signers.key_file import read_signing_chain
from exchange.crypto.signers.token import TokenKey, TokenPrivateKey, TokenSigner
from exchange.crypto.x509.certificates import public_hash
from exchange.crypto.x509.pki_request import make_request_elsewhere
from exchange.flows.rotation.signing_files import SigningFiles
from exchange.settings import NodeSettings
from exchange.settings.model import KeySource
from exchange.settings.token_uri import TokenUri, read_key_name
from exchange.storage.files.key_folder import KeyFiles

MAX_PIN = 256
"""Characters of a PIN: PKCS#11 tokens take some dozens."""


def read_signers(settings: NodeSettings, lock: KeyLock = OPEN) -> tuple[Signer, ...]:
    """The signers in use of ``keys.signing``, in its order.

    Raises:
        OSError: A file is missing or not readable.
        KeyUnreadable: No signing key with its certificates, or the same key twice.
        CertificateUnreadable: A certificate does not parse.
        LibcryptoMissing: An SM2 key on a system that can not use it.
        TokenUnavailable: A token can not be used.
    """
    signers = tuple(signing_files(settings, source, lock).newest() for source in settings.keys.signing)
    if len({signer.keyid for signer in signers}) != len(signers):
        raise KeyUnreadable("the same signing key twice")
    return signers


def signing_files(settings: NodeSettings, source: KeySource, lock: KeyLock = OPEN) -> SigningFiles:
    """The files of one key of ``keys.signing``. Nothing is read."""
    token = source.token
    first = (lambda: _token_signer(token, source.path.read_bytes())) if token is not None else None
    return SigningFiles(KeyFiles(source.path, lock), NodeTokens(settings), first)


class NodeTokens:
    """Keys in the tokens that ``keys.signing`` names: module and PIN of each are those that the node file has for it.

    See ``flows.rotation.signing_files.Tokens``.
    """

    def __init__(self, settings: NodeSettings) -> None:
        named = [source.token for source in settings.keys.signing if source.token is not None]
        self._known: Mapping[str, TokenUri] = {token.token: token for token in reversed(named)}

    def named(self, name: str) -> str:
        """The full name of a key."""
        try:
            key = read_key_name(name)
        except ValueError as error:
            raise KeyUnreadable(str(error)) from None
        if not key.token and len(self._known) == 1:
            (token,) = self._known
            return str(key.within(token))
        if key.token not in self._known:
            known = ", ".join(self._known) or "none"
            raise KeyUnreadable(f"tokens that keys.signing of the node file names: {known}")
        return str(key)

    def signer(self, name: str, chain: bytes) -> Signer:
        """The signer of a key."""
        return TokenSigner(self._key(name), read_signing_chain(chain))

    def public_hash(self, name: str) -> str:
        """Hash of the public key."""
        return public_hash(TokenPrivateKey(self._key(name)).public_key())

    def request(self, name: str, common_name: str) -> bytes:
        """A certificate request."""
        key = TokenPrivateKey(self._key(name))
        return make_request_elsewhere(key.public_key(), key.sign, common_name)

    def _key(self, name: str) -> TokenKey:
        key = read_key_name(self.named(name))
        return _token_key(self._known[key.token], label=key.label, key_id=key.key_id)


def _token_signer(token: TokenUri, content: bytes) -> Signer:
    return TokenSigner(_token_key(token, label=token.label, key_id=token.key_id), read_signing_chain(content))


def _token_key(token: TokenUri, *, label: str, key_id: bytes) -> TokenKey:
    return TokenKey(module=str(token.module), token=token.token, label=label, key_id=key_id, pin=_pin(token))


def _pin(token: TokenUri) -> str:
    """The PIN; what is wrong with it is told without a character of it."""
    if token.pin_file is not None:
        pin = token.pin_file.read_bytes().decode("utf-8", "replace").strip("\r\n")
    else:
        pin = os.environ.get(token.pin_variable, "")
    if not 0 < len(pin) <= MAX_PIN:
        raise KeyUnreadable(f"no PIN of 1 to {MAX_PIN} characters for the token {token.token}")
    return pin
