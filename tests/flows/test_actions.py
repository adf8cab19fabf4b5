"""Two officers for one action: who may ask and confirm, for how long, exactly what, and how often it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied, Caller, NotFound
from exchange.flows.actions.pending import MAX_OPEN, VALID_FOR, ActionFlow, Confirmed, Officer
from exchange.flows.apply.again.journaled import changes_of, is_register_event
from exchange.storage.engine.writer import WriterBusyError
from exchange.storage.queries import actions
from exchange.v1.action_pb2 import Action, ActionRequest, ActionState, DiscardQuarantineAction
from tests.flows.node import TestNode


def officer(role: Role, name: str) -> Officer:
    """Somebody with one of the roles."""
    return Officer(Caller(role, name), f"spiffe://cq.exchange.example/{role.value}/{name}")


OPERATOR, SECURITY = officer(Role.OPERATOR, "li"), officer(Role.SECURITY, "wang")


@dataclass
class Rig:
    """A flow whose performer notes what it was told to do."""

    running: TestNode
    done: list[tuple[ActionRequest, Confirmed]] = field(default_factory=list)
    bells: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None

    def perform(self, request: ActionRequest, who: Confirmed) -> str:
        """Carry out, or fail as a test says."""
        if self.failure is not None:
            raise self.failure
        self.done.append((request, who))
        return "2/2"

    def raise_(self, code: str, about: str = "", detail: str = "") -> None:
        """Somebody is told."""
        assert detail
        self.bells.append((code, about))

    def clear(self, _code: str, about: str = "") -> None:
        """It is over."""
        self.bells = [bell for bell in self.bells if bell[1] != about]

    def flow(self) -> ActionFlow:
        """A flow as a start of the node makes it."""
        return ActionFlow(self.running.node, {"discard_quarantine": self.perform}, self)

    def ask(self, who: Officer = OPERATOR, ids: tuple[str, ...] = ("q-1", "q-2")) -> Action:
        """Ask for something."""
        request = ActionRequest(discard_quarantine=DiscardQuarantineAction(quarantine_ids=ids), reason="重复")
        return self.flow().ask(request, who, self.running.clock())

    def confirm(self, action: Action, who: Officer = SECURITY, digest: bytes | None = None) -> Action:
        """Confirm it."""
        seen = action.digest if digest is None else digest
        return self.flow().confirm(action.action_id, seen, "已核对", who, self.running.clock())

    def states(self) -> list[str]:
        """What the journal says of actions, in order: state and who."""
        changed = [event.action_changed for event in self.running.journal("action_changed")]
        return [f"{ActionState.Name(each.action.state)[13:]} {each.actor.rpartition('/')[2]}" for each in changed]


@pytest.fixture
def rig(running: TestNode) -> Rig:
    """A flow on a node."""
    return Rig(running)


def reason_of(call: Callable[[], object]) -> str:
    """Why a call was refused."""
    with pytest.raises(ExchangeError) as refused:
        call()
    return refused.value.reason


def test_what_one_asked_for_is_done_when_the_other_confirms(rig: Rig) -> None:
    """Nothing before; then exactly what was asked, by both, once; every step is in the journal with who and why."""
    action = rig.ask()
    assert (action.verb, action.confirmed_by_role) == ("quarantine.discard", "security")
    assert rig.done == []
    assert rig.bells == [("ACTION_WAITING", action.action_id)]
    after = rig.confirm(action)
    assert (after.state, after.outcome) == (ActionState.ACTION_STATE_DONE, "2/2")
    ((request, who),) = rig.done
    assert request.SerializeToString(deterministic=True) == action.request
    assert who.actors == f"{OPERATOR.identity} + {SECURITY.identity}"
    assert rig.states() == ["WAITING li", "CONFIRMED wang", "DONE cq"]
    confirmed = rig.running.journal("action_changed")[1].action_changed.action
    assert (confirmed.decided_by, confirmed.decision_reason) == (SECURITY.identity, "已核对")
    assert ActionRequest.FromString(confirmed.request).reason == "重复"
    assert rig.bells == []
    assert reason_of(lambda: rig.confirm(action)) == "ACTION_CLOSED"
    assert len(rig.done) == 1


@pytest.mark.parametrize(
    ("asker", "other", "reason"),
    [
        (OPERATOR, OPERATOR, "ROLE_NOT_ALLOWED"),
        (OPERATOR, officer(Role.OPERATOR, "zhao"), "ROLE_NOT_ALLOWED"),
        (OPERATOR, officer(Role.AUDITOR, "zhao"), "ROLE_NOT_ALLOWED"),
        (OPERATOR, officer(Role.SECURITY, "li"), "SECOND_PERSON"),
        (SECURITY, officer(Role.SECURITY, "zhao"), "ROLE_NOT_ALLOWED"),
    ],
)
def test_only_another_person_of_the_other_role_confirms(rig: Rig, asker: Officer, other: Officer, reason: str) -> None:
    """Neither the same role nor the same name; the action goes on waiting."""
    action = rig.ask(asker)
    assert reason_of(lambda: rig.confirm(action, other)) == reason
    assert rig.done == []
    assert rig.confirm(action, OPERATOR if asker is SECURITY else SECURITY).state == ActionState.ACTION_STATE_DONE


def test_an_agency_or_auditor_asks_for_nothing(rig: Rig) -> None:
    """Only operators and security officers ask."""
    for role in (Role.AGENCY, Role.AUDITOR, Role.NODE):
        with pytest.raises(AccessDenied):
            rig.ask(officer(role, "x"))
    assert rig.states() == []


def test_another_digest_confirms_nothing(rig: Rig) -> None:
    """Who was shown something else, or nothing, has not confirmed this."""
    action, other = rig.ask(), rig.ask(ids=("q-3",))
    for digest in (b"", b"x" * 32, other.digest):
        assert reason_of(lambda digest=digest: rig.confirm(action, digest=digest)) == "ACTION_DIGEST"  # type: ignore[misc]
    assert rig.done == []


def test_it_can_be_confirmed_for_a_day(rig: Rig) -> None:
    """A second before it is in time; a second later it has expired, and the journal says so."""
    first, second, third = rig.ask(), rig.ask(ids=("q-2",)), rig.ask(ids=("q-3",))
    rig.running.clock.forward(VALID_FOR.total_seconds() - 1)
    assert rig.confirm(first).state == ActionState.ACTION_STATE_DONE
    rig.running.clock.forward(2)
    assert reason_of(lambda: rig.confirm(second)) == "ACTION_CLOSED"
    rig.flow().tick(rig.running.clock())
    assert rig.states()[-2:] == ["EXPIRED cq", "EXPIRED cq"]
    assert rig.bells == []
    page = rig.flow().page(include_closed=True, page_size=0, page_token="")
    assert {row.action_id: row.state for row in page.rows} == {
        first.action_id: ActionState.ACTION_STATE_DONE,
        second.action_id: ActionState.ACTION_STATE_EXPIRED,
        third.action_id: ActionState.ACTION_STATE_EXPIRED,
    }


def test_the_other_refuses_or_the_asker_takes_back(rig: Rig) -> None:
    """Either ends it with a reason; nobody else may, and what is refused is not confirmed any more."""
    for who in (SECURITY, OPERATOR):
        action = rig.ask()
        flow, now = rig.flow(), rig.running.clock()
        stranger = officer(Role.OPERATOR, "zhao")
        assert reason_of(lambda: flow.refuse(action.action_id, "why", stranger, now)) == "ROLE_NOT_ALLOWED"  # noqa: B023
        assert reason_of(lambda: flow.refuse(action.action_id, " ", who, now)) == "REASON_MISSING"  # noqa: B023
        assert flow.refuse(action.action_id, "不妥", who, now).state == ActionState.ACTION_STATE_REFUSED
        assert reason_of(lambda: rig.confirm(action)) == "ACTION_CLOSED"  # noqa: B023
    assert rig.done == []
    with pytest.raises(NotFound):
        rig.flow().refuse("nothing", "why", SECURITY, rig.running.clock())


def test_asking_again_while_it_waits_asks_once(rig: Rig) -> None:
    """The same request of the same officer is the same action; later, or of another, it is a new one."""
    first = rig.ask()
    assert rig.ask().action_id == first.action_id
    assert rig.ask(SECURITY).action_id != first.action_id
    rig.confirm(first)
    assert rig.ask().action_id != first.action_id


def test_so_many_may_wait(rig: Rig) -> None:
    """A flood of requests ends; what waits can be confirmed, and makes room."""
    first = rig.ask(ids=("q-first",))
    for number in range(MAX_OPEN - 1):
        rig.ask(ids=(f"q-{number}",))
    assert reason_of(lambda: rig.ask(ids=("one-more",))) == "ACTIONS_FULL"
    rig.confirm(first)
    rig.ask(ids=("one-more",))


def test_of_two_that_confirm_at_once_one_does(rig: Rig) -> None:
    """Many threads, one execution."""
    action = rig.ask()
    outcomes: list[str] = []

    def confirm(number: int) -> None:
        try:
            rig.confirm(action, officer(Role.SECURITY, f"s{number}"))
            outcomes.append("done")
        except Refused as refused:
            outcomes.append(refused.reason)

    threads = [threading.Thread(target=confirm, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ACTION_CLOSED"] * 5 + ["done"]
    assert len(rig.done) == 1


def test_what_was_confirmed_is_done_after_a_restart(rig: Rig) -> None:
    """The database did not take it just then, or the process died: the next start does it, and asks nobody again."""
    rig.failure = WriterBusyError()
    action = rig.ask()
    assert rig.confirm(action).state == ActionState.ACTION_STATE_CONFIRMED
    rig.failure = None
    rig.flow().tick(rig.running.clock())
    assert len(rig.done) == 1
    assert rig.done[0][1].confirmed_by == SECURITY.identity
    rig.flow().tick(rig.running.clock())
    assert len(rig.done) == 1
    assert rig.states()[-1] == "DONE cq"


def test_what_can_not_be_done_fails_with_its_reason(rig: Rig) -> None:
    """Meanwhile things changed: FAILED says why, and the action is over."""
    rig.failure = Refused([Problem("LANE_NOT_STOPPED", "lane")])
    after = rig.confirm(rig.ask())
    assert after.state == ActionState.ACTION_STATE_FAILED
    assert "LANE_NOT_STOPPED" in after.outcome


def test_the_journal_alone_gives_the_register(rig: Rig) -> None:
    """Replaying its lines makes every action anew: waiting, done and refused ones."""
    waiting, done = rig.ask(), rig.ask(ids=("q-9",))
    rig.confirm(done)
    rig.flow().refuse(rig.ask(ids=("q-8",)).action_id, "不妥", SECURITY, rig.running.clock())
    rebuilt: dict[bytes, bytes] = {}
    with rig.running.node.database.read() as connection:
        for event in rig.running.journal("action_changed"):
            assert is_register_event(event)
            for change in changes_of(connection, event, 0, 0):
                assert change.row is not None
                rebuilt[change.key[0]] = change.row["action"]
        rows = actions.page(connection, before=None, limit=100, include_closed=True)
    assert sorted(rebuilt.values()) == sorted(row.SerializeToString(deterministic=True) for row in rows)
    assert len(rows) == 3
    assert rig.flow().page(include_closed=False, page_size=0, page_token="").rows == (waiting,)


def test_pages_follow_each_other(rig: Rig) -> None:
    """Newest first, without a gap."""
    ids = [rig.ask(ids=(f"q-{number}",)).action_id for number in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = rig.flow().page(include_closed=False, page_size=2, page_token=token)
        seen += [row.action_id for row in page.rows]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    for size, wrong, reason in ((501, "", "PAGE_SIZE"), (1, "x", "PAGE_TOKEN")):
        with pytest.raises(Refused) as refused:
            rig.flow().page(include_closed=False, page_size=size, page_token=wrong)
        assert refused.value.reason == reason
