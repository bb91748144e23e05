"""When the controller suspends or stops a flow by itself: `Rules` says from when on, here is what is said."""

from __future__ import annotations

from nomadflows.model.lifecycle import Signal, next_state
from nomadflows.model.states import FlowState, WorkspaceType, parse_timestamp
from nomadflows.plan.decision import Act, Decision
from nomadflows.plan.seen import Seen


def time_left(seen: Seen) -> float | None:
    """Seconds until a flow of a limited workspace is stopped; None: never."""
    if seen.workspace is not WorkspaceType.LIMITED or not seen.status.started:
        return None
    if next_state(seen.status.state, Signal.TIME_UP, seen.kind, seen.workspace) is None:
        return None
    return seen.rules.limited_ttl_s - seen.seconds_since(parse_timestamp(seen.status.started))


def time_up(seen: Seen) -> Decision | None:
    left = time_left(seen)
    state = next_state(seen.status.state, Signal.TIME_UP, seen.kind, seen.workspace)
    if left is None or left > 0 or state is None:
        return None
    hours = seen.rules.limited_ttl_s / 3600
    return Decision(
        Act.INTERVENE,
        "TimeUp",
        f"Flows of a limited workspace are stopped {hours:g} h after their start; start it again",
        state,
    )


def not_resumed(seen: Seen) -> Decision | None:
    """A flow whose cause is there still would be suspended again at once: it is removed first, or --force. A step that
    failed to start is tried again as it is: what it could not reach may be back."""
    if seen.desired.force or seen.desired.version != seen.status.version:
        return None
    if seen.status.suspended_for == "QueueLimit":
        return _still_full(seen)
    if seen.status.suspended_for == "OutOfMemory" and not seen.renewed:
        return _suspended_on(
            "OutOfMemory",
            "Not resumed: its steps would run out of memory as before. Publish a version with more "
            "`resources.memory`, deploy a component that needs less, or resume with --force",
        )
    return None


def _still_full(seen: Seen) -> Decision | None:
    """Well below the mark that suspends, so that a resume is not followed by the next suspension."""
    full = [step for step in seen.replicas if seen.is_fuller(step, seen.rules.resume_ratio)]
    if not full:
        return None
    return _suspended_on(
        "QueueLimit",
        f"Not resumed: {_fullness(seen, full[0], seen.rules.resume_ratio)}. Publish a version that is faster or has "
        "higher limits, or resume with --force",
    )


def _suspended_on(reason: str, message: str) -> Decision:
    return Decision(Act.INTERVENE, reason, message, FlowState.SUSPENDED)


def start_failure(seen: Seen) -> Decision | None:
    """Steps that cannot start, or are killed for their memory again and again."""
    for step, failures in seen.failures.items():
        if failures >= seen.rules.max_failures:
            state = next_state(seen.status.state, Signal.START_FAILURES, seen.kind, seen.workspace)
            return Decision(
                Act.INTERVENE,
                "StartFailures",
                f"Step {step} failed to start {failures} times in a row{_note(seen, step)}. "
                f"See `nomadflows flow logs {seen.ref.flow} --step {step}`, mend it, then resume",
                state,
            )
    for step, kills in seen.out_of_memory.items():
        if kills >= seen.rules.max_out_of_memory:
            state = next_state(seen.status.state, Signal.OUT_OF_MEMORY, seen.kind, seen.workspace)
            minutes = seen.rules.out_of_memory_window_s / 60
            return Decision(
                Act.INTERVENE,
                "OutOfMemory",
                f"Step {step} ran out of memory {kills} times in {minutes:g} minutes{_note(seen, step)}. "
                "Publish a version with more `resources.memory` for it, then resume",
                state,
            )
    return None


def _note(seen: Seen, step: str) -> str:
    note = seen.current.processes.notes.get(step, "")
    return f": {note}" if note else ""


def stuck_steps(seen: Seen) -> dict[str, str]:
    """Steps whose processes run and do nothing, each with why. Known faults of components' libraries end so: they
    consume no more, or never finish a message, and no longer heed a signal."""
    deaf = {
        step: f"has had a process that consumes nothing for {seconds:.0f} s"
        for step, seconds in seen.deaf_s.items()
        if seconds >= seen.rules.deaf_after_s
    }
    stalled = {
        step: f"has had a process that finished none of the messages it holds for {seconds:.0f} s"
        for step, seconds in seen.stalled_s.items()
        if seconds >= seen.rules.stalled_after_s
    }
    return {**stalled, **deaf}


def hanging(seen: Seen) -> Decision | None:
    """The message it held goes back into the queue, so a restart loses nothing."""
    stuck = stuck_steps(seen)
    if not stuck:
        return None
    why = "; ".join(f"step {step} {what}" for step, what in stuck.items())
    return Decision(Act.RESTART, "StepHangs", f"Restarted: {why}")


def overflow(seen: Seen) -> Decision | None:
    """A queue near its limit that does not shrink though its step runs: trying on cannot help."""
    if seen.desired.force:
        return None
    for step, seconds in seen.overfull_s.items():
        queue = (seen.current.queues or {}).get(step)
        if queue and queue.consumers and seen.is_overfull(step) and seconds >= seen.rules.overfull_after_s:
            state = next_state(seen.status.state, Signal.QUEUE_LIMIT, seen.kind, seen.workspace)
            return Decision(
                Act.INTERVENE,
                "QueueLimit",
                f"{_fullness(seen, step, seen.rules.overfull_ratio)}, and did not shrink for {seconds:.0f} s though the step runs. "
                "Publish a version with more replicas, a faster step or higher `limits`, then resume; or stop the flow, "
                "which drops the messages",
                state,
            )
    return None


def _fullness(seen: Seen, step: str, ratio: float) -> str:
    queue = (seen.current.queues or {})[step]
    messages, size = seen.queue_limits
    held = f"{queue.ready} of {messages} messages" if queue else ""
    held += f", {queue.bytes} of {size} bytes" if queue and queue.bytes else ""
    return f"the queue of step {step} holds {held}, over {ratio:.0%} of a limit"
