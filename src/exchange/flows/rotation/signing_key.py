"""Driver of the region's signing key: an X.509 certificate under a root that the peers' cards of us name.

Activating is a change of hands: from the announcement on the new key signs, and the old one signs no more. Nothing
that is on its way breaks, because what the old key signed is judged by the time at which it was logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from exchange.crypto.certificates import (
    CertificateUnreadable,
    facts_of,
    load_chain,
    load_der,
    public_hash,
    spki_hash,
    to_pem,
)
from exchange.crypto.dsse import SM2, Signer, make_envelope
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust
from exchange.crypto.keys import KeyFile, KeyUnreadable, encode_private, generate_p256
from exchange.crypto.pki_request import make_request
from exchange.crypto.possession import possession_message
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node
from exchange.flows.rotation import generations as shared
from exchange.flows.rotation.driver import SIGNING, MadeKey
from exchange.flows.rotation.generations import Generations
from exchange.storage import registers
from exchange.storage.key_folder import KeyFiles, KeyLife
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyConfirmation, KeyCount, KeyStatus, Rotation, RotationStep, Waiting

REQUEST: Final = ".request.pem"


class SigningDriver:
    """See ``driver.KeyDriver`` for what each method owes.

    Args:
        node: The node.
        files: The key's files.
        place: Which of the node's signers it is. The first one is named ``signing``; another one after its algorithm.
        roots: Gives our own signing roots in PEM: what our cards tell the peers.
    """

    def __init__(self, node: Node, files: KeyFiles, place: int, roots: Callable[[], bytes]) -> None:
        self._place = place
        self._algorithm = node.keys.signers[place].algorithm
        self.key = SIGNING if place == 0 else f"{SIGNING}-{self._algorithm.lower()}"
        self._node = node
        self._generations = Generations(files)
        self._roots = roots
        self._use()

    # -- files -----------------------------------------------------------------------------------------------

    @property
    def _signs(self) -> Signer:
        return self._node.keys.signers[self._place]

    def fingerprint(self) -> str:
        """Of the key in use."""
        return self._signs.keyid

    def next_generation(self) -> int:
        """Beyond every file."""
        return self._generations.following()

    def request(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Make the key and the request for its certificate; or take both as they were made elsewhere."""
        files = self._generations.files
        if material:
            try:
                brought = KeyFile.parse(files.lock.open(material, "material"))
            except KeyUnreadable as error:
                raise Refused([Problem(error.reason, "material", str(error))]) from None
            if brought.chain:
                made = self._checked(brought, brought.chain, now)
                files.make(rotation.generation, brought.to_pem())
                return made
            content = files.make(rotation.generation, brought.key)
        else:
            sm2 = self._algorithm == SM2
            fresh = SM2PrivateKey.generate().to_pem() if sm2 else encode_private(generate_p256())
            content = files.make(rotation.generation, fresh)
        held = KeyFile.parse(content)
        if held.chain:
            return self._checked(held, held.chain, now)  # the certificate came before a crash
        name = f"{self._node.name}.{self._node.federation}"
        files.write(files.beside(rotation.generation, REQUEST), make_request(held.key, name))
        return MadeKey(fingerprint=_public_hash(held), complete=False)

    def certificate_request(self, rotation: Rotation) -> bytes:
        """The request, while the certificate is missing."""
        files = self._generations.files
        content = files.read(rotation.generation)
        path = files.beside(rotation.generation, REQUEST)
        return path.read_bytes() if content and not KeyFile.parse(content).chain and path.exists() else b""

    def install(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Put the certificate beside its key."""
        files = self._generations.files
        content = files.read(rotation.generation)
        if content is None:
            raise Refused([Problem("FILE_MISSING", files.path(rotation.generation).name)])
        held = KeyFile.parse(content)
        chain = material or held.chain
        made = self._checked(held, chain, now)
        files.write(files.path(rotation.generation), held.key + b"".join(map(to_pem, load_chain(chain))))
        return made

    def _checked(self, file: KeyFile, chain: bytes, now: datetime) -> MadeKey:
        """The certificate is that of the key, signs for this node, and leads to our own roots now."""
        try:
            certificates = load_chain(chain)
            leaf = facts_of(certificates[0])
            if spki_hash(certificates[0]) != _public_hash(file):
                raise Refused([Problem("CERTIFICATE_OF_ANOTHER_KEY", "material")])
            signer = read_signer(file.key + b"".join(map(to_pem, certificates)))
            trust = SigningTrust.build(
                node=self._node.name,
                domain=self._node.federation,
                roots=self._roots(),
                require=(self._algorithm,),
            )
        except (CertificateUnreadable, KeyUnreadable) as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None
        if signer.algorithm != self._algorithm:
            raise Refused([Problem("KEY_UNREADABLE", "material", f"{signer.algorithm} where {self._algorithm} signs")])
        probe = make_envelope(b"", [signer])
        verdict = trust.with_chains([SigningChain(certificates=signer.chain)]).verify(probe.SerializeToString(), now)
        if verdict.verified is None:
            raise Refused([Problem("UNTRUSTED_SIGNATURE", "material", verdict.detail)])
        return MadeKey(fingerprint=signer.keyid, not_before=leaf.not_before, not_after=leaf.not_after)

    def _signer(self, generation: int) -> Signer | None:
        content = self._generations.files.read(generation)
        try:
            return read_signer(content) if content is not None else None
        except (KeyUnreadable, CertificateUnreadable):
            return None

    def _use(self) -> None:
        newest = self._generations.in_use()[0]
        signer = self._signer(newest.generation)
        if signer is None:
            raise KeyUnreadable(f"{self._generations.files.path(newest.generation).name} holds no key and certificate")
        signers = list(self._node.keys.signers)
        signers[self._place] = signer
        self._node.keys.signers = tuple(signers)

    # -- partners --------------------------------------------------------------------------------------------

    def records(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Mapping[str, Record]:
        """The announcement of a step."""
        return shared.announcement(self._node, self, self._generations, rotation, step, now)

    def announced(self, _peer: str, generation: int) -> Sequence[AnnouncedKey]:
        """The chain of a generation; a later one with its proof, named by the key in use."""
        signer = self._signer(generation)
        if signer is None:
            return ()
        key = AnnouncedKey(use=KeyUse.KEY_USE_SIGNING, key_id=signer.keyid, chain=signer.chain)
        older = [life for life in self._generations.in_use() if life.generation < generation]
        before = self._signer(older[0].generation) if older else None
        if before is not None:
            key.replaces = before.keyid
            key.possession = signer.sign(possession_message(self._node.federation, self._node.name, key))
        return (key,)

    def confirmations(self, rotation: Rotation) -> Sequence[KeyConfirmation]:
        """What each peer says of the new key."""
        return shared.confirmations(self._node, self, rotation)

    def waits(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Sequence[Waiting]:
        """Before the new key signs: peers that do not know it. Before a return to the old one: its certificate."""
        if step == RotationStep.ROTATION_STEP_ACTIVATE:
            return shared.unconfirmed(self._node, self.confirmations(rotation))
        if step == RotationStep.ROTATION_STEP_ABORT and rotation.new_state == KeyState.KEY_STATE_ACTIVE:
            older = [life for life in self._generations.in_use() if life.generation < rotation.generation]
            signer = self._signer(older[0].generation) if older else None
            if signer is None or facts_of(load_der(signer.chain[0])).not_after <= now:
                return [Waiting(reason="CERTIFICATE_EXPIRED", detail=rotation.old_fingerprint)]
        return []

    def rehearse(self, rotation: Rotation | None, now: datetime) -> Sequence[Waiting]:
        """Without a next key nothing could be signed; with one, whoever does not know it."""
        if rotation is None or not rotation.new_state:
            end = facts_of(load_der(self._signs.chain[0])).not_after
            return [Waiting(reason="KEY_HAS_NO_SUCCESSOR", detail=f"{end:%Y-%m-%d}, {(end - now).days} d")]
        return shared.unconfirmed(self._node, self.confirmations(rotation))

    def counts(self, _rotation: Rotation) -> Sequence[KeyCount]:
        """None."""
        return shared.counted()

    def follow(self, rotation: Rotation) -> None:
        """Sign by what the rotation says."""
        self._generations.follow(rotation)
        self._use()

    def statuses(self, _now: datetime) -> Sequence[KeyStatus]:
        """Ours, every generation; then what each peer announced."""
        found = [self._status(life) for life in self._generations.all()]
        for name in self._node.peers.names():
            with self._node.database.read() as connection:
                rows = registers.keys_announced_by(connection, name)
            for row in rows.values():
                key = AnnouncedKey.FromString(row["announced"])
                if key.use == KeyUse.KEY_USE_SIGNING and self._place == 0:
                    found.append(_of_peer(name, key))
        return found

    def _status(self, life: KeyLife) -> KeyStatus:
        signer = self._signer(life.generation)
        until = facts_of(load_der(signer.chain[0])).not_after if signer is not None else None
        return shared.status(
            self._node, self.key, life, signer.keyid if signer is not None else "", until=until, of=self._algorithm
        )


def _public_hash(file: KeyFile) -> str:
    return public_hash(SM2PrivateKey.from_pem(file.key).public_key() if file.is_sm2 else file.load().public_key())


def _of_peer(name: str, key: AnnouncedKey) -> KeyStatus:
    found = KeyStatus(owner=name, key=SIGNING, state=key.state, fingerprint=key.key_id)
    found.valid_from.CopyFrom(key.valid_from)
    if key.HasField("valid_until"):
        found.valid_until.CopyFrom(key.valid_until)
    elif key.chain:
        end = facts_of(load_der(key.chain[0])).not_after
        found.valid_until.FromDatetime(end)
    return found
