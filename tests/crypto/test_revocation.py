"""Revocation lists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.signers.key_file import P256Signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import to_pem
from exchange.crypto.x509.revocation import Revocations, RevocationUnreadable
from tests.crypto.region import NOW, PROFILE, plain, region

CQ, SC = region("cq"), region("sc")
ROOTS = [CQ.root.certificate]
AT = NOW + timedelta(days=1)
CRL = pki.issue_crl(PROFILE, CQ.intermediate, [(CQ.signing.serial_number, AT)], number=1, now=AT)
MID = to_pem(CQ.intermediate.certificate)


def test_a_list_of_an_intermediate_is_read_with_its_certificate() -> None:
    """The revoked leaf is found, alone and in its path; others are not."""
    lists = Revocations.load(MID + CRL, ROOTS)
    assert lists.revoked_at([CQ.signing]) == AT
    assert lists.revoked_at([CQ.signing, *CQ.intermediate.chain]) == AT
    assert lists.revoked_at([CQ.intermediate.certificate]) is None
    assert lists.next_update == AT + timedelta(days=PROFILE.crl_days)


def test_a_serial_number_means_its_own_issuer() -> None:
    """The same number under another issuer is another certificate."""
    crl = pki.issue_crl(PROFILE, CQ.root, [(CQ.signing.serial_number, AT)], number=1, now=AT)
    assert Revocations.load(crl, ROOTS).revoked_at([CQ.signing]) is None


def test_a_revoked_intermediate_revokes_what_is_below() -> None:
    """The root's list is asked for the intermediate."""
    serial = CQ.intermediate.certificate.serial_number
    crl = pki.issue_crl(PROFILE, CQ.root, [(serial, AT)], number=1, now=AT)
    assert Revocations.load(crl, ROOTS).revoked_at([CQ.signing, *CQ.intermediate.chain]) == AT


def test_of_several_lists_the_earliest_time_counts() -> None:
    """Two lists of one authority add up."""
    later = pki.issue_crl(
        PROFILE, CQ.intermediate, [(CQ.signing.serial_number, AT + timedelta(days=1))], number=2, now=AT
    )
    assert Revocations.load(MID + later + CRL, ROOTS).revoked_at([CQ.signing]) == AT


def test_no_lists_revoke_nothing() -> None:
    """An empty file is an empty set."""
    assert Revocations.load(b"", ROOTS) == Revocations()
    assert Revocations().revoked_at([CQ.signing]) is None


def foreign(name: x509.Name, *extensions: x509.ExtensionType) -> bytes:
    """A list in somebody's name, signed by the key of CQ's intermediate."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(NOW).next_update(AT)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(plain(CQ.intermediate.key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(CRL, id="issuer not there"),
        pytest.param(CRL + to_pem(SC.intermediate.certificate), id="other intermediate"),
        pytest.param(pki.issue_crl(PROFILE, SC.root, [], number=1, now=AT) + SC.root.root_pem, id="other root"),
        pytest.param(MID + foreign(CQ.root.certificate.subject), id="signed by another key"),
        pytest.param(
            MID
            + foreign(
                CQ.intermediate.certificate.subject,
                x509.IssuingDistributionPoint(
                    full_name=None,
                    relative_name=None,
                    only_contains_user_certs=True,
                    only_contains_ca_certs=False,
                    only_some_reasons=None,
                    indirect_crl=False,
                    only_contains_attribute_certs=False,
                ),
            ),
            id="partial",
        ),
        pytest.param(MID + foreign(CQ.intermediate.certificate.subject, x509.DeltaCRLIndicator(1)), id="delta"),
        pytest.param(MID + CRL[:-30], id="cut"),
        pytest.param(MID + CRL.replace(CRL[60:80], b"A" * 20), id="rubbish inside"),
        pytest.param(MID + CRL + CQ.root.key_pem, id="private key"),
        pytest.param((MID + CRL) * 65, id="too many"),
        pytest.param(bytes(4 * 1024 * 1024 + 1), id="too large"),
    ],
)
def test_lists_that_can_not_be_relied_on_are_refused(pem: bytes) -> None:
    """Unsigned, partial, cut and foreign lists are refused rather than passed over."""
    with pytest.raises(RevocationUnreadable):
        Revocations.load(pem, ROOTS)


def test_a_leaf_signs_no_list() -> None:
    """A certificate that is no authority does not vouch for revocations, though it leads to the root."""
    name = CQ.signing.subject
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(NOW).next_update(AT)
    assert isinstance(CQ.signer, P256Signer)
    crl = builder.sign(CQ.signer._private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(RevocationUnreadable):
        Revocations.load(crl + MID + to_pem(CQ.signing), ROOTS)


@given(st.integers(0, len(CRL) - 1), st.binary(min_size=1, max_size=2))
def test_no_changed_byte_revokes_anything_else(at: int, put: bytes) -> None:
    """A list with bytes replaced is refused, empty, or the same."""
    try:
        found = Revocations.load(MID + CRL[:at] + put + CRL[at + len(put) :], ROOTS)
    except RevocationUnreadable:
        return
    assert found.entries in ({}, Revocations.load(MID + CRL, ROOTS).entries)
