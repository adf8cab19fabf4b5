"""Verifiers that share no code with the program agree about an exported folder, and find what is changed in it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.dsse import SM2
from exchange.crypto.x509.certificates import load_der
from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.storage.logs import journal, log_store
from exchange.v1.submission_service_pb2 import BatchSubmitRecordsRequest, GetReceiptRequest, RecordSubmission
from tests.audit.material import NAMES
from tests.audit.rotated import Rotated
from tests.domain import records
from tests.rpc.conftest import two_doors
from tests.rpc.doors import AgencyDoor
from tests.rpc.facts import credit_of, firm, of_sichuan, penalty_of, submit, wait_settled
from tests.world import Keyring, World, keyring, profile

HERE = Path(__file__).parent
MODULES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
LANE = "cq.exchange.example/to/sc/registry/1"
RECORDS = 270
"""More than one full bundle, so that tiles have a level above."""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier in Go, built; skips as ``golang-missing``."""
    if shutil.which("go") is None or not MODULES.is_dir():
        pytest.skip("golang-missing: Debian's golang-go and golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("kit")
    # Not as the kit is built: these flags take the standard library as it is installed, and save a minute.
    alone = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(folder / "cache")}
    subprocess.run(["go", "build", "-o", folder / "verify", "."], cwd=HERE / "go", check=True, env=alone)  # noqa: S607
    return folder / "verify"


@dataclass(frozen=True, slots=True)
class Audited:
    """A node's folder, both nodes' cards and revocation lists, and a receipt, as an auditor holds them."""

    folder: Path
    cards: tuple[Path, Path]
    receipt: Path
    lists: tuple[Path, Path]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """Records of several kinds both ways, one erased; the folder of cq."""
    place = tmp_path_factory.mktemp("audited")
    with two_doors(place) as doors:
        cq, sc = doors["cq"].agency("stating"), doors["sc"].agency("stating")
        many = [
            RecordSubmission(idempotency_key=f"credit-{number}", record=credit_of(firm(1000 + number)))
            for number in range(RECORDS)
        ]
        answer = cq.call(cq.submission.BatchSubmitRecords, BatchSubmitRecordsRequest(submissions=many))
        sent = answer.submitted[0].record_id
        gone = submit(cq, penalty_of(firm(90), "演环罚〔2025〕90号"), "gone").record_id
        submit(cq, records.alert(), "alert")
        submit(sc, of_sichuan(penalty_of(firm(91), "川环罚〔2025〕91号")), "theirs")
        wait_settled(doors["cq"])
        act = records.erasure()
        act.erasure.record.record_id, act.erasure.record.origin = gone, "cq"
        submit(cq, act, "erase")
        wait_settled(doors["cq"])
        wait_settled(doors["sc"])
        doors["cq"].world.wait(lambda: witnessed(doors["cq"]), what="the journal's witness")
        receipt = place / "receipt"
        receipt.write_text(cq.call(cq.submission.GetReceipt, GetReceiptRequest(record_id=sent)).receipt)
        cards, lists = [], []
        for name, other in (("cq", "sc"), ("sc", "cq")):
            cards.append(place / f"{name}-for-{other}.card")
            cards[-1].write_text(keyring(name).card_for(other).to_text(), "utf-8")
            lists.append(place / f"{name}.crl")
            lists[-1].write_bytes(revoking(name))
        folder = place / "审计"
        export = Export(doors["cq"].node.database, "cq", "exchange.example", folder, Scope())
        export.write(export.plan(), datetime.now(UTC))
    return Audited(folder, (cards[0], cards[1]), receipt, (lists[0], lists[1]))


def revoking(name: str, *since: datetime) -> bytes:
    """A list of a node's signing authority, made after everything; its key is on it if an instant is given."""
    serial = load_der(keyring(name).signer.chain[0]).serial_number
    later = datetime.now(UTC) + timedelta(seconds=2)
    return issue_crl(profile(), keyring(name).root, [(serial, at) for at in since], number=1, now=later)


def witnessed(door: AgencyDoor) -> bool:
    """Whether the journal has a cosigned head."""
    with door.node.database.read() as connection:
        book = journal.head(connection)
        return log_store.last_checkpoint(connection, book.id) is not None


