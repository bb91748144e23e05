"""`--wait`: what is reached, what makes it unreachable, what is printed on a pipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from nomadflows.cli.wait import Goal, wait_for, wait_for_tick
from nomadflows.model.errors import Conflict, Refused, WaitTimeout
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Condition, Desired, FlowState, Meta, Status, StepState, StepStatus, WantedState
from nomadflows.store.documents import FlowRecord, Versioned

REF = FlowRef("default", "orders")
STEPS = tuple(StepStatus(name, "action", "x@1.0.0", StepState.STARTING) for name in ("a", "b"))
WISH = Desired(WantedState.RUNNING, 2, 5, by="eva")
STARTED = Goal(5, WantedState.RUNNING, 2)


class Store:
    """Answers with one record after the other, the last one for ever."""

    def __init__(self, *statuses: Status, desired: Desired = WISH, leader: str = "a session") -> None:
        self.statuses = list(statuses)
        self.desired = desired
        self.keys = SimpleNamespace(leader="nomadflows/leader")
        self.client = SimpleNamespace(get=lambda _: SimpleNamespace(session=leader))

    def wait_flow(self, ref: FlowRef, index: int, _wait_s: float) -> tuple[FlowRecord, int]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return FlowRecord(ref, Versioned(Meta("orders")), Versioned(self.desired), Versioned(status)), index + 1


def _status(state: FlowState, generation: int = 5, version: int = 2, steps: Sequence[StepStatus] = ()) -> Status:
    return Status(state, version=version, observed_generation=generation, steps=tuple(steps))


def test_one_line_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    half = [
        dataclasses.replace(STEPS[0], state=StepState.RUNNING),
        dataclasses.replace(STEPS[1], message="Driver Failure", restarts=1),
    ]
    store = Store(
        _status(FlowState.STOPPED, 4),
        _status(FlowState.STARTING, steps=STEPS),
        _status(FlowState.STARTING, steps=STEPS),
        _status(FlowState.STARTING, steps=half),
        _status(FlowState.RUNNING),
    )
    record = wait_for(store, REF, STARTED, 5)  # type: ignore[arg-type]
    assert record.status.value.state is FlowState.RUNNING
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == [
        "Stopped",
        "Starting, 0 of 2 steps ready",
        "Starting, 1 of 2 steps ready (b: Driver Failure)",
        "Running",
    ]


def test_an_older_generation_is_not_the_answer() -> None:
    with pytest.raises(WaitTimeout) as raised:
        wait_for(Store(_status(FlowState.RUNNING, generation=4)), REF, STARTED, 0)  # type: ignore[arg-type]
    assert raised.value.exit_code == 4


def test_an_older_version_is_not_the_answer() -> None:
    with pytest.raises(WaitTimeout):
        wait_for(Store(_status(FlowState.RUNNING, version=1)), REF, STARTED, 0)  # type: ignore[arg-type]


def test_running_out_says_why() -> None:
    status = dataclasses.replace(
        _status(FlowState.STARTING), conditions=(Condition("Ready", "False", "StepsNotReady", "Waiting for store"),)
    )
    with pytest.raises(WaitTimeout, match=r"default/orders is Starting after 0 s\n  StepsNotReady: Waiting for store"):
        wait_for(Store(status), REF, STARTED, 0)  # type: ignore[arg-type]


def test_a_sleeping_flow_counts_as_started() -> None:
    assert wait_for(Store(_status(FlowState.SLEEPING)), REF, STARTED, 0)  # type: ignore[arg-type]


def test_the_controller_suspends_what_cannot_start() -> None:
    suspended = Desired(WantedState.SUSPENDED, 2, 6, by="controller", why="Step b failed to start 5 times in a row")
    with pytest.raises(Refused, match="controller asked for suspended meanwhile: Step b failed to start 5 times"):
        wait_for(Store(_status(FlowState.SUSPENDING), desired=suspended), REF, STARTED, 5)  # type: ignore[arg-type]


def test_somebody_else_wants_something_else() -> None:
    stopped = Desired(WantedState.STOPPED, 2, 6, by="bob")
    with pytest.raises(Conflict, match="bob asked for stopped meanwhile"):
        wait_for(Store(_status(FlowState.STOPPING, 6), desired=stopped), REF, STARTED, 5)  # type: ignore[arg-type]


def test_no_controller_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("nomadflows.cli.wait._UNHEARD_S", -1.0)
    with pytest.raises(WaitTimeout):
        wait_for(Store(_status(FlowState.STOPPED, 4), leader=""), REF, STARTED, 0.05)  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("no controller runs") == 1


def test_tick() -> None:
    before, after = Status(last_tick="1"), Status(last_tick="2")
    assert wait_for_tick(Store(before, before, after), REF, "1", 5).status.value.last_tick == "2"  # type: ignore[arg-type]
