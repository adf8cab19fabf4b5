"""Digest leaves of row changes: what two databases agree on, whatever numbers their logs have."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256

from exchange.storage.registers.registers import NO_ENTRY, Change

ORIGINS = {3: "cq.exchange.example/registry/sc/1", 7: "cq.exchange.example/journal/1"}
OTHERS = {1: ORIGINS[3], 2: ORIGINS[7]}
SALT = bytes(range(32))
KEY = ("cq", b"\x01\xff", 2)
ROW = {
    "seq": 65_536,
    "origin": "cq",
    "record_id": b"\x01\xff",
    "revision": 2,
    "log_id": 3,
    "idx": 9,
    "mirrored_at": None,
    "natural_key": '渝环罚〔2026〕1号|"%7C',
    "newest": True,
}


def test_a_leaf_is_the_salted_digest_of_the_row_in_json() -> None:
    """SHA-256(HMAC-SHA-256(body salt, table ‖ key) ‖ row): bytes in hex, a log by its origin, the number left out."""
    salt = hmac.digest(SALT, b'records["cq","01ff",2]', "sha256")
    row = ["cq", "01ff", 2, ORIGINS[3], 9, None, ROW["natural_key"], True]
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    assert Change("records", KEY, ROW, SALT).leaf(ORIGINS) == sha256(salt + text.encode()).digest()
    assert Change("records", KEY, None, SALT).leaf(ORIGINS) == sha256(salt + b"-").digest()


def test_a_leaf_does_not_depend_on_the_numbers_of_logs() -> None:
    """Another database numbers its logs otherwise, and changes otherwise; in keys as in rows the origin is meant."""
    row = {"log_id": 7, "idx": 4, "token": "BODY", "decision_revision": 1}
    one = Change("waits", (7, 4), row).leaf(ORIGINS)
    assert one == Change("waits", (2, 4), row | {"log_id": 2}).leaf(OTHERS)
    assert one != Change("waits", (1, 4), row | {"log_id": 2}).leaf(OTHERS)
    assert one != Change("waits", (2, 4), row | {"log_id": 1}).leaf(OTHERS)
    assert Change("records", KEY, ROW).leaf(ORIGINS) == Change("records", KEY, ROW | {"log_id": 1, "seq": 1}).leaf(
        OTHERS
    )


def test_a_change_by_itself_stands_at_no_entry() -> None:
    """Its row was made of no body: it has no salt, and a key that is one number is part of what it hashes."""
    row = {"seq": 5, "origin": "cq"}
    change = Change("decisions", (5,), row)
    assert (change.place, change.salt) == (NO_ENTRY, b"")
    salt = hmac.digest(b"", b"decisions[5]", "sha256")
    assert change.leaf(ORIGINS) == sha256(salt + b'["cq"]').digest()
