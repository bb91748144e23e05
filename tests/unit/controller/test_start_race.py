"""The race between a start and the first messages, forced at every point of it: what was taken in is processed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, WantedState
from tests.unit.controller.fakes import LeaderDied
from tests.unit.controller.servers import FLOW
from tests.unit.controller.simulation import Simulation, in_memory

Wish = Callable[[Simulation], None]


def first_start(_sim: Simulation) -> None:
    """Nothing came before."""


def started_before(sim: Simulation) -> None:
    becomes(sim, FlowState.RUNNING)
    sim.wish(WantedState.STOPPED)
    becomes(sim, FlowState.STOPPED)


def suspended_before(sim: Simulation) -> None:
    becomes(sim, FlowState.RUNNING)
    sim.wish(WantedState.SUSPENDED)
    becomes(sim, FlowState.SUSPENDED)


def becomes(sim: Simulation, state: FlowState) -> None:
    sim.wish(WantedState.RUNNING if state is FlowState.RUNNING else sim.servers.read_desired().state)
    assert sim.live(60, lambda: sim.servers.read_status().state is state), sim.servers.read_status()


def start(before: Wish, comes_at: int = 0, dies_at: int = 0) -> int:
    """A start with a message at one point and the end of the leader at another; how many points there were."""
    with in_memory() as sim:
        sim.publish()
        before(sim)
        sim.wish(WantedState.RUNNING)
        point = 0

        def hook(_where: str) -> None:
            nonlocal point
            point += 1
            if point == comes_at:
                sim.send()
            if point == dies_at:
                raise LeaderDied

        sim.servers.hook = hook
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.RUNNING), sim.servers.read_status()
        sim.servers.hook = lambda _where: None
        assert sim.servers.read_status().input_version == 1
        assert sim.live(60, sim.at_rest), sim.waiting()
        assert set(sim.servers.done) == sim.accepted
        return point


@pytest.mark.parametrize("before", [first_start, started_before, suspended_before])
def test_a_message_at_any_point_of_a_start_is_processed_or_not_taken(before: Wish) -> None:
    points = start(before)
    assert points > 20
    for point in range(1, points + 1):
        start(before, comes_at=point)


def test_a_leader_that_dies_while_it_starts_a_flow_opens_it_to_no_message_too_early() -> None:
    points = start(first_start)
    for point in range(1, points + 1):
        start(first_start, comes_at=point + 2, dies_at=point)


def test_a_suspended_flow_takes_messages_while_it_is_resumed() -> None:
    with in_memory() as sim:
        sim.publish()
        suspended_before(sim)
        sim.wish(WantedState.RUNNING)
        taken: set[int] = set()
        sim.servers.hook = lambda _where: taken.add(sim.servers.read_status().input_version)
        becomes(sim, FlowState.RUNNING)
        assert taken == {1}


def test_what_came_while_a_queue_was_missing_reaches_it_when_it_is_back() -> None:
    with in_memory(idle_s=60) as sim:
        sim.publish()
        becomes(sim, FlowState.RUNNING)
        sim.servers.delete_queue(FLOW.version(1).queue("receive"))
        sim.send(3)
        assert len(sim.servers.unrouted) == 3
        other = (FlowRef("default", "other").version(1).exchange, "receive.input", 99)
        sim.servers.unrouted.append(other)
        sim.hints.add("full")
        sim.signal()
        assert sim.live(20, lambda: set(sim.servers.done) == sim.accepted), sim.waiting()
        assert sim.servers.unrouted == [other]
