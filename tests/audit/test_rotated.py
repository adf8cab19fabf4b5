"""Folders behind rotations of every key, and behind the loss of one: what holds is proven, what does not is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.adapter_set import find_adapter
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.trusted.possession import id_of, possession_message, prove
from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.folder.reading import Folder
from exchange.flows.audit.verify.keys.believed import Believed, keys_of
from exchange.flows.audit.verify.keys.statements import Announced
from exchange.flows.audit.verify.keys.successors import successors
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.note import COSIGNATURE_V1, VerifierKey
from exchange.tlog.origin import LogName, mirror_name
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyAnnouncement, KeyUse
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from tests.audit.forging import relist_all
from tests.audit.material import NAMES
from tests.audit.rotated import Rotated, notices
from tests.audit.test_extracting import both, stated_in
from tests.cli.conftest import Run, run
from tests.world import FEDERATION, Keyring, keyring, lane_origin, profile

LANE = lane_origin("cq", "sc")
LOCAL = str(LogName.local("cq", FEDERATION))
MIRROR = mirror_name("cq", FEDERATION)


def verify(rotated: Rotated, folder: Path, *more: object, jobs: int = 1) -> Run:
    """Verify a folder by the cards from before every rotation, and all lists."""
    return run("audit", "verify", folder, *rotated.believing(), "--jobs", jobs, "--json", *more)


def verify_by(folder: Path, *believing: object) -> Run:
    """Verify a folder by something else."""
    return run("audit", "verify", folder, *believing, "--jobs", "1", "--json")


def outcomes(done: Run) -> dict[int, str]:
    """Outcome by claim."""
    return {claim["no"]: claim["outcome"] for claim in done.json["claims"]}


def claim(done: Run, no: int) -> Any:
    """One claim."""
    return done.json["claims"][no - 1]


def test_every_claim_is_proven_behind_all_of_it(rotated: Rotated, tmp_path: Path) -> None:
    """By cards from before every rotation, lists, the other side's head, a replay, and the unit's own list."""
    listed = tmp_path / "list.xlsx"
    listed.write_bytes(find_adapter("chongqing").write(notices(), kind=Kind.KIND_PENALTY_NOTICE, form="xlsx").content)
    done = verify(rotated, rotated.export("cq"), "--registers", "--list", listed, "--require", "cq=ES256,SM2")
    assert (done.json["findings"], outcomes(done)) == ([], dict.fromkeys(range(1, 10), "PROVEN"))
    assert (done.json["verdict"], done.status) == ("PROVEN", 0)
    assert claim(done, 5)["facts"]["confirmed"] >= len(rotated.stated)


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_what_was_stated_again_after_a_loss_is_proven(rotated: Rotated, name: str) -> None:
    """Also on the disk of the other side, and by cards of the keys that are in use now."""
    believing: list[object] = [*rotated.lists(), "--head", rotated.heads("cq"), "--head", rotated.heads("sc")]
    for each in NAMES:
        fingerprint = NodeCard.parse(rotated.newer(each).read_text("utf-8")).fingerprint()
        believing += ["--card", rotated.newer(each), "--fingerprint", fingerprint]
    done = run("audit", "verify", rotated.export(name), *believing, "--jobs", "1", "--json")
    assert done.json["findings"] == []
    assert {no for no, outcome in outcomes(done).items() if outcome != "PROVEN"} == {7, 9}


@pytest.mark.parametrize(
    ("log", "part"),
    [
        ("to/sc/registry/1", "tile/entries"),
        ("to/sc/telemetry/2", "bodies"),
        ("journal/1", "notes"),
    ],
)
def test_one_flipped_byte_is_found_behind_all_of_it(rotated: Rotated, tmp_path: Path, log: str, part: str) -> None:
    """In the log whose keys were rotated, in the second epoch, and in what a rotated witness key cosigned."""
    copy = rotated.copy_of("cq", tmp_path / "cq")
    (path, *_) = sorted(each for each in (copy / "logs/cq.exchange.example" / log / part).rglob("*") if each.is_file())
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    relist_all(copy)
    done = verify(rotated, copy)
    assert done.status == 1
    assert {each["log"] for each in done.json["findings"]} == {f"cq.exchange.example/{log}"}


def test_several_processes_settle_what_one_does(rotated: Rotated) -> None:
    """What is in doubt is looked for by all of them."""
    one, several = (verify(rotated, rotated.stolen, jobs=jobs).json for jobs in (1, 2))
    assert (one["claims"], one["findings"]) == (several["claims"], several["findings"])
    assert one["claims"][4]["facts"]["confirmed"]


def test_an_older_and_a_newer_card_are_believed_together(rotated: Rotated, tmp_path: Path) -> None:
    """Also where the region's signing authority is another one by now: roots of both count, and those beside a card."""
    older = replace(NodeCard.parse(rotated.card("cq").read_text("utf-8")), signing_roots=Keyring("cq").root.root_pem)
    (tmp_path / "older.card").write_text(older.to_text(), "utf-8")
    others = [rotated.newer("cq"), rotated.card("sc"), rotated.newer("sc")]
    by: list[object] = [*rotated.lists(), "--head", rotated.heads("sc")]
    for card in (tmp_path / "older.card", rotated.card("sc")):
        by += ["--card", card, "--fingerprint", NodeCard.parse(card.read_text("utf-8")).fingerprint()]
    assert outcomes(verify_by(rotated.export("cq"), *by))[4] == "NOT_PROVABLE"
    beside = verify_by(rotated.export("cq"), *by, "--roots", f"cq={rotated.roots('cq')}")
    assert {no for no, outcome in outcomes(beside).items() if outcome != "PROVEN"} == {7, 9}
    for card in others:
        by += ["--card", card, "--fingerprint", NodeCard.parse(card.read_text("utf-8")).fingerprint()]
    both = verify_by(rotated.export("cq"), *by)
    assert (both.json["findings"], {no for no, outcome in outcomes(both).items() if outcome != "PROVEN"}) == (
        [],
        {7, 9},
    )


