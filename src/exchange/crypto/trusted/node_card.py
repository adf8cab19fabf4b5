"""A node's card: everything that a peer must believe about it, in one small text.

It travels by any way; its fingerprint travels by another one. There is one spelling of each card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from exchange.crypto.x509.certificates import CertificateUnreadable, load_chain, to_pem
from exchange.domain.problems import Problem, Refused
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, COSIGNATURE_V1, ED25519, VerifierKey
from exchange.tlog.origin import LANES, LogName, OriginUse, check_domain, check_node, mirror_name, witness_name

HEADER: Final = "exchange-node-card/v1"
"""First line."""

MAX_CARD_BYTES = 512 * 1024
"""Bytes of a card: two files of roots and some dozens of keys."""

MAX_LINES = 256
"""Lines above the roots: five keys a link, some dozens of epochs, addresses and areas."""

MAX_TEXT = 200
"""Characters of the authority's name and of the duty desk: a line that a person reads aloud."""

COSIGNATURES: Final = (COSIGNATURE_V1, COSIGNATURE_ML_DSA_44)
"""Types of a mirror's or witness's keys; one of the first there must be."""

_AREA = re.compile(r"\d{2}|\d{4}|\d{6}", re.ASCII)
_USCC = re.compile(r"[0-9A-HJ-NP-RTUW-Y]{18}", re.ASCII)
_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]):([1-9]\d{0,4})", re.ASCII
)
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class CardRefused(Refused):
    """A card or trust set has mistakes; every one is listed with its place."""


