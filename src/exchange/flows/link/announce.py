"""KeyAnnouncements: entry 0 of every outbound epoch tells by which keys the log speaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exchange.crypto.trusted.possession import id_of
from exchange.crypto.x509.certificates import facts_of, load_der
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.context import Node
from exchange.v1.key_announcement_pb2 import AnnouncedKey, Continues, KeyAnnouncement, KeyState, KeyUse
from exchange.v1.record_pb2 import Record


def log_announcement(node: Node, origins: Sequence[str], now: datetime) -> Record:
    """The record that tells peers the keys of new epochs of logs that they witness."""
    record = node_record(node, now)
    for origin in origins:
        for key in _log_keys(node, origin):
            key.valid_from.FromDatetime(now)
            record.key_announcement.keys.append(key)
    return record


def _log_keys(node: Node, origin: str) -> list[AnnouncedKey]:
    """All keys of a new log, in the middle of a rotation too: what is first told of a log is told together."""
    found = [
        *((key, KeyState.KEY_STATE_ACTIVE) for key in node.keys.log_signer(origin).line.active),
        *((key, KeyState.KEY_STATE_NEXT) for key in node.keys.next_log_keys(origin)),
    ]
    return [AnnouncedKey(use=KeyUse.KEY_USE_LOG, key_id=id_of(key), vkey=str(key), state=state) for key, state in found]


def announcement(node: Node, origin: str, now: datetime, continues: Continues | None = None) -> Record:
    """The record for entry 0 of an outbound log.

    Args:
        node: The node.
        origin: The log.
        now: Time of the record.
        continues: The log that it goes on from, from the second epoch on.
    """
    announced = []
    for signer in node.keys.signers:
        signing = AnnouncedKey(
            use=KeyUse.KEY_USE_SIGNING,
            key_id=signer.keyid,
            chain=signer.chain,
            state=KeyState.KEY_STATE_ACTIVE,
        )
        signing.valid_from.FromDatetime(facts_of(load_der(signer.chain[0])).not_before)
        announced.append(signing)
    others = _log_keys(node, origin)
    for use, key in (
        (KeyUse.KEY_USE_MIRROR, node.keys.mirror.key),
        (KeyUse.KEY_USE_WITNESS, node.keys.witness.key),
    ):
        others.append(AnnouncedKey(use=use, key_id=id_of(key), vkey=str(key), state=KeyState.KEY_STATE_ACTIVE))
    for other in others:
        other.valid_from.CopyFrom(announced[0].valid_from)
        announced.append(other)
    record = node_record(node, now)
    record.key_announcement.CopyFrom(KeyAnnouncement(keys=announced, continues=continues))
    return record
