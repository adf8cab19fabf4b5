"""Whom the node trusts, listed; and one root taken out of it, when nobody needs it any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from exchange.crypto.trusted.own_trust import without_root
from exchange.crypto.trusted.trust import (
    MANIFEST,
    SIGNING_ROOTS,
    TLS_ROOTS,
    TrustRefused,
    TrustSet,
    write_manifest,
)
from exchange.crypto.x509.certificates import facts_of, fingerprint, load_chain, to_pem
from exchange.crypto.x509.chains import Purpose, find_paths
from exchange.crypto.x509.revocation import RevocationList
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.actions.pending import Confirmed
from exchange.flows.agencies import about_reason
from exchange.flows.certificates.seen import AGENCIES, PEERS, SERVED, SeenFlow
from exchange.flows.certificates.tls import TlsFlow
from exchange.flows.certificates.trust import OWN, SINCE, TrustFlow
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.intake.refusals import append
from exchange.flows.status import read_flag
from exchange.storage.engine.writer import WorkClass
from exchange.storage.node.seen import SeenCount
from exchange.v1.action_pb2 import ActionRequest, RemoveAuthorityAction
from exchange.v1.journal_pb2 import AdministratorAction, JournalEntry
from exchange.v1.rotation_pb2 import KeyCount, Waiting
from exchange.v1.security_service_pb2 import TrustedItem

TLS_ROOT, SIGNING_ROOT = "tls-root", "signing-root"


_FILES = {TLS_ROOT: TLS_ROOTS, SIGNING_ROOT: SIGNING_ROOTS}

MIN_DIGITS = 16
"""Digits of a fingerprint that name a root: nobody meets two that begin alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustWriter:
    """Puts files of the trust folder in place.

    Attributes:
        own: One file of our own part; empty bytes remove it.
        peer: The whole set of a peer.
    """

    own: Callable[[str, bytes], None]
    peer: Callable[[str, Mapping[str, bytes]], None]


