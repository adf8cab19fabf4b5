"""Driver of the authority that issues our TLS certificates: both trusted, new issued, old dropped.

    ANNOUNCE   the new root is trusted at home beside the old one; peers are told in every lane, their officers asked
    ACTIVATE   our own leaves stand under the new root
    RETIRE     the old root is dropped, once every peer and every caller of the last 30 days was seen on the new one

The authority's own key is never here: what is installed is its certificate, with the proofs that both authorities made
where their keys are kept. Without these the peers are told by our card alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.trusted.authority_proof import AuthorityFile, named_root
from exchange.crypto.trusted.own_trust import TLS_ROOTS_FILE, OwnTrust, without_root
from exchange.crypto.trusted.possession import is_endorsed_by, is_possessed
from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    facts_of,
    fingerprint,
    load_chain,
    to_pem,
)
from exchange.crypto.x509.chains import Purpose, authority_problem, find_paths
from exchange.domain.problems import Problem, Refused
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.certificates.seen import AGENCIES, DIALLED, PEERS, SERVED, SeenFlow
from exchange.flows.certificates.tls import CLIENT, SERVER, TlsFlow
from exchange.flows.certificates.told_roots import ToldRoots
from exchange.flows.certificates.trust import TrustFlow
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros_of, timestamp
from exchange.flows.rotation.driver import TLS_CA, MadeKey
from exchange.flows.rotation.generations import ABORT_GRACE, announced_state, said_of, unconfirmed
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

_BOTH = (RotationState.ROTATION_STATE_ANNOUNCED, RotationState.ROTATION_STATE_ACTIVE)


class CaDriver:
    """See ``rotation.driver.KeyDriver`` for what each method owes.

    Args:
        node: The node.
        files: Where new roots wait: beside the TLS key.
        trust: The node's own roots.
        write_own: Puts a file of our own part of the trust folder in place.
        tls: Our leaves.
        seen: Who was seen.
        told: What peers said of our roots.
        overlap: How long a connection may go on with a leaf that was replaced.
    """

    key = TLS_CA

    def __init__(
        self,
        node: Node,
        files: LeafFiles,
        trust: TrustFlow,
        write_own: Callable[[str, bytes], None],
        tls: TlsFlow,
        seen: SeenFlow,
        told: ToldRoots,
        *,
        overlap: timedelta = timedelta(),
    ) -> None:
        self._node = node
        self._files = files
        self._trust = trust
        self._write_own = write_own
        self._tls = tls
        self._seen = seen
        self._told = told
        self._overlap = overlap

    # -- files -----------------------------------------------------------------------------------------------

    def fingerprint(self) -> str:
        """Of the root that our server's leaf leads to."""
        roots = self._roots_of(self._tls.now.server, Purpose.SERVER)
        return roots[0] if roots else fingerprint(self._own.tls[0])

    def next_generation(self) -> int:
        """Beyond every file."""
        return max(self._files.generations(), default=1) + 1

    def request(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """The authority makes its own key, elsewhere: its certificate is asked for, or comes along."""
        if not material and not self._files.read(self._files.path(rotation.generation)):
            return MadeKey(fingerprint="", complete=False)
        return self.install(rotation, material, now)

    def certificate_request(self, rotation: Rotation) -> bytes:
        """None: an authority certifies itself."""
        del rotation
        return b""

    def install(self, rotation: Rotation, material: bytes, now: datetime) -> MadeKey:
        """Take the certificate of the new root: an authority's, valid now, and not trusted yet."""
        content = material or self._files.read(self._files.path(rotation.generation))
        try:
            brought = AuthorityFile.parse(content)
        except CertificateUnreadable as error:
            raise Refused([Problem("CERTIFICATE_UNREADABLE", "material", str(error))]) from None
        root = brought.root
        facts = facts_of(root)
        problem = authority_problem(root)
        problems = []
        if root.issuer != root.subject or problem is not None:
            problems.append(Problem("PKI_AUTHORITY", "material", problem.value if problem else "one root is needed"))
        if not facts.not_before <= now <= facts.not_after:
            problems.append(Problem("CERTIFICATE_EXPIRED", "material", facts.subject))
        if facts.fingerprint == rotation.old_fingerprint:
            problems.append(Problem("ROOT_TRUSTED_ALREADY", "material", facts.subject))
        problems += self._about_proof(brought, rotation)
        if problems:
            raise Refused(problems)
        self._files.write(self._files.path(rotation.generation), brought.to_pem())
        return MadeKey(fingerprint=facts.fingerprint, not_before=facts.not_before, not_after=facts.not_after)

    def _about_proof(self, brought: AuthorityFile, rotation: Rotation) -> list[Problem]:
        """Whether the proofs are those that the peers will look at: for this node, and in the place of this root."""
        if not brought.possession and not brought.endorsement:
            return []
        node, key = self._node, brought.announced(rotation.old_fingerprint)
        found = []
        if not is_possessed(node.federation, node.name, key):
            found.append(Problem("KEY_NOT_POSSESSED", "material", key.key_id))
        if brought.endorsement and not is_endorsed_by(node.federation, node.name, key, self._own.tls):
            found.append(Problem("KEY_OUT_OF_TURN", "material", rotation.old_fingerprint))
        return found

    # -- who relies on it --------------------------------------------------------------------------------------

    def records(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Mapping[str, Record]:
        """The announcement of a step; nothing where no proof was brought: peers take our card then."""
        brought = self._proven(rotation)
        state = announced_state(rotation, step)
        if brought is None or state is None:
            return {}
        keys = [brought.announced(rotation.old_fingerprint)]
        keys[0].state = state
        keys[0].valid_from.CopyFrom(rotation.announced_at)
        if not rotation.HasField("announced_at"):
            keys[0].valid_from.FromDatetime(now)
        if step == RotationStep.ROTATION_STEP_ABORT:
            keys[0].valid_until.FromDatetime(now + ABORT_GRACE)
        old = next((each for each in self._own.tls if fingerprint(each) == rotation.old_fingerprint), None)
        if step == RotationStep.ROTATION_STEP_RETIRE and old is not None:
            keys.append(named_root(old))
            keys[1].state = KeyState.KEY_STATE_RETIRED
            keys[1].valid_from.FromDatetime(facts_of(old).not_before)
            keys[1].valid_until.FromDatetime(now)
        found = {}
        for peer in self._node.peers.names():
            found[peer] = node_record(self._node, now)
            found[peer].key_announcement.keys.extend(keys)
        return found

    def _proven(self, rotation: Rotation) -> AuthorityFile | None:
        """The new root with its proof, while the rotation goes on; None without one."""
        content = self._files.read(self._files.path(rotation.generation))
        brought = AuthorityFile.parse(content) if content else None
        return brought if brought is not None and brought.possession else None

    def confirmations(self, rotation: Rotation) -> Sequence[KeyConfirmation]:
        """What each peer says of the new root; nobody answers a card."""
        if not rotation.new_state:
            return ()
        told = said_of(self._node, [rotation.new_fingerprint], rotation.new_fingerprint)
        asked = self._proven(rotation) is not None
        return [each for each in told if asked or each.verdict]

    def waits(self, rotation: Rotation, step: RotationStep.ValueType, now: datetime) -> Sequence[Waiting]:
        """Before activating: our own leaves, and peers that were asked. Before dropping: whoever was not seen on it.

        A peer that took our card in the place of confirming is not waited for.
        """
        if step == RotationStep.ROTATION_STEP_ACTIVATE:
            said = self.confirmations(rotation)
            told = [each for each in said if rotation.new_fingerprint not in (self._told.of(each.peer) or ())]
            return [*self._old_leaves(rotation), *unconfirmed(self._node, told)]
        if step == RotationStep.ROTATION_STEP_RETIRE:
            return [*self._old_leaves(rotation), *self.missing(rotation, now)]
        if step == RotationStep.ROTATION_STEP_ABORT and rotation.new_fingerprint:
            new = rotation.new_fingerprint
            under = [use for use, leaf, purpose in self._leaves() if new in self._roots_of(leaf, purpose)]
            return [Waiting(reason="LEAF_UNDER_ROOT", detail=", ".join(under))] if under else []
        return []

    def missing(self, rotation: Rotation, now: datetime) -> list[Waiting]:
        """Callers and peers of the last 30 days that were not seen on the new root, or still are on the old one."""
        counts = self._seen.counts(now)
        found = []
        for caller, rows in _by_caller(counts, AGENCIES).items():
            on_old = [each for each in rows if rotation.new_fingerprint not in each.roots]
            on_old = [each for each in on_old if rotation.old_fingerprint in each.roots]
            last_new = max((each.last_at for each in rows if rotation.new_fingerprint in each.roots), default=0)
            last_old = max((each.last_at for each in on_old), default=0)
            if last_old and last_old >= last_new:
                reason = "SEEN_ON_OLD_STILL" if last_new else "SEEN_ON_OLD_ONLY"
                found.append(Waiting(reason=reason, who=_short(caller), detail=instant(last_old).isoformat()[:19]))
        since = rotation.activated_at if rotation.HasField("activated_at") else None
        begun = micros_of(since) if since is not None else 0
        for peer in self._node.peers.names():
            rows = [each for each in counts if each.outcome == SERVED and _short(each.caller) == f"node/{peer}"]
            dialled = any(each.door == DIALLED and rotation.new_fingerprint in each.roots for each in rows)
            # A call that came behind the overlap stands on a connection that was made with the new leaf.
            behind = begun + int(self._overlap.total_seconds() * 1_000_000)
            came = any(each.door == PEERS and each.last_at > behind for each in rows)
            if not (dialled and came):
                known = self._node.peers.get(peer)
                found.append(
                    Waiting(reason="PEER_NOT_SEEN_ON_NEW", who=peer, duty_desk=known.duty_desk if known else "")
                )
        return found

    def rehearse(self, rotation: Rotation | None, now: datetime) -> Sequence[Waiting]:
        """Who would be turned away if the old root were dropped now."""
        if rotation is None or not rotation.new_fingerprint:
            return [Waiting(reason="ROTATION_NEEDS_CERTIFICATE")]
        return [*self._old_leaves(rotation), *self.missing(rotation, now)]

    def _old_leaves(self, rotation: Rotation) -> list[Waiting]:
        return [
            Waiting(reason="LEAF_UNDER_OLD_ROOT", detail=use)
            for use, leaf, purpose in self._leaves()
            if rotation.new_fingerprint not in self._roots_of(leaf, purpose)
        ]

    def _leaves(self) -> tuple[tuple[str, TlsIdentity, Purpose], ...]:
        now = self._tls.now
        server = (SERVER, now.server, Purpose.SERVER)
        return (server,) if now.client == now.server else (server, (CLIENT, now.client, Purpose.CLIENT))

    @property
    def _own(self) -> OwnTrust:
        return self._trust.edition.own

    def _roots_of(self, identity: TlsIdentity, purpose: Purpose) -> list[str]:
        leaf, *others = identity.certificates
        roots = self._own.tls
        paths = find_paths(leaf, [*others, *roots], roots, purpose).paths
        return [fingerprint(path.certificates[-1]) for path in paths]

    # -- looking -----------------------------------------------------------------------------------------------

    def statuses(self, now: datetime) -> Sequence[KeyStatus]:
        """Our roots, each with who came on it; then those of each peer."""
        seen = self._seen.counts(now)
        current = self.fingerprint()
        found = [_status(self._node.name, root, seen, active=fingerprint(root) == current) for root in self._own.tls]
        for peer, trusted in sorted(self._trust.edition.peers.items()):
            roots = load_chain(trusted.card.tls_roots)
            found += [_status(peer, root, seen, active=True) for root in roots]
        return found

    def counts(self, rotation: Rotation) -> Sequence[KeyCount]:
        """Calls under the old and the new root, by caller; refusals for the caller's certificate."""
        seen = self._seen.counts(self._node.clock())
        roots = filter(None, (rotation.old_fingerprint, rotation.new_fingerprint))
        found = [count for root in roots for count in _under(seen, root)]
        refused = [each for each in seen if each.door in (AGENCIES, PEERS) and each.outcome != SERVED]
        for reason in sorted({each.outcome for each in refused}):
            rows = [each for each in refused if each.outcome == reason]
            found.append(KeyCount(what="REFUSED", who=reason, count=sum(row.calls for row in rows)))
        return found

    # -- using -------------------------------------------------------------------------------------------------

    def follow(self, rotation: Rotation) -> None:
        """Bring our roots to what the rotation says. Once it has ended, they are the administrator's again."""
        waiting = self._files.path(rotation.generation)
        content = self._files.read(waiting)
        if not content:
            return
        roots = self._own.files[TLS_ROOTS_FILE]
        held = {fingerprint(each) for each in self._own.tls}
        root = to_pem(AuthorityFile.parse(content).root)
        if rotation.state in _BOTH and rotation.new_fingerprint not in held:
            self._write({**self._own.files, TLS_ROOTS_FILE: roots + root}, rotation)
        elif rotation.state == RotationState.ROTATION_STATE_RETIRED:
            if rotation.new_fingerprint not in held:
                self._write({**self._own.files, TLS_ROOTS_FILE: roots + root}, rotation)
            if rotation.old_fingerprint in held:
                self._write(without_root(self._own.files, rotation.old_fingerprint), rotation)
            self._files.forget(waiting)
        elif rotation.state == RotationState.ROTATION_STATE_ABORTED:
            if rotation.new_fingerprint in held and len(held) > 1:
                self._write(without_root(self._own.files, rotation.new_fingerprint), rotation)
            self._files.forget(waiting)

    def _write(self, files: Mapping[str, bytes], rotation: Rotation) -> None:
        for name in sorted({*files, *self._own.files}):
            if files.get(name, b"") != self._own.files.get(name, b""):
                self._write_own(name, files.get(name, b""))
        self._trust.reload(f"rotation {rotation.number}", self._node.clock())


def _status(owner: str, root: Certificate, seen: Sequence[SeenCount], *, active: bool) -> KeyStatus:
    facts = facts_of(root)
    status = KeyStatus(
        owner=owner,
        key=TLS_CA,
        of=facts.key,
        state=KeyState.KEY_STATE_ACTIVE if active else KeyState.KEY_STATE_NEXT,
        fingerprint=facts.fingerprint,
        counts=_under(seen, facts.fingerprint),
    )
    status.valid_from.FromDatetime(facts.not_before)
    status.valid_until.FromDatetime(facts.not_after)
    return status


def _under(seen: Sequence[SeenCount], root: str) -> list[KeyCount]:
    rows = [each for each in seen if each.outcome == SERVED and root in each.roots and each.door != DIALLED]
    found = []
    for caller in sorted({each.caller for each in rows}):
        mine = [each for each in rows if each.caller == caller]
        last = timestamp(max(each.last_at for each in mine))
        count = sum(each.calls for each in mine)
        found.append(KeyCount(what="CALLS", fingerprint=root, who=_short(caller), count=count, last_at=last))
    return found


def _by_caller(counts: Sequence[SeenCount], door: str) -> dict[str, list[SeenCount]]:
    found: dict[str, list[SeenCount]] = {}
    for each in counts:
        if each.door == door and each.outcome == SERVED and each.caller:
            found.setdefault(each.caller, []).append(each)
    return dict(sorted(found.items()))


def _short(caller: str) -> str:
    """Role and name of an identity."""
    return "/".join(caller.split("/")[-2:])