@dataclass(frozen=True, slots=True)
class Told:
    """What the verifier said: exit status, outcomes by claim, findings."""

    status: int
    claims: Mapping[int, str]
    findings: Sequence[Mapping[str, Any]]


def verify(program: Path, folder: Path, cards: Sequence[Path], *more: object) -> Told:
    """Run the verifier in Go."""
    named = [*(each for card in cards for each in ("-card", card)), *map(str, more)]
    ran = subprocess.run([program, "-json", *named, folder], capture_output=True, check=False, text=True)
    assert ran.stdout, ran.stderr
    told = json.loads(ran.stdout)
    return Told(ran.returncode, {each["no"]: each["outcome"] for each in told["claims"]}, told["findings"])


def lists(*paths: Path) -> list[object]:
    """Arguments that name revocation lists."""
    return [each for path in paths for each in ("-crl", path)]


def listed_anew(folder: Path) -> None:
    """MANIFEST as a forger would write it: right about what lies there now."""
    lines = []
    for line in (folder / "MANIFEST").read_text("utf-8").splitlines():
        path = line.split("\t")[0]
        data = (folder / path).read_bytes()
        lines.append(f"{path}\t{len(data)}\t{hashlib.sha256(data).hexdigest()}\t{'0' * 64}\n")
    (folder / "MANIFEST").write_text("".join(lines), "utf-8")


def test_all_is_proven(program: Path, audited: Audited) -> None:
    """Every claim that it makes, of every log; without cards only that the files agree with each other."""
    told = verify(program, audited.folder, audited.cards, *lists(*audited.lists))
    assert (told.status, told.findings, set(told.claims.values())) == (0, [], {"PROVEN"})
    alone = verify(program, audited.folder, ())
    assert (alone.status, alone.claims[0], alone.claims[1], alone.claims[4]) == (
        3,
        "PROVEN",
        "NOT_PROVABLE",
        "NOT_PROVABLE",
    )


def test_the_cards_of_others_prove_nothing(program: Path, audited: Audited, tmp_path: Path) -> None:
    """A disk whose keys are not those of the cards is refuted, however well it agrees with itself."""
    cards = []
    for name, other in (("cq", "sc"), ("sc", "cq")):
        cards.append(tmp_path / f"{name}.card")
        cards[-1].write_text(Keyring(name).card_for(other).to_text(), "utf-8")
    told = verify(program, audited.folder, cards)
    assert told.status == 1
    assert {told.claims[no] for no in (1, 6)} == {"REFUTED"}
    assert {told.claims[no] for no in (4, 5)} == {"NOT_PROVABLE"}


def test_revocation_lists_decide_on_keys(program: Path, audited: Audited, tmp_path: Path) -> None:
    """Without them nothing is proven of keys; of what was revoked before it was mirrored, neither."""
    alone = verify(program, audited.folder, audited.cards)
    assert (alone.status, alone.findings, alone.claims[5]) == (3, [], "NOT_PROVABLE")
    (tmp_path / "late.crl").write_bytes(revoking("cq", datetime.now(UTC)))
    late = verify(program, audited.folder, audited.cards, *lists(tmp_path / "late.crl", audited.lists[1]))
    assert (late.status, late.findings) == (0, [])
    (tmp_path / "early.crl").write_bytes(revoking("cq", datetime.now(UTC) - timedelta(hours=1)))
    early = verify(program, audited.folder, audited.cards, *lists(tmp_path / "early.crl", audited.lists[1]))
    assert (early.status, early.findings, early.claims[5]) == (3, [], "NOT_PROVABLE")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["older", "newer", "both"])
def test_folders_behind_rotations_of_every_key_are_proven(
    program: Path, rotated: Rotated, name: str, which: str
) -> None:
    """By cards from before them or from behind; what a lost key signed is confirmed, one key came out of turn."""
    cards = [rotated.card(each) for each in NAMES if which != "newer"]
    cards += [rotated.newer(each) for each in NAMES if which != "older"]
    told = verify(program, rotated.export(name), cards, *lists(*(rotated.crl(each) for each in NAMES)))
    assert (told.status, told.findings, set(told.claims.values())) == (0, [], {"PROVEN"})


