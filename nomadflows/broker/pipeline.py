"""Publishing with many confirms in flight, and answers that come back, on the asyncio loop that runs.

A `Pipeline` is one connection to one vhost, opened when it is first used and again after it was lost. Each exchange
has a channel of its own: the broker closes a channel whose exchange is gone, and that may end nobody else's
publishing. Knows nothing of HTTP or of flows.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection

from nomadflows.broker.address import Address
from nomadflows.broker.faults import SERVER, ConnectionLost, NoAnswer, innermost, of_channel, of_opening
from nomadflows.broker.publishing import message_properties
from nomadflows.model.errors import NomadflowsError

OnReply = Callable[[Mapping[str, Any], bytes], object]
OnLost = Callable[[], object]

_HEARTBEAT_S: Final = 30
_MOST_CHANNELS: Final = 500
_PAUSE_S: Final = 0.5  # after a connection that could not be opened


class _Connection(AsyncioConnection):  # type: ignore[misc]
    """Sends what one turn of the loop published with one system call."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._waiting: list[bytes] = []
        super().__init__(*arguments, **named)

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting += marshaled_frames

    def _flush(self) -> None:
        frames, self._waiting = self._waiting, []
        if self._transport is not None:
            super()._output_marshaled_frames([b"".join(frames)])


class _Lane:
    """One channel with confirms, for one exchange."""

    def __init__(self, channel: Any, address: Address) -> None:
        self.channel = channel
        self._address = address
        self._sent = 0
        self._open: dict[int, asyncio.Future[bool]] = {}
        self._questions: set[asyncio.Future[Any]] = set()
        channel.add_on_close_callback(self._on_close)

    @property
    def usable(self) -> bool:
        return bool(self.channel.is_open)

    @property
    def idle(self) -> bool:
        return not self._open and not self._questions

    def send(self, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> asyncio.Future[bool]:
        """True: the broker has it. False: a queue refused it."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._sent += 1
        self._open[self._sent] = future
        self.channel.basic_publish(exchange, key, body, message_properties(headers))
        return future

    def ask(self, question: Callable[[Callable[[Any], None]], object]) -> asyncio.Future[Any]:
        """A method of the channel that is answered, as its answer's frame."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._questions.add(future)
        future.add_done_callback(self._questions.discard)
        question(lambda frame: None if future.done() else future.set_result(frame))
        return future

    def on_confirm(self, frame: Any) -> None:
        method = frame.method
        accepted = isinstance(method, pika.spec.Basic.Ack)
        if not method.multiple:
            self._settle(method.delivery_tag, accepted)
            return
        for tag in [tag for tag in self._open if tag <= method.delivery_tag]:
            self._settle(tag, accepted)

    def _settle(self, tag: int, accepted: bool) -> None:
        future = self._open.pop(tag, None)
        if future is not None and not future.done():
            future.set_result(accepted)

    def _on_close(self, _channel: Any, reason: BaseException) -> None:
        error = of_channel(self._address, reason)
        waiting = [*self._open.values(), *self._questions]
        self._open.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)


