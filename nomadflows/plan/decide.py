"""The next step of one flow, and the sentence that says why.

`decide` is called again after each step it orders, so each answer is one small thing that may be repeated
without harm. What it returns for a state is told beside that state's function, in the order of the checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nomadflows.model.lifecycle import ACTIVE, Signal, next_state
from nomadflows.model.states import FlowState, Kind, WantedState, WorkspaceType, parse_timestamp
from nomadflows.plan.seen import Seen


class Act(StrEnum):
    """What the controller is to do."""

    WAIT = "wait"
    ENTER = "enter"  # write the new state, nothing else
    START = "start"  # resolve components, enter Starting
    BRING_UP = "bring up"  # secrets, role, queues, job with its replicas
    PREPARE_PARK = "prepare park"  # let the exchange feed the wake queue, mark the status
    PARK = "park"  # job to 0
    WAKE = "wake"  # job to its replicas
    STOP_JOB = "stop job"  # every job of the flow; its record stays until the processes have gone
    CLEAN_UP = "clean up"  # job record, queues, user, role; counts what is dropped; enter Stopped
    INTERVENE = "intervene"  # the controller changes what is desired: suspend or stop the flow by itself
    DROP = "drop"  # messages kept too long by a suspended flow
    REPLACE = "replace"  # prepare the desired version, send new input there
    HAND_OVER = "hand over"  # bring the desired version up beside the running one
    SWITCH = "switch"  # hand-over: the incoming version becomes the current one
    ROLL_BACK = "roll back"  # hand-over: the incoming version did not come up
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
_INTERVAL: Final = {Kind.ORDINARY: 5.0, Kind.REALTIME: 15.0}


def decide(seen: Seen) -> Decision:
    """The next step. Wishes of people come first, then a time that is up, then what the state itself asks for."""
    return _wish(seen) or _time_up(seen) or _OF_STATE[seen.status.state](seen)


def next_look_s(seen: Seen, decision: Decision) -> float | None:
    """When to look again: as the decision says, but not after a flow's time is up."""
    left = _time_left(seen)
    return decision.recheck_s if left is None else min(left + SOON, decision.recheck_s or left + SOON)


def _time_left(seen: Seen) -> float | None:
    """Seconds until a flow of a limited workspace is stopped; None: never."""
    if seen.workspace is not WorkspaceType.LIMITED or seen.status.state not in ACTIVE or not seen.status.started:
        return None
    return seen.rules.limited_ttl_s - seen.seconds_since(parse_timestamp(seen.status.started))


def _time_up(seen: Seen) -> Decision | None:
    left = _time_left(seen)
    state = next_state(seen.status.state, Signal.TIME_UP, seen.kind, seen.workspace)
    if left is None or left > 0 or state is None:
        return None
    hours = seen.rules.limited_ttl_s / 3600
    return Decision(
        Act.INTERVENE, "TimeUp", f"Flows of a limited workspace are stopped {hours:g} h after their start; start it again", state
    )


def _wish(seen: Seen) -> Decision | None:
    desired, status = seen.desired, seen.status
    why = f"{desired.by or 'somebody'} asked for it" + (f": {desired.why}" if desired.why else "")
    if desired.state is WantedState.STOPPED and (state := next_state(status.state, Signal.STOP)):
        return Decision(Act.ENTER, "StopRequested", f"Stopping: {why}", state)
    if desired.state is WantedState.SUSPENDED and (state := next_state(status.state, Signal.SUSPEND)):
        return Decision(Act.ENTER, "SuspendRequested", f"Suspending: {why}", state)
    if desired.state is not WantedState.RUNNING:
        return None
    if status.state is FlowState.STOPPED:
        return Decision(Act.START, "StartRequested", f"Starting version {desired.version}: {why}", FlowState.STARTING)
    if status.state is FlowState.SUSPENDED:
        return _not_resumed(seen) or Decision(Act.START, "ResumeRequested", f"Resuming: {why}", FlowState.STARTING)
    if status.state in ACTIVE and desired.version != status.version and not status.replacing:
        return _publish(seen, why)
    return None


