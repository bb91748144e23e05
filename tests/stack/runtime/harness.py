"""Starting one step process the way Nomad would, and looking at it from the broker's side."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

import pika

from nomadflows.broker import wire

Json = dict[str, Any]

PASSWORD, IV = "a password", "0123456789abcdef"
KEYS = ("data", "error", "rebound", "snapshot")


class Api(ThreadingHTTPServer):
    """The component API: one step, and the state of a start-up hook."""

    daemon_threads = True

    def __init__(self, step: Json) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.step: Json = step
        self.statuses: list[int] = []  # answered first, one after the other
        self.requests: list[tuple[str, str, bytes]] = []
        self.hook_state: bytes | None = None
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((method, self.path, body))
        expected = "Basic " + base64.b64encode(b"user:key").decode()
        if self.headers["Authorization"] != expected:
            self._send(401, b'{"error":"who are you"}')
        elif self.server.statuses:
            self._send(self.server.statuses.pop(0), b'{"error":"not now"}')
        elif "/hooks/" in self.path:
            self._hook(method, body)
        else:
            self._send(200, json.dumps(self.server.step).encode())

    def _hook(self, method: str, body: bytes) -> None:
        if method == "POST" and self.server.hook_state is not None:
            self._send(409, b"{}")
        elif method == "GET":
            self._send(200 if self.server.hook_state is not None else 404, self.server.hook_state or b"{}")
        else:
            self.server.hook_state = body if method == "POST" else None
            self._send(201, b"{}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Received(NamedTuple):
    """A message as it lies in a queue."""

    key: str
    properties: Any
    body: bytes

    @property
    def headers(self) -> Json:
        return self.properties.headers


class ErrorRecord(NamedTuple):
    """What a step says about a message it failed on."""

    name: str
    message: str
    stack: str
    input: Json | None  # the whole incoming message; None for an error at start


class Harness:
    """A component from source text, its queues, its process."""

    command: tuple[str, ...] = (sys.executable, "-m", "nomadflows.runtime")
    directory: Path | None = None

    def __init__(self, amqp_uri: str, management: str, folder: Path) -> None:
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.crypto = wire.Crypto(PASSWORD, IV)
        self.amqp_uri = f"{amqp_uri}/%2F"
        self.management = management
        self.folder = folder
        self.api = Api({"config": {}, "snapshot": {}})
        self.env: dict[str, str] = {}  # without the contract's prefix
        self.variables: dict[str, str] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self.connection = pika.BlockingConnection(pika.URLParameters(self.amqp_uri))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.queue = f"{self.name}.step"

    def __enter__(self) -> Self:
        self.channel.exchange_declare(self.name, "topic")
        self.declare_input()
        for key in (*KEYS, "reply", "dead"):
            self.channel.queue_declare(f"{self.name}.{key}")
        for key in (*KEYS, "reply"):
            self.channel.queue_bind(f"{self.name}.{key}", self.name, f"step.{key}")
        return self

    def declare_input(self) -> None:
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{self.name}.dead"}
        self.channel.queue_declare(self.queue, arguments=arguments)
        self.channel.queue_bind(self.queue, self.name, "step.input")

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.api.shutdown()
        self.api.server_close()
        for key in (*KEYS, "reply", "dead", "step"):
            self.channel.queue_delete(f"{self.name}.{key}")
        self.channel.exchange_delete(self.name)
        self.connection.close()

    # -- the step

    def component(self, source: str) -> None:
        """The source of a module with a `process`."""
        folder = self.folder / "component"
        folder.mkdir(exist_ok=True)
        (folder / "under_test.py").write_text(textwrap.dedent(source))
        descriptor = {"title": "T", "language": "python", "actions": {"act": {"title": "A", "main": "./under_test.py"}}}
        (folder / "component.json").write_text(json.dumps(descriptor))

    def environment(self) -> dict[str, str]:
        values = {
            "FLOW_ID": "flow", "EXEC_ID": "flow.v1", "STEP_ID": "step", "CONTAINER_ID": "alloc",
            "WORKSPACE_ID": "ws", "USER_ID": "nomadflows", "COMP_ID": "comp", "FUNCTION": "act",
            "API_URI": self.api.uri, "API_USERNAME": "user", "API_KEY": "key", "AMQP_URI": self.amqp_uri,
            "LISTEN_MESSAGES_ON": self.queue, "PUBLISH_MESSAGES_TO": self.name,
            "MESSAGE_CRYPTO_PASSWORD": PASSWORD, "MESSAGE_CRYPTO_IV": IV,
            "PROTOCOL_VERSION": "2", "NO_SELF_PASSTRHOUGH": "true", "AMQP_PERSISTENT_MESSAGES": "true",
            **{f"{key.upper()}_ROUTING_KEY": f"step.{key}" for key in KEYS},
            **self.env,
        }  # fmt: skip
        return {
            **os.environ,
            "NOMADFLOWS_COMPONENT_DIR": str(self.folder / "component"),
            **{f"ELASTICIO_{name}": value for name, value in values.items() if value is not None},
            **self.variables,
        }

    def start(self, *, ready: bool = True) -> subprocess.Popen[str]:
        log = (self.folder / "step.log").open("a")
        process = subprocess.Popen(
            self.command, cwd=self.directory, env=self.environment(), stdout=log, stderr=log, text=True
        )
        log.close()
        self.processes.append(process)
        if ready:
            before = self.consumers()
            until(lambda: self.consumers() > before or process.poll() is not None, "the step to consume")
            assert process.poll() is None, self.log()
        return process

    def log(self) -> str:
        return (self.folder / "step.log").read_text()

    @staticmethod
    def stop(process: subprocess.Popen[str], seconds: float = 10) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    # -- the broker's side

    def send(
        self, body: Any = None, *, headers: Json | None = None, drop: str = "", protocol: int = 2, **more: Any
    ) -> str:
        """One message into the step's queue; its id."""
        message_id = str(uuid.uuid4())
        amqp = {"messageId": message_id, "threadId": "thread", "protocolVersion": protocol, **(headers or {})}
        amqp.pop(drop, None)
        content = {"id": message_id, "body": {} if body is None else body, "headers": {}, **more}
        self.put(wire.encode(self.crypto, content, protocol), amqp)
        return message_id

    def put(self, body: bytes, headers: Json | None) -> None:
        properties = pika.BasicProperties(headers=headers, content_type="application/json")
        self.channel.basic_publish(self.name, "step.input", body, properties, mandatory=True)

    def depth(self, key: str) -> int:
        return self.channel.queue_declare(f"{self.name}.{key}", passive=True).method.message_count

    def consumers(self) -> int:
        return self.channel.queue_declare(self.queue, passive=True).method.consumer_count

    def receive(self, key: str, count: int = 1, seconds: float = 10) -> list[Received]:
        """Exactly so many messages; fails if they do not come."""
        found: list[Received] = []

        def take() -> bool:
            method, properties, body = self.channel.basic_get(f"{self.name}.{key}", auto_ack=True)
            if method is not None:
                found.append(Received(method.routing_key, properties, body))
            return len(found) >= count

        until(take, lambda: f"{count} messages on {key}, have {len(found)}\n{self.log()}", seconds)
        return found

    def bodies(self, key: str, count: int, seconds: float = 10) -> list[Any]:
        return [self.decoded(message)["body"] for message in self.receive(key, count, seconds)]

    def decoded(self, message: Received) -> Json:
        return wire.decode(self.crypto, message.body, message.headers)

    def error(self) -> ErrorRecord:
        return self.error_in(self.receive("error")[0])

    def error_in(self, record: Received) -> ErrorRecord:
        error, failed_on = wire.decode_error_members(self.crypto, record.body)
        return ErrorRecord(*(str(error.get(name, "")) for name in ("name", "message", "stack")), failed_on)

    def settled(self, seconds: float = 10) -> None:
        """Nothing ready or unacknowledged in the step's queue."""
        until(lambda: self.unsettled() == 0, "everything to be settled", seconds)

    def unsettled(self) -> int:
        """From the list: the figures of a single queue are seconds old."""
        query = f"name={quote(self.queue, safe='')}&disable_stats=true&enable_queue_totals=true&page=1"
        found = self.http("GET", f"/api/queues/%2F?{query}")["items"]
        return sum(queue["messages"] for queue in found if queue["name"] == self.queue)

    def cut(self, seconds: float = 15) -> None:
        """Closes the step's connection by force, as soon as the management API knows of it."""
        closed: list[str] = []

        def close() -> bool:
            for connection in self.http("GET", "/api/connections"):
                if connection.get("client_properties", {}).get("connection_name") == "flow.v1 step alloc":
                    self.http("DELETE", "/api/connections/" + quote(connection["name"], safe=""))
                    closed.append(connection["name"])
            return bool(closed)

        until(close, "the connection of the step", seconds)

    def http(self, method: str, path: str) -> Any:
        parts = urlsplit(self.amqp_uri)
        user = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request = urllib.request.Request(
            self.management + path, method=method, headers={"Authorization": f"Basic {user}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class NodeHarness(Harness):
    """The same for a component of Node's library, which is installed once a run."""

    command = ("node", "node_modules/elasticio-sailor-nodejs/run.js")

    def __init__(self, amqp_uri: str, management: str, folder: Path, modules: Path) -> None:
        super().__init__(amqp_uri, management, folder)
        self.amqp_uri += "?frameMax=131072&heartbeat=30"
        self.directory = folder / "component"
        self.directory.mkdir()
        (self.directory / "node_modules").symlink_to(modules)

    def component(self, source: str) -> None:
        """The source of a module, in JavaScript."""
        assert self.directory is not None
        (self.directory / "under_test.js").write_text(textwrap.dedent(source))
        descriptor = {"title": "T", "actions": {"act": {"title": "A", "main": "./under_test.js"}}}
        (self.directory / "component.json").write_text(json.dumps(descriptor))


def until(condition: Callable[[], object], what: str | Callable[[], str], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.01)
