"""Registers as they stand, by digest, so that whoever replayed the logs finds the rows that differ."""

from __future__ import annotations

from typing import Final

from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.reading.reads import REGISTER, REGISTER_DIGESTS, ReadFolder
from exchange.flows.context import Node
from exchange.storage.registers import canonical
from exchange.storage.registers.canonical import REGISTERS, RegisterPosition, RowReader
from exchange.v1 import audit_service_pb2 as pb

MIN_SALT: Final = 16
MAX_SALT: Final = 64
"""Bytes of a salt: too long to be guessed, and no work by itself."""

MAX_KEY: Final = 4_096
"""Characters of a row's key: names and numbers."""


class RegisterQueries:
    """What ListRegisterDigests answers.

    Args:
        node: The node.
        reads: Journals what was read.
    """

    def __init__(self, node: Node, reads: ReadFolder) -> None:
        self._node = node
        self._reads = reads

    def digests(self, caller: str, request: pb.ListRegisterDigestsRequest) -> pb.ListRegisterDigestsResponse:
        """Runs of rows by digest, or rows, of one register. That they were read is in the journal first.

        Args:
            caller: Identity.
            request: What is asked.

        Raises:
            Refused: No such register; the salt is too short or too long; a key is ill-formed.
        """
        answer = pb.ListRegisterDigestsResponse(registers=sorted(REGISTERS))
        problems = self._problems(request)
        if problems:
            raise Refused(problems)
        with self._node.database.read() as connection:
            answer.position.CopyFrom(position_of(canonical.position(connection)))
            if not request.register:
                answer.complete = True
                return answer
            reader = RowReader(connection)
            try:
                last = self._fill(answer, reader, request)
                if last:
                    beyond = reader.rows(request.register, last, request.until, limit=1)
                    answer.complete = next(beyond, None) is None
                else:
                    answer.complete = True
            except ValueError as error:
                raise Refused([Problem("REGISTER_KEY", "after", str(error)[:200])]) from None
        # Digests too: whoever chose the salt can test a guess against them.
        if answer.lines:
            self._reads.note(caller, REGISTER, request.register)
        elif answer.runs:
            self._reads.note(caller, REGISTER_DIGESTS, request.register)
        return answer

    @staticmethod
    def _fill(answer: pb.ListRegisterDigestsResponse, reader: RowReader, request: pb.ListRegisterDigestsRequest) -> str:
        """Returns the last row's key."""
        if request.rows:
            for row in reader.rows(request.register, request.after, request.until, canonical.BUCKET_ROWS):
                answer.lines.add(key=row.key, line=row.line)
            return answer.lines[-1].key if answer.lines else ""
        for run in reader.buckets(request.register, request.salt, request.after, request.until):
            answer.runs.add(last=run.last, rows=run.rows, digest=run.digest)
        return answer.runs[-1].last if answer.runs else ""

    @staticmethod
    def _problems(request: pb.ListRegisterDigestsRequest) -> list[Problem]:
        problems = []
        if request.register and request.register not in REGISTERS:
            problems.append(Problem("REGISTER_UNKNOWN", "register", request.register[:100]))
        salted = not request.rows and bool(request.register)
        if salted and not MIN_SALT <= len(request.salt) <= MAX_SALT:
            problems.append(Problem("REGISTER_SALT", "salt", f"{len(request.salt)}"))
        problems += [
            Problem("REGISTER_KEY", name, f"{len(key)}")
            for name, key in (("after", request.after), ("until", request.until))
            if len(key) > MAX_KEY
        ]
        return problems


def position_of(found: RegisterPosition) -> pb.RegisterPosition:
    """A position as it is told."""
    return pb.RegisterPosition(journal=found.journal, size=found.size, next_change=found.next_seq)
