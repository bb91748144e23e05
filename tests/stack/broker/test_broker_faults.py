"""Connections that are cut, and a broker that hangs or goes away and comes back."""

from __future__ import annotations

import gc
import queue
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from nomadflows.broker.broker import Broker
from nomadflows.broker.listener import WakeListener
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import input_key
from nomadflows.settings import Settings
from tests.conftest import Servers

from .conftest import Flow, until


def test_a_connection_cut_meanwhile_is_reopened_unnoticed(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    until(lambda: broker.management.close_connections(broker.address.user), what="connections in the list")
    assert flow.put(input_key("a"))
    until(lambda: broker.management.close_connections(broker.address.user), what="connections in the list")
    assert flow.ready("a") == 1
    broker.declare(flow.version, flow.topology)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pika leaves sockets of connections it gave up half open
def test_a_broker_that_hangs_is_unknown_in_time_and_used_again_when_it_goes_on(
    make_flow: Callable[..., Flow], stack: Settings, servers: Servers
) -> None:
    flow = make_flow()
    flow.put(input_key("a"))
    with Broker(stack.amqp_uri, stack.rabbitmq_api, timeout=1.0) as broker:
        assert broker.depths(flow.version, ["a"])["a"] is not None
        servers.kill("rabbitmq", signal.SIGSTOP)
        try:
            for call in (
                lambda: broker.depths(flow.version, ["a"]),
                lambda: broker.depths(flow.version, ["a"]),  # without a connection now
                lambda: broker.totals(flow.version),
                lambda: broker.publish(flow.version.workspace, flow.version.exchange, input_key("a"), b"", {}),
                lambda: broker.delete_version(flow.version, flow.topology),
            ):
                began = time.monotonic()
                with pytest.raises(ServerUnreachable):
                    call()
                assert time.monotonic() - began < 3
        finally:
            servers.kill("rabbitmq", signal.SIGCONT)
        until(lambda: answers(broker, flow), timeout=20, what="the broker's answer")
    gc.collect()  # here, where they are expected, whatever sockets are left


def answers(broker: Broker, flow: Flow) -> bool:
    try:
        return broker.depths(flow.version, ["a"])["a"] is not None
    except ServerUnreachable:
        return False


def test_a_restart_loses_nothing_and_everybody_comes_back(
    make_flow: Callable[..., Flow], broker: Broker, stack: Settings, servers: Servers
) -> None:
    flow = make_flow()
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = WakeListener(stack.amqp_uri, lambda *what: heard.put(what))
    listener.watch(flow.version.workspace)
    listener.start()
    assert listener.wait_listening(flow.version.workspace, 10)
    for _ in range(20):
        assert flow.put(input_key("a"))
    broker.feed_wake(flow.version)
    servers.restart("rabbitmq")
    until(lambda: answers(broker, flow), timeout=20, what="the broker's answer")
    assert flow.ready("a") == 20
    assert not broker.drift(flow.version, flow.topology)
    assert flow.put(input_key("a"))
    assert heard.get(timeout=20) == (flow.version.workspace, "orders.v1")
    assert broker.totals(flow.version).steps["a"].ready == 21
    listener.stop()
