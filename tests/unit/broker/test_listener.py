"""A listener without a broker."""

from __future__ import annotations

import threading

import pytest

from nomadflows.broker.listener import WakeListener


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
