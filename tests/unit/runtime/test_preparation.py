"""Whoever waits for the preparation is told once, however the two threads take turns."""

from __future__ import annotations

import threading

import pytest

from nomadflows.broker.wire import Crypto
from nomadflows.runtime.preparation import Preparation
from tests.unit.runtime.test_settings import read


class Preempted(threading.Event):
    """The thread that sets it gets no further until the other one has called back, or has nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()

    def set(self) -> None:
        super().set()
        self.called.wait(1)


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> Preparation:
    made = Preparation(read(), Crypto("password", "0123456789abcdef"))
    made._connecting = Preempted()

    def fail() -> None:
        raise RuntimeError("no component")

    monkeypatch.setattr(made, "_prepare", fail)
    return made


def outcome_told(preparation: Preparation) -> list[object]:
    told: list[object] = []
    ended = threading.Event()

    def then() -> None:
        told.append(preparation.outcome())
        preparation._connecting.called.set()

    preparation.go_on(ended.set)
    preparation.on_connecting(then)
    assert ended.wait(5)
    return told


def test_a_preparation_that_ends_before_the_main_thread_goes_on_is_told_of_once(preparation: Preparation) -> None:
    thread = threading.Timer(0.05, preparation.start)  # while `on_connecting` is held up
    thread.start()
    assert [str(told) for told in outcome_told(preparation)] == ["no component"]


def test_a_preparation_that_ended_long_before_is_told_of_once(preparation: Preparation) -> None:
    preparation.start()
    assert [str(told) for told in outcome_told(preparation)] == ["no component"]
