"""How much a gateway takes: calls a minute, bytes at once, calls to flows that are not there. Pure; time is given."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from nomadflows.model.names import FlowRef

_NAMES_KEPT: Final = 10_000
DEAD_CALLS: Final = 10


class RateLimit:
    """A token bucket a workspace: `per_minute` calls, as many at once. 0: no limit. Each gateway has its own."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, workspace: str, now: float) -> bool:
        """Whether another call may come at `now`, in seconds of a clock that does not go back."""
        if not self._per_minute:
            return True
        at, left = self._buckets.get(workspace, (now, float(self._per_minute)))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        taken = left >= 1
        self._buckets[workspace] = (now, left - 1 if taken else left)
        return taken


class DeadCalls:
    """Calls in a row to flows that are unknown or stopped. Remembers the names called last, no more."""

    def __init__(self, names_kept: int = _NAMES_KEPT) -> None:
        self._names_kept = names_kept
        self._calls: OrderedDict[FlowRef, int] = OrderedDict()

    def one_more(self, ref: FlowRef) -> bool:
        """Count a call; whether it is beyond what is answered as unknown."""
        calls = self._calls.pop(ref, 0) + 1
        self._calls[ref] = min(calls, DEAD_CALLS + 1)
        if len(self._calls) > self._names_kept:
            self._calls.popitem(last=False)
        return calls > DEAD_CALLS

    def lives(self, ref: FlowRef) -> None:
        """Forget what was counted of it."""
        if self._calls:
            self._calls.pop(ref, None)


class Memory:
    """Bytes of bodies that are being read or worked on, and of messages that are not confirmed yet, all requests
    together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self, count: int) -> bool:
        """Whether there is room for so many bytes; then they are taken until `give`."""
        if self.taken + count > self._most:
            return False
        self.taken += count
        return True

    def give(self, count: int) -> None:
        self.taken -= count
