"""Looks into a queue that nobody consumes, such as the errors of a flow, and takes out what is dealt with.

What is looked at is held, unacknowledged, until `close`, and then is back at its old place in the queue. Meanwhile
nobody else sees it: two people who look at the same moment see a part each. Knows nothing of what messages mean.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import pika
import pika.exceptions

from nomadflows.broker.address import Address
from nomadflows.broker.faults import innermost, of_opening, unreachable
from nomadflows.broker.publishing import message_properties
from nomadflows.model.errors import Refused
from nomadflows.model.names import vhost

_HEARTBEAT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it lies in the queue."""

    tag: int
    exchange: str
    key: str
    headers: Mapping[str, Any]
    body: bytes = field(repr=False)


class Shelf:
    """The queues of one workspace, through one connection of its own."""

    def __init__(self, address: Address, workspace: str, timeout: float) -> None:
        self._address = address
        name = f"nomadflows-look@{socket.gethostname()}"
        parameters = address.parameters(vhost(workspace), timeout, _HEARTBEAT_S, name)
        try:
            self._connection = pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        except (pika.exceptions.AMQPError, OSError) as error:
            raise of_opening(address, vhost(workspace), error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Everything that was not dropped is back in its queue."""
        if self._connection.is_open:
            self._connection.close()

    def look(self, queue: str) -> Iterator[Kept]:
        """The messages of a queue, oldest first, each taken when it is asked for; none if there is no such queue."""
        for _ in range(self._count(queue)):
            with self._faults():
                method, properties, body = self._channel.basic_get(queue)
            if method is not None:
                yield Kept(method.delivery_tag, method.exchange, method.routing_key, properties.headers or {}, body)

    def _count(self, queue: str) -> int:
        """Asked through a channel of its own: the broker closes that of a question about a queue there is not, and
        with it what was looked at would be back in its queue."""
        with self._faults():
            channel = self._connection.channel()
            try:
                count = int(channel.queue_declare(queue, passive=True).method.message_count)
            except pika.exceptions.ChannelClosedByBroker:
                return 0
            channel.close()
            return count

    def drop(self, message: Kept) -> None:
        with self._faults():
            self._channel.basic_ack(message.tag)

    def publish(self, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> None:
        """Confirmed by the broker, or Refused."""
        with self._faults():
            try:
                self._channel.basic_publish(exchange, key, body, message_properties(headers), mandatory=True)
            except pika.exceptions.UnroutableError:
                raise Refused(f"there is no queue for {key} of {exchange}") from None
            except pika.exceptions.NackError:
                raise Refused(f"the queue for {key} of {exchange} is full") from None

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (pika.exceptions.AMQPError, OSError) as error:
            raise unreachable(self._address, innermost(error)) from error
