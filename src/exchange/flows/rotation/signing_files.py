"""The generations of a region's signing key: key files, or the names of keys in a token, each with its certificates.

    keys/sign-p256.2.pem     private key, then its certificate and intermediates
    keys/sign-token.2.pem    pkcs11:token=exchange;object=sign-2, then the same certificates: the key is in the token

What a key in a token takes beyond its name (module, PIN) is the node file's to say: nobody names another module by rpc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from exchange.crypto.dsse import ES256, SM2, Signer
from exchange.crypto.keys import KeyFile, KeyUnreadable, certificates_in
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.crypto.x509.certificates import Certificate, CertificateUnreadable, load_chain, public_hash, spki_hash
from exchange.crypto.x509.pki_request import make_request
from exchange.storage.files.key_folder import KeyFiles

TOKEN_MARK: Final = b"pkcs11:"
"""What the first line of a file that names a key in a token begins with."""


class Tokens(Protocol):
    """Keys in the tokens that the node file names. Blocks, and is called on threads."""

    def named(self, name: str) -> str:
        """The full name, token included, of a key as an officer names it.

        Raises:
            KeyUnreadable: It says more than a key, or no token of the node file is meant.
        """
        ...

    def signer(self, name: str, chain: bytes) -> Signer:
        """The signer of a key with its certificates in PEM.

        Raises:
            KeyUnreadable: No such key, or the first certificate is not its own.
            CertificateUnreadable: A certificate does not parse.
            TokenUnavailable: The token can not be used.
        """
        ...

    def public_hash(self, name: str) -> str:
        """Hash of the public key, as the token tells it. Raises as ``signer``."""
        ...

    def request(self, name: str, common_name: str) -> bytes:
        """A certificate request in PEM, signed in the token. Raises as ``signer``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HeldKey:
    """What one generation's file says.

    Attributes:
        token: Name of the key in its token; empty where the key is in the file.
        key: The private key in PEM; empty where it is in a token.
        chain: Its certificates in PEM, leaf first; empty until they are there.
    """

    token: str = ""
    key: bytes = b""
    chain: bytes = b""

    @classmethod
    def parse(cls, content: bytes) -> HeldKey:
        """Take a file, or what an officer brought, apart.

        Raises:
            KeyUnreadable: Neither one private key nor the name of one.
        """
        if content.startswith(TOKEN_MARK):
            name, _, rest = content.partition(b"\n")
            if b"PRIVATE KEY" in rest:
                raise KeyUnreadable("the name of a key in a token, and a private key beside it")
            return cls(token=name.decode("utf-8", "replace").strip(), chain=certificates_in(rest))
        file = KeyFile.parse(content)
        return cls(key=file.key, chain=file.chain)

    def with_chain(self, chain: bytes) -> HeldKey:
        """The same key with its certificates."""
        return HeldKey(token=self.token, key=self.key, chain=chain)

    def to_bytes(self) -> bytes:
        """As its file holds it."""
        return (self.token.encode() + b"\n" if self.token else self.key) + self.chain

    @property
    def algorithm(self) -> str:
        """By which it signs: tokens by P-256 only."""
        return SM2 if self.key and KeyFile(key=self.key, chain=b"").is_sm2 else ES256


class SigningFiles:
    """The files of one signing key, and what opens them.

    Args:
        files: Where they lie.
        tokens: Keys in tokens; None where the node file names none.
        first: Gives the first key's signer where that key lies in a token, whose file has certificates only.
    """

    def __init__(
        self, files: KeyFiles, tokens: Tokens | None = None, first: Callable[[], Signer] | None = None
    ) -> None:
        self.files = files
        self._tokens = tokens
        self._first = first
        self._opened: dict[tuple[int, bytes], Signer] = {}

    def held(self, generation: int) -> HeldKey | None:
        """What a generation's file says; None when there is none.

        Raises:
            KeyUnreadable: It says something else.
        """
        content = self.files.read(generation)
        return HeldKey.parse(content) if content is not None else None

    def material(self, content: bytes) -> HeldKey:
        """What an officer brought: a key file, or the name of a key in a token with or without its certificates.

        Raises:
            KeyUnreadable: Neither, or no token of the node file is meant.
        """
        held = HeldKey.parse(self.files.lock.open(content, "material"))
        return HeldKey(token=self._need().named(held.token), chain=held.chain) if held.token else held

    def open(self, held: HeldKey) -> Signer:
        """The signer of a key that has its certificates. Raises as ``Tokens.signer``."""
        if held.token:
            return self._need().signer(held.token, held.chain)
        return read_signer(held.key + held.chain)

    def signer(self, generation: int) -> Signer | None:
        """The signer of a generation, opened once; None without file or certificate.

        Raises:
            TokenUnavailable: Its token can not be used.
        """
        content = self.files.read(generation)
        if content is None:
            return None
        place = (generation, sha256(content).digest())
        found = self._opened.get(place)
        if found is None:
            try:
                first = self._first if generation == 1 else None
                found = first() if first is not None else self.open(HeldKey.parse(content))
            except (KeyUnreadable, CertificateUnreadable):
                return None
            self._opened[place] = found
        return found

    def newest(self) -> Signer:
        """The signer of the generation in use, as last written beside the keys.

        Raises:
            KeyUnreadable: It has no readable file.
            TokenUnavailable: Its token can not be used.
        """
        (generation,) = [each.generation for each in self.files.lives() if each.state == "ACTIVE"][-1:]
        content = self.files.read(generation)
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", str(self.files.path(generation)))
        if generation == 1 and self._first is not None:
            return self._first()
        return self.open(HeldKey.parse(content))

    def leaf(self, generation: int) -> Certificate | None:
        """A generation's certificate, read without opening its key; None when there is none."""
        content = self.files.read(generation)
        try:
            return load_chain(certificates_in(content))[0] if content is not None else None
        except CertificateUnreadable:
            return None

    def public_hash(self, held: HeldKey) -> str:
        """Hash of a key's public key. Raises as ``Tokens.signer``."""
        if held.token:
            return spki_hash(load_chain(held.chain)[0]) if held.chain else self._need().public_hash(held.token)
        file = KeyFile(key=held.key, chain=b"")
        return public_hash(SM2PrivateKey.from_pem(file.key).public_key() if file.is_sm2 else file.load().public_key())

    def request(self, held: HeldKey, common_name: str) -> bytes:
        """A certificate request in PEM. Raises as ``Tokens.signer``."""
        return self._need().request(held.token, common_name) if held.token else make_request(held.key, common_name)

    def _need(self) -> Tokens:
        if self._tokens is None:
            raise KeyUnreadable("the node file names no token for its signing keys")
        return self._tokens
