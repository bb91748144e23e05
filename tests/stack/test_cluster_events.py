"""The event stream lasts: a relay between client and Nomad is cut, and nothing is lost for good."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from nomadflows.cluster import Nomad
from nomadflows.model.names import VersionRef
from tests.stack.nomad_world import flow, gone_after, step

VERSION = VersionRef("default", "cluster-events", 1)
JOBS = {"Job": "*"}


class Relay:
    """A TCP relay whose connections can be cut, and which can turn everybody away."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.closed_for_all = False
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.closed_for_all:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def relay(stack):
    url = urlsplit(stack.nomad_addr)
    relay = Relay(url.hostname, url.port)
    yield relay
    relay.close()


class Listening:
    """A reader of the stream in its own thread, as the controller's."""

    def __init__(self, nomad: Nomad) -> None:
        self.stop = threading.Event()
        self._seen: queue.Queue = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(nomad,), daemon=True)
        self._thread.start()

    def _run(self, nomad: Nomad) -> None:
        for event in nomad.events(JOBS, 0, self.stop):
            self._seen.put(event)

    def until(self, wanted, timeout: float = 15):
        deadline = time.monotonic() + timeout
        while True:
            event = self._seen.get(timeout=max(0.01, deadline - time.monotonic()))
            if wanted(event):
                return event

    def end(self) -> float:
        began = time.monotonic()
        self.stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()
        return time.monotonic() - began


@pytest.fixture
def listening(stack, relay):
    listening = Listening(Nomad(relay.address, stack.nomad_token))
    yield listening
    listening.end()


@pytest.fixture
def nomad(stack):
    return Nomad(stack.nomad_addr, stack.nomad_token, stack.nomad_cacert)


def ours(index: int):
    return lambda event: (
        event.job_id == VERSION.job_id and event.namespace == VERSION.workspace and event.index >= index
    )


def test_events_go_on_after_a_cut_and_the_gap_is_told(stack, nomad, relay, listening):
    job = nomad.parse(flow(VERSION, stack, "/bin/false", step("one")))
    with gone_after(nomad, VERSION):
        # Given
        listening.until(ours(nomad.register(job, 0)))
        # When
        relay.closed_for_all = True
        relay.cut()
        job["Meta"]["digest"] = "changed while nobody listened"
        index = nomad.register(job)
        relay.closed_for_all = False
        # Then
        assert listening.until(lambda event: event.topic == "Stream").type == "Reconnected"
        listening.until(ours(index))
        job["Meta"]["digest"] = "changed later"
        listening.until(ours(nomad.register(job)))


def test_a_quiet_stream_ends_at_once_when_told(listening):
    assert listening.end() < 2


def test_a_stream_that_never_connected_ends_too():
    listening = Listening(Nomad("http://127.0.0.1:1"))
    assert listening.end() < 3
