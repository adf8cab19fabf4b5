"""Rotating keys: one resumable thing with a number, taken a step on by whichever security officer comes.

The numbered walk of a step is in ``driver``: look, files, one transaction, follow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.domain import rotation as rotations
from exchange.domain.lanes import LANE_NAMES
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.agencies import about_reason
from exchange.flows.context import Node
from exchange.flows.events import tell_grown
from exchange.flows.intake.seal import seal
from exchange.flows.rotation.driver import KEYS, KeyDriver, MadeKey
from exchange.flows.rotation.forced import may_force
from exchange.flows.rotation.report import report
from exchange.storage.engine.transaction import LogHead, NewEntry
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store
from exchange.storage.queries import rotations as register
from exchange.storage.queries.rotations import RotationChange
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.rotation_pb2 import KeyStatus, Rotation, RotationState, RotationStep, RotationStepped, Waiting
from exchange.v1.security_service_pb2 import ReportedStep, RotationView

MAX_MATERIAL = 256 * 1024
"""Bytes of a key or certificate file: some tens of certificates."""


class RecoveringError(ExchangeError):
    """The node fetches its own entries back: nothing is announced meanwhile."""

    reason = "RECOVERING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One step that an officer asks for.

    Attributes:
        step: UNSPECIFIED takes the next allowed one.
        material: Certificate or key in PEM.
        activate_at: For ACTIVATE: when; None means now.
        force: Do it although somebody is waited for.
        confirmed: An officer of the other role agreed to it.
    """

    actor: str
    step: RotationStep.ValueType = RotationStep.ROTATION_STEP_UNSPECIFIED
    material: bytes = b""
    activate_at: datetime | None = None
    force: bool = False
    reason: str = ""
    confirmed: bool = False


