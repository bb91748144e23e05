"""Gateways as processes, and callers of webhooks that go on through whatever becomes of a gateway."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import requests as http

from nomadflows.builtin import builtin_components
from tests.world import World, eventually

_ANSWER_S = 30.0
_NOBODY = "nobody listens"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def gateway(world: World, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway process at that port, ready."""
    with (world.folder / f"gateway-{port}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nomadflows", "gateway", "run", "--bind", f"127.0.0.1:{port}"],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        eventually("the gateway listens", lambda: alive(port), 20)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def alive(port: int) -> bool:
    try:
        return http.get(f"http://127.0.0.1:{port}/healthz", timeout=1).ok
    except http.RequestException:
        return False


def builtins(world: World) -> None:
    """Record the built-in components, as `dev up` does."""
    for component in builtin_components():
        if world.store.component(component.name, component.version) is None:
            world.store.put_component(component)


class Callers:
    """`{"n": number}` to a path at a steady rate, to each gateway in turn, in a thread of its own.

    As a load balancer does, a call goes to the next gateway if nobody listens; one that was begun is never sent again,
    so no number is sent twice.
    """

    def __init__(self, ports: Sequence[int], path: str, rate: float) -> None:
        self._ports = ports
        self._path = path
        self._rate = rate
        self._idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {port: [] for port in ports}
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="callers")
        self.sent = 0
        self.took: dict[int, float] = {}  # numbers that were answered by 200, and in how many seconds
        self.bodies: dict[int, Any] = {}
        self.others: Counter[str] = Counter()  # what became of the rest

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _all(self) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as calls:
            while not self._over.is_set():
                calls.create_task(self._call(self.sent))
                self.sent += 1
                await asyncio.sleep(max(0.0, began + self.sent / self._rate - time.monotonic()))
        for kept in self._idle.values():
            for _, writer in kept:
                writer.close()

    async def _call(self, number: int) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_S):
                outcome = await self._ask(number)
        except TimeoutError:
            outcome = "no answer in time"
        if outcome == "200":
            self.took[number] = time.monotonic() - began
        else:
            self.others[outcome] += 1

    async def _ask(self, number: int) -> str:
        for attempt in range(len(self._ports)):
            port = self._ports[(number + attempt) % len(self._ports)]
            try:
                connection = self._kept(port) or await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            try:
                status, body, stays = await self._exchange(connection, number)
            except (OSError, EOFError):
                connection[1].close()
                return "connection closed"
            if stays:
                self._idle[port].append(connection)
            else:
                connection[1].close()
            self.bodies[number] = body
            return status
        return _NOBODY

    def _kept(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that is open still, as far as can be told."""
        while self._idle[port]:
            reader, writer = self._idle[port].pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _exchange(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], number: int
    ) -> tuple[str, Any, bool]:
        reader, writer = connection
        body = b'{"n": %d}' % number
        head = f"POST {self._path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        return answer.split(b" ", 2)[1].decode(), json.loads(content), b"connection: close" not in answer
