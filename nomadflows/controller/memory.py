"""What a leader may remember between looks. Losing it costs a delay, never a message or a state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nomadflows.model.names import FlowRef


@dataclass(slots=True)
class _FlowMemory:
    idle_since: float | None = None
    published: int = -1  # messages that ever came into the version's exchange, at the last look
    version: int = 0  # whose processes are counted
    restarts: dict[str, int] = field(default_factory=dict)  # per step, when it was last ready
    oom_restarts: dict[str, int] = field(default_factory=dict)
    oom_at: dict[str, list[float]] = field(default_factory=dict)
    overfull: dict[str, tuple[float, int]] = field(default_factory=dict)  # since when, with how many messages
    depths: dict[str, tuple[float, int]] = field(default_factory=dict)  # of scaled steps, when last looked at
    calm_since: dict[str, float] = field(default_factory=dict)
    status_written: float = 0.0
    deaf: dict[str, float] = field(default_factory=dict)  # per step: since when
    held: dict[tuple[str, str], tuple[float, int]] = field(
        default_factory=dict
    )  # per step and consumer: since when, at which count of deliveries
    held_asked: float = -1e9


class Memory:
    """Idle clocks and restart counts. Each flow's part is touched by the one worker that has the flow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._flows: dict[FlowRef, _FlowMemory] = {}

    def _of(self, ref: FlowRef) -> _FlowMemory:
        with self._lock:
            return self._flows.setdefault(ref, _FlowMemory())

    def forget(self, ref: FlowRef) -> None:
        with self._lock:
            self._flows.pop(ref, None)

    def idle_for(self, ref: FlowRef, published: int) -> float | None:
        """Seconds for which nothing was left at any look and nothing came between two. None: something came."""
        memory = self._of(ref)
        came, memory.published = published != memory.published, published
        if came:
            memory.idle_since = None
            return None
        if memory.idle_since is None:
            memory.idle_since = self._clock()
        return self._clock() - memory.idle_since

    def begin_anew(self, ref: FlowRef) -> None:
        """What went wrong before a start does not count after it: it may have been mended."""
        memory = self._of(ref)
        memory.restarts, memory.oom_restarts, memory.oom_at = {}, {}, {}

    def of_version(self, ref: FlowRef, number: int) -> None:
        """What processes of another version did says nothing of this one's."""
        memory = self._of(ref)
        if memory.version != number:
            memory.version = number
            self.begin_anew(ref)

    def not_at_work(self, ref: FlowRef) -> None:
        """How long nothing was left to do, and how long a queue did not shrink, is counted only while the flow runs."""
        memory = self._of(ref)
        memory.idle_since, memory.overfull = None, {}

    def busy(self, ref: FlowRef) -> None:
        self._of(ref).idle_since = None

    def failures(self, ref: FlowRef, restarts: Mapping[str, int], failing: list[str]) -> dict[str, int]:
        """Restarts of each step since it was last not among the failing ones."""
        known = self._of(ref).restarts
        for step, count in restarts.items():
            if step not in failing or step not in known or known[step] > count:
                known[step] = count
        return {step: restarts[step] - known[step] for step in failing if step in restarts}

    def out_of_memory(
        self, ref: FlowRef, restarts: Mapping[str, int], killed: set[str], window_s: float
    ) -> dict[str, int]:
        """Kills for memory of each step within the window; `killed`: steps whose newest exit was one."""
        memory, now = self._of(ref), self._clock()
        for step in killed:
            if restarts.get(step, 0) != memory.oom_restarts.get(step):
                memory.oom_at.setdefault(step, []).append(now)
        memory.oom_restarts = dict(restarts)
        memory.oom_at = {
            step: recent
            for step, times in memory.oom_at.items()
            if (recent := [t for t in times if now - t < window_s])
        }
        return {step: len(times) for step, times in memory.oom_at.items()}

    def overfull(self, ref: FlowRef, depths: Mapping[str, int]) -> dict[str, float]:
        """Seconds for which each of these queues (those over their mark, with their depth) has not shrunk."""
        memory, now = self._of(ref), self._clock()
        known = {}
        for step, depth in depths.items():
            since, before = memory.overfull.get(step, (now, depth))
            known[step] = (now, depth) if depth < before else (since, before)
        memory.overfull = known
        return {step: now - since for step, (since, _) in known.items()}

    def drained_per_s(self, ref: FlowRef, step: str, ready: int) -> float | None:
        """By how much a queue has shrunk a second since the last look; None at the first."""
        memory, now = self._of(ref), self._clock()
        before = memory.depths.get(step)
        memory.depths[step] = (now, ready)
        if before is None or now <= before[0]:
            return None
        return (before[1] - ready) / (now - before[0])

    def calm_for(self, ref: FlowRef, step: str, *, calm: bool) -> float:
        """Seconds for which a step has been calm at every look."""
        memory, now = self._of(ref), self._clock()
        if not calm:
            memory.calm_since.pop(step, None)
            return 0.0
        return now - memory.calm_since.setdefault(step, now)

    def deaf(self, ref: FlowRef, steps: set[str]) -> dict[str, float]:
        """Seconds for which each of these steps has had fewer consumers than processes that run."""
        memory, now = self._of(ref), self._clock()
        memory.deaf = {step: memory.deaf.get(step, now) for step in steps}
        return {step: now - since for step, since in memory.deaf.items()}

    def wants_held(self, ref: FlowRef, every_s: float) -> bool:
        """Whether it is time to ask again what the steps hold."""
        return self._clock() - self._of(ref).held_asked >= every_s

    def held(self, ref: FlowRef, counts: Mapping[str, Mapping[str, int]] | None) -> dict[str, float]:
        """Seconds for which a consumer of each step has held messages and got and finished none, as of the last asking;
        of several the longest. `counts`: deliveries and acknowledgements so far, by step, of the consumers that hold
        any; None: not asked now."""
        memory, now = self._of(ref), self._clock()
        if counts is not None:
            known = memory.held
            told = {(step, name): count for step, consumers in counts.items() for name, count in consumers.items()}
            memory.held = {
                key: known[key] if key in known and known[key][1] == count else (now, count)
                for key, count in told.items()
            }
            memory.held_asked = now
        longest: dict[str, float] = {}
        for (step, _), (since, _count) in memory.held.items():
            longest[step] = max(longest.get(step, 0.0), memory.held_asked - since)
        return longest

    def restarted(self, ref: FlowRef) -> None:
        """What hung was restarted: its clocks begin anew."""
        memory = self._of(ref)
        memory.deaf, memory.held = {}, {}

    def may_write_figures(self, ref: FlowRef, every_s: float) -> bool:
        """Whether it is time again to write mere figures (queue depths) into the status."""
        memory = self._of(ref)
        if self._clock() - memory.status_written < every_s:
            return False
        memory.status_written = self._clock()
        return True