class RotationFlow:
    """What security officers do with keys.

    Args:
        node: The node.
        drivers: One for each kind of key that this node can rotate.
        may_append: False while the node recovers.
    """

    def __init__(self, node: Node, drivers: Sequence[KeyDriver], *, may_append: Callable[[], bool]) -> None:
        self._node = node
        self._drivers = {driver.key: driver for driver in drivers}
        self._may_append = may_append
        self._stepping = threading.Lock()
        self.follow()

    def follow(self) -> None:
        """Bring the process to what the register says: at a start, and after the registers were made anew."""
        for rotation in self.all():
            driver = self._drivers.get(rotation.key)
            if driver is not None:
                driver.follow(rotation)

    # -- looking ---------------------------------------------------------------------------------------------

    def all(self) -> list[Rotation]:
        """Every rotation that this node ever began, in order of number."""
        with self._node.database.read() as connection:
            return register.everything(connection)

    def keys(self, now: datetime) -> list[KeyStatus]:
        """Every key that counts now."""
        order = sorted(self._drivers.values(), key=lambda driver: KEYS.index(driver.key) if driver.key in KEYS else 99)
        found = [status for driver in order for status in driver.statuses(now)]
        return sorted(found, key=lambda status: (status.owner != self._node.name, status.owner))

    def open(self, now: datetime) -> list[RotationView]:
        """Every rotation that has not ended, with what may follow and whom that waits for."""
        return [self.view(rotation, now) for rotation in self.all() if rotations.is_open(rotation)]

    def view(self, rotation: Rotation, now: datetime) -> RotationView:
        """One rotation, with what may follow."""
        driver = self._driver(rotation.key)
        view = RotationView(rotation=rotation, confirmations=driver.confirmations(rotation))
        step = rotations.next_step(rotation)
        if step is not None:
            view.next.append(step)
            view.next.append(RotationStep.ROTATION_STEP_ABORT)
            view.waits.extend(self._waits(driver, rotation, step, now))
            view.request = driver.certificate_request(rotation)
        return view

    def find(self, number: int) -> Rotation:
        """One rotation.

        Raises:
            NotFound: There is none of that number.
        """
        with self._node.database.read() as connection:
            row = register.get(connection, number)
        if row is None:
            raise NotFound
        return Rotation.FromString(row)

    def report(self, number: int) -> list[ReportedStep]:
        """The steps of one rotation as the journal has them, with their proofs."""
        return report(self._node, number)

    def rehearse(self, key: str, now: datetime) -> list[Waiting]:
        """What would break if the key in use ended now."""
        driver = self._driver(key)
        current = next((each for each in self.all() if each.key == key and rotations.is_open(each)), None)
        return list(driver.rehearse(current, now))

    # -- doing -----------------------------------------------------------------------------------------------

    def start(self, key: str, material: bytes, reason: str, actor: str, now: datetime) -> RotationView:
        """Give a rotation its number and make the new key.

        Raises:
            Refused: Unknown key, no reason, one of the same key is open already, or the material does not fit.
        """
        driver = self._driver(key)
        problems = [*about_reason(reason), *_about_material(material)]
        if problems:
            raise Refused(problems)
        with self._stepping:
            known = self.all()
            current = next((each for each in known if each.key == key and rotations.is_open(each)), None)
            if current is not None:
                raise Refused([Problem("ROTATION_OPEN", "key", f"{key}: {current.number}")])
            generations = [each.generation for each in known if each.key == key]
            event = RotationStepped(
                rotation=max((each.number for each in known), default=0) + 1,
                key=key,
                generation=max((driver.next_generation(), *(each + 1 for each in generations), 2)),
                step=RotationStep.ROTATION_STEP_START,
                actor=actor,
                reason=reason.strip(),
                old_fingerprint=driver.fingerprint(),
            )
            rotation = self._commit(driver, None, [event], [], now)
            asked = Asked(actor=actor, material=material, step=RotationStep.ROTATION_STEP_REQUEST)
            return self.view(self._step(driver, rotation, asked, now), now)

    def advance(self, number: int, asked: Asked, now: datetime) -> RotationView:
        """Take a rotation a step on.

        Raises:
            NotFound: There is none of that number.
            Refused: The step may not follow, or waits for somebody, each of whom is named; or the material does not
                fit.
        """
        problems = _about_material(asked.material)
        if asked.force:
            problems += about_reason(asked.reason)
        if problems:
            raise Refused(problems)
        with self._stepping:
            rotation = self.find(number)
            return self.view(self._step(self._driver(rotation.key), rotation, asked, now), now)

    def retire_by_two(self, number: int, actors: str, reason: str, now: datetime) -> RotationView:
        """Drop an old authority over whoever is waited for, once an officer of each role agreed to it.

        Raises:
            NotFound: There is none of that number.
            Refused: The step may not follow, or is forced by nobody.
        """
        step = RotationStep.ROTATION_STEP_RETIRE
        asked = Asked(actor=actors, step=step, force=True, reason=reason, confirmed=True)
        return self.advance(number, asked, now)

    def abort(self, number: int, reason: str, actor: str, now: datetime) -> RotationView:
        """Return to the old key.

        Raises:
            NotFound: There is none of that number.
            Refused: It has ended, the old key can not be returned to, or no reason was given.
        """
        problems = about_reason(reason)
        if problems:
            raise Refused(problems)
        asked = Asked(actor=actor, reason=reason, step=RotationStep.ROTATION_STEP_ABORT)
        return self.advance(number, asked, now)

    def activate_due(self, now: datetime) -> list[Rotation]:
        """Activate what was set for a time that has come; what still waits for somebody stays as it is."""
        done = []
        for rotation in self.all():
            due = rotation.HasField("activate_at") and rotation.state == RotationState.ROTATION_STATE_ANNOUNCED
            if due and (rotation.activate_at.seconds, rotation.activate_at.nanos) <= _parts(now):
                asked = Asked(actor=f"node {self._node.name}", step=RotationStep.ROTATION_STEP_ACTIVATE)
                try:
                    self.advance(rotation.number, asked, now)
                except (Refused, register.RotationChangedError):
                    continue
                done.append(rotation)
        return done

    def _step(self, driver: KeyDriver, rotation: Rotation, asked: Asked, now: datetime) -> Rotation:
        """1 look · 2 files · 3 what is told and counted · 4 one transaction · 5 follow."""
        # 1
        step = asked.step or rotations.next_step(rotation)
        if step is None or not rotations.may_follow(rotation, step):
            detail = RotationState.Name(rotation.state).removeprefix("ROTATION_STATE_")
            raise Refused([Problem("ROTATION_STEP", "step", detail)])
        waits = self._waits(driver, rotation, step, now) if step != RotationStep.ROTATION_STEP_ABORT else []
        if step == RotationStep.ROTATION_STEP_INSTALL and asked.material:
            waits = []
        if waits and not (asked.force and may_force(rotation, step, waits, confirmed=asked.confirmed)):
            raise Refused(_problem(wait, rotation.key) for wait in waits)
        if step == RotationStep.ROTATION_STEP_ABORT:
            problems = [_problem(wait, rotation.key) for wait in driver.waits(rotation, step, now)]
            if problems:
                raise Refused(problems)
        if step == RotationStep.ROTATION_STEP_ACTIVATE and asked.activate_at is not None and asked.activate_at > now:
            step = RotationStep.ROTATION_STEP_SCHEDULE
        # 2
        events = self._events(driver, rotation, step, asked, waits, now)
        # 3
        append = self._sealed(driver, rotation, step, now)
        # 4 and 5
        return self._commit(driver, rotation, events, append, now)

    def _events(
        self,
        driver: KeyDriver,
        rotation: Rotation,
        step: RotationStep.ValueType,
        asked: Asked,
        waits: Sequence[Waiting],
        now: datetime,
    ) -> list[RotationStepped]:
        event = RotationStepped(
            rotation=rotation.number,
            key=rotation.key,
            generation=rotation.generation,
            step=step,
            actor=asked.actor,
            reason=asked.reason.strip(),
            old_fingerprint=rotation.old_fingerprint,
            new_fingerprint=rotation.new_fingerprint,
            overridden=waits if asked.force else (),
        )
        if step == RotationStep.ROTATION_STEP_REQUEST:
            made = driver.request(rotation, asked.material, now)
            _tell_made(event, made)
            if made.complete:
                installed = RotationStepped()
                installed.CopyFrom(event)
                installed.step = RotationStep.ROTATION_STEP_INSTALL
                return [event, installed]
        elif step == RotationStep.ROTATION_STEP_INSTALL:
            _tell_made(event, driver.install(rotation, asked.material, now))
        elif step == RotationStep.ROTATION_STEP_SCHEDULE:
            assert asked.activate_at is not None
            event.activate_at.FromDatetime(asked.activate_at)
        else:
            event.confirmations.extend(driver.confirmations(rotation))
            event.counts.extend(driver.counts(rotation))
        return [event]

    def _sealed(
        self, driver: KeyDriver, rotation: Rotation, step: RotationStep.ValueType, now: datetime
    ) -> list[tuple[str, NewEntry]]:
        """What peers are told, for every lane towards each: one record, so that a lane that comes later repeats it."""
        told = driver.records(rotation, step, now)
        if told and not self._may_append():
            raise RecoveringError
        append = []
        for peer, record in told.items():
            entry = seal(self._node, record, [peer], now).entry
            with self._node.database.read() as connection:
                logs = [log_store.current(connection, "outbound", peer, lane) for lane in LANE_NAMES]
            append += [(log.origin, entry) for log in logs if log is not None]
        return append

    def _commit(
        self,
        driver: KeyDriver,
        rotation: Rotation | None,
        steps: Sequence[RotationStepped],
        append: Sequence[tuple[str, NewEntry]],
        now: datetime,
    ) -> Rotation:
        events = [JournalEntry(rotation_stepped=step) for step in steps]
        for event in events:
            event.at.FromDatetime(now)
        expected = rotation.SerializeToString(deterministic=True) if rotation is not None else None
        change = RotationChange(events=events, expected=expected, append=append)
        taken: Rotation = self._node.writer.call(register.put, change, WorkClass.URGENT, rows=len(append) + 4)
        driver.follow(taken)
        if append:
            tell_grown(self._node.events, self._logs())
        return taken

    def _logs(self) -> list[LogHead]:
        """Our outbound logs: their senders look again once the new key is in use, and show what it signs."""
        with self._node.database.read() as connection:
            return [log for log in log_store.heads(connection) if log.use == "outbound" and not log.retired]

    def _waits(
        self, driver: KeyDriver, rotation: Rotation, step: RotationStep.ValueType, now: datetime
    ) -> list[Waiting]:
        if step == RotationStep.ROTATION_STEP_INSTALL:
            return [Waiting(reason="ROTATION_NEEDS_CERTIFICATE")]
        return list(driver.waits(rotation, step, now))

    def _driver(self, key: str) -> KeyDriver:
        driver = self._drivers.get(key)
        if driver is None:
            raise Refused([Problem("KEY_NAME_UNKNOWN", "key", ", ".join(self._drivers))])
        return driver


def _problem(wait: Waiting, key: str) -> Problem:
    return Problem(wait.reason, wait.who or key, " ".join(filter(None, (wait.detail, wait.duty_desk))))


def _tell_made(event: RotationStepped, made: MadeKey) -> None:
    event.new_fingerprint = made.fingerprint
    if made.not_before is not None:
        event.not_before.FromDatetime(made.not_before)
    if made.not_after is not None:
        event.not_after.FromDatetime(made.not_after)


def _about_material(material: bytes) -> list[Problem]:
    return [Problem("KEY_UNREADABLE", "material", str(len(material)))] if len(material) > MAX_MATERIAL else []


def _parts(now: datetime) -> tuple[int, int]:
    return int(now.timestamp()), now.microsecond * 1000
