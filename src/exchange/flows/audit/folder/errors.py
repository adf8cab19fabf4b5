"""What is wrong with a file of the folder, and where."""

from __future__ import annotations

from exchange.domain.problems import ExchangeError, Problem


class FolderUnreadable(ExchangeError):
    """A file of the folder is not what the layout says: what was asked can not be told from it.

    Attributes:
        undecidable: Whoever asked learns neither yes nor no.
        file: Path within the folder.
        byte: Where in the file; None where it is about all of it.
        detail: What, in a few words.
    """

    reason = "AUDIT_FOLDER_FORM"
    undecidable = True

    def __init__(self, file: str, detail: str, byte: int | None = None) -> None:
        super().__init__(f"{file}: {detail}")
        self.file = file
        self.byte = byte
        self.detail = detail
        self.problems = (Problem(self.reason, file if byte is None else f"{file}@{byte}", detail),)

    def __reduce__(self) -> tuple[object, ...]:
        # Otherwise by the one text that Exception was given: it would not come back from another process.
        return type(self), (self.file, self.detail, self.byte)
