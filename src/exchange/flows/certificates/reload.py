"""Everything that is read from files and used while the node runs, looked at again: trust sets and TLS keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from exchange.domain.problems import Problem
from exchange.flows.certificates.listed import TrustList
from exchange.flows.certificates.tls import CLIENT, SERVER, TlsFlow
from exchange.flows.certificates.told_roots import ToldRoots
from exchange.flows.certificates.trust import OWN, SetOutcome, TrustFlow


@dataclass(frozen=True, slots=True)
class LiveFiles:
    """Trust and TLS keys of a running node.

    Attributes:
        told: Under which of our authorities the peers take us, as they said.
    """

    trust: TrustFlow
    tls: TlsFlow
    listed: TrustList
    told: ToldRoots = field(default_factory=ToldRoots)

    def reload(self, actor: str, now: datetime) -> tuple[str, tuple[SetOutcome, ...]]:
        """Take what changed. Trust first: a new leaf may stand under a new root.

        Returns:
            Digest of the trust edition in use, and what became of every set and key file.
        """
        before = self.tls.now
        edition, sets = self._trust(actor, now)
        refused = self.tls.reload(actor, now)
        after = self.tls.now
        outcomes = list(sets)
        for use, old, new in ((SERVER, before.server, after.server), (CLIENT, before.client, after.client)):
            problems = refused.get(use, ())
            result = "REFUSED" if problems else "TAKEN" if new != old else "UNCHANGED"
            outcomes.append(SetOutcome(name=use, result=result, digest=new.fingerprint, problems=problems))
        return edition, tuple(outcomes)

    def _trust(self, actor: str, now: datetime) -> tuple[str, tuple[SetOutcome, ...]]:
        try:
            found = self.trust.reload(actor, now)
        except OSError as error:
            problem = Problem("TRUST_FOLDER_MISSING", str(error.filename), error.strerror or "")
            kept = self.trust.edition
            own = SetOutcome(name=OWN, result="REFUSED", digest=kept.own.digest, problems=(problem,))
            return self.trust.digest, (own,)
        return found.edition, found.sets