class TrustList:
    """What security officers see of trust, and take away.

    Args:
        node: The node.
        trust: What is in use.
        tls: Our leaves.
        seen: Who was seen.
        write: Changes the trust folder.
        lists: Gives the newest revocation lists of an owner's authorities, for ``tls`` or ``signing``.
    """

    def __init__(
        self,
        node: Node,
        trust: TrustFlow,
        tls: TlsFlow,
        seen: SeenFlow,
        write: TrustWriter,
        lists: Callable[[str, str], Sequence[RevocationList]] = lambda _owner, _use: (),
    ) -> None:
        self._lists = lists
        self._node = node
        self._trust = trust
        self._tls = tls
        self._seen = seen
        self._write = write

    def items(self, now: datetime) -> list[TrustedItem]:
        """Every root, revocation list and verifier key of ours and of each peer."""
        edition = self._trust.edition
        seen = self._seen.counts(now)
        found = self._of(self._node.name, edition.own.files)
        for peer, trusted in sorted(edition.peers.items()):
            found += self._of(peer, trusted.files)
            for each in trusted.card.keys:
                item = TrustedItem(
                    owner=peer,
                    use=each.role.value,
                    subject=each.key.name,
                    fingerprint=f"{each.key.name}+{each.key.key_id.hex()}",
                )
                item.valid_from.FromDatetime(each.valid_from)
                if each.valid_until is not None:
                    item.valid_until.FromDatetime(each.valid_until)
                found.append(item)
        with self._node.database.read() as connection:
            since = json.loads(read_flag(connection, SINCE) or "{}")
        for item in found:
            if item.fingerprint in since:
                item.since.CopyFrom(timestamp(since[item.fingerprint]))
            if item.use == TLS_ROOT:
                item.seen.extend(_callers_on(seen, item.fingerprint))
        return found

    def _of(self, owner: str, files: Mapping[str, bytes]) -> list[TrustedItem]:
        found = []
        for use, roots_file in _FILES.items():
            for root in load_chain(files[roots_file]):
                facts = facts_of(root)
                item = TrustedItem(owner=owner, use=use, subject=facts.subject, fingerprint=facts.fingerprint)
                item.valid_from.FromDatetime(facts.not_before)
                item.valid_until.FromDatetime(facts.not_after)
                found.append(item)
            sort = use.removesuffix("-root")
            for each in self._lists(owner, sort):
                digest = sha256(each.pem).hexdigest()
                item = TrustedItem(owner=owner, use=f"{sort}-crl", subject=each.subject, fingerprint=digest)
                item.valid_from.FromDatetime(each.this_update)
                if each.next_update is not None:
                    item.valid_until.FromDatetime(each.next_update)
                found.append(item)
        return found

    def remove(
        self, owner: str, digits: str, reason: str, actor: str, now: datetime, *, force: bool
    ) -> tuple[str, list[Waiting]]:
        """Trust a root no more: its file is changed, the change journaled, and used from then on.

        Returns:
            Fingerprint of the root, and whom it was forced over.

        Raises:
            NotFound: No such root is trusted.
            Refused: It is the only one, one of our own certificates stands under it, no reason was given, or somebody
                was seen on it alone within the last 30 days and it is not forced: each is named.
        """
        problems = about_reason(reason)
        if problems:
            raise Refused(problems)
        root, use, files = self._find(owner, "".join(digits.split()).lower())
        self._check_own(owner, root, use)
        waiting = self.needed_by(owner, root, now) if use == TLS_ROOT else []
        if waiting and not force:
            raise Refused(Problem(each.reason, each.who, each.detail) for each in waiting)
        left = _without(files, use, root)
        if owner != self._node.name:
            left[MANIFEST] = write_manifest({name: data for name, data in left.items() if name != MANIFEST})
            TrustSet.load(left, node=owner, domain=self._node.federation, addressee=self._node.name)
        over = ", ".join(each.who for each in waiting)
        action = AdministratorAction(
            actor=actor,
            action="trust.remove",
            object=f"{owner}/{use}/{root}",
            reason=f"{reason.strip()} [forced over {over}]" if over else reason.strip(),
        )
        event = JournalEntry(administrator_action=action)
        event.at.FromDatetime(now)
        self._node.writer.call(append, (event,), WorkClass.URGENT)
        self._put(owner, files, left)
        outcome = self._trust.reload(actor, now)
        name = OWN if owner == self._node.name else owner
        refused = [each for each in outcome.sets if each.name == name and each.result == "REFUSED"]
        if refused:
            raise Refused(refused[0].problems)
        return root, waiting

    def asked(self, owner: str, digits: str, reason: str, now: datetime) -> ActionRequest:
        """What a forced removal asks two officers for: checked now as if it were done.

        Raises:
            NotFound: No such root is trusted.
            Refused: It is the only one, or one of our own certificates stands under it.
        """
        del now
        root, use, files = self._find(owner, "".join(digits.split()).lower())
        self._check_own(owner, root, use)
        _without(files, use, root)
        wanted = RemoveAuthorityAction(owner=owner, use=use.removesuffix("-root"), fingerprint=root)
        return ActionRequest(remove_authority=wanted, reason=reason)

    def carry_out(self, request: ActionRequest, confirmed: Confirmed) -> str:
        """Remove a root that two officers agreed on; one that is gone was removed before."""
        wanted = request.remove_authority
        try:
            _, over = self.remove(
                wanted.owner, wanted.fingerprint, confirmed.reason, confirmed.actors, confirmed.now, force=True
            )
        except NotFound:
            return "removed before"
        return "removed" + (f", over {', '.join(each.who for each in over)}" if over else "")

    def _check_own(self, owner: str, root: str, use: str) -> None:
        if owner == self._node.name and use == TLS_ROOT:
            under = self._leaves_under(root)
            if under:
                raise Refused([Problem("LEAF_UNDER_ROOT", use, ", ".join(under))])

    def needed_by(self, owner: str, root: str, now: datetime) -> list[Waiting]:
        """Who was seen within the last 30 days under a TLS root, and not behind that under another one."""
        return self._seen.alone_on(AGENCIES if owner == self._node.name else PEERS, root, now)

    def _find(self, owner: str, digits: str) -> tuple[str, str, dict[str, bytes]]:
        edition = self._trust.edition
        if owner == self._node.name:
            files = dict(edition.own.files)
        elif owner in edition.peers:
            files = dict(edition.peers[owner].files)
        else:
            raise NotFound(owner)
        for use, name in _FILES.items():
            for each in load_chain(files[name]):
                if len(digits) >= MIN_DIGITS and fingerprint(each).startswith(digits):
                    return fingerprint(each), use, files
        raise NotFound(digits)

    def _leaves_under(self, root: str) -> list[str]:
        now, left = self._tls.now, [each for each in self._trust.edition.own.tls if fingerprint(each) != root]
        found = []
        for use, leaf, purpose in (
            ("tls-server", now.server, Purpose.SERVER),
            ("tls-client", now.client, Purpose.CLIENT),
        ):
            certificate, *others = leaf.certificates
            if not find_paths(certificate, [*others, *left], left, purpose).paths:
                found.append(use)
        return found

    def _put(self, owner: str, files: Mapping[str, bytes], left: Mapping[str, bytes]) -> None:
        if owner != self._node.name:
            self._write.peer(owner, left)
            return
        for name in sorted({*files, *left}):
            if files.get(name, b"") != left.get(name, b""):
                self._write.own(name, left.get(name, b""))


def _without(files: Mapping[str, bytes], use: str, root: str) -> dict[str, bytes]:
    if use == TLS_ROOT:
        return without_root(files, root)
    kept = [each for each in load_chain(files[SIGNING_ROOTS]) if fingerprint(each) != root]
    if not kept:
        raise TrustRefused([Problem("TRUST_REFUSED", SIGNING_ROOTS, "the only root")])
    return {**files, SIGNING_ROOTS: b"".join(map(to_pem, kept))}


def _callers_on(seen: Sequence[SeenCount], root: str) -> list[KeyCount]:
    rows = [each for each in seen if each.door in (AGENCIES, PEERS) and each.outcome == SERVED and root in each.roots]
    found = []
    for caller in sorted({each.caller for each in rows}):
        mine = [each for each in rows if each.caller == caller]
        found.append(
            KeyCount(
                what="CALLS",
                fingerprint=root,
                who="/".join(caller.split("/")[-2:]),
                count=sum(each.calls for each in mine),
                last_at=timestamp(max(each.last_at for each in mine)),
            )
        )
    return found