class Pipeline:
    """See the module. Calls raise `ServerUnreachable`; `NotFound` when the exchange does not exist."""

    def __init__(
        self,
        address: Address,
        vhost: str,
        timeout: float,
        *,
        on_reply: OnReply = lambda _headers, _body: None,
        on_lost: OnLost = lambda: None,
    ) -> None:
        self._address = address
        self._vhost = vhost
        self._timeout = timeout
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._connection: Any = None
        self._opening: asyncio.Task[Any] | None = None
        self._refused: tuple[float, NomadflowsError] | None = None
        self._lanes: dict[str, _Lane] = {}
        self._making: dict[str, asyncio.Task[_Lane]] = {}
        self._listening: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def publish(self, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> bool:
        """True once the broker has it, False when a queue is full."""
        try:
            async with asyncio.timeout(self._timeout):
                lane = self._lanes.get(exchange)
                if lane is None or not lane.usable:
                    lane = await self._lane(exchange)
                return await lane.send(exchange, key, body, headers)
        except TimeoutError:
            raise self._late() from None
        except pika.exceptions.AMQPError as error:
            raise of_channel(self._address, error) from error

    async def listen(self, exchange: str, key: str) -> None:
        """From now on, what comes to the exchange with that key comes to `on_reply`. Asked of the broker once for each
        connection: the exchange is one that stays."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._replies(exchange, key)
        except TimeoutError:
            raise self._late() from None
        except pika.exceptions.AMQPError as error:
            raise of_channel(self._address, error) from error

    async def close(self) -> None:
        """Say farewell; what is unconfirmed fails."""
        connection, self._connection = self._connection, None
        if connection is None or not connection.is_open:
            return
        gone = asyncio.get_running_loop().create_future()
        connection.add_on_close_callback(lambda *_: None if gone.done() else gone.set_result(None))
        connection.close()
        try:
            await asyncio.wait_for(gone, 2)
        except TimeoutError:
            return

    # ── channels ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _lane(self, exchange: str) -> _Lane:
        lane = self._lanes.get(exchange)
        if lane is not None and lane.usable:
            return lane
        task = self._making.get(exchange)
        if task is None:
            task = self._making[exchange] = asyncio.create_task(self._new_lane(exchange))
            task.add_done_callback(lambda done: self._made(exchange, done))
        return await asyncio.shield(task)

    def _made(self, exchange: str, task: asyncio.Task[_Lane]) -> None:
        self._making.pop(exchange, None)
        if not task.cancelled():
            task.exception()  # whoever waited has been told

    async def _new_lane(self, exchange: str) -> _Lane:
        self._spare_channels()
        async with asyncio.timeout(self._timeout):
            lane = _Lane(await self._channel(), self._address)
            await lane.ask(lambda done: lane.channel.confirm_delivery(lane.on_confirm, callback=done))
        self._lanes[exchange] = lane
        return lane

    def _spare_channels(self) -> None:
        """Those of exchanges that were not used lately, once there are many: the oldest first."""
        for exchange, lane in list(self._lanes.items()):
            if not lane.usable:
                del self._lanes[exchange]
            elif len(self._lanes) >= _MOST_CHANNELS and lane.idle:
                del self._lanes[exchange]
                lane.channel.close()

    async def _channel(self) -> Any:
        connection = await self._open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        connection.channel(on_open_callback=lambda found: None if future.done() else future.set_result(found))
        return await future

    async def _replies(self, exchange: str, key: str) -> None:
        """A queue for answers: this connection's alone, gone with it."""
        task = self._listening.get((exchange, key))
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._listening[exchange, key] = asyncio.create_task(self._bind_replies(exchange, key))
        await asyncio.shield(task)

    async def _bind_replies(self, exchange: str, key: str) -> None:
        async with asyncio.timeout(self._timeout):
            lane = _Lane(await self._channel(), self._address)
            channel = lane.channel
            frame = await lane.ask(
                lambda done: channel.queue_declare("", exclusive=True, auto_delete=True, callback=done)
            )
            queue = str(frame.method.queue)
            await lane.ask(lambda done: channel.queue_bind(queue, exchange, key, callback=done))
            await lane.ask(
                lambda done: channel.basic_consume(
                    queue, self._take_reply, auto_ack=True, exclusive=True, callback=done
                )
            )

    def _take_reply(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._on_reply(properties.headers or {}, body)

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> Any:
        if self._connection is not None and self._connection.is_open:
            return self._connection
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._opening)

    async def _connect(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._refused is not None and loop.time() - self._refused[0] < _PAUSE_S:
            raise self._refused[1]
        outcome: asyncio.Future[BaseException | None] = loop.create_future()

        def over(error: BaseException | None) -> None:
            if not outcome.done():
                outcome.set_result(error)

        name = f"nomadflows gateway@{socket.gethostname()}"
        connection = _Connection(
            self._address.parameters(self._vhost, self._timeout, _HEARTBEAT_S, name),
            on_open_callback=lambda _connection: over(None),
            on_open_error_callback=lambda _connection, error: over(error),
            on_close_callback=self._on_close,
            custom_ioloop=loop,
        )
        error = await outcome
        if error is not None:
            problem = of_opening(self._address, self._vhost, error)
            self._refused = (loop.time(), problem)
            raise problem from error
        self._refused = None
        self._connection = connection
        return connection

    def _on_close(self, connection: Any, reason: BaseException) -> None:
        """Channels have told their waiters already."""
        if connection is not self._connection:
            return
        self._connection = None
        self._lanes.clear()
        self._listening.clear()
        self._refused = (
            asyncio.get_running_loop().time() - _PAUSE_S,
            ConnectionLost(SERVER, str(self._address), innermost(reason)),
        )
        self._on_lost()

    def _late(self) -> NomadflowsError:
        return NoAnswer(SERVER, str(self._address), f"no answer in {self._timeout:g} s")
