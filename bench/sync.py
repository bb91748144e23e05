"""A synchronous webhook through three durable steps (webhook, mapping, reply), beside a bare ASGI handler that answers
by itself.

The flow is real-time; both get `--rate` requests a second over loopback for some seconds, in turn. Then the flow gets as
many as 16 callers can send who each wait for their answer. Then the same flow, ordinary and asleep, gets single
requests: each wakes it. `ratio` is the flow's median by the bare handler's.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.stack import is_asleep, nomadflows, private_stack
from bench.webhook import load
from nomadflows import clients
from nomadflows.model.names import FlowRef
from nomadflows.settings import Settings
from tests.gateways import Callers
from tests.world import eventually

FLOW = """
flow: {name}
kind: {kind}
{more}
steps:
  - id: receive
    use: webhook:receive
    prefetch: {prefetch}
  - id: answer
    use: http:reply
    prefetch: {prefetch}
    map: {{hello: n}}
"""

BARE = """
import json, sys
import uvicorn

async def app(scope, receive, send):
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    answer = json.dumps({"hello": json.loads(body)["n"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})

uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off")
"""


@contextmanager
def bare_handler() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        eventually("the bare handler listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port
    finally:
        process.terminate()
        process.wait()


def paced(port: int, path: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each answer, sorted."""
    with Callers([port], path, rate) as callers:
        time.sleep(seconds)
    if callers.others:
        raise SystemExit(f"{path}: {dict(callers.others)}")
    return sorted(took * 1000 for took in callers.took.values())


def flooded(port: int, flow: str, seconds: float = 5.0) -> str:
    """As much as callers can send who each wait for their answer."""
    load(port, 1.0, path=f"/hook/default/{flow}", body=b'{"n": 1}')
    took = load(port, seconds, path=f"/hook/default/{flow}", body=b'{"n": 1}')
    return f"{len(took) / seconds:.0f} answered/s, p50 {part(took, 0.5) * 1000:.0f} ms"


def part(took: list[float], share: float) -> float:
    return took[min(len(took) - 1, int(len(took) * share))]


def start_flow(name: str, kind: str, more: str = "", prefetch: int = 1) -> None:
    with tempfile.TemporaryDirectory(prefix="nomadflows-sync-") as folder:
        file = Path(folder) / "flow.yaml"
        file.write_text(FLOW.format(name=name, kind=kind, more=more, prefetch=prefetch))
        nomadflows("flow", "apply", str(file))
    nomadflows("flow", "publish", name)
    nomadflows("flow", "start", name, "--wait")


def first_requests(settings: Settings, rounds: int) -> list[float]:
    """Seconds that a request takes whose flow sleeps."""
    store, ref = clients.consul(settings), FlowRef("default", "asleep")
    took = []
    for number in range(rounds):
        eventually("the flow sleeps", lambda: is_asleep(store, ref), 60)
        began = time.perf_counter()
        answer = requests.post(f"{settings.gateway_url}/hook/{ref}", json={"n": number}, timeout=60)
        took.append(time.perf_counter() - began)
        if answer.json() != {"hello": number}:
            raise SystemExit(f"answered {answer.text}")
    return sorted(took)


def main() -> None:
    options = argparse.ArgumentParser(description="Synchronous webhooks beside a bare handler.")
    options.add_argument("--rate", type=float, default=20.0)
    options.add_argument("--seconds", type=float, default=10.0, help="of each round")
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with private_stack() as settings, bare_handler() as bare:
        port = int(settings.gateway_url.rpartition(":")[2])
        start_flow("sync", "realtime")
        paced(port, "/hook/default/sync", chosen.rate, 2)
        pairs = [
            (
                paced(bare, "/", chosen.rate, chosen.seconds),
                paced(port, "/hook/default/sync", chosen.rate, chosen.seconds),
            )
            for _ in range(chosen.rounds)
        ]
        for title, index in (("bare", 0), ("flow", 1)):
            every = sorted(took for pair in pairs for took in pair[index])
            print(
                f"{title}: p50 {part(every, 0.5):.1f} ms, p90 {part(every, 0.9):.1f}, p99 {part(every, 0.99):.1f}, "
                f"longest {every[-1]:.0f}, of {len(every)} at {chosen.rate:g}/s",
                flush=True,
            )
        print(f"flow, 16 callers: {flooded(port, 'sync')}", flush=True)
        nomadflows("flow", "stop", "sync", "--yes", "--wait")
        start_flow("wide", "realtime", prefetch=20)
        print(f"flow with prefetch 20, 16 callers: {flooded(port, 'wide')}", flush=True)
        nomadflows("flow", "stop", "wide", "--yes", "--wait")
        start_flow("asleep", "ordinary", "idle_after: 0s")
        firsts = first_requests(settings, 10)
        print(f"asleep: first request answered after {part(firsts, 0.5):.2f} s, {firsts[0]:.2f} to {firsts[-1]:.2f}")
    print(f"ratio {statistics.median(part(flow, 0.5) / part(own, 0.5) for own, flow in pairs):.2f}")


if __name__ == "__main__":
    main()