def test_what_nobody_vouches_for_is_open(program: Path, rotated: Rotated) -> None:
    """What a lost key signed, before its region confirmed it; a key out of turn, before the other side did."""
    cards, all_lists = [rotated.card(each) for each in NAMES], lists(*(rotated.crl(each) for each in NAMES))
    for folder, claims in ((rotated.unconfirmed, {5}), (rotated.unheard, {4, 5})):
        told = verify(program, folder, cards, *all_lists)
        assert (told.status, told.findings) == (3, [])
        assert {no for no, outcome in told.claims.items() if outcome == "NOT_PROVABLE"} == claims
    stolen = verify(program, rotated.stolen, cards, *all_lists)
    assert (stolen.claims[5], [each["code"] for each in stolen.findings]) == ("REFUTED", ["KEY_REVOKED_BEFORE"])


def test_a_policy_from_before_the_rotations_refutes_nothing(program: Path, rotated: Rotated) -> None:
    """Alone it asks for a newer one; with the signing roots, the region's own word about its keys is enough."""
    by = ["-policy", rotated.policy]
    told = verify(program, rotated.export("cq"), (), *by)
    assert (told.status, told.findings) == (3, [])
    assert told.claims[0] == "PROVEN"
    assert {told.claims[no] for no in (1, 2, 4, 5, 6)} == {"NOT_PROVABLE"}
    for name in NAMES:
        by += ["-root", f"{name}={rotated.roots(name)}", "-crl", rotated.crl(name)]
    told = verify(program, rotated.export("cq"), (), *by)
    assert (told.status, told.findings, set(told.claims.values())) == (0, [], {"PROVEN"})


