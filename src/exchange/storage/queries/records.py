"""Register rows of records, as lists and watchers ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, false, func, or_, select

from exchange.storage import schema
from exchange.v1.kind_pb2 import Kind, Outcome

_T = schema.records.c

_WITHOUT_EFFECT = (Outcome.OUTCOME_DEFERRED, Outcome.OUTCOME_NOT_RECOGNISED)

KEYS_AT_ONCE = 200
"""Records looked up by one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One register row of a record.

    Attributes:
        replaced: A higher revision, or another live record, has taken its place.
    """

    seq: int
    origin: str
    record_id: bytes
    revision: int
    kind: int
    log_id: int
    idx: int
    logged_at: int
    mirrored_at: int | None
    natural_key: str
    about_origin: str
    about: bytes | None
    subject: str
    area: str
    authority: str
    level: int
    state: int
    year: int
    sort_on: str
    outcome: int
    decision_revision: int
    decision: str
    newest: bool
    own_end: str
    tombstone: str
    tombstone_on: str
    replaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaLimit:
    """Areas of one kind that may be read.

    Attributes:
        prefixes: Leading characters of area codes.
        codes: Whole codes beside them, as abolished ones whose area goes on below a prefix.
    """

    prefixes: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What it is to wait for an Answer.

    Attributes:
        verbs: Verbs that settle it.
        ended: States, by kind, in which nothing is waited for any more.
    """

    verbs: tuple[int, ...]
    ended: tuple[tuple[int, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """What a list asks for; empty and 0 mean all.

    Attributes:
        readable: Kinds that may be read, each with its areas; None means any area.
        level: What a tombstone stands for is found by neither level nor state.
        area: Prefix of 2, 4 or 6 characters.
        about: Origin and id of the record that they are about.
        not_origin: Not of this origin.
        waits: Only what waits for an Answer of somebody else than its origin.
        include_replaced: Also rows whose place was taken.
    """

    readable: Mapping[int, AreaLimit | None] = field(default_factory=dict)
    kind: int = 0
    origin: str = ""
    subject: str = ""
    area: AreaLimit | None = None
    outcome: int = 0
    level: int = 0
    state: int = 0
    year: int = 0
    about: tuple[str, bytes] | None = None
    not_origin: str = ""
    waits: Waits | None = None
    include_replaced: bool = False


def _replaced() -> ColumnElement[bool]:
    higher = schema.records.alias("higher")
    other = schema.records.alias("other")
    return or_(
        and_(
            _T.newest.is_(False),
            exists().where(
                higher.c.record_id == _T.record_id,
                higher.c.origin == _T.origin,
                higher.c.revision > _T.revision,
                higher.c.newest.is_(True),
            ),
        ),
        exists().where(
            other.c.supersedes == _T.record_id,
            other.c.origin == _T.origin,
            other.c.newest.is_(True),
            other.c.tombstone == "",
        ),
    )


_NAMES = tuple(name for name in RecordRow.__dataclass_fields__ if name != "replaced")
_COLUMNS = tuple(_T[name] for name in _NAMES)
_REPLACED = _replaced()


def _query() -> Select[tuple[object, ...]]:
    return select(*_COLUMNS, _REPLACED.label("replaced"))


def _row(row: Row[tuple[object, ...]]) -> RecordRow:
    values = row._mapping
    return RecordRow(**{**values, "replaced": bool(values["replaced"])})


def _rows(connection: Connection, query: Select[tuple[object, ...]]) -> list[RecordRow]:
    return [_row(row) for row in connection.execute(query)]


def _in_area(limit: AreaLimit) -> ColumnElement[bool]:
    tests: list[ColumnElement[bool]] = [func.substr(_T.area, 1, len(each)) == each for each in limit.prefixes]
    if limit.codes:
        tests.append(_T.area.in_(limit.codes))
    return or_(false(), *tests)


def _filtered(
    query: Select[tuple[object, ...]], wanted: RecordFilter, kind: int, limit: AreaLimit | None
) -> Select[tuple[object, ...]]:
    query = query.where(_T.kind == kind)
    if limit is not None:
        # Erasing takes the area too; that something was erased is no secret of an area.
        query = query.where(or_(_in_area(limit), _T.tombstone == "ERASED"))
    for column, value in (
        (_T.origin, wanted.origin),
        (_T.subject, wanted.subject),
        (_T.outcome, wanted.outcome),
        (_T.level, wanted.level),
        (_T.state, wanted.state),
        (_T.year, wanted.year),
    ):
        if value:
            query = query.where(column == value)
    if wanted.level or wanted.state:
        query = query.where(_T.tombstone == "")
    if wanted.area is not None:
        query = query.where(_in_area(wanted.area))
    if wanted.about is not None:
        origin, record_id = wanted.about
        query = query.where(_T.about == record_id, _T.about_origin == origin)
    if wanted.not_origin:
        query = query.where(_T.origin != wanted.not_origin)
    if wanted.waits is not None:
        query = _waiting(query, wanted.waits, kind)
    if not wanted.include_replaced:
        query = query.where(~_REPLACED)
    return query


def _waiting(query: Select[tuple[object, ...]], waits: Waits, kind: int) -> Select[tuple[object, ...]]:
    """What has effect, stands, and was not answered by another node."""
    answer = schema.records.alias("answer")
    answered = exists().where(
        answer.c.about == _T.record_id,
        answer.c.about_origin == _T.origin,
        answer.c.kind == Kind.KIND_ANSWER,
        answer.c.origin != _T.origin,
        answer.c.level.in_(waits.verbs),
        answer.c.newest.is_(True),
        answer.c.tombstone == "",
    )
    query = query.where(_T.newest.is_(True), _T.tombstone == "", _T.outcome.notin_(_WITHOUT_EFFECT), ~answered)
    ended = dict(waits.ended).get(kind)
    return query.where(_T.state.notin_(ended)) if ended else query


def answers_about(connection: Connection, about: Sequence[tuple[str, bytes]]) -> list[RecordRow]:
    """Answers of others than the origin to some records, oldest first."""
    found: list[RecordRow] = []
    ids = sorted({record_id for _, record_id in about})
    for start in range(0, len(ids), KEYS_AT_ONCE):
        query = _query().where(
            _T.about.in_(ids[start : start + KEYS_AT_ONCE]),
            # Not by the index of kinds: the answers to a few records are few, and all answers may be many.
            _T.kind + 0 == Kind.KIND_ANSWER,
            _T.origin != _T.about_origin,
            _T.newest.is_(True),
            _T.tombstone == "",
        )
        found += _rows(connection, query)
    wanted = set(about)
    found = [row for row in found if (row.about_origin, row.about) in wanted]
    return sorted(found, key=lambda row: row.seq)


def page(connection: Connection, wanted: RecordFilter, *, before: int, after: int, limit: int) -> list[RecordRow]:
    """Rows between two numbers, both left out, newest change first.

    One query for each kind: each walks the index of its kind from its end, and stops at the limit.
    """
    found: list[RecordRow] = []
    for kind, areas in wanted.readable.items():
        if wanted.kind in (0, kind):
            query = _filtered(_query(), wanted, kind, areas).where(_T.seq < before, _T.seq > after)
            found += _rows(connection, query.order_by(_T.seq.desc()).limit(limit))
    found.sort(key=lambda row: row.seq, reverse=True)
    return found[:limit]


def stretch_end(connection: Connection, wanted: RecordFilter, before: int, rows: int) -> int:
    """The number down to which at most so many rows of each kind stand below another one; 0 when that is all."""
    found = 0
    for kind in wanted.readable:
        if wanted.kind in (0, kind):
            query = select(_T.seq).where(_T.kind == kind, _T.seq < before)
            end = connection.execute(query.order_by(_T.seq.desc()).limit(1).offset(rows)).scalar()
            found = max(found, end or 0)
    return found


def changed_after(
    connection: Connection, kinds: Sequence[int], *, after: int, until: int, limit: int
) -> list[RecordRow]:
    """Rows of some kinds that changed beyond a number, oldest change first; what may be read is the caller's to say."""
    found: list[RecordRow] = []
    for kind in kinds:
        query = _query().where(_T.kind == kind, _T.seq > after, _T.seq <= until)
        found += _rows(connection, query.order_by(_T.seq).limit(limit))
    found.sort(key=lambda row: row.seq)
    return found[:limit]


def newest_seq(connection: Connection) -> int:
    """Number of the newest row change; 0 when there is none."""
    return connection.execute(select(func.max(_T.seq))).scalar() or 0


def of_record(connection: Connection, origin: str, record_id: bytes, revision: int) -> RecordRow | None:
    """One revision of a record; 0 asks for the one that has effect, where there is none for the highest."""
    query = _query().where(_T.origin == origin, _T.record_id == record_id)
    query = query.where(_T.revision == revision) if revision else query.order_by(_T.newest.desc(), _T.revision.desc())
    found = _rows(connection, query.limit(1))
    return found[0] if found else None


_OF_SUBJECTS = (
    select(*_COLUMNS, _REPLACED.label("replaced"), schema.entries.c.body.label("body"))
    .join(schema.entries, and_(schema.entries.c.log_id == _T.log_id, schema.entries.c.idx == _T.idx))
    .where(
        _T.subject.in_(bindparam("subjects", expanding=True)),
        _T.kind.in_(bindparam("kinds", expanding=True)),
        _T.newest.is_(True),
        ~_REPLACED,
    )
    .order_by(_T.seq.desc())
    .limit(bindparam("most"))
)
"""Built once, and one query for rows and bodies of many subjects: checks ask it all the time."""

Bodies = dict[tuple[int, int], bytes]
"""Bodies by log and index."""


def of_subjects(
    connection: Connection, subjects: Sequence[str], kinds: Sequence[int], limit: int
) -> tuple[dict[str, list[RecordRow]], Bodies]:
    """Live rows and tombstones by subject, at most ``limit`` for each, newest change first; and their bodies.

    Bodies that a tombstone stands for are left out.
    """
    found: dict[str, list[RecordRow]] = {subject: [] for subject in subjects}
    bodies: Bodies = {}
    asked = {"subjects": list(found), "kinds": list(kinds), "most": limit * len(found)}
    for row in connection.execute(_OF_SUBJECTS, asked):
        *values, replaced, body = row
        made = RecordRow(**dict(zip(_NAMES, values, strict=True)), replaced=bool(replaced))
        rows = found[made.subject]
        if len(rows) < limit:
            rows.append(made)
            if body is not None and not made.tombstone:
                bodies[made.log_id, made.idx] = body
    return found, bodies


def history_of(connection: Connection, subject: str, kind: int, limit: int) -> list[RecordRow]:
    """Every row of a kind about a subject, replaced ones too, newest change first."""
    query = _query().where(_T.subject == subject, _T.kind == kind)
    return _rows(connection, query.order_by(_T.seq.desc()).limit(limit))


def concerning(connection: Connection, subject: str, *, before: int | None, limit: int) -> list[RecordRow]:
    """Every row about a subject and about records of it, whatever its standing, newest change first."""
    inner = schema.records.alias("inner")
    query = _query().where(
        or_(_T.subject == subject, _T.about.in_(select(inner.c.record_id).where(inner.c.subject == subject)))
    )
    if before is not None:
        query = query.where(_T.seq < before)
    return _rows(connection, query.order_by(_T.seq.desc()).limit(limit))


def superseding(connection: Connection, record_ids: Sequence[bytes]) -> list[tuple[bytes, RecordRow]]:
    """Rows that replace some records of their own origin, each with the id of the record that it replaces."""
    found = []
    for start in range(0, len(record_ids), KEYS_AT_ONCE):
        some = list(record_ids[start : start + KEYS_AT_ONCE])
        query = _query().add_columns(_T.supersedes.label("superseded")).where(_T.supersedes.in_(some))
        for row in connection.execute(query):
            values = dict(row._mapping)
            superseded = values.pop("superseded")
            found.append((superseded, RecordRow(**{**values, "replaced": bool(values["replaced"])})))
    return found


def with_natural_part(connection: Connection, part: str, kind: int, limit: int) -> list[RecordRow]:
    """Live rows of a kind whose natural key has a part between two others, newest change first."""
    inner = schema.records.alias("inner")
    # Reads the index of natural keys alone, not the rows.
    numbers = select(inner.c.seq).where(inner.c.natural_key.contains(f"|{part}|", autoescape=True))
    query = _query().where(_T.seq.in_(numbers), _T.kind == kind, _T.newest.is_(True))
    return _rows(connection, query.order_by(_T.seq.desc()).limit(limit))


def bodies(connection: Connection, rows: Sequence[RecordRow]) -> dict[tuple[int, int], bytes]:
    """Bodies of rows by (log, index), but for those that a tombstone stands for and those that are missing."""
    entry = schema.entries.c
    places: dict[int, list[int]] = {}
    for row in rows:
        if not row.tombstone:
            places.setdefault(row.log_id, []).append(row.idx)
    if not places:
        return {}
    tests = [and_(entry.log_id == log_id, entry.idx.in_(indices)) for log_id, indices in places.items()]
    found = connection.execute(select(entry.log_id, entry.idx, entry.body).where(or_(*tests)))
    return {(row.log_id, row.idx): row.body for row in found if row.body is not None}


def origins(connection: Connection) -> dict[int, str]:
    """Origin of every log by its id."""
    table = schema.logs.c
    return {row.id: row.origin for row in connection.execute(select(table.id, table.origin))}
