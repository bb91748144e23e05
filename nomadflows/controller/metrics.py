"""What a controller tells Prometheus. Standby controllers serve the same names; only the leader's move.

States of flows are counted from the looks of this leader, so they are complete after its first full round.
"""

from __future__ import annotations

import threading
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Status

_KINDS: Final = ("ready", "unacked")
_SECONDS: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)
_LOOK_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

LEADER: Final = Gauge("nomadflows_leader", "1 while this controller leads")
FLOWS: Final = Gauge("nomadflows_flows", "Flows by state", ["workspace", "state"])
TRANSITIONS: Final = Counter("nomadflows_transitions", "Changes of a flow's state", ["was", "state", "reason"])
WAKE: Final = Histogram("nomadflows_wake_seconds", "From the wake to all steps ready", buckets=_SECONDS)
WARM_UP: Final = Histogram("nomadflows_warm_up_seconds", "From the start to all steps ready", buckets=_SECONDS)
LOOK: Final = Histogram("nomadflows_look_seconds", "One turn of work on one flow", ["outcome"], buckets=_LOOK_SECONDS)
WAITING: Final = Gauge("nomadflows_work_queue_flows", "Flows that wait for a worker or are worked on")
LAG: Final = Gauge("nomadflows_work_queue_lag_seconds", "How long the flow taken last had waited for a worker")
FAILED_TURNS: Final = Counter(
    "nomadflows_failed_turns", "Turns of a leader's threads that failed unexpectedly", ["source"]
)
READY: Final = Gauge(
    "nomadflows_step_messages", "Messages in a step's queue at the last look", ["workspace", "flow", "step", "kind"]
)


class FlowCounts:
    """Keeps FLOWS true as flows change state or go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[FlowRef, FlowState] = {}
        self._steps: dict[FlowRef, frozenset[str]] = {}

    def seen(self, ref: FlowRef, status: Status) -> None:
        with self._lock:
            before = self._states.get(ref)
            if before is not status.state:
                self._leave(ref, before)
                self._states[ref] = status.state
                FLOWS.labels(ref.workspace, status.state.value).inc()
            self._tell(ref, status)

    def _tell(self, ref: FlowRef, status: Status) -> None:
        """What the steps hold. Those that are there no more are not told with what they held last."""
        present = frozenset(step.id for step in status.steps)
        for step_id in self._steps.get(ref, frozenset()) - present:
            for kind in _KINDS:
                READY.remove(ref.workspace, ref.flow, step_id, kind)
        self._steps[ref] = present
        for step in status.steps:
            READY.labels(ref.workspace, ref.flow, step.id, "ready").set(step.ready)
            READY.labels(ref.workspace, ref.flow, step.id, "unacked").set(step.unacked)

    def gone(self, ref: FlowRef) -> None:
        with self._lock:
            self._leave(ref, self._states.pop(ref, None))
            self._tell(ref, Status())
            del self._steps[ref]

    def clear(self) -> None:
        """This controller does not lead any more: others tell now."""
        with self._lock:
            self._states.clear()
            self._steps.clear()
            FLOWS.clear()
            READY.clear()

    @staticmethod
    def _leave(ref: FlowRef, state: FlowState | None) -> None:
        if state is not None:
            FLOWS.labels(ref.workspace, state.value).dec()


def exposition() -> tuple[bytes, str]:
    """What a scrape gets, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
