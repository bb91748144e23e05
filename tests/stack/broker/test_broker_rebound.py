"""A rebound comes back to its step after the delay of its iteration, whoever waits in front of it, and is not lost
when it cannot."""

from __future__ import annotations

import queue
import struct
import time
import uuid
from collections.abc import Callable, Iterator

import pika
import pika.data
import pytest

from nomadflows.broker.broker import Broker
from nomadflows.broker.faults import QueueFull
from nomadflows.broker.listener import WakeListener
from nomadflows.broker.topology import topology, workspace_topology
from nomadflows.model.names import (
    SINK_QUEUE,
    UNROUTED,
    FlowRef,
    VersionRef,
    input_key,
    rebound_key,
    rebound_queue,
    vhost,
)
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.settings import Settings

from .conftest import Flow, chain, delete_workspace, until

Collected = list[tuple[float, str, int]]
RETRY_S = 40.0  # the local broker tries a refused one again every 10 s


@pytest.fixture
def workspace(stack: Settings, broker: Broker) -> Iterator[str]:
    """Delays are a hundredth: 150, 300, 600, 1200, 2400, 4800 and 6000 ms."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    broker.ensure_vhost(name, workspace_topology(rebound_second_ms=10))
    yield name
    delete_workspace(stack, broker, name)


@pytest.fixture
def flow(make_flow: Callable[..., Flow]) -> Flow:
    return make_flow("a", "b")


def send(flow: Flow, step: str, iteration: object = 1, body: bytes = b"", expiration: str | None = "160") -> None:
    """As a step process does it: with an expiration a little longer than the delay."""
    connection = pika.BlockingConnection(flow.broker.address.parameters(vhost(flow.version.workspace), 5, 60, "a step"))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2, headers={"reboundIteration": iteration}, expiration=expiration)
    channel.basic_publish(flow.version.exchange, rebound_key(flow.version, step), body, properties)
    connection.close()


@pytest.fixture
def publish(flow: Flow) -> Callable[..., None]:
    return lambda step, iteration, **more: send(flow, step, iteration, **more)


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


def bodies(connect: Callable, name: str) -> set[bytes]:
    channel = connect().channel()
    found = set()
    while (got := channel.basic_get(name, auto_ack=True))[0] is not None:
        found.add(got[2])
    return found


def test_each_iteration_has_its_delay_and_none_waits_for_another(
    flow: Flow, publish: Callable, connect: Callable
) -> None:
    for iteration in (7, 5, 4, 3, 2, 1):  # the longest first: in one queue they would all wait for it
        publish("b", iteration, expiration="60000")
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


def test_waiting_rebounds_count_until_they_are_back(flow: Flow, broker: Broker) -> None:
    send(flow, "a", 2, expiration="400")
    assert broker.totals(flow.version).rebounding == 1
    until(lambda: flow.ready("a") == 1, what="the message")
    until(lambda: broker.totals(flow.version).rebounding == 0, what="the end of its copy")


def test_a_contracts_longest_expiration_is_taken(flow: Flow, publish: Callable, connect: Callable) -> None:
    publish("a", 1, expiration=str(16_000 * 2**19))
    assert collect(flow, connect, 1)


def test_one_that_finds_its_queue_full_is_held_and_comes_later(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow = make_flow("a", "b", limits=QueueLimits(messages=2, bytes=1_000_000))
    for _ in range(2):
        assert flow.put(input_key("a"), b"input")
    assert not flow.put(input_key("a"), b"one too many")
    for number in range(4):
        send(flow, "a", body=b"%d" % number)
    send(flow, "b", body=b"b")
    until(lambda: flow.ready("b") == 1, what="the other step's, which does not wait for the refused ones")
    found: set[bytes] = set()
    deadline = time.monotonic() + 3 * RETRY_S
    while len(found) < 5 and time.monotonic() < deadline:
        found |= bodies(connect, flow.version.queue("a"))
        time.sleep(0.05)
    assert found == {b"input", *(b"%d" % number for number in range(4))}
    assert broker.waiting(flow.version.workspace, flow.version.ref.dead_queue) == 0


def test_what_is_set_aside_is_in_nobodys_way_and_comes_back(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    """Set aside, they leave the shared delays at their next try; brought back, they are the steps' again."""
    flow = make_flow("a", "b", limits=QueueLimits(messages=1, bytes=1_000_000))
    assert flow.put(input_key("a"), b"input")
    for number in range(3):
        send(flow, "a", body=b"%d" % number)
    until(lambda: broker.totals(flow.version).rebounding == 0, what="the end of their delay")
    broker.set_aside(flow.version.ref)
    broker.set_aside(flow.version.ref)
    aside = flow.version.ref.aside_queue
    until(lambda: broker.waiting(flow.version.workspace, aside) == 3, RETRY_S, "the refused ones aside")
    assert broker.totals(flow.version).rebounding == 3
    assert not broker.drift(flow.version, flow.topology)
    broker.declare(flow.version, flow.topology)
    with pytest.raises(QueueFull):
        broker.bring_back(flow.version)
    found: set[bytes] = set()
    while len(found) < 4:
        found |= bodies(connect, flow.version.queue("a"))
        try:
            broker.bring_back(flow.version)
        except QueueFull:
            continue
    assert found == {b"input", b"0", b"1", b"2"}
    assert broker.bring_back(flow.version) == 0
    assert not broker.drift(flow.version, flow.topology)
    send(flow, "b")
    until(lambda: flow.ready("b") == 1, what="a rebound that returns directly")
    # One that is suspended before it had any queues
    never = FlowRef(flow.version.workspace, "never").version(1)
    broker.unfeed_wake(never)
    broker.set_aside(never.ref)
    made = topology(never, chain("a"), QueueLimits(messages=1, bytes=1_000_000))
    broker.declare(never, made)
    assert broker.bring_back(never) == 0
    assert not broker.drift(never, made)


