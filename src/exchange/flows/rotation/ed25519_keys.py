"""Drivers of the Ed25519 keys: mirror, witness, and the seed from which every log has its own.

``second_keys`` has those of the ML-DSA-44 keys beside mirror and witness.

During the overlap both keys sign: a checkpoint or cosignature carries two lines, and whoever knows either of them is
served. So activating breaks nothing; retiring waits until every peer relies on the new key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import (
    Ed25519Key,
    KeyUnreadable,
    MlDsaKey,
    derive_log_key,
    encode_private,
    encode_seed,
    generate_ed25519,
    generate_seed,
    load_ed25519,
    load_seed,
)
from exchange.crypto.trusted.possession import USES, id_of, possession_message, prove
from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node, Peer
from exchange.flows.rotation import generations as shared
from exchange.flows.rotation.driver import LOG, MadeKey
from exchange.flows.rotation.generations import Generations
from exchange.storage.engine.transaction import LogHead
from exchange.storage.files.key_folder import KeyFiles, KeyLife
from exchange.storage.logs import log_store
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.note import COSIGNATURE_V1, ED25519, KeyLine, VerifierKey
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyConfirmation, KeyCount, KeyStatus, Rotation, RotationStep, Waiting


class NoteKeyDriver(ABC):
    """What all keys that sign notes share. See ``driver.KeyDriver`` for what each method owes."""

    key: str
    use: KeyUse.ValueType

    def __init__(self, node: Node, files: KeyFiles) -> None:
        self._node = node
        self._generations = Generations(files)
        self._seeds: dict[int, bytes] = {}
        self._use()

    # -- of one kind -----------------------------------------------------------------------------------------

    @abstractmethod
    def _make(self, material: bytes) -> bytes:
        """A new private key as its file holds it, or the one that was brought."""

    @abstractmethod
    def _use(self) -> None:
        """Sign by the generations in use."""

    @abstractmethod
    def _private(self, name: str, generation: int) -> Ed25519Key | MlDsaKey | None:
        """The private key of a generation under a name; None when its file is gone."""

    @abstractmethod
    def _names(self, peer: str) -> Sequence[str]:
        """Key names that a peer relies on."""

    @abstractmethod
    def _fingerprint(self, generation: int) -> str:
        """What officers compare of a generation."""

    def _alg(self) -> int:
        return ED25519 if self.use == KeyUse.KEY_USE_LOG else COSIGNATURE_V1

    # -- shared ----------------------------------------------------------------------------------------------

    def verifier(self, name: str, generation: int) -> VerifierKey | None:
        """The public key of a generation under a name."""
        private = self._private(name, generation)
        if private is None:
            return None
        return VerifierKey.of(name, self._alg(), private.public_key().public_bytes_raw())

    def ended(self, name: str) -> list[tuple[VerifierKey, int]]:
        """The keys of a name that sign no more, with the unix time of their end."""
        found = [(self.verifier(name, life.generation), life) for life in self._generations.ended()]
        return [(key, -(-life.valid_until // 1_000_000)) for key, life in found if key is not None]

    def fingerprint(self) -> str:
        """Of the newest key in use."""
        return self._fingerprint(self._generations.in_use()[0].generation)

    def next_generation(self) -> int:
        """Beyond every file."""
        return self._generations.following()

    def request(self, rotation: Rotation, material: bytes, _now: datetime) -> MadeKey:
        """Make the key, or find the one that was made before a crash."""
        self._generations.files.make(rotation.generation, self._make(material))
        return MadeKey(fingerprint=self._fingerprint(rotation.generation))

    def certificate_request(self, _rotation: Rotation) -> bytes:
        """None: these keys have no certificates."""
        return b""

    def install(self, rotation: Rotation, _material: bytes, _now: datetime) -> MadeKey:
        """Nothing is missing."""
        return MadeKey(fingerprint=self._fingerprint(rotation.generation))

    def records(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Mapping[str, Record]:
        """The announcement of a step."""
        return shared.announcement(self._node, self, self._generations, rotation, step, now)

    def announced(self, peer: str, generation: int) -> Sequence[AnnouncedKey]:
        """The keys of a generation that a peer relies on; a later one with its proofs."""
        older = [life for life in self._generations.in_use() if life.generation < generation]
        found = []
        for name in self._names(peer):
            private, verifier = self._private(name, generation), self.verifier(name, generation)
            if private is None or verifier is None:
                continue
            key = AnnouncedKey(use=self.use, key_id=id_of(verifier), vkey=str(verifier))
            before = self._private(name, older[0].generation) if older else None
            old = self.verifier(name, older[0].generation) if older else None
            if before is not None and old is not None:
                key.replaces = id_of(old)
                message = possession_message(self._node.federation, self._node.name, key)
                key.possession, key.endorsement = prove(private, message), prove(before, message)
            found.append(key)
        return found

    def confirmations(self, rotation: Rotation) -> Sequence[KeyConfirmation]:
        """What each peer says of the new key."""
        return shared.confirmations(self._node, self, rotation)

    def waits(self, rotation: Rotation, step: RotationStep.ValueType, _now: datetime) -> Sequence[Waiting]:
        """Peers that do not rely on the new key; before the old one ends, a checkpoint by the new one."""
        if step == RotationStep.ROTATION_STEP_ACTIVATE:
            return shared.unconfirmed(self._node, self.confirmations(rotation))
        if step == RotationStep.ROTATION_STEP_RETIRE:
            return [
                *shared.unconfirmed(self._node, self.confirmations(rotation)),
                *self._without_fresh_checkpoint(rotation),
            ]
        return []

    def _without_fresh_checkpoint(self, _rotation: Rotation) -> list[Waiting]:
        return []

    def rehearse(self, rotation: Rotation | None, _now: datetime) -> Sequence[Waiting]:
        """Without a next key nobody can verify what comes; with one, whoever does not rely on it."""
        if rotation is None or not rotation.new_state:
            desks = {name: self._node.peers.get(name) for name in self._node.peers.names()}
            return [
                Waiting(reason="KEY_HAS_NO_SUCCESSOR", who=name, duty_desk=peer.duty_desk if peer else "")
                for name, peer in desks.items()
            ]
        return self.waits(rotation, RotationStep.ROTATION_STEP_RETIRE, _now)

    def counts(self, _rotation: Rotation) -> Sequence[KeyCount]:
        """None."""
        return shared.counted()

    def follow(self, rotation: Rotation) -> None:
        """Sign by what the rotation says."""
        self._generations.follow(rotation)
        self._use()

    def statuses(self, _now: datetime) -> Sequence[KeyStatus]:
        """Ours, every generation; then each peer's."""
        found = [self._status(life) for life in self._generations.all()]
        for name in self._node.peers.names():
            peer = self._node.peers.get(name)
            for line in self._lines(peer) if peer is not None else ():
                found += [_of_peer(name, self.key, key, None) for key in line.active]
                found += [_of_peer(name, self.key, key, end) for key, end in line.ended]
        return found

    def _status(self, life: KeyLife) -> KeyStatus:
        return shared.status(self._node, self.key, life, self._fingerprint(life.generation))

    def _lines(self, peer: Peer) -> Sequence[KeyLine]:
        """The keys of this use by which a peer speaks."""
        if self.use == KeyUse.KEY_USE_LOG:
            return [line for _, line in sorted(peer.logs.items())]
        return (peer.mirror if self.use == KeyUse.KEY_USE_MIRROR else peer.witness,)


