"""The node killed at every step of every rotation: it goes on where it stood, and nothing is doubled or lost.

The table of crash points is ``Moment`` times the steps of each kind of key (``steps_of``). What was begun and not
journaled did not happen, whatever files it left; what was journaled is taken up by the next start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.settings.trust_folder import write_peer
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import RotationStep
from tests.processes import laws
from tests.processes.callers import replace_file
from tests.processes.dying_node import FILE, Moment
from tests.processes.load import Load
from tests.processes.officers import CONFIRMED_BY_OFFICERS, Desk
from tests.processes.test_certificates import QUICK, codes, journal, reload
from tests.processes.test_tls_rotation import issued, see
from tests.rigs.pair import DOMAIN, OFFICERS, Pair, certificate_profile, give_caller, new_root

OWN = ("signing", "log", "mirror", "witness")
TLS = ("tls-server", "tls-client", "tls-ca")

STATES: Mapping[str, str] = {
    "START": "STARTED",
    "REQUEST": "REQUESTED",
    "INSTALL": "INSTALLED",
    "ANNOUNCE": "ANNOUNCED",
    "ACTIVATE": "ACTIVE",
    "RETIRE": "RETIRED",
    "ABORT": "ABORTED",
}
"""Where a rotation stands behind each step."""

ONWARDS = ("START", "REQUEST", "INSTALL", "ANNOUNCE", "ACTIVATE", "RETIRE")


ROUNDS: Sequence[Sequence[Moment]] = ((Moment.FILES, Moment.JOURNALED), (Moment.HALF,), (Moment.DONE,))
"""At which moments of each step the node dies, in the first rotation, the second and the third."""


def steps_of(key: str) -> tuple[str, ...]:
    """The steps that an officer takes: Ed25519 keys need no certificate, and are complete once they are made."""
    return tuple(step for step in ONWARDS if step != "INSTALL" or key not in CONFIRMED_BY_OFFICERS)


def changes_files(key: str) -> tuple[str, ...]:
    """The steps behind which files change: there the process may die between two of them."""
    if key in OWN:
        return ("ANNOUNCE", "ACTIVATE", "RETIRE", "ABORT")
    return ("ANNOUNCE", "RETIRE", "ABORT") if key == "tls-ca" else ("ACTIVATE", "ABORT")


class Walk:
    """A rotation of cq, whose node dies on the way.

    Args:
        pair: Two nodes; cq's is a ``dying_node``.
        key: What is rotated.
        folder: For requests, certificates and cards.
    """

    def __init__(self, pair: Pair, key: str, folder: Path) -> None:
        self.pair, self.key = pair, key
        self.deaths = 0
        self._cq, self._sc = Desk(pair, "cq", folder), Desk(pair, "sc", folder)
        self._folder = folder
        self._authority: pki.Authority | None = None
        self.number = 0

    def take(self, step: str, *moments: Moment) -> None:
        """Take a step; the node dies at each of the moments on the way, and is started again."""
        taken = False
        for moment in moments:
            assert not taken, "a step that is taken can not be died in again"
            # One call gives the number and asks for the key.
            before = "STARTED" if step == "REQUEST" else self._stands()
            (self._cq.node.folder / FILE).write_text(f"{step} {moment}")
            laws.wait(f"death at {step} {moment}", lambda: self._dies(step))
            self.pair.kill("cq")  # it is dead: what is left to do is to reap it
            self.pair.start("cq")
            self.deaths += 1
            taken = moment != Moment.FILES
            assert self._stands() == (self._behind(step) if taken else before), (step, moment)
        if not taken and step != "START":
            laws.wait(f"{self.key}: {step}", lambda: self._ask(step) == self._behind(step))
        if not self.number and (view := self._view()):
            self.number = int(view["number"])

    def between(self, step: str) -> None:
        """What others do before the next step may be taken."""
        if step == "ANNOUNCE" and self.key in CONFIRMED_BY_OFFICERS:
            self._sc.confirms(self.key, self._cq.reads_aloud(self.key))
        if step == "ANNOUNCE" and self.key == "tls-ca":
            self._everybody_goes_over()

    def _behind(self, step: str) -> str:
        if step == "REQUEST" and self.key in CONFIRMED_BY_OFFICERS:
            return "INSTALLED"
        return STATES[step]

    def _stands(self) -> str:
        """The state of the newest rotation; that of none is empty."""
        view = self._view()
        return str(view["state"]).removeprefix("ROTATION_STATE_") if view else ""

    def _view(self) -> dict[str, Any]:
        if self.number:
            done = self._cq.types("certs", "report", self.number)
            return dict(done.json["rotation"]["rotation"])
        found = self._cq.find(self.key)
        return dict(found["rotation"]) if found else {}

    def _dies(self, step: str) -> bool:
        """Ask for the step; whether the node died of it."""
        self._ask(step)
        deadline = time.monotonic() + 1
        while self.pair.processes["cq"].running and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self.pair.processes["cq"].running

    def _ask(self, step: str) -> str:
        """Ask for the step as an officer does; where the rotation stands then, when the node answers."""
        if step == "INSTALL":
            done = self._cq.types("certs", "install", self.key, self._certificate())
        elif step == "ABORT":
            done = self._cq.types("certs", "abort", self.number, "--reason", "wrong key")
        else:
            if step == "RETIRE" and self.key == "tls-ca":
                for caller in ("operator", "auditor"):
                    see(self._cq.node, caller)
            done = self._cq.types("certs", "rotate", self.key, "--reason", "yearly")
        assert done.status in (0, 1, 3), done.err
        if done.status == 3 or '"error"' in done.out:
            return ""
        view = done.json["rotation"]
        self.number = int(view["number"])
        return str(view["state"]).removeprefix("ROTATION_STATE_")

    def _certificate(self) -> Path:
        """What the region's authority makes of the request, once."""
        path = self._folder / f"{self.number}.chain.pem"
        if not path.exists():
            asked = self._folder / f"{self.number}.request.pem"
            self._cq.types("certs", "request", self.key, "-o", asked)
            request = asked.read_bytes() if self.key != "tls-ca" else b""
            if self.key == "tls-ca":
                self._authority = new_root(f"cq TLS root of rotation {self.number}")
                path.write_bytes(self._authority.root_pem)
            elif self.key == "signing":
                path.write_bytes(self._cq.signing_certificate(request))
            else:
                node = self._cq.node
                path.write_bytes(issued(node, node.tls_ca, request, server=self.key == "tls-server"))
        return path

    def _everybody_goes_over(self) -> None:
        """Peer, leaves, agencies and officers of cq, from the old root to the new one."""
        node, new = self._cq.node, self._authority
        assert new is not None
        both = node.tls_ca.root_pem + new.root_pem
        write_peer(self.pair.nodes["sc"].folder / "trust", "cq", to_trust_files(replace(node.card, tls_roots=both)))
        assert reload(self.pair, "sc")["cq"] in ("TAKEN", "UNCHANGED")
        replace_file(node.folder / "callers" / "ca.pem", both)
        for role, caller in [(Role.AGENCY, "agency"), *((role, role.value) for role in OFFICERS)]:
            give_caller(node, new, role, caller)
        node.tls_ca = node.authorities["tls"] = new
        for leaf in ("tls-server", "tls-client"):
            walk = Walk(self.pair, leaf, self._folder)
            for step in steps_of(leaf):
                walk.take(step)


