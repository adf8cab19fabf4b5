"""What lifts a doubt: the region stated the same again under a key in use, or keys of which something else vouches.

A key that others may hold can have signed anything since. The node that lost it states again what is its own (``certs
reconfirm``); the other side counts an entry by that, and so does whoever verifies. Announcements of keys are not stated
again: what one told counts when each of its keys is vouched for without it, in an announcement under a key that is in
use, by the other side's officer, or by what the auditor believes.
"""

from __future__ import annotations

from collections.abc import Iterable

from exchange.flows.audit.verify.claims import ClaimNo, Docket
from exchange.flows.audit.verify.keys.signatures import Doubt
from exchange.flows.audit.verify.keys.statements import Place, SigningKeys
from exchange.tlog.origin import LogName
from exchange.v1.kind_pb2 import Kind

MAX_SHOWN = 100
"""Places of one sort that are named one by one."""


class Doubts:
    """Doubtful entries of all logs, until everything that may lift them is known."""

    def __init__(self) -> None:
        self._lifted = 0
        self._by_node: dict[str, list[Doubt]] = {}

    def add(self, doubts: Iterable[Doubt]) -> None:
        """Note some."""
        for each in doubts:
            self._by_node.setdefault(LogName.parse(each.place.log).node, []).append(each)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Whose entries are in doubt."""
        return tuple(sorted(self._by_node))

    def sought(self, node: str) -> frozenset[bytes]:
        """Digests of the statements of a node that may stand in its logs again."""
        return frozenset(each.payload for each in self._by_node.get(node, ()))

    def settle(self, node: str, confirmed: set[bytes], keys: SigningKeys, docket: Docket) -> None:
        """Write down what stays of a node's doubts.

        1. What stands in a sound envelope too is confirmed.
        2. So is an announcement whose keys are all vouched for without it.
        3. What claims a time behind its own mirroring, and nobody stated again, is dated falsely.
        4. What was logged when the region had told of the revocation itself was signed by a revoked key.
        5. Of the rest only its region can say whether it is its own.

        Args:
            node: Whose they are.
            confirmed: Digests of what stands in a sound envelope.
            keys: What was learned of keys.
            docket: Where it is written down.
        """
        doubted = self._by_node.get(node, [])
        places = {(each.place.log, each.place.index) for each in doubted}
        vouched = keys.vouched(node, places)
        open_places: list[Place] = []
        for each in doubted:
            # 1, 2
            if each.payload in confirmed or _is_vouched(each, keys, vouched):
                self._lifted += 1
            # 3
            elif each.revoked is None:
                mirrored = each.mirrored.isoformat() if each.mirrored else ""
                text = f"logged {each.logged_at.isoformat()}, mirrored {mirrored}"
                docket.find(each.place.against(ClaimNo.KEYS_VALID, "LOGGED_TOO_LATE", text))
            # 4
            elif keys.was_told(node, each.keys, each.logged_at):
                text = f"revoked {each.revoked.isoformat()}, logged {each.logged_at.isoformat()}"
                found = each.place.against(ClaimNo.KEYS_VALID, "KEY_REVOKED_BEFORE", text, keys=", ".join(each.keys))
                docket.find(found)
            # 5
            else:
                open_places.append(each.place)
        for place in open_places[:MAX_SHOWN]:
            docket.lack(ClaimNo.KEYS_VALID, "CONFIRMATION", f"{place.log}#{place.index}")
        docket.fact(ClaimNo.KEYS_VALID, "confirmed", self._lifted)


def _is_vouched(doubt: Doubt, keys: SigningKeys, vouched: frozenset[str]) -> bool:
    if doubt.kind != Kind.KIND_KEY_ANNOUNCEMENT:
        return False
    named = keys.named_at(doubt.place.log, doubt.place.index)
    return bool(named) and named <= vouched
