"""A token server of OAuth 2 in this process: faults that no real one shows on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenServer:
    """`asked`: the form of each request. Each refresh token is good for one access token, as with many real ones."""

    def __init__(self, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}/token"
        self.asked: list[dict[str, str]] = []
        self.authorizations: list[str] = []
        self.good = "refresh-0"
        self.answer: tuple[int, bytes] | None = None  # instead of what it would say
        self.trickles = False  # its answer comes byte by byte and never ends
        self.over = threading.Event()

    def said(self, form: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(form)
        if self.answer is not None:
            return self.answer
        if form["refresh_token"] != self.good:
            return 400, json.dumps({"error": "invalid_grant", "error_description": form["refresh_token"]}).encode()
        number = len(self.asked)
        self.good = f"refresh-{number}"
        fresh = {"access_token": f"access-{number}", "refresh_token": self.good, "expires_in": 3600, "extra": {"a": 1}}
        return 200, json.dumps(fresh).encode()


@contextmanager
def token_server() -> Iterator[TokenServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            fake.authorizations.append(self.headers.get("Authorization", ""))
            status, content = fake.said({name: values[0] for name, values in form.items()})
            self.send_response(status)
            self.send_header("Location", fake.uri)
            self.end_headers()
            try:
                while fake.trickles and not fake.over.wait(0.02):
                    self.wfile.write(b" ")
                self.wfile.write(content)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = TokenServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