class KeyRole(StrEnum):
    """What a key of a node's logs, mirror or witness is for."""

    LOG = "log"
    MIRROR = "mirror"
    WITNESS = "witness"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedKey:
    """A verifier key with the time of its use.

    Attributes:
        role: What it is for.
        key: Name, type and public key.
        valid_from: First instant of use, aware, whole seconds.
        valid_until: End of use (exclusive); ``None`` while open.
    """

    role: KeyRole
    key: VerifierKey
    valid_from: datetime
    valid_until: datetime | None = None

    def in_use_at(self, at: datetime) -> bool:
        """Whether an aware instant lies in [from, until)."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCard:
    """What one node tells one peer about itself.

    Attributes:
        node: Its name.
        domain: Federation's domain.
        addressee: Node that the card is made for: the outbound logs are those towards it.
        authority_uscc: USCC of the authority that runs the node.
        authority_name: Its name.
        addresses: ``host:port`` under which peers reach it, best first; empty when it only dials.
        areas: GB/T 2260 prefixes of 2, 4 or 6 digits that its region is competent for.
        duty_desk: Whom to call, for people.
        keys: Keys of its outbound logs towards the addressee (one for each lane), of its journal and local log, and
            its mirror and witness key.
        tls_roots: PEM roots of its TLS certificates.
        signing_roots: PEM roots of its signing certificates.
    """

    node: str
    domain: str
    addressee: str
    authority_uscc: str
    authority_name: str
    addresses: tuple[str, ...]
    areas: tuple[str, ...]
    duty_desk: str
    keys: tuple[TrustedKey, ...]
    tls_roots: bytes
    signing_roots: bytes

    def __post_init__(self) -> None:
        problems = [Problem("CARD_INVALID", place, detail) for place, detail in _mistakes(self)]
        if problems:
            raise CardRefused(problems)
        # One spelling: the blocks alone, as this program writes them.
        object.__setattr__(self, "tls_roots", _canonical(self.tls_roots))
        object.__setattr__(self, "signing_roots", _canonical(self.signing_roots))

    def to_text(self) -> str:
        """The card."""
        lines = [
            HEADER,
            f"node {self.node}",
            f"domain {self.domain}",
            f"for {self.addressee}",
            f"authority {self.authority_uscc} {self.authority_name}",
            f"duty {self.duty_desk}",
            *(f"area {area}" for area in self.areas),
            *(f"address {address}" for address in self.addresses),
            *(
                f"key {k.role.value} {_write(k.valid_from)} {_write(k.valid_until) if k.valid_until else '-'} {k.key}"
                for k in self.keys
            ),
            "",
            "tls-roots",
        ]
        return "\n".join(lines) + f"\n{self.tls_roots.decode()}signing-roots\n{self.signing_roots.decode()}"

    @classmethod
    def parse(cls, text: str) -> NodeCard:
        """Read a card.

        Raises:
            CardRefused: Reason CARD_INVALID: not a card in its one spelling; every mistake with its line or field.
        """
        if len(text) > MAX_CARD_BYTES:
            raise _refused("card", f"a card has at most {MAX_CARD_BYTES} characters")
        head, empty, roots = text.partition("\n\n")
        lines = head.split("\n")
        tls, marker, signing = roots.removeprefix("tls-roots\n").partition("signing-roots\n")
        if lines[0] != HEADER or not empty or not marker or not roots.startswith("tls-roots\n"):
            raise _refused("card", f"a card begins with {HEADER} and ends with two lists of roots")
        if len(lines) > MAX_LINES:
            raise _refused("card", f"a card has at most {MAX_LINES} lines above its roots")
        fields = _Fields(lines)
        uscc, _, name = fields.one("authority").partition(" ")
        card = cls(
            node=fields.one("node"),
            domain=fields.one("domain"),
            addressee=fields.one("for"),
            authority_uscc=uscc,
            authority_name=name,
            addresses=fields.all("address"),
            areas=fields.all("area"),
            duty_desk=fields.one("duty"),
            keys=fields.keys(),
            tls_roots=tls.encode("utf-8", "surrogatepass"),
            signing_roots=signing.encode("utf-8", "surrogatepass"),
        )
        if card.to_text() != text:
            raise _refused("card", "a card in another spelling")
        return card

    def fingerprint(self) -> str:
        """SHA-256 of the text in UTF-8, as 16 groups of four hex digits."""
        digest = sha256(self.to_text().encode()).hexdigest()
        return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))

    def has_fingerprint(self, typed: str) -> bool:
        """Whether a fingerprint that a person typed is this card's: all of it, in any case, with any gaps."""
        return re.sub(r"[\s:-]", "", typed).lower() == self.fingerprint().replace(" ", "")

    def keys_of(self, role: KeyRole, at: datetime | None = None) -> tuple[VerifierKey, ...]:
        """Keys of one role; those in use at an aware instant, or all."""
        return tuple(k.key for k in self.keys if k.role is role and (at is None or k.in_use_at(at)))

    def cosigners(self, role: KeyRole, at: datetime | None = None) -> tuple[VerifierKey, ...]:
        """Ed25519 keys of the mirror or witness; those in use at an aware instant, or all."""
        return tuple(key for key in self.keys_of(role, at) if key.alg == COSIGNATURE_V1)

    def second_cosigners(self, role: KeyRole, at: datetime | None = None) -> tuple[VerifierKey, ...]:
        """ML-DSA-44 keys of the mirror or witness; those in use at an aware instant, or all."""
        return tuple(key for key in self.keys_of(role, at) if key.alg == COSIGNATURE_ML_DSA_44)

    def log_keys(self, origin: str, at: datetime | None = None) -> tuple[VerifierKey, ...]:
        """Keys of one log; those in use at an aware instant, or all."""
        return tuple(key for key in self.keys_of(KeyRole.LOG, at) if key.name == origin)