def _not_resumed(seen: Seen) -> Decision | None:
    """A flow that is overfull still would be suspended again at once: its cause is removed first, or --force."""
    if seen.status.suspended_for != "QueueLimit" or seen.desired.force or seen.desired.version != seen.status.version:
        return None
    overfull = [step for step in seen.replicas if seen.is_overfull(step)]
    if not overfull:
        return None
    return Decision(
        Act.INTERVENE, "QueueLimit",
        f"Not resumed: {_fullness(seen, overfull[0])}. Publish a version that is faster or has higher limits, "
        "or resume with --force", FlowState.SUSPENDED,
    )


def _publish(seen: Seen, why: str) -> Decision | None:
    old, new = seen.status.version, seen.desired.version
    if seen.desired.strategy == "handover" and seen.status.state is FlowState.RUNNING:
        if seen.status.incoming in {0, new}:
            return None if seen.status.incoming else Decision(
                Act.HAND_OVER, "HandoverBegun", f"Version {new} warms up while version {old} goes on: {why}"
            )
        return Decision(Act.ROLL_BACK, "HandoverSuperseded", f"Version {new} was published before its predecessor came up")
    return Decision(Act.REPLACE, "Publishing", f"Version {new} replaces version {old}: {why}", FlowState.STARTING)


def _stopped(seen: Seen) -> Decision:
    """Nothing of a stopped flow is left in Nomad."""
    if seen.current.job is not None:
        return Decision(Act.STOP_JOB, "StrayJob", "A job of this stopped flow was found in Nomad and is stopped")
    return Decision(Act.WAIT, "Stopped", "The flow is stopped")


def _starting(seen: Seen) -> Decision:
    """A version that is replaced first finishes; then the job comes up; then every step's queue has a consumer."""
    if retire := _retire(seen):
        return retire
    if up := _bring_up(seen, "Starting"):
        return up
    if failure := _start_failure(seen):
        return failure
    if seen.current.queues is None:
        return Decision(Act.WAIT, "BrokerUnknown", "RabbitMQ did not say whether the steps are ready", recheck_s=1.0)
    if seen.all_ready:
        state = next_state(seen.status.state, Signal.STEPS_READY, seen.kind, seen.workspace)
        return Decision(Act.ENTER, "StepsReady", f"All {len(seen.replicas)} steps consume their queues", state)
    elapsed = seen.seconds_since(parse_timestamp(seen.status.since)) if seen.status.since else 0.0
    return Decision(Act.WAIT, "StepsNotReady", _not_ready_message(seen, elapsed), recheck_s=0.03 if elapsed < 5 else 0.5)


def _running(seen: Seen) -> Decision:
    """Publish in progress, parking in progress, drift, failures, then idleness."""
    if seen.status.parking:
        return _parking(seen)
    if seen.status.incoming and (step := _hand_over(seen)):
        return step
    if seen.status.replacing and (step := _retire(seen)):
        return step
    if up := _bring_up(seen, "DriftRepaired"):
        return up
    if failure := _start_failure(seen):
        return failure
    if overflow := _overflow(seen):
        return overflow
    if seen.current.queues is None:
        return Decision(Act.WAIT, "BrokerUnknown", "RabbitMQ does not answer; unknown is not idle, nothing is parked", recheck_s=2.0)
    if not seen.all_ready:
        return Decision(Act.WAIT, "StepsNotReady", _not_ready_message(seen, 0.0), recheck_s=0.1)
    return _idle(seen)


