"""DSSE v1 envelopes: one or more signatures over the same bytes, each of a kind that ``openssl`` verifies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from exchange.v1.statement_pb2 import Envelope, Signature

PAYLOAD_TYPE: Final = "application/vnd.env-exchange.statement.v1+protobuf"
"""Media type of a statement."""

ES256: Final = "ES256"
"""Name of ECDSA P-256 with SHA-256 in ``require``."""

SM2: Final = "SM2"
"""Name of SM2 with SM3 (GB/T 32918, GB/T 35276) in ``require``."""

ALGORITHMS: Final = (ES256, SM2)
"""Every algorithm that an envelope can be signed by."""

MAX_SIGNATURES = 8
"""Signatures in one envelope: the region's, the agency's, and a second algorithm of each, twice over."""

MAX_CHAIN = 8
"""Certificates of a signing chain without its root."""

MAX_TRIES = 32
"""Keys tried for one envelope beyond those it names: 2 ms, by SM2 10, so that ids that name nothing cost little."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: what is signed. Lengths are byte lengths in decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class Signer(Protocol):
    """A region's signing key with its certificate. Its calls may come from many threads."""

    @property
    def algorithm(self) -> str:
        """Its name in ``require``."""
        ...

    @property
    def keyid(self) -> str:
        """Hex SHA-256 of the public key (SubjectPublicKeyInfo)."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER certificates, leaf first, without the root."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Signature in DER over a message."""
        ...


class Verifier(Protocol):
    """A public key that envelopes are signed for."""

    @property
    def algorithm(self) -> str:
        """Its name in ``require``."""
        ...

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether a signature in DER over a message is by this key."""
        ...


def sign(signer: Signer, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> Signature:
    """One signature over the payload's pre-authentication encoding."""
    return Signature(keyid=signer.keyid, sig=signer.sign(pae(payload_type, payload)))


def sign_all(payloads: Sequence[bytes], signers: Iterable[Signer]) -> list[tuple[Signature, ...]]:
    """The signatures of each statement's exact bytes, by each signer in order.

    Statements that are made together are signed together: between two signatures nothing else runs that drives the
    curve's tables out of the processor's cache, or one by one a signature costs half as much again.
    """
    by_signer = [[sign(each, payload) for payload in payloads] for each in signers]
    return list(zip(*by_signer, strict=True)) if by_signer else [()] * len(payloads)


def make_envelope(payload: bytes, signers: Iterable[Signer]) -> Envelope:
    """Envelope over a statement's exact bytes: each signer signs the same bytes."""
    return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=sign_all([payload], signers)[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureCheck:
    """What became of an envelope's signatures.

    Attributes:
        verified: Key ids by whose keys a signature verified.
        failed: Key ids that are known, whose signature did not verify.
        unknown: Hints of the signatures by no known key: never trusted, and perhaps no key ids at all.
    """

    verified: tuple[str, ...]
    failed: tuple[str, ...]
    unknown: tuple[str, ...]


def verify(envelope: Envelope, keys: Mapping[str, Verifier]) -> SignatureCheck:
    """Try each signature.

    The key id is only a hint: the key that it names is tried first, then the others, the last known first.

    Args:
        envelope: Its payload's bytes are verified as they are; at most ``MAX_SIGNATURES`` signatures.
        keys: Known keys by key id, oldest first.
    """
    message = pae(envelope.payload_type, envelope.payload)
    verified: list[str] = []
    failed: list[str] = []
    unknown: list[str] = []
    left = MAX_TRIES
    for signature in envelope.signatures:
        hint, sig = signature.keyid, signature.sig
        named = keys.get(hint)
        if named is not None:
            # It has its try whatever the others cost, and nearly always it is the one: no other is looked at then.
            left -= 1
            if named.verify(sig, message):
                verified.append(hint)
                continue
        found = None
        for keyid in islice((each for each in reversed(list(keys)) if each != hint), max(left, 0)):
            left -= 1
            if keys[keyid].verify(sig, message):
                found = keyid
                break
        if found is not None:
            verified.append(found)
        elif named is not None:
            failed.append(hint)
        else:
            unknown.append(hint)
    return SignatureCheck(verified=tuple(verified), failed=tuple(failed), unknown=tuple(unknown))
