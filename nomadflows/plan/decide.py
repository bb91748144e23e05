"""The next step of one flow, and the sentence that says why.

`decide` is called again after each step it orders, so each answer is one small thing that may be repeated
without harm. What it returns for a state is told beside that state's function, in the order of the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from nomadflows.model.lifecycle import ACTIVE, Signal, next_state
from nomadflows.model.states import FlowState, Kind, WantedState, parse_timestamp
from nomadflows.model.units import duration_text
from nomadflows.plan import publishing, troubles
from nomadflows.plan.decision import BROKER_AWAY, SOON, Act, Decision, count_text
from nomadflows.plan.seen import Seen, VersionSeen

_LATE_S: Final = 30.0
_LEAST_OFTEN_S: Final = 5.0
# A broker may learn of a process's end after Nomad did. What it held is ready again then, which no exchange tells.
_LATE_RETURN_S: Final = 5.0
_DRIFT: Final = "DriftRepaired"
_INTERVAL: Final = {Kind.ORDINARY: 5.0, Kind.REALTIME: 15.0}


def decide(seen: Seen) -> Decision:
    """The next step. Wishes of people come first, then a time that is up, then what the state itself asks for."""
    decision = _wish(seen) or troubles.time_up(seen) or _OF_STATE[seen.status.state](seen)
    return decision if seen.desired.repair or decision.reason != _DRIFT else _left_alone(seen, decision)


def _left_alone(seen: Seen, repair: Decision) -> Decision:
    """An operator paused repair: nothing else is done either, since parking would undo what is examined by hand."""
    return Decision(
        Act.WAIT, "RepairPaused", f"Repair is paused, so it is left: {repair.message}", recheck_s=_INTERVAL[seen.kind]
    )


def _patience(elapsed: float) -> float:
    """What takes long is looked at less and less often: hundreds of flows that cannot come up or leave may not keep the
    workers from others."""
    return min(max(SOON, elapsed / 25), _LEAST_OFTEN_S)


def next_look_s(seen: Seen, decision: Decision) -> float | None:
    """When to look again: as the decision says, but not after a flow's time is up."""
    left = troubles.time_left(seen)
    return decision.recheck_s if left is None else min(left + SOON, decision.recheck_s or left + SOON)


def _wish(seen: Seen) -> Decision | None:
    desired, status = seen.desired, seen.status
    why = f"{desired.by or 'somebody'} asked for it" + (f": {desired.why}" if desired.why else "")
    if desired.state is WantedState.STOPPED and (state := next_state(status.state, Signal.STOP)):
        return Decision(Act.ENTER, "StopRequested", f"Stopping: {why}", state)
    if desired.state is WantedState.SUSPENDED and (state := next_state(status.state, Signal.SUSPEND)):
        return Decision(Act.ENTER, "SuspendRequested", f"Suspending: {why}", state)
    if desired.state is WantedState.SUSPENDED and status.state is FlowState.STOPPED:  # asked for before it had begun
        return Decision(Act.START, "StartRequested", f"Starting, to be suspended: {why}", FlowState.STARTING)
    if desired.state is not WantedState.RUNNING:
        return None
    if status.state is FlowState.STOPPED:
        return Decision(Act.START, "StartRequested", f"Starting version {desired.version}: {why}", FlowState.STARTING)
    if status.state is FlowState.SUSPENDED:
        return (
            troubles.time_up(seen)
            or troubles.not_resumed(seen)
            or Decision(Act.START, "ResumeRequested", f"Resuming: {why}", FlowState.STARTING)
        )
    given_back = status.replacing == status.came_from == desired.version  # it has not gone yet
    if status.state in ACTIVE and desired.version != status.version and (given_back or not status.replacing):
        return publishing.begin(seen, why)
    return None


def _stopped(seen: Seen) -> Decision:
    """Nothing of a stopped flow is left in Nomad."""
    if seen.current.job is not None:
        return Decision(Act.STOP_JOB, "StrayJob", "A job of this stopped flow was found in Nomad and is stopped")
    return Decision(Act.WAIT, "Stopped", "The flow is stopped")