def _idle(seen: Seen) -> Decision:
    if seen.kind is Kind.REALTIME:
        return Decision(Act.WAIT, "AllocatedForGood", "Every step is ready; a real-time flow never sleeps", recheck_s=_INTERVAL[seen.kind])
    look = max(0.25, min(_INTERVAL[seen.kind], seen.idle_after_s / 4))
    if seen.idle_for_s is None:
        return Decision(Act.WAIT, "Working", "Every step is ready and there is work", recheck_s=look)
    if seen.tick_in_s is not None and seen.tick_in_s <= seen.wake_lead_s:
        return Decision(Act.WAIT, "TickDue", f"Nothing to do, but a tick is due in {max(0.0, seen.tick_in_s):.1f} s", recheck_s=look)
    if seen.idle_for_s < seen.idle_after_s:
        left = seen.idle_after_s - seen.idle_for_s
        return Decision(Act.WAIT, "Idle", f"Nothing to do; parked in {left:.0f} s", recheck_s=min(look, max(left, SOON)))
    return Decision(Act.PREPARE_PARK, "WorkDone", f"Nothing left to do for {seen.idle_for_s:.0f} s: no message ready, in work or rebounding")


def _parking(seen: Seen) -> Decision:
    """Steps leave; a message that comes meanwhile calls them back. Only the empty queues of a flow without
    processes end in Sleeping, so no message is stranded."""
    job = seen.current.job
    if seen.current.queues is None:
        return Decision(Act.WAIT, "BrokerUnknown", "RabbitMQ does not answer; parking waits", recheck_s=1.0)
    if seen.message or seen.current.ready:
        return Decision(Act.WAKE, "MessageWhileParking", "A message came in while the steps were leaving", FlowState.RUNNING)
    if job is None or not job.is_parked:
        return Decision(Act.PARK, "Parking", "Steps are taken down")
    if not seen.current.gone:
        return Decision(Act.WAIT, "StepsLeaving", "Steps finish what they hold and exit", recheck_s=SOON)
    return Decision(Act.ENTER, "Parked", "No process is left; a message or a tick wakes the flow", FlowState.SLEEPING)


def _sleeping(seen: Seen) -> Decision:
    """Any message wakes; so does a tick that is about to come, or a job that somebody scaled up."""
    state = next_state(seen.status.state, Signal.MESSAGE, seen.kind, seen.workspace)
    if seen.message or seen.current.ready:
        return Decision(Act.WAKE, "MessageArrived", "A message arrived", state)
    if seen.tick_in_s is not None and seen.tick_in_s <= seen.wake_lead_s:
        return Decision(Act.WAKE, "TickAhead", f"A tick is due in {max(0.0, seen.tick_in_s):.1f} s", state)
    job = seen.current.job
    if job is None:
        return Decision(Act.PARK, "DriftRepaired", "The parked job had gone from Nomad and is registered again")
    if not job.is_parked:
        return Decision(Act.WAKE, "FoundAwake", "The job was found with processes: a wake that was not written down, or a change by hand", state)
    if seen.drifted:
        return Decision(Act.PARK, "DriftRepaired", f"Changed by somebody else, put right: {', '.join(seen.drifted)}")
    return Decision(Act.WAIT, "Parked", "Parked; a message or a tick wakes the flow")


def _suspending(seen: Seen) -> Decision:
    job = seen.current.job
    if job is not None and not job.is_parked:
        return Decision(Act.PARK, "Suspending", "Steps are taken down; queues are kept")
    if not seen.current.gone:
        return Decision(Act.WAIT, "StepsLeaving", "Steps finish what they hold and exit", recheck_s=SOON)
    kept = seen.current.ready
    return Decision(Act.ENTER, "Suspended", f"No process is left; {kept} messages are kept", FlowState.SUSPENDED)


