"""What becomes of a webhook's body: every content type, files, sizes, with a broker that is made up."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import Any

import httpx
import pytest

from nomadflows.gateway import content, hooks
from nomadflows.gateway.content import File, Request
from nomadflows.gateway.directory import Target
from nomadflows.gateway.xmltext import MOST_NODES
from nomadflows.objects.store import TooLargeError
from tests.unit.gateway.fakes import AWAY, GONE, REF, URL, Gate, body_of, call, target


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
