"""Any bytes at all, sent to the handler through real sockets: requests, and what may become of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hypothesis import strategies as st

from tests.unit.gateway.fakes import Gate
from tests.unit.gateway.served import Served, statuses

TARGETS = st.one_of(
    st.just(b"/hook/default/orders"),
    st.binary(max_size=30).map(lambda end: b"/hook/default/orders/" + end),
    st.text(max_size=20).map(lambda end: f"/hook/{end}".encode()),
    st.sampled_from([b"*", b"http://x/hook/default/orders", b"/hook/default/orders?raw=true", b"//", b"/%", b"x:1"]),
)
LINES = st.one_of(
    st.sampled_from([
        b"host: x", b"content-type: application/json", b"content-type: text/xml", b"content-type: multipart/form-data; boundary=x",
        b"content-length: 2", b"content-length: 20", b"content-length: 99999999", b"content-length: 99999999999999999999",
        b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked", b"connection: close", b"connection: upgrade", b"upgrade: websocket",
        b"upgrade: h2c", b"expect: 100-continue", b"expect: x", b"content-encoding: gzip", b" folded", b"x : y", b"",
    ]),
    st.binary(max_size=30),
)  # fmt: skip
BODIES = st.one_of(
    st.sampled_from([b"{}", b"<a/>", b"2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nx: y\r\n\r\n", b"ffffffffffffffffff\r\n", b"--x--"]),
    st.binary(max_size=40),
)  # fmt: skip
METHODS = st.sampled_from(
    [b"POST", b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"post", b"\x00"]
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b""])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, or what may become of one."""
    head = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    request = b"\r\n".join([head, *draw(st.lists(LINES, max_size=6)), b"", draw(BODIES)])
    if draw(st.integers(0, 3)) == 0:
        at, cut = draw(st.integers(0, len(request))), draw(st.integers(0, 5))
        request = request[:at] + draw(st.binary(max_size=5)) + request[at + cut :]
    return request * draw(st.sampled_from([1, 1, 1, 2]))


ALLOWED = {100, 200, 400, 401, 404, 405, 408, 409, 413, 415, 431}


def all_at_once(served: Served, batch: list[bytes]) -> int:
    """Nothing but the answers of the table; how many of them were 200."""
    received: list[bytes] = []
    callers = [threading.Thread(target=lambda one=one: received.append(served.ask(one))) for one in batch]  # type: ignore[misc]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    found = [status for answers in received for status in statuses(answers)]
    assert set(found) <= ALLOWED, found
    assert len(received) == len(batch)
    return found.count(200)


HURRY: Final = {"headers_s": 0.02, "body_s": 0.02, "keep_alive_s": 0.02}  # most of what is sent never ends


@contextmanager
def hurried() -> Iterator[Served]:
    with Served(Gate(arrival_s=0.02), **HURRY) as served:
        yield served
