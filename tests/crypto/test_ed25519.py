"""Signing and verifying checkpoints and cosignatures, and the secrets that follow from the seed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.ed25519 import (
    Cosigner,
    NoteSigner,
    derive_log_key,
    derive_submission_key,
    submission_tag,
    verify_cosignature,
    verify_note,
)
from exchange.crypto.keys import generate_ed25519
from exchange.tlog import note
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1, ED25519, NoteSignature, SignedNote, VerifierKey

SEED = bytes(range(32))
ORIGIN = "cq.exchange.example/to/sc/registry/1"
LOG = NoteSigner(ORIGIN, derive_log_key(SEED, ORIGIN, 1))
MIRROR = Cosigner("sc.exchange.example/mirror", generate_ed25519())
HEAD = Checkpoint(ORIGIN, 42, hashlib.sha256(b"root").digest())
SIGNED = LOG.sign_checkpoint(HEAD)
COSIGNED = MIRROR.cosign(SIGNED, 1_772_000_000)

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_TEXT = "This is an example message.\n"
EXAMPLE_SIGNATURE = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="


def test_the_published_signature_verifies() -> None:
    """The key and signature printed in signed-note fit together under the Ed25519 that this program uses."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - the oracle alone

    signature = note.decode_base64(EXAMPLE_SIGNATURE)
    key = VerifierKey.parse(EXAMPLE_KEY)
    assert signature[:4] == key.key_id
    Ed25519PublicKey.from_public_bytes(key.public).verify(signature[4:], EXAMPLE_TEXT.encode())


def test_a_signed_checkpoint_verifies_under_its_key() -> None:
    """The log's key vouches for the head, with and without a cosignature, and nobody else's does."""
    assert verify_note(SIGNED, LOG.key) == HEAD == verify_note(COSIGNED, VerifierKey.parse(LOG.vkey))
    other = NoteSigner(ORIGIN, generate_ed25519())
    assert verify_note(SIGNED, other.key) is None
    assert verify_note(SIGNED, MIRROR.key) is None


def test_a_cosignature_verifies_with_its_time() -> None:
    """The mirror's key gives the time; a note without it, or another key, gives none."""
    assert verify_cosignature(COSIGNED, MIRROR.key) == 1_772_000_000
    assert verify_cosignature(SIGNED, MIRROR.key) is None
    assert verify_cosignature(COSIGNED, Cosigner(MIRROR.name, generate_ed25519()).key) is None
    assert verify_cosignature(COSIGNED, LOG.key) is None


def test_cosigning_keeps_the_note_as_it_was() -> None:
    """Text and earlier lines stay byte for byte; the line is last and of type 0x04."""
    assert COSIGNED.startswith(SIGNED)
    assert parse_note(COSIGNED)[0].signatures[1].key_id == note.key_id(MIRROR.name, 0x04, MIRROR.key.public)
    with pytest.raises(LogFormatError):
        MIRROR.cosign(COSIGNED, 1)


