"""How the broker remembers a flow's newest tick."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nomadflows.broker.broker import Broker
from nomadflows.broker.wire import Crypto, decode
from nomadflows.controller.ticks import last_sent, publish_tick, tick_ids
from nomadflows.model.names import UNROUTED
from nomadflows.settings import Settings

from .conftest import Flow

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CRYPTO = Crypto("p", "0123456789abcdef")


def test_the_broker_knows_a_flows_newest_tick_also_after_it_was_processed(
    make_flow: Callable[..., Flow], broker: Broker, stack: Settings, connect: Callable
) -> None:
    flow = make_flow()
    ref = flow.version.ref
    assert last_sent(broker, ref) is None
    # When ticks are sent, scheduled ones and one that is not
    for minute in (0, 3):
        due = NOON + timedelta(minutes=minute)
        assert publish_tick(broker, CRYPTO, flow.version, "a", tick_ids(ref, due), due)
    assert publish_tick(broker, CRYPTO, flow.version, "a")
    # And processed
    channel = connect().channel()
    got = [channel.basic_get(flow.version.queue("a"), auto_ack=True) for _ in range(3)]
    assert [decode(CRYPTO, body, properties.headers)["id"] for _, properties, body in got[:2]] == [
        tick_ids(ref, NOON)[0],
        tick_ids(ref, NOON + timedelta(minutes=3))[0],
    ]
    assert "BCC" not in got[0][1].headers
    # Then the newest scheduled one is known, however often one asks, and whoever does
    with Broker(stack.amqp_uri, stack.rabbitmq_api) as another:
        for who in (broker, another, broker, another):
            assert last_sent(who, ref) == NOON + timedelta(minutes=3)
    assert broker.waiting(flow.version.workspace, ref.ticks_queue) == 1
    assert broker.waiting(flow.version.workspace, UNROUTED) == 0
    # And a later version of the flow, or its deletion, does not count it as a message
    assert last_sent(broker, ref.version(2).ref) == NOON + timedelta(minutes=3)
    broker.delete_version(flow.version, flow.topology)
    assert broker.delete_flow(ref) == 0
    assert last_sent(broker, ref) is None
