"""Proof that whoever names a key as the next one holds it, and that the holder of the last one named it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from google.protobuf.message import DecodeError

from exchange.crypto import dsse
from exchange.crypto.keys import Ed25519Key, MlDsaKey
from exchange.crypto.signers.verifiers import verifier_of as signing_verifier
from exchange.crypto.trusted.authority_proof import AuthorityFile, root_of, sign_by
from exchange.crypto.trusted.authority_proof import has_signed as authority_signed
from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    fingerprint,
    load_der,
    public_key_of,
    spki_hash,
)
from exchange.crypto.x509.pki import Authority
from exchange.domain.problems import Problem, Refused
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, VerifierKey
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyUse
from exchange.v1.statement_pb2 import Envelope

_HEADER = b"exchange-key-possession/v1\n"
"""No envelope, checkpoint or cosignature begins so: what is signed here can be taken for none of them."""

USES = {
    KeyUse.KEY_USE_SIGNING: "signing",
    KeyUse.KEY_USE_LOG: "log",
    KeyUse.KEY_USE_MIRROR: "mirror",
    KeyUse.KEY_USE_WITNESS: "witness",
    KeyUse.KEY_USE_TLS_CA: "tls-ca",
}
"""Names of uses, in what is signed and for people."""


CERTIFIED = frozenset({KeyUse.KEY_USE_SIGNING, KeyUse.KEY_USE_TLS_CA})
"""Uses of X.509 keys; each of them is confirmed alone."""


def possession_message(federation: str, node: str, key: AnnouncedKey) -> bytes:
    """What both keys sign."""
    parts = (federation, node, USES[key.use], key.key_id, key.replaces)
    return _HEADER + b"".join(part.encode() + b"\n" for part in parts)


def prove(private: Ed25519Key | MlDsaKey, message: bytes) -> bytes:
    """A signature over the message by an Ed25519 or ML-DSA-44 key; a region's signer makes its own."""
    return private.sign(message)


def prove_authority(
    new: Authority, old_root: Certificate, old: Authority | None, *, federation: str, node: str
) -> AuthorityFile:
    """What the next authority of a node's TLS certificates, and the one before it, say of each other.

    Args:
        new: The next one, a root.
        old_root: Certificate of the one that it takes over from.
        old: The same with its key; None when that is lost: the peers' officers are told so.
        federation: Domain.
        node: The node.

    Raises:
        Refused: PKI_AUTHORITY: the new one is no root, or a key is neither EC nor RSA.
    """
    if len(new.chain) != 1:
        raise Refused([Problem("PKI_AUTHORITY", "ca", "a root is needed")])
    bare = AuthorityFile(root=new.certificate)
    message = possession_message(federation, node, bare.announced(fingerprint(old_root)))
    return AuthorityFile(
        root=new.certificate,
        possession=sign_by(new, message),
        endorsement=sign_by(old, message) if old is not None else b"",
    )


def is_possessed(federation: str, node: str, key: AnnouncedKey) -> bool:
    """Whether an announced key was named by somebody who holds it.

    1. Its id is that of its public key.
    2. The proof verifies under that key.
    """
    message = possession_message(federation, node, key)
    if key.use == KeyUse.KEY_USE_SIGNING:
        signing = _signing(key)
        return signing is not None and signing.verify(key.possession, message)
    if key.use == KeyUse.KEY_USE_TLS_CA:
        root = root_of(key)
        return root is not None and authority_signed(root, key.possession, message)
    found = verifier_of(key)
    return found is not None and _verifies(found, key.possession, message)


def is_endorsed(federation: str, node: str, key: AnnouncedKey, old: Sequence[VerifierKey]) -> bool:
    """Whether the Ed25519 key that an announced one replaces named it.

    Args:
        federation: Domain.
        node: The announcing node.
        key: The announced key.
        old: Keys of that name that are known; the one named by ``replaces`` counts.
    """
    message = possession_message(federation, node, key)
    named = [each for each in old if id_of(each) == key.replaces]
    return any(_verifies(each, key.endorsement, message) for each in named)


def is_endorsed_by(federation: str, node: str, key: AnnouncedKey, old: Sequence[Certificate]) -> bool:
    """Whether the authority that an announced one replaces named it.

    Args:
        federation: Domain.
        node: The announcing node.
        key: The announced root.
        old: Roots that are known; the one named by ``replaces`` counts.
    """
    message = possession_message(federation, node, key)
    named = [each for each in old if fingerprint(each) == key.replaces]
    return any(authority_signed(each, key.endorsement, message) for each in named)


def has_signed(key: AnnouncedKey, envelope: bytes) -> bool:
    """Whether an announced signing key signed an envelope; its chain is judged elsewhere."""
    signing = _signing(key) if key.use == KeyUse.KEY_USE_SIGNING else None
    try:
        message = Envelope.FromString(envelope)
    except DecodeError:
        return False
    if signing is None or len(message.signatures) > dsse.MAX_SIGNATURES:
        return False
    return key.key_id in dsse.verify(message, {key.key_id: signing}).verified


def algorithm_of(key: AnnouncedKey) -> str:
    """Algorithm of an announced signing key; empty when it signs no envelopes."""
    signing = _signing(key)
    return signing.algorithm if signing is not None else ""


def id_of(key: VerifierKey) -> str:
    """Id of an Ed25519 key in an announcement: name and hash of its verifier key."""
    return f"{key.name}+{key.key_id.hex()}"


def verifier_of(key: AnnouncedKey) -> VerifierKey | None:
    """The verifier key of an announced Ed25519 key; None when it is none, or has another id."""
    try:
        found = VerifierKey.parse(key.vkey)
    except LogFormatError:
        return None
    return found if id_of(found) == key.key_id else None


def group_fingerprint(keys: Sequence[AnnouncedKey]) -> str:
    """Fingerprint over keys that are confirmed together, hex SHA-256; of one X.509 key, its id.

    Of Ed25519 keys it is that of their sorted verifier keys, each followed by a newline: ``sort | sha256sum``.
    """
    if len(keys) == 1 and keys[0].use in CERTIFIED:
        return keys[0].key_id
    return sha256(b"".join(sorted(key.vkey.encode() + b"\n" for key in keys))).hexdigest()


def _signing(key: AnnouncedKey) -> dsse.Verifier | None:
    """The public key of an announced signing certificate; None when it has another id, or signs no envelopes."""
    try:
        leaf = load_der(key.chain[0]) if key.chain else None
        if leaf is None or spki_hash(leaf) != key.key_id:
            return None
        return signing_verifier(public_key_of(leaf))
    except CertificateUnreadable:
        return None


def _verifies(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    kind = MLDSA44PublicKey if key.alg == COSIGNATURE_ML_DSA_44 else Ed25519PublicKey
    try:
        kind.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
