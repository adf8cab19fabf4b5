"""What arrives as an answer, and what is answered by another record than a Recognition."""

from __future__ import annotations

from datetime import datetime

from exchange.flows.apply.effects import RegisterOverlay
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.apply.ruling import Ruling, rulings_in
from exchange.flows.context import Node
from exchange.flows.ids import new_id
from exchange.storage.transaction import LogHead
from exchange.v1.answer_pb2 import Answer, AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.recognition_pb2 import Recognition
from exchange.v1.record_pb2 import Record, RecordHeader, ShareClass

NODE_PURPOSE = "互认执行"
"""Purpose of records that a node makes itself: carrying out mutual recognition."""

RECOGNITION_UNREADABLE = "RECOGNITION_UNREADABLE"


def node_record(node: Node, at: datetime) -> Record:
    """A record that the node states for its own region."""
    return Record(
        header=RecordHeader(
            record_id=str(new_id(at)),
            revision=1,
            kind_edition=1,
            authority=node.authority,
            area_code=node.area_code,
            catalogue_no=node.catalogue_no,
            share_class=ShareClass.SHARE_CLASS_CONDITIONAL,
            purpose=NODE_PURPOSE,
        )
    )


def key_accepted(node: Node, entry: ReadEntry, origin: str, at: datetime) -> Record:
    """The answer to a KeyAnnouncement that was taken."""
    assert entry.statement is not None
    record = node_record(node, at)
    record.header.answers.CopyFrom(
        RecordRef(origin=origin, record_id=entry.statement.record_id, revision=entry.statement.revision)
    )
    answer = Answer(
        record=record.header.answers,
        verb=AnswerVerb.ANSWER_VERB_CONFIRMED,
        effect="KEY_ACCEPTED",
        answered_by=node.name,
    )
    answer.answered_at.FromDatetime(at)
    record.answer.CopyFrom(answer)
    return record


def _is_about(message: Recognition, log: LogHead, source: LogHead) -> bool:
    """Whether a decision is about entries that a log of ours towards that peer has."""
    return (
        log.use == "outbound"
        and log.peer == source.peer
        and 0 <= message.first <= message.end <= log.size
        and all(0 <= item.index < log.size for item in message.items)
    )


def take_recognition(
    overlay: RegisterOverlay,
    entry: ReadEntry,
    source: LogHead,
    taken: bool | None,  # noqa: FBT001 - a fact
) -> str:
    """Keep what a peer decided of our records: one row for the range, one for each entry that differs.

    Args:
        overlay: The registers.
        entry: The Recognition.
        source: The log that it stands in.
        taken: In a replay, whether it was taken then: our log has grown since. None when it is taken now.

    Returns:
        Reason code when the decision is not about our log, or about entries that it does not have.
    """
    assert entry.record is not None
    message = entry.record.recognition
    log = overlay.log(message.answered_log)
    if log is None or taken is False or (taken is None and not _is_about(message, log, source)):
        return RECOGNITION_UNREADABLE
    default, items = rulings_in(message)

    def put(first: int, end: int, revision: int, ruling: Ruling, *, item: bool) -> None:
        row = {
            "log_id": log.id,
            "first": first,
            "end": end,
            "revision": revision,
            "item": item,
            "outcome": ruling.outcome,
            "decision": ruling.as_json(message.rule_edition),
            "source_log": source.id,
            "source_idx": entry.index,
        }
        overlay.put_numbered("decisions", row, salt=entry.salt, place=entry.place)

    if default is not None and message.end > message.first:
        put(message.first, message.end, 1, default, item=False)
    for each in items:
        put(each.index, each.index + 1, each.revision, each.ruling, item=True)
    return ""
