"""The one request a step makes, against servers that are not what they should be."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

from nomadflows.runtime.http import HttpError, request


@pytest.fixture
def served():
    """`served(answer)`: a server that gives these bytes to whoever comes; the request it got is in `.got`."""
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def start(answer: bytes):
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                got.append(connection.recv(65536))
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return urlsplit(f"http://127.0.0.1:{listener.getsockname()[1]}")

    start.got = got
    yield start
    listener.close()


def test_a_request_and_its_answer(served):
    base = served(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")
    assert request(base, "POST", "/a?b", {"X": "1"}, b"body", timeout=5) == (201, b"ok")
    assert (
        served.got[0]
        == (
            f"POST /a?b HTTP/1.0\r\nHost: {base.netloc}\r\nX: 1\r\nContent-Type: application/json\r\n"
            "Content-Length: 4\r\n\r\nbody"
        ).encode()
    )


def test_an_answer_that_ends_with_its_connection(served):
    assert request(served(b"HTTP/1.0 200 OK\r\n\r\n{}"), "GET", "/", {}, None, timeout=5) == (200, b"{}")


@pytest.mark.parametrize("answer", [
    b"", b"nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
])  # fmt: skip
def test_what_is_no_answer(served, answer):
    with pytest.raises(HttpError):
        request(served(answer), "GET", "/", {}, None, timeout=5)


def test_nobody_there():
    with pytest.raises(OSError, match="refused"):
        request(urlsplit("http://127.0.0.1:1"), "GET", "/", {}, None, timeout=5)
