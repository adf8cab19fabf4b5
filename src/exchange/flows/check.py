"""Checking a subject while a matter is handled (逢办必查): the answer leaves when its trace is on disk.

The numbered walk:
  1 question   every rule it breaks is listed; no matter number or purpose, no check
  2 grant      CHECK for the area of the matter
  3 answer     standing and open notices of both regions, from one view of the registers
  4 trace      salted digests of question and answer into the journal, group-committed
What a crash leaves behind: either a trace and perhaps no answer, or neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from google.protobuf.message import Message

from exchange.crypto.keys import generate_salt
from exchange.domain.codes import normalise, uscc_reasons
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.flows.context import LOCAL_TIME
from exchange.flows.ids import new_id
from exchange.flows.queries.credit import MAX_SUBJECT_ROWS, knowledge, regional_standings
from exchange.flows.queries.freshness import stale_peers
from exchange.flows.queries.reading import Asked, Reading
from exchange.flows.queries.records import check_enum
from exchange.flows.queries.views import record_views
from exchange.storage import journal
from exchange.storage.queries import checks, records
from exchange.storage.queries.records import RecordRow
from exchange.storage.writer import WorkClass
from exchange.v1.check_service_pb2 import CheckSubjectRequest, CheckSubjectResponse, MatterKind
from exchange.v1.journal_pb2 import CheckTraced, JournalEntry
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.record_service_pb2 import RecordView
from exchange.v1.security_service_pb2 import Verb

MAX_MATTER_NO = 100
"""Characters of a matter number."""

MAX_PURPOSE = 200
"""Characters of a purpose: one sentence."""

MAX_ROUNDS = 4
"""How often a check is answered again because the journal went on in another epoch."""

_OFFICER_REF = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_KINDS = (Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE)


class CheckContended(ExchangeError):
    """The journal kept changing its epoch."""

    reason = "CONTENDED"


class CheckFlow:
    """Answers checks.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        # Asked for at every check and changed once in years; the transaction of the trace notices when it is wrong.
        self._journal = self._current_journal()

    def _current_journal(self) -> str:
        with self._reading.node.database.read() as connection:
            return journal.head(connection).origin

    def check(self, asked: Asked, request: CheckSubjectRequest) -> CheckSubjectResponse:
        """Check one subject.

        Raises:
            Refused: The question breaks rules; all of them are listed.
            AccessDenied: No grant to check in the area of the matter.
        """
        # 1
        problems = self._problems(request)
        if problems:
            raise Refused(problems)
        # 2
        denied = self._reading.book.require(asked.caller.name, Verb.VERB_CHECK, 0, request.area_code)
        if denied is not None:
            raise AccessDenied(denied)
        for _round in range(MAX_ROUNDS):
            # 3
            answer = self._answer(asked, normalise(request.uscc))
            # 4
            question = request.SerializeToString(deterministic=True)
            answer.question_salt = generate_salt()
            answer_digest_salt = generate_salt()
            event = JournalEntry(
                check_traced=CheckTraced(
                    check_id=answer.check_id,
                    agency=asked.caller.name,
                    matter_kind=MatterKind.Name(request.matter_kind).removeprefix("MATTER_KIND_"),
                    question_digest=sha256(answer.question_salt + question).digest(),
                    answer_digest=answer_digest(answer, answer_digest_salt),
                )
            )
            event.at.FromDatetime(asked.now)
            index = self._reading.node.writer.call(
                checks.trace, checks.Trace(answer.journal, event), WorkClass.INTERACTIVE
            )
            if index is None:
                self._journal = self._current_journal()
            else:
                answer.answer_salt = answer_digest_salt
                answer.journal_index = index
                return answer
        raise CheckContended

    def _problems(self, request: CheckSubjectRequest) -> list[Problem]:
        problems = []
        uscc = normalise(request.uscc)
        if not uscc:
            problems.append(Problem("FIELD_MISSING", "uscc"))
        else:
            accepted = self._reading.node.tables.accepted_codes
            problems += [Problem(reason, "uscc", uscc[:18]) for reason in uscc_reasons(uscc, accepted)]
        if request.matter_kind == MatterKind.MATTER_KIND_UNSPECIFIED:
            problems.append(Problem("MATTER_MISSING", "matter_kind"))
        else:
            try:
                check_enum(MatterKind, request.matter_kind, "matter_kind")
            except Refused as refused:
                problems += refused.problems
        problems += _text(request.matter_no, "matter_no", MAX_MATTER_NO, "MATTER_MISSING")
        problems += _text(request.purpose, "purpose", MAX_PURPOSE, "PURPOSE_MISSING")
        if not request.officer_ref:
            problems.append(Problem("OFFICER_MISSING", "officer_ref"))
        elif not _OFFICER_REF.fullmatch(request.officer_ref):
            problems.append(Problem("OFFICER_REF_FORMAT", "officer_ref"))
        if request.area_code and not self._reading.node.tables.areas.plausible(request.area_code):
            problems.append(Problem("AREA_UNKNOWN", "area_code", request.area_code[:8]))
        return problems

    def _answer(self, asked: Asked, uscc: str) -> CheckSubjectResponse:
        reading, node = self._reading, self._reading.node
        today = asked.now.astimezone(LOCAL_TIME).date().isoformat()
        fresh = reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        with node.database.read() as connection:
            rows, bodies = records.of_subject(connection, uscc, _KINDS, MAX_SUBJECT_ROWS)
            views = record_views(connection, reading, rows, asked.words, bodies)
        pairs = list(zip(rows, views, strict=True))
        credit = [pair for pair in pairs if pair[0].kind == Kind.KIND_CREDIT_RESULT]
        notices = [pair for pair in pairs if pair[0].kind == Kind.KIND_PENALTY_NOTICE]
        answer = CheckSubjectResponse(
            check_id=str(new_id(asked.now)),
            credit=regional_standings(node, [row for row, _ in credit], [view for _, view in credit], fresh),
            notices=_open(notices, today),
            freshness=fresh,
            journal=self._journal,
        )
        stale = any(stale_peers(fresh, Lane.LANE_REGISTRY).values())
        answer.notice_knowledge = knowledge(found=bool(answer.notices), stale=stale)
        answer.answered_at.FromDatetime(asked.now)
        return answer


def answer_digest(answer: CheckSubjectResponse, salt: bytes) -> bytes:
    """The digest of an answer that its trace holds: of the salt, then the message without salt and journal index."""
    bare: Message = CheckSubjectResponse()
    bare.CopyFrom(answer)
    bare.ClearField("answer_salt")
    bare.ClearField("journal_index")
    return sha256(salt + bare.SerializeToString(deterministic=True)).digest()


def _open(notices: Sequence[tuple[RecordRow, RecordView]], today: str) -> list[RecordView]:
    """Notices that stand, or that a tombstone stands for, newest first.

    What ran out by its own date is not open any more.
    """
    ordered = sorted(notices, key=lambda pair: (pair[0].sort_on, pair[0].seq), reverse=True)
    return [view for _, view in ordered if (view.record.penalty_notice.effective_until or today) >= today]


def _text(value: str, place: str, limit: int, missing: str) -> list[Problem]:
    if not value.strip():
        return [Problem(missing, place)]
    if len(value) > limit:
        return [Problem("TEXT_TOO_LONG", place, str(len(value)))]
    if not value.isprintable():
        return [Problem("TEXT_CONTROL_CHARACTER", place)]
    return []