@contextmanager
def mortal_pair(folder: Path) -> Iterator[Pair]:
    """Two nodes, each with a key of its own for dialling; cq dies when it is told to."""
    pair = Pair(
        folder, settings=QUICK + '\n[keys]\ntls_client = "file:keys/dial.pem"\n', module="tests.processes.dying_node"
    )
    for node in pair.nodes.values():
        identity = Identity(node=node.name, domain=DOMAIN, role=Role.NODE, name=node.name)
        made = pki.issue_client(certificate_profile(), node.tls_ca, identity=identity, now=datetime.now(UTC))
        replace_file(node.folder / "keys" / "dial.pem", made.bundle)
    try:
        pair.start()
        for name in pair.nodes:
            pair.grant(name)
        laws.wait_at_rest(pair)
        yield pair
    finally:
        pair.kill()


def assert_nothing_doubled_or_lost(
    pair: Pair, load: Load, walks: Mapping[int, Sequence[str]], *, announces: bool = True, replays: bool = True
) -> None:
    """Records, receipts, the journal's lines of each rotation, and what each lane was told of keys; stops the nodes."""
    laws.wait_at_rest(pair)
    assert load.failures == []
    assert load.lost > 0, "no death ever met a call"
    card = NodeCard.parse(Desk(pair, "cq", pair.nodes["cq"].folder).card("sc").read_text())
    theirs = NodeCard.parse(Desk(pair, "sc", pair.nodes["cq"].folder).card("cq").read_text())
    laws.assert_receipts(pair, "cq", load.acknowledged, (card, theirs))
    laws.wait("no alarm is left", lambda: codes(pair, "cq") == codes(pair, "sc") == [])
    pair.stop()
    taken: dict[int, list[str]] = {}
    for each in journal(pair, "cq", "rotation_stepped"):
        taken.setdefault(each.rotation, []).append(RotationStep.Name(each.step).removeprefix("ROTATION_STEP_"))
    assert taken == {**taken, **{number: list(steps) for number, steps in walks.items()}}
    told = [told_of_keys(pair, origin) for origin in laws.outbound(pair, "cq", "sc")]
    assert bool(told[0]) == announces
    assert all(lane == told[0] for lane in told)
    assert [key for key in told[0] if told[0].count(key) > 1] == [], "a lane was told twice"
    laws.assert_mirrored_once(pair, "cq", load.acknowledged)
    if replays:
        laws.assert_replays(pair)