def test_those_of_earlier_versions_find_the_last_one_or_the_dead_queue(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    one = make_flow("a", "b", "gone", number=1)
    for step in one.ids:
        send(one, step, 5, body=b"1" + step.encode(), expiration="2500")
    two = make_flow("a", "b", "gone", number=2)
    assert broker.move_rebounds(one.version, two.version) == 3
    assert broker.totals(two.version).rebounding == 3
    broker.delete_version(one.version, one.topology)
    send(two, "gone", 5, body=b"2gone", expiration="2500")
    three = make_flow("a", "b", number=3)
    broker.move_rebounds(two.version, three.version)
    broker.move_rebounds(two.version, three.version)
    broker.delete_version(two.version, two.topology)
    assert broker.totals(three.version).rebounding == 4
    dead = three.version.ref.dead_queue
    until(lambda: broker.waiting(three.version.workspace, dead) == 2, what="those whose step is gone")
    until(lambda: three.ready("a") and three.ready("b"), what="the others")
    assert bodies(connect, dead) == {b"1gone", b"2gone"}
    assert bodies(connect, three.version.queue("a")) == {b"1a"}
    assert bodies(connect, three.version.queue("b")) == {b"1b"}
    assert not broker.drift(three.version, three.topology)


def test_those_of_a_stopped_flow_are_dropped_and_leave_nothing_behind(
    make_flow: Callable[..., Flow], broker: Broker
) -> None:
    flow, other = make_flow("a", "b"), make_flow("a", flow="orders-2")
    broker.feed_wake(flow.version)
    send(flow, "a", 2, expiration="60000")
    broker.set_aside(flow.version.ref)
    assert broker.delete_version(flow.version, flow.topology) == 1
    name = vhost(flow.version.workspace)
    assert broker.management.exchange(name, flow.version.ref.returns_exchange) is None
    assert broker.management.queue(name, flow.version.ref.aside_queue) is None
    send(other, "a", 2, expiration="60000")
    until(lambda: other.ready("a") == 1, what="the other flow's")
    queues = (SINK_QUEUE, UNROUTED, flow.version.ref.dead_queue)
    assert [broker.waiting(flow.version.workspace, name) for name in queues] == [0, 0, 0]
    until(lambda: _held(broker, flow.version, 30) == 0, 20, "an empty delay")


def _held(broker: Broker, version: VersionRef, seconds: int) -> int:
    """By statistics, since a quorum queue's list does not tell what it holds back; seconds old."""
    found = broker.management.queue(vhost(version.workspace), rebound_queue(seconds)) or {}
    return int(found.get("messages", -1))


def test_a_flow_cannot_send_another_ones_step_a_rebound(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow, other = make_flow("a"), make_flow("a", flow="orders-2")
    flow.put(rebound_key(other.version, "a"), reboundIteration=1)
    assert broker.waiting(flow.version.workspace, UNROUTED) == 1
    assert broker.totals(other.version).rebounding == 0


def test_one_that_returns_wakes_also_if_an_earlier_version_sent_it(
    make_flow: Callable[..., Flow], broker: Broker, workspace: str, stack: Settings
) -> None:
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    listener = WakeListener(stack.amqp_uri, lambda *what: heard.put(what))
    one = make_flow("a", number=1)
    send(one, "a", 5, expiration="2500")
    two = make_flow("a", number=2)
    broker.move_rebounds(one.version, two.version)
    broker.delete_version(one.version, one.topology)
    broker.feed_wake(two.version)
    listener.watch(workspace)
    listener.start()
    try:
        assert heard.get(timeout=10) == (workspace, "orders.v1")
        assert two.ready("a") == 1
        broker.unfeed_wake(two.version)
        send(two, "a")
        until(lambda: two.ready("a") == 2, what="the second")
        assert heard.empty()
    finally:
        listener.stop()
