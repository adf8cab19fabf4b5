"""RFC 3161 time stamps: asking for one, and what one proves. Bytes in, verdicts out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from exchange.crypto.x509.certificates import load_chain
from exchange.domain.problems import ExchangeError

MAX_TOKEN_BYTES = 64 << 10
"""Bytes of an answer: a token with a chain of RSA certificates has a tenth of it."""

SHA_256 = "2.16.840.1.101.3.4.2.1"


class TimestampRefused(ExchangeError):
    """No time stamp, or not one of what was asked for, or not by an authority that is trusted."""

    reason = "TIMESTAMP_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRequest:
    """A question for a time-stamping authority.

    Attributes:
        der: What is sent.
        nonce: What the answer must repeat.
    """

    der: bytes
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTimestamp:
    """A token that holds: the data existed at ``at``, by the word of its authority.

    Attributes:
        at: Time of the token, aware; whole seconds where the authority says no more.
        policy: Under which policy, as a dotted object identifier.
        serial: Serial number of the token.
        signer: Subject of the certificate that signed it.
    """

    at: datetime
    policy: str
    serial: int
    signer: str


def timestamp_request(data: bytes) -> TimestampRequest:
    """Ask for a time stamp over SHA-256 of some bytes, with a nonce and the signer's certificates in the answer."""
    built = TimestampRequestBuilder(data=data, hash_algorithm=HashAlgorithm.SHA256, nonce=True, cert_req=True).build()
    assert built.nonce is not None
    return TimestampRequest(der=built.as_bytes(), nonce=built.nonce)


def verify_timestamp(response: bytes, data: bytes, roots: bytes, *, nonce: int | None = None) -> VerifiedTimestamp:
    """Verify a DER ``TimeStampResp`` (what ``openssl ts -reply`` writes).

    1. It is granted, and its message imprint is SHA-256 of the data.
    2. Its signature is by a certificate for time stamping alone (critical extended key usage, RFC 3161 2.3) that leads
       to one of the roots, all valid at the token's own time.
    3. It repeats the nonce, where one is given.

    Args:
        response: The answer.
        data: What was stamped.
        roots: Certificates of trusted authorities, PEM.
        nonce: That of the request.

    Raises:
        TimestampRefused: Any of this fails.
        CertificateUnreadable: The roots can not be read, or there is none.
    """
    if len(response) > MAX_TOKEN_BYTES:
        raise TimestampRefused(f"{len(response)} bytes")
    try:
        answer = decode_timestamp_response(response)
        if answer.status:
            raise TimestampRefused(f"status {answer.status} {' '.join(answer.status_string)}"[:200])
        info = answer.tst_info
        if info.message_imprint.hash_algorithm.dotted_string != SHA_256:
            raise TimestampRefused("the message imprint is not SHA-256")
        builder = VerifierBuilder(roots=list(load_chain(roots)), nonce=nonce)
        builder.build().verify(answer, hashlib.sha256(data).digest())
        signer = _signer(answer.signed_data.certificates, answer.signed_data.signer_infos)
        at = info.gen_time
        return VerifiedTimestamp(
            at=at if at.tzinfo is not None else at.replace(tzinfo=UTC),
            policy=info.policy.dotted_string,
            serial=info.serial_number,
            signer=signer,
        )
    except (VerificationError, ValueError, TypeError, AssertionError) as error:
        raise TimestampRefused(str(error)[:200]) from None


def _signer(certificates: Iterable[bytes], infos: Iterable[object]) -> str:
    wanted = {(getattr(info, "issuer", None), getattr(info, "serial_number", None)) for info in infos}
    for der in certificates:
        certificate = x509.load_der_x509_certificate(der)
        if (certificate.issuer, certificate.serial_number) in wanted:
            return certificate.subject.rfc4514_string()
    return ""