def _of_peer(name: str, key: str, verifier: VerifierKey, end: int | None) -> KeyStatus:
    state = KeyState.KEY_STATE_ACTIVE if end is None else KeyState.KEY_STATE_RETIRED
    found = KeyStatus(
        owner=name, key=key, of=verifier.name, state=state, fingerprint=id_of(verifier), vkey=str(verifier)
    )
    if end is not None:
        found.valid_until.seconds = end
    return found


class CosignerDriver(NoteKeyDriver):
    """The mirror or the witness key: one key in one PEM file for each generation.

    Args:
        node: The node.
        files: The key's files.
        use: MIRROR or WITNESS.
        name: Key name.
    """

    def __init__(self, node: Node, files: KeyFiles, use: KeyUse.ValueType, name: str) -> None:
        self.use, self.key, self._name = use, USES[use], name
        super().__init__(node, files)

    def _make(self, material: bytes) -> bytes:
        if not material:
            return encode_private(generate_ed25519())
        try:
            return encode_private(load_ed25519(self._generations.files.lock.open(material, "material")))
        except KeyUnreadable as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None

    def _use(self) -> None:
        first, *older = [self._private(self._name, life.generation) for life in self._generations.in_use()]
        if first is None or None in older:
            raise KeyUnreadable(f"a key in use has no file beside {self._generations.files.first.name}")
        used = self._node.keys.mirror if self.use == KeyUse.KEY_USE_MIRROR else self._node.keys.witness
        known = [each for each in older if each is not None]
        signer = Cosigner(self._name, first, known, self.ended(self._name), seconds=used.seconds)
        if self.use == KeyUse.KEY_USE_MIRROR:
            self._node.keys.mirror = signer
        else:
            self._node.keys.witness = signer

    def _private(self, _name: str, generation: int) -> Ed25519Key | None:
        content = self._generations.files.read(generation)
        return load_ed25519(content) if content is not None else None

    def _names(self, _peer: str) -> Sequence[str]:
        return (self._name,)

    def _fingerprint(self, generation: int) -> str:
        return fingerprint_of(self.verifier(self._name, generation))


