"""Signing with the agency's own keys, on the agency's machine: finished envelopes instead of what the node would seal.

Documents are mapped here, by the adapters and tables of this installation. Where they are of another edition than the
node's, the record is what this edition made of the row: its provenance names adapter and edition, and the node
validates what it says by its own tables. What can not be mapped here never reaches the node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from exchange.cli.sending.plan import Wishes, document_calls, record_items
from exchange.cli.sending.tally import RowResult
from exchange.crypto.agency_keys import seal_as_agency
from exchange.crypto.dsse import Signer
from exchange.crypto.keys import KeyFile, KeyUnreadable, generate_salt
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509.certificates import identity_of, load_chain, load_der
from exchange.domain import kinds
from exchange.domain.adapter import Adapter, DocumentReading, NativeDocument
from exchange.domain.problems import DocumentRefused, Problem
from exchange.flows.instants import micros
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.native import choose_adapter, native_document
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitDocumentRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """What makes our envelopes.

    Attributes:
        signers: Our signing keys: one, or one of each algorithm.
        origin: Node whose region states our records.
        federation: Domain of the federation.
        addressees: Nodes that the records are for; none for the local log.
        adapters: What maps documents here, by name.
    """

    signers: tuple[Signer, ...]
    origin: str
    federation: str
    addressees: tuple[str, ...]
    adapters: Mapping[str, Adapter]

    def submission(self, row: Row, now: datetime) -> RecordSubmission:
        """One record as it is submitted: with record id, revision and edition, signed.

        Args:
            row: The record.
            now: Stated time, and that of a new record id.
        """
        record = Record()
        record.CopyFrom(row.record)
        header = record.header
        header.record_id = row.record_id or header.record_id or str(new_id(now))
        header.revision = row.revision or header.revision or 1
        header.kind_edition = header.kind_edition or kinds.KIND_EDITION
        sealed = seal_as_agency(
            record,
            *self.signers,
            federation=self.federation,
            origin=self.origin,
            addressees=self.addressees,
            now=now,
        )
        return RecordSubmission(idempotency_key=row.key, sealed=sealed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One record on its way to be signed.

    Attributes:
        number: Row of its document, or place in its file.
        place: Cell, line or byte within the file.
        by_key: Its document knows no record ids: a fact that is stated already is the existing record, or its next
            revision.
        record_id: Record that it states anew; empty: as the record says, or a new one.
        revision: Revision of that record; 0: as the record says, or the first.
        joined: Places of the other rows of the same record.
    """

    number: int
    place: str
    key: str
    record: Record
    left_out: tuple[Problem, ...] = ()
    by_key: bool = True
    record_id: str = ""
    revision: int = 0
    joined: tuple[str, ...] = ()

    def of(self, record_id: str, revision: int) -> Row:
        """The same row as that revision of a record."""
        return replace(self, record_id=record_id, revision=revision)


def read_signers(keys: Sequence[Path], certificates: Sequence[Path], now: datetime) -> tuple[Signer, ...]:
    """Our signing keys, each with its certificate.

    Args:
        keys: Key files; one that has no certificate takes the next one of ``certificates``.
        certificates: PEM.
        now: Aware instant: a certificate that is not valid now would only be refused.

    Raises:
        KeyUnreadable: No key of a kind that signs, a certificate missing, left over, not the key's or not valid now;
            or two keys of one algorithm.
        CertificateUnreadable: A certificate does not parse.
        LibcryptoMissing: An SM2 key on a system that can not use it.
    """
    left = list(certificates)
    signers: list[Signer] = []
    for path in keys:
        pem = path.read_bytes()
        if not KeyFile.parse(pem).chain:
            if not left:
                raise KeyUnreadable(f"{path}: the file holds no certificate: name it by --sign-cert")
            pem = pem.rstrip() + b"\n" + left.pop(0).read_bytes()
        signer = read_signer(pem)
        leaf = load_der(signer.chain[0])
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise KeyUnreadable(f"{path}: its certificate is valid until {leaf.not_valid_after_utc:%Y-%m-%d}")
        signers.append(signer)
    if left:
        raise KeyUnreadable(f"{left[0]}: no key file lacks this certificate")
    if len({signer.algorithm for signer in signers}) != len(signers):
        raise KeyUnreadable("two keys of one algorithm")
    return tuple(signers)


def node_of(certificate: Path) -> str:
    """Node and domain that a client certificate names, as in ``cq.exchange.example``; empty where it names none.

    Raises:
        CertificateUnreadable: It does not parse.
        KeyUnreadable: A key stands in the file that can not be read.
    """
    pem = certificate.read_bytes()
    # One file may hold the key as well: a profile names it twice then.
    chain = KeyFile.parse(pem).chain if b"PRIVATE KEY-----" in pem else pem
    identity = identity_of(load_chain(chain)[0])
    return identity.removeprefix("spiffe://").partition("/")[0] if identity else ""


def typed_rows(path: Path, wishes: Wishes) -> Iterator[Row | RowResult]:
    """The typed records of a file; what is none is answered already.

    Raises:
        Refused: ``FILE_TYPE``: not JSON.
    """
    for number, item in enumerate(record_items(path, wishes), start=1):
        if item.submission is None:
            problems = (item.problem,) if item.problem is not None else ()
            yield RowResult(row=number, place=item.place, result="REFUSED", problems=problems)
            continue
        made = item.submission
        key = made.idempotency_key if wishes.key else f"s{made.idempotency_key.removeprefix('r')}"
        yield Row(number=number, place=item.place, key=key, record=made.record, by_key=False)


def mapped_parts(path: Path, content: bytes, wishes: Wishes, seal: Seal, now: datetime) -> Iterator[DocumentReading]:
    """What the adapter makes of a document, or of each part of a recording.

    Raises:
        Refused: The document as a whole is refused; ``ADAPTER_AMBIGUOUS`` where several adapters recognise it.
    """
    for request in document_calls(path, content, wishes):
        document = native_document(request, request.content, received_at=micros(now), salt=generate_salt())
        yield _adapter_of(request, document, seal).read(document)


def _adapter_of(request: SubmitDocumentRequest, document: NativeDocument, seal: Seal) -> Adapter:
    # A node prefers the adapter of its own side; which side that is, nobody knows here.
    if not request.adapter:
        known = sorted(name for name, adapter in seal.adapters.items() if adapter.recognises(document))
        if len(known) > 1:
            raise DocumentRefused([Problem("ADAPTER_AMBIGUOUS", request.file_name, ", ".join(known))])
    return choose_adapter(seal.adapters, request.adapter, "", document)


def mapped_rows(reading: DocumentReading, content: bytes, wishes: Wishes) -> Iterable[Row | RowResult]:
    """The rows of a reading; one that can not be mapped is refused here, with the adapter's reasons.

    A key follows from document, row and what the row was mapped to: the same file again is the same calls, and tables
    that were completed meanwhile make others.
    """
    document = hashlib.sha256(content).digest()
    for row in reading.rows:
        if row.record is None:
            yield RowResult(row=row.row, place=row.place, result="REFUSED", problems=row.problems, joined=row.joined)
            continue
        said = kinds.content_bytes(row.record)
        made = f"s-{wishes.digest(document, str(row.row).encode(), said)}"
        key = f"{wishes.key}/{row.row}" if wishes.key else made
        yield Row(number=row.row, place=row.place, key=key, record=row.record, left_out=row.left_out, joined=row.joined)
