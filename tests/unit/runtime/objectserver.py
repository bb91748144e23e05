"""An object store of thirty lines: what steps put there, and how often they came."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from nomadflows.broker.wire import new_id


class ObjectServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.kept: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self.statuses: list[int | None] = []  # answered first, one after the other; None: as ever
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A caller broke off."""

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ObjectServer

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        found = self.server.kept.get(urlsplit(self.path).path.rpartition("/")[2])
        self._send(self._problem() or (200 if found is not None else 404), found or b"")

    def do_POST(self) -> None:
        content = self._body()
        if problem := self._problem():
            self._send(problem, b"")
            return
        made = new_id()
        self.server.kept[made] = content
        self.server.types[made] = self.headers.get("content-type", "")
        self._send(201, json.dumps({"objectId": made, "url": f"{self.server.uri}/objects/{made}?signed"}).encode())

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _problem(self) -> Any:
        self.server.requests.append((self.command, self.path))
        if self.server.statuses and (status := self.server.statuses.pop(0)):
            return status
        signed = urlsplit(self.path).query == "signed"
        return 401 if not signed and self.headers.get("Authorization") != f"Bearer {self.server.token}" else None
