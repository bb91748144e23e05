"""Which flow is to be looked at next.

A flow stands in the queue once, however many signals name it, and is worked on by one worker at a time; a
signal that comes meanwhile puts it back when that worker is done. Looks that are not due yet wait aside.
A flow whose work fails comes back later and later (with jitter), without holding up others.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from nomadflows.model.names import FlowRef

FIRST_BACKOFF_S: Final = 0.5
LAST_BACKOFF_S: Final = 60.0

Hints = frozenset[str]


class WorkQueue:
    """Thread-safe. Hints are words that travel with a flow to its next look ("message", "full", …)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: OrderedDict[FlowRef, set[str]] = OrderedDict()
        self._later: list[tuple[float, FlowRef]] = []
        self._due: dict[FlowRef, float] = {}
        self._working: dict[FlowRef, set[str] | None] = {}
        self._failures: dict[FlowRef, int] = {}
        self._kept_hints: dict[FlowRef, set[str]] = {}  # of failed looks
        self._closed = False
        self._since: dict[FlowRef, float] = {}
        self.lag_s = 0.0  # how long the flow taken last had been ready

    def add(self, ref: FlowRef, *hints: str) -> None:
        """Look at the flow as soon as a worker is free."""
        with self._changed:
            hints_now = set(hints) | self._kept_hints.pop(ref, set())
            self._due.pop(ref, None)
            if ref in self._working:
                self._working[ref] = (self._working[ref] or set()) | hints_now
            else:
                self._make_ready(ref, hints_now)

    def add_after(self, ref: FlowRef, seconds: float) -> None:
        """Look at the flow in some time; the earliest of several such wishes holds."""
        with self._changed:
            due = self._clock() + seconds
            if ref in self._ready or self._due.get(ref, float("inf")) <= due:
                return
            self._due[ref] = due
            heapq.heappush(self._later, (due, ref))
            self._changed.notify()

    def take(self) -> tuple[FlowRef, Hints] | None:
        """Wait for a flow to look at; None when the queue is closed."""
        with self._changed:
            while not self._closed:
                wait = self._promote()
                if self._ready:
                    ref, hints = self._ready.popitem(last=False)
                    self.lag_s = self._clock() - self._since.pop(ref, self._clock())
                    self._working[ref] = None
                    return ref, frozenset(hints)
                self._changed.wait(wait)
            return None

    def done(self, ref: FlowRef, again_s: float | None = None) -> None:
        """The look went well; look again after `again_s`, or at once if a signal came meanwhile."""
        with self._changed:
            self._failures.pop(ref, None)
            self._release(ref)
        if again_s is not None:
            self.add_after(ref, again_s)

    def failed(self, ref: FlowRef, hints: Hints) -> float:
        """The look failed; it is repeated after the seconds returned, with its hints and those of the signals that came
        meanwhile. After a signal that is soon: what it tells of may have changed what failed."""
        with self._changed:
            count = self._failures.get(ref, 0) + 1
            self._failures[ref] = count
            signalled = self._working.pop(ref, None)
            longest = FIRST_BACKOFF_S if signalled is not None else LAST_BACKOFF_S
            delay: float = min(longest, FIRST_BACKOFF_S * 2 ** (count - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
            self._kept_hints.setdefault(ref, set()).update(hints, signalled or ())
        self.add_after(ref, delay)
        return delay

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._ready) + len(self._working)

    def _release(self, ref: FlowRef) -> None:
        hints = self._working.pop(ref, None)
        if hints is not None:
            self._make_ready(ref, hints)

    def _make_ready(self, ref: FlowRef, hints: set[str]) -> None:
        self._since.setdefault(ref, self._clock())
        self._ready.setdefault(ref, set()).update(hints)
        self._changed.notify()

    def _promote(self) -> float | None:
        """Move what is due to the ready ones; seconds until the next, or None if there is none."""
        now = self._clock()
        while self._later:
            due, ref = self._later[0]
            if self._due.get(ref) != due:
                heapq.heappop(self._later)
                continue
            if due > now:
                return due - now
            heapq.heappop(self._later)
            del self._due[ref]
            hints = self._kept_hints.pop(ref, set())
            if ref in self._working:
                self._working[ref] = (self._working[ref] or set()) | hints
            else:
                self._make_ready(ref, hints)
        return None
