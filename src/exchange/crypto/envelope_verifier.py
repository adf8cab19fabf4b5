"""Verdicts about envelopes: whether a region's signing key, valid at the logged time, signed the statement.

The verdict is a matter of bytes and of what is known now; it may be KEY_UNKNOWN, and apply judges again. The caller
still owes: that statement, signer and log belong to one region; that logged time is not later than mirrored time
+ 5 min; that mirrored time lies before ``revoked_at``; that the body matches (``sealing.matches``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from google.protobuf.message import DecodeError

from exchange.crypto import dsse
from exchange.crypto.signers.verifiers import verifier_of
from exchange.crypto.sm2.libcrypto import LibcryptoMissing, require_libcrypto
from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    Identity,
    fingerprint,
    identity_of,
    load_chain,
    load_der,
    public_key_of,
    spki_hash,
    uris_of,
)
from exchange.crypto.x509.chains import PathSearch, Purpose, find_paths
from exchange.crypto.x509.revocation import Revocations
from exchange.v1.statement_pb2 import Envelope, Statement

MAX_ENVELOPE_BYTES = 65_535
"""Bytes: the largest log entry, and an envelope is part of one."""

MAX_KNOWN_CHAINS = 64
"""Signing certificates known of one region: two a year for thirty years."""

MAX_CERTIFICATES_PER_KEY = 8
"""Certificates known for one key: renewals of the same key."""

CHUNK = 32
"""Envelopes that one task of a pool verifies: about 2 ms, so that threads share evenly."""


class VerdictStatus(StrEnum):
    """What became of an envelope; the values are reason codes but for VALID."""

    VALID = "VALID"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    UNTRUSTED_SIGNATURE = "UNTRUSTED_SIGNATURE"
    SIGNATURE_MISSING = "SIGNATURE_MISSING"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedStatement:
    """A statement whose signature was verified. Made by ``SigningTrust.verify`` and nowhere else.

    Attributes:
        statement: What was stated.
        envelope: The envelope's bytes, as logged.
        keyid: Hex SHA-256 of the signing public key.
        certificate: Hex SHA-256 of the signing certificate.
    """

    statement: Statement
    envelope: bytes
    keyid: str
    certificate: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvelopeVerdict:
    """What is known of an envelope.

    Attributes:
        status: VALID only when ``verified`` is set.
        keyids: Key ids whose signatures verified and were trusted.
        algorithms: Algorithm of each of them.
        unknown: Hints of the signatures by no known key; nothing follows from them but what to wait for.
        statement: What the payload claims, verified or not; ``None`` when it does not parse.
        verified: The statement with its proof of origin, when VALID.
        revoked_at: When the certificate, or one above it, was revoked, as far as known: the mirrored time must lie
            before it.
        detail: Why not VALID, for people.
        signed_by: Key ids by whose keys a signature verified, whether or not their certificates were valid then.
    """

    status: VerdictStatus
    keyids: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    statement: Statement | None = None
    verified: VerifiedStatement | None = None
    revoked_at: datetime | None = None
    detail: str = ""
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningChain:
    """A signing certificate as it was announced.

    Attributes:
        certificates: DER, leaf first, without the root.
        valid_from: First logged time at which the region lets it sign; ``None`` means since ever.
        valid_until: End of it (exclusive); ``None`` while open.
        revoked_at: When the region revoked it by announcement, or ``None``.
    """

    certificates: tuple[bytes, ...]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _KnownKey:
    """A signing key with what its chain turned out to be: judged once, asked per envelope."""

    chain: SigningChain
    keyid: str
    certificate: str
    paths: PathSearch
    revoked: tuple[datetime | None, ...] = ()

    def problem_at(self, at: datetime) -> str:
        for path in self.paths.paths:
            if path.holds_at(at):
                break
        else:
            verdict = self.paths.at(at)
            assert verdict.problem is not None, "no path holds"
            return f"{verdict.problem.value}: {verdict.detail}"
        begin, end = self.chain.valid_from, self.chain.valid_until
        if (begin is not None and at < begin) or (end is not None and at >= end):
            return "the key was not in use at that time by its announcement"
        return ""

    def revoked_at(self, at: datetime) -> datetime | None:
        """Revocation of the path that holds at an instant, latest first: one path without any is enough."""
        if self.chain.revoked_at is None and self.revoked.count(None) == len(self.revoked):
            return None  # as nearly always
        by_path = [r for path, r in zip(self.paths.paths, self.revoked, strict=True) if path.holds_at(at)]
        by_crl = None if None in by_path else max((r for r in by_path if r is not None), default=None)
        known = [r for r in (by_crl, self.chain.revoked_at) if r is not None]
        return min(known, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningTrust:
    """What is known of one region's signing keys. Immutable: ``with_chains`` makes the next one.

    Attributes:
        node: The region's node, in whose name alone its keys sign.
        domain: Federation's domain.
        require: Algorithms of which a trusted signature must be there.
    """

    node: str
    domain: str
    require: tuple[str, ...] = (dsse.ES256,)
    _roots: tuple[Certificate, ...] = ()
    _revocations: Revocations = field(default_factory=Revocations)
    _known: Mapping[str, tuple[_KnownKey, ...]] = field(default_factory=dict)
    _keys: Mapping[str, dsse.Verifier] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        *,
        node: str,
        domain: str,
        roots: bytes,
        chains: Iterable[SigningChain] = (),
        revocations: bytes = b"",
        require: Sequence[str] = (dsse.ES256,),
    ) -> SigningTrust:
        """Build from bytes.

        Args:
            node: The region's node.
            domain: Federation's domain.
            roots: Signing roots in PEM.
            chains: Announced signing chains; one that does not parse or leads to no root stays known, and is wrong.
            revocations: Revocation lists in PEM; empty for none.
            require: Algorithms of which a trusted signature must be there.

        Raises:
            CertificateUnreadable: The roots.
            RevocationUnreadable: The lists.
            LibcryptoMissing: SM2 is required, or the lists are signed by it, and it can not be computed here.
            ValueError: An algorithm that is not known here.
        """
        unknown = set(require) - set(dsse.ALGORITHMS)
        if unknown:
            raise ValueError(f"no such signature algorithm: {', '.join(sorted(unknown))}")
        if dsse.SM2 in require:
            require_libcrypto()
        anchors = load_chain(roots)
        lists = Revocations.load(revocations, anchors) if revocations else Revocations()
        trust = cls(node=node, domain=domain, require=tuple(require), _roots=anchors, _revocations=lists)
        return trust.with_chains(chains)

    @property
    def keyids(self) -> tuple[str, ...]:
        """Key ids of all known signing keys."""
        return tuple(self._known)

    @property
    def revoked(self) -> Mapping[str, datetime]:
        """Known signing keys that were revoked, as far as known: the earliest instant of each, by key id."""
        found: dict[str, datetime] = {}
        for keyid, entries in self._known.items():
            instants = [at for entry in entries for at in (*entry.revoked, entry.chain.revoked_at) if at is not None]
            if instants:
                found[keyid] = min(instants)
        return found

    def algorithms_at(self, at: datetime) -> frozenset[str]:
        """Algorithms of which a known key may sign at an instant: its chain holds, it is in use, and not revoked."""
        return frozenset(
            self._keys[keyid].algorithm
            for keyid, entries in self._known.items()
            if any(not entry.problem_at(at) and _is_before(at, entry.revoked_at(at)) for entry in entries)
        )

    def authorities_of(self, keyid: str) -> tuple[tuple[Certificate, ...], ...]:
        """The authorities above a known key, for each path of its certificates: any one path is enough."""
        return tuple(path.certificates[1:] for entry in self._known.get(keyid, ()) for path in entry.paths.paths)

    def with_chains(self, chains: Iterable[SigningChain]) -> SigningTrust:
        """The same trust knowing more chains; one announced again replaces its earlier announcement.

        A chain is left out whose leaf does not parse or has neither a P-256 nor an SM2 key, as is one beyond the
        limits, and one of SM2 where that can not be computed: for all of them the key is unknown here.
        """
        known = {keyid: list(entries) for keyid, entries in self._known.items()}
        keys = dict(self._keys)
        for chain in chains:
            judged = self._judge(chain)
            if judged is None:
                continue
            entry, key = judged
            entry = _still_revoked(entry, known.get(entry.keyid, ()))
            same = [k for k in known.get(entry.keyid, []) if k.certificate != entry.certificate]
            full = len(known) >= MAX_KNOWN_CHAINS and entry.keyid not in known
            if full or len(same) >= MAX_CERTIFICATES_PER_KEY:
                continue
            known[entry.keyid] = [*same, entry]
            keys[entry.keyid] = key
        return SigningTrust(
            node=self.node,
            domain=self.domain,
            require=self.require,
            _roots=self._roots,
            _revocations=self._revocations,
            _known={keyid: tuple(entries) for keyid, entries in known.items()},
            _keys=keys,
        )

    def with_revocations(self, revocations: Revocations) -> SigningTrust:
        """The same trust knowing other revocations beside those that it was built with."""
        known = Revocations.of(revocations.lists, self._revocations)
        merged = Revocations(entries={**revocations.entries, **known.entries}, due=known.due, lists=known.lists)
        return replace(
            self,
            _revocations=merged,
            _known={
                keyid: tuple(replace(entry, revoked=_revoked(merged, entry.paths)) for entry in entries)
                for keyid, entries in self._known.items()
            },
        )

    def leads(self, chain: SigningChain) -> bool:
        """Whether a chain leads to a root of the region and is made out for its node; when it is valid is not asked."""
        judged = self._judge(chain)
        return judged is not None and bool(judged[0].paths.paths)

    def _judge(self, chain: SigningChain) -> tuple[_KnownKey, dsse.Verifier] | None:
        try:
            if not 1 <= len(chain.certificates) <= dsse.MAX_CHAIN:
                return None
            leaf, *others = [load_der(der) for der in chain.certificates]
            key = verifier_of(public_key_of(leaf))
            if key is None:
                return None
            if key.algorithm == dsse.SM2:
                require_libcrypto()
            paths = find_paths(leaf, others, self._roots, Purpose.SIGNING)
        except (CertificateUnreadable, LibcryptoMissing):
            return None
        if not self._speaks_for(leaf):
            paths = PathSearch(paths=(), problem=paths.problem, detail="the certificate names another holder")
        entry = _KnownKey(
            chain=chain,
            keyid=spki_hash(leaf),
            certificate=fingerprint(leaf),
            paths=paths,
            revoked=_revoked(self._revocations, paths),
        )
        return entry, key

    def _speaks_for(self, leaf: Certificate) -> bool:
        """Whether a signing certificate with a name of ours in it names this region's node."""
        if not any(uri.startswith("spiffe:") for uri in uris_of(leaf)):
            return True
        identity = identity_of(leaf)
        if identity is None:
            return False
        parsed = Identity.parse(identity)
        return (parsed.node, parsed.domain, parsed.role.value) == (self.node, self.domain, "node")

    def verify(self, data: bytes, logged_at: datetime) -> EnvelopeVerdict:
        """Judge one envelope.

        1. The bytes are an envelope of our type with 1 to 8 signatures, its payload a statement.
        2. Each signature is tried under the known keys; one that names a known key and does not verify spoils all.
        3. By at least one known key a signature is there; otherwise the key is unknown.
        4. Every certificate chain of those keys is valid at logged time and leads to a root of the region.
        5. Each required algorithm is among them. Where one is not, a signature by an unknown key may be the one
           that is missed: then the key is unknown. Where there is none, the signature is missing.

        Args:
            data: Serialized ``Envelope``, verbatim as logged.
            logged_at: Aware instant claimed by the log's owner.
        """
        if logged_at.tzinfo is None:
            raise ValueError("an aware instant is needed")
        # 1
        read = _read(data)
        if isinstance(read, EnvelopeVerdict):
            return read
        envelope, statement = read
        # 2
        check = dsse.verify(envelope, self._keys)
        if check.failed:
            return _untrusted(statement, f"signature by {check.failed[0][:16]} does not verify")
        # 3
        if not check.verified:
            return _unknown(statement, check.unknown, "signed by no known key")
        # 4
        chosen = []
        for keyid in check.verified:
            entries = self._known[keyid]
            for entry in entries:
                if not entry.problem_at(logged_at):
                    chosen.append(entry)
                    break
            else:
                return replace(_untrusted(statement, entries[0].problem_at(logged_at)), signed_by=check.verified)
        # 5
        algorithms = tuple([self._keys[keyid].algorithm for keyid in check.verified])
        missing = [name for name in self.require if name not in algorithms]
        if missing and check.unknown:
            return _unknown(statement, check.unknown, f"no {missing[0]} signature by a known key")
        if missing:
            return EnvelopeVerdict(
                status=VerdictStatus.SIGNATURE_MISSING,
                algorithms=algorithms,
                statement=statement,
                detail=f"no {missing[0]} signature",
                signed_by=check.verified,
            )
        revoked = [at for entry in chosen if (at := entry.revoked_at(logged_at)) is not None]
        return EnvelopeVerdict(
            status=VerdictStatus.VALID,
            keyids=tuple([entry.keyid for entry in chosen]),
            algorithms=algorithms,
            unknown=check.unknown,
            statement=statement,
            verified=VerifiedStatement(
                statement=statement, envelope=data, keyid=chosen[0].keyid, certificate=chosen[0].certificate
            ),
            revoked_at=min(revoked) if revoked else None,
            signed_by=check.verified,
        )

    def vouches(self, envelope: Envelope, payload_type: str, chain: Sequence[bytes], at: datetime) -> bool:
        """Whether something else than a statement is signed by a key of the region that holds at an instant.

        1. It is of the type asked for, with 1 to 8 signatures.
        2. A key that was announced counts as it was announced; one that was not, by the chain that came along.
        3. Some signature verifies, and none that names a known key fails.
        4. A chain of that key is valid at the instant, leads to a root of the region, and is not revoked.

        Raises:
            ValueError: The type is that of statements: those are judged by ``verify``.
        """
        if payload_type == dsse.PAYLOAD_TYPE:
            raise ValueError("a statement has a verdict of its own")
        # 1
        if envelope.payload_type != payload_type or not 1 <= len(envelope.signatures) <= dsse.MAX_SIGNATURES:
            return False
        # 2
        if any(signature.keyid in self._known for signature in envelope.signatures):
            return self._vouched(envelope, at)
        return self.with_chains([SigningChain(certificates=tuple(chain))])._vouched(envelope, at)  # noqa: SLF001

    def _vouched(self, envelope: Envelope, at: datetime) -> bool:
        # 3
        check = dsse.verify(envelope, self._keys)
        if check.failed:
            return False
        # 4
        return any(
            not entry.problem_at(at) and entry.revoked_at(at) is None
            for keyid in check.verified
            for entry in self._known[keyid]
        )

    def verify_many(
        self, items: Sequence[tuple[bytes, datetime]], pool: Executor | None = None
    ) -> list[EnvelopeVerdict]:
        """Judge envelopes, in the order given.

        Args:
            items: Envelope bytes and logged time each.
            pool: Threads to share the work; verifying releases the interpreter's lock.
        """
        if pool is None or len(items) <= CHUNK:
            return [self.verify(data, logged_at) for data, logged_at in items]
        chunks = [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]
        return [verdict for verdicts in pool.map(self.verify_many, chunks) for verdict in verdicts]


