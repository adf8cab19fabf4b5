"""How a caller reaches a node: address, roots, certificate and key, as a small TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.domain.problems import ExchangeError

PROFILE_VARIABLE: Final = "EXCHANGE_PROFILE"
"""Environment variable that names the profile file."""

DEFAULT_PROFILE: Final = ".config/exchange/profile.toml"
"""Profile file below the home folder, used when nothing else names one."""

_KEYS: Final = {"address", "ca", "cert", "key", "server_name", "lang"}
_REQUIRED: Final = ("address", "ca", "cert", "key")


class ProfileInvalid(ExchangeError):
    """The profile can not be read, lacks something, or names a file that is not there."""

    reason = "PROFILE_INVALID"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Where to call, and as whom.

    Attributes:
        address: ``host:port`` of the node's agency port.
        ca: PEM file of the roots that the node's server certificate is checked against.
        cert: PEM file of our certificate chain, leaf first.
        key: PEM file of our private key (PKCS#8); may be the same file as ``cert``.
        server_name: Name to expect in the server's certificate where it is not the host of ``address``.
        lang: Language of what is shown; empty: the environment's.
    """

    address: str
    ca: Path
    cert: Path
    key: Path
    server_name: str = ""
    lang: str = ""


def find_profile(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """The profile file to use: the one given, else ``$EXCHANGE_PROFILE``, else the one below the home folder."""
    if given is not None:
        return given
    named = (os.environ if environment is None else environment).get(PROFILE_VARIABLE)
    return Path(named) if named else Path.home() / DEFAULT_PROFILE


def load_profile(path: Path) -> Profile:
    """Read a profile. Relative paths in it count from its own folder.

    Raises:
        ProfileInvalid: Not readable, not TOML, a key missing, unknown or no text.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ProfileInvalid(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileInvalid(f"{path}: {error}") from None
    wrong = [f"unknown key {key}" for key in table if key not in _KEYS]
    wrong += [f"{key} is missing" for key in _REQUIRED if key not in table]
    wrong += [f"{key} must be a text" for key, value in table.items() if not isinstance(value, str) or not value]
    if wrong:
        raise ProfileInvalid(f"{path}: {'; '.join(wrong)}")
    folder = path.absolute().parent
    return Profile(
        address=table["address"],
        ca=folder / table["ca"],
        cert=folder / table["cert"],
        key=folder / table["key"],
        server_name=table.get("server_name", ""),
        lang=table.get("lang", ""),
    )
