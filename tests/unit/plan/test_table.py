"""The table of states against the decisions: for every state, signal, kind and workspace type, what is seen of it leads to
the state that the table names, or nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest

from nomadflows.model.lifecycle import Signal, next_state
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Kind, Status, WantedState, WorkspaceType, timestamp
from nomadflows.plan.decide import decide
from nomadflows.plan.decision import Act
from nomadflows.plan.seen import JobSeen, Processes, QueueSeen, Seen, VersionSeen

S = FlowState
NOW: Final = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
STEPS: Final = {"read": 1, "store": 1}
LIVE: Final = Processes(live=STEPS)
UP, PARKED = JobSeen(7, STEPS), JobSeen(7, dict.fromkeys(STEPS, 0))
EMPTY: Final = {step: QueueSeen(0, 0, 0) for step in STEPS}
CONSUMED: Final = {step: QueueSeen(0, 1, 0) for step in STEPS}
HALF: Final = {**CONSUMED, "store": QueueSeen(0, 0, 0)}

WANTED: Final = {S.STOPPED: "stopped", S.STOPPING: "stopped", S.SUSPENDING: "suspended", S.SUSPENDED: "suspended"}
VIEWS: Final = {
    S.STOPPED: VersionSeen(1, queues=EMPTY, rebounding=0),
    S.STARTING: VersionSeen(1, job=UP, processes=LIVE, queues=HALF, rebounding=0),
    S.RUNNING: VersionSeen(1, job=UP, processes=LIVE, queues=CONSUMED, rebounding=0),
    S.SLEEPING: VersionSeen(1, job=PARKED, queues=EMPTY, rebounding=0),
    S.SUSPENDING: VersionSeen(1, job=PARKED, processes=LIVE, queues=CONSUMED, rebounding=0),
    S.SUSPENDED: VersionSeen(1, job=PARKED, queues=EMPTY, rebounding=0),
    S.STOPPING: VersionSeen(1, processes=LIVE, queues=CONSUMED, rebounding=0),
}


def undisturbed(state: FlowState, kind: Kind, workspace: WorkspaceType) -> Seen:
    """A flow that stays where it is."""
    version = 0 if state is S.STOPPED else 1
    started = timestamp(NOW - timedelta(hours=7))
    return Seen(
        ref=FlowRef("default", "orders"),
        now=NOW,
        desired=Desired(WantedState(WANTED.get(state, "running")), version=1, generation=3, by="ann"),
        status=Status(state=state, version=version, since=timestamp(NOW), started=started, job_index=7),
        current=VIEWS[state],
        kind=kind,
        workspace=workspace,
        replicas=STEPS,
    )


def with_signal(seen: Seen, signal: Signal) -> Seen:
    """The same flow, once that has happened."""
    wish, view = seen.desired, seen.current
    full = {"read": view.queues["read"], "store": replace(view.queues["store"], ready=70_000)}  # type: ignore[index, type-var]
    ready = {**view.queues, "store": replace(view.queues["store"], ready=1)}  # type: ignore[dict-item, index, type-var]
    return {
        Signal.START: lambda: replace(seen, desired=replace(wish, state=WantedState.RUNNING)),
        Signal.RESUME: lambda: replace(seen, desired=replace(wish, state=WantedState.RUNNING)),
        Signal.STOP: lambda: replace(seen, desired=replace(wish, state=WantedState.STOPPED)),
        Signal.SUSPEND: lambda: replace(seen, desired=replace(wish, state=WantedState.SUSPENDED)),
        Signal.REPLACE: lambda: replace(seen, desired=replace(wish, version=2)),
        Signal.STEPS_READY: lambda: replace(seen, current=replace(view, queues=CONSUMED)),
        Signal.WORK_DONE: lambda: replace(seen, idle_for_s=1e6),
        Signal.MESSAGE: lambda: replace(seen, message=True, current=replace(view, queues=ready)),
        Signal.STEPS_GONE: lambda: replace(seen, current=replace(view, processes=Processes(), queues=EMPTY)),
        Signal.QUEUE_LIMIT: lambda: replace(seen, current=replace(view, queues=full), overfull_s={"store": 60.0}),
        Signal.START_FAILURES: lambda: replace(seen, failures={"store": 5}),
        Signal.OUT_OF_MEMORY: lambda: replace(seen, out_of_memory={"store": 3}),
        Signal.TIME_UP: lambda: replace(seen, now=NOW + timedelta(hours=1)),
    }[signal]()


def reached(seen: Seen) -> FlowState:
    """The state that the next decision leads to; a park is followed to its end."""
    decision = decide(seen)
    if decision.act is Act.PREPARE_PARK:
        gone = replace(seen.current, job=PARKED, processes=Processes(), queues=EMPTY)
        decision = decide(replace(seen, status=replace(seen.status, parking=True), current=gone))
    return decision.state or seen.status.state


def expected(state: FlowState, signal: Signal, kind: Kind, workspace: WorkspaceType) -> FlowState:
    def table(*signals: Signal) -> FlowState:
        return next((found for one in signals if (found := next_state(state, one, kind, workspace))), state)

    if signal in {Signal.START, Signal.RESUME}:  # one wish: that the flow runs
        return table(Signal.START, Signal.RESUME)
    if (state, signal) == (S.STOPPED, Signal.SUSPEND):  # a start and a suspension that were asked for in one breath
        return table(Signal.START)
    if (state, signal) == (S.SLEEPING, Signal.QUEUE_LIMIT):  # a full queue holds messages
        return table(Signal.MESSAGE)
    return table(signal)


@pytest.mark.parametrize(("state", "kind", "workspace"), list(product(FlowState, Kind, WorkspaceType)))
def test_a_flow_to_which_nothing_happens_stays_where_it_is(
    state: FlowState, kind: Kind, workspace: WorkspaceType
) -> None:
    assert reached(undisturbed(state, kind, workspace)) is state


@pytest.mark.parametrize(
    ("state", "signal", "kind", "workspace"), list(product(FlowState, Signal, Kind, WorkspaceType))
)
def test_what_is_decided_is_what_the_table_says(
    state: FlowState, signal: Signal, kind: Kind, workspace: WorkspaceType
) -> None:
    seen = with_signal(undisturbed(state, kind, workspace), signal)
    assert reached(seen) is expected(state, signal, kind, workspace), decide(seen)
