"""A rebound comes back to its step after the delay of its iteration, whoever waits in front of it."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import pika
import pika.data
import pytest

from nomadflows.broker.broker import Broker
from nomadflows.model.names import UNROUTED, rebound_key

from .conftest import Flow, until

Collected = list[tuple[float, str, int]]


@pytest.fixture
def flow(make_flow: Callable[..., Flow]) -> Flow:
    """Delays are a hundredth: 150, 300, 600, 1200, 2400, 4800 and 6000 ms."""
    return make_flow("a", "b", rebound_second_ms=10)


@pytest.fixture
def publish(flow: Flow, connect: Callable) -> Callable[..., None]:
    channel = connect().channel()
    channel.confirm_delivery()

    def send(step: str, iteration: object, **properties: str) -> None:
        channel.basic_publish(
            flow.version.exchange,
            rebound_key(step),
            b"",
            pika.BasicProperties(headers={"reboundIteration": iteration}, **properties),
        )

    return send


def collect(flow: Flow, connect: Callable, count: int) -> Collected:
    """(seconds since now, step, iteration) of so many messages in the steps' queues, in the order of their return."""
    began = time.monotonic()
    found: Collected = []
    connection = connect()
    channel = connection.channel()
    for step in flow.ids:

        def take(
            _channel: object, _method: object, properties: pika.BasicProperties, _body: bytes, step: str = step
        ) -> None:
            found.append((time.monotonic() - began, step, properties.headers["reboundIteration"]))

        channel.basic_consume(flow.version.queue(step), take, auto_ack=True)
    until(lambda: connection.process_data_events(0.02) or len(found) >= count, what=f"{count} messages back")
    return found


def test_each_iteration_has_its_delay_and_none_waits_for_another(
    flow: Flow, publish: Callable, connect: Callable
) -> None:
    for iteration in (7, 5, 4, 3, 2, 1):  # the longest first: in one queue they would all wait for it
        publish("b", iteration)
    publish("a", 1)
    found = collect(flow, connect, 7)
    assert [iteration for _, _, iteration in found] == [1, 1, 2, 3, 4, 5, 7]
    assert {step for _, step, iteration in found if iteration > 1} == {"b"}
    for seconds, _, iteration in found:
        due = {1: 0.15, 2: 0.3, 3: 0.6, 4: 1.2, 5: 2.4, 7: 6.0}[iteration]
        assert due - 0.3 < seconds < due + 1.5, f"iteration {iteration} after {seconds:.2f} s"


def test_the_contracts_own_expiration_does_not_disturb(flow: Flow, publish: Callable, connect: Callable) -> None:
    """Step processes also set `expiration`, in real seconds; the queue's shorter delay holds, and what returns has none."""
    publish("a", 1, expiration="15000")
    assert collect(flow, connect, 1)[0][0] < 2


def test_integers_of_all_sizes_are_understood(
    flow: Flow, publish: Callable, connect: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pika writes 32 bits, or 64; the Node library writes a number this small as one byte."""

    class Byte(int):
        pass

    encode = pika.data.encode_value

    def with_bytes(pieces: list[bytes], value: object) -> int:
        if isinstance(value, Byte):
            pieces.append(struct.pack(">cb", b"b", value))
            return 2
        return int(encode(pieces, value))

    monkeypatch.setattr(pika.data, "encode_value", with_bytes)
    for iteration in (Byte(2), 2, pika.compat.long(2)):
        publish("a", iteration)
    assert all(seconds < 2 for seconds, _, _ in collect(flow, connect, 3)), "none took the 6 s of unknown iterations"


def test_waiting_rebounds_count_and_a_lost_step_is_not_silent(
    flow: Flow, publish: Callable, broker: Broker, connect: Callable
) -> None:
    publish("a", 2)
    publish("gone", 1)
    assert broker.totals(flow.version).rebounding == 2
    until(lambda: broker.waiting(flow.version.workspace, UNROUTED) == 1, what="the lost one")
    until(lambda: flow.ready("a") == 1, what="the other one")
    assert broker.totals(flow.version).rebounding == 0
