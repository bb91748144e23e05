"""Who may call which flow and what comes back, with a broker that is made up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nomadflows.broker.wire import Crypto
from nomadflows.gateway.auth import Auth
from nomadflows.model.errors import InputError, ServerUnreachable
from tests.unit.gateway.fakes import AWAY, GONE, KEYS, REF, URL, Gate, body_of, call, target


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
