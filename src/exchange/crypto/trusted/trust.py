"""The trust folder's set of files for one peer, taken whole or not at all.

MANIFEST             SHA-256 of peer.toml and the roots, as ``sha256sum`` writes and checks it
peer.toml            names, authority, addresses, areas, duty desk, verifier keys with [from, until)
tls-roots.pem        roots of its TLS certificates
signing-roots.pem    roots of its signing certificates
tls-crl.pem          optional: revocation lists of its TLS authorities
signing-crl.pem      optional: revocation lists of its signing authorities

Lists are signed by their authority and replaced every few weeks: the manifest need not name them, and a bad one is left
out and told, so that it spoils neither the set nor the last good list.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from exchange.crypto.dsse import ES256
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust
from exchange.crypto.sm2.libcrypto import LibcryptoMissing
from exchange.crypto.trusted.node_card import CardRefused, KeyRole, NodeCard, TrustedKey
from exchange.crypto.x509.certificates import load_chain
from exchange.crypto.x509.revocation import MAX_CRL_BYTES, Revocations, RevocationUnreadable
from exchange.domain.problems import Problem
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey

MANIFEST: Final = "MANIFEST"
PEER: Final = "peer.toml"
TLS_ROOTS: Final = "tls-roots.pem"
SIGNING_ROOTS: Final = "signing-roots.pem"
TLS_CRL: Final = "tls-crl.pem"
SIGNING_CRL: Final = "signing-crl.pem"

_REQUIRED = (PEER, TLS_ROOTS, SIGNING_ROOTS)
_OPTIONAL = (TLS_CRL, SIGNING_CRL)
_MANIFEST_LINE = re.compile(r"([0-9a-f]{64}) [ *]([a-z0-9.-]{1,64})", re.ASCII)

MAX_PEER_BYTES = 256 * 1024
"""Bytes of ``peer.toml``: some hundreds of keys."""


class TrustRefused(CardRefused):
    """A trust set has mistakes; every one is listed, its place is ``file`` or ``file: place``."""


def _problem(file: str, place: str, detail: str) -> Problem:
    return Problem("TRUST_REFUSED", f"{file}: {place}" if place else file, detail)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustSet:
    """What is believed about one peer.

    Attributes:
        card: Names, keys and roots.
        tls_revocations: Revoked TLS certificates, by the set's own list; to be asked with the caller's leaf.
        signing_revocations: The same of signing certificates.
        list_problems: Lists that are not used, and why.
        digest: Hex SHA-256 of the manifest: names the whole set.
        files: The set's bytes by file name, as they were loaded.
    """

    card: NodeCard
    tls_revocations: Revocations
    signing_revocations: Revocations
    list_problems: tuple[Problem, ...]
    digest: str
    files: Mapping[str, bytes]

    @classmethod
    def load(
        cls,
        files: Mapping[str, bytes],
        *,
        node: str | None = None,
        domain: str | None = None,
        addressee: str | None = None,
    ) -> TrustSet:
        """Check a set.

        1. The manifest names exactly the files that are there, each with its digest; lists it may leave out.
        2. ``peer.toml`` and the roots make a card.
        3. The card is of the peer, federation and addressee that are expected.
        4. Revocation lists that are signed under those roots are used.

        Args:
            files: Bytes by file name.
            node: The peer whose folder this is; ``None`` asks nothing.
            domain: Our federation; ``None`` asks nothing.
            addressee: Our own node; ``None`` asks nothing.

        Raises:
            TrustRefused: Every mistake, with file and place.
        """
        # 1
        problems = _manifest_problems(files)
        if problems:
            raise TrustRefused(problems)
        # 2
        card = _read_peer(files)
        # 3
        for place, found, expected in (
            ("node", card.node, node),
            ("domain", card.domain, domain),
            ("for", card.addressee, addressee),
        ):
            if expected is not None and found != expected:
                problems.append(_problem(PEER, place, f"{found} where {expected} is expected"))
        if problems:
            raise TrustRefused(problems)
        # 4
        lists = {name: Revocations() for name in _OPTIONAL}
        unused = []
        for name, roots in ((TLS_CRL, card.tls_roots), (SIGNING_CRL, card.signing_roots)):
            try:
                if name in files:
                    lists[name] = Revocations.load(files[name], load_chain(roots))
            except (RevocationUnreadable, LibcryptoMissing) as error:
                unused.append(Problem(error.reason, name, str(error)))
        return cls(
            card=card,
            tls_revocations=lists[TLS_CRL],
            signing_revocations=lists[SIGNING_CRL],
            list_problems=tuple(unused),
            digest=sha256(files[MANIFEST]).hexdigest(),
            files=dict(files),
        )

    def signing_trust(self, chains: Iterable[SigningChain] = (), require: Sequence[str] = (ES256,)) -> SigningTrust:
        """The verifier of this peer's envelopes.

        Args:
            chains: Signing chains that the peer has announced.
            require: Algorithms of which a trusted signature must be there.
        """
        trust = SigningTrust.build(
            node=self.card.node,
            domain=self.card.domain,
            roots=self.card.signing_roots,
            chains=chains,
            require=require,
        )
        return trust.with_revocations(self.signing_revocations)

    def to_bytes(self) -> bytes:
        """All files in one piece, for the journal; ``unpack`` takes it apart."""
        return b"".join(
            b"%b %d\n%b" % (name.encode(), len(self.files[name]), self.files[name]) for name in sorted(self.files)
        )


def unpack(data: bytes) -> dict[str, bytes]:
    """Take apart what ``TrustSet.to_bytes`` wrote.

    Raises:
        TrustRefused: The bytes are cut off or were not written by it.
    """
    files: dict[str, bytes] = {}
    rest = data
    while rest:
        head, newline, rest = rest.partition(b"\n")
        match = re.fullmatch(rb"([A-Za-z0-9.-]{1,64}) (0|[1-9]\d{0,8})", head)
        if not newline or match is None or int(match.group(2)) > len(rest) or match.group(1).decode() in files:
            raise TrustRefused([_problem("set", "", "not a trust set in one piece")])
        size = int(match.group(2))
        files[match.group(1).decode()] = rest[:size]
        rest = rest[size:]
    return files


def to_trust_files(card: NodeCard, *, tls_crl: bytes = b"", signing_crl: bytes = b"") -> dict[str, bytes]:
    """The files of a set, manifest included, for a card that was accepted.

    Args:
        card: What the peer told about itself.
        tls_crl: Revocation lists in PEM of its TLS authorities; empty for none.
        signing_crl: The same of its signing authorities.
    """
    files = {PEER: _write_peer(card), TLS_ROOTS: card.tls_roots, SIGNING_ROOTS: card.signing_roots}
    if tls_crl:
        files[TLS_CRL] = tls_crl
    if signing_crl:
        files[SIGNING_CRL] = signing_crl
    files[MANIFEST] = write_manifest(files)
    return files


def write_manifest(files: Mapping[str, bytes]) -> bytes:
    """The manifest of a set's files, by file name: what ``sha256sum peer.toml *-roots.pem`` prints."""
    named = sorted(files.keys() - {MANIFEST, *_OPTIONAL})
    lines = [f"{sha256(files[name]).hexdigest()}  {name}\n" for name in named]
    return "".join(lines).encode()


