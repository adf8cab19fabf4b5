"""Exported folders of two nodes behind a history, with everything that an auditor gets another way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.crypto.trusted.node_card import KeyRole, NodeCard
from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.reading.heads import newest_heads
from exchange.flows.audit.verify.claimed.heads import write_page
from exchange.flows.audit.witness_watch import USES
from exchange.flows.intake.documents import DocumentFlow
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitDocumentRequest
from tests.domain import records
from tests.rpc.facts import batch_of, credit_of, of_sichuan, penalty_of
from tests.world import FEDERATION, World, keyring, profile

NAMES = ("cq", "sc")
OTHER = {"cq": "sc", "sc": "cq"}
ENTRIES = 300
"""Records that Chongqing states in one lane: more than fill a tile."""

DECISION = "演环罚〔2025〕9001号"
"""Number of its only penalty that no document brought."""

SAMPLE = Path(__file__).parents[2] / "adapters" / "exchange_chongqing" / "samples" / "penalties.xlsx"
"""A document as agencies send it, with rows that are quarantined."""

REFUSED = {"演示环罚〔2025〕216号", "演示环罚〔2025〕222号"}
"""Notices of the submitted document that the door refused."""


@dataclass(frozen=True)
class Material:
    """What lies on an auditor's desk.

    Attributes:
        folder: With a folder for each node's export, its card, the head page of each, lists and a policy.
    """

    folder: Path

    def export(self, name: str) -> Path:
        """A node's exported folder."""
        return self.folder / name

    def card(self, name: str) -> Path:
        """A node's card for the other one."""
        return self.folder / f"{name}.card"

    def fingerprint(self, name: str) -> str:
        """The fingerprint that its duty desk tells."""
        return NodeCard.parse(self.card(name).read_text("utf-8")).fingerprint()

    def heads(self, name: str) -> Path:
        """A node's page of heads."""
        return self.folder / f"{name}.heads"

    def crl(self, name: str) -> Path:
        """The revocation list of a region's signing authority, made after all of it."""
        return self.folder / f"{name}.crl"

    @property
    def policy(self) -> Path:
        """A tlog-policy of both nodes' keys."""
        return self.folder / "policy"

    def believing(self) -> list[object]:
        """Arguments that give everything an auditor of Chongqing can have."""
        given: list[object] = []
        for name in NAMES:
            given += ["--card", self.card(name), "--fingerprint", self.fingerprint(name), "--crl", self.crl(name)]
        return [*given, "--head", self.heads("sc")]

    def copy_of(self, name: str, target: Path) -> Path:
        """A copy of an export that a test may change."""
        shutil.copytree(self.export(name), target)
        return target


def make_material(folder: Path) -> Material:
    """A history of both sides, exported."""
    made = Material(folder)
    world = World({name: f"sqlite:///{folder}/{name}.db" for name in NAMES})
    try:
        world.start()
        _past(world)
        world.wait(world.settled, 60)
        world.wait(lambda: all(witnessed(world, name) for name in NAMES), 30, "witnessed journals")
    finally:
        world.close()
    hand_over(made)
    return made


def hand_over(made: Material) -> None:
    """Export the databases that lie in the folder, and lay beside them what an auditor gets another way."""
    folder, now = made.folder, datetime.now(UTC)
    for name in NAMES:
        card = keyring(name).card_for(OTHER[name])
        made.card(name).write_text(card.to_text(), "utf-8")
        later = now + timedelta(seconds=2)
        made.crl(name).write_bytes(issue_crl(profile(), keyring(name).root, [], number=1, now=later))
        database = Database(f"sqlite:///{folder}/{name}.db")
        export = Export(database, name, FEDERATION, made.export(name), Scope())
        export.write(export.plan(), now)
        made.heads(name).write_bytes(write_page(newest_heads(database)))
        database.dispose()
    cards = {name: keyring(name).card_for(OTHER[name]) for name in NAMES}
    made.policy.write_text(policy_of(cards), "utf-8")


def _past(world: World) -> None:
    """Records of both sides, a document with rows that wait, and one that is erased."""
    core = world.nodes["cq"].core
    about = [records.make_uscc(9_000 + number) for number in range(ENTRIES)]
    items = [RecordSubmission(idempotency_key=f"c-{firm}", record=credit_of(firm)) for firm in about]
    sent = core.submit.submit("agency", items, core.node.clock())
    world.wait(world.settled, 60)  # so that what follows has a checkpoint of its own
    world.submit("cq", penalty_of(about[0], DECISION), "p-1")
    world.submit("cq", batch_of("50010700001"), "m-1")
    world.submit("sc", of_sichuan(credit_of(records.make_uscc(8_000), area="510100")), "s-1")
    erasure = records.erasure()
    erasure.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=sent[1].record_id, revision=1))
    world.submit("cq", erasure, "e-1")
    request = SubmitDocumentRequest(
        idempotency_key="d-1", file_name=SAMPLE.name, content=SAMPLE.read_bytes(), purpose="联合惩戒"
    )
    DocumentFlow(core.node, core.submit, side="cq").submit("agency", request, core.node.clock())


def policy_of(cards: Mapping[str, NodeCard]) -> str:
    """Both nodes' keys; of each checkpoint, somebody else than the log's owner has to be among the cosigners."""
    lines, cosigners = [], []
    for name, card in cards.items():
        for trusted in card.keys:
            if trusted.role is KeyRole.LOG:
                lines.append(f"log {trusted.key}")
            else:
                cosigners.append(f"{name}-{trusted.role}")
                lines.append(f"witness {cosigners[-1]} {trusted.key}")
    return "\n".join([*lines, f"group other any {' '.join(cosigners)}", "quorum other", ""])


def witnessed(world: World, name: str) -> bool:
    """Whether a node's journal and what it keeps to itself, the newest of them, are witnessed as far as they got."""
    with world.nodes[name].database.read() as connection:
        heads = [head for head in log_store.heads(connection) if head.use in USES and head.size and not head.retired]
        last = {head.id: log_store.last_checkpoint(connection, head.id) for head in heads}
    sizes = [(head.size, note.size if (note := last[head.id]) is not None else 0) for head in heads]
    return bool(sizes) and all(size == seen for size, seen in sizes)
