"""No flow can starve another: neither one that is signalled all the time nor one that always finds something to do."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from nomadflows.controller.workqueue import WorkQueue
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, WantedState
from nomadflows.plan.decision import Act, Decision
from tests.unit.controller.servers import FLOW
from tests.unit.controller.simulation import in_memory

QUIET = FlowRef("default", "quiet")


@pytest.mark.parametrize("count", [1, 8])
def test_a_quiet_flow_waits_for_each_hot_one_once_at_most(count: int) -> None:
    hot = [FlowRef("default", f"hot-{number}") for number in range(count)]
    queue = WorkQueue()
    for ref in hot:
        queue.add(ref)
    for _ in range(50):
        taken, waited = queue.take(), 0
        queue.add(QUIET, "message")
        while taken and taken[0] != QUIET:
            for ref in hot:  # each of them is signalled again and again, in work or not
                queue.add(ref, "message")
            queue.done(taken[0], 0.0)
            taken = queue.take()
            waited += 1
            assert waited <= count
        queue.done(QUIET)


def test_a_flow_that_fails_all_the_time_is_in_nobodys_way() -> None:
    queue = WorkQueue()
    failing = FlowRef("default", "failing")
    queue.add(failing)
    for _ in range(20):
        queue.add(QUIET)
        taken = queue.take()
        if taken and taken[0] == failing:
            queue.failed(*taken)
            taken = queue.take()
        assert taken is not None
        assert taken[0] == QUIET
        queue.done(QUIET)


def test_a_flow_that_always_finds_something_to_do_gives_up_its_worker() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.RUNNING)
        acts: list[Act] = []
        endless = Decision(Act.SCALE, "Scaled", "Processes change at every look")
        with (
            patch("nomadflows.controller.reconciler.decide", lambda _seen: endless),
            patch.object(sim.reconciler, "_do", lambda _look, decision: acts.append(decision.act)),
        ):
            again = sim.reconciler.work(FLOW, frozenset())
        assert len(acts) == 20
        assert again is not None
        assert 0 < again < 1
