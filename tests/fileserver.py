"""A store of packed components that is none of ours: any HTTP server that takes and gives files."""

from __future__ import annotations

import http.server
import threading
from typing import Self


class FileServer:
    """A plain HTTP server that takes and gives files, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.content, self.failures, self.asked, self.authorization = b"", 0, 0, ""
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.asked += 1
                store.failures -= 1
                content = store.files.get(self.path, store.content)
                self.answer(503 if store.failures >= 0 else 200 if content else 404, content)

            def do_HEAD(self) -> None:
                self.answer(200 if self.path in store.files else 404)

            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.knows():
                    store.files[self.path] = content
                self.answer(201)

            def do_DELETE(self) -> None:
                if self.knows():
                    store.files.pop(self.path, None)
                self.answer(204)

            def knows(self) -> bool:
                return self.headers.get("Authorization", "") == store.authorization

            def answer(self, status: int, content: bytes = b"") -> None:
                self.send_response(status if self.knows() else 401)
                self.end_headers()
                self.wfile.write(content if self.knows() else b"")

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.base}/x.tar.gz"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
