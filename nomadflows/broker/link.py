"""One AMQP connection to one vhost for questions and commands, each bounded in time.

pika's `BlockingConnection` waits for an answer for ever and cannot send several commands before it reads; so this
drives pika's event loop itself, only while a call is in progress. In between nothing is sent or read, no heartbeat
either: a connection that the broker or the network dropped meanwhile is noticed at the next call and reopened.

Belongs to one thread. Knows nothing of flows.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import pika
import pika.exceptions
from pika.channel import Channel

from nomadflows.broker.address import Address
from nomadflows.broker.faults import SERVER, ConnectionLost, NoAnswer, innermost, of_channel, of_opening
from nomadflows.model.errors import NomadflowsError

Reply = Callable[[Any], None]
Question = Callable[[Channel, Reply], object]  # calls a method of the channel, with the callback
Command = Callable[[Channel], object]  # calls a method of the channel, without a callback: no answer is sent

HEARTBEAT_S: Final = 600  # lets the broker clear away connections of clients that are gone
_FAREWELL_S: Final = 0.5
_PEEK: Final = "peek"
LANES: Final = 4  # channels of one batch; the broker works them off at the same time


class Wait:
    """One call in progress: ends by `done`, `fail` or its deadline."""

    def __init__(self, loop: Any, timeout: float, expired: Callable[[], NomadflowsError]) -> None:
        self._loop = loop
        self._timeout = timeout
        self._expired = expired
        self._timer: Any = None
        self.running = False
        self.over = False
        self.result: Any = None
        self.error: NomadflowsError | None = None
        self.progress()

    def progress(self) -> None:
        """Something happened: the deadline moves."""
        if self.over:
            return
        self._stop_timer()
        self._timer = self._loop.call_later(self._timeout, lambda: self.fail(self._expired()))

    def every(self, seconds: float, look: Callable[[], object]) -> None:
        """Call `look` again and again until this is over."""

        def again() -> None:
            if not self.over:
                look()
                self._loop.call_later(seconds, again)

        self._loop.call_later(seconds, again)

    def done(self, result: Any = None) -> None:
        if not self.over:
            self.result = result
            self._end()

    def fail(self, error: NomadflowsError) -> None:
        if not self.over:
            self.error = error
            self._end()

    def _end(self) -> None:
        self.over = True
        self._stop_timer()
        if self.running:  # a stop before the start would end the next call's loop
            self._loop.stop()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None


class Link:
    """See the module. Calls raise `ServerUnreachable`, `ServerRefused`, `NotFound` or `Refused`."""

    def __init__(self, address: Address, vhost: str, timeout: float, heartbeat_s: int = HEARTBEAT_S) -> None:
        self._address = address
        self._vhost = vhost
        self._timeout = timeout
        self._heartbeat_s = heartbeat_s
        self._connection: Any = None
        self._channels: dict[str, Any] = {}
        self._wait: Wait | None = None
        self._blocked = ""
        self._peeked: Reply = lambda _headers: None
        self.opened = 0  # connections so far: tells a caller whether state of the last one can still be there

    def close(self) -> None:
        self._drop()

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, question: Question) -> Any:
        """One method that is answered, as its answer frame."""
        channel = self.channel("lane-0")
        return self.wait(lambda wait: question(channel, wait.done))

    def peek(self, queue: str) -> Any:
        """Headers of a queue's oldest message, which is put back; None if the queue is empty."""
        channel = self.channel(_PEEK, setup=self._hear_of_empty_queues)

        def begin(wait: Wait) -> None:
            self._peeked = wait.done
            channel.basic_get(queue, self._put_back)

        return self.wait(begin)

    def _hear_of_empty_queues(self, channel: Channel, reply: Reply) -> None:
        """Once for each channel, since pika tells of them by a callback of its own."""
        channel.add_callback(lambda _frame: self._peeked(None), [pika.spec.Basic.GetEmpty], one_shot=False)
        reply(None)

    def _put_back(self, channel: Channel, method: Any, properties: Any, _body: bytes) -> None:
        """The second method is for its answer: it tells that the first, which has none, was received."""
        channel.basic_nack(method.delivery_tag, requeue=True)
        channel.basic_qos(prefetch_count=0, callback=lambda _frame: self._peeked(properties.headers or {}))

    def ask_all(self, questions: Sequence[Question]) -> list[Any]:
        """The answers of several methods that do not depend on each other. One that is refused ends them all."""
        lanes = [self.channel(f"lane-{number}") for number in range(min(LANES, len(questions)))]
        answers: dict[int, Any] = {}

        def begin(wait: Wait) -> None:
            def take(number: int, frame: Any) -> None:
                answers[number] = frame
                if len(answers) == len(questions):
                    wait.done()

            for number, question in enumerate(questions):
                question(lanes[number % len(lanes)], functools.partial(take, number))

        if questions:
            self._with(lanes, begin)
        return [answers[number] for number in range(len(questions))]

    def batch(self, *groups: Sequence[Command]) -> None:
        """Commands without answers, sent together; each group is finished before the next begins. Within a group
        the order is free. The first one that the broker refuses is raised, and others may have been done."""
        for group in groups:
            if group:
                lanes = [self.channel(f"lane-{number}") for number in range(min(LANES, len(group)))]
                self._with(lanes, functools.partial(self._send, lanes=lanes, group=group))

    def _with(self, lanes: Sequence[Any], begin: Callable[[Wait], object]) -> None:
        """After one lane's refusal the others may be refused too, later: that must not end another call."""
        try:
            self.wait(begin)
        except NomadflowsError:
            for lane in lanes:
                self._forget(lane)
                if lane.is_open:
                    lane.close()
            raise

    @staticmethod
    def _send(wait: Wait, *, lanes: Sequence[Channel], group: Sequence[Command]) -> None:
        for number, command in enumerate(group):
            command(lanes[number % len(lanes)])
        waiting = set(range(len(lanes)))

        def passed(lane: int) -> None:
            waiting.discard(lane)
            if not waiting:
                wait.done()

        for number, lane in enumerate(lanes):  # answered after everything that was sent before it
            lane.basic_qos(prefetch_count=0, callback=lambda _frame, number=number: passed(number))

    def channel(self, name: str, *, setup: Question | None = None) -> Any:
        """The open channel of that name. `setup` is asked once for each new one."""
        self.ensure_open()
        channel = self._channels.get(name)
        if channel is None or not channel.is_open:
            channel = self.wait(lambda wait: self._connection.channel(on_open_callback=wait.done))
            channel.add_on_close_callback(self._on_channel_closed)
            self._channels[name] = channel
            if setup is not None:
                self.wait(lambda wait: setup(channel, wait.done))
        return channel

    def close_channel(self, name: str) -> None:
        """Messages it holds unacknowledged go back into their queue."""
        channel = self._channels.pop(name, None)
        if channel is None or not channel.is_open:
            return

        def begin(wait: Wait) -> None:
            channel.add_on_close_callback(lambda _channel, _reason: wait.done())
            channel.close()

        self.wait(begin)

    def wait(self, begin: Callable[[Wait], object]) -> Any:
        """Run the event loop until `begin`'s wait is over."""
        loop = self._connection.ioloop
        wait = self._wait = Wait(loop, self._timeout, self._late)
        try:
            begin(wait)
            if not wait.over:
                wait.running = True
                loop.start()
        except pika.exceptions.AMQPError as error:  # a channel or connection that is closed already
            wait.fail(of_channel(self._address, error))
        finally:
            self._wait = None
            if not wait.over or isinstance(wait.error, ConnectionLost):
                self._drop()
        if wait.error is not None:
            raise wait.error
        return wait.result

    # ── the connection ────────────────────────────────────────────────────────────────────────────────────────

    def ensure_open(self) -> None:
        """Read what came in since the last call, such as the broker's farewell; open a connection if none is left."""
        if self._connection is not None:
            loop = self._connection.ioloop
            loop.call_later(0, loop.stop)
            loop.start()
            if self._connection is not None and not self._connection.is_open:
                self._drop()
        if self._connection is None:
            self._open()

    def _open(self) -> None:
        parameters = self._address.parameters(
            self._vhost, self._timeout, self._heartbeat_s, f"nomadflows@{socket.gethostname()}"
        )
        outcome: list[BaseException | None] = []

        def over(error: BaseException | None) -> None:
            outcome.append(error)
            connection.ioloop.stop()

        connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda _connection: over(None),
            on_open_error_callback=lambda _connection, error: over(error),
            on_close_callback=self._on_connection_closed,
        )
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        late = TimeoutError(f"no answer in {self._timeout:g} s")
        timer = connection.ioloop.call_later(self._timeout, lambda: over(late))
        connection.ioloop.start()
        connection.ioloop.remove_timeout(timer)
        if outcome[0] is not None:
            connection.ioloop.close()
            raise of_opening(self._address, self._vhost, outcome[0]) from outcome[0]
        self._connection = connection
        self.opened += 1

    def _late(self) -> NomadflowsError:
        why = f"; it takes no messages now: {self._blocked}" if self._blocked else ""
        return NoAnswer(SERVER, str(self._address), f"no answer in {self._timeout:g} s{why}")

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self._blocked = str(frame.method.reason)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = ""

    def _on_channel_closed(self, channel: Any, reason: BaseException) -> None:
        if self._forget(channel) and self._wait is not None:
            self._wait.fail(of_channel(self._address, reason))

    def _forget(self, channel: Any) -> bool:
        """Whether the channel was in use until now."""
        before = len(self._channels)
        self._channels = {name: known for name, known in self._channels.items() if known is not channel}
        return len(self._channels) < before

    def _on_connection_closed(self, _connection: Any, reason: BaseException) -> None:
        if self._wait is not None:
            self._wait.fail(ConnectionLost(SERVER, str(self._address), innermost(reason)))

    def _drop(self) -> None:
        """Say farewell, if anybody listens, and give the socket back."""
        connection, self._connection = self._connection, None
        self._channels.clear()
        self._wait = None
        if connection is None:
            return
        loop = connection.ioloop
        if not connection.is_closed:
            connection.add_on_close_callback(lambda _connection, _reason: loop.stop())
            loop.call_later(_FAREWELL_S, loop.stop)
            if connection.is_open:
                connection.close()
            loop.start()
        loop.close()