class LogDriver(NoteKeyDriver):
    """The log seed: each generation is a seed of its own, and each log's key follows from it and the generation.

    The first seed also makes the tags by which submissions are found again; it stays where it is.
    """

    key = LOG
    use = KeyUse.KEY_USE_LOG

    def _make(self, material: bytes) -> bytes:
        if not material:
            return encode_seed(generate_seed())
        try:
            return encode_seed(load_seed(self._generations.files.lock.open(material, "material")))
        except KeyUnreadable as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None

    def _use(self) -> None:
        self._seeds = {
            life.generation: load_seed(content)
            for life in self._generations.all()
            if (content := self._generations.files.read(life.generation)) is not None
        }
        used = [life.generation for life in self._generations.in_use()]
        if not set(used) <= self._seeds.keys():
            raise KeyUnreadable(f"a seed in use has no file beside {self._generations.files.first.name}")
        signers: dict[str, NoteSigner] = {}
        seeds = self._seeds

        def log_signer(origin: str) -> NoteSigner:
            if origin not in signers:
                first, *older = [derive_log_key(seeds[number], origin, number) for number in used]
                signers[origin] = NoteSigner(origin, first, older, self.ended(origin))
            return signers[origin]

        following = [life.generation for life in self._generations.all() if life.state == "NEXT"]

        def next_log_keys(origin: str) -> list[VerifierKey]:
            found = [self.verifier(origin, number) for number in following]
            return [each for each in found if each is not None]

        self._node.keys.log_signer = log_signer
        self._node.keys.next_log_keys = next_log_keys

    def _private(self, name: str, generation: int) -> Ed25519Key | None:
        seed = self._seeds.get(generation)
        if seed is None:
            content = self._generations.files.read(generation)
            seed = load_seed(content) if content is not None else None
        return derive_log_key(seed, name, generation) if seed is not None else None

    def _names(self, peer: str) -> Sequence[str]:
        return [log.origin for log in self._logs() if log.peer in ("", peer)]

    def _logs(self) -> list[LogHead]:
        with self._node.database.read() as connection:
            heads = log_store.heads(connection)
        return [log for log in heads if log.use in ("outbound", "journal", "local") and not log.retired]

    def _fingerprint(self, generation: int) -> str:
        """Of a key that signs for no log: the generation's logs come and go, and this stays."""
        return fingerprint_of(self.verifier(f"{self._node.name}.{self._node.federation}/log", generation))

    def _without_fresh_checkpoint(self, rotation: Rotation) -> list[Waiting]:
        """Logs of which no checkpoint by the new key came home cosigned: one covers everything before it."""
        found = []
        for log in self._logs():
            key = self.verifier(log.origin, rotation.generation)
            peers = (log.peer,) if log.peer else self._node.peers.names()
            for name in peers if log.size and key is not None else ():
                peer = self._node.peers.get(name)
                cosigner = (peer.mirror if log.peer else peer.witness).name if peer is not None else ""
                with self._node.database.read() as connection:
                    newest = log_store.last_checkpoint(connection, log.id, cosigner)
                if newest is None or key is None or not parse_note(newest.note)[0].by(key):
                    desk = peer.duty_desk if peer else ""
                    found.append(Waiting(reason="KEY_NO_FRESH_CHECKPOINT", who=name, duty_desk=desk, detail=log.origin))
        return found


def fingerprint_of(verifier: VerifierKey | None) -> str:
    """As ``possession.group_fingerprint`` of one key: what the officers compare."""
    return sha256(f"{verifier}\n".encode()).hexdigest() if verifier is not None else ""
