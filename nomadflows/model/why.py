"""What a flow's history tells: each transition with its cause and how long it held, wakes, and what parking saved. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final

from nomadflows.model.component import MEMORY_MIB, ComponentVersion
from nomadflows.model.graph import RunStep, replicas
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.states import Event, FlowState, Status, parse_timestamp

Json = dict[str, Any]

AWAKE: Final = "Awake"
READY: Final = "StepsReady"
_MIB_IN_GIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `was`: the state before it, where it changed it; `lasted_s`: how long the state it led to held."""

    at: str
    state: str
    was: str
    reason: str
    message: str
    by: str
    took_s: float | None
    lasted_s: float | None


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, as often as it happened within the history."""

    count: int
    last_s: float
    median_s: float
    longest_s: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times | None:
        """None if it never happened."""
        if not seconds:
            return None
        return cls(len(seconds), seconds[-1], round(median(seconds), 3), max(seconds))


@dataclass(frozen=True, slots=True)
class Why:
    """A flow's history. The share is that of the time told of by the history; what was saved counts from the first
    wake ever, with the memory that the flow's present version asks for."""

    entries: tuple[Entry, ...]
    warm_ups: Times | None  # start to all steps ready
    wakes: Times | None
    slowest: tuple[str, float] | None  # the step that was ready last, at the last start or wake
    parked_share: float | None  # of the time the flow was active
    parked_s: float
    saved_gib_hours: float


def explain(events: Sequence[Event], status: Status, memory_mib: int, now: datetime) -> Why:
    """`memory_mib`: what all processes of the flow would hold while they run."""
    entries = tuple(_entries(events, now))
    parked = status.parked_s
    if status.state is FlowState.SLEEPING and status.since:
        parked += max(0.0, _seconds(status.since, now))
    return Why(
        entries,
        warm_ups=_times(events, READY),
        wakes=_times(events, AWAKE),
        slowest=slowest(status),
        parked_share=_share(entries),
        parked_s=round(parked, 3),
        saved_gib_hours=round(parked / 3600 * memory_mib / _MIB_IN_GIB, 3),
    )


def memory(steps: Sequence[RunStep], components: Mapping[str, ComponentVersion], scale: Mapping[str, int]) -> int:
    """MiB of all processes of a version. A step whose component is not known yet counts with the usual amount."""
    counts = replicas(steps, scale)
    own = {step: component.amount("memory") for step, component in components.items()}
    return sum((step.memory or own.get(step.id, MEMORY_MIB.usual)) * counts[step.id] for step in steps)


def slowest(status: Status) -> tuple[str, float] | None:
    """The step that took longest to come up at the last start or wake."""
    known = [(step.ready_s, step.id) for step in status.steps if step.ready_s is not None]
    if not known:
        return None
    seconds, step = max(known)
    return step, seconds


def _entries(events: Sequence[Event], now: datetime) -> Iterable[Entry]:
    was = ""
    for index, event in enumerate(events):
        changed = event.state != was
        yield Entry(
            event.at, event.state, was if changed else "", event.reason, event.message, event.by, event.seconds,
            _lasted(events[index:], now) if changed and event.state else None,
        )  # fmt: skip
        was = event.state


def _lasted(events: Sequence[Event], now: datetime) -> float:
    """How long the state of the first event held."""
    end = next((parse_timestamp(event.at) for event in events if event.state != events[0].state), now)
    return round(max(0.0, _seconds(events[0].at, end)), 3)


def _share(entries: Sequence[Entry]) -> float | None:
    lasted = {state: sum(e.lasted_s or 0.0 for e in entries if e.state == state) for state in ACTIVE}
    active = sum(lasted.values())
    return round(lasted[FlowState.SLEEPING] / active, 6) if active else None


def _times(events: Sequence[Event], reason: str) -> Times | None:
    return Times.of([event.seconds for event in events if event.reason == reason and event.seconds is not None])


def _seconds(since: str, until: datetime) -> float:
    return (until - parse_timestamp(since)).total_seconds()
