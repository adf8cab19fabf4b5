"""Drivers of the ML-DSA-44 keys that cosign beside mirror and witness.

They rotate as the Ed25519 keys do, each by itself: during the overlap a note carries a line by the old and one by the
new key, beside those by Ed25519. A line by a key that a peer does not know is passed over, so nothing waits for it; the
old key ends all the same only when every peer relies on the new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.crypto.keys import KeyUnreadable, MlDsaKey, encode_ml_dsa, generate_ml_dsa, load_ml_dsa
from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node, Peer
from exchange.flows.rotation.driver import MIRROR_ML_DSA, WITNESS_ML_DSA
from exchange.flows.rotation.ed25519_keys import NoteKeyDriver, fingerprint_of
from exchange.storage.files.key_folder import KeyFiles
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, KeyLine
from exchange.v1.key_announcement_pb2 import KeyUse


class SecondCosignerDriver(NoteKeyDriver):
    """One ML-DSA-44 key in one PEM file for each generation.

    Args:
        node: The node, whose mirror or witness has its Ed25519 keys.
        files: The key's files.
        use: MIRROR or WITNESS.
        name: Key name, the same as that of the Ed25519 key.
    """

    def __init__(self, node: Node, files: KeyFiles, use: KeyUse.ValueType, name: str) -> None:
        self.use, self._name = use, name
        self.key = MIRROR_ML_DSA if use == KeyUse.KEY_USE_MIRROR else WITNESS_ML_DSA
        super().__init__(node, files)

    def _alg(self) -> int:
        return COSIGNATURE_ML_DSA_44

    def _make(self, material: bytes) -> bytes:
        if not material:
            return encode_ml_dsa(generate_ml_dsa())
        try:
            return encode_ml_dsa(load_ml_dsa(self._generations.files.lock.open(material, "material")))
        except KeyUnreadable as error:
            raise Refused([Problem(error.reason, "material", str(error))]) from None

    def _use(self) -> None:
        found = [self._private(self._name, life.generation) for life in self._generations.in_use()]
        seconds = [each for each in found if each is not None]
        if len(seconds) != len(found):
            raise KeyUnreadable(f"a key in use has no file beside {self._generations.files.first.name}")
        keys = self._node.keys
        if self.use == KeyUse.KEY_USE_MIRROR:
            keys.mirror = keys.mirror.with_seconds(seconds)
        else:
            keys.witness = keys.witness.with_seconds(seconds)

    def _private(self, _name: str, generation: int) -> MlDsaKey | None:
        content = self._generations.files.read(generation)
        return load_ml_dsa(content) if content is not None else None

    def _names(self, _peer: str) -> Sequence[str]:
        return (self._name,)

    def _fingerprint(self, generation: int) -> str:
        return fingerprint_of(self.verifier(self._name, generation))

    def _lines(self, peer: Peer) -> Sequence[KeyLine]:
        return (peer.second_mirror if self.use == KeyUse.KEY_USE_MIRROR else peer.second_witness,)
