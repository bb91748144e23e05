"""Endless answers of Nomad: JSON objects one after the other, with an empty one as heartbeat."""

from __future__ import annotations

import codecs
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any, Final, Self

import requests
import urllib3

Json = dict[str, Any]

HEARTBEAT_S: Final = 10.0  # how often Nomad sends an empty object at least
SILENCE_S: Final = 3 * HEARTBEAT_S  # a connection that is silent for so long is dead
_LOOK_S: Final = 0.25
_DECODER: Final = json.JSONDecoder()


def frames(response: requests.Response) -> Iterator[Json]:
    """Every object as soon as it is complete, heartbeats included (as {}). Network errors of `requests` pass."""
    text = codecs.getincrementaldecoder("utf-8")()
    buffer = ""
    # read1: what has arrived, be it little. `iter_content` would wait for a full block or read byte by byte.
    while chunk := _read(response):
        buffer = (buffer + text.decode(chunk)).lstrip()
        while buffer:
            try:
                frame, end = _DECODER.raw_decode(buffer)
            except ValueError:
                break  # incomplete
            yield frame
            buffer = buffer[end:].lstrip()


def _read(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read1(65_536, decode_content=True) or b"")
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error


class Closer:
    """Ends the answer being read soon after `stop` is set; a read of its own would block until a heartbeat.

    A context: its thread ends with it.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="nomad-stream-closer", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @contextlib.contextmanager
    def guarding(self, response: requests.Response) -> Iterator[None]:
        """Within, `stop` ends this response."""
        with self._lock:
            self._response = response
        try:
            yield
        finally:
            with self._lock:
                self._response = None
            response.close()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            if self._stop.is_set():
                self._shut()

    def _shut(self) -> None:
        with self._lock, contextlib.suppress(RuntimeError, OSError, ValueError):  # it ended by itself meanwhile
            if self._response is not None:
                self._response.raw.shutdown()