def _is_before(at: datetime, end: datetime | None) -> bool:
    return end is None or at < end


def _still_revoked(entry: _KnownKey, known: Iterable[_KnownKey]) -> _KnownKey:
    """A key that was revoked by announcement stays so, whatever is announced later; the earliest instant counts."""
    instants = [each.chain.revoked_at for each in (entry, *known) if each.chain.revoked_at is not None]
    return replace(entry, chain=replace(entry.chain, revoked_at=min(instants))) if instants else entry


def _revoked(revocations: Revocations, paths: PathSearch) -> tuple[datetime | None, ...]:
    return tuple(revocations.revoked_at(path.certificates) for path in paths.paths)


def _read(data: bytes) -> tuple[Envelope, Statement] | EnvelopeVerdict:
    if len(data) > MAX_ENVELOPE_BYTES:
        return _untrusted(None, f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes")
    try:
        envelope = Envelope.FromString(data)
        statement = Statement.FromString(envelope.payload)
    except DecodeError:
        return _untrusted(None, "not an envelope over a statement")
    if envelope.payload_type != dsse.PAYLOAD_TYPE:
        return _untrusted(statement, "envelope of another type")
    if not 1 <= len(envelope.signatures) <= dsse.MAX_SIGNATURES:
        return _untrusted(statement, f"an envelope has 1 to {dsse.MAX_SIGNATURES} signatures")
    return envelope, statement


def _unknown(statement: Statement, hints: tuple[str, ...], detail: str) -> EnvelopeVerdict:
    return EnvelopeVerdict(status=VerdictStatus.KEY_UNKNOWN, statement=statement, unknown=hints, detail=detail)


def _untrusted(statement: Statement | None, detail: str) -> EnvelopeVerdict:
    return EnvelopeVerdict(status=VerdictStatus.UNTRUSTED_SIGNATURE, statement=statement, detail=detail)
