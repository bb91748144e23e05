"""Every combination of what a step's state depends on."""

from __future__ import annotations

from itertools import product

import pytest

from nomadflows.model.states import FlowState, StepState
from nomadflows.model.stepstates import step_state

F = FlowState
SLEEPING, STARTING, RUNNING = StepState.SLEEPING, StepState.STARTING, StepState.RUNNING
DOWN, SUSPENDED = StepState.SHUTTING_DOWN, StepState.SUSPENDED

# Columns: no process wanted, none consumes | wanted, none consumes | not wanted, consumes | wanted and consumes
EXPECTED = {
    F.STOPPED: (SLEEPING, SLEEPING, SLEEPING, SLEEPING),
    F.STARTING: (STARTING, STARTING, RUNNING, RUNNING),
    F.RUNNING: (SLEEPING, STARTING, RUNNING, RUNNING),
    F.SLEEPING: (SLEEPING, SLEEPING, SLEEPING, SLEEPING),
    F.SUSPENDING: (SLEEPING, SLEEPING, DOWN, DOWN),
    F.SUSPENDED: (SUSPENDED, SUSPENDED, SUSPENDED, SUSPENDED),
    F.STOPPING: (SLEEPING, SLEEPING, DOWN, DOWN),
}
PARKING = {**EXPECTED, F.RUNNING: EXPECTED[F.STOPPING]}  # only a running flow is ever parking
COLUMNS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize(("flow", "parking", "column"), list(product(FlowState, (False, True), range(4))))
def test_every_combination(flow: FlowState, parking: bool, column: int) -> None:
    wanted, consumed = COLUMNS[column]
    expected = (PARKING if parking else EXPECTED)[flow][column]
    assert step_state(flow, parking=parking, wanted=wanted, consumed=consumed) is expected


def test_a_life() -> None:
    """The way of the diagram, as the looks at a flow see it."""
    seen = [
        step_state(F.STARTING, parking=False, wanted=False, consumed=False),
        step_state(F.STARTING, parking=False, wanted=True, consumed=True),
        step_state(F.RUNNING, parking=False, wanted=True, consumed=True),
        step_state(F.RUNNING, parking=True, wanted=False, consumed=True),
        step_state(F.RUNNING, parking=True, wanted=False, consumed=False),
        step_state(F.SLEEPING, parking=False, wanted=False, consumed=False),
        step_state(F.RUNNING, parking=False, wanted=True, consumed=False),
        step_state(F.RUNNING, parking=False, wanted=True, consumed=True),
        step_state(F.SUSPENDING, parking=False, wanted=False, consumed=True),
        step_state(F.SUSPENDED, parking=False, wanted=False, consumed=False),
    ]
    assert seen == [STARTING, RUNNING, RUNNING, DOWN, SLEEPING, SLEEPING, STARTING, RUNNING, DOWN, SUSPENDED]
