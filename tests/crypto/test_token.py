"""Signing keys in a PKCS#11 token, played by SoftHSM2."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exchange.crypto import pki
from exchange.crypto.certificates import load_der, public_key_of
from exchange.crypto.dsse import make_envelope
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.keys import KeyUnreadable, encode_private, generate_p256
from exchange.crypto.pki_profile import KeyKind
from exchange.crypto.pki_request import make_request
from exchange.crypto.signers.key_file import read_signing_chain
from exchange.crypto.signers.token import TokenKey, TokenSigner, TokenUnavailable
from exchange.crypto.signers.verifiers import verifier_of
from tests.crypto.region import DOMAIN, NODE, NOW, PROFILE, region

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
TOOL = shutil.which("softhsm2-util")
PIN = "567890"
CQ = region("cq")


@dataclass
class Token:
    """A token with one key, and the key's certificates."""

    key: TokenKey
    chain: tuple[bytes, ...]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """A token in a folder of its own; skips as ``softhsm-missing``."""
    module = next((each for each in MODULES if Path(each).exists()), None)
    if TOOL is None or module is None:
        pytest.skip("softhsm-missing: Debian's softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(config))  # the module reads it when it is loaded, once for the process
        private = encode_private(generate_p256())
        (folder / "key.pem").write_bytes(private)
        for arguments in (
            ["--init-token", "--free", "--label", "exchange", "--so-pin", "123456", "--pin", PIN],
            ["--import", str(folder / "key.pem"), "--token", "exchange", "--label", "sign", "--id", "01", "--pin", PIN],
        ):
            subprocess.run([TOOL, *arguments], check=True, capture_output=True)
        issued = pki.issue_signing(
            PROFILE,
            CQ.intermediate,
            identity=NODE,
            organisation="局",
            now=NOW,
            request=make_request(private, "cq"),
        )
        key = TokenKey(module=module, token="exchange", label="sign", key_id=b"\x01", pin=PIN)
        yield Token(key=key, chain=read_signing_chain(issued.chain))


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
    assert signer._private is not None
    signer._private.session.close()
    assert signer.sign(b"x")


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


def test_no_text_shows_the_pin(token: Token) -> None:
    """Neither that of the key nor that of an error."""
    with pytest.raises(TokenUnavailable) as raised:
        TokenSigner(replace(token.key, token="other"), token.chain)
    assert PIN not in f"{token.key!r} {token.key} {raised.value} {raised.value!r} {raised.value.__cause__!r}"
