"""``pkcs11:`` URIs (RFC 7512) as the node file may name a signing key. A PIN never stands in one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

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


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyName:
    """A key in a token, by name alone.

    Attributes:
        token: Label of the token; empty where it goes without saying.
        label: Label of the private key.
        key_id: Its CKA_ID; empty where not given.
    """

    token: str
    label: str
    key_id: bytes

    def within(self, token: str) -> KeyName:
        """The same key, its token named."""
        return replace(self, token=token)

    def __str__(self) -> str:
        parts = [f"token={quote(self.token, safe='')}"] if self.token else []
        parts.append(f"object={quote(self.label, safe='')}")
        parts += [f"id={''.join(f'%{byte:02X}' for byte in self.key_id)}"] if self.key_id else []
        return f"pkcs11:{';'.join(parts)}"


def read_key_name(text: str) -> KeyName:
    """Read ``pkcs11:object=K[;token=T][;id=%01]``, as an officer names a key of a token that the node file has.

    Raises:
        ValueError: Another form. Module and PIN are the node file's to name.
    """
    scheme, colon, path = text.partition(":")
    if scheme != "pkcs11" or not colon or len(text) > MAX_URI:
        raise ValueError("must be a pkcs11: URI")
    if "?" in path:
        raise ValueError("must not name a module or a PIN in its pkcs11: URI: the node file does")
    found = _attributes(path, ";", _PATH)
    if "object" not in found or found.get("type", b"private") != b"private":
        raise ValueError("must name a private key by object in its pkcs11: URI")
    return KeyName(
        token=_text("token", found["token"]) if "token" in found else "",
        label=_text("object", found["object"]),
        key_id=found.get("id", b""),
    )


def split_chain(text: str) -> tuple[str, Path | None]:
    """Take ``x-chain`` off a key's name: the file of its certificates, where the caller has it.

    Raises:
        ValueError: Its query says something else.
    """
    name, _, query = text.partition("?")
    found = _attributes(query, "&", frozenset({"x-chain"}))
    return name, Path(_text("x-chain", found["x-chain"])) if found else None


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
