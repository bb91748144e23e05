"""What is told while something takes long, and how often it is looked at meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from nomadflows.model.states import FlowState, Status, timestamp
from nomadflows.plan.decide import decide
from nomadflows.plan.decision import Act
from nomadflows.plan.seen import Processes, QueueSeen, Seen, VersionSeen
from tests.unit.plan.test_decide import CONSUMED, EMPTY, NOW, PARKED, UP, seen

STILL_THERE = Processes(live={"store": 1})


def leaving(state: FlowState, after_s: float, version: VersionSeen) -> Seen:
    wanted = {FlowState.STOPPING: "stopped", FlowState.SUSPENDING: "suspended"}[state]
    return seen(state, wanted, current=version, now=NOW + timedelta(seconds=after_s))


@pytest.mark.parametrize("state", [FlowState.STOPPING, FlowState.SUSPENDING])
def test_steps_that_take_long_to_leave_are_named(state: FlowState) -> None:
    job = None if state is FlowState.STOPPING else PARKED
    there = VersionSeen(1, job=job, processes=STILL_THERE, queues=EMPTY)
    assert decide(leaving(state, 1, there)).message == "Steps finish what they hold and exit"
    late = decide(leaving(state, 40, there))
    assert late.message == "Steps finish what they hold and exit: store; this takes longer than expected (40 s)"
    assert late.reason == "StepsLeaving"


@pytest.mark.parametrize("state", [FlowState.STOPPING, FlowState.SUSPENDING])
def test_a_consumer_that_is_no_process_of_the_flow_is_told_of(state: FlowState) -> None:
    job = None if state is FlowState.STOPPING else PARKED
    queues = {**EMPTY, "store": QueueSeen(0, 1)}
    decision = decide(leaving(state, 1, VersionSeen(1, job=job, queues=queues)))
    assert (decision.act, decision.reason) == (Act.WAIT, "ConsumersLeft")
    assert "consumers of store" in decision.message


@pytest.mark.parametrize("state", [FlowState.STOPPING, FlowState.SUSPENDING])
def test_a_broker_that_is_away_is_not_taken_for_steps_that_leave(state: FlowState) -> None:
    job = None if state is FlowState.STOPPING else PARKED
    decision = decide(leaving(state, 1, VersionSeen(1, job=job)))
    assert (decision.act, decision.reason) == (Act.WAIT, "BrokerUnknown")


@pytest.mark.parametrize("state", [FlowState.STARTING, FlowState.STOPPING, FlowState.SUSPENDING])
def test_what_takes_long_is_looked_at_less_and_less_often(state: FlowState) -> None:
    looks = []
    for after_s in (0.1, 2, 20, 60, 600, 6_000):
        if state is FlowState.STARTING:
            look = seen(state, current=VersionSeen(1, job=UP, queues=EMPTY), now=NOW + timedelta(seconds=after_s))
        else:
            job = None if state is FlowState.STOPPING else PARKED
            look = leaving(state, after_s, VersionSeen(1, job=job, processes=STILL_THERE, queues=EMPTY))
        looks.append(decide(look).recheck_s or 0.0)
    assert looks[:2] == [0.1, 0.1]
    assert looks == sorted(looks)
    assert looks[-1] == looks[-2] == 5.0


def test_a_wake_is_watched_closely_and_a_step_that_fell_out_of_a_running_flow_is_not() -> None:
    one = {**CONSUMED, "store": QueueSeen(0, 0)}
    fell_out = seen(FlowState.RUNNING, current=VersionSeen(1, job=UP, queues=one, rebounding=0))
    assert (decide(fell_out).recheck_s or 0.0) > 1.0
    status = Status(FlowState.RUNNING, version=1, since=timestamp(NOW), job_index=7, waking=timestamp(NOW))
    assert decide(replace(fell_out, status=status, now=NOW + timedelta(seconds=1))).recheck_s == 0.1


def test_a_suspended_flow_takes_nothing_in_after_its_retention() -> None:
    status = Status(FlowState.SUSPENDED, version=1, since=timestamp(NOW), job_index=7, input_version=1)
    kept = VersionSeen(1, job=PARKED, queues=EMPTY)
    week = seen(FlowState.SUSPENDED, "suspended", status=status, current=kept, now=NOW + timedelta(days=7), aside=0)
    assert decide(week).act is Act.DROP
    assert "Suspended for over 7d: 0 messages dropped, and no more are taken in" in decide(week).message
    closed = replace(week, status=replace(status, input_version=0))
    assert decide(closed).act is Act.WAIT


def test_a_version_that_fails_before_all_that_the_old_one_left_has_moved_is_not_left_to_that() -> None:
    status = Status(FlowState.RUNNING, version=2, replacing=1, since=timestamp(NOW), job_index=7, input_version=2)
    gone = VersionSeen(1, queues=EMPTY, rebounding=0)
    base = seen(FlowState.RUNNING, status=status, old=gone, now=NOW + timedelta(seconds=60))
    moving = replace(base, desired=replace(base.desired, version=2), current=replace(base.current, number=2))
    assert decide(moving).act is Act.RETIRE
    assert decide(replace(moving, failures={"store": 5})).reason == "StartFailures"
    assert decide(replace(moving, deaf_s={"store": 301.0})).act is Act.RESTART
