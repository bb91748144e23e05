"""Webhooks on real servers: a flow that sleeps, a flow that answers, a gateway that is killed under load."""

from __future__ import annotations

import functools
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests as http

from nomadflows.gateway.content import MOST_MARKS
from nomadflows.gateway.xmltext import MOST_NODES
from nomadflows.store.requests import start, suspend
from tests.gateways import Callers, builtins, free_port, gateway
from tests.world import World, eventually

pytestmark = pytest.mark.stack


def hooked(out: Path, **settings: Any) -> dict[str, Any]:
    return {
        "idle_after": "1s",
        "steps": [
            {"id": "receive", "use": "webhook:receive"},
            {"id": "note", "use": "probe:relay", "with": {"out": str(out), **settings}},
        ],
    }


def answering(mapping: str = "n", **reply: Any) -> dict[str, Any]:
    return {
        "idle_after": "5s",
        "steps": [
            {"id": "receive", "use": "webhook:receive", "with": {"reply_timeout": 20}},
            {"id": "answer", "use": "http:reply", "map": {"hello": mapping}, "with": reply},
        ],
    }


def test_a_webhook_wakes_a_sleeping_flow_and_ends_with_it(world: World, tmp_path: Path) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    out, port = tmp_path / "out", free_port()
    url = f"http://127.0.0.1:{port}/hook/default/hooked"
    with gateway(world, port):
        # Given a flow that sleeps
        assert http.post(url, json={"n": 0}, timeout=5).status_code == 404
        flow = world.start_flow("hooked", hooked(out))
        world.flow_becomes(flow, "Sleeping")
        # When somebody calls its address
        began = time.monotonic()
        answer = http.post(f"{url}/orders?x=1", json={"n": 1}, timeout=5)
        took = time.monotonic() - began
        # Then the caller has its answer before the flow is awake, and the flow has the request
        assert (answer.status_code, answer.json()["message"]) == (200, "thank you")
        assert took < 1, took
        world.all_arrive(out, range(1, 2))
        # And a new version takes what comes next
        world.publish_flow("hooked", hooked(out, work_ms=1))
        for number in range(2, 40):
            assert http.post(url, json={"n": number}, timeout=5).status_code == 200
            time.sleep(0.02)
        assert set(world.all_arrive(out, range(1, 40)).values()) == {1}
        # And a stopped flow is as unknown as others
        world.stop_flow(flow)
        eventually("the address is gone", lambda: http.post(url, json={}, timeout=5).status_code == 404, 5)


def test_a_flow_answers_its_caller_through_any_gateway(world: World) -> None:
    builtins(world)
    world.start_controller()
    flow = world.start_flow("answering", answering("$uppercase(name)", status=201))
    first, second = free_port(), free_port()
    with gateway(world, first) as process, gateway(world, second):
        for port in (first, second, first):
            url = f"http://127.0.0.1:{port}/hook/default/answering"
            answer = http.post(url, json={"name": "nora"}, timeout=30)
            assert (answer.status_code, answer.json()) == (201, {"hello": "NORA"})
            assert answer.headers["x-execution-id"]
        # And an error on the way is an answer too
        answer = http.post(url, json={"name": {"no": "text"}}, timeout=30)
        assert answer.status_code == 500
        assert answer.json()["requestId"] == answer.headers["x-execution-id"]
        # And after a stop and a start of the same version the gateways that knew it before get its answers
        world.stop_flow(flow)
        start(world.store, flow, by="test")
        world.flow_becomes(flow, "Running", 60)
        for port in (first, second):
            eventually("the flow is known again", functools.partial(is_answered, port), 10)
        # And when one gateway goes the other answers
        process.kill()
        process.wait()
        url = f"http://127.0.0.1:{second}/hook/default/answering"
        assert http.post(url, json={"name": "olaf"}, timeout=30).json() == {"hello": "OLAF"}


def is_answered(port: int) -> bool:
    return http.post(f"http://127.0.0.1:{port}/hook/default/answering", json={"name": "pia"}, timeout=30).ok


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_gateway_that_ends_loses_no_request_it_acknowledged(
    world: World, tmp_path: Path, end: signal.Signals
) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    out, ports = tmp_path / "out", (free_port(), free_port())
    # Given a flow that sleeps
    flow = world.start_flow("loaded", hooked(out))
    world.flow_becomes(flow, "Sleeping")
    with gateway(world, ports[0]) as ended, gateway(world, ports[1]):
        # When one of its gateways is killed, or told to end, under load
        with Callers(ports, "/hook/default/loaded", rate=60) as callers:
            eventually("requests are acknowledged", lambda: len(callers.took) > 100)
            ended.send_signal(end)
            ended.wait()
            count = len(callers.took)
            eventually("the other gateway goes on", lambda: len(callers.took) > count + 100)
        # Then what was acknowledged is processed, and little else was not answered
        eventually("all of it is processed", lambda: callers.took.keys() <= world.seen(out).keys(), 60)
        assert set(callers.others) <= {"connection closed"}


