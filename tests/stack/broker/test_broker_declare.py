"""Declaring, finding what is missing, deleting."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from nomadflows.broker.broker import Broker
from nomadflows.broker.topology import Binding, returns_binding, topology
from nomadflows.model.errors import Refused, ServerRefused
from nomadflows.model.names import REBOUNDED, UNROUTED, VersionRef, input_key, rebound_key, vhost
from nomadflows.model.queuelimits import QueueLimits

from .conftest import Flow, chain


def test_a_topology_is_declared_whole_and_again_without_change(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow("a", "mapper:a:b", "b")
    assert not broker.drift(flow.version, flow.topology)
    broker.declare(flow.version, flow.topology)
    assert not broker.drift(flow.version, flow.topology)


def test_what_strangers_deleted_is_found_and_repaired(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow = make_flow()
    channel = connect().channel()
    channel.queue_delete(flow.version.queue("b"))
    channel.queue_unbind(flow.version.queue("c"), flow.version.exchange, "b.data")
    channel.exchange_unbind(flow.version.ref.returns_exchange, REBOUNDED, flow.version.ref.rebound_pattern)
    missing = broker.drift(flow.version, flow.topology).missing
    assert flow.topology.step_queues[1] in missing
    assert Binding(flow.version.exchange, flow.version.queue("c"), "b.data") in missing
    assert returns_binding(flow.version.ref) in missing
    broker.declare(flow.version, flow.topology)
    assert not broker.drift(flow.version, flow.topology)


def test_a_queue_with_other_properties_is_refused_by_name(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    other = topology(flow.version, flow.steps, QueueLimits(messages=5))
    with pytest.raises(Refused) as caught:
        broker.declare(flow.version, other)
    assert not isinstance(caught.value, ServerRefused)
    assert "orders.v1." in str(caught.value)
    assert "x-max-length" in str(caught.value)
    assert {queue.name for queue in broker.drift(flow.version, other).altered} == {
        flow.version.queue(s) for s in flow.ids
    }


def test_a_vhost_is_made_when_it_is_missing(broker: Broker) -> None:
    name = "test-vhost-made"
    try:
        broker.ensure_vhost(name)
        broker.ensure_vhost(name)
        assert broker.waiting(name, UNROUTED) == 0
    finally:
        broker.management.delete_vhost(vhost(name))


def test_five_steps_are_declared_quickly(broker: Broker, workspace: str) -> None:
    """Generous bounds: the machine may be busy. Quiet, it takes 30 ms, and 6 ms where all is there."""
    steps = chain("a", "mapper:a:b", "b", "mapper:b:c", "c")
    times: dict[str, list[float]] = {"new": [], "again": []}
    for number in range(1, 6):
        version = VersionRef(workspace, "orders", number)
        wanted = topology(version, steps, QueueLimits())
        for what in ("new", "again"):
            began = time.perf_counter()
            broker.declare(version, wanted)
            times[what].append(time.perf_counter() - began)
    assert statistics.median(times["new"]) < 0.3
    assert statistics.median(times["again"]) < 0.1


def test_deleting_a_version_says_what_was_dropped_and_leaves_others(
    make_flow: Callable[..., Flow], broker: Broker
) -> None:
    one, two, eleven = make_flow(number=1), make_flow(number=2), make_flow(number=11)
    for flow in (one, two, eleven):
        for _ in range(3):
            flow.put(input_key("a"))
        flow.put(rebound_key(flow.version, "b"), reboundIteration=1)
        flow.put("a.error")
    assert broker.delete_version(one.version, one.topology) == 4
    assert broker.delete_version(one.version, one.topology) == 0
    assert broker.depths(one.version, one.ids) == {"a": None, "b": None, "c": None}
    for flow in (two, eleven):
        assert flow.ready("a") == 3
        assert not broker.drift(flow.version, flow.topology)
    assert broker.waiting(one.version.workspace, one.version.ref.errors_queue) == 3
    assert broker.delete_flow(one.version.ref) == 3


def test_deleting_where_there_is_no_vhost_is_done_already(broker: Broker) -> None:
    version = VersionRef("test-nowhere", "orders", 1)
    assert broker.delete_version(version, topology(version, chain("a"), QueueLimits())) == 0
    assert broker.delete_flow(version.ref) == 0
