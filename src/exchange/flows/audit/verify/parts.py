"""What one process does: some bundles of one log, or some of its cosigned checkpoints, one file in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.folder.bodies import Body
from exchange.flows.audit.folder.names import ERASED
from exchange.flows.audit.verify.claimed.documents import DocumentBook
from exchange.flows.audit.verify.claimed.erasures import ErasedBody, Erasures
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.keys.believed import Believed, keys_of
from exchange.flows.audit.verify.keys.statements import (
    Announced,
    Answered,
    Place,
    accepted_keys,
    body_problem,
    of_other_parties,
    read_entry,
)
from exchange.flows.audit.verify.material.disk import Bodies, Entries, Material
from exchange.flows.audit.verify.material.tree_check import WIDTH, BundleHashes, root_of, split
from exchange.flows.instants import micros_of
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import run_of
from exchange.tlog.tree import HASH_SIZE, leaf_hash
from exchange.v1.kind_pb2 import Kind
from exchange.v1.statement_pb2 import Statement

_ANNOUNCEMENT, _ERASURE = int(Kind.KIND_KEY_ANNOUNCEMENT), int(Kind.KIND_ERASURE)
_ANSWER = int(Kind.KIND_ANSWER)
"""Looked up once: by name the generated code searches each time."""

_READ = frozenset((_ANNOUNCEMENT, _ERASURE))
"""Kinds whose bodies say what other entries are judged by."""


@dataclass(slots=True)
class PartResult:
    """What some bundles hold.

    Attributes:
        against: Findings.
        lacking: What would be needed, by claim: name and of what.
        hashes: Their hashes, in order.
        announced: Key announcements.
        answered: What peers said of announced keys.
        book: Of documents.
        bodies: How many bodies were compared.
        absent: How many are not here, by reason.
        erased: Entries whose bodies are said to be erased.
        erasures: What Erasures name.
    """

    against: list[Against] = field(default_factory=list)
    lacking: list[tuple[ClaimNo, str, str]] = field(default_factory=list)
    hashes: list[BundleHashes] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    book: DocumentBook = field(default_factory=DocumentBook)
    bodies: int = 0
    absent: dict[str, int] = field(default_factory=dict)
    erased: list[ErasedBody] = field(default_factory=list)
    erasures: Erasures = field(default_factory=Erasures)


def read_bundles(disk: Material, log: LogAbout, numbers: Sequence[int], node: str) -> PartResult:
    """Hashes, form and bodies of some bundles.

    Args:
        disk: The folder.
        log: The log.
        numbers: Bundles.
        node: Whose folder it is.
    """
    result = PartResult()
    reader = _Reader(log, node, result)
    for number in numbers:
        reader.read(disk, number)
    return result


class _Reader:
    """Reads bundle by bundle into a result."""

    def __init__(self, log: LogAbout, node: str, result: PartResult) -> None:
        self._log = log
        self._name = LogName.parse(log.origin)
        self._own = self._name.node == node
        self._result = result

    def read(self, disk: Material, number: int) -> None:
        log, result = self._log, self._result
        run = run_of(log.size, number)
        assert run is not None, "bundles are numbered by the log's size"
        width = run.width
        entries = disk.entries(log, run)
        _, tile = disk.tile(log, 0, run)
        hashes = split(tile) if tile is not None and len(tile) == HASH_SIZE * width else None
        leaves = tuple(leaf_hash(entry) for _, entry in entries.found)
        whole = entries.problem is None and len(leaves) == width
        differing = () if hashes is None else tuple(at for at, leaf in enumerate(leaves[:width]) if leaf != hashes[at])
        if not whole:
            self._not_whole(entries, number, differing)
            differing = ()
        of_bodies = b""
        if log.use == "journal":
            self._journal(entries, number)
        else:
            with disk.bodies(log, run) as bodies:
                self._statements(entries, bodies, number)
                of_bodies = bodies.digest()
        partial = width < WIDTH
        result.hashes.append(
            BundleHashes(
                number=number,
                below=root_of(leaves) if whole and not partial else None,
                tile=root_of(hashes) if hashes is not None and not partial else None,
                differing=differing,
                leaves=leaves if whole and partial else None,
                hashes=hashes if partial else None,
                digest=entries.digest,
                bodies=of_bodies,
            )
        )

    def _not_whole(self, entries: Entries, number: int, differing: tuple[int, ...]) -> None:
        if entries.absent:
            if self._log.has_bundle(number):
                place = Place(log=self._log.origin, index=number * WIDTH, file=entries.file, byte=0)
                self._result.against.append(place.against(ClaimNo.NONE_MISSING, "BUNDLE_MISSING"))
            else:
                signed = () if self._log.is_journal else (ClaimNo.SIGNED, ClaimNo.KEYS_VALID)
                for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING, *signed):
                    self._result.lacking.append((no, "BUNDLES", self._log.origin))
            return
        # A changed length shifts all that follows: the first entry with another hash is where it was.
        at = differing[0] if differing else len(entries.found)
        byte = entries.found[at][0] if at < len(entries.found) else (entries.problem or 0)
        place = Place(log=self._log.origin, index=number * WIDTH + at, file=entries.file, byte=byte)
        text = f"{len(entries.found)} entries are readable"
        self._result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "BUNDLE_MALFORMED", text))

    def _place(self, entries: Entries, number: int, at: int) -> Place:
        return Place(log=self._log.origin, index=number * WIDTH + at, file=entries.file, byte=entries.found[at][0])

    def _journal(self, entries: Entries, number: int) -> None:
        for at, (_, data) in enumerate(entries.found):
            place = self._place(entries, number, at)
            if not self._result.book.read_journal(data, place):
                self._result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "ENTRY_UNREADABLE"))

    def _statements(self, entries: Entries, bodies: Bodies, number: int) -> None:
        result, origin = self._result, self._log.origin
        if not bodies.there and not entries.absent and self._log.has_bundle(number):
            place = Place(log=origin, index=number * WIDTH, file=bodies.file, byte=0)
            result.against.append(place.against(ClaimNo.NONE_MISSING, "BODIES_NOT_THERE"))
        for at, (_, data) in enumerate(entries.found):
            read = read_entry(data)
            if read is None:
                place = self._place(entries, number, at)
                result.against.append(place.against(ClaimNo.SIGNED, "ENTRY_UNREADABLE"))
                continue
            entry, statement = read
            problem = of_other_parties(self._name, statement)
            if problem:
                place = self._place(entries, number, at)
                result.against.append(place.against(ClaimNo.SIGNED, "STATEMENT_OF_OTHERS", problem))
            held = bodies.of(number * WIDTH + at)
            if held is None:
                self._absent(bodies, number * WIDTH + at, statement)
            body = self._signed(bodies, held, statement) if held is not None else None
            if self._own:
                result.book.read_body(body)
            if statement.kind in _READ:
                place = self._place(entries, number, at)
                self._learn(place, statement.kind, body, entry.envelope, micros_of(entry.logged_at))
            elif statement.kind == _ANSWER and body is not None:
                self._answered(body, entry.envelope, micros_of(entry.logged_at))
        bodies.of(number * WIDTH + WIDTH)
        if bodies.problem is not None:
            error = bodies.problem
            place = Place(log=origin, index=number * WIDTH, file=bodies.file, byte=error.byte or 0)
            result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "BODIES_MALFORMED", error.detail))

    def _answered(self, body: bytes, envelope: bytes, logged_at: int) -> None:
        about, accepted = accepted_keys(body)
        if accepted:
            told = Answered(
                about=about, accepted=accepted, log=self._log.origin, logged_at=logged_at, envelope=envelope
            )
            self._result.answered.append(told)

    def _signed(self, bodies: Bodies, held: Body, statement: Statement) -> bytes | None:
        """A body, when it is the one that was signed."""
        self._result.bodies += 1
        problem = body_problem(statement, held.body, held.salt)
        if not problem:
            return held.body
        place = Place(log=self._log.origin, index=held.index, file=bodies.file, byte=held.offset)
        self._result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "BODY_CHANGED", problem))
        return None

    def _absent(self, bodies: Bodies, index: int, statement: Statement) -> None:
        result, record_id = self._result, statement.record_id
        in_tar = Place(log=self._log.origin, index=index, file=bodies.file, byte=0)
        told = bodies.absent.get(index)
        if told is None:
            return  # the archive is not there or breaks off, which is told once
        result.absent[told.reason] = result.absent.get(told.reason, 0) + 1
        if told.record_id != record_id:
            text = f"{told.record_id} is not the record of {index}"
            result.against.append(in_tar.against(ClaimNo.ENTRIES_UNCHANGED, "BODIES_MALFORMED", text))
        if told.reason == ERASED:
            result.erased.append(ErasedBody.of(self._name.node, statement, in_tar))
        else:
            result.lacking.append((ClaimNo.NONE_MISSING, f"BODIES_{told.reason}", self._log.origin))

    def _learn(self, place: Place, kind: int, body: bytes | None, envelope: bytes, logged_at: int) -> None:
        result = self._result
        if kind == _ANNOUNCEMENT:
            if body is None:
                result.lacking.append((ClaimNo.KEYS_VALID, "ANNOUNCEMENT", f"{place.log}#{place.index}"))
            else:
                told = Announced(
                    node=self._name.node, logged_at=logged_at, log=place.log, index=place.index,
                    envelope=envelope, body=body,
                )  # fmt: skip
                result.announced.append(told)
        elif kind == _ERASURE:
            result.erasures.take(self._name.node, body)


@dataclass(slots=True)
class NotesResult:
    """What some cosigned checkpoints came to.

    Attributes:
        times: Unix time of the addressee's or witness's cosignature by size, of notes that hold.
        looked: How many there were.
        closed: No further one can be looked for.
        cosigner: Name of a cosigner that counted.
        digests: SHA-256 of each note as it was read, in order.
        last: Size of the last one.
        rotated: Keys that took over from believed ones, and by which alone some of the notes hold.
    """

    against: list[Against] = field(default_factory=list)
    times: dict[int, int] = field(default_factory=dict)
    looked: int = 0
    closed: bool = False
    cosigner: str = ""
    rotated: set[str] = field(default_factory=set)
    digests: list[bytes] = field(default_factory=list)
    last: int = 0


def check_notes(disk: Material, log: LogAbout, number: int, believed: Believed) -> NotesResult | None:
    """Some cosigned checkpoints of a log: their signatures, and whether they are of the folder's tree.

    Args:
        disk: The folder.
        log: The log.
        number: Which tar of notes.
        believed: Whose keys count.
    """
    result = NotesResult()
    keys = keys_of(believed)
    notes = disk.notes(log, number)
    if notes is None:
        return None
    result.closed = notes.closed
    if notes.problem is not None:
        error = notes.problem
        place = Place(log=log.origin, index=0, file=notes.file, byte=error.byte or 0)
        result.against.append(place.against(ClaimNo.MIRRORED, "NOTES_MALFORMED", error.detail))
    for byte, size, note in notes.found:
        place = Place(log=log.origin, index=size, file=notes.file, byte=byte)
        result.looked += 1
        result.digests.append(sha256(note).digest())
        result.last = size
        seen = keys.look(note, log.origin)
        if seen is None or seen.checkpoint.size != size:
            result.against.append(place.against(ClaimNo.MIRRORED, "NOTE_UNREADABLE"))
            continue
        root = disk.root_at(log, size)
        if root is not None and root != seen.checkpoint.root:
            text = f"{seen.checkpoint.root.hex()}, here {root.hex()}"
            result.against.append(place.against(ClaimNo.ENTRIES_UNCHANGED, "NOTE_OF_ANOTHER_TREE", text))
            continue
        if believed.sourced and seen.problem:
            result.against.append(place.against(ClaimNo.MIRRORED, "NOTE_NOT_BELIEVED", seen.problem))
            continue
        result.rotated.update(seen.rotated)
        if seen.signed and seen.cosigned is not None:
            result.times[size] = seen.cosigned
            result.cosigner = seen.cosigner
    return result


def read_promised(disk: Material, log: LogAbout, node: str, book: DocumentBook, erasures: Erasures) -> None:
    """What the entries beyond a checkpoint say of documents, and erase; nothing of it is proven."""
    owner = LogName.parse(log.origin).node
    entries = disk.promised(log)
    with disk.promised_bodies(log) as bodies:
        for at, (byte, data) in enumerate(entries.found):
            place = Place(log=log.origin, index=log.size + at, file=entries.file, byte=byte)
            if log.use == "journal":
                book.read_journal(data, place)
                continue
            held, read = bodies.of(place.index), read_entry(data)
            body = held.body if held is not None else None
            if owner == node:
                book.read_body(body)
            if read is not None and read[1].kind == _ERASURE:
                erasures.take(owner, body)
