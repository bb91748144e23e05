"""Settings of a flow that are no wish: how many processes a step has, and whether drift is repaired."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Status, WantedState, timestamp
from nomadflows.plan.decide import decide
from nomadflows.plan.decision import ASKED_FOR, Act
from nomadflows.plan.seen import JobSeen, QueueSeen, Seen, VersionSeen

NOW = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
STEPS = {"orders": 1, "store": 2}
UP = JobSeen(modify_index=7, counts=STEPS)
PARKED = JobSeen(modify_index=7, counts=dict.fromkeys(STEPS, 0))
CONSUMED = {step: QueueSeen(ready=0, consumers=count, unacked=0) for step, count in STEPS.items()}
EMPTY = {step: QueueSeen(ready=0, consumers=0) for step in STEPS}


def seen(state: FlowState, *, job: JobSeen | None = UP, repair: bool = True, **changes: Any) -> Seen:
    wanted = WantedState.SUSPENDED if state is FlowState.SUSPENDED else WantedState.RUNNING
    queues = CONSUMED if state is FlowState.RUNNING else EMPTY
    base = Seen(
        ref=FlowRef("default", "orders"),
        now=NOW,
        status=Status(state=state, version=1, since=timestamp(NOW), job_index=7),
        desired=Desired(wanted, 1, 3, by="ann", repair=repair),
        current=VersionSeen(1, job=job, queues=queues, rebounding=0),
        replicas=STEPS,
    )
    return replace(base, **changes)


def test_a_running_flow_takes_over_another_number_of_processes() -> None:
    decision = decide(seen(FlowState.RUNNING, replicas={"orders": 1, "store": 5}))

    assert (decision.act, decision.reason, decision.message) == (Act.SCALE, "Scaled", "Processes: store 2 → 5")


def test_a_number_that_the_controller_decides_is_told_with_its_figures_and_is_not_a_persons_doing() -> None:
    by_depth = {"store": "410 waiting, 9.0 more each second"}
    decision = decide(seen(FlowState.RUNNING, replicas={"orders": 1, "store": 5}, autoscaled=by_depth))

    assert (decision.act, decision.reason) == (Act.SCALE, "Autoscaled")
    assert decision.message == "Processes: store 2 → 5 (410 waiting, 9.0 more each second)"
    assert decision.reason not in ASKED_FOR

    both = decide(seen(FlowState.RUNNING, replicas={"orders": 3, "store": 5}, autoscaled=by_depth))
    assert both.reason == "Scaled"


def test_a_number_that_somebody_else_changed_in_nomad_is_drift() -> None:
    theirs = JobSeen(modify_index=8, counts={"orders": 1, "store": 5})

    assert decide(seen(FlowState.RUNNING, job=theirs)).reason == "DriftRepaired"


def test_a_sleeping_flow_is_not_woken_by_a_new_scale() -> None:
    assert decide(seen(FlowState.SLEEPING, job=PARKED, replicas={"orders": 1, "store": 5})).act is Act.WAIT


def test_a_starting_flow_starts_with_its_scale() -> None:
    assert decide(seen(FlowState.STARTING, replicas={"orders": 1, "store": 5})).act is Act.BRING_UP


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (FlowState.RUNNING, {"job": None}),
        (FlowState.RUNNING, {"job": JobSeen(modify_index=8, counts=STEPS)}),
        (FlowState.RUNNING, {"drifted": ("a binding is missing",)}),
        (FlowState.SLEEPING, {"job": None}),
        (FlowState.SLEEPING, {"job": PARKED, "drifted": ("a binding is missing",)}),
        (FlowState.SUSPENDED, {"job": UP}),
    ],
)
def test_with_repair_paused_drift_is_told_and_left(state: FlowState, changes: dict[str, Any]) -> None:
    assert decide(seen(state, **changes)).reason == "DriftRepaired"

    paused = decide(seen(state, repair=False, idle_for_s=1e6, **changes))

    assert (paused.act, paused.reason) == (Act.WAIT, "RepairPaused")
    assert paused.message.startswith("Repair is paused, so it is left: ")
    assert paused.recheck_s


def test_with_repair_paused_all_else_goes_on() -> None:
    assert decide(seen(FlowState.RUNNING, repair=False, idle_for_s=60.0)).act is Act.PREPARE_PARK
    assert decide(seen(FlowState.SLEEPING, job=PARKED, repair=False, message=True)).act is Act.WAKE
    assert decide(seen(FlowState.RUNNING, repair=False, replicas={"orders": 1, "store": 3})).act is Act.SCALE
    stop = Desired(WantedState.STOPPED, 1, 4, repair=False)
    assert decide(seen(FlowState.RUNNING, job=None, desired=stop)).reason == "StopRequested"
