"""Records of both regions: one, many, and the envelope of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.descriptor import EnumDescriptor

from exchange.domain.kinds.choices import LEVELS, STATES, names_of
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading, record_id_of
from exchange.flows.queries.ground.views import record_views, ref_of, tombstone_of
from exchange.storage.logs import log_store
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordFilter, RecordRow
from exchange.storage.registers import registers
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.key_announcement_pb2 import AnnouncedKey
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.record_service_pb2 import (
    GetEnvelopeRequest,
    GetEnvelopeResponse,
    GetRecordRequest,
    GetRecordResponse,
    ListRecordsRequest,
    ListRecordsResponse,
    RecordView,
    SignatureChain,
)
from exchange.v1.statement_pb2 import Envelope, LogEntry

PAGE_BYTES = 3 << 20
"""Bytes of records in one page: below the 4 MiB that gRPC clients take by default."""

STRETCH = 20_000
"""Rows of each kind that one read looks through: well below the second that a read may last."""

STRETCHES = 8
"""Stretches of one call: a caller waits a second or two at most, and then asks for the rest."""

MAX_NAME = 64
"""Characters of a name that an error repeats."""

VIEWS_AT_ONCE = 25
"""Records whose bodies are read together: at most 25 MiB of them, should all be of the largest size."""


class RecordQueries:
    """Queries of RecordService."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def get(self, asked: Asked, request: GetRecordRequest) -> GetRecordResponse:
        """One record.

        Raises:
            Refused: The reference is ill-formed.
            NotFound: No such record.
            AccessDenied: It may not be read.
        """
        fresh = self._reading.freshness.read(asked.now)
        with self._reading.node.database.read() as connection:
            row = self.find(connection, asked, request.ref)
            view = record_views(connection, self._reading, [row], asked.words)[0]
        self._reading.readers.shown(asked.caller.name, [view])
        return GetRecordResponse(record=view, freshness=fresh)

    def page(self, asked: Asked, request: ListRecordsRequest) -> ListRecordsResponse:
        """A page of records, newest change first.

        Raises:
            Refused: An argument is wrong; a level or a state needs a kind.
        """
        limit = page_size(request.page_size)
        check_enum(Kind, request.kind, "kind")
        check_enum(Outcome, request.outcome, "outcome")
        wanted = RecordFilter(
            readable=self._reading.book.readable(asked.caller.name),
            kind=request.kind,
            origin=request.origin,
            subject=request.uscc,
            area=self._reading.area_limit(request.area),
            outcome=request.outcome,
            level=_number(LEVELS, request.kind, request.level, "level"),
            state=_number(STATES, request.kind, request.state, "state"),
            about=self._about(request),
            include_replaced=request.include_replaced,
        )
        fresh = self._reading.freshness.read(asked.now)
        views, token = record_page(self._reading, asked, "records", wanted, token=request.page_token, limit=limit)
        return ListRecordsResponse(records=views, next_page_token=token, freshness=fresh)

    def _about(self, request: ListRecordsRequest) -> tuple[str, bytes] | None:
        if not request.HasField("about"):
            return None
        return request.about.origin or self._reading.node.name, record_id_of(request.about, "about")

    def envelope(self, asked: Asked, request: GetEnvelopeRequest) -> GetEnvelopeResponse:
        """Envelope and body of a record, to be verified elsewhere; a tombstone instead of a body that is withheld."""
        with self._reading.node.database.read() as connection:
            row = self.find(connection, asked, request.ref)
            stored = log_store.entries_at(connection, row.log_id, [row.idx])[row.idx]
            entry = LogEntry.FromString(stored.entry)
            answer = GetEnvelopeResponse(
                entry=stored.entry,
                log=self._reading.logs.origin(connection, row.log_id),
                index=row.idx,
            )
            answer.chains.extend(self._chains(connection, row.origin, entry.envelope))
        first = Envelope.FromString(entry.envelope).signatures[:1]
        if first and answer.chains and answer.chains[0].keyid == first[0].keyid:
            answer.certificates.extend(answer.chains[0].certificates)
        answer.sealed.envelope = entry.envelope
        if row.tombstone:
            answer.tombstone.CopyFrom(tombstone_of(row))
        elif stored.body is not None and stored.salt is not None:
            self.told(asked, row)
            answer.sealed.body.record = stored.body
            answer.sealed.body.salt = stored.salt
        return answer

    def told(self, asked: Asked, row: RecordRow) -> None:
        """Keep that the caller is about to be told what a notice says."""
        if row.kind in (Kind.KIND_PENALTY_NOTICE, Kind.KIND_LIST_ENTRY):
            self._reading.readers.note(asked.caller.name, [ref_of(row)])

    def find(self, connection: Connection, asked: Asked, ref: RecordRef) -> RecordRow:
        """The row of a record that the caller may read.

        Raises:
            Refused: The reference is ill-formed.
            NotFound: No such record.
            AccessDenied: It may not be read.
        """
        raw = record_id_of(ref, "ref")
        origin = ref.origin or self._reading.node.name
        row = records.of_record(connection, origin, raw, ref.revision)
        if row is None:
            raise NotFound(format_id(raw))
        self._reading.allow(asked, row)
        return row

    def _chains(self, connection: Connection, origin: str, envelope: bytes) -> list[SignatureChain]:
        """Chain of each signature whose key is known: one of ours, or as its origin announced it."""
        node = self._reading.node
        ours = {signer.keyid: signer.chain for signer in node.keys.signers} if origin == node.name else {}
        known = registers.keys_of(connection)
        found = []
        for signature in Envelope.FromString(envelope).signatures:
            chain: Sequence[bytes] = ours.get(signature.keyid, ())
            announced = known.get((origin, signature.keyid))
            if not chain and announced is not None:
                chain = AnnouncedKey.FromString(announced.announced).chain
            if chain:
                found.append(SignatureChain(keyid=signature.keyid, certificates=chain))
        return found