def test_both_sides_agree_behind_all_of_it(rotated: Rotated) -> None:
    """Lanes, second epoch included, agree; each side's journal gives its registers again."""
    believing: list[object] = []
    for name in NAMES:
        believing += ["--card", rotated.card(name), "--fingerprint", rotated.fingerprint(name)]
    done = run("audit", "reconcile", rotated.export("cq"), rotated.export("sc"), *believing, "--json")
    assert (done.json["findings"], done.json["verdict"], done.status) == ([], "PROVEN", 0)
    assert lane_origin("cq", "sc", "telemetry", 2) in {lane["log"] for lane in done.json["lanes"]}
    for name in NAMES:
        assert run("audit", "replay", rotated.export(name), "--json").json["findings"] == []


def test_the_report_tells_of_every_key(rotated: Rotated, tmp_path: Path) -> None:
    """The one that was lost, its successor, and the logs' and cosigners' that took over."""
    page = tmp_path / "report.html"
    done = run("audit", "report", rotated.export("cq"), "-o", page, *rotated.believing())
    assert done.status == 3
    text = page.read_text("utf-8")
    for card in (rotated.card("cq"), rotated.newer("cq")):
        for each in NodeCard.parse(card.read_text("utf-8")).keys:
            if "/local/" not in each.key.name:
                assert f"{each.key.key_id.hex()}" in text, each
    assert rotated.lost[:16] in text


