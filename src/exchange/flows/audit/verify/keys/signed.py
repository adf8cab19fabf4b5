"""Claims 4 and 5 over all logs of a folder: signed by the named region, by keys valid and unrevoked then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from exchange.crypto.x509.certificates import spki_hash
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.verify.claims import ClaimNo, Docket
from exchange.flows.audit.verify.crew import Crew, Part, SignedPart, again_part, sign_part
from exchange.flows.audit.verify.keys.doubts import Doubts
from exchange.flows.audit.verify.keys.statements import MirroredTimes, SigningKeys
from exchange.flows.audit.verify.material.tree_check import WIDTH
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import run_of

_NEVER = datetime.min.replace(tzinfo=UTC)


class SignatureClaims:
    """What the envelopes of all logs come to.

    Args:
        crew: Looks at parts of them.
        parts: The parts of a log.
        keys: What was learned of keys.
        context: The same for other processes (``crew.context_of``).
        docket: Where it is written down.
        facts: Facts of each log, by origin.
        digests: Of each bundle of a log as it was read before, by origin.
        seen: Told how many entries were looked at.
    """

    def __init__(
        self,
        crew: Crew,
        parts: Callable[[LogAbout], Iterator[Part]],
        keys: SigningKeys,
        context: bytes,
        docket: Docket,
        facts: dict[str, dict[str, Any]],
        digests: Mapping[str, Sequence[bytes]],
        seen: Callable[[int], None],
    ) -> None:
        self._crew = crew
        self._parts = parts
        self._keys = keys
        self._context = context
        self._docket = docket
        self._facts = facts
        self._digests = digests
        self._seen = seen
        self._doubts = Doubts()
        self._times: dict[str, tuple[LogAbout, MirroredTimes]] = {}
        self._used: dict[tuple[str, str, str], datetime] = {}

    def look(self, log: LogAbout, times: MirroredTimes) -> None:
        """Judge every envelope of a log.

        Args:
            log: The log.
            times: When its entries were first seen by somebody else.
        """
        self._times[log.origin] = (log, times)
        docket = self._docket
        signed = unmirrored = 0
        algorithms: set[str] = set()
        for part, result in zip(self._parts(log), self._crew.map(sign_part, self._signed(log)), strict=True):
            docket.find(*result.against)
            signed += result.signed
            unmirrored += result.unmirrored
            algorithms |= result.algorithms
            if result.rootless:
                docket.lack(ClaimNo.SIGNED, "ROOTS", LogName.parse(log.origin).node)
                docket.lack(ClaimNo.KEYS_VALID, "ROOTS", LogName.parse(log.origin).node)
            for keyid, place in result.unknown.items():
                what = "SUCCESSION" if keyid in self._keys.out_of_turn else "CERTIFICATE"
                for no in (ClaimNo.SIGNED, ClaimNo.KEYS_VALID):
                    docket.lack(no, what, f"{keyid[:16]} {place.log}#{place.index}")
            self._doubts.add(result.doubts)
            for keyid, index in result.last.items():
                self._use(LogName.parse(log.origin), keyid, times.at(index))
            self._seen(sum(run.width for number in part.numbers if (run := run_of(log.size, number)) is not None))
        if unmirrored and signed:
            docket.lack(ClaimNo.KEYS_VALID, "COSIGNATURE", log.origin)
        self._facts[log.origin] |= {"signed": signed, "algorithms": sorted(algorithms)}

    def _signed(self, log: LogAbout, sought: bytes = b"") -> Iterator[SignedPart]:
        _, times = self._times[log.origin]
        for part in self._parts(log):
            begin, end = part.numbers[0] * WIDTH, (part.numbers[-1] + 1) * WIDTH
            digests = tuple(self._digests[log.origin][part.numbers[0] : part.numbers[-1] + 1])
            yield SignedPart(part, times.part(begin, end), self._context, digests, sought)

    def settle(self) -> None:
        """What is in doubt may stand in some log of its node again: each of them is looked through once more."""
        for node in self._doubts.nodes:
            sought = b"".join(sorted(self._doubts.sought(node)))
            confirmed: set[bytes] = set()
            for log, _ in self._times.values():
                if LogName.parse(log.origin).node == node:
                    confirmed.update(*self._crew.map(again_part, self._signed(log, sought)))
            self._doubts.settle(node, confirmed, self._keys, self._docket)

    def _use(self, log: LogName, keyid: str, mirrored: datetime | None) -> None:
        if mirrored is not None:
            key = (log.node, log.domain, keyid)
            self._used[key] = max(mirrored, self._used.get(key, mirrored))

    def lists(self) -> None:
        """What was not revoked, only a list can say that is younger than the entries: one of each authority above."""
        lacking: dict[tuple[str, str], datetime] = {}
        for (node, domain, keyid), until in sorted(self._used.items()):
            trust, lists = self._keys.of(node, domain), self._keys.lists[node].lists
            assert trust is not None, "it judged what the key signed"
            made = {each.authority: each.this_update for each in lists}
            paths = [
                [each for each in path if made.get(spki_hash(each), _NEVER) < until]
                for path in trust.authorities_of(keyid)
            ]
            for each in min(paths, key=len, default=[]):
                named = (node, each.subject.rfc4514_string())
                lacking[named] = max(until, lacking.get(named, until))
        for (node, subject), until in sorted(lacking.items()):
            self._docket.lack(ClaimNo.KEYS_VALID, "REVOCATION_LIST", f"{node} {subject} {until.isoformat()}")
        issued = {
            f"{node} {each.subject}": each.this_update.isoformat()
            for node, known in sorted(self._keys.lists.items())
            for each in known.lists
        }
        self._docket.fact(ClaimNo.KEYS_VALID, "revocation_lists", issued)
