"""The one connection of a step process, and its two channels, kept up for ever.

Tells its owner when the channel for publishing or for consuming comes and goes; knows nothing of messages.

::

    connecting ──▶ open ──▶ publishing channel (confirm mode) ──▶ on_publishing(channel)
        ▲            │
        │ pause      └────▶ consuming channel (prefetch) ── once consume() was called ──▶ on_consuming(channel)
        │
        └── connection lost, refused (first time: on_refused)
"""

from __future__ import annotations

import functools
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from nomadflows.runtime.amqp import (
    ConnectionParameters,
    PlainCredentials,
    SelectConnection,
    SSLOptions,
    exceptions,
)

logger = logging.getLogger("nomadflows.broker")

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
HEARTBEAT_S: Final = 30
_REFUSALS: Final = (exceptions.ProbableAuthenticationError, exceptions.ProbableAccessDeniedError)
_NOT_FOUND: Final = 404
_AMQP_PORT: Final = 5672
_AMQPS_PORT: Final = 5671


class Owner(Protocol):
    """Whom the link reports to, in the broker thread."""

    def on_publishing(self, channel: Any) -> None: ...
    def on_publishing_lost(self) -> None: ...
    def on_consuming(self, channel: Any) -> None: ...
    def on_consuming_lost(self) -> None: ...
    def on_delivery(self, channel: Any, method: Any, properties: Any, body: bytes) -> None: ...
    def on_confirm(self, frame: Any) -> None: ...
    def on_refused(self, reason: str) -> None: ...
    def on_no_queue(self, reason: str) -> None: ...
    def on_closed(self) -> None: ...


class Pause:
    """A delay that doubles with each failure in a row; jitter keeps steps from coming back all at once."""

    def __init__(self) -> None:
        self._failures = 0

    def next(self) -> float:
        pause = min(FIRST_PAUSE_S * float(2 ** min(self._failures, 10)), LONGEST_PAUSE_S)
        self._failures += 1
        return pause * random.uniform(0.5, 1)  # noqa: S311

    def reset(self) -> None:
        self._failures = 0