def _starting(seen: Seen) -> Decision:
    """A version that is replaced first finishes; then the job comes up; then every step's queue has a consumer."""
    if retire := publishing.retire(seen):
        return _cannot_take_over(seen, retire) or retire
    if up := _bring_up(seen, _DRIFT if seen.drifted else "Starting"):
        return up
    if failure := publishing.fall_back(seen) or troubles.start_failure(seen):
        return failure
    if hanging := troubles.hanging(seen):
        return hanging
    if seen.current.queues is None:
        return Decision(Act.WAIT, BROKER_AWAY, "RabbitMQ did not say whether the steps are ready", recheck_s=1.0)
    if seen.all_ready:
        state = next_state(seen.status.state, Signal.STEPS_READY, seen.kind, seen.workspace)
        return Decision(Act.ENTER, "StepsReady", f"All {len(seen.replicas)} steps consume their queues", state)
    elapsed = seen.in_state_s
    return Decision(Act.WAIT, "StepsNotReady", _not_ready_message(seen, elapsed), recheck_s=_patience(elapsed))


def _cannot_take_over(seen: Seen, retire: Decision) -> Decision | None:
    """A version may be at work before all that the one before it left fits into its queues. If it does not come up, fails
    or hangs then, the rest would wait for ever."""
    job = seen.current.job
    if retire.act is not Act.RETIRE or job is None or job.is_parked:
        return None
    return publishing.fall_back(seen) or troubles.start_failure(seen) or troubles.hanging(seen)


def _running(seen: Seen) -> Decision:
    """Publish in progress, parking in progress, drift, failures, then idleness."""
    if seen.status.parking:
        return _parking(seen)
    if seen.status.incoming and (step := publishing.hand_over(seen)):
        return step
    if seen.status.replacing and (step := publishing.retire(seen)):
        return _cannot_take_over(seen, step) or step
    if up := _scaled(seen) or _bring_up(seen, _DRIFT):
        return up
    if failure := troubles.start_failure(seen) or troubles.hanging(seen):
        return failure
    if overflow := troubles.overflow(seen):
        return overflow
    if seen.current.queues is None:
        return Decision(
            Act.WAIT, BROKER_AWAY, "RabbitMQ does not answer; unknown is not idle, nothing is parked", recheck_s=2.0
        )
    if not seen.all_ready:
        return Decision(Act.WAIT, "StepsNotReady", _not_ready_message(seen, 0.0), recheck_s=_patience(_woken_s(seen)))
    return _idle(seen)


def _woken_s(seen: Seen) -> float:
    """How long a wake has lasted by now. A step that falls out of a running flow is told of by Nomad."""
    return seen.seconds_since(parse_timestamp(seen.status.waking)) if seen.status.waking else _LATE_S


def _idle(seen: Seen) -> Decision:
    if seen.kind is Kind.REALTIME:
        return Decision(
            Act.WAIT,
            "AllocatedForGood",
            "Every step is ready; a real-time flow never sleeps",
            recheck_s=_INTERVAL[seen.kind],
        )
    look = max(0.25, min(_INTERVAL[seen.kind], seen.idle_after_s / 4))
    if seen.idle_for_s is None:
        return Decision(Act.WAIT, "Working", "Every step is ready and there is work", recheck_s=look)
    if seen.tick_in_s is not None and seen.tick_in_s <= seen.wake_lead_s:
        return Decision(
            Act.WAIT, "TickDue", f"Nothing to do, but a tick is due in {max(0.0, seen.tick_in_s):.1f} s", recheck_s=look
        )
    if seen.idle_for_s < seen.idle_after_s:
        left = seen.idle_after_s - seen.idle_for_s
        return Decision(
            Act.WAIT, "Idle", f"Nothing to do; parked in {left:.0f} s", recheck_s=min(look, max(left, SOON))
        )
    return Decision(
        Act.PREPARE_PARK,
        "WorkDone",
        f"Nothing left to do for {seen.idle_for_s:.0f} s: no message ready, in work or rebounding",
    )