class _Fields:
    """The lines of a card, taken by their first word."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = [(number, *line.partition(" ")[::2]) for number, line in enumerate(lines[1:], 2)]
        known = {"node", "domain", "for", "authority", "duty", "area", "address", "key"}
        unknown = [number for number, word, _ in self._lines if word not in known]
        if unknown:
            raise _refused(f"line {unknown[0]}", "unknown word")

    def all(self, word: str) -> tuple[str, ...]:
        return tuple(value for _, found, value in self._lines if found == word)

    def one(self, word: str) -> str:
        values = self.all(word)
        if len(values) != 1:
            raise _refused(word, "needed once")
        return values[0]

    def keys(self) -> tuple[TrustedKey, ...]:
        keys: list[TrustedKey] = []
        problems: list[Problem] = []
        for number, word, value in self._lines:
            if word != "key":
                continue
            try:
                role, begin, end, key = value.split(" ", 3)
                keys.append(
                    TrustedKey(
                        role=KeyRole(role),
                        key=VerifierKey.parse(key),
                        valid_from=_read(begin),
                        valid_until=None if end == "-" else _read(end),
                    )
                )
            except LogFormatError as error:
                problems.append(Problem("CARD_INVALID", f"line {number}", str(error)))
            except ValueError:
                problems.append(Problem("CARD_INVALID", f"line {number}", "not role, from, until and verifier key"))
        if problems:
            raise CardRefused(problems)
        return tuple(keys)


def _read(text: str) -> datetime:
    found = datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
    if _write(found) != text:
        raise ValueError("an instant in another spelling")
    return found


def _write(instant: datetime) -> str:
    # %Y is not padded everywhere.
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _refused(place: str, detail: str) -> CardRefused:
    return CardRefused([Problem("CARD_INVALID", place, detail)])


def _canonical(pem: bytes) -> bytes:
    return b"".join(to_pem(certificate) for certificate in load_chain(pem))


def _mistakes(card: NodeCard) -> Iterator[tuple[str, str]]:
    names_hold = True
    for place, name, check in (
        ("node", card.node, check_node),
        ("domain", card.domain, check_domain),
        ("for", card.addressee, check_node),
    ):
        try:
            check(name)
        except LogFormatError as error:
            names_hold = False
            yield place, str(error)
    if card.node == card.addressee:
        names_hold = False
        yield "for", "a card is made for another node"
    yield from _field_mistakes(card)
    if names_hold:
        yield from _key_mistakes(card)


def _field_mistakes(card: NodeCard) -> Iterator[tuple[str, str]]:
    if not _USCC.fullmatch(card.authority_uscc):
        yield "authority", "the authority's USCC has 18 digits and letters"
    for place, text in (("authority", card.authority_name), ("duty", card.duty_desk)):
        if not 0 < len(text) <= MAX_TEXT or text != text.strip() or not text.isprintable():
            yield place, f"a line of 1 to {MAX_TEXT} printable characters is needed"
    if not card.areas or not all(map(_AREA.fullmatch, card.areas)) or len(set(card.areas)) != len(card.areas):
        yield "area", "areas are prefixes of 2, 4 or 6 digits, at least one, each once"
    for address in card.addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match.group(1)) > 65_535:
            yield "address", "an address is host:port"
    if len(card.addresses) + len(card.areas) + len(card.keys) > MAX_LINES - 10:
        yield "card", f"a card has at most {MAX_LINES} lines above its roots"
    for place, pem in (("tls-roots", card.tls_roots), ("signing-roots", card.signing_roots)):
        try:
            load_chain(pem)
        except CertificateUnreadable as error:
            yield place, str(error)


def _key_mistakes(card: NodeCard) -> Iterator[tuple[str, str]]:
    for number, trusted in enumerate(card.keys, 1):
        place = f"key {number}"
        instants = [i for i in (trusted.valid_from, trusted.valid_until) if i is not None]
        if any(i.tzinfo is None or i.microsecond for i in instants):
            yield place, "instants are aware and of whole seconds"
        elif trusted.valid_until is not None and trusted.valid_until <= trusted.valid_from:
            yield place, "ends before it begins"
        mistake = _role_mistake(card, trusted)
        if mistake:
            yield place, mistake
    if len({k.key.public for k in card.keys}) != len(card.keys):
        # tlog-policy: one key for two names would let a statement of one pass for the other.
        yield "key", "the same public key stands for two names"
    needed = [str(LogName.outbound(card.node, card.domain, card.addressee, lane)) for lane in LANES]
    needed += [str(LogName.journal(card.node, card.domain)), str(LogName.local(card.node, card.domain))]
    present = {_first_epoch(k.key.name) for k in card.keys if k.role is KeyRole.LOG}
    missing = [origin for origin in needed if origin not in present]
    missing += [role.value for role in (KeyRole.MIRROR, KeyRole.WITNESS) if not card.cosigners(role)]
    if missing:
        yield "key", "no key for " + ", ".join(missing)


def _first_epoch(origin: str) -> str:
    return origin.rpartition("/")[0] + "/1"


def _role_mistake(card: NodeCard, trusted: TrustedKey) -> str:
    name, alg = trusted.key.name, trusted.key.alg
    if trusted.role is not KeyRole.LOG:
        made = mirror_name if trusted.role is KeyRole.MIRROR else witness_name
        right = alg in COSIGNATURES and name == made(card.node, card.domain)
        needed = f"of type 0x04 or 0x06 and named {made(card.node, card.domain)}"
        return "" if right else f"a {trusted.role.value} key is {needed}"
    try:
        log = LogName.parse(name)
    except LogFormatError as error:
        return str(error)
    if alg != ED25519 or (log.node, log.domain) != (card.node, card.domain):
        return "a log key is of type 0x01, for a log of this node"
    if log.use is OriginUse.OUTBOUND and log.peer != card.addressee:
        return "a log towards another node than the card's addressee"
    return ""
