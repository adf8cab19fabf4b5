"""The system's libcrypto 3 as far as SM2 needs it, called through ``ctypes``, which gives up the interpreter's lock.

Every call's answer is checked. A failure empties the thread's queue of errors: ``ssl`` shares the library, and would
take what lies there for its own. Keys are never changed after they were made, so threads may share them; each
signature has a context of its own.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_ulong, c_void_p
from functools import cache
from typing import Final

from exchange.domain.problems import ExchangeError

SONAME: Final = "libcrypto.so.3"
"""Name that the system's loader knows; asked first, since ``find_library`` runs programs to find others."""

MIN_VERSION: Final = 0x3000_0000
"""OpenSSL 3.0.0: the first whose signing calls take the distinguishing id as a parameter."""

DISTINGUISHING_ID: Final = b"1234567812345678"
"""Identity of the signer within Z (GB/T 32918.2 §5.5), where nothing else was agreed: GB/T 35276."""

_SIGNATURE_BYTES: Final = 128
"""Room for a signature: two numbers of 33 bytes and their headers are 72."""


class LibcryptoMissing(ExchangeError):
    """The system has no libcrypto 3 that speaks SM2. The remedy is to install OpenSSL 3."""

    reason = "LIBCRYPTO_MISSING"


class LibcryptoFailedError(RuntimeError):
    """A call that can only fail for want of memory, or by a fault of ours. Its text names the call."""


_DER_IN = (c_void_p, POINTER(c_char_p), ctypes.c_long)
_DER_OUT = (c_void_p, POINTER(c_void_p))
_INIT = (c_void_p, POINTER(c_void_p), c_char_p, c_void_p, c_char_p, c_void_p, c_void_p)
_FUNCTIONS: Final = {
    "OpenSSL_version_num": (c_ulong, ()),
    "ERR_clear_error": (None, ()),
    "CRYPTO_free": (None, (c_void_p, c_char_p, c_int)),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_is_a": (c_int, (c_void_p, c_char_p)),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_CTX_set1_id": (c_int, (c_void_p, c_char_p, c_int)),
    "EVP_PKEY_keygen_init": (c_int, (c_void_p,)),
    "EVP_PKEY_generate": (c_int, (c_void_p, POINTER(c_void_p))),
    "EVP_PKEY2PKCS8": (c_void_p, (c_void_p,)),
    "PKCS8_PRIV_KEY_INFO_free": (None, (c_void_p,)),
    "d2i_AutoPrivateKey": (c_void_p, _DER_IN),
    "d2i_PUBKEY": (c_void_p, _DER_IN),
    "i2d_PUBKEY": (c_int, _DER_OUT),
    "i2d_PKCS8_PRIV_KEY_INFO": (c_int, _DER_OUT),
    "EVP_MD_CTX_new": (c_void_p, ()),
    "EVP_MD_CTX_free": (None, (c_void_p,)),
    "EVP_DigestSignInit_ex": (c_int, _INIT),
    "EVP_DigestSign": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_DigestVerifyInit_ex": (c_int, _INIT),
    "EVP_DigestVerify": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
}


@cache
def _library() -> ctypes.CDLL:
    """The library, found and described once.

    Raises:
        LibcryptoMissing: None, an older one, or one that was built without SM2.
    """
    library = _load()
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise LibcryptoMissing(f"the system's libcrypto is older than 3.0: {error}") from None
    if library.OpenSSL_version_num() < MIN_VERSION:
        raise LibcryptoMissing("the system's libcrypto is older than 3.0")
    context = library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
    if not context:
        library.ERR_clear_error()
        raise LibcryptoMissing("the system's libcrypto was built without SM2")
    library.EVP_PKEY_CTX_free(context)
    return library


def _load() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(SONAME)
    except OSError:
        found = ctypes.util.find_library("crypto")
    try:
        if found:
            return ctypes.CDLL(found)
    except OSError:
        pass
    raise LibcryptoMissing(f"no {SONAME} on this system")


def require_libcrypto() -> None:
    """Fail now rather than at the first signature.

    Raises:
        LibcryptoMissing: SM2 can not be computed here.
    """
    _library()


class SM2Key:
    """An SM2 key within libcrypto, freed with this object. Made by the functions below."""

    __slots__ = ("__weakref__", "pointer")

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        weakref.finalize(self, _library().EVP_PKEY_free, pointer)


