"""Driver of the region's signing key: an X.509 certificate under a root that the peers' cards of us name.

Activating is a change of hands: from the announcement on the new key signs, and the old one signs no more. Nothing
that is on its way breaks, because what the old key signed is judged by the time at which it was logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from exchange.crypto.dsse import ES256, SM2, Signer, make_envelope
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust
from exchange.crypto.keys import KeyUnreadable, encode_private, generate_p256
from exchange.crypto.signers.token import TokenUnavailable
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.crypto.trusted.possession import possession_message
from exchange.crypto.x509.certificates import (
    CertificateUnreadable,
    facts_of,
    load_chain,
    load_der,
    spki_hash,
    to_pem,
)
from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node
from exchange.flows.rotation import generations as shared
from exchange.flows.rotation.driver import SIGNING, SIGNING_SM2, MadeKey
from exchange.flows.rotation.generations import Generations
from exchange.flows.rotation.signing_files import HeldKey, SigningFiles
from exchange.storage.files.key_folder import KeyLife
from exchange.storage.registers import registers
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyConfirmation, KeyCount, KeyStatus, Rotation, RotationStep, Waiting

REQUEST: Final = ".request.pem"


class SigningDriver:
    """See ``driver.KeyDriver`` for what each method owes.

    Args:
        node: The node.
        store: The key's files, and what opens them.
        place: Which of the node's signers it is. The first one is named ``signing``; another one after its algorithm.
        roots: Gives our own signing roots in PEM: what our cards tell the peers.
    """

    def __init__(self, node: Node, store: SigningFiles, place: int, roots: Callable[[], bytes]) -> None:
        self._place = place
        self._algorithm = node.keys.signers[place].algorithm
        self.key = SIGNING if place == 0 else f"{SIGNING}-{self._algorithm.lower()}"
        self._node = node
        self._store = store
        self._generations = Generations(store.files)
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
        """Make the key and the request for its certificate; or take what was made elsewhere, in a token perhaps."""
        files = self._store.files
        try:
            brought = self._store.material(material) if material else self._fresh()
            if brought.algorithm != self._algorithm:
                raise KeyUnreadable(f"{brought.algorithm} where {self._algorithm} signs")  # noqa: TRY301
            made = self._checked(brought, now) if brought.chain else None
            name = f"{self._node.name}.{self._node.federation}"
            if brought.token and not brought.chain:
                self._store.request(brought, name)  # the token holds it: known before a file says so
            held = HeldKey.parse(files.make(rotation.generation, brought.to_bytes()))
            if held.chain:
                # The same, unless the certificate came before a crash.
                return made if made is not None and held == brought else self._checked(held, now)
            files.write(files.beside(rotation.generation, REQUEST), self._store.request(held, name))
            return MadeKey(fingerprint=self._store.public_hash(held), complete=False)
        except (CertificateUnreadable, KeyUnreadable, TokenUnavailable) as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None

    def _fresh(self) -> HeldKey:
        """A new private key, for a file."""
        sm2 = self._algorithm == SM2
        return HeldKey(key=SM2PrivateKey.generate().to_pem() if sm2 else encode_private(generate_p256()))

    def certificate_request(self, rotation: Rotation) -> bytes:
        """The request, while the certificate is missing."""
        path = self._store.files.beside(rotation.generation, REQUEST)
        held = self._store.held(rotation.generation)
        return path.read_bytes() if held is not None and not held.chain and path.exists() else b""

    def install(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Put the certificate beside its key."""
        files = self._store.files
        held = self._store.held(rotation.generation)
        if held is None:
            raise Refused([Problem("FILE_MISSING", files.path(rotation.generation).name)])
        try:
            chain = b"".join(map(to_pem, load_chain(material))) if material else held.chain
            made = self._checked(held.with_chain(chain), now)
        except (CertificateUnreadable, KeyUnreadable, TokenUnavailable) as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None
        files.write(files.path(rotation.generation), held.with_chain(chain).to_bytes())
        return made

    def _checked(self, held: HeldKey, now: datetime) -> MadeKey:
        """The certificate is that of the key, signs for this node, and leads to our own roots now.

        Raises:
            Refused: It is not, or the key is in use already.
            KeyUnreadable: See ``SigningFiles.open``; so for the others.
        """
        leaf = load_chain(held.chain)[0]
        if not held.token and spki_hash(leaf) != self._store.public_hash(held):
            raise Refused([Problem("CERTIFICATE_OF_ANOTHER_KEY", "material")])
        signer = self._store.open(held)
        if signer.keyid in {each.keyid for each in self._node.keys.signers}:
            raise Refused([Problem("KEY_SHARED", "material", signer.keyid)])
        trust = SigningTrust.build(
            node=self._node.name,
            domain=self._node.federation,
            roots=self._roots(),
            require=(self._algorithm,),
        )
        probe = make_envelope(b"", [signer])
        verdict = trust.with_chains([SigningChain(certificates=signer.chain)]).verify(probe.SerializeToString(), now)
        if verdict.verified is None:
            raise Refused([Problem("UNTRUSTED_SIGNATURE", "material", verdict.detail)])
        facts = facts_of(leaf)
        return MadeKey(fingerprint=signer.keyid, not_before=facts.not_before, not_after=facts.not_after)

    def _signer(self, generation: int) -> Signer | None:
        return self._store.signer(generation)

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
        leaf = self._store.leaf(life.generation)
        until = facts_of(leaf).not_after if leaf is not None else None
        fingerprint = spki_hash(leaf) if leaf is not None else ""
        return shared.status(self._node, self.key, life, fingerprint, until=until, of=self._algorithm)


def _of_peer(name: str, key: AnnouncedKey) -> KeyStatus:
    facts = facts_of(load_der(key.chain[0])) if key.chain else None
    sm2 = facts is not None and facts.key == SM2
    found = KeyStatus(
        owner=name,
        key=SIGNING_SM2 if sm2 else SIGNING,
        of=SM2 if sm2 else ES256,
        state=key.state,
        fingerprint=key.key_id,
    )
    found.valid_from.CopyFrom(key.valid_from)
    if key.HasField("valid_until"):
        found.valid_until.CopyFrom(key.valid_until)
    elif facts is not None:
        found.valid_until.FromDatetime(facts.not_after)
    return found