def _manifest_problems(files: Mapping[str, bytes]) -> list[Problem]:
    if MANIFEST not in files:
        return [_problem(MANIFEST, "", "missing")]
    problems: list[Problem] = []
    named: dict[str, str] = {}
    try:
        lines = files[MANIFEST].decode("ascii").splitlines()
    except UnicodeDecodeError:
        return [_problem(MANIFEST, "", "not ASCII")]
    for number, line in enumerate(lines, 1):
        match = _MANIFEST_LINE.fullmatch(line)
        if match is None or match.group(2) in named:
            problems.append(_problem(MANIFEST, f"line {number}", "not a digest and a file name, each file once"))
        else:
            named[match.group(2)] = match.group(1)
    present = set(files) - {MANIFEST}
    problems += [_problem(name, "", "not in the manifest") for name in sorted(present - named.keys() - {*_OPTIONAL})]
    missing = named.keys() - present - {*_OPTIONAL}
    problems += [_problem(name, "", "in the manifest and missing") for name in sorted(missing)]
    problems += [_problem(name, "", "missing") for name in _REQUIRED if name not in named and name not in present]
    problems += [_problem(name, "", "unknown file") for name in sorted(present - {*_REQUIRED, *_OPTIONAL})]
    for name in sorted(present & named.keys()):
        if len(files[name]) > MAX_CRL_BYTES:
            problems.append(_problem(name, "", f"larger than {MAX_CRL_BYTES} bytes"))
        elif name not in _OPTIONAL and sha256(files[name]).hexdigest() != named[name]:
            problems.append(_problem(name, "", "its bytes are not those that the manifest names"))
    return problems


def _text(value: str) -> str:
    # JSON's string is a TOML basic string, except that JSON leaves DEL alone; a card has no such character.
    return json.dumps(value, ensure_ascii=False)


