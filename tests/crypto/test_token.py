"""Signing keys in a PKCS#11 token, played by SoftHSM2."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pkcs11
import pytest

from exchange.crypto.dsse import make_envelope
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.keys import KeyUnreadable, encode_private, generate_p256
from exchange.crypto.signers.key_file import read_signing_chain
from exchange.crypto.signers.token import PinRefused, TokenKey, TokenPrivateKey, TokenSigner, TokenUnavailable
from exchange.crypto.signers.verifiers import verifier_of
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import load_der, public_key_of
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.crypto.x509.pki_request import PkiRefused, make_request, make_request_elsewhere, requested_key
from tests.crypto.region import DOMAIN, NODE, NOW, PROFILE, region
from tests.rigs.softhsm import SoftHsm

CQ = region("cq")


@dataclass
class Token:
    """A token with one key, and the key's certificates."""

    key: TokenKey
    chain: tuple[bytes, ...]


@pytest.fixture(scope="module")
def token(softhsm: SoftHsm, tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A signing key in the token."""
    private = encode_private(generate_p256())
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(private)
    softhsm.take(path, "sign", "01")
    request = make_request(private, "cq")
    issued = pki.issue_signing(PROFILE, CQ.intermediate, identity=NODE, organisation="局", now=NOW, request=request)
    key = TokenKey(module=softhsm.module, token=softhsm.token, label="sign", key_id=b"\x01", pin=softhsm.pin)
    return Token(key=key, chain=read_signing_chain(issued.chain))


def test_a_tokens_envelope_is_valid(token: Token) -> None:
    """Signed in the token, verified like any other ES256 envelope."""
    signer = TokenSigner(token.key, token.chain)
    made = make_envelope(CQ.statement().SerializeToString(), [signer]).SerializeToString()
    trust = SigningTrust.build(
        node="cq", domain=DOMAIN, roots=CQ.root.root_pem, chains=[SigningChain(certificates=token.chain)]
    )
    verdict = trust.verify(made, NOW)
    assert (verdict.status, verdict.keyids) == (VerdictStatus.VALID, (signer.keyid,))


def test_threads_share_a_token(token: Token) -> None:
    """Many at the same time: each gets the signature over its own message."""
    signer = TokenSigner(token.key, token.chain)
    verifier = verifier_of(public_key_of(load_der(token.chain[0])))
    assert verifier is not None
    messages = [str(number).encode() for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        signatures = list(pool.map(signer.sign, messages))
    assert all(map(verifier.verify, signatures, messages))


def test_a_lost_session_is_opened_again(token: Token) -> None:
    """The token forgot the session: the next signature is made all the same."""
    signer = TokenSigner(token.key, token.chain)
    opened = signer._private._private
    assert opened is not None
    opened.session.close()
    assert signer.sign(b"x")


def test_a_token_makes_the_request_for_its_own_key(token: Token) -> None:
    """The request carries the public key that the token names, and is signed by the private one beside it."""
    private = TokenPrivateKey(token.key)
    request = make_request_elsewhere(private.public_key(), private.sign, "cq.exchange.example")
    assert requested_key(request) == public_key_of(load_der(token.chain[0]))
    spoiled = make_request_elsewhere(generate_p256().public_key(), private.sign, "cq.exchange.example")
    with pytest.raises(PkiRefused):
        requested_key(spoiled)
    with pytest.raises(KeyUnreadable, match="no public key other"):
        TokenPrivateKey(replace(token.key, label="other")).public_key()


def test_a_key_or_token_that_is_not_there_is_named(token: Token) -> None:
    """Token, module and key: which one is missing; a certificate of another key is refused."""
    for changed, error, words in (
        (replace(token.key, token="other"), TokenUnavailable, "other: NoSuchToken"),
        (replace(token.key, module="/nowhere/module.so"), TokenUnavailable, "exchange"),
        (replace(token.key, label="other"), KeyUnreadable, "no private key other"),
        (replace(token.key, key_id=b"\x02"), KeyUnreadable, "no private key sign"),
    ):
        with pytest.raises(error, match=words):
            TokenSigner(changed, token.chain)
    with pytest.raises(KeyUnreadable, match="not that of the token's key"):
        TokenSigner(token.key, CQ.signer.chain)
    with pytest.raises(KeyUnreadable, match="EC P-256"):
        TokenSigner(token.key, region("cq", KeyKind.SM2).signer.chain)


def locking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A token that takes no PIN; gives those that it was shown. A real one that another test opened asks for none."""
    tried: list[str] = []

    class Locking:
        """Module and token at once."""

        def get_token(self, **_named: str) -> Locking:
            return self

        def open(self, user_pin: str) -> object:
            tried.append(user_pin)
            raise pkcs11.PinIncorrect

    monkeypatch.setattr(pkcs11, "lib", lambda _path: Locking())
    return tried


def test_a_wrong_pin_is_tried_once(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens lock themselves: one login for one process, whoever asks again, and no PIN in what is said."""
    tried = locking(monkeypatch)
    with pytest.raises(PinRefused, match="PinIncorrect") as raised:
        TokenSigner(replace(token.key, pin="000000"), token.chain)
    with pytest.raises(PinRefused):
        TokenSigner(replace(token.key, pin="000000", label="other"), token.chain)
    assert tried == ["000000"]
    assert "000000" not in str(raised.value)


def test_a_pin_that_was_changed_meanwhile_is_not_tried_at_each_signature(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card was put in anew and asks again: one login, then every signature is refused without another."""
    signer = TokenSigner(token.key, token.chain)
    signer._private._private = None
    monkeypatch.setattr(signer._private, "_key", replace(token.key, pin="111111"))
    tried = locking(monkeypatch)
    for _ in range(3):
        with pytest.raises(PinRefused):
            signer.sign(b"x")
    assert tried == ["111111"]


def test_no_text_shows_the_pin(token: Token) -> None:
    """Neither that of the key nor that of an error."""
    with pytest.raises(TokenUnavailable) as raised:
        TokenSigner(replace(token.key, token="other"), token.chain)
    assert token.key.pin not in f"{token.key!r} {token.key} {raised.value} {raised.value!r} {raised.value.__cause__!r}"
