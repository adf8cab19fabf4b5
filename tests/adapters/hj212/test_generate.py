"""Made-up recordings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exchange_hj212 import decode
from exchange_hj212.decode import edition_name, verdict_name
from exchange_hj212.generate import KEY, generate, main

ADAPTERS = Path(__file__).parents[3] / "adapters"
SOURCES = Path(__file__).parents[3] / "src"


def test_the_same_seed_gives_the_same_recording() -> None:
    """Also from the command line; another seed gives another."""
    made = b"".join(generate(50, 7))
    command = [sys.executable, "-m", "exchange_hj212.generate", "50", "7"]
    environment = {"PYTHONPATH": f"{SOURCES}:{ADAPTERS}"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=60)
    assert done.stdout == made
    assert b"".join(generate(50, 8)) != made


def test_a_recording_has_every_edition_and_the_usual_faults() -> None:
    """Enough of each for a benchmark to mean something."""
    packets = list(decode(b"".join(generate(2000, 1)), key=KEY))
    assert abs(len(packets) - 2000) < 20
    assert {edition_name(packet.edition) for packet in packets} >= {"2005", "2017", "2025"}
    assert {verdict_name(packet.crc_verdict) for packet in packets} >= {
        "ANNEX_A",
        "MODBUS",
        "MODBUS_BYTESWAPPED",
        "BAD",
    }
    faults = {problem for packet in packets for problem in packet.problems}
    assert faults >= {"no_crlf", "length_mismatch", "missing_QN", "missing_Flag", "truncated", "bad_header"}


def test_a_clean_recording_has_no_faults() -> None:
    """Every packet is whole."""
    packets = list(decode(b"".join(generate(500, 1, clean=True))))
    assert len(packets) == 500
    assert not any(packet.problems or packet.skipped for packet in packets)


def test_senseless_arguments_are_refused() -> None:
    """Exit status 2 and a line of usage."""
    for arguments in ([], ["5"], ["five", "1"], ["1", "2", "3"], ["-1", "2"]):
        assert main(arguments) == 2
