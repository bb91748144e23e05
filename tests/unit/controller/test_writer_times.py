"""What the status tells of times: how soon each step was ready, how long the flow was parked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nomadflows.controller.writer import _parked_s, _ready_s, _slowest
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Status, StepStatus, WantedState, timestamp
from nomadflows.plan.seen import QueueSeen, Seen, VersionSeen
from tests.unit.controller.simulation import in_memory

BEGIN = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
UP, AWAY = QueueSeen(0, 1), QueueSeen(0, 0)


def seen(state: FlowState, after_s: float, **more: Any) -> Seen:
    status = Status(state=state, since=timestamp(BEGIN), **more)
    return Seen(FlowRef("default", "f"), BEGIN + timedelta(seconds=after_s), Desired(), status, VersionSeen(1))


def step(consumers: int, ready_s: float | None) -> StepStatus:
    return StepStatus("a", "action", "c@1.0.0", consumers=consumers, ready_s=ready_s)


def test_a_step_is_ready_with_its_first_consumer() -> None:
    assert _ready_s(seen(FlowState.STARTING, 1.0), None, None) is None
    assert _ready_s(seen(FlowState.STARTING, 1.0), step(0, None), AWAY) is None
    assert _ready_s(seen(FlowState.STARTING, 1.25), step(0, None), UP) == 1.25
    assert _ready_s(seen(FlowState.STARTING, 4.0), step(1, 1.25), UP) == 1.25


def test_it_holds_until_the_next_start_or_wake_begins() -> None:
    assert _ready_s(seen(FlowState.RUNNING, 9.0), step(0, 1.25), UP) == 1.25
    assert _ready_s(seen(FlowState.SLEEPING, 9.0), step(0, 1.25), AWAY) == 1.25
    waking = timestamp(BEGIN + timedelta(seconds=10))
    assert _ready_s(seen(FlowState.RUNNING, 10.1, waking=waking), step(0, 1.25), AWAY) is None
    assert _ready_s(seen(FlowState.RUNNING, 10.4, waking=waking), step(0, None), UP) == 0.4


def test_parked_time_counts_however_the_sleep_ends() -> None:
    asleep = seen(FlowState.SLEEPING, 60, parked_s=5.0)

    for state in (FlowState.RUNNING, FlowState.STOPPING, FlowState.SUSPENDING, FlowState.STARTING):
        assert _parked_s(asleep, state) == 65.0
    assert _parked_s(asleep, FlowState.SLEEPING) == 5.0
    assert _parked_s(seen(FlowState.RUNNING, 60, parked_s=5.0), FlowState.SLEEPING) == 5.0


def test_the_slowest_step_is_named() -> None:
    steps = (step(1, 0.5), StepStatus("b", "action", "c@1.0.0", ready_s=2.125))

    assert _slowest(Status(steps=steps)) == "; slowest: b, 2.12 s"
    assert _slowest(Status()) == ""


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        (WantedState.STOPPED, FlowState.STOPPED),
        (WantedState.SUSPENDED, FlowState.SUSPENDED),
        (WantedState.RUNNING, FlowState.SLEEPING),
    ],
)
def test_when_a_flow_was_started_and_came_to_rest_is_not_when_it_was_last_looked_at(
    wanted: WantedState, state: FlowState
) -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.RUNNING)
        begun = sim.servers.read_status().started
        if wanted is not WantedState.RUNNING:
            sim.wish(wanted)
        assert sim.live(60, lambda: sim.servers.read_status().state is state)
        came = timestamp(sim.servers.now())
        # When full rounds look at it, also those of the next leader
        for _ in range(3):
            sim.servers.now_s += 300
            sim.next_controller()
            sim.turn()
        # Then the times that people are told are those of what happened
        status = sim.servers.read_status()
        assert (status.state, status.since, status.started) == (state, came, begun)
        assert sim.servers.history[-1][-1].at == came
        assert {one.at for one in status.conditions} == {came}
