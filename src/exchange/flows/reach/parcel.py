"""Parcels: one call or answer as a file. Whoever can put files there is not believed; only what is signed counts.

    exchange-parcel/1 1234 9f86d081…        length and SHA-256 of what follows: ``tail -n +2 FILE | sha256sum``
    <1,234 bytes: a SignedParcel>

The name is of lower-case letters, digits, hyphens and dots alone, whatever the file system: who, for whom, when in
microseconds, which call, its ticket, and whether it asks or answers. It orders files and tells copies apart; nothing is
believed for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.protobuf.message import DecodeError

from exchange.crypto import dsse
from exchange.crypto.dsse import Signer
from exchange.domain.problems import ExchangeError
from exchange.flows.context import Peer
from exchange.flows.instants import instant, is_instant, micros, micros_of
from exchange.v1.relay_service_pb2 import Parcel, SignedParcel
from exchange.v1.statement_pb2 import Envelope

PARCEL_TYPE: Final = "application/vnd.env-exchange.parcel.v1+protobuf"
"""Media type in the signature."""

MAX_PARCEL_BYTES: Final = 6 << 20
"""Bytes of one file: the protocol's 4 MiB of entries and bodies, and what frames them."""

MAX_NAME: Final = 160
"""Characters of a name: two nodes' names of 63, and what follows them."""

ASK, ANSWER = "ask", "ans"
"""Endings of names: a call, an answer."""

_MAGIC: Final = b"exchange-parcel/1"
_NAME = re.compile(
    r"(?P<from>[a-z][a-z0-9-]{0,62})\.(?P<to>[a-z][a-z0-9-]{0,62})\.(?P<at>[0-9]{16})\.(?P<verb>[a-z-]{4,20})"
    r"\.(?P<ticket>[0-9a-f]{32})\.(?P<kind>ask|ans)",
    re.ASCII,
)
_FIRST = re.compile(rb"exchange-parcel/1 ([1-9][0-9]{0,7}) ([0-9a-f]{64})")
_FIRST_BYTES = 100


class ParcelIncompleteError(ExchangeError):
    """The file is shorter than it says: it may still be on its way."""

    reason = "PARCEL_INCOMPLETE"


class ParcelRefusedError(ExchangeError):
    """The file is no parcel for us by this peer."""

    reason = "PARCEL_REFUSED"


@dataclass(frozen=True, slots=True)
class ParcelName:
    """What a name says.

    Attributes:
        at: When it was written, in microseconds.
        verb: The call, with hyphens.
        ticket: Of the call, in hex.
        kind: ``ask`` or ``ans``.
    """

    sender: str
    receiver: str
    at: int
    verb: str
    ticket: str
    kind: str

    def __str__(self) -> str:
        return f"{self.sender}.{self.receiver}.{self.at:016d}.{self.verb}.{self.ticket}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> ParcelName | None:
        """The parts of a name; None for any other."""
        found = _NAME.fullmatch(text) if len(text) <= MAX_NAME else None
        if found is None:
            return None
        return cls(found["from"], found["to"], int(found["at"]), found["verb"], found["ticket"], found["kind"])


def name_of(parcel: Parcel) -> ParcelName:
    """The name under which a parcel is written."""
    asks = parcel.WhichOneof("content") == "request"
    content = parcel.request if asks else parcel.answer
    verb = parcel.request.WhichOneof("request") if asks else parcel.answer.WhichOneof("answer")
    return ParcelName(
        parcel.sender,
        parcel.receiver,
        micros_of(parcel.at),
        (verb or "none").replace("_", "-"),
        content.ticket.hex(),
        ASK if asks else ANSWER,
    )


def seal(parcel: Parcel, signer: Signer) -> bytes:
    """A parcel as the bytes of a file."""
    return _sealed(parcel.SerializeToString(), signer)


def seal_anew(data: bytes, signer: Signer) -> bytes:
    """The same parcel, signed by another key of ours.

    Raises:
        ParcelRefusedError: The file is no parcel.
    """
    try:
        return _sealed(SignedParcel.FromString(data.partition(b"\n")[2]).envelope.payload, signer)
    except DecodeError:
        raise ParcelRefusedError("not readable") from None


def _sealed(payload: bytes, signer: Signer) -> bytes:
    envelope = Envelope(payload=payload, payload_type=PARCEL_TYPE, signatures=[dsse.sign(signer, payload, PARCEL_TYPE)])
    content = SignedParcel(envelope=envelope, chain=signer.chain).SerializeToString()
    return b"%b %d %b\n%b" % (_MAGIC, len(content), hashlib.sha256(content).hexdigest().encode(), content)


def open_parcel(data: bytes, *, federation: str, receiver: str, peer: Peer, now: datetime) -> Parcel:
    """What a file carries.

    1. The first line says how much follows and its digest: so much follows, and has it.
    2. It is signed by a signing key of the peer's region that is valid now.
    3. It is of this federation, by that peer, for us.
    4. Its times are instants, and its process and ticket are named.

    Raises:
        ParcelIncompleteError: Less follows than the first line says.
        ParcelRefusedError: Anything else is wrong; the text says what.
    """
    # 1
    line, found, content = data[:_FIRST_BYTES].partition(b"\n")
    head = _FIRST.fullmatch(line)
    if not found:
        if _could_begin(line):
            raise ParcelIncompleteError
        raise ParcelRefusedError("no parcel")
    if head is None:
        raise ParcelRefusedError("no parcel")
    content = data[len(line) + 1 :]
    length = int(head[1])
    if length > MAX_PARCEL_BYTES:
        raise ParcelRefusedError("too large")
    if len(content) < length:
        raise ParcelIncompleteError
    if len(content) > length or hashlib.sha256(content).hexdigest().encode() != head[2]:
        raise ParcelRefusedError("its digest is another one")
    # 2
    try:
        signed = SignedParcel.FromString(content)
        parcel = Parcel.FromString(signed.envelope.payload)
    except DecodeError:
        raise ParcelRefusedError("not readable") from None
    if not peer.signing.vouches(signed.envelope, PARCEL_TYPE, _chain(signed.chain), now):
        raise ParcelRefusedError("not signed by the peer")
    # 3
    if (parcel.federation, parcel.sender, parcel.receiver) != (federation, peer.name, receiver):
        raise ParcelRefusedError("for another node")
    # 4
    if not is_instant(parcel.at) or not is_instant(parcel.run.began) or len(parcel.run.id) != _RUN_BYTES:
        raise ParcelRefusedError("not readable")
    content_kind = parcel.WhichOneof("content")
    if content_kind is None or len(getattr(parcel, content_kind).ticket) != _TICKET_BYTES:
        raise ParcelRefusedError("not readable")
    return parcel


_RUN_BYTES = _TICKET_BYTES = 16


def _could_begin(line: bytes) -> bool:
    """Whether a first line that has not ended yet may become one."""
    whole = _MAGIC + b" "
    return len(line) < _FIRST_BYTES and (line.startswith(whole) or whole.startswith(line))


def _chain(given: Sequence[bytes]) -> Sequence[bytes]:
    return given[: dsse.MAX_CHAIN + 1]


def written_at(parcel: Parcel) -> datetime:
    """When a parcel was written, by its writer's clock."""
    return instant(micros_of(parcel.at))


def began(parcel: Parcel) -> int:
    """When the process began that wrote a parcel, in microseconds."""
    return micros(instant(micros_of(parcel.run.began)))