def _every(_view: RecordView) -> bool:
    return True


def record_page(
    reading: Reading,
    asked: Asked,
    name: str,
    wanted: RecordFilter,
    *,
    token: str,
    limit: int,
    keep: Callable[[RecordView], bool] = _every,
) -> tuple[list[RecordView], str]:
    """Records of a page, and the token of the next one; empty on the last. Who was shown a notice is kept.

    ``keep`` leaves out by what stands in the record; ``name`` has to tell such questions apart.
    """
    views, following = _record_page(reading, asked, name, wanted, token=token, limit=limit, keep=keep)
    reading.readers.shown(asked.caller.name, views)
    return views, following


def _record_page(
    reading: Reading,
    asked: Asked,
    name: str,
    wanted: RecordFilter,
    *,
    token: str,
    limit: int,
    keep: Callable[[RecordView], bool],
) -> tuple[list[RecordView], str]:
    """Records of a page, and the token of the next one; empty on the last.

    Shorter than asked when the records are large, or when few of very many fit: then the token goes on behind what
    was looked at.
    """
    question = f"{name}|{asked.caller}|{_digest(wanted)}"
    before = reading.tokens.read(question, token)
    views: list[RecordView] = []
    size = 0
    # What an index finds needs no bounds; everything else is looked through a stretch at a time.
    stretch = STRETCH if _looks_through(wanted) else 0
    for _stretch in range(STRETCHES):
        with reading.node.database.read() as connection:
            if before is None:
                before = records.newest_seq(connection) + 1
            after = records.stretch_end(connection, wanted, before, stretch) if stretch else 0
            most = limit + 1 - len(views)
            rows = records.page(connection, wanted, before=before, after=after, limit=most)
            for start in range(0, len(rows), VIEWS_AT_ONCE):
                some = rows[start : start + VIEWS_AT_ONCE]
                for row, view in zip(some, record_views(connection, reading, some, asked.words), strict=True):
                    if not keep(view):
                        before = row.seq
                        continue
                    size += view.ByteSize()
                    if views and (size > PAGE_BYTES or len(views) == limit):
                        return views, reading.tokens.make(question, before)
                    views.append(view)
                    before = row.seq
        if len(rows) == most:
            continue  # some were left out: there may be more of this stretch
        if after == 0:
            return views, ""
        before = after + 1
    return views, reading.tokens.make(question, before)


def _looks_through(wanted: RecordFilter) -> bool:
    """Whether rows have to be looked at one by one: no index finds those of an area, an origin or an outcome."""
    if wanted.subject or wanted.about:
        return False
    filters = (wanted.origin, wanted.area, wanted.outcome, wanted.level, wanted.state, wanted.year)
    if wanted.not_origin or wanted.waits is not None:
        return True
    return any(filters) or any(limit is not None for limit in wanted.readable.values())


def _digest(wanted: RecordFilter) -> str:
    # What may be read is asked anew for each page; a changed grant does not void the token.
    asked = {name: getattr(wanted, name) for name in RecordFilter.__dataclass_fields__ if name != "readable"}
    return hashlib.sha256(repr(sorted(asked.items(), key=lambda item: item[0])).encode()).hexdigest()[:16]


def _number(tables: Mapping[int, EnumDescriptor], kind: int, name: str, place: str) -> int:
    """The number of a level or state of a kind by its name; 0 for the empty name.

    Raises:
        Refused: No kind is named, or it has no such level or state.
    """
    if not name:
        return 0
    if not kind:
        raise Refused([Problem("FIELD_MISSING", "kind")])
    number = names_of(tables[kind]).get(name, 0) if kind in tables else 0
    if not number:
        raise Refused([Problem("ENUM_UNKNOWN", place, name[:MAX_NAME])])
    return number


def check_enum(enum: object, value: int, place: str) -> None:
    """Refuse a value that the enumeration does not have.

    Raises:
        Refused: ENUM_UNKNOWN.
    """
    if value not in enum.values():  # type: ignore[attr-defined]
        raise Refused([Problem("ENUM_UNKNOWN", place, str(value))])