@given(st.integers(0, len(COSIGNED) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(at: int, change: int) -> None:
    """No single changed byte leaves both signatures standing."""
    data = bytearray(COSIGNED)
    data[at] ^= change
    assert verify_note(bytes(data), LOG.key) is None or verify_cosignature(bytes(data), MIRROR.key) is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_have_no_verdict_but_none(data: bytes) -> None:
    """Neither function raises on what is no note."""
    assert verify_note(data, LOG.key) is None
    assert verify_cosignature(data, MIRROR.key) is None


def test_one_false_line_of_a_known_key_spoils_the_note() -> None:
    """A second line that claims to be by the key and is not makes the note worthless."""
    signed, _ = parse_note(COSIGNED)
    log, mirror = signed.signatures
    forged_log = NoteSignature(log.name, log.key_id, bytes(64))
    forged_mirror = NoteSignature(mirror.name, mirror.key_id, bytes(72))
    spoiled = note.format(SignedNote(signed.text, (log, forged_log, mirror, forged_mirror)))
    assert verify_note(spoiled, LOG.key) is None
    assert verify_cosignature(spoiled, MIRROR.key) is None


def test_lines_of_unknown_keys_are_passed_over() -> None:
    """A line by somebody else, of whatever type and length, changes nothing."""
    more = note.add_signature(COSIGNED, NoteSignature("example.com/w", b"\6\6\6\6", bytes(2428)))
    assert verify_note(more, LOG.key) == HEAD
    assert verify_cosignature(more, MIRROR.key) == 1_772_000_000


def test_of_several_cosignatures_the_earliest_time_counts() -> None:
    """Two valid lines of one cosigner give the time from which it vouches."""
    later = parse_note(MIRROR.cosign(SIGNED, 1_772_000_900))[0].signatures[1]
    assert verify_cosignature(note.add_signature(COSIGNED, later), MIRROR.key) == 1_772_000_000


def test_a_log_key_signs_for_its_log_only() -> None:
    """Another origin is refused when signing, and when verifying a note that a key of another name signed."""
    with pytest.raises(ValueError, match="does not sign"):
        LOG.sign_checkpoint(Checkpoint("cq.exchange.example/journal/1", 1, HEAD.root))
    other = NoteSigner("cq.exchange.example/journal/1", generate_ed25519())
    signature = other._privates[0].sign(HEAD.body())
    crossed = note.format(SignedNote(HEAD.text(), (NoteSignature(other.name, other.key.key_id, signature),)))
    assert verify_note(crossed, other.key) is None


def test_a_plain_signature_is_no_cosignature() -> None:
    """The same key used as type 0x01 and as type 0x04 has two ids, and neither passes for the other."""
    private = generate_ed25519()
    public = private.public_key().public_bytes_raw()
    as_log, as_mirror = (VerifierKey.of(ORIGIN, alg, public) for alg in (ED25519, COSIGNATURE_V1))
    assert as_log.key_id != as_mirror.key_id
    assert verify_cosignature(NoteSigner(ORIGIN, private).sign_checkpoint(HEAD), as_mirror) is None


def test_log_keys_differ_by_origin_and_generation() -> None:
    """Each log and each generation has its own key, the same each time."""
    keys = {
        derive_log_key(SEED, origin, generation).public_key().public_bytes_raw()
        for origin in (ORIGIN, "cq.exchange.example/journal/1")
        for generation in (1, 2)
    }
    assert len(keys) == 4
    assert derive_log_key(SEED, ORIGIN, 1).private_bytes_raw() == derive_log_key(SEED, ORIGIN, 1).private_bytes_raw()


def hkdf(seed: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt and 32 bytes out, written out."""
    prk = hmac.new(bytes(32), seed, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()


def test_derivation_is_hkdf() -> None:
    """Log key and submission key are HKDF-SHA-256 of the seed with the agreed info."""
    assert derive_log_key(SEED, ORIGIN, 7).private_bytes_raw() == hkdf(SEED, ORIGIN.encode() + b"\n7")
    assert derive_submission_key(SEED) == hkdf(SEED, b"submission")


def test_a_submission_tag_is_two_macs() -> None:
    """The tag has 64 bytes: one half names agency and key, the other the request."""
    k = derive_submission_key(SEED)
    tag = submission_tag(k, "office", "key-1", b"request")
    assert tag[:32] == hmac.new(k, b"office\0key-1", hashlib.sha256).digest()
    assert tag[32:] == hmac.new(k, b"request", hashlib.sha256).digest()
    with pytest.raises(ValueError, match="zero"):
        submission_tag(k, "office\0", "key-1", b"request")


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_has_32_bytes(seed: bytes) -> None:
    """A shorter or longer seed is refused."""
    with pytest.raises(ValueError, match="32"):
        derive_log_key(seed, ORIGIN, 1)
