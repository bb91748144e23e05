"""AMQP headers and properties of what a step publishes, and what it adds to the passthrough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from nomadflows.broker import wire
from nomadflows.runtime.amqp import BasicProperties, encode_value
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

CONTENT_TYPE: Final = "application/json"
CONTENT_ENCODING: Final = "utf8"
_PERSISTENT: Final = 2
_TRANSIENT: Final = 1


def now_ms() -> int:
    return int(time.time() * 1000)


class Properties:
    """Properties of an output, as the AMQP library wants them: something with `INDEX` and `encode`.

    The library packs a table entry by entry in Python; two thirds of ours are the same for each output of a step.
    """

    __slots__ = ("_entries", "_retry", "_tail")
    INDEX = BasicProperties.INDEX

    def __init__(self, entries: bytes, tail: bytes) -> None:
        self._entries = entries
        self._retry = b""
        self._tail = tail

    def encode(self) -> list[bytes]:
        entries = self._entries + self._retry
        return [_HEAD, len(entries).to_bytes(4, "big"), entries, self._tail]

    def mark_retry(self, attempts: int) -> None:
        self._retry = table_entries({"retry": attempts})


class ReboundProperties(BasicProperties):  # type: ignore[misc]
    """The properties a message came with, and more headers."""

    def mark_retry(self, attempts: int) -> None:
        self.headers["retry"] = attempts


def table_entries(headers: wire.Headers) -> bytes:
    """Headers as they stand in an AMQP table. Integers as 64 bits, like the times among them."""
    pieces: list[bytes] = []
    for name, value in headers.items():
        key = _KEYS.get(name) or _key(name)
        if type(value) is str:
            text = value.encode()
            pieces += (key, b"S", len(text).to_bytes(4, "big"), text)
        elif type(value) is int:
            pieces += (key, b"l", value.to_bytes(8, "big", signed=True))
        else:
            pieces.append(key)
            encode_value(pieces, value)
    return b"".join(pieces)


def _key(name: str) -> bytes:
    key = name.encode()
    return bytes((len(key),)) + key


_KEYS: Final = {
    name: _key(name)
    for name in ("threadId", "parentMessageId", "messageId", "start", "end", "protocolVersion", "reply_to")
}
_HAS_TYPE_ENCODING_HEADERS_DELIVERY_MODE: Final = b"\xf0\x00"
_HEAD: Final = _HAS_TYPE_ENCODING_HEADERS_DELIVERY_MODE + _key(CONTENT_TYPE) + _key(CONTENT_ENCODING)


class Envelope:
    """Builds what all outputs of this process have in common once, the rest per output."""

    def __init__(self, settings: Settings) -> None:
        self._delivery_mode = _PERSISTENT if settings.persistent else _TRANSIENT
        self._tail = bytes((self._delivery_mode,))
        self._own = table_entries(
            {
                "execId": settings.exec_id,
                "taskId": settings.flow,
                "workspaceId": settings.workspace,
                "containerId": settings.container,
                "userId": settings.user,
                "stepId": settings.step,
                "compId": settings.component,
                "function": settings.function,
                **settings.extra_headers,
            }
        )

    def of_call(self, incoming: wire.Headers) -> wire.Headers:
        """The headers that all outputs of one call share, apart from those of the process."""
        headers = {**wire.forwarded(incoming), "threadId": wire.thread_of(incoming), "start": now_ms()}
        if parent := incoming.get("messageId"):
            headers["parentMessageId"] = parent
        return headers

    def properties(self, headers: wire.Headers) -> Properties:
        """The process's own headers and these."""
        return Properties(self._own + table_entries(headers), self._tail)

    def rebound(self, original: Any, reason: str, iteration: int, expiration_ms: int) -> ReboundProperties:
        """The properties a message came with, plus when it is to come back and why it goes."""
        properties = ReboundProperties()
        properties.__dict__.update(original.__dict__)
        properties.headers = {
            **(original.headers or {}),
            "end": now_ms(),
            "reboundReason": reason,
            "reboundIteration": iteration,
        }
        properties.expiration = str(expiration_ms)
        properties.delivery_mode = self._delivery_mode
        return properties


class Passthrough:
    """The messages of earlier steps, as the outputs of one call carry them on."""

    __slots__ = ("_earlier", "_own_step")

    def __init__(
        self, settings: Settings, incoming: Callable[[], Json], headers: wire.Headers, *, enabled: bool
    ) -> None:
        """`enabled` is the step's `is_passthrough`; without it everything earlier ends here, also in a message that the
        component passes on as it came."""
        self._own_step = settings.step if enabled and settings.own_passthrough else ""
        self._earlier: Json = {}
        if not enabled:
            return
        message = incoming()
        self._earlier = dict(message.get("passthrough") or {})
        previous = headers.get("stepId")
        if not settings.own_passthrough and previous:
            self._earlier[str(previous)] = _without_passthrough(message)

    def add_to(self, outgoing: Json) -> None:
        passthrough = self._earlier
        if self._own_step:
            passthrough = {**passthrough, self._own_step: _without_passthrough(outgoing)}
        if passthrough:
            outgoing["passthrough"] = passthrough
        else:
            outgoing.pop("passthrough", None)


def _without_passthrough(message: Json) -> Json:
    return {key: value for key, value in message.items() if key != "passthrough"}
