"""Keys that, by the folder, took over from believed ones, where its region's signature can not say so.

A policy has no signing roots, and a card may have other ones than a region's newest certificates. Then an announcement
proves nothing. It tells the auditor what to ask for: a newer card, or a policy of the keys that are in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from exchange.crypto.trusted.possession import CERTIFIED, id_of, is_endorsed, is_possessed, verifier_of
from exchange.flows.audit.verify.keys.believed import Keys, Successor
from exchange.flows.audit.verify.keys.statements import Announced, announcement
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LogName

MAX_SUCCESSORS: Final = 1_024
"""Keys that are followed: two a year for thirty years, of every log and cosigner of a federation."""


def successors(announced: Iterable[Announced], keys: Keys) -> tuple[Successor, ...]:
    """Keys that the folder names in the place of others, and that nobody believes yet; in order of announcement.

    Args:
        announced: What its logs announce.
        keys: What is believed.
    """
    found: dict[VerifierKey, Successor] = {}
    endorsed: list[VerifierKey] = []
    for told in sorted(announced, key=lambda a: (a.logged_at, a.log, a.index)):
        log, made = LogName.parse(told.log), announcement(told.body)
        for key in made.keys if made is not None else ():
            named = verifier_of(key) if key.use not in CERTIFIED and key.replaces else None
            if named is None or named.name.partition(".")[0] != log.node or named in keys.of(named.name):
                continue
            if len(found) == MAX_SUCCESSORS:
                return tuple(found.values())
            before = [*keys.of(named.name), *(each for each in endorsed if each.name == named.name)]
            spoken = is_possessed(log.domain, log.node, key) and is_endorsed(log.domain, log.node, key, before)
            known = {id_of(each) for each in (*before, *found)}
            if named in endorsed or not (spoken or key.replaces in known):
                continue
            found[named] = Successor(replaces=key.replaces, key=str(named), endorsed=spoken)
            if spoken:
                endorsed.append(named)
    return tuple(found.values())
