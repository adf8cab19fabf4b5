"""What lies beside the logs, and what the auditor himself is handed: editions, lists, certificates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from exchange.domain.journal_parts import joining, split
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.editions import HISTORY, EditionLine, edition_line
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.tlog import tiles
from exchange.v1.journal_pb2 import Activated, Edition, GrantChanged, JournalEntry
from tests.audit.forging import entries_of, put, relist_all, rewrite
from tests.audit.material import Material
from tests.audit.test_verifying import look, outcomes
from tests.cli.conftest import run

JOURNAL = "cq.exchange.example/journal/1"
TELEMETRY = "cq.exchange.example/to/sc/telemetry/1"
RULES = b"[edition]\n" + b"# " + b"r" * 70_000


@pytest.fixture
def copy(material: Material, tmp_path: Path) -> Path:
    """A copy of Chongqing's folder whose journal ends with a grant, and with rules in two pieces; all of it sound."""
    folder = material.copy_of("cq", tmp_path / "cq")
    made: list[tuple[EditionLine, bytes]] = []

    def change(entries: list[bytes]) -> None:
        last = JournalEntry.FromString(entries[-1])
        grant = JournalEntry(version=last.version, at=last.at)
        grant.grant_changed.CopyFrom(GrantChanged(agency="eco", grant='kind = "X"\n', actor="a\tb"))
        rules = JournalEntry(version=last.version, at=last.at)
        edition = Edition(what="RULES", name="2026", digest="")
        rules.activated.CopyFrom(Activated(edition=edition, content=RULES, actor="officer"))
        data, size = rules.SerializeToString(), len(entries)
        lines = [grant, *split(rules, data), joining(rules, data, size - 3, 2)]
        entries[-4:] = [line.SerializeToString() for line in lines]
        for index, event in ((size - 4, grant), (size - 1, rules)):
            told = edition_line(JOURNAL, index, event)
            assert told is not None
            made.append(told)

    rewrite(folder, JOURNAL, change)
    before = (folder / HISTORY).read_bytes()
    (folder / HISTORY).write_bytes(before + b"".join(told.line for told, _ in made))
    for told, content in made:
        put(folder / told.path, content)
    relist_all(folder)
    return folder


def _codes(material: Material, folder: Path, believed: Believed) -> list[tuple[str, str, int | None]]:
    relist_all(folder)
    found = look(material, folder, believed).findings
    return [(each.finding.code, each.finding.file, each.finding.index) for each in found]


def test_editions_that_are_what_the_journal_says_are_accepted(
    material: Material, believed: Believed, copy: Path
) -> None:
    """A grant and rules in pieces, as an export writes them: no finding, and the logs are proven."""
    result = look(material, copy, believed)
    assert not [each for each in result.findings if each.finding.code == "EDITIONS_DIFFER"]
    assert outcomes(result)[1] == outcomes(result)[2] == "PROVEN"