def _parking(seen: Seen) -> Decision:
    """Steps leave; a message that comes meanwhile calls them back. Only the empty queues of a flow without
    processes end in Sleeping, so no message is stranded."""
    job = seen.current.job
    if seen.current.queues is None:
        return Decision(Act.WAIT, BROKER_AWAY, "RabbitMQ does not answer; parking waits", recheck_s=1.0)
    if seen.message or seen.current.ready:
        return Decision(
            Act.WAKE, "MessageWhileParking", "A message came in while the steps were leaving", FlowState.RUNNING
        )
    # A job that somebody else took down counts as well: only the act lets the wake queue be fed.
    if job is None or not job.is_parked or job.modify_index != seen.status.job_index:
        return Decision(Act.PARK, "Parking", "Steps are taken down")
    if not seen.current.gone:
        return _leaving([seen.current], 0.0)
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
        return Decision(Act.PARK, _DRIFT, "The parked job had gone from Nomad and is registered again")
    if not job.is_parked:
        return Decision(
            Act.WAKE,
            "FoundAwake",
            "The job was found with processes: a wake that was not written down, or a change by hand",
            state,
        )
    if seen.drifted:
        return Decision(Act.PARK, _DRIFT, f"Changed by somebody else, put right: {', '.join(seen.drifted)}")
    asleep_s = seen.seconds_since(parse_timestamp(seen.status.since)) if seen.status.since else _LATE_RETURN_S
    again = max(_LATE_RETURN_S - asleep_s, SOON) if asleep_s < _LATE_RETURN_S else None
    return Decision(Act.WAIT, "Parked", "Parked; a message or a tick wakes the flow", recheck_s=again)


def _suspending(seen: Seen) -> Decision:
    """All processes go, those of a version that comes or goes too; every queue is kept. What a replaced version left
    is moved after the flow is resumed."""
    if seen.status.incoming:
        return Decision(Act.ROLL_BACK, "HandoverEnded", f"Version {seen.status.incoming} is not waited for any more")
    job, old = seen.current.job, seen.old
    if job is not None and not job.is_parked:
        return Decision(Act.PARK, "Suspending", "Steps are taken down; queues are kept")
    if old is not None and old.job is not None:
        return Decision(Act.RETIRE_DOWN, "Suspending", f"Version {old.number} is taken down; its queues are kept")
    versions = [version for version in (seen.current, old) if version is not None]
    if not all(version.gone for version in versions):
        return _leaving(versions, seen.in_state_s)
    kept = seen.current.ready + (old.ready if old else 0)
    return Decision(Act.ENTER, "Suspended", f"No process is left; {kept} messages are kept", FlowState.SUSPENDED)


def _suspended(seen: Seen) -> Decision:
    """Messages are kept for `retention`, then dropped; and what would be dropped at once is not taken in any more."""
    job = seen.current.job
    if job is not None and not job.is_parked:
        return Decision(Act.PARK, _DRIFT, "The job of this suspended flow was found with processes")
    if seen.drifted:
        return Decision(Act.PARK, _DRIFT, f"Changed by somebody else, put right: {', '.join(seen.drifted)}")
    kept_s = seen.in_state_s
    if kept_s < seen.retention_s:
        return Decision(
            Act.WAIT, "Suspended", "Suspended; resume or stop it", recheck_s=seen.retention_s - kept_s + SOON
        )
    if seen.current.queues is None or seen.aside is None:
        return Decision(Act.WAIT, BROKER_AWAY, "RabbitMQ does not say whether anything is kept", recheck_s=60.0)
    kept = seen.current.ready + (seen.old.ready if seen.old else 0) + seen.aside
    if kept or seen.status.input_version:
        return Decision(
            Act.DROP,
            "RetentionOver",
            f"Suspended for over {duration_text(seen.retention_s)}: {count_text(kept)} dropped, and no more are taken in "
            "until it is resumed",
        )
    return Decision(Act.WAIT, "Suspended", "Suspended; nothing that it kept is left")


def _stopping(seen: Seen) -> Decision:
    """With --drain first the work, then the job, then the processes, then queues and rights."""
    if seen.desired.drain and (drain := _drain(seen)):
        return drain
    versions = [version for version in (seen.current, seen.old, seen.incoming) if version is not None]
    if any(version.job is not None for version in versions):
        return Decision(Act.STOP_JOB, "Stopping", "The job is stopped")
    if not all(version.gone for version in versions):
        return _leaving(versions, seen.in_state_s)
    if hook := _shutdown_hook(seen):
        return hook
    return Decision(Act.CLEAN_UP, "Stopped", "No process is left; queues and rights are removed", FlowState.STOPPED)


