"""An auditor's own program: receipts and envelopes by hashlib, a signature library and ``openssl``, by nothing of ours.

It knows the formats from their specifications: C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof,
RFC 6962, DSSE, and the three protobuf messages around a statement; and what a node's card says of keys.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE, COSIGNATURE = 0x01, 0x04
PAYLOAD_TYPE = b"application/vnd.env-exchange.statement.v1+protobuf"


class NotProvenError(AssertionError):
    """A step failed; the text says which."""


@dataclass(frozen=True, slots=True)
class CardKey:
    """A key that a card names.

    Attributes:
        use: log, mirror or witness.
        until: End of its use; None while open.
    """

    use: str
    since: datetime
    until: datetime | None
    name: str
    alg: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """C2SP signed-note."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((self.alg,)) + self.public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a receipt proves.

    Attributes:
        entry: The log entry.
        cosigned_at: The mirror's time.
    """

    entry: bytes
    origin: str
    index: int
    cosigned_at: datetime


def card_keys(card: str, *, open_only: bool = False) -> list[CardKey]:
    """The keys of a card; ``open_only`` leaves those out that have ended."""
    found = []
    for line in card.split("\n\n", maxsplit=1)[0].splitlines():
        if line.startswith("key "):
            _, use, since, until, vkey = line.split(" ")
            name, key_id, raw = vkey.split("+", 2)
            data = base64.b64decode(raw, validate=True)
            key = CardKey(use, _instant(since), None if until == "-" else _instant(until), name, data[0], data[1:])
            if key.key_id.hex() != key_id:
                raise NotProvenError(f"the card's key id of {name} is not that of its key")
            found.append(key)
    return [key for key in found if key.until is None] if open_only else found


def verify_receipt(receipt: bytes, log_keys: Sequence[CardKey], mirror_keys: Sequence[CardKey]) -> Proven:
    """A tlog-proof: path, log's signature, mirror's cosignature within the time in which its key was in use."""
    head, empty, note = receipt.decode().partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not empty:
        raise NotProvenError("no tlog-proof")
    entry = base64.b64decode(lines[1].removeprefix("extra "), validate=True)
    index = int(lines[2].removeprefix("index "))
    path = [base64.b64decode(each, validate=True) for each in lines[3:]]
    body, _, signatures = note.partition("\n\n")
    text = f"{body}\n".encode()
    origin, size, root = body.split("\n")
    if _root(entry, index, int(size), path) != base64.b64decode(root, validate=True):
        raise NotProvenError("the path does not lead to the root")
    signed, cosigned = False, []
    for line in signatures.splitlines():
        _, name, raw = line.split(" ")
        data = base64.b64decode(raw, validate=True)
        key_id, signature = data[:4], data[4:]
        for key in log_keys:
            if (key.use, key.alg, key.name, key.key_id) == ("log", NOTE, origin, key_id) and name == origin:
                signed |= _verifies(key.public, signature, text)
        for key in mirror_keys:
            if (key.use, key.alg, key.name, key.key_id) == ("mirror", COSIGNATURE, name, key_id):
                seconds = int.from_bytes(signature[:8], "big")
                at = datetime.fromtimestamp(seconds, UTC)
                message = f"cosignature/v1\ntime {seconds}\n".encode() + text
                in_use = key.since <= at and (key.until is None or at <= key.until)
                if in_use and _verifies(key.public, signature[8:], message):
                    cosigned.append(at)
    if not signed:
        raise NotProvenError("no key of the log signed the checkpoint")
    if not cosigned:
        raise NotProvenError("no mirror key cosigned the checkpoint while it was in use")
    return Proven(entry, origin, index, min(cosigned))


def verify_envelope(entry: bytes, certificates: bytes, roots: bytes, folder: Path) -> bytes:
    """The statement's bytes, once ``openssl`` has verified their signature and the chain at the logged time.

    Args:
        entry: A log entry.
        certificates: PEM of the signing certificate and its intermediates.
        roots: PEM of the region's signing roots.
        folder: For openssl's files.
    """
    logged = _fields(entry)
    envelope = _fields(logged[2][0])
    payload = envelope[1][0]
    if envelope[2][0] != PAYLOAD_TYPE:
        raise NotProvenError("another payload type")
    pae = b" ".join(
        (b"DSSEv1", b"%d" % len(PAYLOAD_TYPE), PAYLOAD_TYPE, b"%d" % len(payload), payload),
    )
    seconds = _fields(logged[3][0])[1][0]
    (folder / "chain.pem").write_bytes(certificates)
    (folder / "roots.pem").write_bytes(roots)
    (folder / "signed.bin").write_bytes(pae)
    (folder / "signature.der").write_bytes(_fields(envelope[3][0])[2][0])
    _openssl(
        folder, "verify", "-attime", str(int(seconds)), "-CAfile", "roots.pem", "-untrusted", "chain.pem", "chain.pem"
    )
    (folder / "key.pem").write_bytes(_openssl(folder, "x509", "-in", "chain.pem", "-pubkey", "-noout"))
    _openssl(folder, "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature.der", "signed.bin")
    return payload


def _openssl(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        raise NotProvenError(f"openssl {arguments[0]}: {done.stdout.decode()}{done.stderr.decode()}")
    return done.stdout


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _root(entry: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        raise NotProvenError("the index lies beyond the checkpoint")
    node, last = hashlib.sha256(b"\x00" + entry).digest(), size - 1
    for each in path:
        if last == 0:
            raise NotProvenError("the path is too long")
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + each + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + each).digest()
        index, last = index >> 1, last >> 1
    if last:
        raise NotProvenError("the path is too short")
    return node


def _fields(message: bytes) -> dict[int, list[bytes]]:
    """The fields of a protobuf message: varints as their decimal text."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        elif tag & 7 == 0:
            number, at = _varint(message, at)
            value = b"%d" % number
        else:
            raise NotProvenError("a field of another wire type")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
