"""What becomes of messages: routing, full queues, what nobody wants, what is dropped and moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nomadflows.broker.astray import route_again
from nomadflows.broker.broker import Broker
from nomadflows.broker.faults import QueueFull
from nomadflows.model.errors import NotFound, Refused
from nomadflows.model.names import SINK_QUEUE, UNROUTED, VersionRef, data_key, input_key, rebound_key
from nomadflows.model.queuelimits import QueueLimits

from .conftest import Flow, until


def test_output_goes_to_the_next_step_and_the_last_ones_nowhere(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    assert flow.put(data_key("a"))
    assert flow.put(data_key("c"))
    assert [flow.ready(step) for step in flow.ids] == [0, 1, 0]
    assert broker.waiting(flow.version.workspace, SINK_QUEUE) == 0
    assert broker.waiting(flow.version.workspace, UNROUTED) == 0


def test_what_nobody_is_bound_to_is_kept_for_people(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    assert flow.put("gone.input")
    assert broker.waiting(flow.version.workspace, UNROUTED) == 1


def test_what_came_while_a_queue_was_missing_is_given_to_it_again(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow, other = make_flow(), make_flow(flow="others")
    connect().channel().queue_delete(flow.version.queue("a"))
    for number in range(3):
        assert flow.put(input_key("a"), str(number).encode(), threadId="t")
    assert flow.put("gone.input")
    assert other.put("gone.input")
    broker.declare(flow.version, flow.topology)
    assert route_again(broker, flow.version, flow.topology) == 3
    assert route_again(broker, flow.version, flow.topology) == 0
    assert flow.ready("a") == 3
    until(lambda: broker.waiting(flow.version.workspace, UNROUTED) == 2, what="those of nobody are left")
    _, properties, body = connect().channel().basic_get(flow.version.queue("a"), auto_ack=True)
    assert (body, properties.headers["threadId"]) == (b"0", "t")


def test_without_an_exchange_or_a_queue_publishing_says_so(broker: Broker, workspace: str) -> None:
    with pytest.raises(NotFound, match=r"no exchange 'nowhere\.v1'"):
        broker.publish(workspace, "nowhere.v1", "a.input", b"", {})
    with pytest.raises(Refused, match="no queue for nowhere at the default exchange"):
        broker.publish(workspace, "", "nowhere", b"", {})
    assert broker.publish(workspace, "", UNROUTED, b"", {})


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(
    make_flow: Callable[..., Flow], broker: Broker
) -> None:
    flow = make_flow(limits=QueueLimits(messages=3))
    assert [flow.put(input_key("a")) for _ in range(5)] == [True, True, True, False, False]
    assert flow.ready("a") == 3
    broker.purge(flow.version, ["a"])
    assert flow.put(input_key("a"))


def test_messages_are_persistent_and_look_as_steps_expect(make_flow: Callable[..., Flow], connect: Callable) -> None:
    flow = make_flow()
    flow.put(input_key("a"), b"body", protocolVersion=2)
    method, properties, body = connect().channel().basic_get(flow.version.queue("a"), auto_ack=True)
    assert (method.routing_key, body) == ("a.input", b"body")
    assert (properties.delivery_mode, properties.content_type, properties.content_encoding) == (
        2,
        "application/json",
        "utf8",
    )
    assert properties.headers == {"messageId": "m", "protocolVersion": 2}


def test_a_rejected_message_goes_to_the_flows_dead_queue(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow = make_flow()
    flow.put(input_key("a"))
    channel = connect().channel()
    method, _, _ = channel.basic_get(flow.version.queue("a"))
    channel.basic_reject(method.delivery_tag, requeue=False)
    until(lambda: broker.waiting(flow.version.workspace, "orders.dead"), what="the dead message")


def test_depths_are_live_and_a_missing_queue_is_none(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow = make_flow()
    channel = connect().channel()
    channel.basic_consume(flow.version.queue("a"), lambda *_: None)
    flow.put(input_key("b"))
    channel.queue_delete(flow.version.queue("c"))
    depths = broker.depths(flow.version, [*flow.ids, "a"])
    assert depths["a"] is not None
    assert depths["a"].consumers == 1
    assert depths["b"] is not None
    assert (depths["b"].ready, depths["b"].consumers) == (1, 0)
    assert depths["c"] is None


def test_totals_see_unacknowledged_and_rebounding_messages_at_once(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    flow, other = make_flow(), make_flow(number=12)
    channel = connect().channel()
    for count in (1, 2, 3):
        flow.put(input_key("a"))
        other.put(input_key("a"))
        until(lambda: channel.basic_get(flow.version.queue("a"))[0], what="delivery")
        totals = broker.totals(flow.version, flow.ids)
        assert (totals.steps["a"].ready, totals.steps["a"].unacked) == (0, count)
    flow.put(rebound_key(flow.version, "b"), reboundIteration=1)
    flow.put(rebound_key(flow.version, "b"), reboundIteration=77)
    totals = broker.totals(flow.version)
    assert set(totals.steps) == {"a", "b", "c"}
    assert totals.rebounding == 2
    assert totals.left == 5
    channel.basic_ack(0, multiple=True)
    until(lambda: broker.totals(flow.version).left == 2, timeout=1, what="acknowledged")
    assert broker.workspace_totals(flow.version.workspace)[other.version.queue("a")].ready == 3


def test_moving_leaves_nothing_behind_and_keeps_messages_as_they_are(
    make_flow: Callable[..., Flow], broker: Broker, connect: Callable
) -> None:
    old, new = make_flow(number=1), make_flow(number=2)
    for number in range(500):
        assert old.put(input_key("a"), str(number).encode(), messageId=str(number), threadId="t")
    assert broker.move(old.version.workspace, old.version.queue("a"), new.version.exchange, input_key("a")) == 500
    assert (old.ready("a"), new.ready("a")) == (0, 500)
    channel = connect().channel()
    bodies = []
    for _ in range(500):
        _, properties, body = channel.basic_get(new.version.queue("a"), auto_ack=True)
        assert properties.headers == {"messageId": body.decode(), "threadId": "t"}
        assert properties.delivery_mode == 2
        bodies.append(int(body))
    assert bodies == list(range(500)), "the order is kept"


def test_moving_out_of_a_queue_that_is_not_there_moves_nothing(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    assert broker.move(flow.version.workspace, "orders.v9.a", flow.version.exchange, input_key("a")) == 0
    flow.put(input_key("a"))
    with pytest.raises(NotFound):
        broker.move(flow.version.workspace, flow.version.queue("a"), "orders.v9", input_key("a"))
    assert flow.ready("a") == 1


def test_moving_to_a_full_queue_stops_and_the_rest_stays(make_flow: Callable[..., Flow], broker: Broker) -> None:
    old, new = make_flow(number=1), make_flow(number=2, limits=QueueLimits(messages=30))
    for _ in range(100):
        old.put(input_key("a"))
    with pytest.raises(QueueFull):
        broker.move(old.version.workspace, old.version.queue("a"), new.version.exchange, input_key("a"))
    until(lambda: old.ready("a") + new.ready("a") == 100, what="all messages in one of the two places")
    assert new.ready("a") == 30


def test_moving_to_a_queue_that_is_not_there_is_refused_and_all_stays(
    make_flow: Callable[..., Flow], broker: Broker
) -> None:
    old = make_flow()
    for _ in range(10):
        old.put(input_key("a"))
    with pytest.raises(Refused, match="no queue for nowhere"):
        broker.move(old.version.workspace, old.version.queue("a"), "", "nowhere")
    until(lambda: old.ready("a") == 10, what="messages back in their queue")


def test_purging_drops_what_waits_and_keeps_the_queues_and_what_is_delayed(
    make_flow: Callable[..., Flow], broker: Broker
) -> None:
    flow = make_flow()
    flow.put(input_key("a"))
    flow.put(input_key("b"))
    flow.put(rebound_key(flow.version, "c"), reboundIteration=3)
    assert broker.purge(flow.version, ["a", "b", "c", "never-there"]) == 2
    assert not broker.drift(flow.version, flow.topology)
    assert broker.totals(flow.version).left == 1


def test_what_came_in_is_counted(make_flow: Callable[..., Flow], broker: Broker) -> None:
    flow = make_flow()
    assert broker.published(flow.version) == 0
    assert broker.published(VersionRef(flow.version.workspace, "nowhere", 1)) == 0
    flow.put(input_key("a"))
    until(lambda: broker.published(flow.version) == 1, timeout=15, what="the counter")
