"""Signed notes and verifier keys: the published example, one spelling, and an attacker's bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tlog import note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import ED25519, NoteSignature, SignedNote, VerifierKey

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
LINE = NOTE.split(b"\n\n")[1]

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1, max_size=20
).filter(lambda name: not any(c.isspace() for c in name))
TEXTS = st.text(st.one_of(st.characters(exclude_categories=["Cs"], min_codepoint=32), st.just("\n")), max_size=80).map(
    lambda text: text + "\n"
)
SIGNATURES = st.builds(NoteSignature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=90))


def test_the_published_note_is_read() -> None:
    """Text, key name and key id of the specification's example come out, and its bytes again."""
    signed = note.parse(NOTE)
    assert signed.text == "This is an example message.\n"
    assert [s.name for s in signed.signatures] == ["example.com/foo"]
    assert signed.by(VerifierKey.parse(VKEY)) == signed.signatures
    assert len(signed.signatures[0].signature) == 64
    assert note.format(signed) == NOTE


@given(st.builds(SignedNote, TEXTS, st.lists(SIGNATURES, min_size=1, max_size=16).map(tuple)))
def test_a_written_note_is_read_back(signed: SignedNote) -> None:
    """Whatever can be written is read back unchanged, empty lines in the text included."""
    assert note.parse(note.format(signed)) == signed


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    """Arbitrary bytes are a note in its one spelling, or a format error."""
    with contextlib.suppress(LogFormatError):
        assert note.format(note.parse(data)) == data


@given(st.integers(0, len(NOTE) - 1), st.binary(max_size=3))
def test_no_changed_byte_breaks_the_parser(at: int, put: bytes) -> None:
    """A note with some bytes replaced is read in its one spelling, or a format error."""
    data = NOTE[:at] + put + NOTE[at + 1 :]
    with contextlib.suppress(LogFormatError):
        assert note.format(note.parse(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"text\n", id="no signature"),
        pytest.param(b"text\n\n", id="no signature line"),
        pytest.param(b"text\n" + LINE, id="no empty line"),
        pytest.param(b"text\n\n" + LINE[:-1], id="no last newline"),
        pytest.param(b"text\n\n" + LINE + b"\n", id="empty line at the end"),
        pytest.param(b"text\r\n\n" + LINE, id="carriage return"),
        pytest.param(b"te\x00xt\n\n" + LINE, id="zero byte"),
        pytest.param(b"te\txt\n\n" + LINE, id="tab"),
        pytest.param(b"te\xffxt\n\n" + LINE, id="not UTF-8"),
        pytest.param(b"te\xed\xa0\x80xt\n\n" + LINE, id="surrogate"),
        pytest.param(b"text\n\n" + LINE.replace(b"\xe2\x80\x94", b"-"), id="hyphen"),
        pytest.param(b"text\n\n" + LINE.replace(b"foo ", b"foo  "), id="two spaces"),
        pytest.param(b"text\n\n" + LINE.replace(b"foo", b"f+o"), id="plus in the name"),
        pytest.param(b"text\n\n" + LINE.replace(b"foo", b"f\xc2\xa0o"), id="no-break space in the name"),
        pytest.param(b"text\n\n" + LINE.replace(b"example.com/foo ", b" "), id="no name"),
        pytest.param(b"text\n\n" + LINE.replace(b"=", b""), id="no padding"),
        pytest.param(b"text\n\n" + LINE.replace(b"QM=", b"QN="), id="spare bits set"),
        pytest.param(b"text\n\n" + LINE.replace(b"=\n", b"= \n"), id="space behind"),
        pytest.param("text\n\n— a AAAAAA==\n".encode(), id="key id alone"),
        pytest.param("text\n\n— a AAAA\n".encode(), id="shorter than a key id"),
        pytest.param(b"text\n\n" + LINE * 17, id="17 signatures"),
        pytest.param(b"x" * note.MAX_NOTE_BYTES + b"\n\n" + LINE, id="too long"),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Other spellings and broken notes are format errors."""
    with pytest.raises(LogFormatError):
        note.parse(data)


def test_sixteen_large_signatures_fit() -> None:
    """Sixteen signatures of 5 kB each are accepted, as the specification asks."""
    lines = tuple(NoteSignature(f"example.com/w{n}", bytes(4), bytes(5000)) for n in range(16))
    assert note.parse(note.format(SignedNote("text\n", lines))).signatures == lines


def test_a_signature_of_another_type_stays_opaque() -> None:
    """Adding a line keeps the bytes before it, ML-DSA-44 lines included."""
    ml_dsa = NoteSignature("example.com/w", b"\1\2\3\4", bytes(2428))
    data = note.add_signature(NOTE, ml_dsa)
    assert data.startswith(NOTE)
    assert note.parse(data).signatures[1] == ml_dsa


def test_the_published_verifier_key_is_read() -> None:
    """The specification's key is read, its id recomputed, and written again."""
    key = VerifierKey.parse(VKEY)
    assert (key.name, key.alg, key.key_id.hex()) == ("example.com/foo", ED25519, "530d903a")
    assert str(key) == VKEY == note.vkey(key.name, key.alg, key.public)
    assert note.key_id(key.name, key.alg, key.public) == key.key_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "0530d903a"),
        VKEY.replace("foo", "fop"),
        VKEY + "\n",
        " " + VKEY,
        VKEY[:-2],
        VKEY + "AA==",
        VKEY.replace("+Aek", "+Auk"),
        "example.com/foo+530d903a+",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    """Another spelling, a wrong key id, an unknown type or a wrong length is a format error."""
    with pytest.raises(LogFormatError):
        VerifierKey.parse(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_key_parser(text: str) -> None:
    """Arbitrary text is a verifier key in its one spelling, or a format error."""
    with contextlib.suppress(LogFormatError):
        assert str(VerifierKey.parse(text)) == text


@pytest.mark.parametrize("text", ["", "+5", "-1", "05", "00", "5_0", " 5", "5 ", "٥", "5.0", "1e3", str(2**63)])
def test_numbers_have_one_spelling(text: str) -> None:
    """Signs, zeroes in front, separators, other digits and numbers too large are refused."""
    with pytest.raises(LogFormatError):
        note.parse_decimal(text)


@pytest.mark.parametrize("text", ["AAB=", "AAA", "AA==A", "AA==AA==", "A-A_", "AAA=\n", " AAA=", "ÄAA="])
def test_base64_has_one_spelling(text: str) -> None:
    """Spare bits, missing padding, other alphabets and characters around are refused."""
    with pytest.raises(LogFormatError):
        note.decode_base64(text)


def test_the_largest_number_is_read() -> None:
    """0 and 2**63 - 1 are numbers."""
    assert note.parse_decimal("0") == 0
    assert note.parse_decimal(str(2**63 - 1)) == 2**63 - 1
