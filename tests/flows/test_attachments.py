"""Attachments walk after their record: whole, checked, from where they were cut, and gone with the record."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import delete, update

from exchange.domain.problems import Refused
from exchange.flows.events import ATTACHMENTS_LISTED
from exchange.flows.intake.attachments import STAGED_BYTES, STAGED_FOR, expire
from exchange.flows.link.peer_port import PeerAwayError
from exchange.storage import schema
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import PART_BYTES
from exchange.storage.logs.verify import verify
from exchange.v1.common_pb2 import Attachment, RecordRef
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.relay_service_pb2 import FetchAttachmentRequest, FetchAttachmentResponse
from exchange.v1.submission_service_pb2 import SubmitResult, UploadAttachmentRequest
from tests.domain import records
from tests.flows.files import OFD, PDF, hand_in, held, listed, made_file, penalty, uploads
from tests.world import World, lane_origin

OUT = lane_origin("cq", "sc")
SIZE = 2 * PART_BYTES + 100_000


def counts(world: World, name: str) -> list[tuple[str, int, int]]:
    """What a node lacks, by side: number and bytes."""
    with world.nodes[name].database.read() as connection:
        return [(each.peer, each.count, each.size) for each in attachments.missing_counts(connection)]


def sound(world: World) -> bool:
    """Whether both databases hold together."""
    return [verify(world.urls[name]) for name in world.urls] == [[], []]


class Asked:
    """Sees what is asked for pieces, and can cut the wire behind some of them."""

    def __init__(self, pieces: int = 1 << 30) -> None:
        self.offsets: list[int] = []
        self._left = pieces

    async def __call__(self, verb: str, request: Message) -> Message | None:
        """Before each call."""
        if verb == "attachment" and isinstance(request, FetchAttachmentRequest):
            if self._left == 0:
                raise PeerAwayError("cut")
            self._left -= 1
            self.offsets.append(request.offset)
        return request


@pytest.mark.parametrize("first", ["bytes", "record"])
def test_bytes_come_before_their_record_or_after_it(world: World, first: str) -> None:
    """Either way both sides hold them in the end, and until then count them as missing."""
    world.start()
    content = made_file(SIZE)
    file = listed(content)
    if first == "bytes":
        assert hand_in(world.nodes["cq"], file, content).complete
    answer = world.submit("cq", penalty(file), "k")
    assert answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    if first == "record":
        world.wait(world.settled)
        assert counts(world, "cq") == [("", 1, SIZE)]
        assert counts(world, "sc") == [("cq", 1, SIZE)]
        assert hand_in(world.nodes["cq"], file, content).complete
    world.wait(lambda: held(world, "sc", file) == content, what="fetched")
    assert counts(world, "cq") == counts(world, "sc") == []
    assert held(world, "cq", file) == content
    world.wait(world.settled)
    assert sound(world)


def test_who_fetches_is_woken_by_records_that_list_something(local_world: World) -> None:
    """A record without attachments makes nobody look for missing ones; one that lists a file does, on both sides."""
    woken: list[str] = []
    local_world.start()
    for name, runtime in local_world.nodes.items():
        runtime.node.events.listen(ATTACHMENTS_LISTED, lambda name=name: woken.append(name))  # type: ignore[misc]
    assert local_world.submit("cq", records.penalty(), "plain").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    local_world.wait(local_world.settled)
    assert woken == []
    local_world.submit("cq", penalty(listed(made_file(100))), "with a file")
    local_world.wait(local_world.settled)
    assert sorted(woken) == ["cq", "sc"]


def test_a_fetch_that_was_cut_goes_on_where_it_ended(world: World) -> None:
    """Also over a restart: no piece is asked for twice."""
    world.start("cq")
    content = made_file(SIZE)
    file = listed(content)
    hand_in(world.nodes["cq"], file, content)
    world.submit("cq", penalty(file), "k")
    cut = Asked(pieces=1)
    world.wires["sc"].before = cut
    world.start("sc")
    world.wait(lambda: counts(world, "sc") == [("cq", 1, SIZE - PART_BYTES)], what="the first piece")
    world.stop("sc")
    again = Asked()
    world.wires["sc"].before = again
    world.start("sc")
    world.wait(lambda: held(world, "sc", file) == content, what="fetched")
    assert cut.offsets + again.offsets == [0, PART_BYTES, 2 * PART_BYTES]


def test_what_is_not_as_listed_is_thrown_away_and_told(local_world: World) -> None:
    """A changed byte in one piece: nothing of the file is kept or shown, and the alarm names the entry."""
    world = local_world

    def spoil(_verb: str, _request: Message, response: Message) -> Message:
        if isinstance(response, FetchAttachmentResponse) and response.content:
            response.content = response.content[:-1] + bytes([response.content[-1] ^ 1])
        return response

    world.wires["sc"].after = spoil
    world.start()
    content = made_file(5_000)
    file = listed(content)
    hand_in(world.nodes["cq"], file, content)
    world.submit("cq", penalty(file), "k")
    world.wait(lambda: "ATTACHMENT_SPOILT" in world.nodes["sc"].bell.codes(), what="the alarm")
    assert list(world.nodes["sc"].bell.open) == [("ATTACHMENT_SPOILT", f"{OUT}#1")]
    assert held(world, "sc", file) is None
    assert world.rows("sc", "attachment_parts") == []
    world.wires["sc"].after = None
    # A process that starts anew asks at once.
    world.stop("sc")
    world.start("sc")
    world.wait(lambda: held(world, "sc", file) == content, what="fetched")


def test_an_erased_record_takes_its_attachments_along(world: World) -> None:
    """On both sides: bytes and salts; one that another record lists as well stays until that one goes too."""
    world.start()
    content = made_file(PART_BYTES + 5)
    file, shared = listed(content), listed(content, salt=b"t" * 32)
    for each in (file, shared):
        hand_in(world.nodes["cq"], each, content)
    first, second = penalty(file, 1), penalty(shared, 2)
    first.header.attachments.append(shared)
    answers = [world.submit("cq", record, str(number)) for number, record in enumerate((first, second))]
    world.wait(lambda: all(held(world, "sc", each) for each in (file, shared)), what="fetched")
    for number, answer in enumerate(answers):
        erasure = records.erasure()
        erasure.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=answer.record_id))
        assert world.submit("cq", erasure, f"erase-{number}").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
        world.wait(world.settled)
        for name in world.urls:
            left = {row.digest for row in world.rows(name, "attachments")}
            assert left == ({attachments.name_of(shared)} if number == 0 else set())
            assert {row.digest for row in world.rows(name, "attachment_parts")} == left
    assert sound(world)
    assert counts(world, "sc") == []


def test_what_was_revoked_is_not_fetched_any_more(local_world: World) -> None:
    """Bytes that come after the revocation stay where they are: what is not shown is not asked for, nor given."""
    world = local_world
    world.start()
    content = made_file(4_000)
    file = listed(content)
    record = penalty(file)
    answer = world.submit("cq", record, "k")
    world.wait(world.settled)
    revoked = penalty(file)
    revoked.header.record_id = answer.record_id
    revoked.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
    assert world.submit("cq", revoked, "k2").result == SubmitResult.SUBMIT_RESULT_REVISED
    world.wait(world.settled)
    hand_in(world.nodes["cq"], file, content)
    assert counts(world, "sc") == []
    with world.nodes["sc"].database.read() as connection:
        assert attachments.missing(connection, "cq", 10) == []
    core, peer = world.nodes["cq"].core, world.nodes["cq"].node.peers.get("sc")
    assert peer is not None
    for index in (1, 2):
        asked = FetchAttachmentRequest(origin=OUT, index=index, digest=attachments.name_of(file))
        assert not core.answer_attachment(peer, asked).held


def test_bytes_that_we_lost_come_back_from_the_mirror(local_world: World) -> None:
    """A node whose bytes are gone, as after the restore of a backup, asks the peer that fetched them."""
    world = local_world
    world.start()
    content = made_file(3_000)
    file = listed(content)
    hand_in(world.nodes["cq"], file, content)
    world.submit("cq", penalty(file), "k")
    world.wait(lambda: held(world, "sc", file) == content, what="fetched")

    def forget(tx: Any, payloads: Any) -> list[None]:
        tx.connection.execute(delete(schema.attachment_parts))
        tx.connection.execute(update(schema.attachments).values(received=0, complete=False))
        return [None] * len(payloads)

    world.nodes["cq"].writer.call(forget, None)
    assert held(world, "cq", file) is None
    world.stop("cq")
    world.start("cq")
    world.wait(lambda: held(world, "cq", file) == content, what="fetched back")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"media_type": "text/html"}, "ATTACHMENT_TYPE"),
        ({"media_type": OFD}, "ATTACHMENT_TYPE"),
        ({"size": 0}, "ATTACHMENT_INVALID"),
        ({"size": (20 << 20) + 1}, "ATTACHMENT_INVALID"),
        ({"digests": []}, "ATTACHMENT_INVALID"),
        ({"salt": b"x" * 32}, "ATTACHMENT_DIGEST"),
        ({"offset": -1}, "RANGE_INVALID"),
        ({"content": bytes(PART_BYTES + 1)}, "ATTACHMENT_PIECE"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_what_no_record_may_list_is_refused(local_world: World, change: dict[str, Any], reason: str) -> None:
    """Each rule by its own reason, and nothing of it is kept."""
    local_world.start("cq")
    content = made_file(1_000)
    file = listed(content)
    request = UploadAttachmentRequest(attachment=file, content=change.get("content", content))
    request.offset = change.get("offset", 0)
    target: Attachment = request.attachment
    target.media_type = change.get("media_type", PDF)
    target.size = change.get("size", len(content))
    target.digests[0].salt = change.get("salt", target.digests[0].salt)
    if "digests" in change:
        del target.digests[:]
    runtime = local_world.nodes["cq"]
    with pytest.raises(Refused) as refused:
        uploads(runtime).upload("agency", request, runtime.node.clock())
    assert refused.value.reason == reason
    assert local_world.rows("cq", "attachment_parts") == []


def test_the_same_piece_again_changes_nothing(world: World) -> None:
    """Pieces that overlap, come twice or too early: the answer says where to go on, and the file comes out whole."""
    world.start("cq")
    runtime = world.nodes["cq"]
    content = made_file(30_000)
    file = listed(content)

    def piece(start: int, end: int) -> tuple[int, bool]:
        request = UploadAttachmentRequest(attachment=file, offset=start, content=content[start:end])
        answer = uploads(runtime).upload("agency", request, runtime.node.clock())
        return answer.received, answer.complete

    assert piece(0, 0) == (0, False)
    assert piece(10_000, 20_000) == (0, False)
    assert piece(0, 10_000) == piece(0, 10_000) == (10_000, False)
    assert piece(5_000, 15_000) == (15_000, False)
    assert piece(15_000, 30_000) == piece(0, 30_000) == piece(0, 0) == (30_000, True)
    assert held(world, "cq", file) == content


def test_what_no_record_lists_is_bounded_and_dropped(local_world: World) -> None:
    """An agency can not fill the disk: neither at once, nor by leaving files behind."""
    world = local_world
    world.start("cq")
    runtime = world.nodes["cq"]
    content = made_file(PART_BYTES)
    kept, left = listed(content), listed(content, salt=b"t" * 32)
    for each in (kept, left):
        hand_in(runtime, each, content)
    world.submit("cq", penalty(kept), "k", local_only=True)
    world.wait(lambda: world.rows("cq", "attachment_uses"), what="listed")

    def more(room: int) -> attachments.Piece:
        new = listed(content, salt=b"u" * 32)
        return attachments.Piece(
            attachment=new, offset=0, content=content, agency="agency", at=1, staged_bytes=PART_BYTES + room
        )

    # One of the two files is listed by a record, so only the other one counts.
    with pytest.raises(Refused) as refused:
        runtime.writer.call(attachments.put_pieces, more(PART_BYTES - 1))
    assert refused.value.reason == "ATTACHMENT_QUOTA"
    assert runtime.writer.call(attachments.put_pieces, more(PART_BYTES)).received == PART_BYTES
    assert STAGED_BYTES >= 20 << 20
    # The third file is of 1970, the second of now.
    assert expire(runtime.node, runtime.node.clock()) == 1
    assert expire(runtime.node, runtime.node.clock() + STAGED_FOR) == 1
    assert {row.digest for row in world.rows("cq", "attachments")} == {attachments.name_of(kept)}