def _leaving(versions: Sequence[VersionSeen], elapsed: float) -> Decision:
    """Some of these versions have not gone yet."""
    soon = _patience(elapsed)
    if any(version.queues is None for version in versions):
        said = "RabbitMQ does not say whether the steps have left"
        return Decision(Act.WAIT, BROKER_AWAY, said, recheck_s=max(soon, 1.0))
    if live := {step for version in versions for step, count in version.processes.live.items() if count}:
        who = f": {', '.join(sorted(live))}{_late(elapsed)}" if elapsed > _LATE_S else ""
        return Decision(Act.WAIT, "StepsLeaving", f"Steps finish what they hold and exit{who}", recheck_s=soon)
    queues = [queues.items() for version in versions if (queues := version.queues)]
    consumed = {step for items in queues for step, queue in items if queue and queue.consumers}
    return Decision(
        Act.WAIT,
        "ConsumersLeft",
        f"No process is left, and yet RabbitMQ knows of consumers of {', '.join(sorted(consumed))}: a connection whose "
        "end it has not noticed, or somebody else's",
        recheck_s=soon,
    )


def _shutdown_hook(seen: Seen) -> Decision | None:
    """Once, for what the start-up hook had made. Whatever becomes of it, the flow is stopped after its time."""
    hook = seen.hook
    if hook is None or hook.ended or (hook.age_s or 0.0) > seen.rules.shutdown_s:
        return None
    if hook.age_s is None:
        return Decision(Act.RUN_SHUTDOWN, "ShutdownHook", "The shutdown hook of the first step runs")
    return Decision(Act.WAIT, "ShutdownHook", "The shutdown hook of the first step runs", recheck_s=0.25)


def _drain(seen: Seen) -> Decision | None:
    """What a replaced version left moves over first; a parked or suspended flow is brought up again for what it holds."""
    if retire := publishing.retire(seen):
        return retire
    left = seen.current.left
    if left == 0:
        return None
    ready = seen.current.ready
    held = f"at least {count_text(ready)}" if left is None and ready else count_text(left)
    what = f"{held} {'is' if left == 1 else 'are'} finished before the stop"
    if seen.drifted:
        return Decision(Act.BRING_UP, _DRIFT, f"Put right, so that {what}: {', '.join(seen.drifted)}")
    if (left or ready) and (seen.current.job is None or seen.current.job.is_parked):
        return Decision(Act.BRING_UP, "Draining", f"The steps are brought up: {what}")
    return Decision(Act.WAIT, "Draining", what, recheck_s=0.5)


def _scaled(seen: Seen) -> Decision | None:
    """The job is as we left it, but other numbers of processes are wanted by now."""
    job = seen.current.job
    if job is None or job.modify_index != seen.status.job_index or job.counts.keys() != seen.replicas.keys():
        return None
    changed = [step for step, count in seen.replicas.items() if job.counts[step] != count]
    if not changed:
        return None
    said = [
        f"{step} {job.counts[step]} → {seen.replicas[step]}"
        + (f" ({seen.autoscaled[step]})" if step in seen.autoscaled else "")
        for step in changed
    ]
    by_itself = all(step in seen.autoscaled for step in changed)
    return Decision(Act.SCALE, "Autoscaled" if by_itself else "Scaled", f"Processes: {', '.join(said)}")


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
        if seen.status.waking:  # the wake queue got a copy, so the broker took them for delivered
            what += "; messages that were sent to them while the flow slept are lost"
    elif seen.drifted:
        what = ", ".join(seen.drifted)
    else:
        return None
    return Decision(Act.BRING_UP, reason, f"Version {seen.current.number} is brought up: {what}")


def _not_ready_message(seen: Seen, elapsed: float) -> str:
    notes = seen.current.processes.notes
    waiting = ", ".join(f"{step} ({notes[step]})" if step in notes else step for step in seen.not_ready)
    return f"Waiting for {waiting}{_late(elapsed)}"


def _late(elapsed: float) -> str:
    return f"; this takes longer than expected ({elapsed:.0f} s)" if elapsed > _LATE_S else ""


_OF_STATE: Final[dict[FlowState, Callable[[Seen], Decision]]] = {
    FlowState.STOPPED: _stopped,
    FlowState.STARTING: _starting,
    FlowState.RUNNING: _running,
    FlowState.SLEEPING: _sleeping,
    FlowState.SUSPENDING: _suspending,
    FlowState.SUSPENDED: _suspended,
    FlowState.STOPPING: _stopping,
}
