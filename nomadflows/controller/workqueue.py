"""Which flow is to be looked at next.

A flow stands in the queue once, however many signals name it, and is worked on by one worker at a time; a
signal that comes meanwhile puts it back when that worker is done. Looks that are not due yet wait aside. Those of a
full round, which may name thousands of flows, are overtaken by others, but get every fourth turn.
A flow whose work fails comes back later and later (with jitter), without holding up others. A signal brings that forward,
to half a second after the failure, but does not lengthen the waits after it: a burst of messages for a flow while a
server is away is no reason to leave the flow alone for long once the server is back.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nomadflows.model.names import FlowRef

FIRST_BACKOFF_S: Final = 0.5
LAST_BACKOFF_S: Final = 60.0
AWAY_BACKOFF_S: Final = 5.0  # the longest while it is a server that is away, and no fault of the flow
_MOST_OUTDATED: Final = 1_000  # looks that are not due any more may stand for days among those that are
_PATIENT: Final = {"full"}  # hints of a look that others may overtake
_PATIENT_TURN: Final = 4

Hints = frozenset[str]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Of a flow's last look. `count`: how many looks in a row, without those that a signal brought forward."""

    count: int
    at: float
    again: float


class WorkQueue:
    """Thread-safe. Hints are words that travel with a flow to its next look ("message", "full", …)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: OrderedDict[FlowRef, set[str]] = OrderedDict()
        self._patient: OrderedDict[FlowRef, set[str]] = OrderedDict()  # ready as well
        self._turns = 0
        self._later: list[tuple[float, FlowRef]] = []
        self._due: dict[FlowRef, float] = {}
        self._working: dict[FlowRef, set[str] | None] = {}
        self._failures: dict[FlowRef, _Failure] = {}
        self._kept_hints: dict[FlowRef, set[str]] = {}  # of failed looks
        self._closed = False
        self._since: dict[FlowRef, float] = {}
        self.lag_s = 0.0  # how long the flow taken last had been ready

    def add(self, ref: FlowRef, *hints: str) -> None:
        """Look at the flow as soon as a worker is free, but not within half a second of a look that failed."""
        with self._changed:
            failure = self._failures.get(ref)
            if ref in self._working:
                self._due.pop(ref, None)
                self._working[ref] = (self._working[ref] or set()) | set(hints) | self._kept_hints.pop(ref, set())
            elif failure is not None and self._clock() < failure.at + FIRST_BACKOFF_S:
                self._kept_hints.setdefault(ref, set()).update(hints)
                self._look_at(ref, failure.at + FIRST_BACKOFF_S)
            else:
                self._due.pop(ref, None)
                self._make_ready(ref, set(hints) | self._kept_hints.pop(ref, set()))

    def add_after(self, ref: FlowRef, seconds: float) -> None:
        """Look at the flow in some time; the earliest of several such wishes holds."""
        with self._changed:
            self._look_at(ref, self._clock() + seconds)

    def take(self) -> tuple[FlowRef, Hints] | None:
        """Wait for a flow to look at; None when the queue is closed."""
        with self._changed:
            while not self._closed:
                wait = self._promote()
                if self._ready or self._patient:
                    ref, hints = self._next()
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

    def failed(self, ref: FlowRef, hints: Hints, longest_s: float = LAST_BACKOFF_S) -> float:
        """The look failed; it is repeated after the seconds returned, with its hints and those of the signals that came
        meanwhile. After a signal that is soon: what it tells of may have changed what failed."""
        with self._changed:
            now, before = self._clock(), self._failures.get(ref)
            if before is not None and now < before.again:
                count, delay = before.count, before.again - now
            else:
                count = before.count + 1 if before is not None else 1
                delay = min(longest_s, FIRST_BACKOFF_S * 2 ** (count - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
            self._failures[ref] = _Failure(count, now, now + delay)
            signalled = self._working.pop(ref, None)
            if signalled is not None:
                delay = min(delay, FIRST_BACKOFF_S)
            self._kept_hints.setdefault(ref, set()).update(hints, signalled or ())
            self._look_at(ref, now + delay)
            return delay

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._ready) + len(self._patient) + len(self._working)

    def _next(self) -> tuple[FlowRef, set[str]]:
        self._turns += 1
        patient = not self._ready or (self._turns % _PATIENT_TURN == 0 and bool(self._patient))
        return (self._patient if patient else self._ready).popitem(last=False)

    def _look_at(self, ref: FlowRef, due: float) -> None:
        if ref in self._ready or ref in self._patient or self._due.get(ref, float("inf")) <= due:
            return
        self._due[ref] = due
        heapq.heappush(self._later, (due, ref))
        if len(self._later) > 2 * len(self._due) + _MOST_OUTDATED:
            self._later = [(moment, waiting) for waiting, moment in self._due.items()]
            heapq.heapify(self._later)
        self._changed.notify()

    def _release(self, ref: FlowRef) -> None:
        hints = self._working.pop(ref, None)
        if hints is not None:
            self._make_ready(ref, hints)

    def _make_ready(self, ref: FlowRef, hints: set[str]) -> None:
        self._since.setdefault(ref, self._clock())
        waits = hints == _PATIENT and ref not in self._ready
        lane = self._patient if waits else self._ready
        lane.setdefault(ref, set()).update(hints, () if waits else self._patient.pop(ref, ()))
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
