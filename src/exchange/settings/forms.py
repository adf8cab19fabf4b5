"""Checks of single texts of the node file. Each returns the text or raises ValueError with what it must be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from exchange.domain import codes
from exchange.settings.model import Address, KeySource
from exchange.settings.token_uri import read_token_uri

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NODE = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(rf"(?=.{{1,180}}$){_LABEL}(?:\.{_LABEL})*")
_AREA = re.compile(r"[1-9][0-9](?:[0-9]{2}){0,2}")
_LANG = re.compile(r"(?:zh|en)(?:-[A-Za-z]{2,4})?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")
_ADAPTER = re.compile(r"[a-z][a-z0-9_]{0,31}|")


def read_address(text: str) -> Address:
    """``host:port``; an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65_535:
        raise ValueError("must be host:port with a port up to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError("must have an IPv6 address in its brackets") from None
        return Address(host=host[1:-1], port=int(port))
    if not _HOST.fullmatch(host):
        raise ValueError("must be host:port; an IPv6 address stands in brackets")
    return Address(host=host, port=int(port))


def read_key_source(text: str, *, token: bool = False) -> KeySource:
    """``file:path``; where a token may hold the key, also a ``pkcs11:`` URI."""
    scheme, colon, path = text.partition(":")
    if token and scheme == "pkcs11":
        uri = read_token_uri(text)
        return KeySource(scheme=scheme, path=uri.chain, token=uri)
    if not colon or scheme != "file" or not path:
        raise ValueError("must be file:PATH or a pkcs11: URI" if token else "must be file:PATH")
    return KeySource(scheme=scheme, path=Path(path))


def check_loopback(address: Address) -> None:
    """Refuses an address that other machines can reach."""
    if address.host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError("must be a loopback address: what listens there has no access control")


def _pattern(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {what}")
        return text

    return checked


def _uscc(text: str) -> str:
    # No table of exceptions here: an authority has the code that its own certificate of registration shows.
    if not _USCC.fullmatch(text) or codes.uscc_check_character(text[:-1]) != text[-1]:
        raise ValueError("must be a unified social credit code of 18 characters whose last one is right")
    return text


def _database(text: str) -> str:
    if not re.match(r"sqlite:///[^?#]|postgresql://[^/]*/[^/]|postgresql:///[^/]", text):
        raise ValueError("must be sqlite:///FILE or postgresql://…/DATABASE")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    wanted = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.fragment
    if not (wanted and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("must be http://HOST/… or https://HOST/…, without user and password")
    return text


TEXT_FORMS: Mapping[str, Callable[[str], str]] = {
    "node": _pattern(_NODE, "one lower-case DNS label that begins with a letter"),
    "domain": _pattern(_DOMAIN, "lower-case DNS labels, 180 characters at most"),
    "area": _pattern(_AREA, "a prefix of 2, 4 or 6 digits of GB/T 2260"),
    "lang": _pattern(_LANG, "zh, en, or one of them with a region, as in zh-CN"),
    "adapter": _pattern(_ADAPTER, "the name of an adapter, as in chongqing"),
    "uscc": _uscc,
    "database": _database,
    "http_url": _http_url,
}
"""Check by the name that :class:`exchange.settings.model.Setting` gives it."""
