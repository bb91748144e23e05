"""A flow that answers its caller: every shape of an answer, and none, with a broker that is made up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nomadflows.broker.wire import encode, encrypt_text
from nomadflows.model.names import REPLIES
from tests.unit.gateway.fakes import CRYPTO, REF, URL, Gate, call, target


def answering(gate: Gate, reply: Any, **more: Any) -> None:
    """The flow answers at once: `reply(headers)` gives AMQP headers and body."""
    gate.flows[REF] = target(answers=True, **more)

    def answer(headers: dict[str, Any]) -> None:
        for amqp_headers, body in reply(headers):
            gate.replies.take({"threadId": headers["threadId"], **amqp_headers}, body)

    gate.broker.on_publish = answer


def test_shape_a_http_reply(gate: Gate) -> None:
    content = {
        "statusCode": 201,
        "body": {"ok": True},
        "headers": {"X-Mine": "1", "Content-Length": "9999", "bad name": "x", "x-bad": "a\r\nb"},
    }
    answering(gate, lambda _: [({"protocolVersion": 1}, encode(CRYPTO, content, 1))])
    answer = call(gate, json={})
    assert (answer.status_code, answer.json(), answer.headers["x-mine"]) == (201, {"ok": True}, "1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-execution-id"] == gate.broker.published[0][3]["threadId"]
    assert {"bad name", "x-bad"}.isdisjoint(answer.headers)
    assert gate.broker.bound == [(REPLIES, gate.app.reply_key)]
    assert gate.broker.published[0][3]["reply_to"] == gate.app.reply_key


def test_shape_b_a_routed_message(gate: Gate) -> None:
    content = {
        "body": "<a/>",
        "headers": {"Content-Type": "text/xml", "x-eio-status-code": 202},
        "passthrough": {"s": 1},
    }
    answering(gate, lambda _: [({"protocolVersion": 2}, encode(CRYPTO, content, 2))])
    answer = call(gate, json={})
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (202, "<a/>", "text/xml")


def test_shape_c_an_error(gate: Gate) -> None:
    error = encrypt_text(CRYPTO, {"name": "ValueError", "message": "no such order", "stack": "secret path"})
    answering(gate, lambda _: [({"x-eio-error-response": True}, error.encode())])
    answer = call(gate, json={})
    assert answer.status_code == 500
    assert answer.json() == {"error": "no such order", "requestId": answer.headers["x-execution-id"]}


@pytest.mark.parametrize(
    ("content", "status", "body"),
    [
        ({"statusCode": 999, "body": 1}, 999, b"1"),
        ({"statusCode": 204, "body": "x"}, 204, b""),
        ({"statusCode": 100, "body": 1}, 500, None),
        ({"statusCode": "many", "body": 1}, 500, None),
        ({"statusCode": 200, "body": "AP8=", "headers": {"content-type": "image/png", "x-body-encoding": "base64"}}, 200, b"\x00\xff"),
        ({"statusCode": 200, "body": "!", "headers": {"content-type": "image/png", "x-body-encoding": "base64"}}, 500, None),
        ({"statusCode": 200, "body": "x", "headers": {"content-type": "a\r\nb: c"}}, 500, None),
    ],
)  # fmt: skip
def test_what_a_flow_may_answer(gate: Gate, content: dict[str, Any], status: int, body: bytes | None) -> None:
    answering(gate, lambda _: [({"protocolVersion": 1}, encode(CRYPTO, content, 1))])
    answer = call(gate, json={})
    assert answer.status_code == status
    assert body is None or answer.content == body


def test_an_answer_whose_body_lies_in_the_object_store(gate: Gate) -> None:
    content = {"body": {}, "headers": {"x-ipaas-object-storage-id": "one", "x-eio-status-code": 201}}
    answering(gate, lambda _: [({"protocolVersion": 2}, encode(CRYPTO, content, 2))])
    # Given it is not there, the answer is none
    assert call(gate, json={}).status_code == 500
    # Else it is as if it had come in the message
    gate.objects.kept["default", "one"] = {"text": "x" * 10}
    answer = call(gate, json={})
    assert (answer.status_code, answer.json()) == (201, {"text": "x" * 10})
    assert "x-ipaas-object-storage-id" not in answer.headers
    assert gate.replies._fetching == set()


def test_an_answer_that_cannot_be_read(gate: Gate) -> None:
    answering(gate, lambda _: [({"protocolVersion": 2}, b"garbage")])
    assert call(gate, json={}).status_code == 500


def test_a_second_answer_is_dropped(gate: Gate) -> None:
    first, second = (encode(CRYPTO, {"statusCode": status, "body": 1}, 1) for status in (201, 202))
    answering(gate, lambda _: [({"protocolVersion": 1}, first), ({"protocolVersion": 1}, second)])
    assert call(gate, json={}).status_code == 201


def test_a_flow_that_does_not_answer_in_time(gate: Gate) -> None:
    answering(gate, lambda _: [], reply_timeout_s=0.02)
    answer = call(gate, json={})
    assert answer.status_code == 504
    assert answer.json()["requestId"] == answer.headers["x-execution-id"]
    assert gate.replies._waiting == {}


def test_a_connection_that_is_lost_while_callers_wait(gate: Gate) -> None:
    gate.flows[REF] = target(answers=True, reply_timeout_s=0.5)
    gate.broker.on_publish = lambda _headers: gate.replies.lost(REF.workspace)
    assert call(gate, json={}).status_code == 502
    # And one of another workspace is nothing to this one's callers
    gate.broker.on_publish = lambda _headers: gate.replies.lost("other")
    assert call(gate, json={}).status_code == 504


def test_a_caller_that_hangs_up_leaves_nothing(gate: Gate) -> None:
    gate.flows[REF] = target(answers=True)
    events = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": []}
    asyncio.run(gate.app(scope, receive, send))
    assert (len(gate.broker.published), sent, gate.replies._waiting) == (1, [], {})
