"""What a component's author sees.

A component module defines ::

    def process(message, config, snapshot): ...            # or
    def process(message, config, snapshot, context): ...

`async def` works as well. It returns or yields messages: a `Message`; a dict with the key "body", which is a message
too; any other dict, which is the body of one; None, which is nothing. A `Snapshot` or `SnapshotUpdate` among them
becomes the step's state once everything before it is safe with the broker. `HttpReply` answers the waiting caller.
Raising is the error record of the message, raising `Rebound` gives the message back for later.

Module state survives between calls. With a prefetch above 1 several calls run at once, in threads (or as tasks of one
event loop, if `process` is a coroutine function).
"""

from __future__ import annotations

import logging
from typing import IO, Any, Protocol

Json = dict[str, Any]

_KNOWN = ("body", "headers", "attachments", "id", "passthrough")


class Message:
    """What travels between steps. `passthrough` holds the messages of earlier steps by step id."""

    __slots__ = ("attachments", "body", "extra", "headers", "id", "passthrough")

    def __init__(
        self,
        body: Any = None,
        headers: Json | None = None,
        attachments: Json | None = None,
        id: str | None = None,  # noqa: A002 - the name it has on the wire
        *,
        passthrough: Json | None = None,
        extra: Json | None = None,
    ) -> None:
        self.body = {} if body is None else body
        self.headers: Json = {} if headers is None else headers
        self.attachments: Json = {} if attachments is None else attachments
        self.id = id
        self.passthrough: Json = {} if passthrough is None else passthrough
        self.extra: Json = {} if extra is None else extra  # what else is at the top: a webhook's method, query, url

    @classmethod
    def from_wire(cls, content: Json) -> Message:
        """Keeps every top-level member, known or not."""
        extra = content.copy()
        body, headers, attachments, given, passthrough = [extra.pop(name, None) for name in _KNOWN]
        return cls(body, headers, attachments, given, passthrough=passthrough, extra=extra)

    def earlier(self, previous_step: str) -> Json:
        """The passthrough as it is behind this step: with the step whose output this message is, "" for none."""
        if not previous_step:
            return dict(self.passthrough)
        return {**self.passthrough, previous_step: {"body": self.body, "headers": self.headers}}

    def to_wire(self) -> Json:
        """As JSON: `headers` always, what is empty otherwise not."""
        content: Json = {"id": self.id} if self.id else {}
        content["body"] = self.body
        content["headers"] = self.headers
        if self.attachments:
            content["attachments"] = self.attachments
        if self.passthrough:
            content["passthrough"] = self.passthrough
        content.update(self.extra)
        return content

    def __repr__(self) -> str:
        return f"Message(id={self.id!r})"  # bodies do not belong in logs


class Rebound(Exception):
    """Raise it when a message cannot be worked now but could be later: the other system is away or says wait."""


class Snapshot:
    """The step's new state, instead of the old one."""

    __slots__ = ("state",)

    def __init__(self, state: Json) -> None:
        self.state = state


class SnapshotUpdate:
    """Members of the step's state to set; the others stay."""

    __slots__ = ("changes",)

    def __init__(self, changes: Json) -> None:
        self.changes = changes


class HttpReply:
    """The answer to the HTTP request that caused this execution."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}


class Attachments(Protocol):
    """Content that travels beside messages, not in them. Its calls wait for the object store, also while it is away: a
    coroutine makes them by `asyncio.to_thread`."""

    def keep(self, content: bytes | IO[bytes], content_type: str = "application/octet-stream") -> Json:
        """Put content into the object store: what belongs into `message.attachments` under a name of yours. A file is
        read in pieces, from where it stands."""

    def open(self, attachment: Json) -> IO[bytes]:
        """The content of a message's attachment, to be read in pieces, and closed. OSError if it is not there."""


class Described(Protocol):
    """What both kinds of context tell about the call."""

    logger: logging.Logger
    attachments: Attachments
    variables: Json  # flow variables
    flow: str
    step: str
    message_id: str
    redelivered: bool  # somebody had this message before and did not finish it
    thread_id: str
    previous_step: str  # whose output the message is; "" for a trigger's input


class Context(Described, Protocol):
    """The fourth argument of `process`."""

    def emit(self, event: str, value: Any = None) -> None:
        """`data`, `error`, `rebound`, `snapshot`, `updateSnapshot`, `updateKeys`, `httpReply` or `end`. Waits while too
        much of this call's output is unconfirmed, before a snapshot until all of it is confirmed, and with `updateKeys`
        until the credential is stored."""


class AsyncContext(Described, Protocol):
    """The fourth argument of a coroutine `process`."""

    async def emit(self, event: str, value: Any = None) -> None:
        """As `Context.emit`, without holding up the event loop."""
