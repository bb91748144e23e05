"""Webhooks accepted per second by the gateway's handler, beside a bare ASGI handler that publishes what it gets.

Both run in one uvicorn process each, wait for the broker's confirm before they answer, and have many confirms in
flight; 16 connections send 1 KiB of JSON again and again. The gateway also finds the flow among those it knows, parses,
checks, builds a message, encrypts it; what it costs to read a flow in Consul, once a second, is not in it. What the caller sees as latency is printed too. `ratio` is the gateway's rate by the bare one's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pika

from bench.steps import step_on_a_broker
from tests.stack.runtime.harness import Harness

CONNECTIONS = 16
SECONDS = 4.0
ROUNDS = 5
BODY = json.dumps({"text": "x" * 1000}).encode()

SERVE = """
import sys
import uvicorn

uri, vhost, exchange, port = sys.argv[1:]
{application}
config = uvicorn.Config(app, port=int(port), http=protocol, log_config=None, access_log=False, lifespan="off")
uvicorn.Server(config).run()
"""

BARE = """
protocol = "auto"
import asyncio
import pika
from pika.adapters.asyncio_connection import AsyncioConnection

class App:
    def __init__(self):
        self.channel, self.sent, self.open, self.connecting = None, 0, {}, None

    async def connect(self):
        ready = asyncio.get_running_loop().create_future()
        def on_channel(channel):
            channel.confirm_delivery(self.on_confirm, callback=lambda _: ready.set_result(channel))
        AsyncioConnection(
            pika.URLParameters(f"{uri}/{vhost}"),
            on_open_callback=lambda connection: connection.channel(on_open_callback=on_channel),
        )
        self.channel = await ready

    def on_confirm(self, frame):
        last = frame.method.delivery_tag
        for tag in [tag for tag in self.open if tag <= last] if frame.method.multiple else [last]:
            self.open.pop(tag).set_result(None)

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        if scope["path"] == "/hook/default/bench":
            if self.channel is None:
                self.connecting = self.connecting or asyncio.create_task(self.connect())
                await self.connecting
            self.sent += 1
            confirmed = self.open[self.sent] = asyncio.get_running_loop().create_future()
            properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
            self.channel.basic_publish(exchange, "step.input", body, properties)
            await confirmed
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

app = App()
"""

GATEWAY = """
from urllib.parse import unquote
from nomadflows.broker.address import Address
from nomadflows.broker.pipeline import Pipeline
from nomadflows.broker.wire import Crypto
from nomadflows.gateway.connection import Connection as protocol
from nomadflows.gateway.directory import Directory, Target
from nomadflows.gateway.hook_objects import HookObjects
from nomadflows.gateway.hooks import Hooks
from nomadflows.gateway.replies import Replies
from nomadflows.model.names import VersionRef

class Version(VersionRef):
    exchange = exchange

target = Target(Version("default", "bench", 1), "step", Crypto("a password", "0123456789abcdef"))
pipelines = {}

def publisher(workspace):
    if workspace not in pipelines:
        pipelines[workspace] = Pipeline(Address.parse(uri), unquote(vhost), 4.0)
    return pipelines[workspace]

objects = HookObjects(None, None, 0.0)  # no request of this bench has a file, no flow answers
app = Hooks(Directory(lambda ref: target), publisher, Replies(objects.body), objects)
"""


@contextmanager
def served(harness: Harness, application: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    uri, _, vhost = harness.amqp_uri.rpartition("/")
    arguments = [
        sys.executable,
        "-c",
        SERVE.format(application=application),
        uri,
        vhost or "%2F",
        harness.name,
        str(port),
    ]
    process = subprocess.Popen(arguments)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the server does not listen") from None
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


async def caller(port: int, until: float, took: list[float], path: str, body: bytes) -> None:
    """One connection that sends the next request when the last is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"answered {head!r}")
        took.append(time.perf_counter() - began)
    writer.close()


def load(port: int, seconds: float, path: str = "/hook/default/bench", body: bytes = BODY) -> list[float]:
    """How long each request took."""
    took: list[float] = []

    async def all_callers() -> None:
        until = time.perf_counter() + seconds
        async with asyncio.timeout(seconds + 20):
            await asyncio.gather(*(caller(port, until, took, path, body) for _ in range(CONNECTIONS)))

    asyncio.run(all_callers())
    return sorted(took)


def measure(harness: Harness, application: str) -> tuple[float, float, float]:
    """Requests a second, and the median and 99th percentile of what a request takes, in ms."""
    with served(harness, application) as port:
        load(port, 0.5)
        harness.channel.queue_purge(harness.queue)
        began = time.perf_counter()
        took = load(port, SECONDS)
        rate = len(took) / (time.perf_counter() - began)
    harness.channel.queue_purge(harness.queue)
    return rate, took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000


def main() -> None:
    with step_on_a_broker() as harness:
        channel = harness.channel
        channel.queue_delete(harness.queue)
        channel.queue_declare(harness.queue, durable=True)
        channel.queue_bind(harness.queue, harness.name, "step.input")
        pairs = [(measure(harness, BARE), measure(harness, GATEWAY)) for _ in range(ROUNDS)]
    for name, index in (("bare", 0), ("gateway", 1)):
        rate, median, late = (statistics.median(pair[index][part] for pair in pairs) for part in range(3))
        print(f"{name}: {rate:.0f} accepted/s, p50 {median:.1f} ms, p99 {late:.1f} ms")
    print(f"single rounds {', '.join(f'{ours[0] / bare[0]:.2f}' for bare, ours in pairs)}, pika {pika.__version__}")
    print(
        f"ratio {statistics.median(ours[0] for _, ours in pairs) / statistics.median(bare[0] for bare, _ in pairs):.2f}"
    )


if __name__ == "__main__":
    main()
