"""What the broker thread and the worker threads hand to each other.

A `Work` is one delivery. The worker counts what it emits, the broker thread counts what the broker confirmed; each
counter has one writer, so none needs a lock.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any, Final, NamedTuple

Headers = dict[str, Any]

WINDOW_MESSAGES: Final = 200  # unconfirmed outputs of one call: enough to fill the pipe, few enough to hold
WINDOW_BYTES: Final = 16 * 1024 * 1024


class Verdict(Enum):
    """What becomes of the incoming message."""

    ACK = "ack"
    REJECT = "reject"


class Work:
    """One delivery, from its arrival to its settlement."""

    __slots__ = (
        "body", "channel", "confirmed", "confirmed_bytes", "emitted", "emitted_bytes", "headers", "properties",
        "redelivered", "room", "tag", "verdict",
    )  # fmt: skip

    def __init__(self, channel: Any, tag: int, properties: Any, body: bytes, *, redelivered: bool = False) -> None:
        self.channel = channel  # a delivery is settled on the channel it came by, or not at all
        self.tag = tag
        self.properties = properties
        self.headers: Headers | None = properties.headers
        self.body = body
        self.redelivered = redelivered
        self.emitted = 0
        self.emitted_bytes = 0
        self.confirmed = 0
        self.confirmed_bytes = 0
        self.verdict: Verdict | None = None
        self.room: threading.Event | None = None

    def has_room(self) -> bool:
        return (
            self.emitted - self.confirmed < WINDOW_MESSAGES and self.emitted_bytes - self.confirmed_bytes < WINDOW_BYTES
        )

    def all_confirmed(self) -> bool:
        return self.emitted == self.confirmed

    def wait_for_room(self) -> None:
        """Back-pressure: a full queue downstream stops the component here."""
        while not self.has_room():
            self._wait()

    def wait_for_confirms(self) -> None:
        while not self.all_confirmed():
            self._wait()

    def _wait(self) -> None:
        """Until the next confirm. The event is in place before the counters are read again: none is missed."""
        event = self.room = threading.Event()
        if self.confirmed != self.emitted:
            event.wait()
        self.room = None

    def on_confirm(self, size: int) -> None:
        """Broker thread only."""
        self.confirmed_bytes += size
        self.confirmed += 1
        if (room := self.room) is not None:
            room.set()


class Output:
    """One message to publish for a work; `properties` is the AMQP library's."""

    __slots__ = ("attempts", "body", "mandatory", "properties", "routing_key", "work")

    def __init__(
        self, work: Work | None, routing_key: str, body: bytes, properties: Any, *, mandatory: bool = True
    ) -> None:
        self.work = work  # None: an error at start, which belongs to no message
        self.routing_key = routing_key
        self.body = body
        self.properties = properties
        self.mandatory = mandatory
        self.attempts = 0


class Finished(NamedTuple):
    """The component is done with a work; everything it emitted was handed over before."""

    work: Work
    verdict: Verdict
