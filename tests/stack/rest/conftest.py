"""The REST API as an ASGI application over the stack's servers, in a workspace of its own: no controller sees it."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from nomadflows.clients import Clients, connect
from nomadflows.gateway.rest.application import Rest
from nomadflows.gateway.rest.table import OPERATIONS
from nomadflows.model.names import FlowRef
from nomadflows.model.roles import Role
from nomadflows.settings import Settings
from nomadflows.store import Store, requests, users

FLOW = {
    "flow": "orders",
    "kind": "ordinary",
    "steps": [{"id": "tick", "use": "timer:timer"}, {"id": "write", "use": "log:write"}],
}


def ask(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    """One request to an ASGI application."""

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.request(method, path, **more)

    return asyncio.run(asked())


@dataclass
class Api:
    """Calls as one user."""

    app: Rest
    auth: tuple[str, str]

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return ask(self.app, method, f"/v2{path}", auth=self.auth, **more)

    def get(self, path: str, status: int = 200) -> Any:
        return self._checked(self("GET", path), status)

    def post(self, path: str, attributes: dict[str, Any] | None = None, status: int = 202) -> Any:
        body = None if attributes is None else {"data": {"attributes": attributes}}
        return self._checked(self("POST", path, json=body), status)

    def send(self, method: str, path: str, data: dict[str, Any], status: int = 200) -> Any:
        return self._checked(self(method, path, json={"data": data}), status)

    @staticmethod
    def _checked(answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def settings(stack: Settings) -> Settings:
    unique = uuid.uuid4().hex[:8]
    return replace(stack, kv_prefix=f"test-{unique}", workspace=f"rest-{unique}")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.consul_addr, settings.consul_token, prefix=settings.kv_prefix)


@pytest.fixture
def app(settings: Settings) -> Iterator[Rest]:
    made: list[Clients] = []
    local = threading.local()

    def clients() -> Clients:
        if not hasattr(local, "clients"):
            local.clients = connect(settings)
            made.append(local.clients)
        return local.clients

    rest = Rest(clients, OPERATIONS)
    yield rest
    rest.close(wait=True)
    for one in made:
        one.broker.close()


def key_of(store: Store, name: str, workspace: str, role: Role) -> tuple[str, str]:
    users.set_role(store, name, workspace, role)
    return name, users.create_key(store, name, by="test")[1]


@pytest.fixture
def owner(app: Rest, store: Store, settings: Settings) -> Api:
    return Api(app, key_of(store, "olga@example.com", settings.workspace, Role.OWNER))


@pytest.fixture
def integrator(app: Rest, store: Store, settings: Settings) -> Api:
    return Api(app, key_of(store, "ivan@example.com", settings.workspace, Role.INTEGRATOR))


@pytest.fixture
def guest(app: Rest, store: Store, settings: Settings) -> Api:
    return Api(app, key_of(store, "gina@example.com", settings.workspace, Role.GUEST))


@pytest.fixture
def ref(store: Store, settings: Settings) -> FlowRef:
    """A flow with version 1 published, stopped."""
    made = FlowRef(settings.workspace, "orders")
    requests.apply(store, made, FLOW, by="anna")
    requests.publish(store, made, by="anna")
    return made


@pytest.fixture
def flow(ref: FlowRef) -> str:
    """Its path."""
    return f"/flows/{ref.workspace}.{ref.flow}"
