"""Every answer of the table in docs/gateway.md, with a broker that is made up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nomadflows.broker.wire import Crypto, encode, encrypt_text
from nomadflows.gateway import content, hooks
from nomadflows.gateway.auth import Auth
from nomadflows.gateway.content import File, Request
from nomadflows.gateway.directory import Target
from nomadflows.gateway.xmltext import MOST_NODES
from nomadflows.model.errors import InputError, ServerUnreachable
from nomadflows.model.names import REPLIES
from nomadflows.objects.store import TooLargeError
from tests.unit.gateway.fakes import AWAY, CRYPTO, GONE, KEYS, REF, Gate, target

URL = "/hook/default/orders"


def call(gate: Gate, method: str = "POST", url: str = URL, **options: Any) -> httpx.Response:
    """One request, answered by the handler itself."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=gate.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, url, **options)

    return asyncio.run(send())


def body_of(gate: Gate) -> Any:
    return gate.broker.published[-1][2]["body"]


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.directory.close()


def test_a_request_is_answered_with_its_execution(gate: Gate) -> None:
    answer = call(gate, json={"a": 1}, url=f"{URL}/sales/orders?x=1&x=2", headers={"authorization": "Bearer s"})
    assert answer.status_code == 200
    exchange, key, message, headers = gate.broker.published[0]
    assert answer.json() == {"requestId": headers["threadId"], "message": "thank you"}
    assert answer.headers["x-execution-id"] == headers["threadId"]
    assert (exchange, key, message["body"]) == ("orders.v1", "receive.input", {"a": 1})
    assert message["method"] == "POST"
    assert message["url"] == f"{URL}/sales/orders?x=1&x=2"
    assert message["query"] == {"x": ["1", "2"]}
    assert message["additionalUrlPath"] == "/sales/orders"
    assert "authorization" not in message["headers"]
    assert "reply_to" not in headers


def test_get_makes_the_query_the_body(gate: Gate) -> None:
    assert call(gate, "GET", f"{URL}?a=1&b=").status_code == 200
    assert body_of(gate) == {"a": "1", "b": ""}


def test_what_steps_say_to_each_other_is_not_taken_from_outside(gate: Gate) -> None:
    call(gate, json={}, headers={"X-EIO-Routing-Key": "note.error", "reply_to": "x", "X-Mine": "1"})
    assert {"x-eio-routing-key", "reply_to"}.isdisjoint(gate.broker.published[0][2]["headers"])
    assert gate.broker.published[0][2]["headers"]["x-mine"] == "1"


