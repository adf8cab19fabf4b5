"""Lifetimes and kinds of keys of the certificates that ``pki`` issues: ``certs/profile.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from exchange.crypto.keys import generate_p256, generate_rsa
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.domain.problems import Problem, Refused

LibraryCaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CaKey = LibraryCaKey | SM2PrivateKey


class ProfileRefused(Refused):
    """A profile has mistakes; every one is listed with its place."""


class KeyKind(StrEnum):
    """Kinds of keys of certificates. A profile asks for the first two; SM2 is asked for beside it."""

    EC_P256 = "EC P-256"
    RSA_3072 = "RSA 3072"
    SM2 = "SM2"

    def generate(self) -> CaKey:
        """A new key.

        Raises:
            LibcryptoMissing: An SM2 key can not be made here.
        """
        match self:
            case KeyKind.EC_P256:
                return generate_p256()
            case KeyKind.RSA_3072:
                return generate_rsa(3072)
            case KeyKind.SM2:
                return SM2PrivateKey.generate()


IN_PROFILES = (KeyKind.EC_P256, KeyKind.RSA_3072)
"""Kinds that a profile may name: its keys also serve TLS, which gRPC speaks by no SM2 certificate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetime:
    """One kind of certificate in a profile.

    Attributes:
        days: Validity from the time of issue.
        key: Kind of key that is made for it.
    """

    days: int
    key: KeyKind


MAX_DAYS = 36_500
"""Days: a century; more is a slip of the pen."""

_SECTIONS = ("root", "intermediate", "server", "client", "signing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Lifetimes and keys, ``certs/profile.toml``.

    Attributes:
        backdate: How far "not before" lies back.
        crl_days: Days until the next revocation list is due.
    """

    edition: str
    backdate: timedelta
    root: Lifetime
    intermediate: Lifetime
    server: Lifetime
    client: Lifetime
    signing: Lifetime
    crl_days: int

    @classmethod
    def parse(cls, data: bytes) -> Profile:
        """Read a profile.

        Raises:
            ProfileRefused: Reason PKI_PROFILE, every mistake with its place.
        """
        try:
            table = tomllib.loads(data.decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ProfileRefused([_problem("profile.toml", str(error))]) from None
        problems: list[Problem] = []
        known = {"edition", "backdate_minutes", "crl", *_SECTIONS}
        problems += [_problem(key, "unknown") for key in sorted(table.keys() - known)]
        lifetimes = {name: _lifetime(name, table.get(name), problems) for name in _SECTIONS}
        crl = table.get("crl")
        crl_days = _number(crl.get("days") if isinstance(crl, dict) else None, "crl.days", MAX_DAYS, problems)
        minutes = _number(table.get("backdate_minutes", 0), "backdate_minutes", 24 * 60, problems, least=0)
        edition = table.get("edition")
        if not isinstance(edition, str) or not edition:
            problems.append(_problem("edition", "a text is needed"))
        if lifetimes["server"].key is not KeyKind.EC_P256 or lifetimes["signing"].key is not KeyKind.EC_P256:
            problems.append(_problem("server.key", "server and signing keys are EC P-256"))
        if problems:
            raise ProfileRefused(problems)
        return cls(edition=str(edition), backdate=timedelta(minutes=minutes), crl_days=crl_days, **lifetimes)


def _problem(place: str, detail: str) -> Problem:
    return Problem(reason="PKI_PROFILE", place=place, detail=detail)


def _number(value: object, place: str, most: int, problems: list[Problem], least: int = 1) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    problems.append(_problem(place, f"a whole number from {least} to {most} is needed"))
    return least


def _lifetime(name: str, table: object, problems: list[Problem]) -> Lifetime:
    values: Mapping[str, object] = table if isinstance(table, dict) else {}
    problems += [_problem(f"{name}.{key}", "unknown") for key in sorted(values.keys() - {"days", "key"})]
    days = _number(values.get("days"), f"{name}.days", MAX_DAYS, problems)
    try:
        kind = KeyKind(str(values.get("key")))
    except ValueError:
        kind = KeyKind.SM2
    if kind not in IN_PROFILES:
        problems.append(_problem(f"{name}.key", "one of " + ", ".join(IN_PROFILES)))
        kind = KeyKind.EC_P256
    return Lifetime(days=days, key=kind)
