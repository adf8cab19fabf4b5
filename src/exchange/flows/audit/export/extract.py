"""One record with everything that an offline check of it needs, as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from exchange.crypto.dsse import pae
from exchange.crypto.x509.certificates import load_der, to_pem
from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.flows.audit.export import papers
from exchange.flows.queries.exchanged.submissions import make_receipt
from exchange.flows.queries.ground.views import tombstone_of
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from exchange.storage.queries import records
from exchange.storage.registers import registers
from exchange.v1.key_announcement_pb2 import AnnouncedKey
from exchange.v1.record_service_pb2 import GetEnvelopeResponse, SignatureChain
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

_SM2: Final = bytes.fromhex("06082a811ccf5501822d")
"""The curve of SM2 (GM/T 0006: 1.2.156.10197.1.301) as a certificate names it."""

_SM2_ID: Final = "distid:1234567812345678"


@dataclass(frozen=True, slots=True)
class Extract:
    """A record's evidence.

    Attributes:
        answer: Envelope, entry, certificates and place, and the body unless a tombstone stands for it.
        receipt: Its tlog-proof; None while no checkpoint covers it.
        absent: Why an exported folder has no body, where it does not say by which tombstone.
    """

    answer: GetEnvelopeResponse
    receipt: bytes | None
    absent: str = ""

    def files(self) -> dict[str, bytes]:
        """Every file but envelope.json, by name.

        Raises:
            Refused: ``ENTRY_MALFORMED``: the entry holds no statement.
        """
        try:
            envelope = Envelope.FromString(self.answer.sealed.envelope)
            said = Statement.FromString(envelope.payload)
        except DecodeError:
            raise Refused([Problem("ENTRY_MALFORMED", self.answer.log, str(self.answer.index))]) from None
        chains = {each.keyid: tuple(each.certificates) for each in self.answer.chains}
        found = {
            "entry": self.answer.entry,
            "statement": envelope.payload,
            "pae": pae(envelope.payload_type, envelope.payload),
        }
        lines: list[str] = []
        for number, signature in enumerate(envelope.signatures, 1):
            found[f"signature-{number}"] = signature.sig
            if chain := chains.get(signature.keyid, ()):
                found[f"leaf-{number}.pem"] = _pem(chain[:1])
                if chain[1:]:
                    found[f"chain-{number}.pem"] = _pem(chain[1:])
                lines += _signature_lines(number, chain)
        if self.answer.sealed.HasField("body"):
            found["body"] = self.answer.sealed.body.record
            found["salt"] = self.answer.sealed.body.salt
            lines += ("xxd -p statement | tr -d '\\n' | grep -c \"$(cat salt body | sha256sum | cut -d' ' -f1)\"",)
        if self.receipt is not None:
            found["receipt"] = self.receipt
        found["手工核验.txt"] = papers.by_hand(
            record=said.record_id,
            revision=said.revision,
            log=self.answer.log,
            index=self.answer.index,
            tombstone=self.answer.tombstone.reason or self.absent,
            has_body="body" in found,
            lines=lines,
        )
        return found


def extract(database: Database, origin: str, record_id: str, revision: int) -> Extract:
    """Gather a record's evidence from a node's database.

    Args:
        database: The node's.
        origin: Node that stated the record.
        record_id: The record.
        revision: Which revision; 0 for the one that has effect.

    Raises:
        Refused: ``RECORD_REF_INVALID``, ``NOT_FOUND``.
    """
    raw = raw_id(record_id)
    if not raw:
        raise Refused([Problem("RECORD_REF_INVALID", "record", record_id[:36])])
    with database.read() as connection:
        row = records.of_record(connection, origin, raw, revision)
        if row is None:
            raise Refused([Problem("NOT_FOUND", "record", record_id)])
        head = log_store.head_by_id(connection, row.log_id)
        stored = log_store.entries_at(connection, row.log_id, [row.idx])[row.idx]
        envelope = LogEntry.FromString(stored.entry).envelope
        answer = GetEnvelopeResponse(entry=stored.entry, log=head.origin if head else "", index=row.idx)
        keys = registers.keys_of(connection)
        receipt, _ = make_receipt(connection, row.log_id, row.idx)
    for signature in Envelope.FromString(envelope).signatures:
        known = keys.get((origin, signature.keyid))
        if known is not None and (chain := AnnouncedKey.FromString(known.announced).chain):
            answer.chains.append(SignatureChain(keyid=signature.keyid, certificates=chain))
    first = Envelope.FromString(envelope).signatures[:1]
    if first and answer.chains and answer.chains[0].keyid == first[0].keyid:
        answer.certificates.extend(answer.chains[0].certificates)
    answer.sealed.envelope = envelope
    if row.tombstone:
        answer.tombstone.CopyFrom(tombstone_of(row))
    elif stored.body is not None and stored.salt is not None:
        answer.sealed.body.record = stored.body
        answer.sealed.body.salt = stored.salt
    return Extract(answer, receipt)


def _pem(chain: tuple[bytes, ...]) -> bytes:
    return b"".join(to_pem(load_der(der)) for der in chain)


def _signature_lines(number: int, chain: tuple[bytes, ...]) -> list[str]:
    files = f"-signature signature-{number} pae"
    key = f"openssl x509 -in leaf-{number}.pem -pubkey -noout > key-{number}.pem"
    if _SM2 in chain[0]:
        # OpenSSL applies the distinguishing id to one certificate of a path at a time.
        check = f"openssl dgst -sm3 -verify key-{number}.pem -sigopt {_SM2_ID} {files}"
        up = f"openssl verify -partial_chain -vfyopt {_SM2_ID}"
        above = f"chain-{number}.pem" if chain[1:] else "signing-roots.pem"
        links = [f"{up} -trusted {above} leaf-{number}.pem"]
        if chain[1:]:
            links.append(f"{up} -trusted signing-roots.pem chain-{number}.pem")
        return [key, check, *links]
    check = f"openssl dgst -sha256 -verify key-{number}.pem {files}"
    above = f"-untrusted chain-{number}.pem " if chain[1:] else ""
    return [key, check, f"openssl verify -CAfile signing-roots.pem {above}leaf-{number}.pem"]
