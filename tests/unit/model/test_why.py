"""What a history tells of a flow."""

from datetime import UTC, datetime, timedelta

import pytest

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.states import Event, FlowState, Status, StepStatus, timestamp
from nomadflows.model.why import Times, explain, memory, slowest

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return timestamp(NOON + timedelta(seconds=seconds))


def event(seconds: float, reason: str, state: FlowState, took: float | None = None, by: str = "controller") -> Event:
    return Event(at(seconds), reason, f"{reason} it is", state.value, took, by)


HISTORY = [
    event(0, "StartRequested", FlowState.STARTING, by="anna@desk"),
    event(4, "StepsReady", FlowState.RUNNING, 4.0),
    event(64, "WorkDone", FlowState.RUNNING),
    event(66, "Parked", FlowState.SLEEPING),
    event(366, "MessageArrived", FlowState.RUNNING),
    event(367.5, "Awake", FlowState.RUNNING, 1.5),
    event(400, "Parked", FlowState.SLEEPING),
]
SLEEPING = Status(FlowState.SLEEPING, at(400), 1, parked_s=300.0, steps=(
    StepStatus("a", "trigger", "files@1.0.0", ready_s=0.7), StepStatus("b", "action", "sql@1.0.0", ready_s=1.4),
    StepStatus("c", "action", "log@1.0.0"),
))  # fmt: skip


def test_each_transition_with_the_state_before_and_how_long_it_held():
    why = explain(HISTORY, SLEEPING, 0, NOON + timedelta(seconds=500))

    assert [(e.reason, e.was, e.state, e.took_s, e.lasted_s) for e in why.entries] == [
        ("StartRequested", "", "Starting", None, 4.0),
        ("StepsReady", "Starting", "Running", 4.0, 62.0),
        ("WorkDone", "", "Running", None, None),
        ("Parked", "Running", "Sleeping", None, 300.0),
        ("MessageArrived", "Sleeping", "Running", None, 34.0),
        ("Awake", "", "Running", 1.5, None),
        ("Parked", "Running", "Sleeping", None, 100.0),
    ]
    assert [e.by for e in why.entries[:2]] == ["anna@desk", "controller"]


def test_what_parking_saved_counts_the_present_sleep_too():
    why = explain(HISTORY, SLEEPING, 1024, NOON + timedelta(seconds=400 + 3300))

    assert why.parked_s == 3600.0
    assert why.saved_gib_hours == 1.0
    assert why.parked_share == pytest.approx(3600 / 3700, abs=1e-4)


def test_wakes_and_warm_ups():
    why = explain([*HISTORY, event(401, "Awake", FlowState.RUNNING, 0.5)], SLEEPING, 0, NOON)

    assert why.wakes == Times(count=2, last_s=0.5, median_s=1.0, longest_s=1.5)
    assert why.warm_ups == Times(1, 4.0, 4.0, 4.0)
    assert why.slowest == ("b", 1.4)


def test_time_stopped_is_no_time_awake():
    history = [
        event(0, "Parked", FlowState.SLEEPING),
        event(10, "StopRequested", FlowState.STOPPING),
        event(11, "Stopped", FlowState.STOPPED),
    ]

    assert explain(history, Status(), 0, NOON + timedelta(days=9)).parked_share == 1.0


def test_a_flow_without_a_history():
    why = explain([], Status(), 512, NOON)

    assert (why.entries, why.wakes, why.parked_share, why.parked_s, why.saved_gib_hours) == ((), None, None, 0.0, 0.0)
    assert slowest(Status()) is None


def test_memory_is_that_of_all_processes_mappers_included():
    steps = [
        {"id": "a", "use": "timer:tick", "resources": {"memory": 64}},
        {"id": "b", "use": "sql:upsert", "map": {"x": "y"}, "replicas": 2, "resources": {"memory": 100}},
    ]
    run = expand(FlowDefinition.from_json({"flow": "f", "steps": steps}))

    assert memory(run, {}, {}) == 64 + 100 + 200
    assert memory(run, {}, {"b": 5}) == 64 + 100 + 500
