"""C2SP tlog-checkpoint: the text of a note over a log's head.

<origin>
<size, decimal>
<base64 of the root>
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.tlog import note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import EMPTY_ROOT, HASH_SIZE, MAX_SIZE


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head. Who vouches for it, only verified signatures of the note tell.

    Attributes:
        origin: Name of the log; also that of its key.
        size: Entries.
        root: 32 bytes, RFC 6962.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        note.check_key_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE:
            raise LogFormatError(f"tree size out of range: {self.size}")
        if len(self.root) != HASH_SIZE or (self.size == 0 and self.root != EMPTY_ROOT):
            raise LogFormatError(f"a root has {HASH_SIZE} bytes, and that of the empty tree is known")

    def body(self) -> bytes:
        """The text of the note: what the log's key signs."""
        return self.text().encode()

    def text(self) -> str:
        """The text of the note as a string."""
        return f"{self.origin}\n{self.size}\n{note.encode_base64(self.root)}\n"


def parse(text: str | bytes) -> Checkpoint:
    """Read the text of a note (without its signatures). Extension lines are refused.

    Raises:
        LogFormatError: Not a checkpoint in its one spelling.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            raise LogFormatError("a checkpoint is valid UTF-8") from None
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise LogFormatError("a checkpoint has three lines: origin, size, root")
    checkpoint = Checkpoint(lines[0], note.parse_decimal(lines[1]), note.decode_base64(lines[2]))
    if checkpoint.text() != text:
        raise LogFormatError("a checkpoint in another spelling")
    return checkpoint


def parse_note(data: bytes) -> tuple[note.SignedNote, Checkpoint]:
    """Read a signed checkpoint. Verifies nothing.

    Raises:
        LogFormatError: Not a note, or its text is no checkpoint.
    """
    signed = note.parse(data)
    return signed, parse(signed.text)