def generate() -> SM2Key:
    """A new key pair."""
    library = _library()
    made = c_void_p()
    context = _some(library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None), "EVP_PKEY_CTX_new_from_name")
    try:
        _one(library.EVP_PKEY_keygen_init(context), "EVP_PKEY_keygen_init")
        _one(library.EVP_PKEY_generate(context, byref(made)), "EVP_PKEY_generate")
    finally:
        library.EVP_PKEY_CTX_free(context)
    return SM2Key(_some(made.value, "EVP_PKEY_generate"))


def read_private(der: bytes) -> SM2Key | None:
    """A private key out of PKCS#8 or SEC 1; None when it is no SM2 key."""
    return _read(_library().d2i_AutoPrivateKey, der)


def read_public(der: bytes) -> SM2Key | None:
    """A public key out of a SubjectPublicKeyInfo; None when it is no SM2 key."""
    return _read(_library().d2i_PUBKEY, der)


def write_public(key: SM2Key) -> bytes:
    """SubjectPublicKeyInfo."""
    return _write(_library().i2d_PUBKEY, key.pointer)


def write_private(key: SM2Key) -> bytes:
    """PKCS#8, not encrypted."""
    library = _library()
    info = _some(library.EVP_PKEY2PKCS8(key.pointer), "EVP_PKEY2PKCS8")
    try:
        return _write(library.i2d_PKCS8_PRIV_KEY_INFO, info)
    finally:
        library.PKCS8_PRIV_KEY_INFO_free(info)


def sign(key: SM2Key, message: bytes) -> bytes:
    """Signature in DER over SM3(Z ‖ message)."""
    library = _library()
    signature, size = ctypes.create_string_buffer(_SIGNATURE_BYTES), c_size_t(_SIGNATURE_BYTES)
    context = _some(library.EVP_MD_CTX_new(), "EVP_MD_CTX_new")
    try:
        _begin(library.EVP_DigestSignInit_ex, context, key)
        _one(library.EVP_DigestSign(context, signature, byref(size), message, len(message)), "EVP_DigestSign")
    finally:
        library.EVP_MD_CTX_free(context)
    return signature.raw[: size.value]


def verify(key: SM2Key, signature: bytes, message: bytes) -> bool:
    """Whether a signature in well-formed DER is the key's over SM3(Z ‖ message)."""
    library = _library()
    context = _some(library.EVP_MD_CTX_new(), "EVP_MD_CTX_new")
    try:
        _begin(library.EVP_DigestVerifyInit_ex, context, key)
        verdict: int = library.EVP_DigestVerify(context, signature, len(signature), message, len(message))
    finally:
        library.EVP_MD_CTX_free(context)
    if verdict != 1:
        library.ERR_clear_error()
    if verdict < 0:
        raise LibcryptoFailedError("EVP_DigestVerify")
    return verdict == 1


def _begin(initialise: Callable[..., int], context: int, key: SM2Key) -> None:
    of_key = c_void_p()  # belongs to the context, and goes with it
    _one(initialise(context, byref(of_key), b"SM3", None, None, key.pointer, None), "EVP_Digest…Init_ex")
    # Behind the initialisation, which OpenSSL 3.0 would refuse an id with, and before the first byte, for Z.
    length = len(DISTINGUISHING_ID)
    _one(_library().EVP_PKEY_CTX_set1_id(of_key, DISTINGUISHING_ID, length), "EVP_PKEY_CTX_set1_id")


def _read(parse: Callable[..., int | None], der: bytes) -> SM2Key | None:
    library = _library()
    at = c_char_p(der)
    found = parse(None, byref(at), len(der))
    if not found:
        library.ERR_clear_error()
        return None
    key = SM2Key(found)
    return key if library.EVP_PKEY_is_a(key.pointer, b"SM2") == 1 else None


def _write(format_: Callable[..., int], pointer: int) -> bytes:
    library = _library()
    made = c_void_p()
    size = format_(pointer, byref(made))
    _some(size > 0, "i2d")
    try:
        return ctypes.string_at(_some(made.value, "i2d"), size)
    finally:
        library.CRYPTO_free(made, None, 0)


def _some(answer: int | None, call: str) -> int:
    if not answer:
        _library().ERR_clear_error()
        raise LibcryptoFailedError(call)
    return answer


def _one(answer: int, call: str) -> None:
    _some(answer == 1, call)
