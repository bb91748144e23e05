"""Webhooks on real servers: a flow that sleeps, a flow that answers, a gateway that is killed under load."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests as http

from nomadflows.builtin import builtin_components
from nomadflows.store import requests
from tests.world import World, eventually

pytestmark = pytest.mark.stack


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def gateway(world: World, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway process at that port, ready."""
    with (world.folder / f"gateway-{port}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nomadflows", "gateway", "run", "--bind", f"127.0.0.1:{port}"],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        eventually("the gateway listens", lambda: alive(port), 20)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def alive(port: int) -> bool:
    try:
        return http.get(f"http://127.0.0.1:{port}/healthz", timeout=1).ok
    except http.RequestException:
        return False


def builtins(world: World) -> None:
    for component in builtin_components():
        if world.store.component(component.name, component.version) is None:
            world.store.put_component(component)


def hooked(out: Path, **settings: Any) -> dict[str, Any]:
    return {
        "idle_after": "1s",
        "steps": [
            {"id": "receive", "use": "webhook:receive"},
            {"id": "note", "use": "probe:relay", "with": {"out": str(out), **settings}},
        ],
    }


def answering(**reply: Any) -> dict[str, Any]:
    return {
        "idle_after": "5s",
        "steps": [
            {"id": "receive", "use": "webhook:receive", "with": {"reply_timeout": 20}},
            {"id": "answer", "use": "http:reply", "map": {"hello": "$uppercase(name)"}, "with": reply},
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
    world.start_flow("answering", answering(status=201))
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
        # And when one gateway goes the other answers
        process.kill()
        process.wait()
        url = f"http://127.0.0.1:{second}/hook/default/answering"
        assert http.post(url, json={"name": "olaf"}, timeout=30).json() == {"hello": "OLAF"}


def test_a_killed_gateway_loses_no_request_it_acknowledged(world: World, tmp_path: Path) -> None:
    world.deploy()
    builtins(world)
    world.start_controller()
    out, ports = tmp_path / "out", (free_port(), free_port())
    flow = world.start_flow("loaded", hooked(out))
    accepted: list[int] = []
    over = threading.Event()

    def load(worker: int) -> None:
        """Calls one gateway after the other, and notes what was acknowledged."""
        number = worker
        with http.Session() as session:
            while not over.is_set():
                try:
                    answer = session.post(
                        f"http://127.0.0.1:{ports[number % 2]}/hook/default/loaded", json={"n": number}, timeout=5
                    )
                    if answer.ok:
                        accepted.append(number)
                except http.RequestException:
                    pass  # it was not acknowledged
                number += 4
                over.wait(0.01)

    with gateway(world, ports[0]) as killed, gateway(world, ports[1]):
        callers = [threading.Thread(target=load, args=(worker + worker % 2 * 4,)) for worker in range(4)]
        for caller in callers:
            caller.start()
        # When one is killed, and the other told to end, under load
        eventually("requests are accepted", lambda: len(accepted) > 100)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        count = len(accepted)
        eventually("the other one goes on", lambda: len(accepted) > count + 50)
    over.set()
    for caller in callers:
        caller.join()
    # Then what was acknowledged is processed
    wanted = set(accepted)

    def processed() -> bool:
        return wanted <= world.seen(out).keys()

    eventually("all that was acknowledged is processed", processed, 60)
    requests.stop(world.store, flow, by="test")
