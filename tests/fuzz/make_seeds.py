"""Makes the committed seeds anew: ``python -m tests.fuzz.make_seeds``. Small examples, no private key among them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from exchange.app.adapters import find_adapters
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.trusted.trust import PEER, TrustSet, to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import to_der, to_pem
from exchange.domain.catalogues.tables import load
from exchange.tables import read_all
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.origin import LogName, mirror_name
from exchange.tlog.proof import Receipt
from exchange.tlog.tree import Frontier, leaf_hash
from exchange.v1.statement_pb2 import LogEntry
from exchange_hj212.frame import Frame, read_frames
from tests.crypto.region import AGENCY, DOMAIN, NOW, PROFILE, region
from tests.crypto.test_node_card import card
from tests.domain.records import SOUND
from tests.fuzz.targets import PARTS, SEEDS, book_parts

SAMPLES = Path(__file__).parents[2] / "adapters"
SMALL = 2047
"""Bytes of a workbook's part as a seed: its whole length is one that the target takes."""

FEW = 4
"""Lines of a CSV seed: title, headings, two rows; and records of a JSON seed."""


def _put(target: str, files: Mapping[str, bytes]) -> None:
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _documents() -> None:
    sides = ("chongqing", "sichuan")
    hj212 = SAMPLES / "exchange_hj212" / "samples"
    packets = [path for path in sorted(hj212.iterdir()) if path.suffix in (".txt", ".bin", ".log")]
    # One or two packets each: what a longer recording says a second time costs executions.
    _put("hj212", {f"{path.stem}-{at}{path.suffix}": part for path in packets for at, part in _packets(path)})
    for target in ("csv", "json"):
        found = {
            f"{side}-{path.name}": path.read_bytes()
            for side in sides
            for path in sorted((SAMPLES / f"exchange_{side}" / "samples").glob(f"*.{target}"))
        }
        if target == "json":
            found |= {f"{side}-{name}.json": made for side in sides for name, made in _joined(side)}
        _put("csv_rows" if target == "csv" else target, found)
        if target == "csv":
            _put(target, {name: b"".join(data.splitlines(keepends=True)[:FEW]) for name, data in found.items()})
    book = (SAMPLES / "exchange_chongqing" / "samples" / "credit-2024.xlsx").read_bytes()
    old = (SAMPLES / "exchange_chongqing" / "samples" / "old.xls").read_bytes()
    _put("xlsx", {"credit.xlsx": book, "old.xls": old})
    parts = [(at, name, book_parts().get(name, b"")) for at, name in enumerate(PARTS)]
    _put(
        "xlsx_part", {f"{at}-{name.rsplit('/', 1)[-1]}": bytes([at]) + part[:SMALL] for at, name, part in parts if part}
    )


def _joined(side: str) -> Iterator[tuple[str, bytes]]:
    """Forms of which several rows are one record, as JSON: a few records of each."""
    adapter = find_adapters(load(read_all()), {})[side]
    for sample in adapter.samples():
        name, _, form = sample.name.partition(", ")
        if form == "workbook" and name in ("list-entry", "measure-feedback", "correction-request", "inspection-task"):
            records = [row.record for row in adapter.read(sample.document).rows if row.record is not None]
            yield name, adapter.write(records[:FEW], kind=sample.document.kind, form="json").content


def _packets(path: Path) -> list[tuple[int, bytes]]:
    """The first packets of a recording, two by two, with whatever stands between them."""
    data = path.read_bytes()
    starts = [event.offset for event in read_frames(data) if isinstance(event, Frame)]
    return [(at, data[0 if at == 0 else starts[at] : starts[at + 2]]) for at in range(0, min(len(starts) - 2, 8), 2)]


def _logs() -> None:
    origin = str(LogName.outbound("cq", DOMAIN, "sc", "registry"))
    signer, mirror = NoteSigner(origin, generate_ed25519()), Cosigner(mirror_name("sc", DOMAIN), generate_ed25519())
    frontier, _ = Frontier().extend([leaf_hash(b"entry"), leaf_hash(b"other")])
    signed = signer.sign_checkpoint(Checkpoint(origin=origin, size=2, root=frontier.root()))
    cosigned = mirror.cosign(signed, int(NOW.timestamp()))
    notes = {"signed": signed, "cosigned": cosigned}
    _put("note", notes)
    _put("checkpoint", notes)
    receipt = Receipt(index=0, hashes=(leaf_hash(b"other"),), checkpoint_note=cosigned, extra=b"entry")
    _put("proof", {"receipt": receipt.to_bytes()})


def _keys() -> None:
    cq = region("cq")
    (SEEDS / "roots.pem").write_bytes(cq.root.root_pem)
    chain = b"".join(to_pem(each) for each in (cq.signing, cq.intermediate.certificate))
    leaf = pki.issue_client(PROFILE, cq.intermediate, identity=AGENCY, now=NOW)
    _put("certificate", {"signing.pem": chain, "client.pem": leaf.chain, "leaf.der": to_der(cq.signing)})
    sealed = cq.envelope()
    entry = LogEntry(version=1, envelope=sealed)
    entry.logged_at.FromDatetime(NOW)
    _put("envelope", {"envelope": sealed, "entry": entry.SerializeToString()})
    _put("record", {name: make().SerializeToString() for name, make in SOUND.items()})
    later = NOW + timedelta(days=1)
    revoked = [(cq.signing.serial_number, NOW)]
    crl = pki.issue_crl(PROFILE, cq.intermediate, revoked, number=3, now=later)
    _put("crl", {"intermediate.pem": to_pem(cq.intermediate.certificate) + crl})
    _put("node_card", {"cq.card": card().to_text().encode()})
    files = to_trust_files(card(), tls_crl=pki.issue_crl(PROFILE, cq.root, [], number=1, now=later))
    _put("trust_set", {"peer.set": TrustSet.load(files).to_bytes()})
    _put("peer_file", {"peer.toml": files[PEER]})


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir()
    _documents()
    _logs()
    _keys()
