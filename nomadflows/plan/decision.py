"""What a look at a flow leads to: one act, why, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nomadflows.model.states import FlowState


class Act(StrEnum):
    """What the controller is to do."""

    WAIT = "wait"
    ENTER = "enter"  # write the new state, nothing else
    START = "start"  # resolve components, enter Starting
    BRING_UP = "bring up"  # secrets, role, queues, job with its replicas
    PREPARE_PARK = "prepare park"  # mark the status
    PARK = "park"  # let the exchange of a flow that will sleep feed the wake queue; job to 0
    WAKE = "wake"  # job to its replicas
    SCALE = "scale"  # a running job to other replicas
    STOP_JOB = "stop job"  # every job of the flow; its record stays until the processes have gone
    RUN_SHUTDOWN = "run shutdown"  # the shutdown hook of the first step, as a job that runs once
    CLEAN_UP = "clean up"  # job record, queues, user, role; counts what is dropped; enter Stopped
    RESTART = "restart"  # processes of steps that hang
    INTERVENE = "intervene"  # the controller changes what is desired: suspend or stop the flow by itself
    DROP = "drop"  # messages kept too long by a suspended flow; from then on it takes none in
    REPLACE = "replace"  # prepare the desired version, send new input there
    HAND_OVER = "hand over"  # bring the desired version up beside the running one
    SWITCH = "switch"  # hand-over: the incoming version becomes the current one
    ROLL_BACK = "roll back"  # hand-over: the incoming version did not come up
    FALL_BACK = "fall back"  # the version that replaced another did not come up: that one is wanted again
    RETIRE = "retire"  # the replaced version: move what is left, delete it
    RETIRE_DOWN = "retire down"  # the replaced version's job is stopped


@dataclass(frozen=True, slots=True)
class Decision:
    """An act, why, and when to look again. `state` is entered with the act, if given."""

    act: Act
    reason: str
    message: str
    state: FlowState | None = None
    recheck_s: float | None = None


SOON: Final = 0.1
# No process is ready earlier after it was ordered. Every look until then takes from it the time it needs to start.
FIRST_LOOK_S: Final = 0.25
BROKER_AWAY: Final = "BrokerUnknown"
# Reasons of acts that answer a person's wish; all others are the controller's own.
ASKED_FOR: Final = frozenset(
    {
        "StartRequested",
        "StopRequested",
        "SuspendRequested",
        "ResumeRequested",
        "Publishing",
        "HandoverBegun",
        "Scaled",
    }
)


def count_text(messages: int | None) -> str:
    """A number of messages, in words."""
    return "an unknown number of messages" if messages is None else f"{messages} message{'s' if messages != 1 else ''}"