def test_a_policy_from_before_the_rotations_asks_for_a_newer_one(rotated: Rotated) -> None:
    """Nothing is refuted, and what took over is named; with the signing roots beside it, that is enough."""
    by: list[object] = ["--policy", rotated.policy]
    done = run("audit", "verify", rotated.export("cq"), *by, "--jobs", "1", "--json")
    assert done.json["findings"] == []
    first, newer = (NodeCard.parse(each("cq").read_text("utf-8")) for each in (rotated.card, rotated.newer))
    named = {key.key.name: id_of(key.key) for key in newer.keys}
    turned = {f"{id_of(key.key)} -> {named[key.key.name]}" for key in first.keys if key.key.name in (LANE, MIRROR)}
    assert {f"NEWER_CARD {each}" for each in turned} <= set(claim(done, 1)["missing"])
    sides = (rotated.export("cq"), rotated.export("sc"))
    beside = run("audit", "reconcile", *sides, *by, "--json")
    assert (beside.status, {each["code"] for each in beside.json["findings"]}) == (3, {"KEY_NOT_BELIEVED"})
    assert turned <= {each["text"] for each in beside.json["findings"]}
    for name in NAMES:
        by += ["--roots", f"{name}={rotated.roots(name)}"]
    done = verify_by(rotated.export("cq"), *by, *rotated.lists())
    assert {no for no, outcome in outcomes(done).items() if outcome != "PROVEN"} == {3, 7, 9}
    assert run("audit", "reconcile", *sides, *by, "--json").status == 0


@pytest.mark.parametrize("endorsed", [True, False])
def test_what_took_over_from_a_believed_key_is_told(endorsed: bool) -> None:
    """Named by the old key itself, it leaves the note open; named by somebody else, the note is not believed."""
    log, old, new, stranger = (generate_ed25519() for _ in range(4))
    signer, name = NoteSigner(LANE, log), mirror_name("sc", FEDERATION)
    keys = [VerifierKey.of(name, COSIGNATURE_V1, each.public_key().public_bytes_raw()) for each in (old, new)]
    told = AnnouncedKey(use=KeyUse.KEY_USE_MIRROR, key_id=id_of(keys[1]), vkey=str(keys[1]), replaces=id_of(keys[0]))
    message = possession_message(FEDERATION, "sc", told)
    told.possession, told.endorsement = prove(new, message), prove(old if endorsed else stranger, message)
    record = Record(key_announcement=KeyAnnouncement(keys=[told]))
    announced = Announced(
        node="sc", logged_at=1, log=lane_origin("sc", "cq"), index=0, envelope=b"", body=record.SerializeToString()
    )
    policy = f"log {signer.line.active[0]}\nwitness sc {keys[0]}\nquorum sc\n"
    believed = Believed(policy=policy.encode())
    believed = replace(believed, successors=successors([announced], keys_of(believed)))
    note = Cosigner(name, new).cosign(signer.sign_checkpoint(Checkpoint(LANE, 1, bytes(32))), 1_700_000_000)
    seen = keys_of(believed).look(note, LANE)
    assert seen is not None
    turned = f"{id_of(keys[0])} -> {id_of(keys[1])}"
    assert (seen.rotated, seen.cosigned) == ((turned,) if endorsed else (), None)
    assert (turned in seen.problem) is not endorsed


def test_what_nobody_stated_again_is_open(rotated: Rotated) -> None:
    """A region that has not looked at what its lost key signed is not refuted: each entry that waits is named."""
    done = verify(rotated, rotated.unconfirmed)
    assert [each for each in done.json["findings"] if each["no"] == 5] == []
    assert outcomes(done)[5] == "NOT_PROVABLE"
    owed = [each for each in claim(done, 5)["missing"] if each.startswith("CONFIRMATION")]
    assert len([each for each in owed if each.startswith(f"CONFIRMATION {LANE}#")]) == len(rotated.stated) - 1
    assert {each.partition("#")[0] for each in owed} <= {f"CONFIRMATION {LANE}", f"CONFIRMATION {LOCAL}"}


