"""SecurityService's rpcs about a signing key that was lost."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.problems import Problem, Refused
from exchange.flows.instants import instant, is_instant, micros_of
from exchange.flows.trust.compromise import MAX_LISTED, CompromiseFlow, Unproven
from exchange.rpc.door import Call
from exchange.v1 import security_service_pb2 as pb

MAX_CHOSEN = 1_000
"""Records that one call names."""


class CompromiseRpcs:
    """Answers RevokeKey, ListUnprovenRecords and ReconfirmRecords."""

    compromise: CompromiseFlow

    async def revoke_key(self, call: Call, request: pb.RevokeKeyRequest) -> pb.RevokeKeyResponse:
        """RevokeKey."""
        index = await call.run(
            self.compromise.revoke,
            request.key_id,
            _since(request.since),
            request.reason,
            call.identity,
            call.asked.now,
        )
        return pb.RevokeKeyResponse(journal_index=index)

    async def list_unproven_records(
        self, call: Call, request: pb.ListUnprovenRecordsRequest
    ) -> pb.ListUnprovenRecordsResponse:
        """ListUnprovenRecords."""

        def read() -> pb.ListUnprovenRecordsResponse:
            found = self.compromise.unproven(request.key_id, _since(request.since))
            open_ones = (each for each in found if not (request.open_only and each.confirmed))
            listed = [_message(each) for each in islice(open_ones, MAX_LISTED)]
            return pb.ListUnprovenRecordsResponse(records=listed, total=len(listed) + sum(1 for _ in open_ones))

        return await call.run(read)

    async def reconfirm_records(self, call: Call, request: pb.ReconfirmRecordsRequest) -> pb.ReconfirmRecordsResponse:
        """ReconfirmRecords."""
        if len(request.record_ids) > MAX_CHOSEN:
            raise Refused([Problem("TOO_MANY_ENTRIES", "record_ids", str(len(request.record_ids)))])
        done = await call.run(
            self.compromise.confirm,
            request.key_id,
            _since(request.since),
            frozenset(request.record_ids),
            request.reason,
            call.identity,
            call.asked.now,
        )
        return pb.ReconfirmRecordsResponse(confirmed=done)


def _since(value: Timestamp) -> datetime:
    if not value.seconds or not is_instant(value):
        raise Refused([Problem("FIELD_MISSING", "since")])
    return instant(micros_of(value))


def _message(found: Unproven) -> pb.UnprovenRecord:
    message = pb.UnprovenRecord(
        peer=found.peer,
        log=found.log,
        index=found.index,
        record_id=found.record_id,
        revision=found.revision,
        kind=found.kind,  # type: ignore[arg-type]
        mirrored=found.mirrored,
        confirmed=found.confirmed,
    )
    message.logged_at.FromDatetime(found.logged_at)
    return message
