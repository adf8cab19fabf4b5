"""Keys that speak in the logs, rotated by the command line on real nodes, while agencies of both call without a pause.

What was signed before is verified behind it by an auditor who shares no code with us.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.storage.files.key_folder import KeyFiles
from exchange.v1.submission_service_pb2 import GetReceiptRequest, SubmitRecordRequest
from tests.evidence import statement_of
from tests.processes import laws
from tests.processes.callers import Counted, calling
from tests.processes.load import Load
from tests.processes.officers import CONFIRMED_BY_OFFICERS, Desk
from tests.processes.test_certificates import codes, retries
from tests.rigs import outsider
from tests.rigs.pair import Pair, running_pair

KEYS = ("signing", "log", "mirror", "witness")


@dataclass(frozen=True, slots=True)
class Kept:
    """What an agency put away on the day: its receipt, and the certificate that its region signed by."""

    record_id: str
    receipt: bytes
    certificates: bytes


def keep(pair: Pair, name: str, number: int) -> Kept:
    """Submit one record, wait for its receipt, and put both away."""
    node = pair.nodes[name]
    with node.client() as client:
        request = SubmitRecordRequest(submission=Load(node, "kept").submission(number))
        made = client.call(client.submissions.SubmitRecord, request).submitted
    laws.wait_at_rest(pair)
    files = KeyFiles(node.folder / "keys" / "sign-p256.pem")
    _, begin, certificates = (files.read(files.generations()[-1]) or b"").partition(b"-----BEGIN CERTIFICATE-----")
    return Kept(made.record_id, receipt(pair, name, made.record_id), begin + certificates)


def receipt(pair: Pair, name: str, record_id: str) -> bytes:
    """The receipt, as the node gives it now."""
    with pair.nodes[name].client() as client:
        request = GetReceiptRequest(record_id=record_id, revision=1)
        return client.call(client.submissions.GetReceipt, request).receipt.encode()


def rotate_all(pair: Pair, folder: Path, loads: tuple[Counted, Counted]) -> list[int]:
    """Every key of cq, side by side, from its first step to its last; the numbers of the rotations."""
    cq, sc = Desk(pair, "cq", folder), Desk(pair, "sc", folder)
    for key in KEYS:
        cq.until(key, "INSTALLED")
    again = cq.types("certs", "request", "mirror", "--reason", "a second officer").json
    assert again["rotation"]["state"] == "ROTATION_STATE_INSTALLED", "the second officer meets the same rotation"
    for key in KEYS:
        cq.until(key, "ANNOUNCED")
    waiting = cq.types("certs", "rotate", "mirror")
    assert (waiting.status, waiting.json["waits"][0]["who"]) == (1, "sc")
    assert waiting.json["waits"][0]["duty_desk"] == "演示值班室"
    for key in CONFIRMED_BY_OFFICERS:
        sc.confirms(key, cq.reads_aloud(key))
    for key in KEYS:
        cq.until(key, "ACTIVE")
    for counted in loads:
        counted.wait(20)
    return [int(cq.until(key, "RETIRED")["rotation"]["number"]) for key in KEYS]


def prove(pair: Pair, name: str, kept: Kept, cards: dict[str, str], folder: Path, *, open_only: bool = False) -> None:
    """An auditor with two cards, openssl and the receipt that was put away; and with the one that is given now."""
    other = laws.other_of(pair, name)
    logs, mirrors = (outsider.card_keys(cards[each], open_only=open_only) for each in (name, other))
    proven = outsider.verify_receipt(kept.receipt, logs, mirrors)
    assert outsider.verify_receipt(receipt(pair, name, kept.record_id), logs, mirrors) == proven
    roots = pair.nodes[name].authorities["signing"].root_pem
    payload = outsider.verify_envelope(proven.entry, kept.certificates, roots, folder)
    assert kept.record_id.encode() in payload or bytes.fromhex(kept.record_id.replace("-", "")) in payload
    with pytest.raises(outsider.NotProvenError, match="path"):
        outsider.verify_receipt(kept.receipt.replace(b"extra CA", b"extra CQ", 1), logs, mirrors)
    with pytest.raises(outsider.NotProvenError):
        outsider.verify_receipt(kept.receipt, logs, [key for key in logs if key.use == "mirror"])


@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_keys_rotate_under_load_and_old_evidence_stays_proof(tmp_path: Path, rounds: int) -> None:
    """No call of any caller fails, each record arrives once, each report verifies, and old receipts stay proof."""
    with running_pair(tmp_path / "pair") as pair:
        cq = Desk(pair, "cq", tmp_path)
        before = {name: keep(pair, name, 1) for name in pair.nodes}
        tries = {name: retries(node) for name, node in pair.nodes.items()}
        numbers: list[int] = []
        with (
            calling(pair.nodes["cq"], tmp_path / "cq.json") as at_cq,
            calling(pair.nodes["sc"], tmp_path / "sc.json") as at_sc,
        ):
            for _ in range(rounds):
                numbers += rotate_all(pair, tmp_path, (at_cq, at_sc))
        laws.wait_at_rest(pair)
        for counted in (at_cq, at_sc):
            assert counted.failures == []
            assert counted.unseen == 0
            assert min(counted.calls[what] for what in ("stay", "anew", "check")) > 20, counted.calls
        assert {name: retries(node) for name, node in pair.nodes.items()} == tries
        assert (codes(pair, "cq"), codes(pair, "sc")) == ([], [])
        after = {name: keep(pair, name, 2) for name in pair.nodes}

        own = cq.card("sc")
        for number in numbers:
            laws.wait(
                f"the report of {number} is proven",
                lambda number=number: (
                    {  # type: ignore[misc]
                        line["shown"] for line in cq.types("certs", "report", number, "--card", own).json["report"]
                    }
                    == {"PROVEN"}
                ),
            )
            report = cq.types("certs", "report", number, "--card", own)
            assert (report.status, report.json["sound"], len(report.json["report"])) == (0, True, 6)
        cards = {"cq": own.read_text(), "sc": Desk(pair, "sc", tmp_path).card("cq").read_text()}
        ended = Counter(key.use for key in outsider.card_keys(cards["cq"]) if key.until is not None)
        assert ended == {"log": 5 * rounds, "mirror": rounds, "witness": rounds}
        for name in pair.nodes:
            for kept in (before[name], after[name]):
                prove(pair, name, kept, cards, tmp_path)
        assert before["cq"].certificates != after["cq"].certificates
        prove(pair, "cq", after["cq"], cards, tmp_path, open_only=True)
        with pytest.raises(outsider.NotProvenError, match="no key of the log"):
            prove(pair, "cq", before["cq"], cards, tmp_path, open_only=True)
        with pytest.raises(outsider.NotProvenError, match="openssl dgst"):
            prove(
                pair,
                "cq",
                Kept(before["cq"].record_id, before["cq"].receipt, after["cq"].certificates),
                cards,
                tmp_path,
            )

        pair.stop()
        for name, counted in (("cq", at_cq), ("sc", at_sc)):
            mine, theirs = laws.outbound(pair, name, name), laws.outbound(pair, name, laws.other_of(pair, name))
            assert {origin: [each.entry for each in log] for origin, log in mine.items()} == {
                origin: [each.entry for each in log] for origin, log in theirs.items()
            }
            times = Counter(statement_of(each.entry).record_id for log in theirs.values() for each in log)
            assert {record: times[record] for record in counted.records if times[record] != 1} == {}
        laws.assert_sound(pair)
        if rounds > 1:  # of thousands of records: the long set's
            laws.assert_replays(pair)
