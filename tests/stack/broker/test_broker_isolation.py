"""What a version's own account can do, and all that it cannot."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pika.exceptions
import pytest

from nomadflows.broker.broker import Broker
from nomadflows.model.names import REBOUND, REBOUNDED, SNAPSHOT_QUEUE, data_key, input_key, rebound_queue, vhost

from .conftest import PASSWORD, Flow, until

Connect = Callable[..., pika.BlockingConnection]


@pytest.fixture
def flow(make_flow: Callable[..., Flow], broker: Broker) -> Flow:
    """Version 1, beside a version 2 and another flow."""
    made = make_flow("a", "mapper:a:b", "b")
    for other in (make_flow("a", "b", number=2), make_flow("a", flow="orders-2"), make_flow("a", number=11)):
        broker.ensure_user(other.version, "another", other.ids)
    broker.ensure_user(made.version, PASSWORD, made.ids)
    return made


@pytest.fixture
def connection(flow: Flow, connect: Connect) -> pika.BlockingConnection:
    return connect(flow.version.broker_user, PASSWORD)


def refused(
    connection: pika.BlockingConnection, act: Callable[[pika.adapters.blocking_connection.BlockingChannel], object]
) -> None:
    """The broker closes the channel with 403."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        act(connection.channel())
    assert caught.value.reply_code == 403, caught.value.reply_text


def test_it_reads_its_queues_and_writes_its_exchange(flow: Flow, connection: pika.BlockingConnection) -> None:
    channel = connection.channel()
    channel.confirm_delivery()
    flow.put(input_key("a"), b"work")
    method, _, body = channel.basic_get(flow.version.queue("a"))
    assert body == b"work"
    channel.basic_publish(flow.version.exchange, data_key("a"), b"result", mandatory=True)
    channel.basic_ack(method.delivery_tag)
    channel.basic_consume(flow.version.queue("mapper:a:b"), lambda *_: None)
    assert flow.ready("a") == 0


def test_it_declares_nothing(flow: Flow, connection: pika.BlockingConnection) -> None:
    refused(connection, lambda channel: channel.queue_declare("mine"))
    refused(connection, lambda channel: channel.queue_declare("", exclusive=True))
    refused(connection, lambda channel: channel.queue_declare(flow.version.queue("x"), durable=True))
    refused(connection, lambda channel: channel.exchange_declare("mine"))
    refused(connection, lambda channel: channel.queue_bind(flow.version.queue("a"), flow.version.exchange, "b.data"))
    refused(connection, lambda channel: channel.queue_unbind(flow.version.queue("a"), flow.version.exchange, "a.input"))
    refused(connection, lambda channel: channel.queue_delete(flow.version.queue("a")))
    refused(connection, lambda channel: channel.exchange_delete(flow.version.exchange))


@pytest.mark.parametrize(
    "exchange", ["orders.v2", "orders.v11", "orders-2.v1", REBOUND, REBOUNDED, "orders.returns", ""]
)
def test_it_writes_no_other_exchange(exchange: str, connection: pika.BlockingConnection) -> None:
    def publish(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, "orders.v2.a" if not exchange else "a.input", b"")

    refused(connection, publish)


@pytest.mark.parametrize(
    "queue",
    [
        "orders.v2.a",
        "orders.v11.a",
        "orders-2.v1.a",
        "orders.errors",
        "orders.dead",
        "orders.v1.rebounds.waiting",
        "orders.aside",
        rebound_queue(15),
        SNAPSHOT_QUEUE,
    ],
)
def test_it_reads_no_other_queue(queue: str, connection: pika.BlockingConnection) -> None:
    refused(connection, lambda channel: channel.basic_consume(queue, lambda *_: None))
    refused(connection, lambda channel: channel.basic_get(queue))
    refused(connection, lambda channel: channel.queue_purge(queue))


def test_it_has_no_other_vhost_and_no_management(flow: Flow, broker: Broker) -> None:
    from nomadflows.broker.management import Management
    from nomadflows.model.errors import ServerRefused

    broker.ensure_vhost("test-other")
    try:
        for name in (vhost("test-other"), "/"):
            with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
                pika.BlockingConnection(
                    pika.ConnectionParameters(
                        broker.address.host,
                        broker.address.port,
                        name,
                        pika.PlainCredentials(flow.version.broker_user, PASSWORD),
                    )
                )
        management = Management(broker.management.address, flow.version.broker_user, PASSWORD, 5.0)
        with pytest.raises(ServerRefused):
            management.version()
        management.close()
    finally:
        broker.management.delete_vhost(vhost("test-other"))


def test_ensuring_an_account_again_writes_nothing_and_mends_what_was_changed(
    flow: Flow, broker: Broker, connect: Connect
) -> None:
    user = flow.version.broker_user
    before = broker.management.user(user)
    broker.ensure_user(flow.version, PASSWORD, flow.ids)
    assert broker.management.user(user) == before, "the salted hash would differ if it had been written"
    broker.management.put_permissions(vhost(flow.version.workspace), user, configure=".*", write=".*", read=".*")
    broker.ensure_user(flow.version, PASSWORD, flow.ids)
    refused(connect(user, PASSWORD), lambda channel: channel.queue_declare("mine"))
    broker.ensure_user(flow.version, "a new one", flow.ids)
    connect(user, "a new one")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(user, PASSWORD)


def test_deleting_the_version_ends_its_connections(
    flow: Flow, broker: Broker, connection: pika.BlockingConnection
) -> None:
    user = flow.version.broker_user
    until(lambda: broker.management._find("connections", "username", user), what="the connection in the list")
    broker.delete_version(flow.version, flow.topology)

    def closed() -> bool:
        try:
            connection.process_data_events(0)
        except pika.exceptions.AMQPError:
            return True
        return False

    until(closed, what="the broker's farewell")
    assert broker.management.user(user) is None
