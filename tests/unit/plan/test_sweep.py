"""Which flows a full round may pass over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nomadflows.model.states import Desired, FlowState, Status, WantedState
from nomadflows.plan.sweep import holding, is_quiet

ASLEEP: dict[str, Any] = {
    "desired": Desired(WantedState.RUNNING, version=1, generation=3),
    "status": Status(FlowState.SLEEPING, version=1, observed_generation=3, job_index=7),
    "job_index": 7,
    "queued": frozenset(),
    "whole": True,
}


def test_a_flow_that_sleeps_as_it_was_left_is_passed_over() -> None:
    assert is_quiet(**ASLEEP)


@pytest.mark.parametrize(
    "change",
    [
        {"desired": replace(ASLEEP["desired"], generation=4)},
        {"desired": replace(ASLEEP["desired"], state=WantedState.STOPPED)},
        {"desired": replace(ASLEEP["desired"], version=2)},
        {"status": replace(ASLEEP["status"], state=FlowState.RUNNING)},
        {"status": replace(ASLEEP["status"], state=FlowState.SUSPENDED)},
        {"job_index": 8},
        {"job_index": None},
        {"queued": {"store"}},
        {"whole": False},
    ],
)
def test_anything_else_is_looked_at(change: dict[str, Any]) -> None:
    assert not is_quiet(**{**ASLEEP, **change})


def test_of_a_stopped_flow_nothing_may_be_left_in_nomad() -> None:
    stopped = {**ASLEEP, "desired": Desired(generation=3), "status": Status(observed_generation=3), "job_index": None}
    assert is_quiet(**stopped)
    assert not is_quiet(**{**stopped, "job_index": 7})
    assert not is_quiet(**{**stopped, "desired": Desired(WantedState.RUNNING, generation=3)})


def test_only_queues_of_steps_that_hold_messages_count() -> None:
    ready = {"orders.v1.store": 2, "orders.v1.read": 0, "orders.errors": 9, "other.v3.a": 1}
    assert holding(ready) == {"orders.v1": {"store"}, "other.v3": {"a"}}
