"""One HTTP request and its answer, for a process that makes a request or two at start.

`http.client` does the same and more, for 12 ms of every start: it brings the whole of `email`. HTTP/1.0 leaves no
choice about the length of an answer: the server closes the connection when it is over.
"""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import SplitResult

_PORTS: Final = {"http": 80, "https": 443}


class HttpError(OSError):
    """What came back was no whole HTTP answer."""


def request(
    base: SplitResult, method: str, path: str, headers: dict[str, str], body: bytes | None, *, timeout: float
) -> tuple[int, bytes]:
    """Status and body of the answer. OSError if there is none."""
    host = base.hostname or ""
    lines = [f"{method} {path} HTTP/1.0", f"Host: {base.netloc.rpartition('@')[2]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    with socket.create_connection((host, base.port or _PORTS[base.scheme]), timeout) as plain:
        connection = plain
        if base.scheme == "https":
            import ssl

            connection = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        connection.sendall(head + (body or b""))
        return _answer(_everything(connection))


def _everything(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def _answer(text: bytes) -> tuple[int, bytes]:
    head, blank, body = text.partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    words = status_line.split(None, 2)
    if not blank or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004
        raise HttpError("the answer is not HTTP")
    fields = dict(_field(line) for line in lines)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        raise HttpError("the answer is chunked, which HTTP/1.0 does not know")
    length = fields.get(b"content-length")
    if length is not None and int(length) != len(body):
        raise HttpError(f"the answer broke off: {len(body)} of {int(length)} bytes")
    return int(words[1]), body


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()
