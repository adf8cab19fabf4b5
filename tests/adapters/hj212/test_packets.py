"""The recorded packets: everything that is known about them is read in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_hj212 import crc, decode, frame_bytes, to_json
from exchange_hj212.decode import edition_name, verdict_name
from exchange_hj212.segment import MARKER
from exchange_hj212.sm4 import Sm4
from tests.adapters.hj212.cases import PASSWORD, STATION, frame, packets, segment

PACKETS = packets()["packets"]
KEY = bytes(range(16))


@pytest.mark.parametrize("packet", PACKETS, ids=lambda each: each["id"])
def test_each_recorded_packet_is_read_as_it_is_known(packet: dict[str, Any]) -> None:
    """Problems, lengths, verdict, header, flag, parameters and readings, misprints of the standard included."""
    (found,) = decode(packet["raw"].encode())
    assert sorted(found.problems) == sorted(packet["problems"])
    expected = packet["expected"]
    if expected is None:
        assert (found.header, found.readings, verdict_name(found.crc_verdict)) == ({}, (), "")
        return
    assert (found.declared_length, found.actual_length) == (expected["declared"], expected["actual"])
    assert verdict_name(found.crc_verdict) == expected["verdict"]
    assert found.header == expected["header"] | {"PW": MARKER}
    assert found.flag is not None
    assert found.flag.value == expected["flag"]
    assert found.flag.has_packet_no == expected["has_packet_no"]
    assert found.flag.need_ack == expected["need_ack"]
    assert edition_name(found.edition) == expected["edition"]
    assert found.params == expected["params"]
    readings: dict[str, dict[str, str]] = {}
    for reading in found.readings:
        readings.setdefault(reading.factor, {})[reading.item] = reading.value
        if reading.flag:
            readings[reading.factor]["Flag"] = reading.flag
    assert readings == expected["readings"]


def test_json_holds_one_object_with_every_promised_field() -> None:
    """Edition, verdict, problems, header, data time and readings are there, null where they are not known."""
    content = "DataTime=20260301080000;w01018-Avg=234.457859851307,w01018-Flag=N;LA-Flag=N;w01001-Avg=7"
    (packet,) = decode(frame(content))
    found = to_json(packet)
    assert json.loads(json.dumps(found)) == found
    assert found["edition"] == "2017"
    assert found["crc_verdict"] == "ANNEX_A"
    assert found["problems"] == []
    assert found["data_time"] == "20260301080000"
    assert found["time"] == "2026-03-01T08:00:00+08:00"
    assert found["readings"] == [
        {"factor": "w01018", "item": "Avg", "value": "234.457859851307", "flag": "N"},
        {"factor": "w01001", "item": "Avg", "value": "7", "flag": None},
        {"factor": "LA", "item": "Flag", "value": "N", "flag": "N"},
    ]
    (unread,) = decode(b"QN=20260301080000001;ST=32;CN=2061;MN=1;CP=&&DataTime=20260301080000&&\n")
    found = to_json(unread)
    assert (found["edition"], found["crc_verdict"], found["data_time"]) == (None, None, None)
    assert found["problems"] == ["bad_header"]


def test_skipped_bytes_stand_with_the_packet_beside_them() -> None:
    """Runs before a packet, and behind the last one; a recording without packets says so itself."""
    first, second = decode(b"noise " + frame() + b"more noise\n" + frame() + b"the end")
    assert [(run.offset, run.length) for run in first.skipped] == [(0, 5)]
    behind = len(b"noise " + frame())
    end = behind + len(b"more noise\n" + frame())
    assert [(run.offset, run.length) for run in second.skipped] == [(behind, 10), (end, 7)]
    (nothing,) = decode(b"no packets in here")
    assert nothing.problems == ("no_frame",)
    assert not list(decode(b"\r\n \n"))


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        ("QN=20260301090000001;ST=32;CN=2061;PW=1;MN=A;Flag=12;", ["flag_version_unknown"]),
        ("QN=20260301090000001;ST=32;CN=2061;PW=1;MN=A;Flag=256;", ["flag_not_numeric"]),
        ("QN=20260301090000001;ST=32;CN=2061;PW=1;MN=A;Flag=+5;", ["flag_not_numeric"]),
        ("QN=20260301090000001;ST=32;CN=2061;PW=1;MN=A;Flag=٥;", ["flag_not_numeric"]),
        ("QN=20260301090000001;ST=32;CN=2061;PW=1;MN=A;Flag=6;", ["missing_PNUM", "missing_PNO"]),
        ("QN=2026;ST=3;CN=20611;PW=1;MN=A;Flag=4;", ["qn_format", "st_format", "cn_format"]),
        ("ST=32;CN=2061;PW=1;MN=A;", ["missing_QN", "missing_Flag"]),
        ("QN=20260301090000001;PW=1;MN=;Flag=4;", ["missing_ST", "missing_CN", "missing_MN"]),
        ("QN=20260301090000001;ST=32;CN=2061;MN=A;Flag=4;note;", ["header_item_without_equals", "missing_PW"]),
        ("QN=20260301090000001;ST=32;ST=31;CN=2061;PW=1;MN=A;Flag=4;", ["header_field_repeated"]),
    ],
)
def test_each_fault_of_a_header_is_named(header: str, problems: list[str]) -> None:
    """Missing, ill-formed and repeated fields, and version bits of no edition."""
    (packet,) = decode(frame_bytes(f"{header}CP=&&DataTime=20260301080000&&".encode()))
    assert list(packet.problems) == problems


@pytest.mark.parametrize(
    ("content", "problems", "items"),
    [
        ("a-Rtd=1;a-Flag=N", [], [("a", "Rtd", "1", "N")]),
        ("a-Rtd=1,a-Flag=N;a-Flag=D", ["flag_conflict"], [("a", "Rtd", "1", "N,D")]),
        (" LA-Rtd=50.1", [], [("LA", "Rtd", "50.1", "")]),
        ("a-Rtd,;;b-Avg=", ["cp_item_without_equals"], [("b", "Avg", "", "")]),
        ("i1-Info=//a;b,c=d//,x-Rtd=1", [], [("i1", "Info", "//a;b,c=d//", ""), ("x", "Rtd", "1", "")]),
        ("SB1-RS=1;SB1-RT=2.0", [], [("SB1", "RS", "1", ""), ("SB1", "RT", "2.0", "")]),
        ("100000-Pa_ave=0.3", [], [("100000", "Pa_ave", "0.3", "")]),
    ],
)
def test_items_are_told_apart(content: str, problems: list[str], items: list[tuple[str, ...]]) -> None:
    """Comma and semicolon mixed, blanks, empty values, text between slashes, conflicting flags."""
    (packet,) = decode(frame(f"DataTime=20260301080000;{content}"))
    assert list(packet.problems) == problems
    assert [tuple(reading) for reading in packet.readings] == items


def test_parameters_misprinted_with_a_comma_are_both_read() -> None:
    """Table C.23 prints a comma between BeginTime and EndTime."""
    (packet,) = decode(frame("BeginTime=20160801000000,EndTime=20160802000000", cn="2061"))
    assert packet.params == {"BeginTime": "20160801000000", "EndTime": "20160802000000"}


def test_text_is_read_in_the_encodings_that_devices_use() -> None:
    """UTF-8 as the standard says; GB18030 with a note; bytes that are neither do no harm."""
    for encoding, problems in (("utf-8", ()), ("gb18030", ("text_encoding",))):
        content = "DataTime=20260301080000;i11001-Info=//清洗//".encode(encoding)
        data = segment("").replace(b"&&&&", b"&&" + content + b"&&")
        (packet,) = decode(frame_bytes(data))
        assert packet.readings[0].value == "//清洗//"
        assert packet.problems == problems
    (packet,) = decode(frame_bytes(segment("").replace(b"&&&&", b"&&a-Rtd=\xff\xff&&")))
    assert packet.problems == ("text_encoding",)


@given(st.binary(max_size=300))
def test_no_data_segment_breaks_the_decoder(data: bytes) -> None:
    """Arbitrary bytes, framed and as the content of a packet of each edition, come out as packets."""
    assert len(list(decode(frame_bytes(data)))) == 1
    for flag in ("4", "8"):
        whole = segment("", flag=flag)[:-2] + data + b"&&"
        assert len(list(decode(frame_bytes(whole), key=KEY))) == 1


def encrypted(content: str, *, given: bytes | None = None) -> bytes:
    """A frame of the 2025 edition with its content encrypted under ``KEY``."""
    plain = segment(content, flag="8")
    begin = plain.index(b"CP=&&") + 5
    data = plain[:begin] + Sm4(KEY).encrypt_whole_blocks(plain[begin:-2]) + b"&&"
    return b"##%04d%b%b\r\n" % (len(plain), data, given or b"%04X" % crc.annex_a(plain))


def test_encrypted_content_is_read_with_its_key_alone() -> None:
    """The checksum is one of the plaintext; without the key there is no verdict, with another one it is bad."""
    content = "DataTime=20260301080000;w01018-Avg=40.1,w01018-Flag=N"
    (packet,) = decode(encrypted(content), key=KEY)
    assert (packet.problems, verdict_name(packet.crc_verdict), packet.content) == ((), "ANNEX_A", content)
    assert "encrypted" in packet.notes
    (packet,) = decode(encrypted(content))
    assert (packet.problems, verdict_name(packet.crc_verdict)) == (("sm4_key_missing",), "")
    (packet,) = decode(encrypted(content), key=bytes(16))
    assert packet.content is None
    assert {"sm4_not_readable", "crc_bad"} <= set(packet.problems)
    (packet,) = decode(encrypted(content, given=b"0000"), key=KEY)
    assert packet.problems == ("crc_bad",)


def test_plain_packets_of_2025_need_no_key() -> None:
    """Content that is readable is taken as it is, with a key or without; RF is read."""
    for key in (None, KEY):
        (packet,) = decode(frame(flag="8", more="RF=1;"), key=key)
        assert packet.problems == ()
        assert packet.header["RF"] == "1"
        assert packet.readings[0].value == "40.1"


def test_lower_case_checksums_and_free_station_ids_are_only_noted() -> None:
    """What is common in the field is no fault of the data."""
    (packet,) = decode(frame(mn="88990000000014")[:-6] + b"%04x\r\n" % crc.annex_a(segment(mn="88990000000014")))
    assert packet.problems == ()
    assert set(packet.notes) <= {"mn_format", "crc_lower_case"}
    assert "mn_format" in packet.notes


@pytest.mark.parametrize(
    "data",
    [
        frame(),
        frame(more=f"pw={PASSWORD};"),
        frame(cn="1072", content=f"NewPW={PASSWORD}"),
        frame(cn="1014", content=f"anything={PASSWORD}"),
        frame(content=f"userPassword={PASSWORD},x-Rtd=1"),
        frame_bytes(segment().replace(b";PW=", b"PW=")),
        frame_bytes(segment().replace(b";PW=", b",PW=")),
        frame_bytes(segment().replace(b"PW=", b"PW")),
        frame_bytes(segment().replace(b"PW=", b"")),
        frame_bytes(segment().replace(b"PW=", b" Pw =")),
        frame_bytes(segment().replace(b"CP=&&", b"CP=&")),
        frame()[1:],
        frame()[:60],
        b"##0900" + frame()[6:],
        frame()[: frame().index(PASSWORD.encode()) + 3] + b"\r\n" + frame()[frame().index(PASSWORD.encode()) + 3 :],
        b"log: login PW=" + PASSWORD.encode() + b"\n" + frame(),
    ],
)
def test_the_password_leaves_with_nothing(data: bytes) -> None:
    """Neither packets nor their JSON nor their reprs hold it, wherever a device or a cut put it."""
    for packet in decode(data):
        shown = repr(packet) + json.dumps(to_json(packet))
        assert PASSWORD not in shown
        assert PASSWORD[3:] not in shown
    assert STATION in json.dumps([to_json(packet) for packet in decode(frame())])


@pytest.mark.parametrize(
    "whole",
    [
        frame(),
        frame()[1:],
        frame(cn="1072", content=f"NewPW={PASSWORD}"),
        frame(cn="1014", content=f"anything={PASSWORD}"),
    ],
)
def test_no_single_damage_shows_the_password(whole: bytes) -> None:
    """One byte lost, changed or too many, anywhere in a packet, does not carry the password into the open."""
    for place in range(len(whole)):
        for replacement in (b"", b";", b",", b"=", b"&", b"P", b"0", b" ", b"\n", b"\xff"):
            for end in (place, place + 1):
                damaged = whole[:place] + replacement + whole[end:]
                for packet in decode(damaged):
                    assert PASSWORD not in repr(packet), damaged
