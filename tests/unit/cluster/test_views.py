"""What is read out of Nomad's allocations. The events are as Nomad 1.11 tells them."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.cluster.views import AllocView

STARTED = {"Type": "Started", "Details": {}, "DisplayMessage": "Task started by client"}


def ended(**details: str) -> dict[str, Any]:
    return {"Type": "Terminated", "Details": details, "DisplayMessage": "Exit Code: 137"}


def alloc(*events: dict[str, Any]) -> AllocView:
    return AllocView.from_json(
        {
            "ID": "a", "Namespace": "default", "TaskGroup": "store", "ClientStatus": "running", "DesiredStatus": "run",
            "JobVersion": 0, "NodeName": "node", "CreateIndex": 7, "TaskStates": {"step": {"Events": list(events)}},
        },
        "step",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "killed"),
    [
        ([STARTED], False),
        ([STARTED, ended(signal="9", oom_killed="false", exit_code="137"), STARTED], True),
        ([STARTED, ended(signal="0", oom_killed="false", exit_code="137")], True),  # a container's first process
        ([STARTED, ended(signal="9", oom_killed="true", exit_code="137")], False),
        ([STARTED, ended(signal="0", oom_killed="false", exit_code="3")], False),
        ([STARTED, ended(signal="9", exit_code="137"), STARTED, ended(signal="0", exit_code="1")], False),
    ],
)
def test_a_kill_from_outside_is_told_from_an_exit_of_the_step_s_own(events: list[dict[str, Any]], killed: bool) -> None:
    assert alloc(*events).killed is killed


def test_a_kill_for_memory_is_told_until_the_next_exit():
    killed = ended(signal="0", oom_killed="true", exit_code="137", exit_message="OOM Killed")
    assert alloc(STARTED, killed, STARTED).out_of_memory
    assert not alloc(STARTED, killed, STARTED, ended(signal="0", oom_killed="false", exit_code="1")).out_of_memory


def test_what_ended_a_task_is_told_also_when_it_is_just_started_again():
    failed = {"Type": "Terminated", "Details": {"exit_code": "3"}, "DisplayMessage": "Exit Code: 3"}
    assert alloc(STARTED).message == "Task started by client"
    assert alloc(STARTED, failed, STARTED).message == "Exit Code: 3; Task started by client"
