"""AMQP headers and properties of what a step publishes, and what it adds to the passthrough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from nomadflows.broker import wire
from nomadflows.runtime.amqp import BasicProperties
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

CONTENT_TYPE: Final = "application/json"
CONTENT_ENCODING: Final = "utf8"
_PERSISTENT: Final = 2
_TRANSIENT: Final = 1


def now_ms() -> int:
    return int(time.time() * 1000)


class Envelope:
    """Builds what all outputs of this process have in common once, the rest per output."""

    def __init__(self, settings: Settings) -> None:
        self.delivery_mode = _PERSISTENT if settings.persistent else _TRANSIENT
        self._own: wire.Headers = {
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

    def of_call(self, incoming: wire.Headers) -> wire.Headers:
        """The headers that all outputs of one call share."""
        headers = {**self._own, **wire.forwarded(incoming), "threadId": wire.thread_of(incoming), "start": now_ms()}
        if parent := incoming.get("messageId"):
            headers["parentMessageId"] = parent
        return headers

    def of_start(self) -> wire.Headers:
        """The headers of an error that belongs to no message."""
        return {**self._own, "messageId": wire.new_id()}

    def properties(self, headers: wire.Headers) -> Any:
        return BasicProperties(
            content_type=CONTENT_TYPE,
            content_encoding=CONTENT_ENCODING,
            headers=headers,
            delivery_mode=self.delivery_mode,
        )

    def rebound(self, original: Any, reason: str, iteration: int, expiration_ms: int) -> Any:
        """The properties a message came with, plus when it is to come back and why it goes."""
        properties = BasicProperties()
        properties.__dict__.update(original.__dict__)
        properties.headers = {
            **(original.headers or {}),
            "end": now_ms(),
            "reboundReason": reason,
            "reboundIteration": iteration,
        }
        properties.expiration = str(expiration_ms)
        properties.delivery_mode = self.delivery_mode
        return properties


class Passthrough:
    """The messages of earlier steps, as the outputs of one call carry them on."""

    __slots__ = ("_earlier", "_own_step")

    def __init__(
        self, settings: Settings, incoming: Callable[[], Json], headers: wire.Headers, *, enabled: bool
    ) -> None:
        """`enabled` is the step's `is_passthrough`; without it nothing is added and nothing removed."""
        self._own_step = settings.step if enabled and settings.own_passthrough else ""
        self._earlier: Json | None = None
        if not enabled:
            return
        message = incoming()
        self._earlier = dict(message.get("passthrough") or {})
        previous = headers.get("stepId")
        if not settings.own_passthrough and previous:
            self._earlier[str(previous)] = _without_passthrough(message)

    def add_to(self, outgoing: Json) -> None:
        if self._earlier is None:
            return
        passthrough = self._earlier
        if self._own_step:
            passthrough = {**passthrough, self._own_step: _without_passthrough(outgoing)}
        if passthrough:
            outgoing["passthrough"] = passthrough
        else:
            outgoing.pop("passthrough", None)


def _without_passthrough(message: Json) -> Json:
    return {key: value for key, value in message.items() if key != "passthrough"}
