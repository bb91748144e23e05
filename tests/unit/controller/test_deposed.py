"""A leader that is paused in the middle of its work, and goes on when another leads.

Two real reconcilers work on the same servers in memory. In one run each, the first is paused after one of its calls, or
right before it writes to Consul or Nomad, which look at the lock or the index themselves. The second finishes what was
begun, people go on with the flow, and then the first continues where it was: it must change nothing at all.

Left out is the moment between a look at the lock and a call to RabbitMQ or Vault, or a purge in Nomad: nobody can look
for them (docs/critique.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from nomadflows.model.states import FlowState, WantedState
from tests.unit.controller.simulation import Simulation, in_memory

_WEEK_S: Final = 8 * 86_400.0
_SELF_CHECKING: Final = ("before write_status", "before register")
Scene = Callable[[Simulation], None]


def state(sim: Simulation) -> FlowState:
    return sim.servers.read_status().state


def becomes(sim: Simulation, wanted: FlowState) -> None:
    assert sim.live(60, lambda: state(sim) is wanted), sim.servers.read_status()


def starts_anew(sim: Simulation) -> None:
    """With messages in every queue, none of them processed yet."""
    becomes(sim, FlowState.STOPPED)
    sim.wish(WantedState.RUNNING)
    becomes(sim, FlowState.RUNNING)
    sim.send(3, "receive")
    sim.send(3, "note")


def goes_on(sim: Simulation) -> None:
    """It comes to rest, and works again."""
    assert sim.live(400, sim.at_rest), sim.servers.read_status()
    sim.send(3, "receive")
    becomes(sim, FlowState.RUNNING)
    sim.send(3, "note")


def resumes(sim: Simulation) -> None:
    becomes(sim, FlowState.SUSPENDED)
    sim.wish(WantedState.RUNNING, force=True)
    becomes(sim, FlowState.RUNNING)
    sim.send(3, "note")


def a_stop(sim: Simulation) -> None:
    sim.send(4, "note")
    sim.wish(WantedState.STOPPED)


def a_replacement(sim: Simulation) -> None:
    sim.send(4, "note")
    sim.publish("replace")


def a_hand_over(sim: Simulation) -> None:
    sim.send(4, "note")
    sim.publish("handover")


def a_park(sim: Simulation) -> None:
    sim.signal()


def a_suspension(sim: Simulation) -> None:
    sim.send(4, "note")
    sim.wish(WantedState.SUSPENDED)


def an_end_of_retention(sim: Simulation) -> None:
    a_suspension(sim)
    becomes(sim, FlowState.SUSPENDED)
    sim.servers.now_s += _WEEK_S
    sim.signal()


def paused(begin: Scene, then: Scene, point: int) -> bool:
    """Whether there is such a point in the work of the first leader."""
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.RUNNING)
        begin(sim)
        servers, left, picture = sim.servers, point, None

        def hook(where: str) -> None:
            nonlocal left, picture
            if not where.startswith("after ") and where not in _SELF_CHECKING:
                return
            left -= 1
            if left < 0:
                servers.hook = lambda _where: None
                sim.fence.is_leader = False
                sim.next_controller()
                then(sim)
                picture = servers.picture()

        servers.hook = hook
        sim.live(12, lambda: picture is not None)
        if picture is None:
            return False
        assert servers.picture() == picture
        return True


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (a_stop, starts_anew),
        (a_replacement, goes_on),
        (a_hand_over, goes_on),
        (a_park, goes_on),
        (a_suspension, resumes),
        (an_end_of_retention, resumes),
    ],
)
def test_a_deposed_leader_that_goes_on_changes_nothing(begin: Scene, then: Scene) -> None:
    point = 0
    while paused(begin, then, point):
        point += 1
    assert point > 10
