"""The report of a rotation: its steps as the journal has them, each with the proof that it stands there.

    proof       a step's entry leads to the root of a checkpoint that a witness has cosigned
    fold        the steps, taken one after the other, give the rotation that the node shows

What no report can show: handshakes that TLS refused before a call began. gRPC for Python tells neither side's program
of them; the peer's and the agencies' own counts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.message import DecodeError

from exchange.crypto.ed25519 import verify_note
from exchange.domain import rotation as rotations
from exchange.flows.context import Node
from exchange.storage.engine.database import Connection
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.queries import rotations as register
from exchange.tlog import tree
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.rotation_pb2 import Rotation
from exchange.v1.security_service_pb2 import ReportedStep


class Shown(StrEnum):
    """What is known of one line of a report."""

    PROVEN = "PROVEN"
    """It stands in the journal under a checkpoint by the journal's key."""
    INCLUDED = "INCLUDED"
    """It leads to the checkpoint's root; whose checkpoint it is, nobody named a key to tell."""
    PENDING = "PENDING"
    """No witness has seen it yet."""
    WRONG = "WRONG"
    """It does not lead to the checkpoint's root, or is no step."""


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """One line of a report, looked at.

    Attributes:
        event: The journal's entry; None when it can not be read.
    """

    step: ReportedStep
    event: JournalEntry | None
    shown: Shown


def report(node: Node, number: int) -> list[ReportedStep]:
    """The steps of a rotation with their proofs."""
    found = []
    with node.database.read() as connection:
        for log_id, index in register.steps(connection, number):
            book = log_store.head_by_id(connection, log_id)
            if book is None:
                continue
            raw = log_store.entries(connection, log_id, index, index + 1, bodies=False)[0]
            step = ReportedStep(log=book.origin, index=index, entry=raw.entry)
            note = _covering(connection, log_id, index)
            if note is not None:
                step.checkpoint = note.note
                step.proof.extend(tree.inclusion_proof(index, note.size, log_store.node_reader(connection, log_id)))
            found.append(step)
    return found


def _covering(connection: Connection, log_id: int, index: int) -> StoredCheckpoint | None:
    newest = log_store.last_checkpoint(connection, log_id)
    return newest if newest is not None and newest.size > index else None


def check(steps: Sequence[ReportedStep], keys: Sequence[VerifierKey] = ()) -> list[CheckedStep]:
    """Look at every line of a report.

    Args:
        steps: As the node gave them.
        keys: Keys of its journal; without any, inclusion alone is looked at.
    """
    return [_checked(step, keys) for step in steps]


def folded(steps: Sequence[CheckedStep]) -> Rotation | None:
    """The rotation that a report tells; None when its lines are not the steps of one."""
    events = [each.event for each in steps if each.event is not None]
    if len(events) != len(steps):
        return None
    try:
        return rotations.fold((event.rotation_stepped, event.at) for event in events)
    except rotations.StepNotAllowed:
        return None


def _checked(step: ReportedStep, keys: Sequence[VerifierKey]) -> CheckedStep:
    try:
        event = JournalEntry.FromString(step.entry)
    except DecodeError:
        return CheckedStep(step, None, Shown.WRONG)
    if not event.HasField("rotation_stepped"):
        return CheckedStep(step, None, Shown.WRONG)
    if not step.checkpoint:
        return CheckedStep(step, event, Shown.PENDING)
    try:
        _, checkpoint = parse_note(step.checkpoint)
    except LogFormatError:
        return CheckedStep(step, event, Shown.WRONG)
    included = checkpoint.origin == step.log and tree.verify_inclusion(
        tree.leaf_hash(step.entry), step.index, checkpoint.size, list(step.proof), checkpoint.root
    )
    if not included:
        return CheckedStep(step, event, Shown.WRONG)
    named = [key for key in keys if key.name == checkpoint.origin]
    if not named:
        return CheckedStep(step, event, Shown.INCLUDED)
    signed = any(verify_note(step.checkpoint, key) is not None for key in named)
    return CheckedStep(step, event, Shown.PROVEN if signed else Shown.WRONG)
