"""KeyAnnouncements: entry 0 of every outbound epoch tells by which keys the log speaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exchange.crypto.certificates import facts_of, load_der
from exchange.flows.apply.answered import node_record
from exchange.flows.context import Node
from exchange.v1.key_announcement_pb2 import AnnouncedKey, Continues, KeyAnnouncement, KeyState, KeyUse
from exchange.v1.record_pb2 import Record


def log_announcement(node: Node, origins: Sequence[str], now: datetime) -> Record:
    """The record that tells peers the keys of new epochs of logs that they witness."""
    record = node_record(node, now)
    for origin in origins:
        record.key_announcement.keys.append(_log_key(node, origin))
        record.key_announcement.keys[-1].valid_from.FromDatetime(now)
    return record


def _log_key(node: Node, origin: str) -> AnnouncedKey:
    vkey = node.keys.log_signer(origin).vkey
    name, hint, _ = vkey.split("+", 2)
    return AnnouncedKey(use=KeyUse.KEY_USE_LOG, key_id=f"{name}+{hint}", vkey=vkey, state=KeyState.KEY_STATE_ACTIVE)


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
    for use, vkey in (
        (KeyUse.KEY_USE_LOG, node.keys.log_signer(origin).vkey),
        (KeyUse.KEY_USE_MIRROR, node.keys.mirror.vkey),
        (KeyUse.KEY_USE_WITNESS, node.keys.witness.vkey),
    ):
        name, hint, _ = vkey.split("+", 2)
        announced.append(AnnouncedKey(use=use, key_id=f"{name}+{hint}", vkey=vkey, state=KeyState.KEY_STATE_ACTIVE))
        announced[-1].valid_from.CopyFrom(announced[0].valid_from)
    record = node_record(node, now)
    record.key_announcement.CopyFrom(KeyAnnouncement(keys=announced, continues=continues))
    return record
