"""Writes a flow's status and history. Every write is compare-and-set on what the look read, and fenced by the
leader's lock: a controller that was deposed, or looked at something older, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from nomadflows.clients import Clients
from nomadflows.controller import metrics
from nomadflows.controller.memory import Memory
from nomadflows.controller.observe import Look
from nomadflows.model.graph import RunStep
from nomadflows.model.states import (
    Condition,
    Desired,
    Event,
    FlowState,
    Status,
    StepState,
    StepStatus,
    parse_timestamp,
    timestamp,
)
from nomadflows.model.stepstates import step_state
from nomadflows.model.why import slowest
from nomadflows.plan.decision import ASKED_FOR, Decision
from nomadflows.plan.publishing import incoming_ready
from nomadflows.plan.seen import Processes, QueueSeen, Seen
from nomadflows.store.keys import DESIRED
from nomadflows.store.leadership import Leadership
from nomadflows.store.transaction import Set

log = structlog.get_logger()

_FIGURES_EVERY_S: Final = 10.0
# Reasons that come and go while all is well share one condition, so that they do not cause a write each.
_WELL: Final = {
    "Working": "AllStepsReady",
    "Idle": "AllStepsReady",
    "TickDue": "AllStepsReady",
    "AllocatedForGood": "AllStepsReady",
}
_NOT_READY: Final = frozenset({"StepsNotReady", "BrokerUnknown", "RepairPaused"})
# Their texts tell of time and numbers of messages, and are written anew as seldom as other figures.
_FULL_OF_FIGURES: Final = frozenset({"StepsNotReady", "Draining", "StepsLeaving"})
_WELL_MESSAGE: Final = "Every step consumes its queue"


class Writer:
    """The only place that writes a status. One for all workers: it holds no state of its own."""

    def __init__(self, clients: Callable[[], Clients], fence: Leadership, memory: Memory) -> None:
        self.clients = clients
        self._fence = fence
        self._memory = memory
        self.counts = metrics.FlowCounts()

    def enter(
        self,
        look: Look,
        decision: Decision,
        changes: Mapping[str, Any],
        *,
        seconds: float | None = None,
        desired: Desired | None = None,
    ) -> None:
        """Write the state a decision leads to, with an event. `desired`: change that too, in the same transaction."""
        seen = look.seen
        state = decision.state or seen.status.state
        changed = state is not seen.status.state or "version" in changes
        status = replace(
            seen.status,
            state=state,
            since=timestamp(seen.now) if changed else seen.status.since,
            observed_generation=desired.generation if desired else seen.desired.generation,
            parked_s=_parked_s(seen, state),
            **changes,
        )
        status = replace(status, steps=_steps(look, status), conditions=_conditions(look, status, decision))
        message = decision.message + (_slowest(status) if decision.reason == "StepsReady" else "")
        event = Event(timestamp(seen.now), decision.reason, message, state.value, seconds, _by(decision, seen.desired))
        self._write(look, status, [event], desired)
        if state is not seen.status.state:
            metrics.TRANSITIONS.labels(seen.status.state.value, state.value, decision.reason).inc()
        log.info(
            "transition", flow=str(seen.ref), state=state.value, was=seen.status.state.value, reason=decision.reason
        )

    def update(self, look: Look, changes: Mapping[str, Any], decision: Decision | None) -> None:
        """Write changes that leave the state as it is; with an event if there is something to tell."""
        seen = look.seen
        status = replace(seen.status, observed_generation=seen.desired.generation, **changes)
        status = replace(status, steps=_steps(look, status))
        events = []
        if decision is not None:
            by = _by(decision, seen.desired)
            events.append(Event(timestamp(seen.now), decision.reason, decision.message, status.state.value, by=by))
            log.info("step", flow=str(seen.ref), reason=decision.reason, message=decision.message)
        self._write(look, status, events, None)

    def observe(self, look: Look, decision: Decision, times: Mapping[str, Any]) -> None:
        """Write what was seen while waiting, if it differs in more than figures, or if those are old."""
        seen = look.seen
        status = replace(
            seen.status,
            **times,
            observed_generation=seen.desired.generation,
            incoming_ready=incoming_ready(seen),
            steps=_steps(look, seen.status),
            conditions=_conditions(look, seen.status, decision),
        )
        events = []
        if seen.status.waking and seen.all_ready and seen.status.state is FlowState.RUNNING:
            status, event = _awake(look, status)
            events.append(event)
        self.counts.seen(seen.ref, status)
        if status == seen.status:
            return
        if _without_figures(status) == _without_figures(seen.status) and not self._memory.may_write_figures(
            seen.ref, _FIGURES_EVERY_S
        ):
            return
        self._write(look, status, events, None)

    def blocked(self, look: Look, message: str) -> None:
        """Tell in the status what keeps the flow from its next step. The look is repeated anyway."""
        condition = Condition("Ready", "False", "Blocked", message, timestamp(look.seen.now))
        old = next((known for known in look.seen.status.conditions if known.type == "Ready"), None)
        if old is None or (old.reason, old.message) != (condition.reason, condition.message):
            others = tuple(known for known in look.seen.status.conditions if known.type != "Ready")
            status = replace(
                look.seen.status, conditions=(condition, *others), observed_generation=look.seen.desired.generation
            )
            event = Event(timestamp(look.seen.now), "Blocked", message, status.state.value)
            self._write(look, status, [event], None)

    def _write(self, look: Look, status: Status, events: list[Event], desired: Desired | None) -> None:
        store, record = self.clients().store, look.record
        also = []
        if desired is not None:
            also.append(Set(store.keys.flow(look.seen.ref, DESIRED), desired.to_json(), record.desired.index))
        store.write_status(
            look.seen.ref, status, events, expected_index=record.status.index, fence=self._fence, also=also
        )


def _by(decision: Decision, desired: Desired) -> str:
    """Whose doing an event is: of the person whose wish it answers, else of the controller."""
    return desired.by if decision.reason in ASKED_FOR else "controller"


def _awake(look: Look, status: Status) -> tuple[Status, Event]:
    seconds = round((look.seen.now - parse_timestamp(look.seen.status.waking)).total_seconds(), 3)
    message = f"All {len(look.seen.replicas)} steps consume their queues again{_slowest(status)}"
    event = Event(timestamp(look.seen.now), "Awake", message, status.state.value, seconds, "controller")
    metrics.WAKE.observe(seconds)
    return replace(status, waking="", last_wake_s=seconds), event


def _slowest(status: Status) -> str:
    found = slowest(status)
    return f"; slowest: {found[0]}, {found[1]:.2f} s" if found else ""


def _parked_s(seen: Seen, state: FlowState) -> float:
    """How long the flow was parked in all, once it is not any more."""
    before = seen.status
    if before.state is not FlowState.SLEEPING or state is FlowState.SLEEPING or not before.since:
        return before.parked_s
    return round(before.parked_s + seen.seconds_since(parse_timestamp(before.since)), 3)


def _without_figures(status: Status) -> Status:
    steps = tuple(replace(step, ready=0, unacked=0) for step in status.steps)
    conditions = tuple(
        replace(condition, message="") if condition.reason in _FULL_OF_FIGURES else condition
        for condition in status.conditions
    )
    return replace(status, steps=steps, conditions=conditions)


def _conditions(look: Look, status: Status, decision: Decision) -> tuple[Condition, ...]:
    reason = _WELL.get(decision.reason, decision.reason)
    message = _WELL_MESSAGE if reason != decision.reason else decision.message
    ready = status.state in {FlowState.RUNNING, FlowState.SLEEPING} and reason not in _NOT_READY
    old = next((condition for condition in look.seen.status.conditions if condition.type == "Ready"), None)
    new = Condition("Ready", "True" if ready else "False", reason, message, timestamp(look.seen.now))
    if old is not None and (old.status, old.reason) == (new.status, new.reason):
        new = replace(new, at=old.at)
    others = tuple(condition for condition in look.seen.status.conditions if condition.type != "Ready")
    return (new, *others)


def _steps(look: Look, status: Status) -> tuple[StepStatus, ...]:
    version = look.version
    if version is None or status.state is FlowState.STOPPED:
        return ()
    if version.ref.number != status.version:  # a publish just changed it; the next look shows its steps
        return status.steps
    current = look.seen.current
    known = {step.id: step for step in status.steps}
    steps = []
    for step in version.steps:
        queue = (current.queues or {}).get(step.id)
        before = known.get(step.id)
        replicas = (current.job.counts if current.job else {}).get(step.id, 0)
        consumers = queue.consumers if queue else 0
        memory = (current.job.memory if current.job else {}).get(step.id, before.memory_mib if before else 0)
        steps.append(
            StepStatus(
                id=step.id,
                kind=step.kind,
                component=status.components.get(step.id, step.use),
                state=step_state(status.state, parking=status.parking, wanted=replicas > 0, consumed=consumers > 0),
                replicas=replicas,
                consumers=consumers,
                ready=queue.ready if queue else 0,
                unacked=(
                    queue.unacked
                    if queue and queue.unacked is not None
                    else before.unacked
                    if before and queue and queue.consumers
                    else 0
                ),
                restarts=current.processes.restarts.get(step.id, before.restarts if before else 0),
                message=_complaint(current.processes, step.id, consuming=bool(queue and queue.consumers)),
                ready_s=_ready_s(look.seen, before, queue),
                memory_mib=memory,
                memory_peak_mib=memory if memory and step.id in current.processes.out_of_memory else None,
            )
        )
    return tuple(steps)


def incoming_steps(seen: Seen, steps: Sequence[RunStep]) -> tuple[StepStatus, ...]:
    """The steps of the version that takes over, with what each took to come up; the next look adds the figures."""
    known, ready = {step.id: step for step in seen.status.steps}, incoming_ready(seen)
    return tuple(
        replace(
            known.get(step.id) or StepStatus(step.id, step.kind, "", StepState.RUNNING),
            component=seen.status.incoming_components.get(step.id, step.use),
            ready_s=ready.get(step.id),
        )
        for step in steps
    )


def _complaint(processes: Processes, step: str, *, consuming: bool) -> str:
    """Why a step does not run; also of one that runs again after it was killed for its memory."""
    return "" if consuming and step not in processes.out_of_memory else processes.notes.get(step, "")


def _ready_s(seen: Seen, before: StepStatus | None, queue: QueueSeen | None) -> float | None:
    """Seconds from the last start or wake to the step's first consumer. It holds until the next one begins."""
    begun = seen.status.waking or (seen.status.since if seen.status.state is FlowState.STARTING else "")
    if not begun:
        return before.ready_s if before else None
    if queue is None or not queue.consumers:
        return None
    if before is not None and before.consumers:
        return before.ready_s
    return round(seen.seconds_since(parse_timestamp(begun)), 3)