class Link:
    """Owns the connection object; a new one for each attempt, on the same loop."""

    def __init__(self, uri: str, name: str, queue: str, prefetch: int, *, loop: Any, owner: Owner) -> None:
        self._parameters = parameters(uri, name)
        self._queue = queue
        self._prefetch = prefetch
        self._loop = loop
        self._owner = owner
        self._connection: Any = None
        self._consumer: Any = None
        self._consumer_tag = ""
        self._publishing = False
        self._consuming = False
        self._wanted = False  # consume() was called
        self._was_open = False
        self._ever_consumed = False
        self._closing = False
        self._pause = Pause()
        self._channel_pause = Pause()

    @property
    def is_up(self) -> bool:
        return self._publishing

    def one_write(self) -> AbstractContextManager[None]:
        """What is sent within goes out together."""
        connection = self._connection
        return nullcontext() if connection is None else cast("AbstractContextManager[None]", connection.one_write())

    def connect(self) -> None:
        if self._closing:
            return
        self._connection = SelectConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_failed,
            on_close_callback=self._on_lost,
            custom_ioloop=self._loop,
        )

    def consume(self) -> None:
        """From now on, whenever there is a connection."""
        self._wanted = True
        self._start_consuming()

    def cancel(self) -> None:
        """No further deliveries; what is unsettled can still be settled."""
        self._wanted = False
        channel, self._consuming = self._consumer, False
        if channel is not None and channel.is_open and self._consumer_tag:
            channel.basic_cancel(self._consumer_tag)

    def close(self) -> None:
        """`on_closed` follows, at once if there is no connection."""
        if self._closing:
            return
        self._closing = True
        self._wanted = False
        connection = self._connection
        if connection is not None and connection.is_open:
            connection.close()
        else:
            self._owner.on_closed()

    # -- connection

    def _on_open(self, connection: Any) -> None:
        if self._closing:
            connection.close()
            return
        if self._was_open:
            logger.info("Connected to the broker again")
        self._was_open = True
        connection.add_on_connection_blocked_callback(lambda *_: logger.warning("The broker accepts no messages now"))
        connection.add_on_connection_unblocked_callback(lambda *_: logger.info("The broker accepts messages again"))
        self._open_publishing()
        self._open_consumer()

    def _on_failed(self, _connection: Any, error: BaseException) -> None:
        reason = _reason(error)
        if self._closing:
            self._owner.on_closed()
        elif not self._was_open and isinstance(_innermost(error), _REFUSALS):
            self._owner.on_refused(reason)
        else:
            self._again("The broker cannot be reached", reason)

    def _on_lost(self, _connection: Any, error: BaseException) -> None:
        self._lose_publishing()
        self._lose_consumer()
        if self._closing:
            self._owner.on_closed()
        else:
            self._again("The connection to the broker is lost", _reason(error))

    def _again(self, what: str, reason: str) -> None:
        pause = self._pause.next()
        logger.warning("%s (%s); next attempt in %.1f s", what, reason, pause)
        self._connection = None
        self._loop.call_later(pause, self.connect)

    # -- publishing

    def _open_publishing(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._on_publishing_open)

    def _on_publishing_open(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_publishing_closed)
        channel.confirm_delivery(self._owner.on_confirm, callback=functools.partial(self._on_confirm_mode, channel))

    def _on_confirm_mode(self, channel: Any, _frame: Any) -> None:
        self._publishing = True
        self._pause.reset()
        self._owner.on_publishing(channel)

    def _on_publishing_closed(self, _channel: Any, error: BaseException) -> None:
        self._lose_publishing()
        self._reopen("publishing", error, self._open_publishing)

    def _lose_publishing(self) -> None:
        if self._publishing:
            self._publishing = False
            self._owner.on_publishing_lost()

    # -- consuming

    def _open_consumer(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._on_consumer_open)

    def _on_consumer_open(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_consumer_closed)
        channel.add_on_cancel_callback(self._on_cancelled)
        channel.basic_qos(prefetch_count=self._prefetch)
        self._consumer = channel
        self._start_consuming()

    def _start_consuming(self) -> None:
        channel = self._consumer
        if not self._wanted or self._consuming or channel is None or not channel.is_open:
            return
        self._consuming = True
        self._consumer_tag = channel.basic_consume(
            self._queue, self._owner.on_delivery, callback=lambda _frame: self._on_consume_ok(channel)
        )

    def _on_consume_ok(self, channel: Any) -> None:
        self._ever_consumed = True
        self._channel_pause.reset()
        self._owner.on_consuming(channel)

    def _on_cancelled(self, _frame: Any) -> None:
        """The broker ended the consumer: the queue was deleted, or moved to another node."""
        logger.warning("The broker cancelled the consumer of %r", self._queue)
        channel = self._consumer
        if channel is not None and channel.is_open:
            channel.close()

    def _on_consumer_closed(self, _channel: Any, error: BaseException) -> None:
        self._lose_consumer()
        missing = isinstance(error, exceptions.ChannelClosedByBroker) and error.reply_code == _NOT_FOUND
        if missing and not self._ever_consumed:
            self._owner.on_no_queue(f"BasicConsume; {_reason(error)}")
        else:
            self._reopen("consuming", error, self._open_consumer)

    def _lose_consumer(self) -> None:
        self._consumer = None
        if self._consuming:
            self._consuming = False
            self._owner.on_consuming_lost()

    def _reopen(self, what: str, error: BaseException, opening: Callable[[], None]) -> None:
        """A channel closed; if the connection did not, open another after a pause."""
        if self._closing or self._connection is None or not self._connection.is_open:
            return
        pause = self._channel_pause.next()
        logger.warning("The channel for %s closed (%s); next attempt in %.1f s", what, _reason(error), pause)
        self._loop.call_later(pause, opening)


def parameters(uri: str, name: str) -> Any:
    """AMQP URI → connection parameters. Query options in the spelling of the contract: frameMax, channelMax."""
    parts = urlsplit(uri)
    secure = parts.scheme == "amqps"
    options = {key.lower(): values[-1] for key, values in parse_qs(parts.query).items()}
    given: dict[str, Any] = {"heartbeat": int(options.get("heartbeat", HEARTBEAT_S))}
    if "framemax" in options:
        given["frame_max"] = int(options["framemax"])
    if "channelmax" in options:
        given["channel_max"] = int(options["channelmax"])
    host = parts.hostname or "localhost"
    return ConnectionParameters(
        host=host,
        port=parts.port or (_AMQPS_PORT if secure else _AMQP_PORT),
        virtual_host=unquote(parts.path[1:]) or "/",
        credentials=PlainCredentials(unquote(parts.username or "guest"), unquote(parts.password or "guest")),
        ssl_options=SSLOptions(ssl.create_default_context(), host) if secure else None,
        client_properties={"connection_name": name},
        **given,
    )


def _innermost(error: BaseException) -> BaseException:
    """The library wraps what went wrong up to four times."""
    nested = getattr(error, "exceptions", None)
    candidates = [nested[-1] if nested else None, getattr(error, "exception", None), *error.args]
    for inner in candidates:
        if isinstance(inner, BaseException) and inner is not error:
            return _innermost(inner)
    return error


def _reason(error: BaseException) -> str:
    cause = _innermost(error)
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
