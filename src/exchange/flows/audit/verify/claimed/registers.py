"""Claim 7: registers are what the steps of the journal make of the logs; each step tells the digest of its changes."""

from __future__ import annotations

from collections.abc import Callable

from exchange.flows.audit.replay.folder import Replayed
from exchange.flows.audit.sources.bound import FirstReading
from exchange.flows.audit.verify.claims import Against, ClaimNo, Docket
from exchange.flows.audit.watching import Watch

Replay = Callable[[FirstReading | None, Watch], Replayed]
"""Walks a folder's journal again, held to how it was read before; somebody may watch it."""


def check(replay: Replay | None, first: FirstReading | None, docket: Docket, watch: Watch) -> None:
    """Write down what a replay finds.

    Args:
        replay: Makes it; None: not asked.
        first: What the logs gave when they were proven; None where they are not.
        docket: Where it is written down.
        watch: Told how far it is.
    """
    no = ClaimNo.REGISTERS
    if replay is None:
        docket.lack(no, "REPLAY")
        return
    done = replay(first, watch)
    for name, value in done.facts.items():
        docket.fact(no, name, value)
    for found in done.findings:
        if found.proven or found.file:
            docket.find(Against(no, found))
        else:
            docket.lack(no, found.code, f"{found.log} {found.detail}".strip())
    for what, of in done.lacking:
        docket.lack(no, what, of)
    if not done.facts.get("steps"):
        docket.lack(no, "STEPS_NONE")
    if first is None:
        docket.lack(no, "LOGS_PROVEN")
