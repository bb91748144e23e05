"""Callers that are slow, endless or no HTTP at all: each is answered or closed, and nothing is half queued."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from nomadflows.broker.wire import encode
from nomadflows.gateway.connection import HEADER_BYTES
from tests.unit.gateway import anybytes
from tests.unit.gateway.fakes import CRYPTO, REF, Gate, target
from tests.unit.gateway.served import PATIENCE_S, Served, rest, statuses

HEAD = b"POST /hook/default/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: 2\r\n\r\n{}"
LAST = HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def quick() -> Iterator[Served]:
    with Served(Gate(arrival_s=0.5), headers_s=0.5, body_s=0.5, take_s=0.3, keep_alive_s=0.5) as served:
        yield served


@pytest.fixture
def served(quick: Served) -> Served:
    quick.gate.broker.published.clear()
    quick.gate.broker.on_publish = None
    quick.gate.flows = {REF: target()}
    quick.gate.now += 2
    return quick


def dripped(data: bytes, seconds: float) -> list[bytes]:
    return [data[at : at + 1] for at in range(min(len(data), int(seconds / 0.01)))]


def test_headers_byte_by_byte(served: Served) -> None:
    assert statuses(served.ask(*dripped(HEAD * 10, 1), pause_s=0.01)) == [408]
    assert served.gate.broker.published == []


def test_empty_lines_for_ever_between_requests(served: Served) -> None:
    assert statuses(served.ask(WHOLE, *[b"\r\n"] * 100, pause_s=0.01)) == [200, 408]


def test_a_caller_that_says_nothing(served: Served) -> None:
    assert served.ask() == b""


def test_a_body_byte_by_byte(served: Served) -> None:
    head = HEAD + b"content-length: 1000\r\n\r\n"
    assert statuses(served.ask(head, *dripped(b"[" * 1000, 1), pause_s=0.01)) == [408]
    assert served.gate.broker.published == []


def test_a_chunked_body_without_an_end(served: Served) -> None:
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert statuses(served.ask(head, *[b"1\r\n \r\n"] * 100, pause_s=0.01)) == [408]
    assert served.gate.broker.published == []


def test_the_rest_of_a_body_that_nobody_reads(served: Served) -> None:
    """The answer came before the body: the caller has it, and may not hold the connection."""
    head = b"POST /hook/default/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
    assert statuses(served.ask(head, *dripped(b" " * 1000, 1), pause_s=0.01)) in ([404], [409])


@pytest.mark.parametrize("pieces", [1, 40])
def test_headers_without_an_end(served: Served, pieces: int) -> None:
    long = b"x-long: " + b"x" * (3 * HEADER_BYTES) + b"\r\n"
    size = len(long) // pieces + 1
    cut = [long[at : at + size] for at in range(0, len(long), size)]
    assert statuses(served.ask(HEAD, *cut, b"content-length: 2\r\n\r\n{}", pause_s=0.001)) == [431]
    many = b"".join(b"x-%d: y\r\n" % number for number in range(10_000))
    assert statuses(served.ask(HEAD + many + b"content-length: 2\r\n\r\n{}")) == [431]
    assert statuses(served.ask(b"GET /" + b"a" * 2 * HEADER_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n")) == [431]
    assert served.gate.broker.published == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /hook/default/orders\r\n\r\n",
        b"POST hook/default/orders HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /hook/default/\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}garbage",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"x: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_request(served: Served, request_bytes: bytes) -> None:
    received = served.ask(request_bytes)
    assert statuses(received) == [400]
    assert json.loads(received.partition(b"\r\n\r\n")[2]) == {"error": "the request is no HTTP/1.1"}
    assert served.gate.broker.published == []


@pytest.mark.parametrize(
    "path", [b"/hook/default/..%2f..%2fetc", b"/hook/%00/orders", b"/hook/default/%ff%fe", b"/hook"]
)
def test_paths_that_are_no_flow(served: Served, path: bytes) -> None:
    answer = served.ask(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    assert statuses(answer) == [404]


def test_a_caller_of_too_much_hears_why(served: Served) -> None:
    """It is still sending when the answer is known; a connection reset at once would lose it."""
    head = HEAD + b"connection: close\r\ncontent-length: 20000000\r\n\r\n"
    assert statuses(served.ask(head, *[b" " * 1_000_000] * 20)) == [413]
    chunked = [b"f4240\r\n" + b" " * 1_000_000 + b"\r\n"] * 20
    assert statuses(served.ask(HEAD + b"transfer-encoding: chunked\r\n\r\n", *chunked, b"0\r\n\r\n")) == [413]
    assert served.gate.broker.published == []


def test_garbage_behind_a_whole_request_takes_its_answer_from_nobody(served: Served) -> None:
    assert statuses(served.ask(WHOLE + b"garbage\r\n\r\n")) == [200]
    assert statuses(served.ask(WHOLE + WHOLE + LAST)) == [200, 200, 200]
    assert len(served.gate.broker.published) == 4


def test_thousands_of_requests_behind_one_that_waits(served: Served) -> None:
    served.gate.flows[REF] = target(answers=True, reply_timeout_s=1)
    received = served.ask(WHOLE, *[WHOLE * 50] * 40, pause_s=0.005)
    assert statuses(received) in ([], [504])
    assert len(served.gate.broker.published) <= 2


def test_an_answer_that_nobody_takes(served: Served) -> None:
    content = {"statusCode": 200, "body": "x" * 8_000_000, "headers": {"content-type": "text/plain"}}
    served.gate.flows[REF] = target(answers=True)
    served.gate.broker.on_publish = lambda headers: served.gate.replies.take(
        {"threadId": headers["threadId"], "protocolVersion": 1}, encode(CRYPTO, content, 1)
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_S)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(LAST)
        deadline = time.monotonic() + PATIENCE_S
        while served.connections or not served.gate.broker.published:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(rest(connection)) < 8_000_000


def test_a_status_that_http_does_not_know(served: Served) -> None:
    served.gate.flows[REF] = target(answers=True)
    served.gate.broker.on_publish = lambda headers: served.gate.replies.take(
        {"threadId": headers["threadId"], "protocolVersion": 1}, encode(CRYPTO, {"statusCode": 999, "body": 1}, 1)
    )
    assert statuses(served.ask(LAST)) == [999]


@pytest.mark.parametrize(("status", "length"), [(204, False), (304, False), (205, True), (200, True)])
def test_an_answer_without_a_body_has_no_length(served: Served, status: int, *, length: bool) -> None:
    served.gate.flows[REF] = target(answers=True)
    content = {"statusCode": status, "body": "", "headers": {"content-type": "text/plain"}}
    served.gate.broker.on_publish = lambda headers: served.gate.replies.take(
        {"threadId": headers["threadId"], "protocolVersion": 1}, encode(CRYPTO, content, 1)
    )
    answer = served.ask(LAST)
    assert statuses(answer) == [status]
    assert (b"content-length: 0" in answer) is length
    assert b"transfer-encoding" not in answer


def test_many_slow_callers_hold_up_nobody() -> None:
    with Served(Gate(), headers_s=5.0) as served:
        slow = [served.connect() for _ in range(300)]
        for connection in slow:
            connection.sendall(HEAD)
        assert statuses(served.ask(LAST)) == [200]
        for connection in slow:
            connection.close()


def test_more_callers_than_a_gateway_takes() -> None:
    with Served(Gate(), most=2) as served:
        others = [served.connect() for _ in range(2)]
        assert statuses(served.ask(LAST)) == [503]
        others.pop().close()
        served.settles(connections=1)
        assert statuses(served.ask(LAST)) == [200]
        others.pop().close()


def test_a_caller_that_is_gone_has_its_answer_dropped_and_counted(served: Served) -> None:
    waits: list[str] = []
    served.gate.flows[REF] = target(answers=True)
    served.gate.broker.on_publish = lambda headers: waits.append(headers["threadId"])
    with served.connect() as connection:
        connection.sendall(WHOLE)
        served.until(lambda: bool(waits))
    served.settles()
    before = dropped()
    served.gate.replies.take({"threadId": waits[0], "protocolVersion": 1}, b"")
    assert dropped() == before + 1


def dropped() -> float:
    return REGISTRY.get_sample_value("nomadflows_webhook_replies_dropped_total") or 0.0


@settings(max_examples=30)
@given(batch=st.lists(anybytes.requests(), min_size=10, max_size=10))
def test_no_bytes_whatever_are_answered_by_500(in_a_hurry: Served, batch: list[bytes]) -> None:
    in_a_hurry.gate.broker.published.clear()
    accepted = anybytes.all_at_once(in_a_hurry, batch)
    assert len(in_a_hurry.gate.broker.published) == accepted
    in_a_hurry.settles()


@pytest.fixture(scope="module")
def in_a_hurry() -> Iterator[Served]:
    with anybytes.hurried() as found:
        yield found
