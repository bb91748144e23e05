"""Moves what a queue holds to somewhere else. A message is acknowledged in its old place only when the broker has
confirmed the new one: none is lost, and one may be there twice only if the mover dies in between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nomadflows.broker.faults import QueueFull
from nomadflows.broker.link import Link, Wait
from nomadflows.broker.publishing import Confirms
from nomadflows.model.errors import Refused

WINDOW: Final = 200  # messages on their way
_QUIET_S: Final = 0.05  # no delivery for so long, and none on its way: the queue may be empty
_PATIENCE: Final = 20  # rounds in which a queue that is not empty delivers nothing
_CHANNEL: Final = "move"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes, as it is."""

    exchange: str
    key: str


Route = Callable[[str], Target]  # of a message's routing key


class Mover:
    """One at a time on its link. Refused, once the source's rest is back where it was, if a message cannot be moved."""

    def __init__(self, link: Link, confirms: Confirms) -> None:
        self._link = link
        self._confirms = confirms
        self._moved = 0
        self._unconfirmed = 0
        self._stirred = False
        self._failure: Refused | None = None
        self._unsure = False  # a message came back as unroutable; confirms no longer tell which ones arrived

    def move(self, source: str, route: Route) -> int:
        """Move until the source is empty; how many went. Refused if the new place does not take one: it stays."""
        self._moved = 0
        patience = _PATIENCE
        while patience and self._ready(source):
            before = self._moved
            self._confirms.ready()
            channel = self._link.channel(_CHANNEL, setup=_prefetch)
            self._unconfirmed = 0
            try:
                self._link.wait(functools.partial(self._run, channel=channel, source=source, route=route))
            finally:
                self._link.close_channel(_CHANNEL)  # what was delivered and not moved returns to the source
            patience -= self._moved == before
        if not patience:
            raise Refused(f"RabbitMQ does not deliver what is in {source}")
        return self._moved

    def _ready(self, source: str) -> int:
        frame = self._link.ask(lambda channel, reply: channel.queue_declare(source, passive=True, callback=reply))
        return int(frame.method.message_count)

    def _run(self, wait: Wait, *, channel: Any, source: str, route: Route) -> None:
        def came_back(what: str) -> None:
            self._unsure = True
            self._stop(Refused(f"RabbitMQ knows no queue for {what}; the rest stays in {source}"))

        def take(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if self._failure is not None:
                return
            target = route(method.routing_key)
            self._stirred = True
            self._unconfirmed += 1
            settle = functools.partial(self._settle, wait, channel, method.delivery_tag, target.key)
            self._confirms.send(target.exchange, target.key, body, properties, settle)

        self._confirms.on_return(came_back)
        channel.basic_consume(source, take)
        wait.every(_QUIET_S, lambda: self._end_if_quiet(wait))

    def _settle(self, wait: Wait, channel: Any, tag: int, key: str, confirmed: bool) -> None:
        """After a failure those on their way are still settled, so that none is in both places."""
        self._unconfirmed -= 1
        if not confirmed:
            self._stop(QueueFull(f"the queue behind {key} is full; the rest stays where it was"))
        elif not self._unsure and not wait.over:
            channel.basic_ack(tag)
            self._moved += 1
            wait.progress()
        if self._failure is not None and not self._unconfirmed:
            wait.fail(self._failure)

    def _stop(self, failure: Refused) -> None:
        self._failure = self._failure or failure

    def _end_if_quiet(self, wait: Wait) -> None:
        if not self._stirred and not self._unconfirmed:
            wait.done()
        self._stirred = False


def _prefetch(channel: Any, reply: Callable[[Any], None]) -> None:
    channel.basic_qos(prefetch_count=WINDOW, callback=reply)