def _write_peer(card: NodeCard) -> bytes:
    lines = [
        f"node = {_text(card.node)}",
        f"domain = {_text(card.domain)}",
        f"for = {_text(card.addressee)}",
        f"authority = {{ uscc = {_text(card.authority_uscc)}, name = {_text(card.authority_name)} }}",
        f"duty_desk = {_text(card.duty_desk)}",
        f"areas = [{', '.join(map(_text, card.areas))}]",
        f"addresses = [{', '.join(map(_text, card.addresses))}]",
    ]
    for trusted in card.keys:
        lines += ["", "[[key]]", f"use = {_text(trusted.role.value)}", f"vkey = {_text(str(trusted.key))}"]
        lines.append(f"from = {_instant(trusted.valid_from)}")
        if trusted.valid_until is not None:
            lines.append(f"until = {_instant(trusted.valid_until)}")
    return ("\n".join(lines) + "\n").encode()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_peer(files: Mapping[str, bytes]) -> NodeCard:
    data = files[PEER]
    if len(data) > MAX_PEER_BYTES:
        raise TrustRefused([_problem(PEER, "", f"larger than {MAX_PEER_BYTES} bytes")])
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrustRefused([_problem(PEER, "", str(error))]) from None
    reader = _PeerReader(table)
    authority = reader.table("authority", ("uscc", "name"))
    values = {
        "node": reader.text("node"),
        "domain": reader.text("domain"),
        "addressee": reader.text("for"),
        "duty_desk": reader.text("duty_desk"),
        "authority_uscc": authority["uscc"],
        "authority_name": authority["name"],
    }
    addresses, areas, keys = reader.texts("addresses"), reader.texts("areas"), reader.keys()
    reader.refuse_unknown()
    if reader.problems:
        raise TrustRefused(reader.problems)
    try:
        return NodeCard(
            **values,
            addresses=addresses,
            areas=areas,
            keys=keys,
            tls_roots=files[TLS_ROOTS],
            signing_roots=files[SIGNING_ROOTS],
        )
    except CardRefused as refused:
        raise TrustRefused([_in_file(problem) for problem in refused.problems]) from None


def _in_file(problem: Problem) -> Problem:
    """The same problem, with the file of the set in its place."""
    if problem.place in ("tls-roots", "signing-roots"):
        return _problem(f"{problem.place}.pem", "", problem.detail)
    return _problem(PEER, problem.place, problem.detail)


class _PeerReader:
    """Takes ``peer.toml`` apart and collects every mistake."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self._table = table
        self._asked: set[str] = set()
        self.problems: list[Problem] = []

    def _refuse(self, place: str, detail: str) -> None:
        self.problems.append(_problem(PEER, place, detail))

    def text(self, key: str) -> str:
        self._asked.add(key)
        value = self._table.get(key)
        if not isinstance(value, str):
            self._refuse(key, "a text is needed")
            return ""
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        self._asked.add(key)
        value = self._table.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse(key, "a list of texts is needed")
            return ()
        return tuple(value)

    def table(self, key: str, names: Sequence[str]) -> dict[str, str]:
        self._asked.add(key)
        value = self._table.get(key)
        if (
            not isinstance(value, dict)
            or value.keys() != set(names)
            or not all(isinstance(v, str) for v in value.values())
        ):
            self._refuse(key, "a table of the texts " + ", ".join(names) + " is needed")
            return dict.fromkeys(names, "")
        return value

    def keys(self) -> tuple[TrustedKey, ...]:
        self._asked.add("key")
        value = self._table.get("key")
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._refuse("key", "a list of keys is needed")
            return ()
        found = [self._key(f"key {number}", item) for number, item in enumerate(value, 1)]
        return tuple(key for key in found if key is not None)

    def _key(self, place: str, item: Mapping[str, object]) -> TrustedKey | None:
        use, text, begin, end = (item.get(name) for name in ("use", "vkey", "from", "until"))
        before = len(self.problems)
        if item.keys() - {"use", "vkey", "from", "until"}:
            self._refuse(place, "a key has use, vkey, from and until")
        if use not in tuple(KeyRole):
            self._refuse(f"{place}.use", "one of " + ", ".join(KeyRole))
        if not isinstance(begin, datetime) or begin.tzinfo is None:
            self._refuse(f"{place}.from", "an instant with its offset is needed")
        if end is not None and (not isinstance(end, datetime) or end.tzinfo is None):
            self._refuse(f"{place}.until", "an instant with its offset is needed")
        try:
            key = VerifierKey.parse(text if isinstance(text, str) else "")
        except LogFormatError as error:
            self._refuse(f"{place}.vkey", str(error))
            return None
        if len(self.problems) > before or not isinstance(begin, datetime):
            return None
        try:
            until = end.astimezone(UTC) if isinstance(end, datetime) else None
            return TrustedKey(role=KeyRole(str(use)), key=key, valid_from=begin.astimezone(UTC), valid_until=until)
        except OverflowError:
            self._refuse(place, "an instant beyond the calendar")
            return None

    def refuse_unknown(self) -> None:
        for key in sorted(self._table.keys() - self._asked):
            self._refuse(key, "unknown")
