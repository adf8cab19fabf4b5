"""One record out of a folder that was exported: the same files as from the node, and nothing of it verified.

What the folder holds has its form and its place, no more: whoever runs the lines beside the files finds out the rest.
Only the receipt is looked at, since it is put together here: its path leads from the entry to the note's root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.flows.audit.export.extract import Extract
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import check_extent
from exchange.flows.audit.folder.bodies import BodyArchive
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.report.keys import announcements
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.verify.keys.statements import read_entry
from exchange.flows.intake.ids import format_id
from exchange.tlog import proof, tiles, tree
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import WIDTH, Run
from exchange.tlog.tree import HASH_SIZE, Frontier, NodeId
from exchange.v1.record_service_pb2 import GetEnvelopeResponse, SignatureChain
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

LEVELS = 8
"""Levels of the tree in one tile."""

_RECORDS = "reg_records"


@dataclass(frozen=True, slots=True)
class _Stated:
    """An entry that states the record.

    Attributes:
        run: Its bundle; None where it is promised only.
        file: The file that it lies in.
    """

    log: LogFolder
    index: int
    run: Run | None
    file: str
    entry: bytes
    statement: Statement


def extract_exported(root: Path, origin: str, record_id: str, revision: int) -> Extract:
    """Gather a record's evidence.

    1. The entry: of the origin's logs, of the revision that is asked for or of the highest.
    2. The certificates: as the origin's logs announced the keys, the last word about each.
    3. The receipt: under the first cosigned note that covers the entry.
    4. The body; or what stands in its place: the tombstone by exported registers, or why the folder says it is absent.

    Args:
        root: The folder.
        origin: Node that stated the record; empty for the node that was exported.
        record_id: The record.
        revision: Which revision; 0 for the highest that the logs hold.

    Raises:
        Refused: ``RECORD_REF_INVALID``, ``NOT_FOUND``.
        FolderUnreadable: What is needed is not there or not of the form; also where nothing was found and a part of
            the logs could not be read.
    """
    raw = raw_id(record_id)
    if not raw:
        raise Refused([Problem("RECORD_REF_INVALID", "record", record_id[:36])])
    record_id = format_id(raw)
    folder = Folder(root)
    check_extent(folder.disk, folder.about)
    origin = origin or folder.about.node
    logs = [each for each in folder.logs if not each.about.is_journal and _node(each) == origin]
    # 1
    found = _newest(_stating(logs, record_id, revision), record_id)
    log = found.log
    envelope = LogEntry.FromString(found.entry).envelope
    answer = GetEnvelopeResponse(entry=found.entry, log=log.about.origin, index=found.index)
    answer.sealed.envelope = envelope
    # 2
    answer.chains.extend(_chains(logs, Envelope.FromString(envelope)))
    first = Envelope.FromString(envelope).signatures[:1]
    if first and answer.chains and answer.chains[0].keyid == first[0].keyid:
        answer.certificates.extend(answer.chains[0].certificates)
    # 3
    receipt = _receipt(found)
    # 4
    absent = _body(found, answer)
    if absent:
        _tombstone(root, found.statement, answer)
    return Extract(answer, receipt, absent)


def _node(log: LogFolder) -> str:
    return LogName.parse(log.about.origin).node


def _stating(logs: Sequence[LogFolder], record_id: str, revision: int) -> Iterator[_Stated | FolderUnreadable]:
    """Entries that state a record, in the order of logs and indices; and what could not be read on the way."""
    for log in logs:
        for index, run, file, entry in _entries(log):
            if isinstance(entry, FolderUnreadable):
                yield entry
                continue
            read = read_entry(entry)
            if read is not None and read[1].record_id == record_id and revision in (0, read[1].revision):
                yield _Stated(log, index, run, file, entry, read[1])


def _entries(log: LogFolder) -> Iterator[tuple[int, Run | None, str, bytes | FolderUnreadable]]:
    for run in tiles.runs(log.about.size):
        if not log.about.has_bundle(run.number):
            continue
        path = log.bundle_path(run)
        try:
            bundle = log.bundle(run)
        except FolderUnreadable as error:
            yield run.first, run, path, error
            continue
        if bundle is None:
            yield run.first, run, path, FolderUnreadable(path, "not there")
            continue
        for index, entry in enumerate(bundle, run.first):
            yield index, run, path, entry
    path = log.path(names.PROMISED_ENTRIES)
    try:
        for index, entry in enumerate(log.promised(), log.about.size):
            yield index, None, path, entry
    except FolderUnreadable as error:
        yield log.about.size, None, path, error


def _newest(stated: Iterator[_Stated | FolderUnreadable], record_id: str) -> _Stated:
    """The first entry of the highest revision: what is stated again changes no register either."""
    newest: _Stated | None = None
    problem: FolderUnreadable | None = None
    for each in stated:
        if isinstance(each, FolderUnreadable):
            problem = problem or each
        elif newest is None or each.statement.revision > newest.statement.revision:
            newest = each
    if newest is not None:
        return newest
    raise problem or Refused([Problem("NOT_FOUND", "record", record_id)])


def _chains(logs: Sequence[LogFolder], envelope: Envelope) -> Iterator[SignatureChain]:
    told: dict[str, tuple[float, Sequence[bytes]]] = {}
    for log in logs:
        for at, _index, key in announcements(log):
            if key.chain and at.timestamp() >= told.get(key.key_id, (0.0, ()))[0]:
                told[key.key_id] = at.timestamp(), key.chain
    for signature in envelope.signatures:
        if signature.keyid in told:
            yield SignatureChain(keyid=signature.keyid, certificates=told[signature.keyid][1])


def _receipt(found: _Stated) -> bytes | None:
    """None where no note covers the entry."""
    log, index = found.log, found.index
    note = next((each for _size, each in log.notes(index)), None)
    if note is None and index < log.about.size:
        note = log.checkpoint()
    if note is None:
        return None
    try:
        size = proof.Receipt(index, (), note).checkpoint().size
        hashes = tree.inclusion_proof(index, size, lambda nodes: [_hash(log, each) for each in nodes])
        receipt = proof.Receipt(index, tuple(hashes), note, found.entry)
        if receipt.includes(found.entry):
            return receipt.to_bytes()
    except LogFormatError as error:
        raise FolderUnreadable(found.file, f"entry {index}: {error}") from None
    raise FolderUnreadable(found.file, f"entry {index} does not lead to the root of the note of {size}")


def _hash(log: LogFolder, node: NodeId) -> bytes:
    """A node of the tree, from the tile that holds its leaves or subtrees."""
    level, index = node
    within = level % LEVELS
    first, count = index << within, 1 << within
    run = tiles.run_of(log.about.size, first // WIDTH, level // LEVELS)
    if run is None or first + count > run.end:
        raise FolderUnreadable(names.EXPORT, f"{log.about.origin} is smaller than its notes say")
    data = log.tile(level // LEVELS, run)
    if data is None or len(data) != run.width * HASH_SIZE:
        raise FolderUnreadable(log.tile_path(level // LEVELS, run), "not there, or not of its length")
    begin = (first - run.first) * HASH_SIZE
    part = data[begin : begin + count * HASH_SIZE]
    return Frontier().extend([part[at : at + HASH_SIZE] for at in range(0, len(part), HASH_SIZE)])[0].root()


def _body(found: _Stated, answer: GetEnvelopeResponse) -> str:
    """Put the body into the answer; why there is none, where there is none."""
    held = found.log.promised_bodies() if found.run is None else found.log.bodies(found.run)
    with held as archive:
        if archive is None:
            return names.MISSING
        if found.index in archive.absent:
            return archive.absent[found.index].reason
        _take(archive, found.index, answer)
    return ""


def _take(archive: BodyArchive, index: int, answer: GetEnvelopeResponse) -> None:
    for each in archive.bodies():
        if each.index == index:
            answer.sealed.body.record, answer.sealed.body.salt = each.body, each.salt
            return


def _tombstone(root: Path, statement: Statement, answer: GetEnvelopeResponse) -> None:
    """What the unit's registers say that stands for the record, where they were exported."""
    wanted = statement.record_id.replace("-", "")
    try:
        for each in ExportedRegisters(root).rows(_RECORDS, "", ""):
            row = json.loads(each.line) if wanted in each.line else {}
            named = (row.get("origin"), row.get("record_id"), row.get("revision"))
            if named == (statement.origin, wanted, statement.revision) and row.get("tombstone"):
                answer.tombstone.reason, answer.tombstone.since = (
                    str(row["tombstone"]),
                    str(row.get("tombstone_on", "")),
                )
                return
    except FolderUnreadable:
        return  # exported without registers
