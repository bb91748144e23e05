"""What an operation of the REST API is: a row that is served, and described in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from nomadflows.broker.broker import Broker
from nomadflows.clients import Clients
from nomadflows.gateway.rest.shapes import NoQuery, Shape
from nomadflows.model.errors import NotFound
from nomadflows.model.names import FlowRef
from nomadflows.model.roles import Right
from nomadflows.model.users import User
from nomadflows.store.store import Store
from nomadflows.vault.client import Vault

PREFIX: Final = "/v2"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that is admitted: who asks, and what for. `workspace` is the one the right was checked in."""

    clients: Clients
    user: User
    workspace: str
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def store(self) -> Store:
        return self.clients.store

    @property
    def broker(self) -> Broker:
        return self.clients.broker

    @property
    def vault(self) -> Vault:
        return self.clients.vault

    @property
    def by(self) -> str:
        return self.user.name

    @property
    def ref(self) -> FlowRef:
        return flow_ref(self.path["flow"])


Handler = Callable[[Call], BaseModel | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """`needs`: the right in the workspace that the request names; None: any user may. `gives`: the answer's model;
    None: an empty answer. `takes`: the body's; with `body_optional` it may be left out."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    needs: Right | None
    gives: type[BaseModel] | None
    status: HTTPStatus = HTTPStatus.OK
    takes: type[Shape] | None = None
    body_optional: bool = False
    query: type[Shape] = NoQuery

    @property
    def tag(self) -> str:
        return self.path.removeprefix(f"{PREFIX}/").partition("/")[0]


def flow_id(ref: FlowRef) -> str:
    """`<workspace>.<flow>`: neither name holds a dot."""
    return f"{ref.workspace}.{ref.flow}"


def flow_ref(text: str) -> FlowRef:
    """Inverse of `flow_id`. NotFound for what cannot be one."""
    try:
        return FlowRef.parse(text.replace(".", "/", 1))
    except ValueError:
        raise NotFound(f"there is no flow {text!r}", hint="a flow's id is <workspace>.<flow>") from None
