"""One version takes over from another: by `replace` (drain, leave, move, come up) or by `handover` (come up, switch,
drain, leave, move). Either way nothing the old version could not finish is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nomadflows.model.states import FlowState
from nomadflows.plan.decision import BROKER_AWAY, SOON, Act, Decision, count_text
from nomadflows.plan.seen import Seen, VersionSeen

# Those who send hear of a switch a moment after it. What they still put into the old version is processed there;
# gone at once, it would leave that to be moved, half a second later.
_SENDERS_FOLLOW_S: Final = 1.0


def begin(seen: Seen, why: str) -> Decision | None:
    old, new = seen.status.version, seen.desired.version
    if seen.status.incoming not in {0, new}:
        return Decision(
            Act.ROLL_BACK, "HandoverSuperseded", f"Version {new} was published before its predecessor came up"
        )
    if seen.desired.strategy == "handover" and seen.status.state is FlowState.RUNNING:
        if seen.status.incoming or seen.status.parking:  # a parked flow has nothing to hand over
            return None
        return Decision(Act.HAND_OVER, "HandoverBegun", f"Version {new} warms up while version {old} goes on: {why}")
    return Decision(Act.REPLACE, "Publishing", f"Version {new} replaces version {old}: {why}", FlowState.STARTING)


def retire(seen: Seen) -> Decision | None:
    """The replaced version: it drains, leaves, and what it could not finish moves over."""
    if not seen.status.replacing or seen.old is None:
        return None
    old = seen.old
    if old.job is not None:
        if waited_for := _draining(seen, old):
            return Decision(Act.WAIT, "Draining", f"Version {old.number} {waited_for}", recheck_s=0.25)
        return Decision(Act.RETIRE_DOWN, "Draining", f"Version {old.number} is taken down")
    if not old.gone:
        return Decision(Act.WAIT, "Draining", f"Processes of version {old.number} are leaving", recheck_s=SOON)
    return Decision(
        Act.RETIRE, "Replaced", f"Version {old.number} has gone; what it left moves to version {seen.status.version}"
    )


def _draining(seen: Seen, old: VersionSeen) -> str:
    """What the replaced version is still waited for; empty: for nothing."""
    if (old.job is not None and old.job.is_parked) or seen.in_state_s >= seen.drain_s:
        return ""
    if old.left != 0:
        return f"finishes what it holds: {count_text(old.left)}"
    if seen.status.state is FlowState.RUNNING and seen.in_state_s < _SENDERS_FOLLOW_S:
        return "takes what is still on its way to it"
    return ""


def fall_back(seen: Seen) -> Decision | None:
    """A version that replaced another and cannot start, or is not ready in time, gives its place back."""
    before, number = seen.status.came_from, seen.status.version
    if not before or seen.desired.version != number or seen.all_ready:
        return None
    failing = [step for step, failures in seen.failures.items() if failures >= seen.rules.max_failures]
    if not failing and (seen.current.queues is None or seen.in_state_s < seen.ready_timeout_s + seen.drain_s):
        return None
    why = (
        f"step {failing[0]} failed to start again and again"
        if failing
        else f"not ready within {seen.ready_timeout_s:.0f} s"
    )
    return Decision(
        Act.FALL_BACK, "RolledBack", f"Version {number}: {why}{_notes(seen)}. Version {before} takes its place again"
    )


def _notes(seen: Seen) -> str:
    notes = seen.current.processes.notes
    return "".join(f"; {step}: {notes[step]}" for step in seen.not_ready if step in notes)


def hand_over(seen: Seen) -> Decision | None:
    """The incoming version must be ready before anything is switched."""
    new = seen.incoming
    if new is None or new.queues is None:
        return Decision(Act.WAIT, BROKER_AWAY, "RabbitMQ does not say whether the new version is ready", recheck_s=1.0)
    if seen.desired.version != new.number:
        return Decision(Act.ROLL_BACK, "HandoverSuperseded", f"Version {new.number} is no longer wanted")
    if new.queues and all(queue and queue.consumers for queue in new.queues.values()):
        return Decision(
            Act.SWITCH, "Switched", f"Version {new.number} is ready and takes over from version {seen.status.version}"
        )
    if seen.wanted_s > seen.ready_timeout_s:
        notes = "; ".join(f"{step}: {note}" for step, note in new.processes.notes.items())
        return Decision(
            Act.ROLL_BACK,
            "NotReadyInTime",
            f"Version {new.number} was not ready within {seen.ready_timeout_s:.0f} s. {notes}".strip(),
        )
    if new.job is None:
        return Decision(Act.HAND_OVER, "WarmingUp", f"Version {new.number} is brought up")
    allowed = warming(seen, dict.fromkeys(new.queues, 1))
    if following := [step for step, count in allowed.items() if count and not new.job.counts.get(step)]:
        return Decision(Act.HAND_OVER, "WarmingUp", f"Version {new.number}: {', '.join(following)} brought up")
    return Decision(Act.WAIT, "WarmingUp", f"Version {new.number} warms up", recheck_s=0.25)


def incoming_ready(seen: Seen) -> dict[str, float]:
    """How many seconds after the publish each step of the incoming version was first seen to consume, of those that
    were."""
    known = dict(seen.status.incoming_ready)
    for step, queue in ((seen.incoming.queues if seen.incoming else None) or {}).items():
        if queue is not None and queue.consumers and step not in known:
            known[step] = round(seen.wanted_s, 3)
    return known


def warming(seen: Seen, counts: Mapping[str, int]) -> dict[str, int]:
    """How many processes of each step of the incoming version there are to be now, of `counts`: one step after the other,
    so that those that start do not take the processor from the version at work. After a quarter of the time that it has
    to be ready, all of them."""
    new = seen.incoming
    present = new.job.counts if new and new.job else {}
    queues = (new.queues if new else None) or {}
    allowed = {}
    turn = True
    for step, count in counts.items():
        allowed[step] = count if turn or present.get(step) or seen.wanted_s > seen.ready_timeout_s / 4 else 0
        queue = queues.get(step)
        turn = turn and queue is not None and queue.consumers > 0
    return allowed
