"""What officers of both sides do, and the load while they do it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.domain.problems import Refused
from exchange.flows.rotation.steps import Asked, RotationFlow
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import RotationState
from exchange.v1.security_service_pb2 import RotationView
from exchange.v1.submission_service_pb2 import SubmitResult
from tests.domain import records
from tests.test_walk import of_region
from tests.world import FEDERATION, World, keyring, profile

OFFICER = "security/officer"


def credit(number: int, name: str = "cq") -> Record:
    """A credit result of another firm."""
    record = of_region(records.credit(), name)
    uscc = records.make_uscc(2000 + number)
    record.credit_result.subject.uscc = uscc
    record.credit_result.subject.permit_code = f"{uscc}001P"
    return record


class Load:
    """An agency on each side that submits until told to stop; whatever is not accepted counts as failed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._over = threading.Event()
        self.sent = dict.fromkeys(world.nodes, 0)
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(name,)) for name in world.nodes]

    def _run(self, name: str) -> None:
        while not self._over.is_set():
            number = self.sent[name]
            try:
                answer = self._world.submit(name, credit(number, name), f"load-{number}")
                if answer.result != SubmitResult.SUBMIT_RESULT_ACCEPTED:
                    self.failed.append(f"{name} {number}: {answer}")
            except Exception as error:  # noqa: BLE001 - counted, whatever it is
                self.failed.append(f"{name} {number}: {error!r}")
            self.sent[name] += 1
            time.sleep(0.01)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def flow(world: World, name: str = "cq") -> RotationFlow:
    """Rotations of a node."""
    return world.nodes[name].core.rotations


def now() -> datetime:
    """The instant."""
    return datetime.now(UTC)


def certificate(name: str, view: RotationView) -> bytes:
    """What the region's authority issues for a request."""
    identity = Identity(node=name, domain=FEDERATION, role=Role.NODE, name=name)
    ring = keyring(name)
    authority = ring.sm2[0] if view.rotation.key == "signing-sm2" else ring.root
    issued = pki.issue_signing(
        profile(), authority, identity=identity, organisation="演示", now=now(), request=view.request
    )
    return issued.chain


def advance(world: World, view: RotationView, step: int = 0, **options: object) -> RotationView:
    """Take a step, with the officer's patience: what waits is asked again until it may be taken."""
    taken: list[RotationView] = []
    why: list[object] = []

    def tried() -> bool:
        asked = Asked(actor=OFFICER, step=step, **options)  # type: ignore[arg-type]
        try:
            taken.append(flow(world).advance(view.rotation.number, asked, now()))
        except Refused as refused:
            why[:] = refused.problems
        return bool(taken) or not all(str(each).startswith("Problem(reason='KEY_") for each in why)

    try:
        world.wait(tried)
    except AssertionError:
        raise AssertionError(f"{view.rotation.key}: {why}") from None
    assert taken, why
    return taken[0]


def said(world: World, view: RotationView) -> list[str]:
    """What the next step of a rotation waits for."""
    return [each.reason for each in flow(world).view(flow(world).find(view.rotation.number), now()).waits]


def confirm(world: World, use: str, number: int, name: str = "sc") -> None:
    """The other side's officer compares the fingerprint that is read aloud, and confirms."""
    trust = world.nodes[name].core.trust
    world.wait(lambda: ("KEY_WAITING", f"cq/{use}") in world.nodes[name].bell.open, what=f"pending {use}")
    view = flow(world).view(flow(world).find(number), now())
    (told,) = [each.fingerprint for each in view.confirmations if each.peer == name]
    (keys,) = [each for each in trust.pending() if each.fingerprint == told]
    trust.confirm(keys.id, told, "read aloud", OFFICER, now(), refuse=False)
    assert ("KEY_WAITING", f"cq/{use}") not in world.nodes[name].bell.open


def until_active(world: World, key: str, between: Callable[[], None] = lambda: None) -> RotationView:
    """Take a rotation from its first step into the overlap."""
    view = flow(world).start(key, b"", "yearly", OFFICER, now())
    between()
    if key.startswith("signing"):
        assert view.rotation.state == RotationState.ROTATION_STATE_REQUESTED
        view = advance(world, view, material=certificate("cq", view))
        between()
    assert view.rotation.state == RotationState.ROTATION_STATE_INSTALLED
    view = advance(world, view)
    between()
    assert view.rotation.state == RotationState.ROTATION_STATE_ANNOUNCED
    if not key.startswith("signing"):
        confirm(world, key.partition("-")[0], view.rotation.number)
    view = advance(world, view)
    between()
    assert view.rotation.state == RotationState.ROTATION_STATE_ACTIVE
    return view


def rotate(world: World, key: str, between: Callable[[], None] = lambda: None) -> RotationView:
    """Take a rotation from its first step to its last."""
    view = advance(world, until_active(world, key, between))
    between()
    assert view.rotation.state == RotationState.ROTATION_STATE_RETIRED
    return view
