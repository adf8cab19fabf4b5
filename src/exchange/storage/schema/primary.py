"""Primary facts: submissions, documents, quarantine, attachments, links, alarms, and who called."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from exchange.storage.schema.base import SERIAL, metadata

node_state = Table(
    "node_state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=False),
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
    Column("id", SERIAL, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("cleared_at", BigInteger),
    Column("acknowledged_by", Text, nullable=False),
    Index("alarms_code", "code", "object"),
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
