"""Where components run: threads for functions, one event loop for coroutines. Never the broker's thread.

One thread serves as long as it keeps up, because threads that compete for the interpreter only slow each other down.
When messages wait although the processor does not work to capacity, the component waits for something else, and a
further thread joins, up to the prefetch; it leaves when it finds nothing to do for a while.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from nomadflows.runtime.work import Work
from nomadflows.runtime.worker import Worker

CHECK_S: Final = 0.005
BUSY_SHARE: Final = 0.8  # of one core: above it a further thread would not help
IDLE_S: Final = 1.0
MAX_THREADS: Final = 256


class ThreadPool:
    """`put` and `drop_waiting` belong to the broker thread."""

    def __init__(self, worker: Worker, size: int, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._run = worker.run
        self._size = min(size or MAX_THREADS, MAX_THREADS)
        self._call_later = call_later
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 1  # the one that calls `serve`
        self._watching = False
        self._seen = (0.0, 0.0)

    def put(self, work: Work) -> None:
        self._queue.put(work)
        if self._size > 1 and not self._watching:
            self._watch()

    def serve(self) -> None:
        """The life of the first thread."""
        while True:
            self._run(self._queue.get())

    def drop_waiting(self) -> list[Work]:
        """Takes back what no thread has begun."""
        dropped = []
        while True:
            try:
                dropped.append(self._queue.get_nowait())
            except queue.Empty:
                return dropped

    def _watch(self) -> None:
        self._watching = True
        self._seen = (time.process_time(), time.monotonic())
        self._call_later(CHECK_S, self._check)

    def _check(self) -> None:
        """One more thread if messages wait and the processor does not work to capacity."""
        self._watching = False
        if self._queue.empty():
            return
        cpu, now = self._seen
        if time.process_time() - cpu < BUSY_SHARE * (time.monotonic() - now) and self._threads < self._size:
            with self._lock:
                self._threads += 1
            threading.Thread(target=self._assist, name=f"component-{self._threads}", daemon=True).start()
        self._watch()

    def _assist(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    self._threads -= 1
                return
            self._run(work)


class LoopPool:
    """The same interface for coroutine functions: one event loop in one thread, a task per message."""

    def __init__(self, worker: Worker, size: int) -> None:
        import asyncio

        self._submit = asyncio.run_coroutine_threadsafe
        self._run = worker.run_async
        self._turn = asyncio.Semaphore(size or MAX_THREADS)
        self._waiting: dict[Work, None] = {}
        self._loop = asyncio.new_event_loop()
        self.serve = self._loop.run_forever

    def put(self, work: Work) -> None:
        self._waiting[work] = None
        self._submit(self._work(work), self._loop)

    async def _work(self, work: Work) -> None:
        async with self._turn:
            if self._waiting.pop(work, self) is None:
                await self._run(work)

    def drop_waiting(self) -> list[Work]:
        """Takes back what no task has begun; `pop` decides between the two threads."""
        return [work for work in list(self._waiting) if self._waiting.pop(work, self) is None]


Pool = ThreadPool | LoopPool
