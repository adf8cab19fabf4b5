"""One function for each parser that takes bytes of strangers. It returns, or fails: every law is an assert.

An error of ours (``ExchangeError``) is an answer. Whatever else leaves a parser is a finding.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType

from google.protobuf.message import DecodeError

from exchange.app.adapters import find_adapters
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.trusted.trust import MANIFEST, PEER, TrustSet, unpack, write_manifest
from exchange.crypto.x509.certificates import (
    Certificate,
    facts_of,
    identity_of,
    load_chain,
    load_der,
    spki_hash,
    to_der,
)
from exchange.crypto.x509.chains import Purpose, find_paths
from exchange.crypto.x509.revocation import Revocations
from exchange.domain import kinds
from exchange.domain.adapter import Adapter, NativeDocument
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.problems import DocumentRefused, ExchangeError
from exchange.domain.recognising.recognition import DecisionContext, RuleSet
from exchange.domain.record_index import index_of, is_recognised_kind
from exchange.domain.validate import validate
from exchange.flows.apply.entry import read_entry
from exchange.storage.logs.log_store import StoredEntry
from exchange.tables import read_all
from exchange.tlog import checkpoint, note, proof
from exchange.v1.common_pb2 import Authority
from exchange.v1.record_pb2 import Record
from exchange_forms.adapter import FormsAdapter
from exchange_hj212.decode import decode, to_json
from exchange_hj212.frame import FrameReader, read_frames
from exchange_sheets.book import Cell, CellKind
from exchange_sheets.opening import open_book
from exchange_sheets.package import Package
from exchange_sheets.table import find_table
from exchange_sheets.xlsx_parts import SheetPart, pack
from exchange_sheets.xlsx_reading import read_parts

SEEDS = Path(__file__).parent / "seeds"
NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
TODAY = date(2026, 3, 1)
AUTHORITY = Authority(uscc="11500000MB1614741U", name="演示市生态环境局")


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under fire.

    Attributes:
        run: Takes the bytes; fails when a law is broken.
        max_bytes: Longest input that is tried: what the parser accepts, or enough of it.
    """

    name: str
    run: Callable[[bytes], None]
    max_bytes: int

    def seeds(self) -> list[bytes]:
        """Its committed examples."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())]


@cache
def _tables() -> Tables:
    return load(read_all())


@cache
def _rules() -> RuleSet:
    return RuleSet.load(read_all()["rules/recognition.toml"])


@cache
def _adapters() -> Mapping[str, Adapter]:
    return find_adapters(_tables(), {})


@cache
def _trust() -> tuple[tuple[Certificate, ...], SigningTrust]:
    roots = (SEEDS / "roots.pem").read_bytes()
    chain = load_chain((SEEDS / "certificate" / "signing.pem").read_bytes())
    announced = SigningChain(certificates=tuple(to_der(each) for each in chain))
    trust = SigningTrust.build(node="cq", domain="exchange.example", roots=roots, chains=[announced])
    return load_chain(roots), trust


def hj212(data: bytes) -> None:
    """Packets: every byte is in a frame or skipped, however the stream is cut."""
    whole = list(read_frames(data))
    reader = FrameReader()
    cut = len(data) // 3
    pieces = [*reader.feed(data[:cut]), *reader.feed(data[cut:]), *reader.close()]
    assert pieces == whole
    for packet in decode(data):
        to_json(packet)


def signed_note(data: bytes) -> None:
    """Signed notes: one spelling only."""
    try:
        read = note.parse(data)
    except ExchangeError:
        return
    assert read.to_bytes() == data


def log_checkpoint(data: bytes) -> None:
    """Checkpoints: one spelling only."""
    try:
        signed, read = checkpoint.parse_note(data)
    except ExchangeError:
        return
    assert signed.to_bytes() == data
    assert read.text() == signed.text


def tlog_proof(data: bytes) -> None:
    """Receipts: one spelling only."""
    try:
        read = proof.parse(data)
    except ExchangeError:
        return
    assert read.to_bytes() == data
    read.includes(b"entry")


def envelope(data: bytes) -> None:
    """Envelopes and log entries: a verdict, never an error."""
    _, trust = _trust()
    verdict = trust.verify(data, NOW)
    assert (verdict.status is VerdictStatus.VALID) == (verdict.verified is not None)
    entry = read_entry(StoredEntry(0, data, None, None, None), 0)
    if entry.statement is not None:
        trust.verify(entry.envelope, NOW)


def record(data: bytes) -> None:
    """Bodies: every broken rule named; what breaks none can be keyed, indexed and decided."""
    try:
        read = Record.FromString(data)
    except DecodeError:
        return
    problems = validate(read, _tables(), today=TODAY)
    if problems:
        assert all(problem.reason in _tables().reasons.codes for problem in problems)
        return
    kind = kinds.kind_of(read)
    kinds.natural_key(read)
    index_of(read)
    if is_recognised_kind(kind):
        context = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=True, kind=kind)
        _rules().decide(read, context)


def _document(name: str, data: bytes) -> None:
    """Read by one of the regions' adapters; the length chooses which, so that the same bytes mean the same run."""
    adapter = list(_adapters().values())[len(data) % len(_adapters())]
    document = NativeDocument(
        file_name=name, content=data, received_at=NOW, authority=AUTHORITY, purpose="互认", salt=bytes(32)
    )
    adapter.recognises(document)
    try:
        reading = adapter.read(document)
    except ExchangeError:
        return
    for row in reading.rows:
        assert (row.record is None) == bool(row.problems)
        if row.record is not None:
            validate(row.record, _tables(), today=TODAY)


