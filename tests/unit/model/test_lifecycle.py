"""Every pair of state and signal, for both kinds and both workspace types."""

from __future__ import annotations

from itertools import product

import pytest

from nomadflows.model.lifecycle import Signal, next_state
from nomadflows.model.states import FlowState, Kind, WorkspaceType

S, N = FlowState, None
# Columns: start stop suspend resume replace | ready done message gone | queue failures oom | time-up (full, limited)
EXPECTED = {
    S.STOPPED: (S.STARTING, N, N, N, N, N, N, N, N, N, N, N, N),
    S.STARTING: (N, S.STOPPING, S.SUSPENDING, N, S.STARTING, S.RUNNING, N, N, N, N, *[S.SUSPENDING] * 2, S.STOPPING),
    S.RUNNING: (N, S.STOPPING, S.SUSPENDING, N, S.STARTING, N, S.SLEEPING, N, N, *[S.SUSPENDING] * 3, S.STOPPING),
    S.SLEEPING: (N, S.STOPPING, S.SUSPENDING, N, S.STARTING, N, N, S.RUNNING, N, N, N, N, S.STOPPING),
    S.SUSPENDING: (N, S.STOPPING, N, N, N, N, N, N, S.SUSPENDED, N, N, N, S.STOPPING),
    S.SUSPENDED: (N, S.STOPPING, N, S.STARTING, N, N, N, N, N, N, N, N, S.STOPPING),
    S.STOPPING: (N, N, N, N, N, N, N, N, S.STOPPED, N, N, N, N),
}
COLUMNS = (
    Signal.START,
    Signal.STOP,
    Signal.SUSPEND,
    Signal.RESUME,
    Signal.REPLACE,
    Signal.STEPS_READY,
    Signal.WORK_DONE,
    Signal.MESSAGE,
    Signal.STEPS_GONE,
    Signal.QUEUE_LIMIT,
    Signal.START_FAILURES,
    Signal.OUT_OF_MEMORY,
    Signal.TIME_UP,
)
BY_ITSELF = {Signal.QUEUE_LIMIT, Signal.START_FAILURES, Signal.OUT_OF_MEMORY}


def expected(state: FlowState, signal: Signal, kind: Kind, workspace: WorkspaceType) -> FlowState | None:
    plain = EXPECTED[state][COLUMNS.index(signal)]
    if signal is Signal.WORK_DONE and kind is Kind.REALTIME:
        return None
    if signal is Signal.TIME_UP and workspace is WorkspaceType.FULL:
        return None
    if signal in BY_ITSELF and workspace is WorkspaceType.LIMITED and plain is not None:
        return S.STOPPING
    return plain


@pytest.mark.parametrize(
    ("state", "signal", "kind", "workspace"), list(product(FlowState, Signal, Kind, WorkspaceType))
)
def test_every_pair(state: FlowState, signal: Signal, kind: Kind, workspace: WorkspaceType) -> None:
    assert next_state(state, signal, kind, workspace) == expected(state, signal, kind, workspace)


def test_the_table_of_this_test_is_complete() -> None:
    assert set(EXPECTED) == set(FlowState)
    assert set(COLUMNS) == set(Signal)
    assert all(len(row) == len(COLUMNS) for row in EXPECTED.values())


@pytest.mark.parametrize("state", [FlowState.STARTING, FlowState.SUSPENDING, FlowState.STOPPING])
def test_an_intermediate_state_is_never_left_by_hand_except_towards_a_stop_or_suspension(state: FlowState) -> None:
    for signal in (Signal.START, Signal.RESUME):
        assert next_state(state, signal) is None


def test_a_realtime_flow_never_sleeps() -> None:
    reachable = {next_state(state, signal, Kind.REALTIME) for state in FlowState for signal in Signal}
    assert FlowState.SLEEPING not in reachable
