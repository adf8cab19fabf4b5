"""Erasing on the node's own initiative (contract §1): an Erasure that no agency submitted, once two officers agreed."""

from __future__ import annotations

from datetime import datetime

from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.flows.actions.pending import Confirmed
from exchange.flows.context import Node
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.submit import SubmitFlow
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import SubmissionRow
from exchange.storage.logs import log_store
from exchange.storage.queries import Connection
from exchange.v1.action_pb2 import ActionRequest, EraseRecordAction
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult

OWN_INITIATIVE = "@node"
"""In the place of an agency's name for what the node submits itself; no agency can have it."""

KEY = "erase:"
"""Begin of the idempotency key; the action's id follows, so that carrying out twice submits once."""


class EraseFlow:
    """Erasures by the node's own officers.

    Args:
        node: The node.
        submit: The door for records: everything that holds for an agency's Erasure holds for this one.
    """

    def __init__(self, node: Node, submit: SubmitFlow) -> None:
        self._node = node
        self._submit = submit

    def check(self, erase: EraseRecordAction, now: datetime) -> None:
        """Say what the door would say, before anybody is asked to confirm. Nothing is stored.

        Raises:
            Refused: The record is unknown, not this region's, or erased already; or the order lacks something.
        """
        self._hand_in(erase, str(new_id(now)), now, validate_only=True)

    def perform(self, request: ActionRequest, who: Confirmed) -> str:
        """Submit the Erasure to every addressee of the original, and to nobody else; its record id is the outcome.

        Raises:
            Refused: The door does not take it.
        """
        return self._hand_in(request.erase_record, who.action_id, who.now, validate_only=False)

    def hand_in(self, erase: EraseRecordAction, key: str, now: datetime) -> str:
        """Submit one Erasure under a key of one's own; its record id.

        Raises:
            Refused: The door does not take it.
        """
        return self._hand_in(erase, key, now, validate_only=False)

    def _hand_in(self, erase: EraseRecordAction, key: str, now: datetime, *, validate_only: bool) -> str:
        # local_only: nobody but the addressees of the original.
        item = RecordSubmission(idempotency_key=KEY + key, record=self._erasure(erase), local_only=True)
        submitted = self._submit.submit(OWN_INITIATIVE, [item], now, validate_only=validate_only)[0]
        if submitted.result == SubmitResult.SUBMIT_RESULT_REFUSED:
            raise Refused([Problem(each.reason, each.place, each.message) for each in submitted.problems])
        return submitted.record_id

    def _erasure(self, erase: EraseRecordAction) -> Record:
        """The Erasure, stated in the name of the authority that stated the record."""
        key = raw_id(erase.record.record_id)
        with self._node.database.read() as connection:
            row = submissions.newest_by_record_ids(connection, {key}).get(key) if key else None
            header = self._header(connection, row) if row is not None else None
        if row is None:
            raise Refused([Problem("REFERENCE_UNKNOWN", "erase.record", erase.record.record_id[:36])])
        if row.kind == Kind.KIND_ERASURE:
            raise Refused([Problem("KIND_NOT_SUBMITTABLE", "erase.record", "Erasure")])
        if header is None:
            raise Refused([Problem("ERASED", "erase.record", erase.record.record_id[:36])])
        record = Record()
        record.header.authority.CopyFrom(header.header.authority)
        record.header.area_code = header.header.area_code
        record.header.catalogue_no = header.header.catalogue_no
        record.header.share_class = header.header.share_class
        record.header.purpose = header.header.purpose
        record.erasure.record.CopyFrom(erase.record)
        record.erasure.record.origin = self._node.name
        record.erasure.legal_ground = erase.legal_ground
        record.erasure.ground_code = erase.ground_code
        record.erasure.ordered_by = erase.ordered_by
        record.erasure.ordered_on = erase.ordered_on
        return record

    @staticmethod
    def _header(connection: Connection, row: SubmissionRow) -> Record | None:
        if not row.addresses:
            return None
        first = row.addresses[0]
        body = log_store.entries_at(connection, first.log_id, [first.index])[first.index].body
        return Record.FromString(body) if body is not None else None
