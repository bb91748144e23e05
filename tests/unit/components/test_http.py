"""The http component: answers to the caller, requests to a server of this test."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nomadflows.runtime.api import Message, Rebound


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.removeprefix("/"))
        length = int(self.headers.get("content-length") or 0)
        said = {
            "method": self.command,
            "auth": self.headers.get("authorization"),
            "body": self.rfile.read(length).decode(),
        }
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status == 302:
            self.send_header("location", "/200")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_request_passes_on_the_answer(run, url):
    (out,) = run("http", "request", url=f"{url}/201", method="POST", token="t")({"a": 1})
    assert (out["status"], out["body"]) == (201, {"method": "POST", "auth": "Bearer t", "body": '{"a": 1}'})
    (out,) = run("http", "request", url=f"{url}/200", username="u", password="p")({"a": 1})
    assert out["body"] == {"method": "GET", "auth": "Basic dTpw", "body": ""}
    # And a redirect is an answer: nobody else is told what was meant for this server
    (out,) = run("http", "request", url=f"{url}/302")({})
    assert (out["status"], out["headers"]["location"]) == (302, "/200")


def test_what_is_tried_again_and_what_is_not(run, url):
    for status in (429, 503):
        with pytest.raises(Rebound):
            run("http", "request", url=f"{url}/{status}")({})
    with pytest.raises(ValueError, match="404"):
        run("http", "request", url=f"{url}/404")({})
    assert run("http", "request", url=f"{url}/404", accept_any_status=True)({})[0]["status"] == 404
    with pytest.raises(ValueError, match="neither"):
        run("http", "request", url="file:///etc/passwd")({})
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(Rebound):
        run("http", "request", url=f"http://127.0.0.1:{port}/")({})


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{}",
        b"\r\n",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_none(run, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_once, args=(server, answer))
        thread.start()
        with pytest.raises(Rebound):
            run("http", "request", url=f"http://127.0.0.1:{server.getsockname()[1]}/", accept_any_status=True)({})
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


@pytest.mark.parametrize(
    ("config", "body", "wanted"),
    [
        ({}, {"a": 1}, ({"a": 1}, 200, {"content-type": "application/json"})),
        ({"status": "201", "headers": {"x-a": "1"}, "content_type": "text/plain"}, "text", ("text", 201, {"content-type": "text/plain", "x-a": "1"})),
        ({"status": 201}, {"responseBody": "AA==", "statusCode": 404, "contentType": "image/png", "encoding": "base64"},
         ("AA==", 404, {"content-type": "image/png", "x-body-encoding": "base64"})),
    ],
)  # fmt: skip
def test_a_reply_answers_and_passes_on(run, config, body, wanted):
    reply, passed = run("http", "reply", **config).component.process(Message(body), config, {})
    assert (reply.body, reply.status, reply.headers) == wanted
    assert passed.body == body


def test_a_reply_has_a_status_of_http(run):
    with pytest.raises(ValueError, match="200 to 999"):
        list(run("http", "reply").component.process(Message({}), {"status": 100}, {}))
    one = run("http", "reply_attachment", status=100)
    one.context.attachments = Attachments(u=b"")
    with pytest.raises(ValueError, match="200 to 999"):
        list(one.component.process(Message({}, attachments={"a": {"url": "u"}}), one.config, {}, one.context))


class Attachments:
    """Contents by their address."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = contents

    def open(self, attachment):
        return io.BytesIO(self.contents[attachment["url"]])


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, (b"\x00one", 200, "image/png")),
        ({"attachment": "b", "status": "201"}, (b"two", 201, "application/octet-stream")),
        ({"attachment": "b", "content_type": "text/csv"}, (b"two", 200, "text/csv")),
    ],
)
def test_an_attachment_is_an_answer(run, config, wanted):
    one = run("http", "reply_attachment", **config)
    one.context.attachments = Attachments(u=b"\x00one", v=b"two")
    message = Message({}, attachments={"a": {"url": "u", "content-type": "image/png"}, "b": {"url": "v"}})
    reply, passed = one.component.process(message, config, {}, one.context)
    assert (base64.b64decode(reply.body), reply.status, reply.headers["content-type"]) == wanted
    assert reply.headers["x-body-encoding"] == "base64"
    assert passed is message


def test_an_answer_needs_its_attachment(run):
    one = run("http", "reply_attachment")
    one.context.attachments = Attachments(u=b"x" * 40_000_001)
    for attachments, config in (({}, {}), ({"a": {"url": "u"}}, {"attachment": "b"})):
        with pytest.raises(LookupError, match="no attachment"):
            list(one.component.process(Message({}, attachments=attachments), config, {}, one.context))
    with pytest.raises(ValueError, match="40000000 bytes"):
        list(one.component.process(Message({}, attachments={"a": {"url": "u"}}), {}, {}, one.context))
