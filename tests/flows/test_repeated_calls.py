"""After a restore an agency sends the same calls again, and finds its records as they were: of every form of call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.seal import seal
from exchange.flows.intake.submit import SubmitFlow
from exchange.v1.statement_pb2 import Body, SealedRecord
from exchange.v1.submission_service_pb2 import (
    RecordSubmission,
    SubmitDocumentRequest,
    SubmitResult,
    SubmittedRecord,
)
from tests import evidence
from tests.backups import copy_of, put_back
from tests.flows.node import LineAdapter
from tests.flows.test_recovering import credit, healed
from tests.world import World


def sealed_outside(world: World, number: int) -> RecordSubmission:
    """A record that an agency's own software sealed: the node gets a finished envelope and its body."""
    node = world.nodes["cq"].node
    now = node.clock()
    record = credit(number)
    record.header.record_id, record.header.revision, record.header.kind_edition = str(new_id(now)), 1, 1
    # Any key but the node's own does for an agency's.
    made = seal(replace(node, keys=world.nodes["sc"].node.keys), record, ["sc"], now)
    body = Body(record=made.entry.body or b"", salt=made.salt)
    return RecordSubmission(idempotency_key=f"sealed-{number}", sealed=SealedRecord(envelope=made.envelope, body=body))


def send_batch(world: World, items: list[RecordSubmission]) -> list[SubmittedRecord]:
    """One call with several records."""
    core = world.nodes["cq"].core
    copies = [RecordSubmission.FromString(item.SerializeToString()) for item in items]
    return core.submit.submit("agency", copies, core.node.clock())


def send_document(world: World) -> list[SubmittedRecord]:
    """One document of three rows, one of which can not be mapped."""
    node = replace(world.nodes["cq"].node, adapters={"lines": LineAdapter()})
    flow = DocumentFlow(node, SubmitFlow(node), side="cq")
    request = SubmitDocumentRequest(
        idempotency_key="document", file_name="results.txt", content=b"701 blue\n702 better\n703 what"
    )
    answer = flow.submit("agency", request, node.clock())
    return [row.submitted for row in answer.rows]


@pytest.mark.parametrize("again_before_apply", [False, True], ids=["at rest", "at once"])
def test_the_same_calls_again(local_world: World, *, again_before_apply: bool) -> None:
    """Records of batches, sealed records and documents come back from the mirror, and the same calls find them."""
    world = local_world
    world.start()
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    batch = [RecordSubmission(idempotency_key=f"batch-{number}", record=credit(number)) for number in range(3)]
    batch += [sealed_outside(world, number) for number in range(3, 5)]
    first = [*send_batch(world, batch), *send_document(world)]
    accepted = [each for each in first if each.result == SubmitResult.SUBMIT_RESULT_ACCEPTED]
    assert len(accepted) == 7
    world.wait(world.settled)

    put_back(world, "cq", copy)
    world.start("cq")
    world.wait(healed(world, "cq"))
    if not again_before_apply:
        world.wait(world.settled)
    for each in accepted:
        row = evidence.submission(world, "cq", each.record_id)
        assert row is not None
        assert not row.agency
    again = [*send_batch(world, batch), *send_document(world)]
    for before, now in zip(first, again, strict=True):
        assert (now.result, now.record_id, now.revision) == (before.result, before.record_id, before.revision)
        assert (now.envelope, now.salt) == (before.envelope, before.salt)
    for each in accepted:
        row = evidence.submission(world, "cq", each.record_id)
        assert row is not None
        assert row.agency == "agency"
    world.wait(world.settled)
    assert len([row for row in world.rows("sc") if row.origin == "cq" and row.kind == 1]) == len(accepted)
    evidence.assert_laws(world)
