"""Driver of a TLS key: the one that both doors show, or the one that peers are dialled by.

Nobody is told in a log: who trusts the root accepts the new leaf by itself. Activating puts the new file in the place
of the one in use; connections that stand go on with the old leaf until they are recycled, so that no call fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from exchange.crypto.keys import KeyFile, KeyUnreadable, encode_private, generate_p256
from exchange.crypto.tls_identity import TlsIdentity, names_of
from exchange.crypto.x509.certificates import (
    CertificateUnreadable,
    facts_of,
    identity_of,
    load_chain,
    public_hash,
    to_pem,
)
from exchange.crypto.x509.pki_request import make_request
from exchange.domain.problems import Problem, Refused
from exchange.flows.certificates.seen import AGENCIES, DIALLED, PEERS, SERVED, SeenFlow
from exchange.flows.certificates.tls import CLIENT, SERVER, TlsFlow
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros_of, timestamp
from exchange.flows.rotation.driver import MadeKey
from exchange.storage.files.leaf_files import LeafFiles
from exchange.storage.node.seen import SeenCount
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import (
    KeyConfirmation,
    KeyCount,
    KeyStatus,
    Rotation,
    RotationState,
    RotationStep,
    Waiting,
)

_IN_USE = (RotationState.ROTATION_STATE_ACTIVE, RotationState.ROTATION_STATE_RETIRED)


class LeafDriver:
    """See ``rotation.driver.KeyDriver`` for what each method owes.

    Args:
        key: ``tls-server`` or ``tls-client``.
        node: The node.
        files: The key's files.
        tls: What the process uses.
        seen: Who was seen.
        strangers: Peers that do not trust a root of a leaf, each with what it waits for.
        callers: Callers who may not know a leaf's root yet, by the leaf before it.
        outdated: Peers that are still dialled by older credentials.
        overlap: How long a connection may go on with the old leaf.
    """

    def __init__(
        self,
        key: str,
        node: Node,
        files: LeafFiles,
        tls: TlsFlow,
        seen: SeenFlow,
        *,
        strangers: Callable[[TlsIdentity], Sequence[Waiting]],
        callers: Callable[[TlsIdentity, TlsIdentity], Sequence[Waiting]] = lambda _new, _old: (),
        outdated: Callable[[], Sequence[str]] = lambda: (),
        overlap: timedelta = timedelta(),
    ) -> None:
        self._key = key
        self._node = node
        self._files = files
        self._tls = tls
        self._seen = seen
        self._strangers = strangers
        self._callers = callers
        self._outdated = outdated
        self._overlap = overlap

    @property
    def key(self) -> str:
        """Its name."""
        return self._key

    @property
    def _current(self) -> TlsIdentity:
        return self._tls.now.server if self._key == SERVER else self._tls.now.client

    def fingerprint(self) -> str:
        """Of the leaf in use."""
        return self._current.fingerprint

    def next_generation(self) -> int:
        """Beyond every file."""
        return max(self._files.generations(), default=1) + 1

    # -- files -----------------------------------------------------------------------------------------------

    def request(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Make an EC key and the request for its certificate, which asks for the names of the leaf in use.

        Material is a key made elsewhere, alone or with its certificates.
        """
        if material:
            try:
                brought = KeyFile.parse(self._files.lock.open(material, "material"))
            except KeyUnreadable as error:
                raise Refused([Problem(error.reason, "material", str(error))]) from None
            if brought.chain:
                self._checked(TlsIdentity(key=brought.key, chain=brought.chain), now)
            content = self._files.make(rotation.generation, brought.to_pem())
        else:
            content = self._files.make(rotation.generation, encode_private(generate_p256()))
        held = TlsIdentity.parse(content)
        if held.chain:
            return self._checked(held, now)
        leaf = self._current.leaf
        name = f"{self._node.name}.{self._node.federation}"
        asked = make_request(held.key, name, hosts=sorted(names_of(leaf)), identity=identity_of(leaf) or "")
        self._files.write(self._files.request_path(rotation.generation), asked)
        public = KeyFile(key=held.key, chain=b"").load().public_key()
        return MadeKey(fingerprint=public_hash(public), complete=False)

    def certificate_request(self, rotation: Rotation) -> bytes:
        """The request, while the certificate is missing."""
        content = self._files.read(self._files.path(rotation.generation))
        if not content or TlsIdentity.parse(content).chain:
            return b""
        return self._files.read(self._files.request_path(rotation.generation))

    def install(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Put the certificates beside their key: checked as if they were shown now."""
        content = self._files.read(self._files.path(rotation.generation))
        if not content:
            raise Refused([Problem("FILE_MISSING", self._files.path(rotation.generation).name)])
        held = TlsIdentity.parse(content)
        try:
            chain = b"".join(map(to_pem, load_chain(material))) if material else held.chain
        except CertificateUnreadable as error:
            raise Refused([Problem("CERTIFICATE_UNREADABLE", "material", str(error))]) from None
        made = TlsIdentity(key=held.key, chain=chain)
        checked = self._checked(made, now)
        self._files.write(self._files.path(rotation.generation), made.key + made.chain)
        return checked

    def _checked(self, made: TlsIdentity, now: datetime) -> MadeKey:
        problems = self._tls.check(self._key, made, now)
        # One that begins later may be installed now, and waits with its activation.
        wrong = [problem for problem in problems if problem.reason != "CERTIFICATE_NOT_YET_VALID"]
        if wrong:
            raise Refused(wrong)
        facts = facts_of(made.leaf)
        return MadeKey(fingerprint=facts.fingerprint, not_before=facts.not_before, not_after=facts.not_after)

    # -- who relies on it --------------------------------------------------------------------------------------

    def records(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Mapping[str, Record]:
        """Nothing: a leaf under a known root is accepted without a word."""
        del rotation, step, now
        return {}

    def confirmations(self, rotation: Rotation) -> Sequence[KeyConfirmation]:
        """Nobody is asked."""
        del rotation
        return ()

    def waits(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Sequence[Waiting]:
        """Before use: the certificate's first instant, and peers that do not know its root.

        Before the end: connections that may still show the old leaf, and peers that are still dialled by it.
        To return: the old leaf has to be valid still.
        """
        if step == RotationStep.ROTATION_STEP_ACTIVATE:
            new = TlsIdentity.parse(self._files.read(self._files.path(rotation.generation)))
            return [*self._unfit(new, now), *self._strangers(new)]
        if step == RotationStep.ROTATION_STEP_RETIRE:
            return self._still_old(rotation, now)
        if step == RotationStep.ROTATION_STEP_ABORT and rotation.state == RotationState.ROTATION_STATE_ACTIVE:
            kept = self._files.read(self._files.kept_path(rotation.old_fingerprint))
            if not kept:
                return [Waiting(reason="FILE_MISSING", detail=self._files.kept_path(rotation.old_fingerprint).name)]
            return self._unfit(TlsIdentity.parse(kept), now)
        return []

    def _unfit(self, leaf: TlsIdentity, now: datetime) -> list[Waiting]:
        return [Waiting(reason=each.reason, detail=each.detail) for each in self._tls.check(self._key, leaf, now)]

    def _still_old(self, rotation: Rotation, now: datetime) -> list[Waiting]:
        found = [self._waiting("CONNECTION_NOT_RENEWED", peer) for peer in self._outdated()]
        begun = instant(micros_of(rotation.activated_at))
        if now < begun + self._overlap:
            left = round((begun + self._overlap - now).total_seconds())
            found.append(Waiting(reason="CONNECTIONS_RECYCLING", detail=f"{left} s"))
        return found

    def _waiting(self, reason: str, peer: str) -> Waiting:
        known = self._node.peers.get(peer)
        return Waiting(reason=reason, who=peer, duty_desk=known.duty_desk if known else "")

    def rehearse(self, rotation: Rotation | None, now: datetime) -> Sequence[Waiting]:
        """What would break if the old leaf ended now: whoever does not know the new one's root, or the lack of one."""
        if rotation is None or rotation.state in (
            RotationState.ROTATION_STATE_STARTED,
            RotationState.ROTATION_STATE_REQUESTED,
        ):
            facts = facts_of(self._current.leaf)
            return [Waiting(reason="ROTATION_NEEDS_CERTIFICATE", detail=f"{(facts.not_after - now).days} d")]
        if rotation.state == RotationState.ROTATION_STATE_ACTIVE:
            return self._still_old(rotation, now)
        new = TlsIdentity.parse(self._files.read(self._files.path(rotation.generation)))
        waits = self.waits(rotation, RotationStep.ROTATION_STEP_ACTIVATE, now)
        return [*waits, *(self._callers(new, self._current) if new.chain else ())]

    # -- looking -----------------------------------------------------------------------------------------------

    def statuses(self, now: datetime) -> Sequence[KeyStatus]:
        """The leaf in use; of peers, the client leaves that they came by lately."""
        leaf = facts_of(self._current.leaf)
        seen = self._seen.counts(now)
        status = KeyStatus(
            owner=self._node.name,
            key=self._key,
            of=leaf.key,
            generation=1,
            state=KeyState.KEY_STATE_ACTIVE,
            fingerprint=leaf.fingerprint,
        )
        status.valid_from.FromDatetime(leaf.not_before)
        status.valid_until.FromDatetime(leaf.not_after)
        status.counts.extend(self._own_counts(seen, leaf.fingerprint))
        found = [status]
        if self._key == SERVER and self._tls.now.client != self._tls.now.server:
            return found  # the driver of the key that peers are dialled by shows theirs
        for (who, certificate), rows in sorted(_by_certificate(seen, PEERS).items()):
            theirs = KeyStatus(
                owner=who.rpartition("/")[2],
                key=CLIENT,
                state=KeyState.KEY_STATE_ACTIVE,
                fingerprint=certificate,
                counts=[_count("CALLS", certificate, "", rows)],
            )
            # Rows of calls that were counted beside too many others carry none.
            begin, end = max((each.not_before, each.not_after) for each in rows)
            if end:
                theirs.valid_from.CopyFrom(timestamp(begin))
                theirs.valid_until.CopyFrom(timestamp(end))
            found.append(theirs)
        return found

    def counts(self, rotation: Rotation) -> Sequence[KeyCount]:
        """Calls by the old and the new key, calls refused for the caller's certificate, own calls that failed."""
        seen = self._seen.counts(self._node.clock())
        found = []
        for certificate in filter(None, (rotation.old_fingerprint, rotation.new_fingerprint)):
            found += self._own_counts(seen, certificate)
        return found

    def _own_counts(self, seen: Sequence[SeenCount], certificate: str) -> list[KeyCount]:
        if self._key == SERVER:
            refused = [each for each in seen if each.door in (AGENCIES, PEERS) and each.outcome != SERVED]
            reasons = sorted({each.outcome for each in refused})
            return [
                _count("REFUSED", "", reason, [each for each in refused if each.outcome == reason])
                for reason in reasons
            ]
        own = [each for each in seen if each.door == DIALLED and each.fingerprint == certificate]
        found = []
        for who in sorted({each.caller for each in own}):
            mine = [each for each in own if each.caller == who]
            for what, rows in (
                ("CALLS", [each for each in mine if each.outcome == SERVED]),
                ("FAILED", [each for each in mine if each.outcome != SERVED]),
            ):
                if rows:
                    found.append(_count(what, certificate, who.rpartition("/")[2], rows))
        return found

    # -- using -------------------------------------------------------------------------------------------------

    def follow(self, rotation: Rotation) -> None:
        """Put the file in place that the rotation says, wherever a crash has left it; the process takes it then."""
        now = self._node.clock()
        current = self._current.fingerprint
        actor = f"rotation {rotation.number}"
        if rotation.state in _IN_USE and current == rotation.old_fingerprint:
            new = self._files.read(self._files.path(rotation.generation))
            if new and not self._tls.check(self._key, TlsIdentity.parse(new), now):
                self._files.write(self._files.kept_path(current), self._files.read(self._files.in_use))
                self._files.write(self._files.in_use, new)
                self._tls.reload(actor, now)
        elif rotation.state == RotationState.ROTATION_STATE_ABORTED and current == rotation.new_fingerprint:
            old = self._files.read(self._files.kept_path(rotation.old_fingerprint))
            if old:
                self._files.write(self._files.in_use, old)
                self._tls.reload(actor, now)
        if rotation.state == RotationState.ROTATION_STATE_RETIRED:
            self._files.forget(self._files.kept_path(rotation.old_fingerprint))


def _by_certificate(seen: Sequence[SeenCount], door: str) -> dict[tuple[str, str], list[SeenCount]]:
    rows: dict[tuple[str, str], list[SeenCount]] = {}
    for each in seen:
        if each.door == door and each.outcome == SERVED and each.caller:
            rows.setdefault((each.caller, each.fingerprint), []).append(each)
    return rows


def _count(what: str, certificate: str, who: str, rows: Sequence[SeenCount]) -> KeyCount:
    last = max(row.last_at for row in rows)
    return KeyCount(
        what=what,
        fingerprint=certificate,
        who=who,
        count=sum(row.calls for row in rows),
        last_at=timestamp(last),
    )
