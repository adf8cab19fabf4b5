"""From files to calls: which files, in which form, cut where, under which idempotency key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError

from exchange.domain.problems import Problem, Refused
from exchange.v1.common_pb2 import Attachment, Authority
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitDocumentRequest
from exchange_hj212 import cut, recognises

DOCUMENT_BYTES: Final = 3 * 1024 * 1024
"""Bytes of one document call."""

BATCH_ITEMS: Final = 1_000
"""Records of one batch call."""

BATCH_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""Bytes of one batch call: the 4 MiB that are accepted, less what frames them."""

KEY_DIGITS: Final = 40
"""Hex digits of the digest in a derived key: 160 bits, and room for part and row within 64 characters."""

ANSWER_INFIX: Final = ".answer"
"""Stands before the ending of an answer workbook."""

RECORD_ENDINGS: Final = (".record.json", ".record.jsonl")
"""Files with typed records in protobuf JSON: one record or a list; or one record a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What the caller asked for, beside the files.

    Attributes:
        key: Idempotency key; empty: derived from the content.
        attached: Attachments of the one typed record that is submitted.
    """

    adapter: str = ""
    kind: Kind.ValueType = Kind.KIND_UNSPECIFIED
    addressees: tuple[str, ...] = ()
    local_only: bool = False
    validate_only: bool = False
    purpose: str = ""
    authority: Authority | None = None
    key: str = ""
    attached: tuple[Attachment, ...] = ()

    def digest(self, *parts: bytes) -> str:
        """Names content and wishes together: the same file for another purpose is another request."""
        digest = hashlib.sha256()
        authority = self.authority.SerializeToString(deterministic=True) if self.authority else b""
        wishes = json.dumps([self.adapter, int(self.kind), self.addressees, self.local_only, self.purpose])
        for part in (wishes.encode(), authority, *parts):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:KEY_DIGITS]


def find_files(named: Sequence[str]) -> list[Path]:
    """Files by name, those of a folder, or those that a pattern matches; sorted, each once.

    Folders and patterns leave out hidden files and answer workbooks; a file that is named itself is always taken.

    Raises:
        Refused: ``FILE_MISSING``: nothing there, or nothing matches; every such name is listed.
    """
    found: dict[Path, Path] = {}
    missing: list[Problem] = []
    for name in named:
        path = Path(name)
        if path.is_file():
            found.setdefault(path.resolve(), path)
            continue
        matches = _matches(path)
        if not matches:
            missing.append(Problem("FILE_MISSING", name))
        for match in matches:
            found.setdefault(match.resolve(), match)
    if missing:
        raise Refused(missing)
    return list(found.values())


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        candidates: Iterable[Path] = path.iterdir()
    else:
        try:
            candidates = Path(path.anchor or ".").glob(str(path.relative_to(path.anchor) if path.anchor else path))
        except (ValueError, NotImplementedError):
            candidates = ()
    return sorted(
        each
        for each in candidates
        if each.is_file() and not each.name.startswith(".") and not each.stem.endswith(ANSWER_INFIX)
    )


def is_records(path: Path) -> bool:
    """Whether a file holds typed records."""
    return path.name.lower().endswith(RECORD_ENDINGS)


def document_calls(path: Path, content: bytes, wishes: Wishes) -> Iterator[SubmitDocumentRequest]:
    """The calls for one native document: one, or several for a recording of packets that is too big.

    Raises:
        Refused: ``DOCUMENT_TOO_LARGE``: too big, and no recording that can be cut.
    """
    # Only the frame reader knows where a recording may be cut; it is the one adapter that the command line names.

    if not content:
        raise Refused([Problem("FILE_TYPE", path.name, "0 bytes")])
    parts: list[tuple[int, bytes]] = [(1, content)]
    if len(content) > DOCUMENT_BYTES:
        if not recognises(content):
            raise Refused([Problem("DOCUMENT_TOO_LARGE", path.name, f"{len(content)} > {DOCUMENT_BYTES}")])
        parts = [(part.first_row, part.content) for part in cut(content)]
    whole = wishes.key or f"d-{wishes.digest(path.name.encode(), content)}"
    for number, (first_row, piece) in enumerate(parts, start=1):
        yield SubmitDocumentRequest(
            idempotency_key=whole if len(parts) == 1 else f"{whole}.{number}",
            file_name=path.name,
            content=piece,
            adapter=wishes.adapter,
            kind=wishes.kind,
            addressees=wishes.addressees,
            local_only=wishes.local_only,
            validate_only=wishes.validate_only,
            purpose=wishes.purpose,
            authority=wishes.authority,
            first_row=first_row,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One typed record of a file: to be submitted, or wrong before it got that far."""

    place: str
    submission: RecordSubmission | None = None
    problem: Problem | None = None


def record_items(path: Path, wishes: Wishes) -> Iterator[Item]:
    """The typed records of a file, in order. A file with one record a line is never held in memory whole.

    Raises:
        Refused: ``FILE_TYPE``: not JSON.
    """
    for place, tree in _trees(path):
        record = Record()
        try:
            ParseDict(tree, record)
        except (ParseError, TypeError, RecursionError) as error:
            yield Item(place=place, problem=Problem("MALFORMED_MESSAGE", place, str(error)[:200]))
            continue
        if wishes.purpose and not record.header.purpose:
            record.header.purpose = wishes.purpose
        record.header.attachments.extend(wishes.attached)
        content = record.SerializeToString(deterministic=True)
        key = f"{wishes.key}/{place.rpartition(':')[2]}" if wishes.key else f"r-{wishes.digest(content)}"
        submission = RecordSubmission(
            idempotency_key=key, record=record, addressees=wishes.addressees, local_only=wishes.local_only
        )
        yield Item(place=place, submission=submission)


def is_one_record(path: Path) -> bool:
    """Whether a file holds one typed record, and nothing else: files are attached to no more than one.

    Raises:
        Refused: ``FILE_TYPE``: not JSON.
    """
    return is_records(path) and len(list(islice(_trees(path), 2))) == 1


def _trees(path: Path) -> Iterator[tuple[str, Any]]:
    if path.name.lower().endswith(".jsonl"):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path.name}:{number}", _parsed(line)
        return
    try:
        whole = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Refused([Problem("FILE_TYPE", path.name, str(error)[:200])]) from None
    for number, tree in enumerate(whole if isinstance(whole, list) else [whole], start=1):
        yield f"{path.name}:{number}", tree


def _parsed(line: bytes) -> Any:
    """What a line holds; the line itself where it is no JSON, which is then no record either."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.decode("utf-8", "replace")


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items in batches that one call may carry; an item that is wrong already takes no room."""
    batch: list[Item] = []
    size = 0
    for item in items:
        length = item.submission.ByteSize() + 8 if item.submission is not None else 0
        if batch and (len(batch) >= BATCH_ITEMS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
