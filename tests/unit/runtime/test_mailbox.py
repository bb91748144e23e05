"""Nothing that is posted is overlooked, whenever it comes."""

from __future__ import annotations

import queue
import threading
import time

from nomadflows.runtime.mailbox import Mailbox


class Loop:
    """A broker thread: runs what wakes it, and now and then waits in the mailbox itself."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.calls: queue.SimpleQueue = queue.SimpleQueue()
        self.wakes = 0
        self.mailbox: Mailbox[int] = Mailbox(self.deliver, self.wake)

    def deliver(self, items) -> None:
        while items:
            self.got.append(items.popleft())

    def wake(self, callback) -> None:
        self.wakes += 1
        self.calls.put(callback)


def test_a_batch_is_announced_once():
    loop = Loop()
    for n in range(5):
        loop.mailbox.post(n)
    assert loop.wakes == 1
    loop.calls.get_nowait()()
    assert loop.got == [0, 1, 2, 3, 4]


def test_who_waits_needs_no_wake_up():
    loop = Loop()
    threading.Timer(0.0005, loop.mailbox.post, [1]).start()
    deadline = time.monotonic() + 5
    while not loop.got and time.monotonic() < deadline:
        loop.mailbox.wait()
        while not loop.calls.empty():
            loop.calls.get_nowait()()
    assert loop.got == [1]


def test_four_threads_post_while_the_loop_comes_and_goes():
    loop = Loop()
    posted = 4 * 3000

    def post(start: int) -> None:
        for n in range(start, posted, 4):
            loop.mailbox.post(n)
            if n % 7 == 0:
                time.sleep(0.0001)

    threads = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(loop.got) < posted and time.monotonic() < deadline:
        loop.mailbox.wait()
        try:
            loop.calls.get(timeout=0.01)()  # a loop that sleeps until it is woken
        except queue.Empty:
            continue
    for thread in threads:
        thread.join()
    assert sorted(loop.got) == list(range(posted))
    for start in range(4):  # each thread's in its order
        assert [n for n in loop.got if n % 4 == start] == list(range(start, posted, 4))