@pytest.mark.parametrize(
    ("content_type", "content", "wanted"),
    [
        ("application/json", '{"a": [1, null]}', {"a": [1, None]}),
        ("application/vnd.api+json; charset=utf-8", '"text"', "text"),
        ("application/x-www-form-urlencoded", "a=1&b=x+y&a=2", {"a": ["1", "2"], "b": "x y"}),
        ("text/xml", "<o:r n='1'> a <b/><b>2</b><c> </c></o:r>", {"o-r": {"_attr": {"n": "1"}, "_": " a ", "b": ["", "2"], "c": " "}}),
        ("application/soap+xml; charset=iso-8859-1", b"<a>\xe4</a>", {"a": "ä"}),
        ('multipart/form-data; boundary="X"', '--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n2\r\n--X--', {"a": "1\r\n2"}),
        ("application/json", "", {}),
        (None, "", {}),
    ],
)  # fmt: skip
def test_bodies_become_json(gate: Gate, content_type: str | None, content: str, wanted: Any) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = call(gate, content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert body_of(gate) == wanted


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("application/json", "{", 400),
        ("application/json", '{"a": NaN}', 400),
        ("application/json", '{"a": 1e999}', 400),
        ("application/json", "9" * 5000, 400),
        ("application/json", "[" * 100_000, 400),
        ("application/json", "[" * 150 + "]" * 150, 400),
        ("application/json", b"\xff\xfe\xfd", 400),
        ("application/xml", "<a>", 400),
        ("application/xml", "<a>" * 5000, 400),
        ("application/xml; charset=klingon", "<a/>", 400),
        ("application/xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 400),
        ("application/xml", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', 400),
        ("application/x-www-form-urlencoded", "&".join(f"a{n}=1" for n in range(10_001)), 400),
        ("application/x-www-form-urlencoded", b"\xff", 400),
        ("multipart/form-data", "x", 400),
        ("multipart/form-data; boundary=X", "--X\r\n\r\n", 400),
        ("multipart/form-data; boundary=X", '--X\r\nContent-Disposition: form-data; filename="f.txt"\r\n\r\n1\r\n--X--', 400),
        ("multipart/form-data; boundary=X", '--X\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n\r\n' * 101 + "--X--", 400),
        ("image/png", b"\x89PNG", 415),
        (None, "x", 415),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read(gate: Gate, content_type: str | None, content: Any, status: int) -> None:
    answer = call(gate, content=content, headers={"content-type": content_type} if content_type else {})
    assert (answer.status_code, gate.broker.published) == (status, [])
    assert answer.json()["error"]


FORM = {"content-type": "multipart/form-data; boundary=X"}
FILES = (
    b'--X\r\nContent-Disposition: form-data; name="order"\r\n\r\n7\r\n'
    b'--X\r\ncontent-type: text/csv\r\nContent-Disposition: form-data; name="f"; filename="C:\\a/lines.csv"\r\n\r\na;b\r\n\xff\r\n'
    b'--X\r\nContent-Disposition: form-data; name="g"; filename=""\r\n\r\nblob\r\n'
    b'--X\r\nContent-Disposition: form-data; name="h"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n'
    b"--X--\r\n"
)


def test_files_of_a_form_become_attachments(gate: Gate) -> None:
    assert call(gate, content=FILES, headers=FORM).status_code == 200
    message = gate.broker.published[0][2]
    assert message["body"] == {"order": "7"}
    assert message["attachments"] == {"lines.csv": {"url": "0"}, "g": {"url": "1"}}
    kept = gate.objects.kept
    assert kept["0"] == File("lines.csv", "text/csv", b"a;b\r\n\xff")
    assert kept["1"] == File("g", "application/octet-stream", b"blob")
    # In raw mode the form is what it is
    assert call(gate, url=f"{URL}?raw=true", content=FILES, headers=FORM).status_code == 200
    assert gate.broker.published[1][2]["attachments"] == {}


@pytest.mark.parametrize(
    ("outcomes", "status", "kept"),
    [([False], 429, 0), ([GONE, GONE], 503, 0), ([GONE, True], 200, 2), ([AWAY], 503, 2)],
)
def test_files_of_a_refused_request_are_not_kept(gate: Gate, outcomes: Any, status: int, kept: int) -> None:
    """Whether the broker has a message whose confirm did not come, nobody knows."""
    gate.broker.outcomes = outcomes
    assert call(gate, content=FILES, headers=FORM).status_code == status
    assert len(gate.objects.kept) == kept


@pytest.mark.parametrize(
    ("problem", "status"),
    [(OSError(28, "No space left on device"), 503), (AWAY, 503), (TooLargeError("an object may have 1 byte"), 413)],
)
def test_files_that_cannot_be_kept_stop_the_request(gate: Gate, problem: Exception, status: int) -> None:
    gate.objects.problem = problem
    answer = call(gate, content=FILES, headers=FORM)
    assert (answer.status_code, gate.broker.published) == (status, [])
    assert "device" not in answer.text


def test_a_compressed_body_is_refused(gate: Gate) -> None:
    assert call(gate, content=b"x", headers={"content-encoding": "gzip"}).status_code == 415


def test_raw_mode_takes_any_body(gate: Gate) -> None:
    assert call(gate, url=f"{URL}?raw=true", content=b"<a", headers={"content-type": "image/png"}).status_code == 200
    assert body_of(gate) == {"rawData": "<a"}
    gate.flows[REF] = target(raw=True)
    gate.now = 2
    call(gate, content=b"\xff")
    assert body_of(gate) == {"rawData": base64.b64encode(b"\xff").decode(), "rawDataEncoding": "base64"}


def test_other_methods_are_not_allowed(gate: Gate) -> None:
    answer = call(gate, "PUT")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    "url", ["/hook/default/nobody", "/hook/", "/hook/default", "/hook/UP/orders", "/hook/default/a%00b", "/hook//x"]
)
def test_unknown_and_stopped_flows_are_the_same(gate: Gate, url: str) -> None:
    answer = call(gate, url=url)
    assert answer.status_code == 404
    assert answer.json() == {"error": "this flow either does not exist or is inactive"}


def test_ten_calls_to_a_dead_flow_block_it_until_it_lives(gate: Gate) -> None:
    alive, gate.flows = gate.flows, {}
    assert [call(gate).status_code for _ in range(12)] == [404] * 10 + [409] * 2
    gate.flows, gate.now = alive, 5
    assert call(gate).status_code == 200
    gate.flows, gate.now = {}, 10
    assert call(gate).status_code == 404


def test_more_than_10_mb_is_too_large_and_is_not_kept(gate: Gate) -> None:
    read = 0

    async def stream() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1 << 20
            yield b"x" * (1 << 20)

    async def pull(events: Any) -> Any:
        return {"type": "http.request", "body": await anext(events), "more_body": True}

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def ask() -> None:
        events = stream()
        scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": []}
        await gate.app(scope, lambda: pull(events), send)
        await events.aclose()

    asyncio.run(ask())
    assert sent[0]["status"] == 413
    assert read <= 50 << 20
    assert gate.app._memory.taken == 0
    eager = {"content-length": "10000001", "expect": "100-continue"}
    assert call(gate, content=b"", headers=eager).status_code == 413


def test_large_bodies_share_a_bounded_memory() -> None:
    gate = Gate(memory=1000)
    assert call(gate, json={"a": "x" * 2000}).status_code == 503
    assert call(gate, json={"a": 1}).status_code == 200
    assert gate.app._memory.taken == 0


def test_a_message_that_is_not_confirmed_is_held_as_well() -> None:
    gate = Gate(memory=250_000)
    assert call(gate, json={"a": "x" * 100_000}).status_code == 503
    assert (gate.broker.published, gate.app._memory.taken) == ([], 0)
    assert call(gate, json={"a": "x" * 80_000}).status_code == 200
    assert gate.app._memory.taken == 0


def test_large_bodies_are_worked_on_one_after_the_other_while_others_are_served(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: list[int] = []
    go_on = threading.Event()
    sealed = hooks._sealed

    def slow(a_target: Target, request: Request) -> Any:
        if len(request.body) > hooks.LARGE:
            at_work.append(len(request.body))
            assert go_on.wait(10)
        return sealed(a_target, request)

    async def callers() -> None:
        transport = httpx.ASGITransport(app=gate.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            large = [asyncio.create_task(client.post(URL, json={"a": "x" * 100_000})) for _ in range(5)]
            while not at_work:  # noqa: ASYNC110 - a thread sets no event of this loop
                await asyncio.sleep(0.001)
            assert (await client.post(URL, json={"n": 1})).status_code == 200
            assert len(at_work) == 1
            go_on.set()
            assert {(await one).status_code for one in large} == {200}

    monkeypatch.setattr(hooks, "_sealed", slow)
    asyncio.run(callers())
    assert len(gate.broker.published) == 6


@pytest.mark.parametrize(
    ("content_type", "piece", "count"),
    [
        ("application/json", b"{},", content.MOST_MARKS // 2),
        ("application/json", b"[],", content.MOST_MARKS // 2),
        ("application/json", b'"a":1,', content.MOST_MARKS // 2),
        ("text/xml", b"<a/>", MOST_NODES),
        ("text/xml", b"<a b='' c=''/>", MOST_NODES // 3 + 1),
    ],
)
def test_what_would_take_many_times_its_size_is_not_taken_apart(
    gate: Gate, content_type: str, piece: bytes, count: int
) -> None:
    first, last = {b"<": (b"<r>", b"</r>"), b'"': (b"{", b'"b":0}')}.get(piece[:1], (b"[", b"0]"))
    answer = call(gate, content=first + piece * count + last, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert "raw=true" in answer.json()["error"]


@pytest.mark.parametrize("text", ["1,2:[{", '\\",\\"', "\\\\"])
def test_a_long_text_is_no_structure(gate: Gate, text: str) -> None:
    body = b'{"a": "%b"}' % (text * (2 * content.MOST_MARKS // len(text))).encode()
    assert call(gate, content=body, headers={"content-type": "application/json"}).status_code == 200


def test_a_text_without_an_end_is_read_once(gate: Gate) -> None:
    body = b'["' + b'\\",' * content.MOST_MARKS
    assert call(gate, content=body, headers={"content-type": "application/json"}).status_code == 400


def test_a_body_that_does_not_arrive_in_time() -> None:
    gate = Gate(arrival_s=0.01)

    async def never() -> Any:
        await asyncio.Event().wait()

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": []}
    asyncio.run(gate.app(scope, never, send))
    assert sent[0]["status"] == 408


def test_a_full_queue_and_a_broker_that_is_away(gate: Gate) -> None:
    gate.broker.outcomes = [False, AWAY]
    assert call(gate, json={}).status_code == 429
    answer = call(gate, json={})
    assert answer.status_code == 503
    assert "10.0.0.1" not in answer.text
    assert gate.broker.published == []


def test_a_version_that_went_has_a_successor(gate: Gate) -> None:
    call(gate, json={})
    gate.flows[REF] = replace(target(2), crypto=Crypto(*KEYS))
    gate.broker.outcomes = [GONE]
    assert call(gate, json={}).status_code == 200
    assert gate.broker.published[-1][0] == "orders.v2"
    # And one of another flow, made anew under the name, is not given what it could not read
    gate.flows[REF] = replace(target(1), crypto=Crypto("another", KEYS[1]))
    gate.broker.outcomes = [GONE]
    assert call(gate, json={}).status_code == 503
    # And a flow that was stopped has none
    gate.flows = {}
    gate.broker.outcomes = [GONE]
    assert call(gate, json={}).status_code == 404
    # And a version whose exchange is not there (yet) is tried again by the caller
    gate.flows, gate.now = {REF: target(3)}, 5
    gate.broker.outcomes = [GONE, GONE]
    assert call(gate, json={}).status_code == 503


def test_a_flow_is_looked_up_once_a_second_and_kept_while_consul_is_away(gate: Gate) -> None:
    for _ in range(5):
        call(gate, json={})
    assert gate.looked == 1
    gate.flows[REF], gate.now = ServerUnreachable("Consul", "http://10.0.0.1:8500", "refused"), 2
    assert call(gate, json={}).status_code == 200
    gate.now = 400
    answer = call(gate, json={})
    assert answer.status_code == 503
    assert "10.0.0.1" not in answer.text


def test_a_credential_that_is_wrong_says_nothing_of_itself(gate: Gate) -> None:
    gate.flows[REF] = InputError("a webhook's credential lacks 'key'")
    assert call(gate, json={}).status_code == 503


def test_a_workspace_has_so_many_calls_a_minute() -> None:
    gate = Gate(per_minute=2)
    assert [call(gate, json={}).status_code for _ in range(3)] == [200, 200, 429]
    assert "workspace default " in call(gate, json={}).json()["error"]
    gate.now = 30
    assert [call(gate, json={}).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("auth", "good"),
    [
        (Auth("basic", "authorization", "me", "pässword"), {"authorization": "Basic " + base64.b64encode("me:pässword".encode()).decode()}),
        (Auth("api_key", "x-api-key", secret="k3y"), {"x-api-key": "k3y"}),
        (Auth("hmac", "x-eio-signature", secret="s"), {"x-eio-signature": hmac.new(b"s", b"{}", hashlib.sha256).hexdigest()}),
        (Auth("hmac", "x-sig", secret="s", algorithm="sha512"), {"x-sig": "sha512=" + hmac.new(b"s", b"{}", hashlib.sha512).hexdigest()}),
        (Auth("hmac", "x-sig", secret="s"), {"x-sig": base64.b64encode(hmac.new(b"s", b"{}", hashlib.sha256).digest()).decode()}),
    ],
)  # fmt: skip
def test_who_may_call(gate: Gate, auth: Auth, good: dict[str, str]) -> None:
    gate.flows[REF] = target(auth=auth)
    json_type = {"content-type": "application/json"}
    for wrong in ({}, {auth.header: "x"}, {auth.header: "Basic ::"}, {auth.header: "Basic é"}, {auth.header: ""}):
        encoded = {name: value.encode("latin-1") for name, value in wrong.items()}
        assert call(gate, content=b"{}", headers=json_type | encoded).status_code == 401
    assert gate.broker.published == []
    assert call(gate, content=b"{}", headers=json_type | good).status_code == 200
    assert auth.header not in gate.broker.published[0][2]["headers"]
    if auth.signs_body:
        assert call(gate, content=b"{ }", headers=json_type | good).status_code == 401


# ── request and reply ─────────────────────────────────────────────────────────────────────────────────────────


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


# ── anything at all ───────────────────────────────────────────────────────────────────────────────────────────

TYPES = st.sampled_from([
    "", "application/json", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "multipart/form-data; boundary*=utf-8''%ff", "a/b+json", "text/xml; charset=utf-16", ";;=", "é/x",
])  # fmt: skip
PIECES = st.sampled_from([
    b"--x", b"\r\n", b"\r\n\r\n", b"--", b"<a>", b"</a>", b"<!DOCTYPE", b"&x;", b"{", b"}", b'"', b":", b"[", b"1e999", b"\\ud800",
    b'Content-Disposition: form-data; name="a"', b"Content-Disposition: form-data; name*=utf-8''%ff", b"=", b"&", b"%", b"\x00", b"\xff",
])  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES, max_size=12).map(b"".join),
    st.text().map(lambda t: json.dumps(t).encode()),
)
HEADERS = st.lists(
    st.tuples(st.sampled_from([b"x-a", b"authorization", b"content-encoding", b"cookie"]), st.binary(max_size=20)),
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "X"]), path=st.one_of(st.just(URL), st.text(max_size=40).map(lambda t: URL + "/" + t), st.text(max_size=40).map(lambda t: "/hook/" + t)),
    query=st.binary(max_size=40), kind=TYPES, body=BODIES, headers=HEADERS, raw=st.booleans(),
    auth=st.sampled_from([Auth(), Auth("basic", "authorization", "a", "b"), Auth("hmac", "x-a", secret="s"), Auth("api_key", "x-a", secret="s")]),
)  # fmt: skip
def test_no_request_whatever_is_answered_by_500(
    method: str, path: str, query: bytes, kind: str, body: bytes, headers: Any, raw: bool, auth: Auth
) -> None:
    gate = Gate()
    gate.flows[REF] = target(auth=auth, raw=raw)
    events = [{"type": "http.request", "body": body[:7], "more_body": True}, {"type": "http.request", "body": body[7:]}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": query,
        "headers": [(b"content-type", kind.encode("latin-1")), *headers],
    }  # fmt: skip
    asyncio.run(gate.app(scope, receive, send))
    gate.directory.close()
    status = sent[0]["status"]
    assert status in {200, 400, 401, 404, 405, 415}
    assert (status == 200) == bool(gate.broker.published)
    json.loads(sent[1]["body"])
    assert gate.app._memory.taken == 0