@cache
def _headings() -> Mapping[str, str]:
    """Field by heading, of both sides' credit forms."""
    found: dict[str, str] = {}
    for adapter in _adapters().values():
        assert isinstance(adapter, FormsAdapter)
        found.update(adapter.tables.credit.layout.aliases)
    return MappingProxyType(found)


def csv(data: bytes) -> None:
    """CSV alone: encoding, cells, and the table among them; every row below the header is a fact or a remark."""
    try:
        book = open_book(data)
    except DocumentRefused:
        return
    for sheet in book.sheets:
        addresses = [cell.address for row in sheet.rows for cell in row.cells.values()]
        assert len(set(addresses)) == len(addresses)
        table = find_table(sheet, _headings(), required=(("name",),), identifying=("name", "uscc"))
        if table is not None:
            below = [row for row in sheet.rows if row.number > table.header]
            assert len(table.rows) + len(table.remarks) <= len(below)
            assert len({*table.columns.values()}) == len(table.columns)


def csv_rows(data: bytes) -> None:
    """CSV documents as an adapter maps them: rows with a record or with reasons, or the document refused."""
    _document("document.csv", data)


def json(data: bytes) -> None:
    """JSON documents: the same."""
    _document("document.json", data)


def xlsx(data: bytes) -> None:
    """Workbooks as archives: rows of text, or the document refused.

    Opened only: what the rows mean is asked with CSV and JSON, at a hundredth of the cost.
    """
    try:
        open_book(data)
    except DocumentRefused:
        return


PARTS = ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml", "[Content_Types].xml")
"""Parts of a workbook that the reader looks into; the first byte of the input chooses one."""


@cache
def _book() -> bytes:
    """A workbook of a few cells: small, because each input reads all but one of its parts again."""
    kinds_of_cells = [
        (CellKind.TEXT, "企业名称"),
        (CellKind.TEXT, "=1"),
        (CellKind.NUMBER, "45000"),
        (CellKind.BOOLEAN, "TRUE"),
        (CellKind.NO_VALUE, ""),
        (CellKind.DATE, "2026-03-01"),
    ]
    row = {at: (Cell(f"S!A{at}", text, kind), 1) for at, (kind, text) in enumerate(kinds_of_cells, start=1)}
    return pack([SheetPart(name="S", rows={1: row, 3: {2: row[1]}}, merges=("A1:B2",))])


