"""What arrives as an answer, and what is answered by another record than a Recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from exchange.flows.apply.changes.overlay import RegisterOverlay
from exchange.flows.apply.deciding.ruling import Ruling, rulings_in
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.context import Node
from exchange.flows.instants import micros_of
from exchange.flows.intake.ids import new_id
from exchange.flows.trust.peer_keys import Judged
from exchange.storage.engine.transaction import LogHead
from exchange.v1.answer_pb2 import Answer, AnsweredKey, AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.recognition_pb2 import Recognition
from exchange.v1.record_pb2 import Record, RecordHeader, ShareClass
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange.v1.rotation_pb2 import KeyVerdict

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


_SAID: Final = {
    KeyVerdict.KEY_VERDICT_ACCEPTED: (AnswerVerb.ANSWER_VERB_CONFIRMED, "KEY_ACCEPTED"),
    KeyVerdict.KEY_VERDICT_WAITING: (AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "KEY_WAITING"),
    KeyVerdict.KEY_VERDICT_REJECTED: (AnswerVerb.ANSWER_VERB_REFUSED, "KEY_REJECTED"),
}


def key_answer(node: Node, entry: ReadEntry, origin: str, at: datetime, judged: Mapping[str, Judged]) -> Record:
    """The answer to a KeyAnnouncement: what becomes of each of its keys here."""
    assert entry.statement is not None
    assert entry.record is not None
    ref = RecordRef(origin=origin, record_id=entry.statement.record_id, revision=entry.statement.revision)
    named = [key.key_id for key in entry.record.key_announcement.keys]
    return answer_about_keys(node, ref, [judged[key_id] for key_id in named if key_id in judged], at)


def effect_done(node: Node, act: RecordRef, effect: int, at: datetime) -> Record:
    """That this node has carried out one effect of a repair or revocation on its own doors."""
    record = node_record(node, at)
    record.header.answers.CopyFrom(act)
    answer = Answer(
        record=act,
        verb=AnswerVerb.ANSWER_VERB_CONFIRMED,
        effect=RepairEffect.Name(effect).removeprefix("REPAIR_EFFECT_"),  # type: ignore[arg-type]
        answered_by=node.name,
    )
    answer.answered_at.FromDatetime(at)
    record.answer.CopyFrom(answer)
    return record


def answer_about_keys(node: Node, announcement: RecordRef, judged: Sequence[Judged], at: datetime) -> Record:
    """What this node says of some announced keys; the least of them gives the verb."""
    record = node_record(node, at)
    record.header.answers.CopyFrom(announcement)
    worst = max((each.verdict for each in judged), default=KeyVerdict.KEY_VERDICT_ACCEPTED)
    verb, effect = _SAID[worst]
    answer = Answer(
        record=announcement,
        verb=verb,
        effect=effect,
        reasons=sorted({each.reason for each in judged if each.reason}),
        answered_by=node.name,
        keys=[
            AnsweredKey(key_id=each.key.key_id, verdict=each.verdict, fingerprint=each.row["fingerprint"])
            for each in judged
        ],
    )
    answer.answered_at.FromDatetime(at)
    record.answer.CopyFrom(answer)
    return record


def take_answer(overlay: RegisterOverlay, entry: ReadEntry, source: LogHead) -> None:
    """Keep what a peer says of our keys; of two answers the later one counts, whichever lane was faster."""
    assert entry.record is not None
    answer = entry.record.answer
    at = micros_of(answer.answered_at)
    for key in answer.keys:
        if key.verdict not in _SAID or overlay.said(source.peer, key.key_id) > at:
            continue
        row = {
            "peer": source.peer,
            "key_id": key.key_id,
            "verdict": key.verdict,
            "fingerprint": key.fingerprint,
            "answered_at": at,
            "log_id": source.id,
            "idx": entry.index,
        }
        overlay.put("key_answers", (source.peer, key.key_id), row, salt=entry.salt, place=entry.place)


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
            "decision": ruling.as_json(ruling.edition),
            "source_log": source.id,
            "source_idx": entry.index,
        }
        overlay.put_numbered("decisions", row, salt=entry.salt, place=entry.place)

    if default is not None and message.end > message.first:
        put(message.first, message.end, 1, default, item=False)
    for each in items:
        put(each.index, each.index + 1, each.revision, each.ruling, item=True)
    return ""


def keep_own(overlay: RegisterOverlay, entry: ReadEntry) -> None:
    """Keep where a decision of ours stands: one row for the range, one for each entry that was decided again.

    What it says is read there: the register only finds it.
    """
    assert entry.record is not None
    message = entry.record.recognition
    found = [(message.first, message.end, 1, False)] if message.end > message.first else []
    again = {(item.index, item.decision_revision) for item in message.items if item.decision_revision > 1}
    found += [(index, index + 1, revision, True) for index, revision in sorted(again)]
    for first, end, revision, item in found:
        row = {
            "answered": message.answered_log,
            "first": first,
            "end": end,
            "revision": revision,
            "item": item,
            "source_log": overlay.log_id,
            "source_idx": entry.index,
        }
        overlay.put_numbered("made_decisions", row, salt=entry.salt, place=entry.place)
