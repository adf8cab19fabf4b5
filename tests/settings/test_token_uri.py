"""``pkcs11:`` URIs in the node file."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.settings.token_uri import read_token_uri

URI = (
    "pkcs11:token=exchange;object=sign%20p256;id=%01%ff;type=private"
    "?module-path=/usr/lib/m.so&pin-source=file:pin&x-chain=chain.pem"
)


def test_a_key_in_a_token_is_named_by_its_uri() -> None:
    """Every attribute, percent-encoded where needed."""
    found = read_token_uri(URI)
    assert (found.token, found.label, found.key_id) == ("exchange", "sign p256", b"\x01\xff")
    assert (found.module, found.pin_file, found.chain) == (Path("/usr/lib/m.so"), Path("pin"), Path("chain.pem"))
    assert read_token_uri(URI.replace("file:pin", "env:TOKEN_PIN")).pin_variable == "TOKEN_PIN"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("pin-source=file:pin", "pin-value=5678"), "must not hold a PIN"),
        (("&pin-source=file:pin", ""), "pin-source"),
        (("token=exchange;", ""), "token"),
        (("type=private", "type=public"), "private key"),
        (("file:pin", "|cat pin"), "percent-encoded"),
        (("file:pin", "5678"), "file:PATH or env:VARIABLE"),
        (("file:pin", "env:A B"), "percent-encoded"),
        (("object=", "colour="), "nothing else"),
        (("token=exchange", "token=exchange;token=other"), "nothing else"),
        (("exchange", "%zz"), "percent-encoded"),
        (("exchange", "%ff"), "printable"),
        (("exchange", "a" * 2000), "URI"),
    ],
)
def test_another_uri_is_refused(change: tuple[str, str], words: str) -> None:
    """With what is wrong, and without a word of what may be a secret."""
    with pytest.raises(ValueError, match=words) as raised:
        read_token_uri(URI.replace(*change))
    assert "5678" not in str(raised.value)