def test_what_a_lost_key_signs_when_its_end_is_known_is_refuted(rotated: Rotated) -> None:
    """One entry, in its place; nobody confirmed it, and nothing else is doubted."""
    done = verify(rotated, rotated.stolen)
    (found,) = [each for each in done.json["findings"] if each["no"] == 5]
    assert (found["code"], found["log"]) == ("KEY_REVOKED_BEFORE", LANE)
    assert rotated.lost in found["evidence"]["keys"]
    assert outcomes(done)[5] == "REFUTED"


def test_one_side_is_asked_for_more_than_the_other(rotated: Rotated) -> None:
    """Chongqing has to sign by both, Sichuan by one; asked of both, no key of Sichuan's is relied on."""
    folder = rotated.export("cq")
    both = verify(rotated, folder, "--require", "cq=ES256,SM2", "--require", "ES256")
    assert (both.json["findings"], outcomes(both)[4], outcomes(both)[5]) == ([], "PROVEN", "PROVEN")
    done = verify(rotated, folder, "--require", "ES256,SM2")
    assert outcomes(done)[4] == outcomes(done)[5] == "NOT_PROVABLE"
    assert claim(done, 4)["missing"]
    assert all(" sc.exchange.example/to/cq/" in each for each in claim(done, 4)["missing"])
    assert verify(rotated, folder, "--require", "cqq=SM2").status == 2
    assert verify(rotated, folder, "--require", "cq=RSA").status == 2


def test_each_authority_needs_a_list_of_its_own(rotated: Rotated) -> None:
    """A fresh list of one authority says nothing of the keys under the other one, nor does one that came too early."""
    folder = rotated.export("cq")
    without = run("audit", "verify", folder, *rotated.believing()[:-2], "--jobs", "1", "--json")
    (missing,) = claim(without, 5)["missing"]
    assert missing.startswith("REVOCATION_LIST cq CN=cq signing root SM2")
    assert outcomes(without)[5] == "NOT_PROVABLE"
    early = rotated.folder / "early.crl"
    early.write_bytes(issue_crl(profile(), keyring("cq").sm2[0], [], number=1, now=rotated.since))
    done = run("audit", "verify", folder, *rotated.believing()[:-1], early, "--jobs", "1", "--json")
    assert [each.rpartition(" ")[0] for each in claim(done, 5)["missing"]] == [missing.rpartition(" ")[0]]


def test_a_key_that_came_out_of_turn_counts_by_the_other_sides_officer(rotated: Rotated) -> None:
    """The one before it was gone; until the other side confirmed it, its certificate alone proves nothing."""
    done = verify(rotated, rotated.export("sc"))
    assert (done.json["findings"], outcomes(done)[4], outcomes(done)[5]) == ([], "PROVEN", "PROVEN")
    before = verify(rotated, rotated.unheard)
    assert [each for each in before.json["findings"] if each["no"] in (4, 5)] == []
    assert outcomes(before)[4] == outcomes(before)[5] == "NOT_PROVABLE"
    assert {each.split()[0] for each in claim(before, 4)["missing"]} == {"SUCCESSION"}


def test_certificates_are_found_behind_rotations(rotated: Rotated) -> None:
    """Each statement comes with the chain of the key that signed it, the first as the last; as the node gives it."""
    chains = set()
    places = {"receipt", "envelope.json", "手工核验.txt"}
    for name in NAMES:
        for log in Folder(rotated.export(name)).logs:
            for said in [] if log.about.is_journal else stated_in(log)[::7]:
                from_node, from_folder = both(rotated, name, said)
                # Keys are announced in every lane by one statement: which of them is named is as good.
                left_out = places if said.kind == Kind.KIND_KEY_ANNOUNCEMENT else set[str]()
                assert from_folder.keys() == from_node.keys()
                assert [
                    each for each in from_node if each not in left_out and from_folder[each] != from_node[each]
                ] == []
                chains.add(from_folder["leaf-1.pem"])
    assert len(chains) > len(NAMES)
