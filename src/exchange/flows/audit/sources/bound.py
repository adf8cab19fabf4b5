"""A folder that is read a second time, held to what it gave when it was verified: disks may answer differently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.bodies import ArchiveDigest
from exchange.flows.audit.sources.source import Source, SourceEntry, SourceLog, SourceStamp
from exchange.tlog import tiles


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadLog:
    """A log as it was read when its entries were proven.

    Attributes:
        log: What export.json said of it.
        bundles: SHA-256 of each bundle's file.
        bodies: Of the bodies beside each (``ArchiveDigest``).
        notes: Of its notes, as ``notes_digest`` makes it.
    """

    log: SourceLog
    bundles: Sequence[bytes]
    bodies: Sequence[bytes]
    notes: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstReading:
    """A folder as it was read when its logs were proven.

    Attributes:
        node: Name of the node.
        domain: Domain of its origins.
        logs: In order of number.
        files: SHA-256 in hex of the files of registers, by path.
    """

    node: str
    domain: str
    logs: Sequence[ReadLog]
    files: Mapping[str, str]


def notes_digest(digests: Iterable[bytes]) -> bytes:
    """One digest of the digests of a log's notes, the checkpoint behind them where none of them is of its size."""
    return sha256(b"".join(digests)).digest()


def differs(file: str, log: str = "", index: int | None = None) -> Finding:
    """What was read again is not what was verified: it proves nothing of the unit, and nothing rests on it."""
    return Finding(code="READ_AGAIN_DIFFERS", log=log, index=index, file=file, proven=False)


class BoundLogs:
    """The logs of a folder again. What differs is given all the same, and told.

    Args:
        source: The folder, read anew.
        first: What it gave before.

    Attributes:
        findings: Each place at which it gives something else.
    """

    def __init__(self, source: Source, first: FirstReading) -> None:
        self._source = source
        self._first = {each.log.origin: each for each in first.logs}
        self.node = source.node
        self.domain = source.domain
        self.findings: list[Finding] = []
        if (source.node, source.domain) != (first.node, first.domain):
            self._tell(names.EXPORT)

    def _tell(self, file: str, log: str = "", index: int | None = None) -> None:
        found = differs(file, log, index)
        if found not in self.findings:
            self.findings.append(found)

    def logs(self) -> list[SourceLog]:
        """Every log, in order of number."""
        found = self._source.logs()
        if found != [each.log for each in self._first.values()]:
            self._tell(names.EXPORT)
        return found

    def entries(self, log: SourceLog, start: int) -> Iterator[SourceEntry]:
        """Entries from ``start`` to the log's size, in order; compared from the first bundle that is read whole."""
        first = self._first.get(log.origin)
        bundle: list[SourceEntry] = []
        for each in self._source.entries(log, start):
            yield each
            if each.index >= log.proven or first is None:
                continue
            bundle.append(each)
            if (each.index + 1) % tiles.WIDTH == 0 or each.index + 1 == log.proven:
                if bundle[0].index % tiles.WIDTH == 0:
                    self._compare(log, first, bundle)
                bundle = []

    def _compare(self, log: SourceLog, first: ReadLog, bundle: list[SourceEntry]) -> None:
        number = bundle[0].index // tiles.WIDTH
        run = tiles.run_of(log.proven, number)
        if run is None or number >= len(first.bundles):
            return  # of another size, which is told
        folder = names.log_folder(log.origin)
        if sha256(tiles.pack([each.entry for each in bundle])).digest() != first.bundles[number]:
            self._tell(f"{folder}/{tiles.bundle_path(run)}", log.origin, run.first)
        if log.use == "journal":
            return
        digest = ArchiveDigest()
        for each in bundle:
            if each.body is not None:
                digest.take(each.index, each.salt or b"", each.body)
        absent = ((each.index, each.absent) for each in bundle if each.body is None)
        if digest.end(absent) != first.bodies[number]:
            self._tell(f"{folder}/{names.BODIES}/{run.name('.tar')}", log.origin, run.first)

    def notes(self, log: SourceLog, above: int) -> Iterator[bytes]:
        """Its stored cosigned notes of sizes beyond ``above``, smallest first; compared where all are asked for."""
        digests: list[bytes] = []
        for note in self._source.notes(log, above):
            digests.append(sha256(note).digest())
            yield note
        first = self._first.get(log.origin)
        if above == 0 and first is not None and notes_digest(digests) != first.notes:
            self._tell(f"{names.log_folder(log.origin)}/{names.NOTES}", log.origin)

    def leaves(self, log: SourceLog, start: int) -> Iterator[tuple[int, bytes]]:
        """The digest leaves that were kept beside the journal's steps: the running digest there says what they are."""
        return self._source.leaves(log, start)

    def stamps(self, log: SourceLog) -> Iterator[SourceStamp]:
        """The time stamps of its checkpoints, which nobody has verified before."""
        return self._source.stamps(log)

    def attachment(self, digest: bytes) -> bytes | None:
        """The bytes of an attachment, which nobody has verified before."""
        return self._source.attachment(digest)