def told_of_keys(pair: Pair, origin: str) -> list[tuple[tuple[str, str], ...]]:
    """What one lane of cq was told of keys, entry by entry: key and state."""
    found = []
    for stored in laws.outbound(pair, "cq", "sc")[origin]:
        record = Record.FromString(stored.body or b"")
        if record.HasField("key_announcement"):
            keys = record.key_announcement.keys
            found.append(tuple((key.key_id, KeyState.Name(key.state)) for key in keys))
    # Entry 0 names the lane's own key.
    return found[1:]


def journaled(key: str, last: str) -> tuple[str, ...]:
    """The lines that a rotation leaves in the journal."""
    onwards = ONWARDS if last == "RETIRE" else ONWARDS[: ONWARDS.index("RETIRE")]
    if last == "ABORT" and key == "tls-ca":
        onwards = ONWARDS[: ONWARDS.index("ACTIVATE")]
    return onwards if last == "RETIRE" else (*onwards, "ABORT")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("key", [*OWN, *TLS])
def test_killed_at_every_step_a_rotation_goes_on_where_it_stood(tmp_path: Path, key: str) -> None:
    """Three rotations to their end and three aborted ones: the node dies at every moment of every step of them."""
    walks: dict[int, Sequence[str]] = {}
    with mortal_pair(tmp_path / "pair") as pair, Load(pair.nodes["cq"]) as load:
        for moments in ROUNDS:
            for last in ("ABORT", "RETIRE"):
                walk = Walk(pair, key, tmp_path)
                steps = [step for step in steps_of(key) if step in journaled(key, last)]
                for step in (*steps, *(("ABORT",) if last == "ABORT" else ())):
                    dies = step == "ABORT" or last == "RETIRE"
                    here = [each for each in moments if each != Moment.HALF or step in changes_files(key)]
                    walk.take(step, *(here if dies else ()))
                    if not (key == "tls-ca" and last == "ABORT"):
                        walk.between(step)
                assert walk.deaths
                walks[walk.number] = journaled(key, last)
        laws.wait("answers", lambda: bool(load.acknowledged))
        load.stop()
        assert_nothing_doubled_or_lost(pair, load, walks, announces=key in OWN)


def test_killed_between_the_journal_and_the_key_a_node_takes_the_key_up(tmp_path: Path) -> None:
    """One kind of key after the other: the step is committed, the process dies before it follows, and the next does."""
    with mortal_pair(tmp_path / "pair") as pair, Load(pair.nodes["cq"]) as load:
        walks: dict[int, Sequence[str]] = {}
        for key in ("signing", "log", "mirror", "tls-server", "tls-ca"):
            walk = Walk(pair, key, tmp_path)
            last = "ANNOUNCE" if key == "tls-ca" else "ACTIVATE"
            steps = steps_of(key)
            for step in steps[: steps.index(last) + 1]:
                walk.take(step, *([Moment.JOURNALED] if step == last else []))
                if step != last:
                    walk.between(step)
            walks[walk.number] = ONWARDS[: ONWARDS.index(last) + 1]
            assert walk.deaths == 1
        laws.wait("answers", lambda: bool(load.acknowledged))
        load.stop()
        assert_nothing_doubled_or_lost(pair, load, walks, replays=False)  # of every record: the long set's
