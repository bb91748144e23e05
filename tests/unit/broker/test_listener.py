"""A listener without a broker."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.broker.listener import SnapshotListener, WakeListener


def test_a_mistake_while_listening_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nomadflows.broker.listener.PAUSE_S", (0.01, 0.01))
    listener = WakeListener("amqp://127.0.0.1", lambda _workspace, _version: None)
    turns: list[str] = []
    again = threading.Event()

    def consume(workspace: str) -> None:
        turns.append(workspace)
        if len(turns) == 1:
            raise KeyError("a mistake")
        again.set()

    monkeypatch.setattr(listener, "_consume", consume)
    listener.watch("default")
    listener.start()
    try:
        assert again.wait(5)
    finally:
        listener.stop()


DEEP = b'{"a":' * 5_000 + b"1" + b"}" * 5_000


@pytest.mark.parametrize("body", [pytest.param(DEEP, id="deep"), b"[]", b"{", b"\xff"])
def test_a_snapshot_that_cannot_be_read_is_dropped_and_not_asked_for_again(body: bytes) -> None:
    heard: list[Any] = []
    listener = SnapshotListener("amqp://127.0.0.1", lambda *snapshot: heard.append(snapshot))
    method = SimpleNamespace(exchange="orders.v1", routing_key="watch.snapshot")
    assert listener._hand_on("default", method, {}, body)
    assert heard == []


def test_a_snapshot_that_cannot_be_written_is_dropped() -> None:
    def callback(*_: Any) -> None:
        raise RecursionError

    method = SimpleNamespace(exchange="orders.v1", routing_key="watch.snapshot")
    assert SnapshotListener("amqp://127.0.0.1", callback)._hand_on("default", method, {}, b"{}")
