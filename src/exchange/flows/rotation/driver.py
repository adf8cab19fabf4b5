"""What one kind of key knows of its own rotation. The steps, their order and the journal are the flow's.

How a step is carried out, and what a driver owes for it:

  1 The flow looks whether the step may follow, and asks ``waits`` whom it waits for. A driver answers from what is
    known now, and blocks on nothing.
  2 The flow asks ``request`` or ``install`` to put files in place. Whatever they write is named by the rotation's
    generation, is on disk when they return, and is found again: a crash may let the same call come a second time
    with the same rotation, and it must then give the same key.
  3 The flow asks ``records`` what partners are told in the logs, and ``counts`` what was seen by key.
  4 ONE transaction: the journal's line, the register's row, and those records in every lane. Before it nothing
    happened; behind it the step is done, whatever crashes.
  5 The flow calls ``follow`` with the rotation as it now stands. It is called again for every rotation at each start
    of the process, in order of number, before anything is signed or served. So ``follow`` brings the process to what
    the register says, from any state, as often as it is called; it is the only place where a driver changes what the
    running process uses.

A driver keeps no state that 5 could not make again. It must not sign, serve or trust by a key before the register
says so: NEXT is announced and not used; ACTIVE (both fingerprints) is the overlap; only RETIRED ends the old one.
``abort`` has no method of its own: ``follow`` sees state ABORTED and takes the old key up again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyConfirmation, KeyCount, KeyStatus, Rotation, RotationStep, Waiting

SIGNING: Final = "signing"
LOG: Final = "log"
MIRROR: Final = "mirror"
WITNESS: Final = "witness"
SIGNING_SM2: Final = "signing-sm2"
MIRROR_ML_DSA: Final = "mirror-mldsa"
WITNESS_ML_DSA: Final = "witness-mldsa"
TLS_SERVER: Final = "tls-server"
TLS_CLIENT: Final = "tls-client"
TLS_CA: Final = "tls-ca"

KEYS: Final = (
    TLS_SERVER,
    TLS_CLIENT,
    TLS_CA,
    SIGNING,
    SIGNING_SM2,
    LOG,
    MIRROR,
    MIRROR_ML_DSA,
    WITNESS,
    WITNESS_ML_DSA,
)
"""Names of keys, in the order in which status shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """What ``request`` and ``install`` put in place.

    Attributes:
        fingerprint: Hex SHA-256 by which officers and the journal name the key. May change from request to install
            where the certificate counts (TLS), and not where the public key does.
        not_before: First instant of the certificate; None without one.
        not_after: Last instant.
        complete: False while a certificate is missing: the rotation then stands at REQUESTED.
    """

    fingerprint: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    complete: bool = True


class KeyDriver(Protocol):
    """One kind of key. Every method is called on a thread, never on the event loop."""

    @property
    def key(self) -> str:
        """Its name, one of ``KEYS``."""
        ...

    def statuses(self, now: datetime) -> Sequence[KeyStatus]:
        """Every key of this kind that counts now: ours first, then the peers' where they have any."""
        ...

    def fingerprint(self) -> str:
        """Of the key in use."""
        ...

    def next_generation(self) -> int:
        """A generation that no file on disk has: keys outlive a restored database."""
        ...

    def request(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Make the new private key, or take the one that was made elsewhere.

        Args:
            rotation: As it stands, STARTED.
            material: PEM with key and perhaps certificate; empty when the node makes the key.
            now: Time of the step.

        Raises:
            Refused: The material does not fit this kind of key.
        """
        ...

    def certificate_request(self, rotation: Rotation) -> bytes:
        """PKCS#10 in PEM for the region's authority while the certificate is missing; else empty."""
        ...

    def install(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Take the certificate that the authority issued for the new key.

        Raises:
            Refused: It is not for that key, not valid for its use, or leads to no root that the partners know.
        """
        ...

    def records(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Mapping[str, Record]:
        """KeyAnnouncements for a step, by peer; empty for kinds that no log announces.

        The flow puts each into every lane towards that peer, signed by the signing key in use.

        Args:
            rotation: As it stands before the step.
            step: ANNOUNCE, ACTIVATE, RETIRE or ABORT.
            now: Time of the step.
        """
        ...

    def confirmations(self, rotation: Rotation) -> Sequence[KeyConfirmation]:
        """What each of those who rely on the key says of the new one."""
        ...

    def waits(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Sequence[Waiting]:
        """Who or what a step waits for; empty when it may be taken. What is named here can be forced."""
        ...

    def rehearse(self, rotation: Rotation | None, now: datetime) -> Sequence[Waiting]:
        """What would break if the old key ended now: who still uses or expects it, what expires when."""
        ...

    def counts(self, rotation: Rotation) -> Sequence[KeyCount]:
        """Calls seen by the old and the new key, for the report."""
        ...

    def follow(self, rotation: Rotation) -> None:
        """Make the process use what the rotation says; see 5 above."""
        ...
