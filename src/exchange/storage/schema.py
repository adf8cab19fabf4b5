"""The tables. Three sorts: *primary* facts, *logs*, and *projections*; only projections may be thrown away.

Instants are microseconds since 1970 (``BigInteger``), dates are ``YYYY-MM-DD`` text, record ids are the 16 bytes of
a UUIDv7 (time-ordered, so that the index grows at its right edge).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, literal_column

metadata = MetaData()

# SQLite gives a rowid only to a column that is declared exactly INTEGER PRIMARY KEY.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")

# -- primary ----------------------------------------------------------------------------------------------------

node_state = Table(
    "node_state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
    # HMAC of agency and idempotency key: all that is left of them after a restore from the peer's mirror.
    Column("key_tag", LargeBinary, nullable=False),
    Column("request_tag", LargeBinary, nullable=False),
    Column("agency", Text),
    Column("idempotency_key", Text),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    # Keyed tags, so that an erased record can not be guessed from them. Empty once erased.
    Column("natural_tag", LargeBinary, nullable=False),
    Column("content_tag", LargeBinary, nullable=False),
    Column("authority", Text, nullable=False),
    Column("state", Integer, nullable=False),
    Column("result", Integer, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    # "log:index" of each addressee's log, comma-separated.
    Column("addresses", Text, nullable=False),
    Column("document_id", LargeBinary),
    Column("document_row", Integer),
    Index("submissions_key", "key_tag", unique=True),
    Index("submissions_record", "record_id", "revision"),
    Index("submissions_natural", "natural_tag"),
)
Index("submissions_agency", submissions.c.agency, submissions.c.seq)
Index(
    "submissions_document",
    submissions.c.document_id,
    sqlite_where=submissions.c.document_id.is_not(None),
    postgresql_where=submissions.c.document_id.is_not(None),
)

documents = Table(
    "documents",
    metadata,
    Column("document_id", LargeBinary, primary_key=True),
    Column("key_tag", LargeBinary, nullable=False, unique=True),
    Column("request_tag", LargeBinary, nullable=False),
    Column("agency", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("redacted", LargeBinary, nullable=False),
    # Serialized SubmitDocumentRequest without its content: what a retry needs.
    Column("request", LargeBinary, nullable=False),
    # Serialized SubmitDocumentResponse: the first answer, given again.
    Column("answer", LargeBinary, nullable=False),
)

# Documents in which a record was found unchanged: no submission is made of such a row, and the document says the same.
document_repeats = Table(
    "document_repeats",
    metadata,
    Column("record_id", LargeBinary, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document_id", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", LargeBinary, primary_key=True),
    Column("document_id", LargeBinary, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("row", Integer, nullable=False),
    Column("place", Text, nullable=False),
    # JSON list of [reason, place, detail].
    Column("problems", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Index("quarantine_document", "document_id"),
    Index("quarantine_state", "state", "since"),
)

# Bytes of attachments, apart from the bodies that list them: handed in by agencies, fetched from peers.
attachments = Table(
    "attachments",
    metadata,
    # The first digest that the record lists: over a salt and the bytes.
    Column("digest", LargeBinary, primary_key=True),
    # Serialized Attachment without its name: the salts are erased with it.
    Column("listed", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    # True once all of it is there and is what the digests say.
    Column("complete", Boolean, nullable=False),
    # Agency that handed it in; empty where it is fetched.
    Column("agency", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
)
Index(
    "attachments_missing",
    attachments.c.since,
    sqlite_where=attachments.c.complete.is_(False),
    postgresql_where=attachments.c.complete.is_(False),
)

# Entries whose records list an attachment: it is erased with the last of them.
attachment_uses = Table(
    "attachment_uses",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Index("attachment_uses_digest", "digest"),
    sqlite_with_rowid=False,
)

# Pieces without a gap from the first byte on.
attachment_parts = Table(
    "attachment_parts",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("peer", Text, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("paused", Boolean, nullable=False),
    # Reason code of the contradiction that stopped the lane; empty while it runs.
    Column("stopped", Text, nullable=False),
    # Epoch of the peer's log towards us that its operator and ours agreed on.
    Column("mirror_epoch", Integer, nullable=False),
)

# The newest revocation list of each authority, however it came; the journal has every one that was taken.
revocation_lists = Table(
    "revocation_lists",
    metadata,
    # Whose authority: a node's name, our own among them.
    Column("owner", Text, primary_key=True),
    # tls or signing.
    Column("use", Text, primary_key=True),
    # SHA-256 of the authority's public key, in hex.
    Column("authority", Text, primary_key=True),
    # PEM: the list, and the intermediate authorities above it.
    Column("pem", LargeBinary, nullable=False),
    # JSON: instants in microseconds by issuer in hex and serial number, of what older lists revoked and this one lacks.
    Column("earlier", Text, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("cleared_at", BigInteger),
    Column("acknowledged_by", Text, nullable=False),
    Index("alarms_code", "code", "object"),
)

# Which agency was shown which notice or list entry: who is asked to confirm when it is repaired or revoked.
notice_readers = Table(
    "notice_readers",
    metadata,
    Column("record_id", LargeBinary, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("agency", Text, primary_key=True),
    # When it was first shown.
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Calls by certificate, folded per day (days since 1970).
seen_calls = Table(
    "seen_calls",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    # agencies, peers, or dialled for our own calls.
    Column("door", Text, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    # SERVED, the reason code of a refusal, or the status of a call of ours that failed.
    Column("outcome", Text, primary_key=True),
    # Fingerprints of the roots that the certificate led to, comma-separated.
    Column("roots", Text, nullable=False),
    # Validity of the certificate, in microseconds; 0 without one.
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# -- logs -------------------------------------------------------------------------------------------------------

logs = Table(
    "logs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False, unique=True),
    Column("use", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("retired", Boolean, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    # Erasing takes these two and leaves the entry.
    Column("salt", LargeBinary),
    Column("body", LargeBinary),
    # Submission that appended it; null for entries of peers and of the node itself.
    Column("submission", BigInteger),
    sqlite_with_rowid=False,
)

tree_nodes = Table(
    "tree_nodes",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("cosigner", Text, primary_key=True),
    # The whole note with both signatures; signature lines stay opaque.
    Column("note", LargeBinary, nullable=False),
    # Time inside the cosignature.
    Column("cosigned_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# RFC 3161 tokens over cosigned checkpoints.
timestamps = Table(
    "timestamps",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    # The note as it was stamped: the stored one may gain lines later.
    Column("note", LargeBinary, nullable=False),
    # DER TimeStampResp.
    Column("token", LargeBinary, nullable=False),
    Column("stamped_at", BigInteger, nullable=False),
    # When the oldest entry that no earlier token covers was cosigned.
    Column("since", BigInteger, nullable=False),
    Column("service", Text, nullable=False),
    sqlite_with_rowid=False,
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)

# Leaves of a step's row changes, so that replay can take those of erased bodies as kept.
steps = Table(
    "steps",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("leaves", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Entries of our own logs that a restore moved: they wait here until they are appended again.
moved_entries = Table(
    "moved_entries",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("salt", LargeBinary),
    Column("body", LargeBinary),
    Column("submission", BigInteger),
)

# -- projections ------------------------------------------------------------------------------------------------

cursors = Table(
    "cursors",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

records = Table(
    "reg_records",
    metadata,
    # Order of effects: the place of this row's newest change in the run of all row changes.
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
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

decisions = Table(
    "reg_decisions",
    metadata,
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
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
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
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
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
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

stations = Table(
    "reg_stations",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("station", Text, primary_key=True),
    Column("medium", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("area", Text, nullable=False),
    # Serialized Station as last stated.
    Column("detail", LargeBinary, nullable=False),
    # Comma-separated, in order.
    Column("factors", Text, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    # Record that stated the detail.
    Column("record_id", LargeBinary, nullable=False),
)

keys = Table(
    "reg_keys",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("use", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # Serialized AnnouncedKey as last announced.
    Column("announced", LargeBinary, nullable=False),
    # Whether a signing key came in turn.
    Column("turn", Integer, nullable=False),
    # Of the keys that are confirmed together.
    Column("fingerprint", Text, nullable=False),
    Column("announced_at", BigInteger, nullable=False),
    # The announcement that told of it first.
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
)

# What our officers decided on keys that peers announced.
key_decisions = Table(
    "reg_key_decisions",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("accepted", Boolean, nullable=False),
)

# What peers say of keys of ours.
key_answers = Table(
    "reg_key_answers",
    metadata,
    Column("peer", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("verdict", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("answered_at", BigInteger, nullable=False),
    Column("log_id", Integer, nullable=False),
    Column("idx", BigInteger, nullable=False),
)

agencies = Table(
    "reg_agencies",
    metadata,
    Column("name", Text, primary_key=True),
    # Serialized Agency.
    Column("agency", LargeBinary, nullable=False),
)

# Editions of the recognition rules, each as it was brought in.
rule_editions = Table(
    "reg_rule_editions",
    metadata,
    Column("edition", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("activated_at", BigInteger, nullable=False),
)

# Orders to decide again by an edition of the rules.
rule_orders = Table(
    "reg_rule_orders",
    metadata,
    Column("order_id", LargeBinary, primary_key=True),
    # False once everything that it is about was looked at.
    Column("open", Boolean, nullable=False),
    # Serialized RedecisionOrder.
    Column("order", LargeBinary, nullable=False),
)

# Actions that need two officers.
actions = Table(
    "reg_actions",
    metadata,
    Column("action_id", LargeBinary, primary_key=True),
    Column("state", Integer, nullable=False),
    # Serialized Action.
    Column("action", LargeBinary, nullable=False),
    Index("reg_actions_state", "state"),
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
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
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
    Column("seq", _SERIAL, primary_key=True, autoincrement=False),
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

rotations = Table(
    "reg_rotations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    # False once it has ended.
    Column("open", Boolean, nullable=False),
    # Serialized Rotation.
    Column("rotation", LargeBinary, nullable=False),
)

# Where the journal has each step of a rotation.
rotation_steps = Table(
    "reg_rotation_steps",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("log_id", Integer, nullable=False),
    Column("idx", BigInteger, nullable=False),
)

waits = Table(
    "reg_waits",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    # KEY:<id>, BODY, TIME or REFERENCE:<what>.
    Column("token", Text, nullable=False),
    Column("decision_revision", Integer, nullable=False),
    Index("reg_waits_token", "token"),
)

# Entries of a record that no register row points at: what an Erasure has to destroy beside the row's own entry.
copies = Table(
    "reg_copies",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("reg_copies_record", "record_id"),
)

parked = Table(
    "reg_parked",
    metadata,
    Column("log_id", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("trace", Text, nullable=False),
)

PROJECTIONS = (
    cursors,
    records,
    decisions,
    made_decisions,
    blocks,
    stations,
    keys,
    key_decisions,
    key_answers,
    agencies,
    actions,
    dues,
    feedback,
    labs,
    rotations,
    rotation_steps,
    waits,
    copies,
    parked,
)
LANE_NONE = 0
