"""Requests that are mostly none, thousands of them: no 500, no crash, no message without an answer, nothing held."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nomadflows.broker.broker import Broker
from nomadflows.gateway.application import Gateway
from nomadflows.store.requests import suspend
from tests.gateways import builtins
from tests.unit.gateway import anybytes
from tests.unit.gateway.served import Served
from tests.world import World

BATCHES = st.lists(anybytes.requests(), min_size=10, max_size=10)


@pytest.mark.slow
def test_ten_thousand_requests_of_any_bytes() -> None:
    with anybytes.hurried() as served:

        @settings(max_examples=1000)
        @given(batch=BATCHES)
        def ask(batch: list[bytes]) -> None:
            served.gate.broker.published.clear()
            accepted = anybytes.all_at_once(served, batch)
            assert len(served.gate.broker.published) == accepted
            served.settles()

        ask()


@pytest.mark.slow
@pytest.mark.stack
def test_a_thousand_requests_of_any_bytes_through_a_whole_gateway(world: World, tmp_path: Path) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    # Given a flow that keeps what it gets
    steps = [
        {"id": "receive", "use": "webhook:receive"},
        {"id": "note", "use": "probe:relay", "with": {"out": str(tmp_path / "out")}},
    ]
    flow = world.start_flow("orders", {"steps": steps})
    suspend(world.store, flow, by="test")
    world.flow_becomes(flow, "Suspended")
    app = Gateway(world.settings)
    real: Any = SimpleNamespace(app=app, directory=app._directory)
    accepted = 0
    with Served(real, lifespan="on", **anybytes.HURRY) as served:

        @settings(max_examples=100, deadline=None)
        @given(batch=BATCHES)
        def ask(batch: list[bytes]) -> None:
            nonlocal accepted
            accepted += anybytes.all_at_once(served, batch)

        ask()
        served.until(lambda: app._hooks._memory.taken == 0 and served.connections == 0)
    # Then there is one message for each 200, and no other
    assert accepted > 20
    queue = flow.version(world.status(flow).input_version).queue("receive")
    with Broker(world.settings.amqp_uri, world.settings.rabbitmq_api) as broker:
        assert broker.waiting(flow.workspace, queue) == accepted
