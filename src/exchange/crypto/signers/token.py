"""Signers whose private key lies in a PKCS#11 token (smart card, HSM): EC P-256, by CKM_ECDSA over SHA-256.

PKCS#11 knows no mechanism of SM2 that tokens share: certified modules offer it by numbers of their own vendor, or by
the SDF interface of GM/T 0018. Such a module needs a signer of its own beside this one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from exchange.crypto.dsse import ES256
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.signers.key_file import check_chain
from exchange.crypto.signers.verifiers import P256Verifier
from exchange.crypto.x509.certificates import load_der, public_key_of
from exchange.domain.problems import ExchangeError

if TYPE_CHECKING:
    import pkcs11
    import pkcs11.types

RAW_SIZE: Final = 64
"""Bytes that a token gives for a P-256 signature: r ‖ s."""

_refused: set[tuple[str, str, str]] = set()
"""Module, token and PIN of each login that was refused; held under the lock."""

_lock = threading.Lock()
"""One call at a time into tokens' modules: the library initialises them as single-threaded. Cards are so anyway."""


class TokenUnavailable(ExchangeError):
    """The token, its module or the package for it is not there, or it does not sign. Never carries the PIN."""

    reason = "TOKEN_UNAVAILABLE"


class PinRefused(TokenUnavailable):
    """The token does not take the PIN. This process shows it no second time: tokens lock themselves after a few."""

    reason = "TOKEN_PIN_REFUSED"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKey:
    """Where a key lies in a token (RFC 7512).

    Attributes:
        module: Path of the PKCS#11 module.
        token: Label of the token.
        label: Label of the private key.
        key_id: Its CKA_ID; empty where the label alone names it.
        pin: Of the user; shown nowhere.
    """

    module: str
    token: str
    label: str
    key_id: bytes
    pin: str

    @property
    def login(self) -> tuple[str, str, str]:
        """Module, token and PIN: what a token is shown at once."""
        return self.module, self.token, self.pin

    def __repr__(self) -> str:
        return f"TokenKey({self.token}/{self.label})"


class TokenPrivateKey:
    """An EC P-256 key in a token. After a failure the session is opened again, once per signature.

    Args:
        key: Where it lies.
    """

    def __init__(self, key: TokenKey) -> None:
        self._key = key
        self._private: pkcs11.types.SignMixin | None = None

    def sign(self, message: bytes) -> bytes:
        """Signature in DER, by ECDSA with SHA-256.

        Raises:
            TokenUnavailable: The token does not sign, also in a new session.
            KeyUnreadable: No such key is in the token.
        """
        digest = sha256(message).digest()
        with _lock:
            try:
                raw = self._sign(digest)
            except PinRefused:
                raise
            except TokenUnavailable:
                self._private = None
                raw = self._sign(digest)
        if len(raw) != RAW_SIZE:
            raise TokenUnavailable("the token gave something else than a P-256 signature")
        half = RAW_SIZE // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public key, from the public object of the same label and id. Raises as ``sign``."""
        with _lock, _told(self._key):
            import pkcs11  # noqa: PLC0415  (see _told)
            from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

            with self._session() as session:
                try:
                    found = session.get_key(
                        object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=self._key.label, id=self._key.key_id or None
                    )
                    public = load_der_public_key(encode_ec_public_key(cast("pkcs11.PublicKey", found)))
                except pkcs11.NoSuchKey:
                    raise KeyUnreadable(
                        f"no public key {self._key.label} in the token {self._key.token}: bring its certificate along"
                    ) from None
                except (ValueError, UnsupportedAlgorithm):
                    public = None
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise KeyUnreadable("a token's signing key is EC P-256")
        return public

    def _sign(self, digest: bytes) -> bytes:
        with _told(self._key):
            import pkcs11  # noqa: PLC0415  (see _told)

            if self._private is None:
                self._private = self._open()
            return bytes(self._private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    def _session(self) -> pkcs11.Session:
        import pkcs11  # noqa: PLC0415  (see _told)

        token = pkcs11.lib(self._key.module).get_token(token_label=self._key.token)
        try:
            return token.open(user_pin=self._key.pin)
        except pkcs11.UserAlreadyLoggedIn:  # the login holds for the process
            return token.open()

    def _open(self) -> pkcs11.types.SignMixin:
        import pkcs11  # noqa: PLC0415  (see _told)

        found = self._session().get_key(
            object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=self._key.label, id=self._key.key_id or None
        )
        # Which keys can sign is known to the token alone: the library puts the abilities together when it finds one.
        if not isinstance(found, pkcs11.types.SignMixin) or found.key_type is not pkcs11.KeyType.EC:
            raise KeyUnreadable(f"{self._key.label} in the token {self._key.token} is no EC key")
        return found


@contextmanager
def _told(key: TokenKey) -> Iterator[None]:
    """What the library raises, as ours. It is an extra that nodes without a token do not install."""
    try:
        import pkcs11  # noqa: PLC0415
    except ImportError:
        raise TokenUnavailable("the package python-pkcs11 is not installed: exchange-gateway[pkcs11]") from None
    try:
        if key.login in _refused:
            raise PinRefused(f"{key.token}: refused before")
        yield
    except (
        pkcs11.PinIncorrect,
        pkcs11.PinLocked,
        pkcs11.PinExpired,
        pkcs11.PinInvalid,
        pkcs11.PinLenRange,
    ) as error:
        _refused.add(key.login)
        raise PinRefused(f"{key.token}: {type(error).__name__}") from None
    except pkcs11.NoSuchKey:
        raise KeyUnreadable(f"no private key {key.label} in the token {key.token}") from None
    except pkcs11.MultipleObjectsReturned:
        raise KeyUnreadable(f"several keys {key.label} in the token {key.token}: name one by its id") from None
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        # The library's errors name what happened, and hold no secret; their text may be empty.
        raise TokenUnavailable(f"{key.token}: {type(error).__name__} {error}".rstrip()) from None


class TokenSigner:
    """Signs by ECDSA P-256 with SHA-256 in a token."""

    algorithm = ES256

    def __init__(self, key: TokenKey, chain: Sequence[bytes]) -> None:
        """Log in, find the key, and see that it is the certificate's by a first signature.

        Args:
            key: Where it lies.
            chain: DER certificates, leaf first, without the root.

        Raises:
            TokenUnavailable: See there; PinRefused when the PIN is wrong.
            KeyUnreadable: No such key in the token, or the first certificate is not P-256, or of another key.
            CertificateUnreadable: The first certificate does not parse.
        """
        if not chain:
            raise KeyUnreadable("a signing key comes with its certificates")
        public = public_key_of(load_der(chain[0]))
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise KeyUnreadable("a token's signing key is EC P-256")
        self.keyid = check_chain(chain, public)
        self.chain = tuple(chain)
        self._private = TokenPrivateKey(key)
        if not P256Verifier(public).verify(self.sign(b"exchange"), b"exchange"):
            raise KeyUnreadable("the first certificate is not that of the token's key")

    def sign(self, message: bytes) -> bytes:
        """Signature in DER. Raises as ``TokenPrivateKey.sign``."""
        return self._private.sign(message)