def _suspended(seen: Seen) -> Decision:
    """Messages are kept for `retention`, then dropped."""
    job = seen.current.job
    if job is not None and not job.is_parked:
        return Decision(Act.PARK, "DriftRepaired", "The job of this suspended flow was found with processes")
    kept_s = seen.seconds_since(parse_timestamp(seen.status.since)) if seen.status.since else 0.0
    if kept_s < seen.retention_s:
        return Decision(Act.WAIT, "Suspended", "Suspended; resume or stop it", recheck_s=seen.retention_s - kept_s + SOON)
    if seen.current.ready:
        days = seen.retention_s / 86_400
        return Decision(Act.DROP, "RetentionOver", f"Suspended for over {days:g} days: {_count(seen.current.ready)} dropped")
    return Decision(Act.WAIT, "Suspended", "Suspended; what it kept has been dropped")


def _stopping(seen: Seen) -> Decision:
    """With --drain first the work, then the job, then the processes, then queues and rights."""
    up = seen.current.job is not None and not seen.current.job.is_parked
    if seen.desired.drain and up and seen.current.left != 0:
        return Decision(Act.WAIT, "Draining", f"{_count(seen.current.left)} are finished before the stop", recheck_s=0.5)
    others = [version for version in (seen.old, seen.incoming) if version is not None]
    if any(version.job is not None for version in (seen.current, *others)):
        return Decision(Act.STOP_JOB, "Stopping", "The job is stopped")
    if not all(version.gone for version in (seen.current, *others)):
        return Decision(Act.WAIT, "StepsLeaving", "Steps finish what they hold and exit", recheck_s=SOON)
    return Decision(Act.CLEAN_UP, "Stopped", "No process is left; queues and rights are removed", FlowState.STOPPED)


def _retire(seen: Seen) -> Decision | None:
    """The replaced version: it drains, leaves, and what it could not finish moves over."""
    if not seen.status.replacing or seen.old is None:
        return None
    old = seen.old
    drained = seen.seconds_since(parse_timestamp(seen.status.since)) if seen.status.since else 0.0
    if old.job is not None:
        working = not old.job.is_parked and old.left != 0
        if working and drained < seen.drain_s:
            return Decision(Act.WAIT, "Draining", f"Version {old.number} finishes what it holds: {_count(old.left)}", recheck_s=0.25)
        return Decision(Act.RETIRE_DOWN, "Draining", f"Version {old.number} is taken down")
    if not old.gone:
        return Decision(Act.WAIT, "Draining", f"Processes of version {old.number} are leaving", recheck_s=SOON)
    return Decision(Act.RETIRE, "Replaced", f"Version {old.number} has gone; what it left moves to version {seen.status.version}")


def _hand_over(seen: Seen) -> Decision | None:
    """The incoming version must be ready before anything is switched."""
    new = seen.incoming
    if new is None or new.queues is None:
        return Decision(Act.WAIT, "BrokerUnknown", "RabbitMQ does not say whether the new version is ready", recheck_s=1.0)
    if seen.desired.version != new.number:
        return Decision(Act.ROLL_BACK, "HandoverSuperseded", f"Version {new.number} is no longer wanted")
    if new.queues and all(queue and queue.consumers for queue in new.queues.values()):
        return Decision(Act.SWITCH, "Switched", f"Version {new.number} is ready and takes over from version {seen.status.version}")
    asked = seen.seconds_since(parse_timestamp(seen.desired.at)) if seen.desired.at else 0.0
    if asked > seen.ready_timeout_s:
        notes = "; ".join(f"{step}: {note}" for step, note in new.processes.notes.items())
        return Decision(Act.ROLL_BACK, "NotReadyInTime", f"Version {new.number} was not ready within {seen.ready_timeout_s:.0f} s. {notes}".strip())
    return Decision(Act.WAIT, "WarmingUp", f"Version {new.number} warms up", recheck_s=SOON)


