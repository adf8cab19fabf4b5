"""One node on a real database, with a peer that is only known by name and keys, and an adapter for lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from hashlib import sha256

from exchange import tables
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.envelope_verifier import SigningTrust
from exchange.crypto.keys import derive_log_key, derive_submission_key, generate_ed25519
from exchange.domain.adapter import DocumentReading, MappedRow, NativeDocument, Sample, WrittenDocument
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.losses import LossReport, report
from exchange.domain.problems import DocumentRefused, Problem, Refused
from exchange.domain.recognising.recognition import RuleSet
from exchange.domain.recognising.rule_book import RuleShelf
from exchange.flows import bootstrap
from exchange.flows.context import Node, NodeKeys, Peer, PeerBook
from exchange.flows.events import EventHub
from exchange.storage.engine.database import Database
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import journal, log_store
from exchange.tlog.origin import mirror_name, witness_name
from exchange.v1.common_pb2 import Authority
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from tests.crypto.region import DOMAIN, region
from tests.domain import records

START = datetime.combine(records.TODAY, time(1), UTC)
"""When a node's clock begins: a day on which the sound records are neither stale nor of the future."""
SEED = sha256(b"tests").digest()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The instant that stands."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@cache
def domain_tables() -> Tables:
    """The tables as shipped, read once."""
    return load(tables.read_all())


@cache
def _rules() -> RuleSet:
    return RuleSet.load(tables.read_all()["rules/recognition.toml"])


@dataclass
class LineAdapter:
    """Reads lines ``NUMBER WORD``: credit results of invented firms. ``PW=…`` is taken out of every line.

    ``words`` is its table: a word that it does not have is quarantined, until a test adds it.
    """

    name: str = "lines"
    side: str = "cq"
    edition: str = "1"
    kinds: tuple[Kind.ValueType, ...] = (Kind.KIND_CREDIT_RESULT,)
    words: dict[str, str] = field(default_factory=lambda: {"blue": "80", "better": "81", "refused": ""})

    def recognises(self, document: NativeDocument) -> bool:
        """Whether the first byte is a digit."""
        return document.content[:1].isdigit()

    def read(self, document: NativeDocument) -> DocumentReading:
        """One row for each line."""
        if b"mixed" in document.content:
            raise DocumentRefused([Problem("LAYOUT_MIXED", "line 1")])
        words = [word for word in document.content.split(b" ") if not word.startswith(b"PW=")]
        redacted = b" ".join(words)
        rows = []
        for offset, line in enumerate(redacted.decode().splitlines()):
            rows.append(self._row(document, document.first_row + offset, line))
        return DocumentReading(
            adapter=self.name, adapter_edition=self.edition, dialect="lines-1", redacted=redacted, rows=tuple(rows)
        )

    def _row(self, document: NativeDocument, row: int, line: str) -> MappedRow:
        number, _, word = line.partition(" ")
        place = f"line {row}"
        if word not in self.words:
            problem = Problem("LEVEL_UNMAPPED", place, word)
            return MappedRow(row=row, place=place, content=line, problems=(problem,))
        record = records.credit()
        record.credit_result.subject.uscc = records.make_uscc(int(number))
        record.credit_result.subject.permit_code = ""
        record.credit_result.score = self.words[word] or "not a number"
        provenance = record.header.provenance
        provenance.adapter, provenance.adapter_edition, provenance.dialect = self.name, self.edition, "lines-1"
        provenance.row = row
        provenance.document.algorithm, provenance.document.salt = "SHA-256", document.salt
        provenance.document.digest = sha256(document.salt + line.encode()).digest()
        return MappedRow(row=row, place=place, content=line, record=record)

    def write(self, records: Sequence[Record], *, kind: Kind.ValueType, form: str) -> WrittenDocument:
        """Writes nothing."""
        raise Refused([Problem("LAYOUT_UNKNOWN")])

    def template(self, kind: Kind.ValueType) -> WrittenDocument:
        """Has none."""
        raise Refused([Problem("LAYOUT_UNKNOWN")])

    def losses(self, kind: Kind.ValueType) -> LossReport:
        """None: a line says what it says."""
        return report(kind, self.name, {})

    def samples(self) -> Sequence[Sample]:
        """Has none."""
        return ()


def _peer(name: str) -> Peer:
    signing = SigningTrust.build(node=name, domain=DOMAIN, roots=region(name).root.root_pem)
    return Peer(
        name=name,
        areas=("51",),
        mirror=Cosigner(mirror_name(name, DOMAIN), generate_ed25519()).line,
        witness=Cosigner(witness_name(name, DOMAIN), generate_ed25519()).line,
        logs={},
        signing=signing,
    )


@dataclass(frozen=True)
class TestNode:
    """A node with what a test looks at."""

    __test__ = False

    node: Node
    clock: Clock
    adapter: LineAdapter

    def journal(self, event: str) -> list[JournalEntry]:
        """Journal entries of one sort, in order."""
        with self.node.database.read() as connection:
            head = journal.head(connection)
            entries = log_store.entries(connection, head.id, 0, head.size)
        parsed = [JournalEntry.FromString(entry.entry) for entry in entries]
        return [entry for entry in parsed if entry.WhichOneof("event") == event]

    def sizes(self) -> dict[str, int]:
        """Size of every log but the journal, by origin."""
        with self.node.database.read() as connection:
            return {head.origin: head.size for head in log_store.heads(connection) if head.use != "journal"}


@contextmanager
def running_node(migrated_url: str) -> Iterator[TestNode]:
    """A node ``cq`` with a peer ``sc``; stopped in order at the end."""
    database = Database(migrated_url)
    writer = Writer(database)
    clock = Clock()
    adapter = LineAdapter()
    node = Node(
        name="cq",
        federation=DOMAIN,
        authority=Authority(uscc=records.AUTHORITY, name="演示市生态环境局"),
        areas=("50",),
        catalogue_no="DEMO/2026-001",
        tables=domain_tables(),
        rules=RuleShelf([_rules()]),
        require_approvals=False,
        keys=NodeKeys(
            signers=(region("cq").signer,),
            log_signer=lambda origin: NoteSigner(origin, derive_log_key(SEED, origin)),
            mirror=Cosigner(mirror_name("cq", DOMAIN), generate_ed25519()),
            witness=Cosigner(witness_name("cq", DOMAIN), generate_ed25519()),
            submission_key=derive_submission_key(SEED),
        ),
        peers=PeerBook({"sc": _peer("sc")}),
        database=database,
        writer=writer,
        events=EventHub(),
        adapters={adapter.name: adapter},
        clock=clock,
    )
    try:
        bootstrap.open_logs(node)
        yield TestNode(node, clock, adapter)
    finally:
        writer.close()
        database.dispose()