_STYLES = b"""<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">
<numFmts><numFmt numFmtId="164" formatCode="yyyy&quot;-&quot;mm"/></numFmts>
<cellXfs><xf numFmtId="164"/><xf numFmtId="14"/><xf/></cellXfs></styleSheet>"""


@cache
def book_parts() -> Mapping[str, bytes]:
    """Its parts by name; the styles are those that the reader asks about: formats of dates."""
    with zipfile.ZipFile(io.BytesIO(_book())) as book:
        return MappingProxyType({name: book.read(name) for name in book.namelist()} | {PARTS[2]: _STYLES})


class _Replaced(Package):
    """The small workbook with one part replaced, as the archive would unpack it."""

    def __init__(self, name: str, data: bytes) -> None:
        self._replaced = name, data
        super().__init__(_book())

    def read(self, name: str) -> bytes:
        chosen, data = self._replaced
        return data if name == chosen else book_parts().get(name) or super().read(name)


def xlsx_part(data: bytes) -> None:
    """Workbooks with one part replaced behind the archive, whose checksums would stop mutations: rows, or refused."""
    if not data:
        return
    try:
        read_parts(_Replaced(PARTS[data[0] % len(PARTS)], data[1:]))
    except DocumentRefused:
        return


def node_card(data: bytes) -> None:
    """Cards: one spelling only."""
    try:
        read = NodeCard.parse(data.decode("utf-8"))
    except (UnicodeDecodeError, ExchangeError):
        return
    assert NodeCard.parse(read.to_text()) == read


def trust_set(data: bytes) -> None:
    """Trust sets in one piece; once more with a manifest that fits, so that what stands behind it is read too."""
    try:
        files = unpack(data)
    except ExchangeError:
        return
    for attempt in (files, {**files, MANIFEST: write_manifest(files)}):
        try:
            read = TrustSet.load(attempt, domain="exchange.example")
        except ExchangeError:
            continue
        assert unpack(read.to_bytes()) == attempt


@cache
def _set_files() -> Mapping[str, bytes]:
    return MappingProxyType(unpack((SEEDS / "trust_set" / "peer.set").read_bytes()))


def peer_file(data: bytes) -> None:
    """The file ``peer.toml`` of a set."""
    files = {**_set_files(), PEER: data}
    try:
        read = TrustSet.load({**files, MANIFEST: write_manifest(files)}, domain="exchange.example")
    except ExchangeError:
        return
    NodeCard.parse(read.card.to_text())


def revocation_list(data: bytes) -> None:
    """Revocation lists: read, or refused."""
    roots, _ = _trust()
    try:
        read = Revocations.load(data, roots)
    except ExchangeError:
        return
    read.revoked_at(roots)


def certificate(data: bytes) -> None:
    """Certificates, PEM and DER: read, or refused; and their paths."""
    roots, _ = _trust()
    for load_one in (load_chain, lambda raw: (load_der(raw),)):
        try:
            chain = load_one(data)
        except ExchangeError:
            continue
        leaf, others = chain[0], chain[1:]
        for purpose in Purpose:
            find_paths(leaf, others, roots, purpose).at(NOW)
        try:
            identity_of(leaf)
            facts_of(leaf)
            spki_hash(leaf)
        except ExchangeError:
            continue


TARGETS = {
    target.name: target
    for target in (
        Target("hj212", hj212, 1024),
        Target("note", signed_note, 4096),
        Target("checkpoint", log_checkpoint, 4096),
        Target("proof", tlog_proof, 8192),
        Target("envelope", envelope, 4096),
        Target("record", record, 8192),
        Target("csv", csv, 1024),
        Target("csv_rows", csv_rows, 1536),
        Target("json", json, 2048),
        Target("xlsx", xlsx, 16384),
        Target("xlsx_part", xlsx_part, 2048),
        Target("node_card", node_card, 8192),
        Target("trust_set", trust_set, 16384),
        Target("peer_file", peer_file, 4096),
        Target("crl", revocation_list, 8192),
        Target("certificate", certificate, 8192),
    )
}
