"""The redacted form: the same rows, and no password."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.adapter import DocumentReading
from exchange.domain.problems import DocumentRefused
from exchange_hj212 import frame_bytes, recognises
from exchange_hj212.generate import KEY, STATIONS, generate
from exchange_hj212.redact import HEADER
from tests.adapters.hj212.cases import PASSWORD, frame, outcomes, packets, read, segment
from tests.adapters.hj212.test_packets import KEY as PACKET_KEY
from tests.adapters.hj212.test_packets import encrypted

KEYS = dict.fromkeys(STATIONS, KEY)
RECORDED = "".join(each["raw"] for each in packets()["packets"]).encode()

PIECES = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([frame(), frame()[1:], frame()[:-2], frame()[:70], frame(cn="1072", content=f"NewPW={PASSWORD}")]),
    st.lists(
        st.sampled_from([b"PW=", b"pw =", PASSWORD.encode(), b";", b",", b"MN=A", b"CN=2061", b"x"]), max_size=12
    ).map(lambda parts: frame_bytes(b"".join(parts) + b";CP=&&DataTime=20260301080000&&")),
    st.binary(max_size=80).map(lambda data: frame_bytes(segment("", flag="8")[:-2] + data + b"&&")),
)


def without_digest(reading: DocumentReading) -> DocumentReading:
    """The same with every record's document digest removed."""
    for row in reading.rows:
        if row.record is not None:
            row.record.header.provenance.ClearField("document")
    return reading


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("keys", [{}, KEYS])
def test_reading_the_redacted_form_gives_the_same_rows(seed: int, keys: dict[str, bytes]) -> None:
    """Rows, places, verdicts, remarks, digest: everything, for recordings with every awkward thing in them."""
    first = read(b"".join(generate(150, seed)), keys=keys)
    assert read(first.redacted, keys=keys) == first


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=6))
def test_the_law_holds_for_any_bytes(pieces: list[bytes]) -> None:
    """Whatever the document, its redacted form reads the same."""
    first = read(b"".join(pieces))
    assert read(first.redacted) == first


def test_a_header_with_too_many_fields_stays_one() -> None:
    """Its redacted form, which keeps the first of them, has the same problem."""
    first = read(frame_bytes(b"MN=A;" * 40 + segment())[:-6] + b"0000\r\n")
    assert "header_too_long" in first.rows[0].problems[0].detail
    assert read(first.redacted) == first


def test_no_password_is_left_in_rows_or_redacted_form() -> None:
    """Nor in what somebody would log of them; those of the published packets are gone too."""
    reading = read(RECORDED)
    for secret in (b"PW=123456", b"PW=100000"):
        assert secret in RECORDED
        assert secret not in reading.redacted
        assert secret.decode() not in repr(reading)
    messy = (
        b"noise PW=" + PASSWORD.encode() + b"\n" + frame() + frame()[1:] + frame(cn="1072", content=f"NewPW={PASSWORD}")
    )
    reading = read(messy + frame()[:60] + b"\r\n" + frame(more=f"PW={PASSWORD};"))
    assert PASSWORD.encode() not in reading.redacted
    assert PASSWORD not in repr(reading)


def test_the_checksum_stays_behind_and_its_verdict_does_not() -> None:
    """A checksum over the password would tell about it; the verdict is what matters."""
    data = frame()
    reading = read(data[:-6] + b"0000\r\n" + data)
    assert data[-6:-2] not in reading.redacted
    assert outcomes(read(reading.redacted)) == ["CRC_BAD", "RECORD"]


def test_a_key_that_comes_later_opens_the_redacted_form() -> None:
    """The verdict on encrypted data can still be taken, right and wrong, and the document stays the same."""
    content = "DataTime=20260301080000;w01018-Avg=40.1,w01018-Flag=N"
    good, bad = encrypted(content), encrypted(content, given=b"1234")
    station = {"01000001000A000000000A01": PACKET_KEY}
    sealed = read(good + bad)
    assert outcomes(sealed) == ["SM4_KEY_MISSING"] * 2
    opened = read(sealed.redacted, keys=station)
    assert outcomes(opened) == ["RECORD", "CRC_BAD"]
    assert opened.redacted == sealed.redacted
    direct = without_digest(read(good + bad, keys=station))
    assert without_digest(opened).rows == direct.rows


@pytest.mark.parametrize(
    "damage",
    [
        HEADER + b"P 0 10\n",
        HEADER + b"X\n",
        HEADER + b"P 0 151 139 139 ANNEX_A - - 9999\nQN=1\n",
        HEADER + b"P 0 151 139 139 PERFECT - - 4\nQN=1\n",
        HEADER + b"P 0 151 139 139 UNSPECIFIED - - 4\nQN=1\n",
        HEADER + b"P 0 151 139 139 ANNEX_A - made_up 4\nQN=1\n",
        HEADER + b"P 0 151 139 139 ANNEX_A - no_crc,no_crc 4\nQN=1\n",
        HEADER + b"P 0 151 139 139 ANNEX_A - - 4\nQN=1",
        HEADER + b"P +0 151 139 139 ANNEX_A - - 4\nQN=1\n",
        HEADER + b"P" * 5000,
    ],
)
def test_a_damaged_redacted_form_is_refused_whole(damage: bytes) -> None:
    """Nobody can tell any more what it said."""
    with pytest.raises(DocumentRefused) as refused:
        read(damage)
    assert refused.value.reason == "REDACTED_FORM"


def test_a_password_slipped_into_the_redacted_form_is_taken_out() -> None:
    """The form is not trusted to be redacted."""
    data = segment()
    forged = HEADER + b"P 0 151 139 139 ANNEX_A - - %d\n" % len(data) + data + b"\n"
    reading = read(forged)
    assert PASSWORD.encode() not in reading.redacted
    assert PASSWORD not in repr(reading)


def test_recordings_are_recognised_and_other_files_are_not() -> None:
    """Frames, logs, lines that lost their frame, the redacted form; no workbook, no text."""
    for content in (frame(), b"log line\n" * 50 + frame(), segment(), read(frame()).redacted, b"##140" + segment()):
        assert recognises(content)
    for content in (b"", b"PK\x03\x04 workbook", "企业名称,统一社会信用代码\n".encode(), b"## heading\n##1234 pages\n"):
        assert not recognises(content)


def test_the_digest_is_that_of_the_redacted_document() -> None:
    """Provenance names what is stored: salt and digest, equal for both forms."""
    reading = read(frame())
    again = read(reading.redacted)
    for found in (reading, again):
        record = found.rows[0].record
        assert record is not None
        assert record.header.provenance.document.salt == bytes(range(32))
    assert replace(again, rows=()) == replace(reading, rows=())
