"""Hostile clients against a real node: refused by name, memory bounded while they try, and given back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from exchange.rpc.limits import CallLimits
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitRecordRequest
from tests.domain.records import make_uscc
from tests.rigs.hostile import FORMS, MIB, Attack
from tests.rigs.pair import Pair, running_pair
from tests.rpc.facts import credit_of

BOUND = 64 * MIB + 4 * MIB * CallLimits().calls
"""What a node may take while strangers try: some, and a message for each call that it lets in."""

FEW, MANY = 8, 100
IDLE_S = 60
ROOM = 64 * MIB
"""What may stay: threads, connections and caches that the next callers use."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes; only one is attacked."""
    with running_pair(tmp_path_factory.mktemp("hostile")) as made:
        yield made


def _attack(pair: Pair, name: str, clients: int) -> Attack:
    node = pair.nodes["cq"]
    attack = Attack(pair.processes["cq"], node.profile(), clients)
    attack.run(FORMS[name])
    assert set(attack.answers) <= FORMS[name].reasons | {"TOO_MANY_CALLS"}, (name, attack.answers)
    assert set(attack.answers) & FORMS[name].reasons, (name, attack.answers)
    assert attack.peak <= BOUND, (name, attack.peak / MIB)
    return attack


def _served(pair: Pair) -> None:
    """An honest caller is served."""
    with pair.nodes["cq"].client() as client:
        item = RecordSubmission(idempotency_key="honest", record=credit_of(make_uscc(9_000)))
        request = SubmitRecordRequest(submission=item, validate_only=True)
        assert client.call(client.submissions.SubmitRecord, request, timeout=30).submitted.result


def test_a_few_hostile_clients_cost_little(pair: Pair) -> None:
    """Each form is refused with its reason, within the bound; an honest caller is served, and the memory given back."""
    first, *_ = [_attack(pair, name, FEW) for name in FORMS]
    _served(pair)
    assert first.back_to_idle(ROOM, IDLE_S)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_hundred_hostile_clients_cost_no_more(
    pair: Pair, name: str, record_property: Callable[[str, object], None]
) -> None:
    """As many as there are systems in a province, all at once; what it cost stands in the report (`--junitxml`)."""
    attack = _attack(pair, name, MANY)
    record_property("peak_mib", round(attack.peak / MIB))
    record_property("answers", dict(attack.answers))
    _served(pair)
    assert attack.back_to_idle(ROOM, IDLE_S)
