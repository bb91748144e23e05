"""One caller's connection, with the limits that the HTTP server does not have itself.

==================  ==========================================================================================
headers             complete within 10 s, and within 64 KiB
body                64 KiB in 30 s at least; what takes it may ask for more
further requests    100 at most behind one that is not answered yet
an answer           taken within 30 s, but for what the system's own buffers hold
connections         2,000, more are answered by 503; 4,000, more are closed at once
==================  ==========================================================================================

What breaks a limit or is no HTTP is answered in the form of all other answers, then closed; a whole request that is
being worked on before it has its own answer. Knows nothing of flows.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from nomadflows.gateway import metrics
from nomadflows.gateway.answers import BAD_REQUEST, CROWDED, LARGE_HEADERS, TOO_SLOW, Problem

HEADERS_S: Final = 10.0
HEADER_BYTES: Final = 64 << 10
BODY_S: Final = 30.0
BODY_BYTES: Final = 64 << 10
TAKE_S: Final = 30.0
LINGER_S: Final = 2.0
PIPELINED: Final = 100
CONNECTIONS: Final = 2_000

STATUS_LINE.update({status: b"HTTP/1.1 %d \r\n" % status for status in range(600, 1000)})  # a flow's own answer


class Connection(HttpToolsProtocol):
    """The server makes one for each connection. The limits are attributes, so that tests need not wait."""

    headers_s = HEADERS_S
    body_s = BODY_S
    take_s = TAKE_S
    linger_s = LINGER_S
    most = CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._arrival: asyncio.TimerHandle | None = None
        self._departure: asyncio.TimerHandle | None = None
        self._in_headers = True
        self._is_new = False  # the headers began with the data that is being read
        self._bytes = 0  # of these headers, or of the body since it was last looked at
        self._deaf = False  # reads no more; what was read is answered
        self._problem = BAD_REQUEST

    # ── what arrives ──────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * self.most:
            transport.abort()
        else:
            self._expect()

    def data_received(self, data: bytes) -> None:
        if self._deaf or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect()
        self._is_new = False
        super().data_received(data)
        if self._in_headers and not self._is_new and not self.transport.is_closing():
            self._bytes += len(data)
            if self._bytes > HEADER_BYTES:
                self._refuse(LARGE_HEADERS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._bytes, self._is_new = True, 1, True
        self._expect()

    def on_headers_complete(self) -> None:
        """An exception here ends in `send_400_response`."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADER_BYTES:
            self._problem = LARGE_HEADERS
            raise ValueError(LARGE_HEADERS.text)
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError(BAD_REQUEST.text)
        if len(self.connections) > self.most:
            self._problem = CROWDED
            raise ValueError(CROWDED.text)
        self._in_headers, self._bytes = False, 0
        self._expect_nothing()
        self._expect(self.body_s)
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expect_nothing()
        super().on_message_complete()
        self._in_headers, self._bytes = True, 0  # of the request that may follow

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        if self._departure is not None:
            self._departure.cancel()
        super().connection_lost(exc)

    def _expect(self, within_s: float | None = None) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(within_s or self.headers_s, self._look_at_arrival)

    def _expect_nothing(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _look_at_arrival(self) -> None:
        """Headers should be complete by now; a body should have come on, unless it is this side that does not read."""
        self._arrival = None
        if self.transport.is_closing():
            return
        if self._in_headers and not self._bytes:
            self._close()
        elif self._in_headers or (self._bytes < BODY_BYTES and not self.flow.read_paused):
            self._refuse(TOO_SLOW)
        else:
            self._bytes = 0
            self._expect(self.body_s)

    # ── what leaves ───────────────────────────────────────────────────────────────────────────────────────────

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's own words
        """The server calls it for whatever its parser does not take."""
        self._refuse(self._problem)

    def _refuse(self, problem: Problem) -> None:
        """Answer the request that is arriving, and read no more. Whole requests before it are answered first."""
        self._expect_nothing()
        self._deaf = True
        cycle = self.cycle
        waits = cycle is not None and not cycle.response_complete
        if waits and self._in_headers:
            cycle.keep_alive = False
            return
        if waits:
            cycle.disconnected = True
            cycle.message_event.set()
        if self._in_headers or (waits and not self.pipeline and not cycle.response_started):
            self._write(problem)
            self._linger()
        else:
            self._close()

    def _write(self, problem: Problem) -> None:
        answer = problem.answer()
        metrics.ANSWERS.labels(str(answer.status), answer.reason).inc()
        headers = {"content-length": str(len(answer.body)), **dict(answer.headers), "connection": "close"}
        lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
        self.transport.write(STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body)

    def _linger(self) -> None:
        """A close with bytes unread resets the connection, and the caller, who still sends, never sees the answer."""
        self.transport.write_eof()
        self._departure = self.loop.call_later(self.linger_s, self.transport.abort)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._departure is None:
            self._departure = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._departure is not None and not self._deaf and not self.transport.is_closing():
            self._departure.cancel()
            self._departure = None

    def _close(self) -> None:
        """What was written is still sent, if it is taken in time."""
        self.transport.close()
        if self._departure is None and self.transport.get_write_buffer_size():
            self._departure = self.loop.call_later(self.take_s, self.transport.abort)