def _bring_up(seen: Seen, reason: str) -> Decision | None:
    """The job with its replicas and every queue must exist as published."""
    job, queues = seen.current.job, seen.current.queues
    if job is None:
        what = "the job is missing"
    elif dict(job.counts) != dict(seen.replicas):
        what = "the job's counts differ"
    elif seen.status.job_index not in {0, job.modify_index}:
        what = "the job was changed by somebody else"
    elif queues is not None and (missing := [step for step, queue in queues.items() if queue is None]):
        what = f"missing queues: {', '.join(missing)}"
    elif seen.drifted:
        what = ", ".join(seen.drifted)
    else:
        return None
    return Decision(Act.BRING_UP, reason, f"Version {seen.current.number} is brought up: {what}")


def _start_failure(seen: Seen) -> Decision | None:
    """Steps that cannot start, or are killed for their memory again and again."""
    for step, failures in seen.failures.items():
        if failures >= seen.rules.max_failures:
            state = next_state(seen.status.state, Signal.START_FAILURES, seen.kind, seen.workspace)
            return Decision(
                Act.INTERVENE, "StartFailures",
                f"Step {step} failed to start {failures} times in a row{_note(seen, step)}. "
                f"See `nomadflows flow logs {seen.ref.flow} --step {step}`, mend it, then resume", state,
            )
    for step, kills in seen.out_of_memory.items():
        if kills >= seen.rules.max_out_of_memory:
            state = next_state(seen.status.state, Signal.OUT_OF_MEMORY, seen.kind, seen.workspace)
            minutes = seen.rules.out_of_memory_window_s / 60
            return Decision(
                Act.INTERVENE, "OutOfMemory",
                f"Step {step} ran out of memory {kills} times in {minutes:g} minutes{_note(seen, step)}. "
                "Publish a version with more `resources.memory` for it, then resume", state,
            )
    return None


def _note(seen: Seen, step: str) -> str:
    note = seen.current.processes.notes.get(step, "")
    return f": {note}" if note else ""


def _overflow(seen: Seen) -> Decision | None:
    """A queue near its limit that does not shrink though its step runs: trying on cannot help."""
    if seen.desired.force:
        return None
    for step, seconds in seen.overfull_s.items():
        queue = (seen.current.queues or {}).get(step)
        if queue and queue.consumers and seen.is_overfull(step) and seconds >= seen.rules.overfull_after_s:
            state = next_state(seen.status.state, Signal.QUEUE_LIMIT, seen.kind, seen.workspace)
            return Decision(
                Act.INTERVENE, "QueueLimit",
                f"{_fullness(seen, step)}, and did not shrink for {seconds:.0f} s though the step runs. "
                "Publish a version with more replicas, a faster step or higher `limits`, then resume; or stop the flow, "
                "which drops the messages", state,
            )
    return None


def _fullness(seen: Seen, step: str) -> str:
    queue = (seen.current.queues or {})[step]
    messages, size = seen.queue_limits
    held = f"{queue.ready} of {messages} messages" if queue else ""
    held += f", {queue.bytes} of {size} bytes" if queue and queue.bytes else ""
    return f"the queue of step {step} holds {held}, over {seen.rules.overfull_ratio:.0%} of a limit"


def _not_ready_message(seen: Seen, elapsed: float) -> str:
    notes = seen.current.processes.notes
    waiting = ", ".join(f"{step} ({notes[step]})" if step in notes else step for step in seen.not_ready)
    late = f"; this takes longer than expected ({elapsed:.0f} s)" if elapsed > 30 else ""
    return f"Waiting for {waiting}{late}"


def _count(messages: int | None) -> str:
    return "an unknown number of messages" if messages is None else f"{messages} message{'s' if messages != 1 else ''}"


_OF_STATE: Final[dict[FlowState, Callable[[Seen], Decision]]] = {
    FlowState.STOPPED: _stopped,
    FlowState.STARTING: _starting,
    FlowState.RUNNING: _running,
    FlowState.SLEEPING: _sleeping,
    FlowState.SUSPENDING: _suspending,
    FlowState.SUSPENDED: _suspended,
    FlowState.STOPPING: _stopping,
}
