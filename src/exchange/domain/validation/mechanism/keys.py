"""Key announcements: each key complete for its use, and what a new epoch goes on from."""

from __future__ import annotations

import re
from typing import Final

from exchange.domain.validation.findings import Findings, is_log_origin, numbers
from exchange.domain.validation.limits import CERTIFICATE_BYTES, CERTIFICATES, KEYS
from exchange.v1.key_announcement_pb2 import AnnouncedKey, Continues, KeyAnnouncement, KeyState, KeyUse

_USES = numbers(KeyUse)
_STATES = numbers(KeyState)
_VKEY = re.compile(r"[!-*,-~]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{4,}={0,2}")
_KEY_ID = re.compile(r"[!-~]{1,300}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ROOT_BYTES = 32
_VKEY_CHARACTERS = 4_096
CONTINUE_REASONS: Final = frozenset({"RESTORED_BOTH", "FORKED", "RETIRED"})
"""Why a log goes on in a new epoch."""


def check_key_announcement(found: Findings, body: KeyAnnouncement) -> None:
    """Check a key announcement."""
    keys = body.keys
    if not keys:
        found.add("FIELD_MISSING", "key_announcement.keys")
    elif len(keys) > KEYS:
        found.add("TOO_MANY_ITEMS", "key_announcement.keys", f"{len(keys)} > {KEYS}")
    else:
        seen: set[tuple[int, str]] = set()
        for number, key in enumerate(keys):
            place = f"key_announcement.keys[{number}]"
            _check_key(found, key, place)
            if (key.use, key.key_id) in seen:
                found.add("DUPLICATE_ITEM", place)
            seen.add((key.use, key.key_id))
    if body.HasField("continues"):
        _check_continues(found, body.continues)


def _check_key(found: Findings, key: AnnouncedKey, place: str) -> None:
    found.choice(key.state, _STATES, f"{place}.state")
    if found.choice(key.use, _USES, f"{place}.use"):
        if key.use == KeyUse.KEY_USE_SIGNING:
            _check_certified_key(found, key, place)
        elif key.use == KeyUse.KEY_USE_TLS_CA:
            _check_certified_key(found, key, place)
            if len(key.chain) > 1:
                found.add("KEY_INVALID", f"{place}.chain", "the root alone")
        else:
            _check_note_key(found, key, place)
    if not key.HasField("valid_from"):
        found.add("TIME_MISSING", f"{place}.valid_from")
    elif key.HasField("valid_until"):
        start, end = key.valid_from, key.valid_until
        if (end.seconds, end.nanos) <= (start.seconds, start.nanos):
            found.add("DATES_REVERSED", f"{place}.valid_until")


def _check_certified_key(found: Findings, key: AnnouncedKey, place: str) -> None:
    if not _HASH.fullmatch(key.key_id):
        found.add("KEY_INVALID", f"{place}.key_id")
    if key.vkey:
        found.add("KEY_INVALID", f"{place}.vkey")
    if not 1 <= len(key.chain) <= CERTIFICATES or not all(1 <= len(der) <= CERTIFICATE_BYTES for der in key.chain):
        found.add("KEY_INVALID", f"{place}.chain")


def _check_note_key(found: Findings, key: AnnouncedKey, place: str) -> None:
    if not _KEY_ID.fullmatch(key.key_id):
        found.add("KEY_INVALID", f"{place}.key_id")
    if len(key.vkey) > _VKEY_CHARACTERS or not _VKEY.fullmatch(key.vkey):
        found.add("KEY_INVALID", f"{place}.vkey")
    if key.chain:
        found.add("KEY_INVALID", f"{place}.chain")


def _check_continues(found: Findings, continues: Continues) -> None:
    if (
        not is_log_origin(continues.origin)
        or continues.size < 0
        or len(continues.root) != _ROOT_BYTES
        or continues.reason not in CONTINUE_REASONS
    ):
        found.add("CONTINUES_INVALID", "key_announcement.continues")
