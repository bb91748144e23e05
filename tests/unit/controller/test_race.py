"""The race between parking and a message, forced at every point of it.

The real reconciler parks a flow on servers in memory. Before and after each of its calls, and between the looks at two
queues, one thing happens in one run each: a message comes, one is given back past the exchange by a process that dies,
a stranger puts one straight into a queue, the leader dies. Whatever the moment: the message is processed, by the
signals a leader gets, long before a full round.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from nomadflows.model.names import data_key
from nomadflows.model.states import FlowState, WantedState
from tests.unit.controller.fakes import LeaderDied
from tests.unit.controller.servers import FLOW
from tests.unit.controller.simulation import Simulation, in_memory

SOON_S: Final = 60.0  # a full round comes after 300 s
ASLEEP_S: Final = 8.0  # how long a parked flow is watched for calls of the controller
RANDOM_RUNS: Final = 500
Happening = Callable[[Simulation], None]


def comes_in(sim: Simulation) -> None:
    """By the front door, for the first step or a later one."""
    sim.send(1, "receive" if sim.sent % 2 else "note")


def is_given_back(sim: Simulation) -> None:
    """A process dies with a message; the broker puts it back, which no exchange sees."""
    held = [p for p in sim.servers.processes if p.group == "note"][-1]
    sim.sent += 1
    sim.accepted.add(sim.sent)
    sim.servers.queues[FLOW.version(1).queue("note")].ready.appendleft(sim.sent)
    if held.live:
        sim.die(held)


def is_the_output_of_a_last_breath(sim: Simulation) -> None:
    """The first step finishes the message it holds while it is told to leave."""
    sim.sent += 1
    if sim.servers.publish_to(FLOW.version(1).exchange, data_key("receive"), sim.sent):
        sim.accepted.add(sim.sent)


def rebounds(sim: Simulation) -> None:
    """A delay ends now."""
    sim.send(1, "note")
    number = sim.servers.queues[FLOW.version(1).queue("note")].ready.pop()
    sim.servers.wakes.clear()
    sim.servers.queues[FLOW.version(1).queue("note")].ready.append(number)
    if FLOW.version(1).exchange in sim.servers.fed:
        sim.servers.wakes.append(FLOW.version(1).exchange)
        sim.signal()


def the_leader_dies(_sim: Simulation) -> None:
    raise LeaderDied


def others_act(sim: Simulation) -> None:
    """Nomad and the processes go on while the controller looks."""
    sim.schedule()
    for process in sim.live_processes():
        sim.step(process)


def park(happenings: dict[int, Happening], *, wake_first: bool = False) -> int:
    """A flow that has nothing to do is parked; at the points named, counted from there on, something happens.
    Then all must be processed. Answers with how many points there were."""
    with in_memory(idle_s=0) as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.RUNNING)
        if wake_first:
            assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.SLEEPING)
            sim.send()
        point = 0

        def hook(_where: str) -> None:
            nonlocal point
            point += 1
            if point in happenings:
                happenings[point](sim)

        sim.servers.hook = hook
        sim.live(ASLEEP_S)
        sim.servers.hook = lambda _where: None
        assert sim.live(SOON_S, lambda: sim.at_rest() and not sim.live_processes()), sim.servers.read_status()
        assert not sim.waiting()
        assert set(sim.servers.done) == sim.accepted
        assert not sim.servers.dropped
        return point


@pytest.mark.parametrize("wake_first", [False, True], ids=["park", "wake and park"])
@pytest.mark.parametrize("happening", [comes_in, is_the_output_of_a_last_breath, rebounds])
def test_a_message_at_any_point_is_processed(happening: Happening, *, wake_first: bool) -> None:
    points = park({}, wake_first=wake_first)
    assert points > 40
    for point in range(1, points + 1):
        park({point: happening}, wake_first=wake_first)


def test_a_message_given_back_at_any_point_until_the_flow_is_parked_is_processed() -> None:
    with_look_after = park({})
    for point in range(1, with_look_after - 9):  # the look that follows some seconds after the last process went
        park({point: is_given_back})


def test_a_leader_that_dies_at_any_point_is_followed_by_one_that_finishes() -> None:
    points = park({})
    for point in range(1, points + 1):
        park({point: the_leader_dies})
        park({point: the_leader_dies, point + 1: comes_in})


def test_several_things_at_random_points() -> None:
    dice = random.Random(4)
    kinds = [comes_in, comes_in, is_the_output_of_a_last_breath, rebounds, others_act, the_leader_dies]
    for _ in range(RANDOM_RUNS):
        happenings = {dice.randint(1, 90): dice.choice(kinds) for _ in range(dice.randint(2, 5))}
        park(happenings, wake_first=dice.random() < 0.5)
