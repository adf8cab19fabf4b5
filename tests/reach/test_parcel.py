"""A parcel proves itself: whole and signed by the peer for us, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.flows.reach.parcel import (
    MAX_PARCEL_BYTES,
    ParcelIncompleteError,
    ParcelRefusedError,
    open_parcel,
    seal,
)
from exchange.storage.files.spool import MAX_SET_ASIDE, Spool
from exchange.v1.relay_service_pb2 import HelloRequest, Parcel, PeerRequest, Run
from tests.world import FEDERATION, keyring

NOW = datetime.now(UTC)


def parcel(sender: str = "cq", receiver: str = "sc", federation: str = FEDERATION) -> Parcel:
    """A hello of cq's to sc."""
    made = Parcel(federation=federation, sender=sender, receiver=receiver, run=Run(id=bytes(16)))
    made.at.FromDatetime(NOW)
    made.run.began.FromDatetime(NOW)
    made.request.CopyFrom(PeerRequest(ticket=bytes(16), hello=HelloRequest(node="cq")))
    return made


def opened(data: bytes, now: datetime = NOW) -> Parcel:
    """As sc opens it."""
    return open_parcel(data, federation=FEDERATION, receiver="sc", peer=keyring("cq").peer_for("sc"), now=now)


def test_what_was_sealed_is_opened() -> None:
    """Also by who has never heard of the key: its chain comes along, its root is on the card."""
    assert opened(seal(parcel(), keyring("cq").signer)) == parcel()


def test_a_cut_parcel_is_incomplete_wherever_it_was_cut() -> None:
    """It may still grow; it is never taken, and never taken for something else."""
    data = seal(parcel(), keyring("cq").signer)
    for length in range(len(data)):
        with pytest.raises(ParcelIncompleteError):
            opened(data[:length])


def test_a_changed_parcel_is_refused_wherever_it_was_changed() -> None:
    """No byte of it can be another one."""
    data = seal(parcel(), keyring("cq").signer)
    for at in range(0, len(data), 7):
        with pytest.raises((ParcelRefusedError, ParcelIncompleteError)):
            opened(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
    with pytest.raises(ParcelRefusedError):
        opened(data + b"\n")


@pytest.mark.parametrize(
    ("fields", "signer"),
    [
        ({"sender": "sc"}, "cq"),
        ({"receiver": "cq"}, "cq"),
        ({"federation": "other.example"}, "cq"),
        ({}, "sc"),
    ],
)
def test_a_parcel_of_another_or_for_another_is_refused(fields: dict[str, str], signer: str) -> None:
    """Its signature must be by the peer's region, and it must say that it is of the peer and for us."""
    with pytest.raises(ParcelRefusedError):
        opened(seal(parcel(**fields), keyring(signer).signer))


def test_a_certificate_that_has_ended_signs_no_parcel() -> None:
    """What counts is now, not when it says that it was written."""
    with pytest.raises(ParcelRefusedError):
        opened(seal(parcel(), keyring("cq").signer), NOW + timedelta(days=4_000))


def test_a_length_beyond_the_limit_is_refused_before_it_is_waited_for() -> None:
    """Nobody waits for a file that would not be read."""
    with pytest.raises(ParcelRefusedError):
        opened(b"exchange-parcel/1 %d %b\n" % (MAX_PARCEL_BYTES + 1, b"0" * 64))


def test_the_oldest_of_what_is_set_aside_goes(tmp_path: Path) -> None:
    """A stranger's files can not fill the disk by being kept."""
    spool = Spool(tmp_path)
    spool.prepare()
    for number in range(MAX_SET_ASIDE + 5):
        (spool.folder / "in" / f"x{number}").write_bytes(b"x")
        spool.set_aside(f"x{number}", "PARCEL_REFUSED", number)
    held = sorted(spool.set_aside_names())
    assert len(held) == MAX_SET_ASIDE
    assert held[0].endswith(".x5.parcel-refused")