def _lines(change: Callable[[list[bytes]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        lines = (folder / HISTORY).read_bytes().splitlines(keepends=True)
        change(lines)
        (folder / HISTORY).write_bytes(b"".join(lines))

    return edit


def _other_content(folder: Path) -> None:
    (path,) = (each for each in (folder / names.EDITIONS / "RULES").iterdir() if each.stat().st_size == len(RULES))
    path.write_bytes(RULES[:-1])


def _no_content(folder: Path) -> None:
    shutil.rmtree(folder / names.EDITIONS / "RULES")


CHANGES: dict[str, Callable[[Path], object]] = {
    "another actor": _lines(lambda lines: lines.__setitem__(-1, lines[-1].replace(b"officer", b"nobody"))),
    "another day": _lines(lambda lines: lines.__setitem__(0, lines[0].replace(b"\t20", b"\t19"))),
    "a line less": _lines(lambda lines: lines.pop()),
    "a line more": _lines(lambda lines: lines.append(lines[0])),
    "a line of nothing": _lines(lambda lines: lines.append(b"\xff\n")),
    "a number without end": _lines(lambda lines: lines.append(b"x\t" + b"9" * 5_000 + b"\t\n")),
    "no history": lambda folder: (folder / HISTORY).unlink(),
    "no folder": lambda folder: shutil.rmtree(folder / names.EDITIONS),
    "another edition": _other_content,
    "no edition": _no_content,
    "one edition more": lambda folder: put(folder / names.EDITIONS / "RULES" / ("0" * 64), b""),
}


@pytest.mark.parametrize("how", CHANGES)
def test_history_and_editions_are_bound_to_the_journal(
    material: Material, believed: Believed, copy: Path, how: str
) -> None:
    """Whatever was rewritten beside the logs, with a list of files that agrees, is told by what the journal says."""
    before = len([each for each in _codes(material, copy, believed) if each[0] == "EDITIONS_DIFFER"])
    CHANGES[how](copy)
    found = [each for each in _codes(material, copy, believed) if each[0] == "EDITIONS_DIFFER"]
    assert before == 0
    assert found
    assert all(file.startswith(names.EDITIONS) for _, file, _ in found)
    if how in ("another actor", "a line less"):
        assert found[0][2] == len(entries_of(copy, JOURNAL)) - 1


def _flip(folder: Path, origin: str, wanted: int) -> None:
    """One bit of an entry, counted from the last one where negative; the tiles stay."""
    entries = entries_of(folder, origin)
    at = wanted % len(entries)
    run = next(each for each in tiles.runs(len(entries)) if each.first <= at < each.end)
    entries[at] = entries[at][:-1] + bytes([entries[at][-1] ^ 1])
    put(folder / f"logs/{origin}" / tiles.bundle_path(run), tiles.pack(entries[run.first : run.end]))


@pytest.mark.parametrize("origin", [JOURNAL, TELEMETRY])
def test_an_edition_is_told_of_although_an_entry_elsewhere_was_changed(
    material: Material, believed: Believed, copy: Path, origin: str
) -> None:
    """Whoever exchanges an edition hides it behind nothing: what sound lines say still counts."""
    CHANGES["another actor"](copy)
    _flip(copy, origin, 0)
    found = _codes(material, copy, believed)
    assert any(code == "ENTRY_CHANGED" and file.startswith(f"logs/{origin}/tile/entries/") for code, file, _ in found)
    (told,) = (each for each in found if each[0] == "EDITIONS_DIFFER")
    assert told[2] == len(entries_of(copy, JOURNAL)) - 1


def _no_bundle(folder: Path) -> None:
    (path,) = (folder / f"logs/{JOURNAL}/tile/entries").rglob("*.p/*")
    path.unlink()


def _no_head(folder: Path) -> None:
    """What signs it is the note of another log."""
    note = (folder / f"logs/{TELEMETRY}/checkpoint").read_bytes()
    put(folder / f"logs/{JOURNAL}/checkpoint", note)


IN_DOUBT: dict[str, Callable[[Path], object]] = {
    "the grant": partial(_flip, origin=JOURNAL, wanted=-4),
    "a piece of the rules": partial(_flip, origin=JOURNAL, wanted=-2),
    "the line that joins the pieces": partial(_flip, origin=JOURNAL, wanted=-1),
    "the bundle is not there": _no_bundle,
    "nobody signed the journal": _no_head,
}


@pytest.mark.parametrize("how", IN_DOUBT)
def test_editions_are_not_called_wrong_by_lines_that_are_in_doubt(
    material: Material, believed: Believed, copy: Path, how: str
) -> None:
    """What the journal said of them nobody knows any more; that it was changed is told, and that alone."""
    IN_DOUBT[how](copy)
    found = {code for code, _, _ in _codes(material, copy, believed)}
    assert found
    assert "EDITIONS_DIFFER" not in found


JUNK = {
    "empty": b"",
    "binary": b"\xff\xfe\x00" * 50,
    "a certificate that is none": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a list that is none": b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
    "deep": b"[" * 100_000,
    "escapes": b"\x1b[31m\n\x9b1\n",
    "without end": b"9" * 3_000_000,
}
OPTIONS = ["--policy", "--card", "--head", "--crl", "--roots", "--tsa-roots"]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("how", JUNK)
def test_what_the_auditor_is_handed_and_is_none_is_an_error_of_usage(
    material: Material, tmp_path: Path, option: str, how: str
) -> None:
    """A policy, card, page of heads, list or certificate that can not be read: exit status 2 and a sentence."""
    file = tmp_path / "handed"
    file.write_bytes(JUNK[how])
    given = [
        "--fingerprint",
        material.fingerprint("cq"),
        *([] if option == "--card" else ["--card", material.card("cq")]),
    ]
    done = run("audit", "verify", material.export("cq"), "--jobs", "1", option, file, *given)
    assert done.status == 2
    assert done.err
    assert not set(done.err) & {"\x1b", "\x9b"}
