"""Logs, checkpoints and proofs as they are stored. Nothing is signed here."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.audit.reading.reads import ENTRIES, PROOF, ReadFolder
from exchange.flows.audit.timestamping import waiting
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.queries.ground.paging import page_size
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store, timestamps, witnessed
from exchange.storage.queries import Connection, standing
from exchange.tlog import proof, tree
from exchange.v1.audit_service_pb2 import (
    Entry,
    GetCheckpointRequest,
    GetCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetInclusionProofRequest,
    GetInclusionProofResponse,
    ListEntriesRequest,
    ListEntriesResponse,
    ListLogsResponse,
    ListTimestampsRequest,
    ListTimestampsResponse,
    Log,
    LogUse,
    StreamEntriesRequest,
    StreamEntriesResponse,
    Timestamp,
    Unstamped,
    WitnessedHead,
)

PAGE_BYTES = 3 << 20
"""Bytes of entries in one answer: with the fields around them, it fits one message."""

STREAM_BYTES = 256 << 10
"""Bytes of entries in one message of a stream: keeps reads short and memory flat."""

STREAM_ENTRIES = 500
"""Entries in one message of a stream."""

MAX_TIMESTAMPS = 500
"""Time stamps of one answer; their bytes bound it, too."""

_USES = {
    "outbound": LogUse.LOG_USE_OUTBOUND,
    "mirror": LogUse.LOG_USE_MIRROR,
    "local": LogUse.LOG_USE_LOCAL,
    "journal": LogUse.LOG_USE_JOURNAL,
}


class AuditQueries:
    """Queries of AuditService. What is read of a journal is noted in the journal.

    Args:
        node: The node.
        reads: Notes it.
    """

    def __init__(self, node: Node, reads: ReadFolder) -> None:
        self._node = node
        self._reads = reads

    def _read(self, identity: str, what: str, log: LogHead, first: int, end: int) -> None:
        if log.use == "journal":
            self._reads.note(identity, what, log.origin, first, end)

    def logs(self) -> ListLogsResponse:
        """Every log that the node keeps, of every epoch."""
        with self._node.database.read() as connection:
            heads = log_store.heads(connection)
            cosigned = standing.cosigned_sizes(connection, [log.id for log in heads])
            seen = witnessed.newest(connection)
        return ListLogsResponse(
            logs=[self._log(log, cosigned[log.id]) for log in heads],
            witnessed=[WitnessedHead(origin=each.origin, peer=each.peer, size=each.size) for each in seen],
        )

    def _log(self, log: LogHead, cosigned: int) -> Log:
        peer = self._node.peers.get(log.peer) if log.peer else None
        vkey = cosigner = ""
        if log.use == "mirror":
            keys = peer.log_keys(log.origin) if peer else ()
            vkey, cosigner = (str(keys[0]) if keys else ""), self._node.keys.mirror.vkey
        else:
            vkey = self._node.keys.log_signer(log.origin).vkey
            if log.use == "outbound" and peer:
                cosigner = next((str(key) for key in peer.mirror.active), "")
            elif log.use in ("journal", "local"):
                # Every peer witnesses them; the one that a checkpoint shows is in its signature line.
                known = [self._node.peers.get(name) for name in self._node.peers.names()]
                witnesses = [key for each in known if each is not None for key in each.witness.active[:1]]
                cosigner = str(witnesses[0]) if len(witnesses) == 1 else ""
        return Log(
            origin=log.origin,
            use=_USES[log.use],
            peer=log.peer,
            size=log.size,
            cosigned_size=cosigned,
            vkey=vkey,
            cosigner_vkey=cosigner,
            retired=log.retired,
        )

    def checkpoint(self, request: GetCheckpointRequest) -> GetCheckpointResponse:
        """A stored checkpoint with both signatures.

        Raises:
            Refused: The size is negative.
            NotFound: No such log, or none cosigned that covers the size.
        """
        if request.size < 0:
            raise Refused([Problem("RANGE_INVALID", "size", str(request.size))])
        with self._node.database.read() as connection:
            note = _note(connection, request.origin, request.size)
        if note is None:
            raise NotFound("no cosigned checkpoint")
        return GetCheckpointResponse(checkpoint=note.decode())

    def inclusion(self, identity: str, request: GetInclusionProofRequest) -> GetInclusionProofResponse:
        """Proof that an entry is in a log, at any size of it.

        Raises:
            Refused: Index or size lie outside the log.
            NotFound: No such log, or no size is given and no checkpoint covers the entry.
        """
        with self._node.database.read() as connection:
            log = _find(connection, request.origin)
            if not 0 <= request.index < log.size:
                raise Refused([Problem("RANGE_INVALID", "index", str(request.index))])
            size = request.size
            if size == 0:
                note = log_store.first_checkpoint_covering(connection, log.id, request.index + 1)
                if note is None:
                    raise NotFound("no cosigned checkpoint covers the entry")
                size = note.size
            if not request.index < size <= log.size:
                raise Refused([Problem("RANGE_INVALID", "size", str(request.size))])
            hashes = tree.inclusion_proof(request.index, size, log_store.node_reader(connection, log.id))
            answer = GetInclusionProofResponse(hashes=hashes, size=size, root=log_store.root(connection, log, size))
            stored = log_store.checkpoint_of(connection, log.id, size)
            if stored is not None:
                entry = log_store.entries(connection, log.id, request.index, request.index + 1, bodies=False)[0].entry
                # The journal's entries may be larger than a receipt's extra line.
                extra = entry if len(entry) <= proof.MAX_EXTRA_BYTES else None
                receipt = proof.Receipt(request.index, tuple(hashes), stored.note, extra)
                answer.receipt = receipt.to_bytes().decode()
        self._read(identity, PROOF, log, request.index, request.index + 1)
        return answer

    def consistency(self, identity: str, request: GetConsistencyProofRequest) -> GetConsistencyProofResponse:
        """Proof that a log only grew between two sizes.

        Raises:
            Refused: The sizes are reversed or lie outside the log.
            NotFound: No such log.
        """
        with self._node.database.read() as connection:
            log = _find(connection, request.origin)
            if not 0 <= request.first <= request.second <= log.size:
                raise Refused([Problem("RANGE_INVALID", "first", f"{request.first}..{request.second} of {log.size}")])
            reader = log_store.node_reader(connection, log.id)
            hashes = tree.consistency_proof(request.first, request.second, reader)
        self._read(identity, PROOF, log, request.first, request.second)
        return GetConsistencyProofResponse(hashes=hashes)

    def timestamps(self, request: ListTimestampsRequest) -> ListTimestampsResponse:
        """Time stamps of one log, or the newest of each; and the logs that wait for one.

        Raises:
            Refused: The size is negative.
            NotFound: No such log.
        """
        if request.above < 0:
            raise Refused([Problem("RANGE_INVALID", "above", str(request.above))])
        with self._node.database.read() as connection:
            if request.origin:
                log = _find(connection, request.origin)
                stored = timestamps.of_log(connection, log.id, request.above, MAX_TIMESTAMPS)
            else:
                newest = (timestamps.newest(connection, log.id) for log in log_store.heads(connection))
                stored = [each for each in newest if each is not None]
            origins = {log.id: log.origin for log in log_store.heads(connection)}
            due = [each for each in waiting(connection) if request.origin in ("", each.log.origin)]
        answer = ListTimestampsResponse(
            waiting=[Unstamped(origin=each.log.origin, size=each.size, since=timestamp(each.since)) for each in due]
        )
        for each in stored:
            made = Timestamp(
                origin=origins[each.log_id],
                size=each.size,
                note=each.note,
                token=each.token,
                stamped_at=timestamp(each.stamped_at),
                since=timestamp(each.since),
                service=each.service,
            )
            if answer.ByteSize() + made.ByteSize() > PAGE_BYTES:
                break
            answer.timestamps.append(made)
        return answer

    def entries(self, identity: str, request: ListEntriesRequest) -> ListEntriesResponse:
        """Entries in order, verbatim; fewer than asked for when they are large.

        Raises:
            Refused: The start is negative, or the page size wrong.
            NotFound: No such log.
        """
        limit = page_size(request.page_size)
        if request.start < 0:
            raise Refused([Problem("RANGE_INVALID", "start", str(request.start))])
        with self._node.database.read() as connection:
            log = _find(connection, request.origin)
            found = log_store.entries(
                connection, log.id, request.start, request.start + limit, bodies=False, max_bytes=PAGE_BYTES
            )
        if found:
            self._read(identity, ENTRIES, log, found[0].index, found[-1].index + 1)
        return ListEntriesResponse(
            entries=[Entry(index=entry.index, entry=entry.entry) for entry in found], size=log.size
        )

    def stream(self, identity: str, request: StreamEntriesRequest) -> Iterator[StreamEntriesResponse]:
        """Runs of entries; each is read in a view of its own, so that a slow reader holds nothing.

        Raises:
            Refused: The range lies outside the log.
            NotFound: No such log.
        """
        with self._node.database.read() as connection:
            log = _find(connection, request.origin)
        end = request.end or log.size
        if not 0 <= request.start <= end <= log.size:
            raise Refused([Problem("RANGE_INVALID", "start", f"{request.start}..{request.end} of {log.size}")])
        position = request.start
        if position < end:
            # The whole range at once, before the first message: a crash in the middle leaves no part untold.
            self._read(identity, ENTRIES, log, position, end)
        while position < end:
            with self._node.database.read() as connection:
                found = log_store.entries(
                    connection,
                    log.id,
                    position,
                    min(end, position + STREAM_ENTRIES),
                    bodies=False,
                    max_bytes=STREAM_BYTES,
                )
            if not found:
                return
            position = found[-1].index + 1
            yield StreamEntriesResponse(entries=[Entry(index=entry.index, entry=entry.entry) for entry in found])


def _note(connection: Connection, origin: str, size: int) -> bytes | None:
    """The first cosigned checkpoint that covers a size, or the newest; of a peer's witnessed log the newest alone."""
    seen = witnessed.get(connection, origin) if len(origin) <= 255 else None
    if seen is not None:
        return seen.note if size <= seen.size else None
    log = _find(connection, origin)
    if size:
        stored = log_store.first_checkpoint_covering(connection, log.id, size)
    else:
        stored = log_store.last_checkpoint(connection, log.id)
    return stored.note if stored is not None else None


def _find(connection: Connection, origin: str) -> LogHead:
    log = log_store.head(connection, origin) if len(origin) <= 255 else None
    if log is None:
        raise NotFound(origin[:255])
    return log
