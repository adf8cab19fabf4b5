"""Feedback that agencies owe about measures (措施反馈)."""

from __future__ import annotations

from datetime import datetime, timedelta

from exchange.flows.context import LOCAL_TIME
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.storage.queries import Connection, feedback
from exchange.storage.queries.feedback import DueRow, Overdue
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.penalty_service_pb2 import DueFeedback, ListDueFeedbackRequest, ListDueFeedbackResponse

OVERDUE_DAYS = 730
"""How far back overdue feedback is counted: two years; lists show all of it."""


class FeedbackQueries:
    """What is due.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def due(self, asked: Asked, request: ListDueFeedbackRequest) -> ListDueFeedbackResponse:
        """A page of what the caller owes, due first first.

        Raises:
            Refused: The page's size or token is wrong.
        """
        limit = page_size(request.page_size)
        question = f"due {asked.caller.name} {request.overdue_only} {request.include_given}"
        token = self._reading.tokens.read(question, request.page_token)
        after = (token[0], bytes.fromhex(token[1]), token[2], token[3], token[4]) if token else None
        today = asked.now.astimezone(LOCAL_TIME).date().isoformat()
        with self._reading.node.database.read() as connection:
            rows = feedback.page(
                connection,
                asked.caller.name,
                after=after,
                limit=limit + 1,
                before=today if request.overdue_only else "",
                include_given=request.include_given,
            )
        answer = ListDueFeedbackResponse(feedback=[self._shown(row, today) for row in rows[:limit]])
        if len(rows) > limit:
            day, source, *others = rows[limit - 1].position
            answer.next_page_token = self._reading.tokens.make(question, [day, source.hex(), *others])
        return answer

    def _shown(self, row: DueRow, today: str) -> DueFeedback:
        known = self._reading.node.tables.measures.find(row.catalogue, row.edition, row.code)
        shown = DueFeedback(
            check_id=format_id(row.check_id),
            agency=row.agency,
            source=RecordRef(origin=row.source_origin, record_id=format_id(row.source)),
            source_kind=row.source_kind,  # type: ignore[arg-type]
            catalogue=row.catalogue,
            edition=row.edition,
            code=row.code,
            name=known.name if known is not None else "",
            matter_kind=row.matter_kind,  # type: ignore[arg-type]
            matter_no=row.matter_no,
            due_on=row.due_on,
            overdue=row.given is None and row.due_on < today,
        )
        if row.given is not None:
            origin, record_id, revision = row.given
            shown.feedback.CopyFrom(RecordRef(origin=origin, record_id=format_id(record_id), revision=revision))
        return shown


def overdue_by_agency(connection: Connection, now: datetime) -> list[Overdue]:
    """How much each agency owes that was due before today."""
    today = now.astimezone(LOCAL_TIME).date()
    since = today - timedelta(days=OVERDUE_DAYS)
    return feedback.overdue(connection, since=since.isoformat(), before=today.isoformat())
