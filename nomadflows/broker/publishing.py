"""Publishing that knows what became of each message: the broker has it, refused it, or knew no queue for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pika

from nomadflows.broker.link import Link, Reply, Wait
from nomadflows.model.errors import Refused

PERSISTENT: Final = 2
_CHANNEL: Final = "publish"

Outcome = Callable[[bool], None]  # True: the broker has it; False: a queue refused it


def message_properties(headers: dict[str, Any]) -> pika.BasicProperties:
    """Persistent, and otherwise as step processes publish."""
    return pika.BasicProperties(
        content_type="application/json", content_encoding="utf8", delivery_mode=PERSISTENT, headers=headers
    )


class Confirms:
    """Confirmed publishing over a link. One for each link, since it numbers what goes through the link's channel."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: Any = None
        self._sent = 0
        self._open: dict[int, Outcome] = {}
        self._returned: Callable[[str], None] = lambda _what: None

    def send_one(self, exchange: str, key: str, body: bytes, properties: pika.BasicProperties) -> bool:
        """True when the broker has it, False when a queue is full. Refused when no queue is bound to the key."""
        self.ready()

        def begin(wait: Wait) -> None:
            self.on_return(lambda what: wait.fail(Refused(f"RabbitMQ knows no queue for {what}")))
            self.send(exchange, key, body, properties, wait.done)

        return bool(self._link.wait(begin))

    def ready(self) -> None:
        """Have an open channel that confirms. Numbers start again with each new one."""
        channel = self._link.channel(_CHANNEL, setup=self._select)
        if channel is not self._channel:
            self._channel = channel
            self._sent = 0
            self._open.clear()

    def on_return(self, tell: Callable[[str], None]) -> None:
        """Who hears of messages that no queue wanted; they are confirmed nevertheless, after this."""
        self._returned = tell

    def send(self, exchange: str, key: str, body: bytes, properties: pika.BasicProperties, outcome: Outcome) -> None:
        """After `ready`, while the link waits; `outcome` is called within that wait."""
        self._sent += 1
        self._open[self._sent] = outcome
        self._channel.basic_publish(exchange, key, body, properties, mandatory=True)

    def _select(self, channel: Any, reply: Reply) -> None:
        channel.add_on_return_callback(lambda _channel, method, _properties, _body: self._on_return(method))
        channel.confirm_delivery(self._on_confirm, callback=reply)

    def _on_return(self, method: Any) -> None:
        self._returned(f"{method.routing_key} at {method.exchange or 'the default exchange'}")

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        confirmed = isinstance(method, pika.spec.Basic.Ack)
        tags = [tag for tag in self._open if tag <= method.delivery_tag] if method.multiple else [method.delivery_tag]
        for tag in tags:
            if outcome := self._open.pop(tag, None):
                outcome(confirmed)
