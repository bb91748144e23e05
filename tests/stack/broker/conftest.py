"""The broker of the local stack; each test in a workspace of its own, which is deleted afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
import pytest

from nomadflows.broker.broker import Broker
from nomadflows.broker.management import Management
from nomadflows.broker.topology import Topology, topology
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef, vhost
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.settings import Settings

PASSWORD = "the version's own"


def until(condition: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
    """The condition's first true value. A failure says what was waited for."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what or 'the condition'} did not come true in {timeout} s"
        time.sleep(0.01)
    return value


def chain(*names: str) -> list[RunStep]:
    return [
        RunStep(name, "action", "log", "", "write", after=names[n - 1 : n] if n else ()) for n, name in enumerate(names)
    ]


@dataclass
class Flow:
    """A declared version of a flow."""

    broker: Broker
    version: VersionRef
    steps: list[RunStep]
    topology: Topology

    @property
    def ids(self) -> list[str]:
        return [step.id for step in self.steps]

    def put(self, key: str, body: bytes = b"{}", **headers: Any) -> bool:
        return self.broker.publish(
            self.version.workspace, self.version.exchange, key, body, {"messageId": "m", **headers}
        )

    def ready(self, step: str) -> int:
        depth = self.broker.depths(self.version, [step])[step]
        assert depth is not None
        return depth.ready


@pytest.fixture
def broker(stack: Settings) -> Iterator[Broker]:
    with Broker(stack.amqp_uri, stack.rabbitmq_api, stack.timeout) as made:
        yield made


def delete_workspace(stack: Settings, broker: Broker, name: str) -> None:
    """With patience: quorum queues take their time to go, the more so soon after a restart of the broker."""
    address = broker.address
    management = Management(stack.rabbitmq_api, address.user, address.password, 60)
    management.delete_vhost(vhost(name))
    management.close()


@pytest.fixture
def workspace(stack: Settings, broker: Broker) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    broker.ensure_vhost(name)
    yield name
    delete_workspace(stack, broker, name)


@pytest.fixture
def make_flow(broker: Broker, workspace: str) -> Iterator[Callable[..., Flow]]:
    made: list[Flow] = []

    def make(*names: str, flow: str = "orders", number: int = 1, limits: QueueLimits | None = None) -> Flow:
        version = VersionRef(workspace, flow, number)
        steps = chain(*(names or ("a", "b", "c")))
        wanted = topology(version, steps, limits or QueueLimits())
        broker.declare(version, wanted)
        made.append(Flow(broker, version, steps, wanted))
        return made[-1]

    yield make
    for one in made:
        broker.delete_user(one.version)


@pytest.fixture
def connect(stack: Settings, workspace: str, broker: Broker) -> Iterator[Callable[..., pika.BlockingConnection]]:
    """Connections as a step process has them: as the administrator, or as a version's account."""
    opened: list[pika.BlockingConnection] = []

    def open_(user: str = "", password: str = "") -> pika.BlockingConnection:
        address = broker.address
        credentials = pika.PlainCredentials(user or address.user, password or address.password)
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(address.host, address.port, vhost(workspace), credentials)
        )
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        if connection.is_open:
            connection.close()
