"""The http component: answers to the caller, requests to a server of this test."""

from __future__ import annotations

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
