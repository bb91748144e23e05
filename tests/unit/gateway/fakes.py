"""A gateway's handler with everything around it made up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from nomadflows.broker.wire import Crypto, WireError, decode
from nomadflows.gateway.auth import Auth
from nomadflows.gateway.content import File
from nomadflows.gateway.directory import Directory, Target
from nomadflows.gateway.hook_objects import Kept
from nomadflows.gateway.hooks import Hooks
from nomadflows.gateway.replies import Replies
from nomadflows.model.errors import NotFound, ServerUnreachable
from nomadflows.model.names import FlowRef

KEYS = ("password", "0123456789abcdef")
CRYPTO = Crypto(*KEYS)
REF = FlowRef("default", "orders")
URL = "/hook/default/orders"


class FakeBroker:
    """Keeps what was published. `outcomes`: what the next calls come to, then True."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []
        self.bound: list[tuple[str, str]] = []
        self.outcomes: list[bool | Exception] = []
        self.on_publish: Any = None

    async def publish(self, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> bool:
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        if outcome:
            self.published.append((exchange, key, decode(CRYPTO, body, headers), headers))
            if self.on_publish:
                self.on_publish(headers)
        return outcome

    async def listen(self, exchange: str, key: str) -> None:
        self.bound.append((exchange, key))


class FakeObjects:
    """Keeps files and bodies in memory. `problem`: what the next one comes to."""

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}
        self.problem: Exception | None = None

    async def keep(self, _workspace: str, files: Sequence[File]) -> Kept:
        if self.problem:
            raise self.problem
        names = [f"{len(self.kept) + number}" for number in range(len(files))]
        self.kept |= dict(zip(names, files, strict=True))
        return Kept({file.name: {"url": name} for name, file in zip(names, files, strict=True)}, names)

    async def drop(self, _workspace: str, ids: Sequence[str]) -> None:
        for name in ids:
            del self.kept[name]

    async def body(self, workspace: str, _crypto: Crypto, object_id: str) -> Any:
        await asyncio.sleep(0)
        if (workspace, object_id) not in self.kept:
            raise WireError("it is not there")
        return self.kept[workspace, object_id]


class Gate:
    """`app` is what is tested; `flows` what is active."""

    def __init__(self, **options: Any) -> None:
        self.broker = FakeBroker()
        self.objects = FakeObjects()
        self.replies = Replies(self.objects.body)
        self.flows: dict[FlowRef, Target | Exception] = {REF: target()}
        self.now = 0.0
        self.looked = 0
        self.directory = Directory(self._find, clock=lambda: self.now)
        options.setdefault("clock", lambda: self.now)
        objects: Any = options.pop("objects", self.objects)
        self.app = Hooks(self.directory, lambda _workspace: self.broker, self.replies, objects, **options)

    def _find(self, ref: FlowRef) -> Target | None:
        self.looked += 1
        found = self.flows.get(ref)
        if isinstance(found, Exception):
            raise found
        return found


def target(number: int = 1, auth: Auth | None = None, **more: Any) -> Target:
    return Target(REF.version(number), "receive", CRYPTO, auth or Auth(), **more)


AWAY = ServerUnreachable("RabbitMQ", "amqp://10.0.0.1:5672", "connection refused")
GONE = NotFound("RabbitMQ: NOT_FOUND - no exchange 'orders.v1'")


def call(gate: Gate, method: str = "POST", url: str = URL, **options: Any) -> httpx.Response:
    """One request, answered by the handler itself."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=gate.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, url, **options)

    return asyncio.run(send())


def body_of(gate: Gate) -> Any:
    """Of the message that was published last."""
    return gate.broker.published[-1][2]["body"]
