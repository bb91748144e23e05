"""The handler behind real sockets of this process, with limits that tests need not wait for."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, Self

import uvicorn

from nomadflows.gateway.connection import Connection
from tests.unit.gateway.fakes import Gate

PATIENCE_S = 10.0


class Served:
    """A gateway's handler at a port of its own. `headers_s` and so on are those of `Connection`."""

    def __init__(
        self, gate: Gate, *, keep_alive_s: float = 5.0, lifespan: Literal["on", "off"] = "off", **limits: Any
    ) -> None:
        quick: Any = type("Quick", (Connection,), limits)
        config = uvicorn.Config(
            gate.app, port=0, http=quick, ws="none", lifespan=lifespan, log_config=None, access_log=False
        )
        config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]
        self.gate = gate
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="served")

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.gate.directory.close()

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    def settles(self, connections: int = 0) -> None:
        """Nothing of what was asked is held any longer."""
        self.until(lambda: self.gate.app._memory.taken == 0 and self.connections == connections)

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, *pieces: bytes, pause_s: float = 0.0) -> bytes:
        """All that comes back until the server closes the connection."""
        with self.connect() as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    break  # it was closed: what was said before that is to be read
                time.sleep(pause_s)
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
