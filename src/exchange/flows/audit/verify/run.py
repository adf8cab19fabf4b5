"""Verifying a folder: all cores look at parts of it, and what they find is weighed here, claim by claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.about import USES, LogAbout
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.sources.bound import FirstReading, ReadLog, notes_digest
from exchange.flows.audit.sources.exported import source_log
from exchange.flows.audit.verify.claimed import documents, erasures, heads, own_list, registers
from exchange.flows.audit.verify.claimed.documents import DocumentBook
from exchange.flows.audit.verify.claimed.erasures import ErasedBody, Erasures
from exchange.flows.audit.verify.claimed.own_list import OwnList
from exchange.flows.audit.verify.claimed.registers import Replay
from exchange.flows.audit.verify.claimed.stamps import Stamp, check_stamps
from exchange.flows.audit.verify.claims import CLAIMS, Against, ClaimNo, Docket, Outcome, Result
from exchange.flows.audit.verify.crew import (
    BUNDLES,
    Crew,
    NotesPart,
    Part,
    context_of,
    note_part,
    read_part,
)
from exchange.flows.audit.verify.keys.believed import Believed, Keys, keys_of
from exchange.flows.audit.verify.keys.doubts import MAX_SHOWN
from exchange.flows.audit.verify.keys.signed import SignatureClaims
from exchange.flows.audit.verify.keys.statements import Announced, Answered, MirroredTimes, Place, SigningKeys
from exchange.flows.audit.verify.keys.successors import successors
from exchange.flows.audit.verify.material.disk import Material
from exchange.flows.audit.verify.material.editions import Doubted, check_editions
from exchange.flows.audit.verify.material.files import check_files
from exchange.flows.audit.verify.material.tree_check import WIDTH, BundleHashes, TreeCheck, Wrong
from exchange.flows.audit.verify.parts import read_promised
from exchange.flows.audit.watching import READING, SIGNATURES, Watch, unwatched
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import Run, bundle_path, run_of, runs, tile_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the caller wants to know.

    Attributes:
        folder: The exported folder.
        believed: What the verdict may rest on.
        pages: Pages of heads, by the name under which they are told.
        jobs: Processes; 1 works in this one.
        own_list: The unit's own list; None without one.
        tsa_roots: Authorities whose time stamps are believed, PEM; empty: time stamps are not looked at.
        replay: Walks the folder's journal again, and tells what does not follow and how far it came; None: not asked.
    """

    folder: Path
    believed: Believed
    pages: Mapping[str, bytes]
    jobs: int = 1
    own_list: OwnList | None = None
    tsa_roots: bytes = b""
    replay: Replay | None = None


def verify(asked: Asked, watch: Watch = unwatched) -> Result:
    """Look at a folder.

    Args:
        asked: What and by whose keys.
        watch: Told of files, of entries and of signatures that are looked at.

    Raises:
        HeadsUnreadable: A page of heads is none.
    """
    try:
        disk = Material(asked.folder)
        disk.check_extent()
    except FolderUnreadable as error:
        return _unreadable(asked, error)
    pages = [head for name, page in asked.pages.items() for head in heads.read_page(page, name)]
    with Crew(asked.jobs) as crew:
        return _Verification(asked, disk, crew, watch).run(pages)


def _unreadable(asked: Asked, error: FolderUnreadable) -> Result:
    """Nothing can be said of a folder that does not say which logs it holds."""
    docket = Docket()
    found = Finding(code="EXPORT_BROKEN", file=error.file, byte=error.byte, detail=error.detail)
    docket.find(Against(ClaimNo.MATERIAL, found))
    for no in CLAIMS:
        docket.lack(no, "EXPORT")
    return docket.result(asked.folder, asked.believed, ())


