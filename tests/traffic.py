"""Numbered messages to flows at a steady rate, through any fault, and what became of each.

A message counts as sent once the broker has confirmed it. One whose confirm never came is sent again; should it then
be processed twice, that is the sender's doing and told apart from doubles that the flow made.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pika
from pika.exceptions import AMQPError

from nomadflows.broker.wire import Crypto, new_id, platform_message
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.names import FlowRef, VersionRef, input_key, vhost
from tests.world import World

_LOOK_S = 0.1  # how often a sender asks which version takes input
_AGAIN_S = 0.1


@dataclass
class Line:
    """One flow and its messages. `out` is the file to which its last step writes `number time signature`."""

    ref: FlowRef
    out: Path
    version: VersionRef
    crypto: Crypto
    sent: dict[int, float] = field(default_factory=dict)  # when confirmed
    again: set[int] = field(default_factory=set)
    seen: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    first: dict[int, float] = field(default_factory=dict)  # when a number was first processed
    signed: Counter[str] = field(default_factory=Counter)  # who has processed how many: a process, or a version's code
    read: int = 0

    def looked(self) -> Self:
        self.look()
        return self

    def look(self) -> None:
        """Read on in the file."""
        if not self.out.exists():
            return
        with self.out.open("rb") as file:
            file.seek(self.read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            number, moment, signature = line.split()
            self.signed[signature.decode()] += 1
            self.seen[int(number)] += 1
            self.times.append(float(moment))
            self.first.setdefault(int(number), float(moment))

    @property
    def missing(self) -> set[int]:
        return self.sent.keys() - self.seen.keys()

    def longest_wait(self, begin: float, end: float = math.inf) -> float:
        """Of the messages confirmed in that time and processed by now: from the confirm to the work done."""
        waits = [
            self.first[n] - moment for n, moment in self.sent.items() if begin <= moment <= end and n in self.first
        ]
        return max(waits, default=0.0)

    @property
    def doubled(self) -> int:
        """Extra times, but for those that the sender sent twice."""
        return sum(count - 1 for number, count in self.seen.items() if number not in self.again)


class Traffic:
    """One thread and one connection for all flows, in turn."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._uri = f"{world.settings.amqp_uri}/{vhost(world.settings.workspace)}"
        self.lines: list[Line] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked: dict[FlowRef, float] = {}
        self.follow = False  # whether to ask again and again which version takes input

    def add(self, ref: FlowRef, out: Path) -> Line:
        version = ref.version(self._world.status(ref).input_version)
        secret = self._world.vault.version_secret(version)
        line = Line(ref, out, version, Crypto(secret.crypto_password, secret.crypto_iv))
        self.lines.append(line)
        return line

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, rate: float, lines: Sequence[Line] | None = None) -> None:
        """So many messages a second in all, until `stop`."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(lines or self.lines, rate), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive(), "the sender hangs"

    def burst(self, each: int) -> None:
        """So many messages to each flow, as fast as they are confirmed; through a fault, if need be."""
        self._stop.clear()
        self._send([line for _ in range(each) for line in self.lines], 0.0)

    def _run(self, lines: Sequence[Line], rate: float) -> None:
        while not self._stop.is_set():
            self._send(lines, 1 / rate)

    def _send(self, lines: Sequence[Line], every_s: float) -> None:
        due = time.monotonic()
        for line in lines:
            number = len(line.sent)
            while not self._stop.is_set():
                try:
                    self._publish(line, number)
                except (AMQPError, OSError):
                    line.again.add(number)
                    self._close()
                    self._stop.wait(_AGAIN_S)
                else:
                    line.sent[number] = time.time()
                    break
            due = max(due + every_s, time.monotonic() - 1)  # what a fault held up for longer is not caught up with
            self._stop.wait(max(0.0, due - time.monotonic()))
        self._close()

    _connection: pika.BlockingConnection | None = None
    _channel: pika.adapters.blocking_connection.BlockingChannel | None = None

    def _publish(self, line: Line, number: int) -> None:
        if self.follow:
            self._ask_version(line)
        if self._channel is None:
            parameters = pika.URLParameters(self._uri)
            parameters.heartbeat, parameters.socket_timeout = 10, 5
            self._connection = pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        content = {"id": new_id(), "body": {"n": number}, "headers": {}}
        version = line.version
        message = platform_message(
            line.crypto, content, workspace=line.ref.workspace, flow=line.ref.flow, exec_id=version.job_id
        )
        properties = pika.BasicProperties(delivery_mode=2, headers=message.headers)
        self._channel.basic_publish(version.exchange, input_key("receive"), message.body, properties, mandatory=True)

    def _ask_version(self, line: Line) -> None:
        if time.monotonic() - self._looked.get(line.ref, 0.0) < _LOOK_S:
            return
        self._looked[line.ref] = time.monotonic()
        try:
            line.version = line.ref.version(self._world.status(line.ref).input_version)
        except NomadflowsError:
            return  # the last one known is as good as any

    def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except (AMQPError, OSError):
                return  # it is gone either way

    # ── what became of it ─────────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        for line in self.lines:
            line.look()

    @property
    def sent(self) -> int:
        return sum(len(line.sent) for line in self.lines)

    @property
    def backlog(self) -> int:
        """Confirmed and not processed yet, as of now."""
        self.look()
        return sum(len(line.missing) for line in self.lines)

    @property
    def doubled(self) -> int:
        return sum(line.doubled for line in self.lines)

    def longest_wait(self, since: float) -> float:
        """Of the messages confirmed since then and processed by now: from the confirm to the work done."""
        return max((line.longest_wait(since) for line in self.lines), default=0.0)

    def longest_gap(self, begin: float, end: float) -> float:
        """The longest time in which no flow processed anything."""
        return longest_gap([moment for line in self.lines for moment in line.times], begin, end)

    def drain(self, seconds: float) -> int:
        """Wait until all is processed; how many are missing when the time is over."""
        deadline = time.monotonic() + seconds
        while (left := self.backlog) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def longest_gap(times: Sequence[float], begin: float, end: float) -> float:
    """The longest time without a processed message within a window."""
    inside = [begin, *sorted(t for t in times if begin <= t <= end), end]
    return max(later - earlier for earlier, later in itertools.pairwise(inside))
