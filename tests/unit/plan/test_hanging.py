"""Processes that run and do nothing."""

from dataclasses import replace

import pytest

from nomadflows.controller.memory import Memory
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState
from nomadflows.plan.decide import decide
from nomadflows.plan.decision import Act
from nomadflows.plan.seen import QueueSeen
from tests.unit.plan.test_decide import CONSUMED, seen

REF = FlowRef("default", "orders")


def running(**changes):
    return seen(FlowState.RUNNING, **changes)


def test_a_step_without_a_consumer_is_restarted_after_five_minutes():
    view = replace(running().current, queues={**CONSUMED, "store": QueueSeen(3, 0)})
    assert decide(running(current=view, deaf_s={"store": 299.0})).act is Act.WAIT
    decision = decide(running(current=view, deaf_s={"store": 300.0}))
    assert (decision.act, decision.reason) == (Act.RESTART, "StepHangs")
    assert "step store has consumed nothing for 300 s" in decision.message


def test_a_step_that_finishes_nothing_is_restarted_after_twenty_minutes():
    assert decide(running(stalled_s={"store": 1_199.0})).act is not Act.RESTART
    decision = decide(running(stalled_s={"store": 1_200.0}))
    assert decision.act is Act.RESTART
    assert "finished none" in decision.message


@pytest.mark.parametrize("state", [FlowState.SUSPENDING, FlowState.STOPPING])
def test_what_is_leaving_is_not_restarted(state):
    assert decide(seen(state, deaf_s={"store": 999.0})).act is not Act.RESTART


def test_clocks_run_only_while_nothing_moves():
    now = [0.0]
    memory = Memory(lambda: now[0])
    assert memory.wants_held(REF, 60)
    assert memory.held(REF, {"store": 5}) == {"store": 0.0}
    now[0] = 30.0
    assert not memory.wants_held(REF, 60)
    assert memory.held(REF, None) == {"store": 0.0}  # nothing is known of the time since
    now[0] = 60.0
    assert memory.held(REF, {"store": 5}) == {"store": 60.0}
    now[0] = 120.0
    assert memory.held(REF, {"store": 6}) == {"store": 0.0}  # it moved
    assert memory.deaf(REF, {"store"}) == {"store": 0.0}
    now[0] = 150.0
    assert memory.deaf(REF, {"store"}) == {"store": 30.0}
    memory.restarted(REF)
    assert memory.deaf(REF, {"store"}) == {"store": 0.0}
    assert memory.deaf(REF, set()) == {}
