"""Exported folders of two nodes after years of key changes: every key rotated, one lost, a log in its second epoch.

Chongqing signs by ES256 and SM2, Sichuan asks that of it. In order: records under the first keys; log, mirror, witness
and both signing keys rotated; the telemetry log goes on in a second epoch; the TLS authority goes over to another root;
then the ES256 key is lost. What it signed since is stated again under its successor. Sichuan's key is gone before that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.cli.audit.folder.own_list import read_list
from exchange.crypto.dsse import ES256, SM2, Signer
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.x509.certificates import Identity, Role
from exchange.crypto.x509.pki import issue_crl, issue_signing
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.reading.heads import newest_heads
from exchange.flows.audit.verify.claimed.heads import write_page
from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.seal import seal
from exchange.flows.trust.compromise import CompromiseFlow
from exchange.v1.key_announcement_pb2 import KeyState, KeyUse
from exchange.v1.kind_pb2 import Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest
from tests.audit.material import NAMES, OTHER, REFUSED, SAMPLE, Material, policy_of, witnessed
from tests.flows.test_replay import _append
from tests.rotation.officers import OFFICER, credit, now, rotate, until_active
from tests.rotation.test_peers_authorities import announced_root, another_root, decide, ended
from tests.rotation.test_peers_keys import announce
from tests.rpc.facts import batch_of
from tests.world import FEDERATION, World, keyring, lane_origin, profile


def notices() -> list[Record]:
    """The penalties: those of the sample that the door takes."""
    read = [Record.FromString(data) for _, data in read_list(SAMPLE, "decision_no", "cq").rows]
    return [each for each in read if each.penalty_notice.decision_no not in REFUSED]


@dataclass(frozen=True)
class Rotated(Material):
    """What lies on an auditor's desk, with what happened.

    Attributes:
        lost: Id of the signing key that was lost.
        since: From when on.
        stated: Ids of the records that were stated again.
    """

    lost: str = ""
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    stated: tuple[str, ...] = ()

    def newer(self, name: str) -> Path:
        """The card of the keys that a node uses now."""
        return self.folder / f"{name}-newer.card"

    @property
    def unconfirmed(self) -> Path:
        """Chongqing's folder from before anything was stated again."""
        return self.folder / "unconfirmed"

    @property
    def unheard(self) -> Path:
        """Sichuan's folder from when Chongqing's officer had not compared the fingerprint of its new key."""
        return self.folder / "unheard"

    @property
    def stolen(self) -> Path:
        """Chongqing's folder with a record that was signed by the lost key when its end was known."""
        return self.folder / "stolen"

    def roots(self, name: str) -> Path:
        """The signing roots of a node's card."""
        return self.folder / f"{name}.roots"

    def sm2_crl(self) -> Path:
        """The list of Chongqing's other signing authority."""
        return self.folder / "cq-sm2.crl"

    def believing(self) -> list[object]:
        """By the cards from before every rotation."""
        return [*super().believing(), "--crl", self.sm2_crl()]

    def lists(self) -> list[object]:
        """Every revocation list."""
        return [each for crl in (self.crl("cq"), self.crl("sc"), self.sm2_crl()) for each in ("--crl", crl)]


def make_rotated(folder: Path) -> Rotated:
    """That history, exported from both nodes; and from Chongqing before the confirmations, and behind a thief."""
    made = Rotated(folder)
    world = World({name: f"sqlite:///{folder}/{name}.db" for name in NAMES})
    world.sign["cq"] = world.require["sc"] = (ES256, SM2)
    try:
        world.start()
        cards = {name: _card(world, name) for name in NAMES}
        for name, card in cards.items():
            made.card(name).write_text(card.to_text(), "utf-8")
            made.roots(name).write_bytes(card.signing_roots)
        made.policy.write_text(policy_of(cards), "utf-8")
        _rotations(world)
        _succession(world, made)
        lost = world.nodes["cq"].node.keys.signers
        made = _loss(world, made)
        world.wait(world.settled, 60)
        world.wait(lambda: all(witnessed(world, name) for name in NAMES), 30, "witnessed journals")
        later = datetime.now(UTC) + timedelta(seconds=2)
        for name in NAMES:
            made.newer(name).write_text(_card(world, name).to_text(), "utf-8")
            made.crl(name).write_bytes(issue_crl(profile(), keyring(name).root, [], number=1, now=later))
            _export(world, name, made.export(name))
            made.heads(name).write_bytes(write_page(newest_heads(world.nodes[name].database)))
        made.sm2_crl().write_bytes(issue_crl(profile(), keyring("cq").sm2[0], [], number=1, now=later))
        _theft(world, lost)
        _export(world, "cq", made.stolen)
    finally:
        world.close()
    return made


def _export(world: World, name: str, folder: Path) -> None:
    export = Export(world.nodes[name].database, name, FEDERATION, folder, Scope())
    export.write(export.plan(), datetime.now(UTC))


