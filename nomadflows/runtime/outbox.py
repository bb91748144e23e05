"""Publishing with confirms, pipelined, until each output is safe. Lives in the broker thread.

An output leaves only when the broker confirmed it. What it refused (a full queue) is tried again after a pause that
doubles; what a lost channel left unconfirmed goes out again first on the next one. So a message may come twice, with
the same id, but never not at all.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nomadflows.runtime.amqp import Nack, exceptions
from nomadflows.runtime.work import Output, Work

logger = logging.getLogger("nomadflows.runtime")

_RETRY_DOUBLINGS: Final = 30


class Outbox:
    """`settled` is told of each work whose last output was confirmed."""

    def __init__(
        self,
        exchange: str,
        *,
        first_pause_s: float,
        longest_pause_s: float,
        call_later: Callable[[float, Callable[[], None]], Any],
        on_confirmed: Callable[[Work | None], None],
    ) -> None:
        self._exchange = exchange
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._call_later = call_later
        self._on_confirmed = on_confirmed
        self._channel: Any = None
        self._sequence = 0
        self._unconfirmed: dict[int, Output] = {}
        self._waiting: deque[Output] = deque()

    def attach(self, channel: Any) -> None:
        """A fresh channel in confirm mode."""
        channel.add_on_return_callback(self._on_return)
        self._channel = channel
        self._sequence = 0
        waiting, self._waiting = self._waiting, deque()
        for output in waiting:
            self.put(output)

    def detach(self) -> None:
        """The channel is gone, and with it the answer to what is unconfirmed."""
        self._channel = None
        for output in self._unconfirmed.values():
            output.attempts += 1
        self._waiting.extendleft(reversed(self._unconfirmed.values()))
        self._unconfirmed = {}

    def put(self, output: Output) -> None:
        channel = self._channel
        if channel is None or not channel.is_open:
            self._waiting.append(output)
            return
        if output.attempts:
            output.properties.mark_retry(output.attempts)
        try:
            channel.basic_publish(self._exchange, output.routing_key, output.body, output.properties, output.mandatory)
        except exceptions.AMQPError:  # it closes under our hands; `detach` follows
            self._waiting.append(output)
            return
        self._sequence += 1
        self._unconfirmed[self._sequence] = output

    def on_confirm(self, frame: Any) -> None:
        """Basic.Ack or Basic.Nack for one output, or for all up to it."""
        method = frame.method
        tag = method.delivery_tag
        outputs = self._taken_up_to(tag) if method.multiple else [self._unconfirmed.pop(tag, None)]
        refused = isinstance(method, Nack)
        for output in outputs:
            if output is None:
                continue
            if refused:
                self._retry(output)
                continue
            if output.work is not None:
                output.work.on_confirm(len(output.body))
            self._on_confirmed(output.work)

    def _taken_up_to(self, tag: int) -> list[Output | None]:
        tags = []
        for known in self._unconfirmed:  # in order of publishing
            if known > tag:
                break
            tags.append(known)
        return [self._unconfirmed.pop(known) for known in tags]

    def _retry(self, output: Output) -> None:
        pause = min(self._first_pause_s * 2 ** min(output.attempts, _RETRY_DOUBLINGS), self._longest_pause_s)
        output.attempts += 1
        logger.warning(
            "The broker refused an output for %r (a queue is full); attempt %d in %.1f s",
            output.routing_key, output.attempts + 1, pause,
        )  # fmt: skip
        self._call_later(pause, lambda: self.put(output))

    def _on_return(self, _channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        logger.warning("No queue takes messages with the key %r: one is lost", method.routing_key)
