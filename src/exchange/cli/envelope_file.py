"""An exported envelope as a file: DSSE in its JSON form, and beside it what else an offline check needs."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from exchange.domain.problems import Problem, Refused
from exchange.v1.statement_pb2 import Envelope, LogEntry

if TYPE_CHECKING:
    from exchange.v1.record_service_pb2 import GetEnvelopeResponse

FORMAT: Final = "exchange-envelope/v1"
"""Value of the key ``format``."""

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""Bytes: a body of 1 MiB and an entry in base64, and certificates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedEnvelope:
    """What the file holds; nothing in it has been verified.

    Attributes:
        envelope: Serialized ``Envelope``, as logged.
        entry: Serialized ``LogEntry``.
        record: Body, exact bytes; None where it is withheld or erased.
        salt: Its salt.
        chains: Certificates of each signature whose key was known: DER, leaf first.
        log: Origin of the log.
        index: Index within it.
    """

    envelope: bytes
    entry: bytes
    record: bytes | None
    salt: bytes
    chains: tuple[tuple[bytes, ...], ...]
    log: str
    index: int


def write_envelope(answer: GetEnvelopeResponse) -> str:
    """The file's text."""
    envelope = Envelope.FromString(answer.sealed.envelope)
    body: dict[str, object] = {
        "format": FORMAT,
        "envelope": {
            "payloadType": envelope.payload_type,
            "payload": _encode(envelope.payload),
            "signatures": [{"keyid": s.keyid, "sig": _encode(s.sig)} for s in envelope.signatures],
        },
        "envelope_bytes": _encode(answer.sealed.envelope),
        "entry": _encode(answer.entry),
        "log": answer.log,
        "index": answer.index,
        "certificates": [_encode(der) for der in answer.certificates],
        "chains": [
            {"keyid": chain.keyid, "certificates": [_encode(der) for der in chain.certificates]}
            for chain in answer.chains
        ],
    }
    if answer.HasField("tombstone"):
        body["tombstone"] = {"reason": answer.tombstone.reason, "since": answer.tombstone.since}
    else:
        body["body"] = {"record": _encode(answer.sealed.body.record), "salt": _encode(answer.sealed.body.salt)}
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"


def read_envelope(data: bytes) -> ExportedEnvelope:
    """Read the file.

    Raises:
        Refused: ``ENVELOPE_FILE``: not such a file; or its JSON form and its bytes say different things.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _refused("", f"more than {MAX_FILE_BYTES} bytes")
    try:
        tree = json.loads(data)
        if not isinstance(tree, dict) or tree.get("format") != FORMAT:
            raise _refused("format", f"must be {FORMAT}")
        body = tree.get("body")
        found = ExportedEnvelope(
            envelope=_decode(tree["envelope_bytes"]),
            entry=_decode(tree["entry"]),
            record=_decode(body["record"]) if body is not None else None,
            salt=_decode(body["salt"]) if body is not None else b"",
            chains=_read_chains(tree),
            log=str(tree["log"]),
            index=int(tree["index"]),
        )
        shown = tree["envelope"]
        message = Envelope.FromString(found.envelope)
        same = (
            shown["payloadType"] == message.payload_type
            and _decode(shown["payload"]) == message.payload
            and [(s["keyid"], _decode(s["sig"])) for s in shown["signatures"]]
            == [(s.keyid, s.sig) for s in message.signatures]
        )
        logged = LogEntry.FromString(found.entry).envelope
    except (KeyError, TypeError, ValueError, RecursionError, DecodeError) as error:
        raise _refused("", f"not an exported envelope: {type(error).__name__}") from None
    if not same:
        raise _refused("envelope", "the JSON form and the bytes differ")
    if logged != found.envelope:
        raise _refused("entry", "the entry holds another envelope")
    return found


def _read_chains(tree: dict[str, Any]) -> tuple[tuple[bytes, ...], ...]:
    """Every chain of the file; one that names only that of the first signature is read as well."""
    first = tuple(_decode(der) for der in tree["certificates"])
    named = tuple(tuple(_decode(der) for der in chain["certificates"]) for chain in tree.get("chains", ()))
    return named or ((first,) if first else ())


def _refused(place: str, detail: str) -> Refused:
    return Refused([Problem("ENVELOPE_FILE", place, detail)])


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("not a text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
