"""Cosignatures by ML-DSA-44 (C2SP type 0x06), a second line beside that by Ed25519."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.crypto.ed25519 import Cosigner, NoteSigner, spoiled_cosignature, verify_cosignature, verify_note
from exchange.crypto.keys import (
    KeyUnreadable,
    encode_ml_dsa,
    encode_private,
    generate_ed25519,
    generate_ml_dsa,
    load_ml_dsa,
)
from exchange.tlog import cosignature, note
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, NoteSignature, SignedNote, VerifierKey

ORIGIN, NAME, TIME = "cq.exchange.example/to/sc/registry/1", "sc.exchange.example/mirror", 1_772_000_000
LOG = NoteSigner(ORIGIN, generate_ed25519())
MIRROR = Cosigner(NAME, generate_ed25519(), seconds=[generate_ml_dsa()])
HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))
COSIGNED = MIRROR.cosign(LOG.sign_checkpoint(HEAD), TIME)
FIRST, SECOND = MIRROR.keys


def test_the_signed_bytes_are_those_of_the_specification() -> None:
    """Label, name, time, origin, 0, size, root: put together here as the text has it, checked by the library."""
    expected = (
        b"subtree/v1\n\x00"
        + bytes([len(NAME)]) + NAME.encode()
        + struct.pack(">Q", TIME)
        + bytes([len(ORIGIN)]) + ORIGIN.encode()
        + struct.pack(">QQ", 0, 7)
        + bytes(range(32))
    )  # fmt: skip
    assert cosignature.subtree_message(NAME, HEAD, TIME) == expected
    payload = parse_note(COSIGNED)[0].signatures[2].signature
    assert payload[:8] == struct.pack(">Q", TIME)
    assert len(payload) == 8 + 2420
    MLDSA44PublicKey.from_public_bytes(SECOND.public).verify(payload[8:], expected)


def test_both_lines_verify_each_by_its_key() -> None:
    """Ed25519 first, ML-DSA-44 behind it, at one time; the log's own line is left as it was."""
    assert [verify_cosignature(COSIGNED, key) for key in (FIRST, SECOND)] == [TIME, TIME]
    assert verify_note(COSIGNED, LOG.key) == HEAD
    assert spoiled_cosignature(COSIGNED, [FIRST, SECOND]) == ""
    assert VerifierKey.parse(str(SECOND)) == SECOND
    with pytest.raises(LogFormatError):
        MIRROR.cosign(COSIGNED, TIME + 1)


def test_a_note_without_the_second_line_is_no_worse() -> None:
    """A cosigner without such a key, or before it had one: nothing is spoiled, and nothing is shown."""
    signed, _ = parse_note(COSIGNED)
    bare = note.format(SignedNote(signed.text, signed.signatures[:2]))
    assert verify_cosignature(bare, SECOND) is None
    assert verify_cosignature(bare, FIRST) == TIME
    assert spoiled_cosignature(bare, [SECOND]) == ""


@settings(max_examples=30)
@given(st.integers(0, 2427), st.integers(1, 255))
def test_a_changed_byte_spoils_the_second_line(place: int, change: int) -> None:
    """Time or signature: the line does not verify, and the key is named."""
    signed, _ = parse_note(COSIGNED)
    payload = bytearray(signed.signatures[2].signature)
    payload[place] ^= change
    line = NoteSignature(NAME, SECOND.key_id, bytes(payload))
    spoiled = note.format(SignedNote(signed.text, (*signed.signatures[:2], line)))
    assert verify_cosignature(spoiled, SECOND) is None
    assert spoiled_cosignature(spoiled, [SECOND]) == NAME
    assert verify_cosignature(spoiled, FIRST) == TIME


@pytest.mark.parametrize("size", [0, 7, 8, 71, 72, 2427, 2429])
def test_a_line_of_another_length_is_none(size: int) -> None:
    """Also one that would fit the other type."""
    if size == 0:
        with pytest.raises(LogFormatError):
            cosignature.parse(b"", COSIGNATURE_ML_DSA_44)
        return
    signed, _ = parse_note(COSIGNED)
    line = NoteSignature(NAME, SECOND.key_id, bytes(size))
    assert verify_cosignature(note.format(SignedNote(signed.text, (line,))), SECOND) is None


def test_a_signature_is_bound_to_its_cosigner_and_time() -> None:
    """By the same key in another name it does not verify, nor where it says nothing of when."""
    private = generate_ml_dsa()
    public = private.public_key().public_bytes_raw()
    text = HEAD.text()
    for signed_name, time, holds in ((NAME, TIME, True), ("other.example/mirror", TIME, False), (NAME, 0, False)):
        key = VerifierKey.of(NAME, COSIGNATURE_ML_DSA_44, public)
        signature = private.sign(cosignature.subtree_message(signed_name, HEAD, time))
        payload = cosignature.TimedSignature(time, signature).to_bytes()
        made = note.format(SignedNote(text, (NoteSignature(NAME, key.key_id, payload),)))
        assert (verify_cosignature(made, key) is not None) is holds


def test_sixteen_lines_of_this_size_fit_a_note() -> None:
    """What signed-note asks every verifier to accept."""
    data = LOG.sign_checkpoint(HEAD)
    for number in range(7):
        cosigner = Cosigner(f"w{number}.example/witness", generate_ed25519(), seconds=[generate_ml_dsa()])
        data = cosigner.cosign(data, TIME)
    assert len(parse_note(data)[0].signatures) == 15


def test_a_second_key_survives_its_file() -> None:
    """PKCS#8 out and in; a key of another kind is refused."""
    key = generate_ml_dsa()
    assert load_ml_dsa(encode_ml_dsa(key)).public_key() == key.public_key()
    for pem in (b"", encode_private(generate_ed25519())):
        with pytest.raises(KeyUnreadable):
            load_ml_dsa(pem)
