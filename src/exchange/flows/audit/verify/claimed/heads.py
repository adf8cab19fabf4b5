"""Claim 3: nobody was shown a later head than the one on the disk.

A page of heads is signed checkpoints, one below the other with an empty line between: what ``audit heads`` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exchange.domain.problems import ExchangeError
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.claims import Against, ClaimNo, Docket
from exchange.flows.audit.verify.keys.believed import Keys, Vouched
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import MAX_NOTE_BYTES
from exchange.tlog.origin import LogName

MAX_HEADS = 1_024
"""Checkpoints on one page: every log of a federation."""

RootAt = Callable[[str, int], bytes | None]
"""Root of a log's tree at a size, by the folder's tiles; None when they do not reach so far."""


class HeadsUnreadable(ExchangeError):
    """A page of heads is none."""

    reason = "HEADS_UNREADABLE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """One checkpoint of a page.

    Attributes:
        file: The page.
        number: Which of its checkpoints, from 1.
        note: The signed note.
        origin: The log that it names; nothing of it is verified.
    """

    file: str
    number: int
    note: bytes
    origin: str


def write_page(notes: Iterable[bytes]) -> bytes:
    """A page of signed checkpoints."""
    return b"\n".join(notes)


def read_page(data: bytes, file: str) -> list[Head]:
    """Take a page apart.

    Raises:
        HeadsUnreadable: It is none, or some checkpoint on it is none.
    """
    if len(data) > MAX_HEADS * MAX_NOTE_BYTES:
        raise HeadsUnreadable(f"{file}: too large")
    # A note has one empty line, between its text and its signatures; the next one stands between two notes.
    parts = data.removesuffix(b"\n").split(b"\n\n")
    if len(parts) % 2 or len(parts) > 2 * MAX_HEADS:
        raise HeadsUnreadable(f"{file}: not signed checkpoints with an empty line between")
    heads = []
    for at in range(0, len(parts), 2):
        note = parts[at] + b"\n\n" + parts[at + 1] + b"\n"
        try:
            _, checkpoint = parse_note(note)
            LogName.parse(checkpoint.origin)
        except LogFormatError as error:
            raise HeadsUnreadable(f"{file}: checkpoint {at // 2 + 1}: {error}") from None
        heads.append(Head(file=file, number=at // 2 + 1, note=note, origin=checkpoint.origin))
    return heads


def is_of(origin: str, node: str) -> bool:
    """Whether a node's folder should hold a log: one of its own, or another's towards it."""
    name = LogName.parse(origin)
    return node in (name.node, name.peer)


def check(
    heads: Sequence[Head],
    logs: Mapping[str, int],
    keys: Keys,
    root_at: RootAt,
    docket: Docket,
    *,
    node: str,
    whole: bool,
    sourced: bool,
) -> None:
    """Claim 3, against heads that came from somebody else than the folder did.

    1. A head counts when a believed key of its log signed it, and enough cosigners.
    2. A log that the folder does not hold, or not so far, was cut.
    3. Another root at the same size is a fork.
    4. Every log of the folder needs a head: it is the latest as of that head's time.

    Args:
        heads: Of all pages.
        logs: Size of the checkpoint of each log of the folder.
        keys: What is believed.
        root_at: The folder's own trees.
        docket: Where it is written down.
        node: Whose folder it is.
        whole: Whether the folder says that it holds every log: otherwise one that is not here was left out.
        sourced: Whether anything is believed.
    """
    as_of: dict[str, str] = {}
    for head in heads:
        if not is_of(head.origin, node):
            continue
        # 1
        seen = keys.look(head.note, head.origin)
        if seen is None or not sourced:
            continue
        if seen.problem or seen.lacking:
            docket.lack(ClaimNo.LATEST, "HEAD_BELIEVED", f"{head.file} #{head.number} {head.origin}")
            continue
        # 2, 3
        if head.origin not in logs and not whole:
            docket.lack(ClaimNo.LATEST, "LOG", head.origin)
            continue
        code, detail = _contradiction(head, seen, logs, root_at)
        if code == "TREE":
            docket.lack(ClaimNo.LATEST, code, head.origin)
        elif code:
            shown = {"head": head.note.decode("utf-8")}
            found = Finding(
                code=code, log=head.origin, index=seen.checkpoint.size, file=head.file, detail=detail, evidence=shown
            )
            docket.find(Against(ClaimNo.LATEST, found))
        elif seen.cosigned is not None:
            time = datetime.fromtimestamp(seen.cosigned, UTC).isoformat()
            as_of[head.origin] = max(time, as_of.get(head.origin, time))
        else:
            as_of.setdefault(head.origin, "")
    # 4
    for origin, size in logs.items():
        # What was never cosigned has no head; a page of the other side would show one that was.
        if origin not in as_of and (size or not heads):
            docket.lack(ClaimNo.LATEST, "HEAD", origin)
    docket.fact(ClaimNo.LATEST, "as_of", as_of)


def _contradiction(head: Head, seen: Vouched, logs: Mapping[str, int], root_at: RootAt) -> tuple[str, str]:
    """What a head says against the folder: a code and facts; TREE where the folder's tiles can not tell."""
    size = seen.checkpoint.size
    held = logs.get(head.origin)
    if held is None or size > held:
        return "LOG_CUT", f"{head.file} #{head.number}: {size} > {held or 0}"
    root = root_at(head.origin, size)
    if root is None:
        return "TREE", ""
    if root != seen.checkpoint.root:
        return (
            "HEAD_FORKED",
            f"{head.file} #{head.number}: {seen.checkpoint.root.hex()} at size {size}, here {root.hex()}",
        )
    return "", ""