def test_callers_wait_while_their_gateway_is_started_again(world: World) -> None:
    builtins(world)
    world.start_controller()
    flow = world.start_flow("answering", answering())
    first, second = free_port(), free_port()
    with ExitStack() as left, gateway(world, second):
        process = left.enter_context(gateway(world, first))
        # Given callers of two gateways that wait for the flow's answer
        with Callers((first, second), "/hook/default/answering", rate=20) as callers:
            eventually("the flow answers", lambda: len(callers.took) > 20, 60)
            # When one is killed, and comes back
            process.kill()
            process.wait()
            left.enter_context(gateway(world, first))
            count = len(callers.took)
            eventually("the flow answers", lambda: len(callers.took) > count + 40, 60)
        # Then each caller has its own answer or a closed connection, and the flow is unharmed
        assert set(callers.others) <= {"connection closed"}
        assert all(callers.bodies[number] == {"hello": number} for number in callers.took)
        assert world.status(flow).state.value in {"Running", "Sleeping"}


def test_bad_callers_hold_up_nobody_and_cost_little(world: World, tmp_path: Path) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    out, port = tmp_path / "out", free_port()
    world.start_flow("hooked", hooked(out))
    head = b"POST /hook/default/hooked HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    with gateway(world, port) as process, ExitStack() as open_connections:
        # Given hundreds of callers that do not end their headers, and 400 MB of bodies that do not end
        for number in range(340):
            connection = open_connections.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(head if number < 300 else head + b"content-length: 9900000\r\n\r\n")
            if number >= 300:
                connection.sendall(b" " * 9_800_000)
        # Then others are answered, or told that there is no memory now, and it stays bounded
        answers = [
            http.post(f"http://127.0.0.1:{port}/hook/default/hooked", json={"n": n}, timeout=5) for n in range(5)
        ]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert http.get(f"http://127.0.0.1:{port}/hook/default/hooked?n=9", timeout=5).status_code == 200
        assert most_memory(process.pid) < 450 << 20
    world.all_arrive(out, range(9, 10))


def test_bodies_that_take_many_times_their_size_cost_little_in_parallel(world: World, tmp_path: Path) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook/default/heavy"
    # Given a flow that keeps what comes and works on nothing
    flow = world.start_flow("heavy", hooked(tmp_path / "out"))
    suspend(world.store, flow, by="test")
    world.flow_becomes(flow, "Suspended")
    with gateway(world, port) as process, ThreadPoolExecutor(24) as callers:
        # When bodies of 9.9 MB come that are as hard on a parser as any, twenty at once
        bodies = [*heaviest()] * 5
        sent = [
            callers.submit(http.post, url, data=body, headers={"content-type": content_type}, timeout=120)
            for content_type, body, _ in bodies
        ]
        # Then others are answered meanwhile
        longest = 0.0
        while not all(one.done() for one in sent):
            began = time.monotonic()
            assert http.get(f"{url}?n=1", timeout=30).status_code in {200, 429}
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.05)
        # And each has its answer, and the memory is bounded
        outcomes = Counter((wanted, one.result().status_code) for one, (*_, wanted) in zip(sent, bodies, strict=True))
        print(f"{dict(outcomes)}, {most_memory(process.pid) >> 20} MB, another caller waited {longest:.2f} s at most")
        assert outcomes.keys() <= {(200, 200), (200, 429), (200, 503), (400, 400), (400, 503)}
        assert outcomes[200, 200] > 0
        assert outcomes[400, 400] > 0
        assert most_memory(process.pid) < 650 << 20


def heaviest() -> Iterator[tuple[str, bytes, int]]:
    """Content type, body, answer: just taken, and just not."""
    for count, wanted in ((MOST_MARKS // 3 - 10, 200), (1_200_000, 400)):
        inner = b'{"a":1},' * count
        yield "application/json", b'{"a":[%b0],"b":"%b"}' % (inner, b"x" * (9_900_000 - len(inner))), wanted
    for count, wanted in ((MOST_NODES // 2 - 10, 200), (MOST_NODES, 400)):
        inner = b"<a b=''/>" * count
        yield "text/xml", b"<r>%b<c>%b</c></r>" % (inner, b"x" * (9_900_000 - len(inner))), wanted


def most_memory(pid: int) -> int:
    """The most a process has ever held, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
