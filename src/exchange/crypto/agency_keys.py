"""An agency's own signature: how it seals a record, and by which keys the node knows it.

The keys are those of certificates that a security officer bound to the agency, one by one. No chain is asked for: the
binding itself is the trust, as for the keys of clients. A certificate says which key, and from when to when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exchange.crypto import dsse
from exchange.crypto.keys import generate_salt
from exchange.crypto.sealing import commit
from exchange.crypto.signers.verifiers import verifier_of
from exchange.crypto.sm2.libcrypto import LibcryptoMissing, require_libcrypto
from exchange.crypto.x509.certificates import CertificateUnreadable, load_der, public_key_of, spki_hash
from exchange.domain import kinds
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Body, Envelope, SealedRecord, Statement


class AgencySignature(StrEnum):
    """What became of an agency's signature; the values but VALID are reason codes."""

    VALID = "VALID"
    UNKNOWN = "SIGNATURE_KEY_UNKNOWN"
    WRONG = "SIGNATURE_WRONG"


@dataclass(frozen=True, slots=True)
class _Key:
    keyid: str
    public: dsse.Verifier
    not_before: datetime
    not_after: datetime

    @property
    def computable(self) -> bool:
        """Whether signatures of its kind can be verified on this system."""
        if self.public.algorithm == dsse.SM2:
            try:
                require_libcrypto()
            except LibcryptoMissing:
                return False
        return True


@dataclass(frozen=True, slots=True)
class AgencyKeys:
    """The signing keys of one agency."""

    _keys: tuple[_Key, ...] = ()

    @classmethod
    def load(cls, certificates: Iterable[bytes]) -> AgencyKeys:
        """Read certificates. Keys that can not be computed here (SM2 without libcrypto 3) stay unknown.

        Args:
            certificates: DER.

        Raises:
            CertificateUnreadable: One does not parse, or its key is neither EC P-256 nor SM2.
        """
        return cls(tuple(key for der in certificates if (key := _read(der)).computable))

    def check(self, envelope: Envelope, now: datetime) -> AgencySignature:
        """Judge the signatures of a finished envelope.

        1. Every signature that names a key of the agency, or verifies by one, verifies.
        2. At least one does, by a key whose certificate is valid now.

        Signatures by other keys are hints for somebody else, and say nothing here.

        Args:
            envelope: Its payload's bytes are verified as they are.
            now: Aware instant of the call.
        """
        if envelope.payload_type != dsse.PAYLOAD_TYPE or len(envelope.signatures) > dsse.MAX_SIGNATURES:
            return AgencySignature.WRONG
        valid = {key.keyid for key in self._keys if key.not_before <= now <= key.not_after}
        checked = dsse.verify(envelope, {key.keyid: key.public for key in self._keys})
        if checked.failed:
            return AgencySignature.WRONG
        return AgencySignature.VALID if valid.intersection(checked.verified) else AgencySignature.UNKNOWN


def check_certificate(der: bytes) -> None:
    """See whether an agency can sign by a certificate's key, here.

    Raises:
        CertificateUnreadable: It does not parse, its key is neither EC P-256 nor SM2, or SM2 can not be computed here.
    """
    if not _read(der).computable:
        raise CertificateUnreadable("SM2 needs libcrypto 3 on the node's machine")


def _read(der: bytes) -> _Key:
    certificate = load_der(der)
    public = verifier_of(public_key_of(certificate))
    if public is None:
        raise CertificateUnreadable("an agency signs with a key on P-256 or by SM2")
    return _Key(spki_hash(certificate), public, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def seal_as_agency(
    record: Record, *signers: dsse.Signer, federation: str, origin: str, addressees: Sequence[str], now: datetime
) -> SealedRecord:
    """Make the finished envelope of an agency's own record, with its body.

    Args:
        record: With its record id, revision and kind edition: nobody changes what is signed.
        signers: The agency's signing keys: one, or one of each algorithm, over the same bytes.
        federation: Domain of the federation.
        origin: Node whose region states it: the agency's own.
        addressees: Nodes it is for; none for the local log only.
        now: Stated time.
    """
    body, salt = record.SerializeToString(deterministic=True), generate_salt()
    statement = Statement(
        federation=federation,
        origin=origin,
        addressees=sorted(set(addressees)),
        record_id=record.header.record_id,
        revision=record.header.revision,
        kind=kinds.kind_of(record),
        body_size=len(body),
        commitments=[commit(salt, body)],
        erasure_class=kinds.erasure_class_of(record),
    )
    statement.stated_at.FromDatetime(now)
    envelope = dsse.make_envelope(statement.SerializeToString(), signers)
    return SealedRecord(envelope=envelope.SerializeToString(), body=Body(record=body, salt=salt))