def _card(world: World, name: str) -> NodeCard:
    """A node's card with the keys that it uses now."""
    first, keys = keyring(name).card_for(OTHER[name]), world.nodes[name].node.keys
    since = first.keys[0].valid_from
    lines = [(KeyRole.MIRROR, keys.mirror.line), (KeyRole.WITNESS, keys.witness.line)]
    lines += [(KeyRole.LOG, keys.log_signer(each.key.name).line) for each in first.keys if each.role is KeyRole.LOG]
    named = tuple(TrustedKey(role=role, key=key, valid_from=since) for role, line in lines for key in line.active)
    roots = b"".join(root.root_pem for root, _ in keyring(name).signing(world.sign[name]))
    return replace(first, keys=named, signing_roots=roots)


def _rotations(world: World) -> None:
    """Every key of Chongqing, and a log in its second epoch."""
    core = world.nodes["cq"].core
    for number in range(20):
        world.submit("cq", credit(number), f"first-{number}")
        world.submit("sc", credit(100 + number, "sc"), f"first-{number}")
    world.wait(world.settled, 60)
    for key in ("log", "mirror", "witness", "signing", "signing-sm2"):
        rotate(world, key)
    lane = Lane.LANE_TELEMETRY
    world.submit("cq", batch_of("50010700001"), "m-1")
    world.wait(world.settled, 60)
    core.lanes.stop("sc", lane, "FORK", (), now())
    world.nodes["sc"].core.lanes.retire("cq", lane, "operator", "retired", mirror=True)
    core.lanes.retire("sc", lane, "operator", "retired", mirror=False)
    world.wait(world.settled, 60)
    world.submit("cq", batch_of("50010700002"), "m-2")
    request = SubmitDocumentRequest(
        idempotency_key="d-1", file_name=SAMPLE.name, content=SAMPLE.read_bytes(), purpose="联合惩戒"
    )
    DocumentFlow(core.node, core.submit, side="cq").submit("agency", request, now())
    root = another_root()
    announce(world, announced_root(root))
    decide(world)
    announce(world, announced_root(root, state=KeyState.KEY_STATE_ACTIVE), ended())
    world.wait(world.settled, 60)


def _succession(world: World, made: Rotated) -> None:
    """Sichuan's signing key is gone: the next one comes out of turn, and Chongqing's officer confirms it."""
    node, trust = world.nodes["sc"].node, world.nodes["cq"].core.trust
    identity = Identity(node="sc", domain=FEDERATION, role=Role.NODE, name="sc")
    issued = issue_signing(profile(), keyring("sc").root, identity=identity, organisation="演示", now=now())
    node.keys.signers = (read_signer(issued.bundle),)
    record = node_record(node, now())
    (signer,) = node.keys.signers
    key = record.key_announcement.keys.add(use=KeyUse.KEY_USE_SIGNING, key_id=signer.keyid, chain=signer.chain)
    key.state = KeyState.KEY_STATE_ACTIVE
    key.valid_from.FromDatetime(now())
    node.writer.call(_append, (lane_origin("sc", "cq"), seal(node, record, ["cq"], now()).entry))
    world.wait(trust.pending)
    (pending,) = trust.pending()
    world.submit("sc", credit(120, "sc"), "meanwhile")
    _export(world, "sc", made.unheard)
    trust.confirm(pending.id, pending.fingerprint, "read aloud", OFFICER, now(), refuse=False)
    world.submit("sc", credit(121, "sc"), "since")
    world.wait(world.settled, 60)


def _loss(world: World, made: Rotated) -> Rotated:
    """A signing key is lost, which is seen some records later."""
    core = world.nodes["cq"].core
    lost = core.node.keys.signers[0].keyid
    since = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    world.wait(lambda: datetime.now(UTC) > since + timedelta(milliseconds=50))
    stated = [world.submit("cq", credit(200 + number), f"late-{number}").record_id for number in range(5)]
    stated.append(world.submit("cq", credit(210), "kept", local_only=True).record_id)
    world.wait(world.settled, 60)
    until_active(world, "signing")
    flow = CompromiseFlow(core.node)
    flow.revoke(lost, since, "a copy of the file was found", OFFICER, now())
    world.wait(world.settled, 60)
    _export(world, "cq", made.unconfirmed)
    flow.confirm(lost, since, (), "compared with the files", OFFICER, now())
    world.submit("cq", credit(300), "last")
    return replace(made, lost=lost, since=since, stated=tuple(stated))


def _theft(world: World, lost: tuple[Signer, ...]) -> None:
    """Whoever has the lost key appends a record, when everybody knows of its end."""
    node = world.nodes["cq"].node
    honest = node.keys.signers
    try:
        node.keys.signers = lost
        record = credit(400)
        record.header.record_id, record.header.revision = str(new_id(now())), 1
        entry = seal(node, record, ["sc"], now()).entry
    finally:
        node.keys.signers = honest
    node.writer.call(_append, (lane_origin("cq", "sc"), entry))
    world.wait(world.settled, 60)