def test_signatures_of_sm2_alone_are_left_open(program: Path, tmp_path: Path) -> None:
    """It can not compute them: that is no word against them."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES})
    world.sign["cq"] = world.require["sc"] = (SM2,)
    try:
        world.start()
        world.submit("cq", credit_of(firm(1)), "one")
        world.wait(world.settled)
        folder = tmp_path / "folder"
        export = Export(world.nodes["cq"].database, "cq", "exchange.example", folder, Scope())
        export.write(export.plan(), datetime.now(UTC))
    finally:
        world.close()
    cards = []
    for name, other in (("cq", "sc"), ("sc", "cq")):
        cards.append(tmp_path / f"{name}.card")
        card = keyring(name).card_for(other)
        card = replace(card, signing_roots=keyring("cq").sm2[0].root_pem) if name == "cq" else card
        cards[-1].write_text(card.to_text(), "utf-8")
    told = verify(program, folder, cards)
    assert (told.status, told.findings) == (3, [])
    assert {told.claims[no] for no in (4, 5)} == {"NOT_PROVABLE"}


def test_a_receipt_is_checked_alone(program: Path, audited: Audited, tmp_path: Path) -> None:
    """By the cards; a changed one is refuted."""
    named = [each for card in audited.cards for each in ("-card", card)]
    assert (
        subprocess.run([program, *named, "-receipt", audited.receipt], capture_output=True, check=False).returncode == 0
    )
    text = audited.receipt.read_text()
    at = text.index("extra ") + 200
    (tmp_path / "receipt").write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    forged = subprocess.run([program, *named, "-receipt", tmp_path / "receipt"], capture_output=True, check=False)
    assert forged.returncode == 1


def rooms(folder: Path) -> dict[str, list[Path]]:
    """Files of an exported folder by what they hold."""
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / "logs").rglob("*")):
        if path.is_file():
            below = path.relative_to(folder).as_posix()
            for name in ("tile/entries", "tile/", "bodies/", "notes/", "checkpoint"):
                if f"/{name}" in below:
                    found.setdefault(name, []).append(path)
                    break
    return found


@pytest.mark.parametrize("name", ["tile/entries", "tile/", "bodies/", "notes/", "checkpoint"])
def test_one_flipped_bit_is_found_and_located(program: Path, audited: Audited, tmp_path: Path, name: str) -> None:
    """Anywhere in a log, and with a MANIFEST that was written to match: refuted, with the file or its room named."""
    copy = tmp_path / "copy"
    shutil.copytree(audited.folder, copy)
    chance = random.Random(name)
    for _ in range(6):
        path = chance.choice(rooms(copy)[name])
        clean = path.read_bytes()
        at = chance.choice(marks(path, clean))
        spoiled = bytearray(clean)
        spoiled[at] ^= 1 << chance.randrange(8)
        path.write_bytes(spoiled)
        listed_anew(copy)
        told = verify(program, copy, audited.cards)
        below = path.relative_to(copy).as_posix()
        log = below.removeprefix("logs/").partition(f"/{name}")[0]
        assert told.status == 1, (below, at)
        assert log in {each["log"] for each in told.findings}, (below, at, told.findings)
        path.write_bytes(clean)


def marks(path: Path, data: bytes) -> list[int]:
    """Bytes that mean something: of a tar, what its members hold; of a note, all but the marks of other signers."""
    if path.suffix != ".tar":
        return list(range(len(data)))
    with tarfile.open(path) as archive:
        held = [(each.offset_data, each.size) for each in archive.getmembers() if each.name != "absent.tsv"]
    return [at + within for at, size in held for within in range(size)]


def test_a_cut_tail_is_found(program: Path, audited: Audited, tmp_path: Path) -> None:
    """An older checkpoint in the place of the last one: the notes tell of more entries."""
    copy = tmp_path / "copy"
    shutil.copytree(audited.folder, copy)
    room = copy / "logs" / LANE
    with tarfile.open(next(iter((room / "notes").rglob("*.tar")))) as archive:
        sizes = sorted(int(each) for each in archive.getnames())
        older = archive.extractfile(str(sizes[0]))
        assert older is not None
        (room / "checkpoint").write_bytes(older.read())
    told = json.loads((copy / "export.json").read_text("utf-8"))
    for log in told["logs"]:
        if log["origin"] == LANE:
            log["size"] = sizes[0]
    (copy / "export.json").write_text(json.dumps(told), "utf-8")
    listed_anew(copy)
    found = verify(program, copy, audited.cards)
    assert found.claims[2] == "REFUTED"
    assert {each["code"] for each in found.findings} >= {"TAIL_CUT"}


@pytest.mark.parametrize(
    "place", ["MANIFEST", f"logs/{LANE}/checkpoint", f"logs/{LANE}/bodies/000.tar", "logs/\x1b[31m"]
)
@pytest.mark.parametrize("what", ["pipe", "endless", "elsewhere"])
def test_what_is_no_file_is_named_and_never_opened(
    program: Path, audited: Audited, tmp_path: Path, place: str, what: str
) -> None:
    """A pipe, a device without end, a link to another file in the place of one, or beside: refuted, and it ends."""
    folder = tmp_path / "folder"
    shutil.copytree(audited.folder, folder)
    file = folder / place
    file.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero" if what == "endless" else audited.folder / "export.json")
    given = [word for card in audited.cards for word in ("-card", card)]
    done = subprocess.run([program, *map(str, given), folder], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"goroutine" not in done.stderr
    script = [HERE / "shell/record.sh", folder, LANE, "3", audited.cards[0], "key", "key"]
    by_hand = subprocess.run(["bash", *map(str, script)], capture_output=True, timeout=60, check=False)  # noqa: S607
    assert (by_hand.returncode, by_hand.stdout[:5]) == (1, b"WRONG")


def test_one_record_is_checked_by_hand(audited: Audited, tmp_path: Path) -> None:
    """openssl, sha256sum and awk walk from the record to both signatures; and tell which step a change breaks."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl-missing: the openssl command")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(keyring("cq").card_for("sc").signing_roots)
    log_key = str(keyring("cq").keys.log_signer(LANE).line.active[0])
    cosigner = str(keyring("sc").keys.mirror.line.active[0])

    def by_hand(folder: Path, index: int) -> tuple[int, list[str]]:
        command: list[str | Path] = [HERE / "shell" / "record.sh", folder, LANE, str(index), roots, log_key, cosigner]
        ran = subprocess.run(command, capture_output=True, check=False, text=True)
        return ran.returncode, [line for line in ran.stdout.splitlines() if line.startswith("WRONG")]

    assert by_hand(audited.folder, 260) == (0, [])
    copy = tmp_path / "copy"
    shutil.copytree(audited.folder, copy)
    path = next(iter((copy / "logs" / LANE / "bodies").glob("000*")))
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        data[archive.getmember("1.body").offset_data + 40] ^= 1
    path.write_bytes(data)
    status, wrong = by_hand(copy, 1)
    assert status == 1
    assert ["MANIFEST" in wrong[0], "commitment" in wrong[1]] == [True, True]
