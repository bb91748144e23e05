"""No server: which one, where, soon, and without the password."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Iterator

import pytest

from nomadflows.broker.broker import Broker
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import VersionRef

VERSION = VersionRef("default", "orders", 1)


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def broker(port: int) -> Broker:
    return Broker(f"amqp://admin:hunter2@127.0.0.1:{port}", f"http://admin:hunter2@127.0.0.1:{port}", timeout=0.5)


def check(caught: pytest.ExceptionInfo[ServerUnreachable], port: int) -> None:
    shown = "".join(traceback.format_exception(caught.value))
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert caught.value.exit_code == 3
    assert "hunter2" not in shown


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with broker(port) as unreachable:
        with pytest.raises(ServerUnreachable) as caught:
            unreachable.depths(VERSION, ["a"])
        check(caught, port)
        assert "Connection refused" in str(caught.value)
        with pytest.raises(ServerUnreachable) as caught:
            unreachable.totals(VERSION)
        check(caught, port)
        assert "Connection refused" in str(caught.value)


def test_a_server_that_says_nothing_ends_with_the_time_out(deaf: int) -> None:
    with broker(deaf) as silent:
        for call in (lambda: silent.depths(VERSION, ["a"]), lambda: silent.totals(VERSION)):
            began = time.monotonic()
            with pytest.raises(ServerUnreachable) as caught:
                call()
            check(caught, deaf)
            assert time.monotonic() - began < 1.5


def test_a_broker_is_refused_to_a_second_thread() -> None:
    import threading

    errors: list[str] = []
    mine = broker(1)
    with pytest.raises(ServerUnreachable):
        mine.depths(VERSION, ["a"])

    def use() -> None:
        try:
            mine.depths(VERSION, ["a"])
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    mine.close()
    assert errors
    assert "thread" in errors[0]
