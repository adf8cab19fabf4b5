"""Registers of what both regions state: records, decisions, readings, feedback, laboratories."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text, and_, literal_column

from exchange.storage.schema.base import SERIAL, metadata

records = Table(
    "reg_records",
    metadata,
    # Order of effects: the place of this row's newest change in the run of all row changes.
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    # Of the statement: by it, and by days, the time of keeping a body is counted.
    Column("erasure_class", Integer, nullable=False),
    Column("log_id", Integer, nullable=False),
    Column("idx", BigInteger, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("logged_at", BigInteger, nullable=False),
    Column("mirrored_at", BigInteger),
    Column("natural_key", Text, nullable=False),
    # Record of the same origin that this one replaces, while it has effect; null where there is none.
    Column("supersedes", LargeBinary),
    # The record that this one is about; null where there is none.
    Column("about_origin", Text, nullable=False),
    Column("about", LargeBinary),
    Column("subject", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("year", Integer, nullable=False),
    Column("sort_on", Text, nullable=False),
    # 0 for own records: their standing is ORIGIN.
    Column("outcome", Integer, nullable=False),
    Column("decision_revision", Integer, nullable=False),
    # JSON: reasons, conditions, waits_for, parts, rule edition.
    Column("decision", Text, nullable=False),
    # Revision that is shown: false once a higher one has taken effect.
    Column("newest", Boolean, nullable=False),
    # What the record ended by, by its own words: empty, or REPAIRED, REVOKED, WITHDRAWN.
    Column("own_end", Text, nullable=False),
    Column("own_end_on", Text, nullable=False),
    # What stands in its place, by its own end or another record's: empty, or REPAIRED, REVOKED, WITHDRAWN, ERASED.
    Column("tombstone", Text, nullable=False),
    Column("tombstone_on", Text, nullable=False),
)
Index("reg_records_id", records.c.record_id, records.c.origin, records.c.revision, unique=True)
Index("reg_records_subject", records.c.subject, records.c.kind)
# Lists of one kind go newest change first; without it they would walk past every other kind.
Index("reg_records_kind", records.c.kind, records.c.seq)
Index("reg_records_natural", records.c.natural_key)
Index(
    "reg_records_supersedes",
    records.c.supersedes,
    sqlite_where=records.c.supersedes.is_not(None),
    postgresql_where=records.c.supersedes.is_not(None),
)
Index(
    "reg_records_about",
    records.c.about,
    sqlite_where=records.c.about.is_not(None),
    postgresql_where=records.c.about.is_not(None),
)
OWN_RECORDS = records.c.mirrored_at.is_(None)
OWN_ENDED_RECORDS = and_(OWN_RECORDS, records.c.tombstone != literal_column("''"))
"""Records of this node, and those that ended. A query says this as it stands here: only then the indexes are taken."""
# What a period of keeping makes due, oldest first: however many records there are, no other one is looked at.
Index(
    "reg_records_kept",
    records.c.erasure_class,
    records.c.kind,
    records.c.sort_on,
    records.c.record_id,
    sqlite_where=OWN_RECORDS,
    postgresql_where=OWN_RECORDS,
)
Index(
    "reg_records_ended",
    records.c.erasure_class,
    records.c.kind,
    records.c.tombstone,
    records.c.tombstone_on,
    records.c.record_id,
    sqlite_where=OWN_ENDED_RECORDS,
    postgresql_where=OWN_ENDED_RECORDS,
)

decisions = Table(
    "reg_decisions",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    # Our outbound log that is answered.
    Column("log_id", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    # True for one entry that differs from the default of its range.
    Column("item", Boolean, nullable=False),
    Column("outcome", Integer, nullable=False),
    # JSON: reasons, conditions, waits_for, parts, rule edition.
    Column("decision", Text, nullable=False),
    # Where the decision record stands.
    Column("source_log", Integer, nullable=False),
    Column("source_idx", BigInteger, nullable=False),
)
# Items are looked up by their index, defaults by the nearest range that begins at or before it.
Index("reg_decisions_range", decisions.c.log_id, decisions.c.item, decisions.c.first)

# A Recognition whose signature turned out to be unproven is taken back.
Index("reg_decisions_source", decisions.c.source_log, decisions.c.source_idx)

# Where our own decisions stand. They name the log that they answer by its origin: behind a restore a decision comes
# back before the mirror that it is about.
made_decisions = Table(
    "reg_made_decisions",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("answered", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("item", Boolean, nullable=False),
    Column("source_log", Integer, nullable=False),
    Column("source_idx", BigInteger, nullable=False),
    Index("reg_made_decisions_range", "answered", "item", "first"),
)

blocks = Table(
    "reg_blocks",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("medium", Text, nullable=False),
    # Section of a water body; empty for an outlet.
    Column("section", Text, nullable=False),
    Column("interval", Integer, nullable=False),
    Column("factor", Text, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("area", Text, nullable=False),
    # CMA number and USCC of the laboratory that took the values, both empty for automatic stations. How it stood is
    # joined when asked.
    Column("lab_cma_no", Text, nullable=False),
    Column("lab_uscc", Text, nullable=False),
    # Serialized MonitoringBatch with the series of this factor only.
    Column("series", LargeBinary, nullable=False),
)
Index("reg_blocks_station", blocks.c.station, blocks.c.factor, blocks.c.last_time)
Index("reg_blocks_record", blocks.c.record_id)
IN_A_SECTION = blocks.c.section != literal_column("''")
"""Blocks of a section. A query that names one says this too, as it stands here: only then the index is taken."""
Index(
    "reg_blocks_section",
    blocks.c.section,
    blocks.c.station,
    blocks.c.last_time,
    sqlite_where=IN_A_SECTION,
    postgresql_where=IN_A_SECTION,
)

# What agencies owe about measures that checks showed them (措施反馈): made by the journal, one row for each measure,
# record and matter; whether it was given is joined when asked.
dues = Table(
    "reg_dues",
    metadata,
    Column("agency", Text, primary_key=True),
    Column("source_origin", Text, primary_key=True),
    Column("source", LargeBinary, primary_key=True),
    Column("catalogue", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("matter_no", Text, primary_key=True),
    Column("edition", Text, nullable=False),
    Column("source_kind", Integer, nullable=False),
    Column("matter_kind", Integer, nullable=False),
    Column("check_id", LargeBinary, nullable=False),
    Column("due_on", Text, nullable=False),
    Index("reg_dues_agency", "agency", "due_on"),
    Index("reg_dues_source", "source"),
    Index("reg_dues_day", "due_on"),
)

# What became of measures, as feedback records say: one row for each measure of a revision.
feedback = Table(
    "reg_feedback",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("notice_origin", Text, nullable=False),
    Column("notice", LargeBinary, nullable=False),
    Column("matter_no", Text, nullable=False),
    Column("catalogue", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("result", Integer, nullable=False),
    Index("reg_feedback_notice", "notice", "matter_no"),
    Index("reg_feedback_record", "record_id"),
)

# Laboratories in time: one row for each run of days of a revision's certificate, scope, suspensions and removal.
labs = Table(
    "reg_labs",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("cma_no", Text, nullable=False),
    Column("uscc", Text, nullable=False),
    # What deferred batches call it by that name its number alone, and its number and firm.
    Column("code", Text, nullable=False),
    Column("firm_code", Text, nullable=False),
    # SliceKind.
    Column("slice", Integer, nullable=False),
    Column("object", Text, nullable=False),
    Column("factor", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("first_on", Text, nullable=False),
    # Empty: open.
    Column("last_on", Text, nullable=False),
    Index("reg_labs_cma_no", "cma_no"),
    Index("reg_labs_code", "code"),
    Index("reg_labs_firm_code", "firm_code"),
    Index("reg_labs_record", "record_id"),
)