class _Verification:
    """One run."""

    def __init__(self, asked: Asked, disk: Material, crew: Crew, watch: Watch) -> None:
        self._asked = asked
        self._believed = asked.believed
        self._disk = disk
        self._crew = crew
        self._watch = watch
        self._seen = unwatched("", 0)
        self._docket = Docket()
        self._announced: list[Announced] = []
        self._answered: list[Answered] = []
        self._book = DocumentBook()
        self._erased: list[ErasedBody] = []
        self._erasures = Erasures()
        self._times: dict[str, MirroredTimes] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._digests: dict[str, list[bytes]] = {}
        self._bodies: dict[str, list[bytes]] = {}
        self._noted: dict[str, bytes] = {}
        self._heads: dict[str, bytes | None] = {}
        self._files: dict[str, str] = {}

    def run(self, pages: Sequence[heads.Head]) -> Result:
        """All claims; some need what a later one finds out, so not in their order."""
        docket, disk = self._docket, self._disk
        docket.find(*check_files(self._asked.folder, self._crew, self._watch, self._files))
        # 1, 2: what lies there, against itself
        self._seen = self._watch(READING, sum(log.size for log in disk.logs))
        roots = {log.origin: self._read(log) for log in disk.logs}
        self._learn()
        # 1, 2: and against what was signed
        keys = keys_of(self._believed)
        for log in disk.logs:
            self._checkpoint(log, keys, holds=roots[log.origin])
        self._unknown_logs(keys)
        # 6: by when somebody else had seen each entry, which 5 needs
        for log in disk.logs:
            self._notes(log)
        if self._asked.tsa_roots:
            self._stamps()
        # 3
        sizes = {log.origin: log.size for log in disk.logs}
        by_origin = {log.origin: log for log in disk.logs}
        heads.check(
            pages, sizes, keys, lambda origin, size: disk.root_at(by_origin[origin], size), docket,
            node=disk.node,
            whole=disk.whole,
            sourced=self._believed.sourced,
        )  # fmt: skip
        # 4, 5
        context = context_of(self._believed, self._announced, self._answered)
        stated = [log for log in disk.logs if log.use != "journal"]
        seen = self._watch(SIGNATURES, sum(log.size for log in stated))
        signed = SignatureClaims(
            self._crew, self._parts, self._signing, context, docket, self._facts, self._digests, seen
        )
        for log in stated:
            signed.look(log, self._times[log.origin])
        signed.settle()
        signed.lists()
        # 8, and for 2 what the tails erase
        self._documents()
        # 7, 9
        registers.check(self._asked.replay, self._first_reading(), docket, self._watch)
        own_list.check(disk, self._asked.folder, self._asked.own_list, self._crew, docket, self._digests)
        return self._result()

    def _first_reading(self) -> FirstReading | None:
        """How the logs were read; None unless all of them are proven, whole and unchanged."""
        claims = (self._docket.claim(no) for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING))
        if any(claim.outcome is not Outcome.PROVEN for claim in claims):
            return None
        logs = [
            ReadLog(
                log=source_log(log),
                bundles=self._digests[log.origin],
                bodies=self._bodies[log.origin],
                notes=self._noted[log.origin],
            )
            for log in self._disk.logs
        ]
        return FirstReading(node=self._disk.node, domain=self._disk.domain, logs=logs, files=self._files)

    def _result(self) -> Result:
        docket = self._docket
        self._nothing_checked()
        for no in CLAIMS:
            if not self._believed.sourced:
                docket.only(no, "POLICY")
        for no in (ClaimNo.SIGNED, ClaimNo.KEYS_VALID, ClaimNo.DOCUMENTS, ClaimNo.OWN_LIST):
            # What was exchanged for something else says nothing of the rest.
            if docket.is_refuted(ClaimNo.ENTRIES_UNCHANGED):
                docket.lack(no, "ENTRIES")
        return docket.result(self._asked.folder, self._believed, tuple(self._facts.values()))

    def _nothing_checked(self) -> None:
        """Of what is not there nothing is proven: a folder without entries holds no wrong one either."""
        sizes = {use: sum(log.size for log in self._disk.logs if log.use == use) for use in USES}
        if not any(sizes.values()):
            for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING, ClaimNo.LATEST):
                self._docket.lack(no, "ENTRIES_NONE")
        if not sum(facts.get("signed", 0) for facts in self._facts.values()):
            for no in (ClaimNo.SIGNED, ClaimNo.KEYS_VALID):
                self._docket.lack(no, "ENTRIES_NONE")
        if not sizes["outbound"] + sizes["mirror"]:
            self._docket.lack(ClaimNo.MIRRORED, "ENTRIES_NONE")

    # -- 1, 2 ------------------------------------------------------------------------------------------------

    def _parts(self, log: LogAbout) -> Iterator[Part]:
        numbers = [run.number for run in runs(log.size)]
        for at in range(0, len(numbers), BUNDLES):
            yield Part(self._asked.folder, log, tuple(numbers[at : at + BUNDLES]), self._disk.node)

    def _read(self, log: LogAbout) -> TreeCheck | None:
        """Everything of a log's folder but signatures; None where there is no checkpoint to compare with."""
        facts = {"origin": log.origin, "use": log.use, "size": log.size, "promised": log.promised}
        self._facts[log.origin] = facts
        hashes: list[BundleHashes] = []
        bodies = 0
        absent: dict[str, int] = {}
        for part in self._crew.map(read_part, self._parts(log)):
            self._docket.find(*part.against)
            for no, what, of in part.lacking:
                self._docket.lack(no, what, of)
            hashes += part.hashes
            self._announced += part.announced
            self._answered += part.answered
            self._book.join(part.book)
            self._erased += part.erased
            self._erasures.join(part.erasures)
            bodies += part.bodies
            for reason, count in part.absent.items():
                absent[reason] = absent.get(reason, 0) + count
            self._seen(sum(_width(log, each.number) for each in part.hashes))
        facts |= {"bodies": bodies, "bodies_absent": absent}
        self._digests[log.origin] = [each.digest for each in hashes]
        self._bodies[log.origin] = [each.bodies for each in hashes]
        self._heads[log.origin] = note = self._disk.checkpoint(log)
        head = keys_of(Believed()).look(note or b"", log.origin)
        if head is None or head.checkpoint.size != log.size:
            return None
        tree = TreeCheck(log.size, head.checkpoint.root, lambda *tile: self._tile(log, *tile))
        for wrong in tree.findings(hashes):
            self._docket.find(self._wrong(log, wrong))
        return tree

    def _tile(self, log: LogAbout, level: int, number: int, width: int) -> bytes | None:
        return self._disk.tile(log, level, Run(number, width))[1]

    def _wrong(self, log: LogAbout, wrong: Wrong) -> Against:
        """A finding at its place: the entry, the hash in its tile, or the checkpoint."""
        run = run_of(log.size, wrong.number, wrong.level) or Run(0, 1)
        index = (wrong.number * WIDTH + wrong.position) << (8 * wrong.level)
        evidence = {"found": wrong.found.hex(), "expected": wrong.expected.hex()}
        if wrong.what == "ENTRY" and wrong.level == 0:
            file, byte = f"{log.folder}/{bundle_path(run)}", 0
            entries = self._disk.entries(log, run)
            if wrong.position < len(entries.found):
                byte = entries.found[wrong.position][0]
            code = "ENTRY_CHANGED"
        elif wrong.what == "ROOT":
            file, byte, code, index = f"{log.folder}/checkpoint", 0, "ROOT_DIFFERS", log.size
        else:
            file, byte = f"{log.folder}/{tile_path(wrong.level, run)}", wrong.position * 32
            code = {"ENTRY": "TREE_CHANGED", "TILE": "TILE_CHANGED"}.get(wrong.what, "TILE_DAMAGED")
        found = Finding(code=code, log=log.origin, index=index, file=file, byte=byte, evidence=evidence)
        return Against(ClaimNo.ENTRIES_UNCHANGED, found)

    def _learn(self) -> None:
        """Keys that the believed regions announced; each may name the next one."""
        keys = SigningKeys(self._believed, self._announced, self._answered)
        self._signing = keys
        if keys.relied:
            self._believed = self._believed.with_announced(keys.relied)
            self._docket.fact(ClaimNo.ENTRIES_UNCHANGED, "keys_by_announcement", [str(key) for key in keys.relied])
        if self._believed.sourced:
            told = successors(self._announced, keys_of(self._believed))
            self._believed = replace(self._believed, successors=told)

    def _checkpoint(self, log: LogAbout, keys: Keys, *, holds: TreeCheck | None) -> None:
        """Whether a believed key signed the head that the folder's entries lead to."""
        docket = self._docket
        place = Place(log=log.origin, index=log.size, file=f"{log.folder}/checkpoint", byte=0)
        note = self._heads[log.origin]
        if note is None:
            if log.size:
                docket.find(place.against(ClaimNo.NONE_MISSING, "CHECKPOINT_MISSING"))
            elif log.promised:
                for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING):
                    docket.lack(no, "CHECKPOINT", log.origin)
            return
        seen = keys.look(note, log.origin)
        if seen is None:
            docket.find(place.against(ClaimNo.ENTRIES_UNCHANGED, "CHECKPOINT_UNREADABLE"))
            docket.lack(ClaimNo.NONE_MISSING, "CHECKPOINT_BELIEVED", log.origin)
            return
        if seen.checkpoint.size != log.size:
            text = f"{seen.checkpoint.size}, the folder says {log.size}"
            docket.find(place.against(ClaimNo.NONE_MISSING, "CHECKPOINT_SIZE", text))
            return
        if holds is not None and not holds.holds and not docket.is_refuted(ClaimNo.ENTRIES_UNCHANGED):
            docket.lack(ClaimNo.ENTRIES_UNCHANGED, "TREE", log.origin)
        facts = self._facts[log.origin]
        facts["root"] = seen.checkpoint.root.hex()
        if not self._believed.sourced:
            return
        if seen.problem:
            docket.find(place.against(ClaimNo.ENTRIES_UNCHANGED, "CHECKPOINT_NOT_BELIEVED", seen.problem))
            docket.lack(ClaimNo.NONE_MISSING, "CHECKPOINT_BELIEVED", log.origin)
        for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING):
            for name in seen.lacking:
                docket.lack(no, "KEY", name)
            for each in seen.rotated:
                docket.lack(no, "NEWER_CARD", each)
        if seen.cosigned is not None:
            facts |= {"checkpoint_time": _instant(seen.cosigned), "cosigner": seen.cosigner}

    def _unknown_logs(self, keys: Keys) -> None:
        """Logs of this node, or towards it, that the caller knows of and the folder does not hold."""
        held = {log.origin for log in self._disk.logs}
        for origin in sorted(keys.logs - held):
            if heads.is_of(origin, self._disk.node):
                self._docket.lack(ClaimNo.NONE_MISSING, "LOG", origin)

    # -- 6 ---------------------------------------------------------------------------------------------------

    def _notes(self, log: LogAbout) -> None:
        times: dict[int, int] = {}
        looked = number = last = 0
        digests: list[bytes] = []
        going = True
        while going:
            # Tars are numbered without a gap; how many there are, nothing that is believed says.
            part = [
                NotesPart(Part(self._asked.folder, log, (number + at,)), self._believed)
                for at in range(1 if self._asked.jobs == 1 else 4 * self._asked.jobs)
            ]
            number += len(part)
            for result in self._crew.map(note_part, part):
                if result is None or not going:
                    going = False
                    continue
                going = not result.closed
                self._docket.find(*result.against)
                times |= result.times
                looked += result.looked
                digests += result.digests
                last = max(last, result.last)
                for each in result.rotated:
                    self._docket.lack(ClaimNo.MIRRORED, "NEWER_CARD", each)
        checkpoint = self._heads[log.origin]
        if checkpoint is not None and last < log.size:
            digests.append(sha256(checkpoint).digest())
        self._noted[log.origin] = notes_digest(digests)
        seen = keys_of(self._believed).look(checkpoint, log.origin) if checkpoint else None
        if seen is not None and not seen.problem and not seen.lacking and seen.cosigned is not None:
            times[seen.checkpoint.size] = min(seen.cosigned, times.get(seen.checkpoint.size, seen.cosigned))
        self._times[log.origin] = MirroredTimes.of(times)
        facts = self._facts[log.origin]
        facts |= {"notes": looked}
        if times:
            facts["mirrored"] = {"first": _instant(min(times.values())), "last": _instant(max(times.values()))}
        if log.use in ("outbound", "mirror") and log.size and max(times, default=0) < log.size:
            self._docket.lack(ClaimNo.MIRRORED, "COSIGNATURE", log.origin)

    def _stamps(self) -> None:
        """A third party's word beside the cosignatures: told with them, and never in their place."""
        refused: list[str] = []
        for each in check_stamps(self._asked.folder, self._asked.tsa_roots):
            if isinstance(each, Stamp):
                facts = self._facts[each.log]
                if each.size > facts.get("stamped", {}).get("size", 0):
                    facts["stamped"] = {"size": each.size, "at": each.at.isoformat(), "by": each.signer}
            else:
                refused.append(each.file)
        self._docket.fact(ClaimNo.MIRRORED, "timestamps_refused", refused[:MAX_SHOWN])

    # -- 8 ---------------------------------------------------------------------------------------------------

    def _documents(self) -> None:
        promised, tails = DocumentBook(), Erasures()
        for log in self._disk.logs:
            if log.promised:
                read_promised(self._disk, log, self._disk.node, promised, tails)
        sound = not any(self._docket.is_refuted(no) for no in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING))
        if not self._docket.further:  # else who knows of what
            told, joined = self._book.editions + promised.editions, self._book.joined + promised.joined
            doubted = Doubted.by(self._docket.findings)
            self._docket.find(*check_editions(Disk(self._asked.folder), self._disk, told, joined, doubted))
        erasures.judge(self._erased, self._erasures, tails, self._docket, whole=self._disk.whole and sound)
        if not any(log.use == "journal" and log.size for log in self._disk.logs):
            self._docket.lack(ClaimNo.DOCUMENTS, "JOURNAL")
        for log in self._disk.logs:
            journal_or_own = log.use == "journal" or LogName.parse(log.origin).node == self._disk.node
            if journal_or_own and any(not log.has_bundle(run.number) for run in runs(log.size)):
                self._docket.lack(ClaimNo.DOCUMENTS, "BUNDLES", log.origin)
        documents.check(self._book, promised, self._docket)


def _width(log: LogAbout, number: int) -> int:
    run = run_of(log.size, number)
    return run.width if run is not None else 0


def _instant(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()
