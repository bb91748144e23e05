"""What the controller puts right and `flow plan` shows, in the same words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.broker.difference import Difference
from nomadflows.broker.topology import Binding, Exchange, Queue
from nomadflows.controller.drift import Drift, drift, expected
from nomadflows.controller.versions import Version, Versions
from nomadflows.model.names import WAKE_QUEUE
from nomadflows.model.states import FlowState
from tests.unit.controller.servers import FLOW

V1 = FLOW.version(1)
USER = V1.broker_user


@pytest.fixture
def version() -> Version:
    definition = {"flow": "orders", "steps": [{"id": "receive", "use": "probe:receive"}]}
    store: Any = SimpleNamespace(version=lambda _ref: {"number": 1, "definition": definition})
    return Versions().get(store, V1)


def look(version: Version, found: Difference, *, users: tuple[str, ...] = (USER,), rights: bool = True) -> Drift:
    broker: Any = SimpleNamespace(
        drift=lambda _ref, _wanted: found,
        management=SimpleNamespace(user=lambda name: name if name in users else None),
        has_rights=lambda _ref, _steps: rights,
    )
    vault: Any = SimpleNamespace(role_differs=lambda _ref, _credentials: not rights)
    return drift(broker, vault, version, expected(version, FlowState.RUNNING), {})


def test_nothing_changed(version: Version) -> None:
    assert look(version, Difference()) == Drift()


def test_each_thing_is_told_where_it_is(version: Version) -> None:
    missing = (Exchange(V1.exchange, "topic"), Queue("orders.v1.receive"), Binding(V1.exchange, "orders.errors", "*.error"))  # fmt: skip
    found = look(version, Difference(missing=missing), rights=False)
    assert found.queues == (
        "exchange orders.v1 missing",
        "queue orders.v1.receive missing",
        "binding of orders.errors to *.error missing",
    )
    assert found.user == ("broker user default.orders.v1 has other rights than it should",)
    assert found.policy == ("Vault role nomadflows.default.orders.v1 differs",)
    assert found.repairable == found.queues + found.user + found.policy
    assert look(version, Difference(), users=()).user == ("broker user default.orders.v1 missing",)


def test_what_has_other_arguments_is_told_and_not_repaired(version: Version) -> None:
    found = look(version, Difference(altered=(Queue("orders.v1.receive"),)))
    assert found.altered == ("queue orders.v1.receive has other arguments than published",)
    assert found.repairable == ()


def test_a_parked_flow_is_to_be_woken(version: Version) -> None:
    def woken_by(state: FlowState) -> set[str]:
        return {binding.key for binding in expected(version, state).bindings if binding.destination == WAKE_QUEUE}

    assert woken_by(FlowState.SLEEPING) >= {"*.input", "*.data"}
    assert woken_by(FlowState.RUNNING) == set()
