from __future__ import annotations

import threading

from nomadflows.controller.workqueue import AWAY_BACKOFF_S, WorkQueue
from nomadflows.model.names import FlowRef

A, B = FlowRef("default", "a"), FlowRef("default", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_flow_stands_in_the_queue_once_with_all_its_hints() -> None:
    queue = WorkQueue()
    queue.add(A, "message")
    queue.add(B)
    queue.add(A, "full")
    assert queue.take() == (A, frozenset({"message", "full"}))
    assert queue.take() == (B, frozenset())


def test_a_signal_during_work_brings_the_flow_back_afterwards_and_not_before() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert queue.take() == (A, frozenset())
    queue.add(A, "message")
    queue.add(B)
    assert queue.take() == (B, frozenset())
    queue.done(A)
    assert queue.take() == (A, frozenset({"message"}))


def test_a_later_look_comes_when_it_is_due_and_the_earliest_wish_holds() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add_after(A, 10)
    queue.add_after(A, 5)
    queue.add_after(B, 7)
    clock.now = 6
    assert queue.take() == (A, frozenset())
    clock.now = 8
    assert queue.take() == (B, frozenset())
    queue.done(A)
    queue.done(B)
    clock.now = 20
    queue.add(A, "x")
    assert queue.take() == (A, frozenset({"x"}))


def test_failures_wait_longer_and_longer_and_keep_their_hints() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    delays = []
    queue.add(A, "message")
    for _ in range(12):
        taken = queue.take()
        assert taken == (A, frozenset({"message"}))
        delays.append(queue.failed(*taken))
        clock.now += delays[-1]
    assert delays[0] < 0.7
    assert delays[3] > 2 * delays[0]
    assert 45 <= delays[-1] <= 75
    assert queue.take() is not None
    queue.done(A)
    queue.add(A)
    queue.take()
    assert queue.failed(A, frozenset()) < 0.7


def test_a_signal_during_a_failing_look_is_kept_and_soon_looked_at() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A, "full")
    for _ in range(8):
        taken = queue.take()
        assert taken
        clock.now += queue.failed(*taken)
    # Given a flow that waits long between looks, and a look that fails again
    taken = queue.take()
    assert taken
    # When a message comes while it goes on
    queue.add(A, "message")
    # Then the next look comes soon, and knows of it
    delay = queue.failed(*taken)
    assert delay < 0.7
    clock.now += delay
    assert queue.take() == (A, frozenset({"full", "message"}))


def test_a_burst_of_signals_while_a_server_is_away_does_not_lengthen_the_waits() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A, "message")
    looks = []
    while clock.now < 20:
        queue.add(B)  # so that nobody waits for a flow that is not due
        while (taken := queue.take()) and taken[0] == A:
            looks.append(clock.now)
            queue.failed(*taken)
        queue.done(B)
        clock.now += 0.01
        if clock.now < 0.3:  # a message every hundredth of a second
            queue.add(A, "message")
    early = [moment for moment in looks if moment < 2]
    assert len(early) <= 4, "no more than without the burst"
    assert sum(2 <= moment < 10 for moment in looks) >= 2, "and no less"


def test_a_signal_brings_a_look_forward_to_half_a_second_after_the_failure() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A)
    for _ in range(8):
        taken = queue.take()
        assert taken
        clock.now += queue.failed(*taken)
    taken = queue.take()
    assert taken
    failed_at = clock.now
    assert queue.failed(*taken) > 30
    clock.now += 0.1
    queue.add(A, "message")
    queue.add(B)
    assert queue.take() == (B, frozenset())
    clock.now = failed_at + 0.5
    assert queue.take() == (A, frozenset({"message"}))
    # The look that was brought forward fails too: the long wait is the one that was under way
    assert queue.failed(A, frozenset()) > 29
    queue.done(B)


def test_a_server_that_is_away_is_asked_again_sooner_than_a_flow_that_fails() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A)
    delay = 0.0
    for _ in range(12):
        taken = queue.take()
        assert taken
        delay = queue.failed(*taken, longest_s=AWAY_BACKOFF_S)
        clock.now += delay
    assert delay < 7


def test_closing_ends_those_who_wait() -> None:
    queue = WorkQueue()
    ended = threading.Event()

    def worker() -> None:
        assert queue.take() is None
        ended.set()

    thread = threading.Thread(target=worker)
    thread.start()
    queue.close()
    assert ended.wait(5)
    thread.join()


def test_one_flow_is_worked_on_by_one_worker_at_a_time() -> None:
    queue = WorkQueue()
    at_once: dict[FlowRef, int] = {A: 0, B: 0}
    worst = 0
    lock = threading.Lock()
    left = 400

    def worker() -> None:
        nonlocal worst, left
        while taken := queue.take():
            ref, _ = taken
            with lock:
                at_once[ref] += 1
                worst = max(worst, at_once[ref])
            queue.add(ref)
            with lock:
                at_once[ref] -= 1
                left -= 1
                if left <= 0:
                    queue.close()
            queue.done(ref)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    queue.add(A)
    queue.add(B)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert worst == 1


def test_looks_of_a_full_round_are_overtaken_and_get_a_turn_all_the_same() -> None:
    queue = WorkQueue()
    thousands = [FlowRef("default", f"flow-{number}") for number in range(100)]
    for ref in thousands:
        queue.add(ref, "full")
    order = []
    for _ in range(12):
        queue.add(A, "message")
        taken = queue.take()
        assert taken
        order.append(taken[0])
        queue.done(taken[0])
    assert order[0] == A
    assert len([ref for ref in order if ref != A]) == 3


def test_a_message_for_a_flow_that_a_full_round_names_too_makes_it_overtake_the_others() -> None:
    queue = WorkQueue()
    for ref in (A, B):
        queue.add(ref, "full")
    queue.add(B, "message")
    queue.add(B, "full")
    assert len(queue) == 2
    assert queue.take() == (B, frozenset({"full", "message"}))
    assert queue.take() == (A, frozenset({"full"}))


def test_looks_that_are_not_due_any_more_are_forgotten_long_before_their_time() -> None:
    queue = WorkQueue(Clock())
    queue.add_after(B, 60)
    for _ in range(10_000):
        queue.add(A)
        assert queue.take()
        queue.done(A, 7 * 86_400)
    assert len(queue._later) < 3_000
    assert len(queue._due) == 2
