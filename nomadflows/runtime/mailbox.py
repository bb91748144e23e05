"""From the worker threads to the broker thread: in order, and with as few wake-ups as can be.

A wake-up of a loop that sleeps in the operating system costs more than everything else a step does with a small
message. So a batch is announced once; and while there is only one message in work, the broker thread waits for the
answer of a quick component right here, for a moment, before it goes to sleep.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 0.002  # nothing to a heartbeat, enough for a mapping


class Mailbox(Generic[T]):
    """`post` is for any thread, the rest for the broker thread."""

    def __init__(self, deliver: Callable[[deque[T]], None], wake: Callable[[Callable[[], None]], None]) -> None:
        self._deliver = deliver
        self._wake = wake
        self._items: deque[T] = deque()
        self._announced = False
        self._waiting = False
        self._turn = threading.Lock()  # guards the two flags
        self._answer = threading.Lock()  # held, but for the moment between an answer and its taking
        self._answer.acquire()

    def post(self, item: T) -> None:
        self._items.append(item)
        if not self._announced and self._must_wake():
            self._wake(self.take)

    def _must_wake(self) -> bool:
        """Announces the batch; False if somebody did already, or if the broker thread waits for it right now."""
        with self._turn:
            if self._announced:
                return False
            self._announced = True
            if not self._waiting:
                return True
            self._waiting = False
            self._answer.release()
            return False

    def wait(self) -> None:
        """For the next batch, but not long: one that comes later wakes the loop."""
        if self._begin_to_wait() and (self._answer.acquire(timeout=PATIENCE_S) or self._came_at_last()):
            self.take()

    def _begin_to_wait(self) -> bool:
        """False if a batch was announced to the loop already."""
        with self._turn:
            self._waiting = not self._announced
            return self._waiting

    def _came_at_last(self) -> bool:
        """Whether the answer came between the end of the waiting and now."""
        with self._turn:
            came, self._waiting = not self._waiting, False
        return came and self._answer.acquire()

    def take(self) -> None:
        """The flag is cleared before the batch is taken, so nothing posted is overlooked."""
        self._announced = False
        if self._items:
            self._deliver(self._items)
