"""``pkcs11:`` URIs (RFC 7512) as the node file may name a signing key. A PIN never stands in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_URI: Final = 1024
"""Characters: labels have 32, and paths some dozens."""

_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PERCENT: Final = re.compile(r"(?:[^%\s]|%[0-9A-Fa-f]{2})*")
_PATH: Final = frozenset({"token", "object", "id", "type"})
_QUERY: Final = frozenset({"module-path", "pin-source", "x-chain"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenUri:
    """A key in a token.

    Attributes:
        token: Label of the token.
        label: Label of the private key (``object``).
        key_id: Its CKA_ID; empty where not given.
        module: The PKCS#11 module (``module-path``).
        pin_file: File that holds the PIN; None where a variable does.
        pin_variable: Environment variable that holds it; empty where a file does.
        chain: PEM of the certificates, leaf first (``x-chain``).
    """

    token: str
    label: str
    key_id: bytes
    module: Path
    pin_file: Path | None
    pin_variable: str
    chain: Path


def read_token_uri(text: str) -> TokenUri:
    """Read ``pkcs11:token=T;object=K[;id=%01]?module-path=M&pin-source=file:P|env:V&x-chain=C``.

    Raises:
        ValueError: Another form; what the text says beyond attribute names is never repeated.
    """
    scheme, colon, rest = text.partition(":")
    if scheme != "pkcs11" or not colon or len(text) > MAX_URI:
        raise ValueError("must be a pkcs11: URI")
    path, _, query = rest.partition("?")
    found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
    missing = sorted({"token", "object", "module-path", "pin-source", "x-chain"} - found.keys())
    if missing:
        raise ValueError(f"must name {', '.join(missing)} in its pkcs11: URI")
    if found.get("type", b"private") != b"private":
        raise ValueError("must name a private key in its pkcs11: URI")
    texts = {name: _text(name, value) for name, value in found.items() if name != "id"}
    kind, _, source = texts["pin-source"].partition(":")
    if kind not in ("file", "env") or not source or (kind == "env" and not _ENV.fullmatch(source)):
        raise ValueError("must have pin-source=file:PATH or env:VARIABLE in its pkcs11: URI")
    return TokenUri(
        token=texts["token"],
        label=texts["object"],
        key_id=found.get("id", b""),
        module=Path(texts["module-path"]),
        pin_file=Path(source) if kind == "file" else None,
        pin_variable=source if kind == "env" else "",
        chain=Path(texts["x-chain"]),
    )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise ValueError("must not hold a PIN: name a file or a variable by pin-source")
        if name not in known or not equals or name in found or not value or not _PERCENT.fullmatch(value):
            listed = ", ".join(sorted(known))
            raise ValueError(f"must hold each of {listed} once at most, percent-encoded, and nothing else")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise ValueError(f"must have printable UTF-8 in {name} of its pkcs11: URI")
    return text
